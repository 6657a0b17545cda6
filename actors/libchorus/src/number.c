/* Numbers in text. */
#include <stdbool.h>
#include <stdlib.h>

static int digit_of(char sign)
{
    return sign >= '0' && sign <= '9' ? sign - '0'
         : sign >= 'a' && sign <= 'z' ? sign - 'a' + 10
         : sign >= 'A' && sign <= 'Z' ? sign - 'A' + 10
                                      : 99;
}

/* The amount, its sign, and whether it fits an unsigned long. */
static bool parse(const char *text, char **end, int base, unsigned long *amount, bool *negative)
{
    const char *at = text;
    while (*at == ' ' || (*at >= '\t' && *at <= '\r'))
        at++;
    *negative = *at == '-';
    if (*at == '-' || *at == '+')
        at++;
    bool prefix = at[0] == '0' && (at[1] | 32) == 'x' && digit_of(at[2]) < 16;
    if (base == 0)
        base = prefix ? 16 : *at == '0' ? 8 : 10;
    if (base == 16 && prefix)
        at += 2;
    const char *first = at;
    bool fits = true;
    *amount = 0;
    for (; digit_of(*at) < base; at++)
        if (__builtin_mul_overflow(*amount, (unsigned long)base, amount) ||
            __builtin_add_overflow(*amount, (unsigned long)digit_of(*at), amount))
            fits = false;
    if (end)
        *end = (char *)(at == first ? text : at);
    return fits;
}

unsigned long strtoul(const char *text, char **end, int base)
{
    unsigned long amount;
    bool negative;
    if (!parse(text, end, base, &amount, &negative))
        return ~0ul;
    return negative ? -amount : amount;
}

long strtol(const char *text, char **end, int base)
{
    unsigned long amount;
    bool negative, fits = parse(text, end, base, &amount, &negative);
    unsigned long most = (unsigned long)__LONG_MAX__ + negative;
    if (!fits || amount > most)
        return negative ? -__LONG_MAX__ - 1 : __LONG_MAX__;
    return negative ? (long)-amount : (long)amount;
}

int atoi(const char *text)
{
    return (int)strtol(text, 0, 10);
}

int abs(int number)
{
    return number < 0 ? -number : number;
}
