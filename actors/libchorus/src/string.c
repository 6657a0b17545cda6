/* Bytes and strings. `memcpy` and `memset` come with the entry (chorus.h). */
#include <stdlib.h>
#include <string.h>

void *memmove(void *to, const void *from, size_t size)
{
    unsigned char *target = to;
    const unsigned char *source = from;
    if (target <= source || target >= source + size)
        return memcpy(to, from, size);
    while (size--)
        target[size] = source[size];
    return to;
}

int memcmp(const void *one, const void *other, size_t size)
{
    const unsigned char *a = one, *b = other;
    for (size_t at = 0; at < size; at++)
        if (a[at] != b[at])
            return a[at] - b[at];
    return 0;
}

void *memchr(const void *bytes, int byte, size_t size)
{
    const unsigned char *text = bytes;
    for (size_t at = 0; at < size; at++)
        if (text[at] == (unsigned char)byte)
            return (void *)(text + at);
    return 0;
}

size_t strnlen(const char *text, size_t most)
{
    size_t length = 0;
    while (length < most && text[length])
        length++;
    return length;
}

size_t strlen(const char *text)
{
    return strnlen(text, (size_t)-1);
}

int strncmp(const char *one, const char *other, size_t most)
{
    for (size_t at = 0; at < most; at++)
        if (one[at] != other[at] || !one[at])
            return (unsigned char)one[at] - (unsigned char)other[at];
    return 0;
}

int strcmp(const char *one, const char *other)
{
    return strncmp(one, other, (size_t)-1);
}

char *strcpy(char *to, const char *from)
{
    return memcpy(to, from, strlen(from) + 1);
}

char *strncpy(char *to, const char *from, size_t size)
{
    size_t length = strnlen(from, size);
    memcpy(to, from, length);
    memset(to + length, 0, size - length);
    return to;
}

char *strcat(char *to, const char *from)
{
    strcpy(to + strlen(to), from);
    return to;
}

char *strchr(const char *text, int sign)
{
    return memchr(text, sign, strlen(text) + 1);
}

char *strrchr(const char *text, int sign)
{
    for (size_t at = strlen(text) + 1; at--;)
        if (text[at] == (char)sign)
            return (char *)text + at;
    return 0;
}

char *strstr(const char *text, const char *part)
{
    size_t length = strlen(part);
    for (; strncmp(text, part, length); text++)
        if (!*text)
            return 0;
    return (char *)text;
}
