/* `printf`'s formats without floating point: each conversion is read into a `Form`, and printed from it. */
#include "format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef struct Form {
    bool left, zeros, plus, space, other;
    int width, precision; /* precision: negative when there is none */
    int size;             /* bytes of an integer */
} Form;

typedef struct Out {
    Taker take;
    void *where;
    int count;
} Out;

static void put(Out *out, char sign)
{
    out->take(out->where, sign);
    out->count++;
}

static void fill(Out *out, char sign, int count)
{
    while (count-- > 0)
        put(out, sign);
}

static void put_text(Out *out, const Form *form, const char *text)
{
    if (!text)
        text = "(null)";
    int length = form->precision < 0 ? (int)strlen(text) : (int)strnlen(text, (size_t)form->precision);
    if (!form->left)
        fill(out, ' ', form->width - length);
    for (int at = 0; at < length; at++)
        put(out, text[at]);
    if (form->left)
        fill(out, ' ', form->width - length);
}

static void put_number(Out *out, const Form *form, uint64_t number, unsigned int base, bool capitals, const char *sign)
{
    /* 22 octal digits are the most. */
    char digits[24];
    int count = 0;
    for (uint64_t rest = number; rest; rest /= base)
        digits[count++] = (capitals ? "0123456789ABCDEF" : "0123456789abcdef")[rest % base];
    int zeros = (form->precision < 0 ? 1 : form->precision) - count;
    if (form->other && base == 8 && zeros < 1)
        zeros = 1;
    if (zeros < 0)
        zeros = 0;
    int length = (int)strlen(sign) + zeros + count;
    if (form->zeros && !form->left && form->precision < 0 && form->width > length) {
        zeros += form->width - length;
        length = form->width;
    }
    if (!form->left)
        fill(out, ' ', form->width - length);
    while (*sign)
        put(out, *sign++);
    fill(out, '0', zeros);
    while (count)
        put(out, digits[--count]);
    if (form->left)
        fill(out, ' ', form->width - length);
}

static int read_number(const char **format)
{
    int number = 0;
    /* Beyond a million is not believed, and would not fit an int. */
    for (; **format >= '0' && **format <= '9'; ++*format)
        if (number < 100000)
            number = number * 10 + **format - '0';
    return number;
}

static const char *read_flags(Form *form, const char *format)
{
    for (;; format++)
        switch (*format) {
        case '-': form->left = true; break;
        case '0': form->zeros = true; break;
        case '+': form->plus = true; break;
        case ' ': form->space = true; break;
        case '#': form->other = true; break;
        default: return format;
        }
}

static const char *read_size(Form *form, const char *format)
{
    form->size = sizeof(int);
    switch (*format) {
    case 'h':
        form->size = format[1] == 'h' ? 1 : 2;
        return format + (format[1] == 'h' ? 2 : 1);
    case 'l':
        form->size = 8;
        return format + (format[1] == 'l' ? 2 : 1);
    case 'z': case 't': case 'j':
        form->size = 8;
        return format + 1;
    default:
        return format;
    }
}

static int64_t narrow_signed(const Form *form, int64_t number)
{
    return form->size == 1 ? (int8_t)number : form->size == 2 ? (int16_t)number : number;
}

static uint64_t narrow(const Form *form, uint64_t number)
{
    return form->size == 1 ? (uint8_t)number : form->size == 2 ? (uint16_t)number : number;
}

int chorus_format(Taker take, void *where, const char *format, va_list arguments)
{
    Out out = { take, where, 0 };
    va_list rest;
    va_copy(rest, arguments);
    for (; *format; format++) {
        if (*format != '%') {
            put(&out, *format);
            continue;
        }
        const char *begin = format++;
        Form form = { .precision = -1 };
        format = read_flags(&form, format);
        if (*format == '*') {
            form.width = va_arg(rest, int);
            form.left |= form.width < 0;
            form.width = form.width < 0 ? -form.width : form.width;
            format++;
        } else {
            form.width = read_number(&format);
        }
        if (*format == '.') {
            format++;
            if (*format == '*') {
                form.precision = va_arg(rest, int);
                format++;
            } else {
                form.precision = read_number(&format);
            }
        }
        format = read_size(&form, format);
        switch (*format) {
        case 'd': case 'i': {
            int64_t number = narrow_signed(&form, form.size == 8 ? va_arg(rest, long) : va_arg(rest, int));
            uint64_t amount = number < 0 ? -(uint64_t)number : (uint64_t)number;
            put_number(&out, &form, amount, 10, false, number < 0 ? "-" : form.plus ? "+" : form.space ? " " : "");
            break;
        }
        case 'u': case 'o': case 'x': case 'X': {
            uint64_t number = narrow(&form, form.size == 8 ? va_arg(rest, unsigned long) : va_arg(rest, unsigned int));
            unsigned int base = *format == 'u' ? 10 : *format == 'o' ? 8 : 16;
            const char *sign = form.other && number && base == 16 ? (*format == 'x' ? "0x" : "0X") : "";
            put_number(&out, &form, number, base, *format == 'X', sign);
            break;
        }
        case 'p':
            put_number(&out, &form, (uintptr_t)va_arg(rest, void *), 16, false, "0x");
            break;
        case 'c': {
            char text[2] = { (char)va_arg(rest, int), 0 };
            form.precision = -1;
            if (text[0])
                put_text(&out, &form, text);
            else
                put(&out, 0);
            break;
        }
        case 's':
            put_text(&out, &form, va_arg(rest, const char *));
            break;
        case '%':
            put(&out, '%');
            break;
        default:
            /* No conversion of ours: shown as it stands. */
            while (begin < format)
                put(&out, *begin++);
            if (!*format)
                format--;
            else
                put(&out, *format);
        }
    }
    va_end(rest);
    return out.count;
}

typedef struct Room {
    char *text;
    size_t size, used;
} Room;

static void take_into(void *where, char sign)
{
    Room *room = where;
    if (room->used + 1 < room->size)
        room->text[room->used++] = sign;
}

int vsnprintf(char *text, size_t size, const char *format, va_list arguments)
{
    Room room = { text, size, 0 };
    int count = chorus_format(take_into, &room, format, arguments);
    if (size)
        text[room.used] = 0;
    return count;
}

int snprintf(char *text, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int count = vsnprintf(text, size, format, arguments);
    va_end(arguments);
    return count;
}
