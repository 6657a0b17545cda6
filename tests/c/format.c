/* printf's formats, strings and numbers, held against what ISO C says. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
    char text[64];
    printf("[%d] [%5d] [%-5d] [%05d] [%+d] [% d] [%.3d] [%8.3d]\n", 42, 42, 42, -42, 42, 42, 7, -7);
    printf("[%u] [%x] [%X] [%#x] [%#o] [%o] [%#X]\n", 4000000000u, 48879u, 48879u, 255u, 8u, 64u, 0u);
    printf("[%ld] [%lu] [%lx] [%zu] [%hhd] [%hu]\n", -9223372036854775807l - 1, 18446744073709551615ul, 0x123456789abcdeful, sizeof text, 300 - 256, (unsigned short)65537u);
    printf("[%s] [%8s] [%-8s] [%.2s] [%*s] [%-*.*s]\n", "abc", "abc", "abc", "abc", 5, "x", 4, 1, "yz");
    printf("[%c] [%3c] [%-3c] [%%] [%p] [%s]\n", 'a', 'b', 'c', (void *)0x1234, (char *)(text - text));
    int length = snprintf(text, 8, "%s", "0123456789");
    printf("%d %s\n", length, text);
    printf("%d\n", snprintf(0, 0, "%d-%d", 12, 345));
    char *end;
    printf("%ld %ld %lu %d\n", strtol("-0x1fz", &end, 0), strtol("99999999999999999999", 0, 10), strtoul("777", 0, 8), atoi("  12a"));
    printf("%s %d %d\n", end, strcmp("abc", "abd") < 0, strncmp("abc", "abd", 2));
    printf("%s %s %s\n", strchr("a/b/c", '/'), strrchr("a/b/c", '/'), strstr("one two", "two"));
    memset(text, 0, sizeof text);
    strcat(strcpy(text, "abcdef"), "gh");
    memmove(text + 2, text, 6);
    printf("%s %d\n", text, memcmp(text, "abab", 4));
    memmove(text, text + 2, 6);
    printf("%s\n", text);
    printf("one line of ");
    printf("two calls\n");
    assert(strlen(text) == 8);
    puts("end");
    exit(0);
}
