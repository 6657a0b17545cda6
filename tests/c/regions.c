/* Memory: regions made, looked at, protected, freed; a copy that is deferred; and malloc over them. */
#include <libchorus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void regions(void)
{
    KnRgnDesc region = { .size = 8 * PAGE_SIZE, .options = K_WRITABLE | K_FILLZERO | K_ANYWHERE };
    int result = rgnAllocate(K_MYACTOR, &region);
    unsigned char *bytes = (unsigned char *)region.start_addr;
    unsigned long sum = 0;
    for (unsigned long at = 0; at < region.size; at++)
        sum += bytes[at];
    printf("region: %s, of zeros: %d\n", chorus_error(result), sum == 0);
    memset(bytes, 7, region.size);

    KnRgnStat stat;
    result = rgnStat(K_MYACTOR, &region, &stat, sizeof stat);
    printf("its size: %s, %lu pages, writable: %d\n", chorus_error(result), stat.size / PAGE_SIZE, (stat.options & K_WRITABLE) != 0);

    /* A copy: from then on each has its own. */
    KnRgnDesc copy = { .size = region.size, .options = K_WRITABLE | K_ANYWHERE };
    result = rgnInitFromActor(K_MYACTOR, &copy, K_MYACTOR, &region);
    unsigned char *other = (unsigned char *)copy.start_addr;
    bytes[0] = 1;
    other[PAGE_SIZE] = 2;
    printf("copy: %s, %d %d and %d %d\n", chorus_error(result), bytes[0], bytes[PAGE_SIZE], other[0], other[PAGE_SIZE]);

    KnRgnDesc first = { .start_addr = region.start_addr, .size = PAGE_SIZE };
    result = rgnSetProtect(K_MYACTOR, &first);
    printf("read only: %s, still %d\n", chorus_error(result), bytes[0]);
    printf("freed: %s", chorus_error(rgnFree(K_MYACTOR, &region)));
    printf(" and %s\n", chorus_error(rgnFree(K_MYACTOR, &copy)));
    /* What is not the caller's is refused, not followed. */
    printf("a message to nowhere: %s\n", chorus_error(portUi((KnUniqueId *)region.start_addr, K_DEFAULTPORT)));
}

static void memory(void)
{
    enum { COUNT = 400 };
    static unsigned char *blocks[COUNT];
    unsigned int seed = 1;
    int wrong = 0;
    static unsigned int sizes[COUNT];
    for (int round = 0; round < 3000; round++) {
        seed = seed * 1103515245 + 12345;
        int at = (int)(seed >> 16) % COUNT;
        if (blocks[at]) {
            for (unsigned int byte = 0; byte < sizes[at]; byte += 61)
                wrong += blocks[at][byte] != (unsigned char)at;
            free(blocks[at]);
            blocks[at] = 0;
            continue;
        }
        seed = seed * 1103515245 + 12345;
        sizes[at] = seed >> 16 & (round % 100 ? 2047 : 0x1ffff);
        blocks[at] = malloc(sizes[at]);
        if (!blocks[at] || (unsigned long)blocks[at] % 16)
            wrong++;
        else
            memset(blocks[at], at, sizes[at]);
    }
    for (int at = 0; at < COUNT; at++)
        free(blocks[at]);
    printf("malloc: %d wrong\n", wrong);
    char *text = malloc(4);
    strcpy(text, "abc");
    text = realloc(text, 100000);
    text = realloc(text, 10);
    int *numbers = calloc(1000, sizeof *numbers);
    int sum = 0;
    for (int at = 0; at < 1000; at++)
        sum |= numbers[at];
    printf("realloc: %s, calloc: %d\n", text, sum);
    free(text);
    free(numbers);
    volatile unsigned long much = 1ul << 40, many = 1ul << 33;
    printf("too much: %d %d\n", malloc(much) != 0, calloc(many, many) != 0);
}

int main(void)
{
    regions();
    memory();
    return 0;
}
