/* Memory by classes of size: two a power of two, so that at most a third of a block is lost, and no block is ever split or joined.
 *
 * Blocks up to 64 KiB come from regions of 256 KiB and go back to the list of their class; larger ones are regions of their own, and are given back to the
 * Nucleus. A block's header has its class, so that one that is freed twice, or was never given, is noticed.
 */
#include "libchorus.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLASSES 23
#define STEP (256ul << 10)
#define LARGE CLASSES
#define USED 0x43686f7275730000ul
#define FREE 0x6672656500000000ul

typedef struct Block {
    uint64_t state; /* USED or FREE, and the class */
    union {
        struct Block *next; /* of a free one */
        size_t size;        /* of a large one: bytes of its region */
    };
} Block;

static KnMutex mutex;
static Block *lists[CLASSES];
static unsigned char *fresh, *fresh_end;

/* Bytes of a block, header included: 32, 48, 64, 96, 128, … 32 KiB, 48 KiB, 64 KiB. */
static size_t size_of(unsigned int class)
{
    return class & 1 ? 48ul << class / 2 : 32ul << class / 2;
}

static unsigned int class_for(size_t size)
{
    unsigned int class = 0;
    while (class < CLASSES && size_of(class) < size)
        class++;
    return class;
}

static void *region(size_t size)
{
    KnRgnDesc desc = { .size = size, .options = K_WRITABLE | K_FILLZERO | K_ANYWHERE };
    return rgnAllocate(K_MYACTOR, &desc) < 0 ? 0 : (void *)desc.start_addr;
}

/* The first bytes of what is left, or of a new region; the rest of the old one is lost, less than a block. */
static Block *take_fresh(size_t size)
{
    if ((size_t)(fresh_end - fresh) < size) {
        unsigned char *start = region(STEP);
        if (!start)
            return 0;
        fresh = start;
        fresh_end = start + STEP;
    }
    Block *block = (void *)fresh;
    fresh += size;
    return block;
}

static void *malloc_large(size_t size)
{
    size = (size + sizeof(Block) + PAGE_SIZE - 1) & ~(size_t)(PAGE_SIZE - 1);
    Block *block = region(size);
    if (!block)
        return 0;
    block->state = USED | LARGE;
    block->size = size;
    return block + 1;
}

void *malloc(size_t size)
{
    if (size > (size_t)1 << 46)
        return 0;
    unsigned int class = class_for(size + sizeof(Block));
    if (class == LARGE)
        return malloc_large(size);
    mutexGet(&mutex);
    Block *block = lists[class];
    if (block)
        lists[class] = block->next;
    else
        block = take_fresh(size_of(class));
    if (block)
        block->state = USED | class;
    mutexRel(&mutex);
    return block ? block + 1 : 0;
}

/* The block of some memory. Memory that is not ours ends the actor. */
static Block *block_of(void *memory)
{
    Block *block = (Block *)memory - 1;
    if ((block->state & ~0xfful) != USED || (block->state & 0xff) > LARGE) {
        fprintf(stderr, "free: %p is not memory of malloc, or was freed before\n", memory);
        abort();
    }
    return block;
}

void free(void *memory)
{
    if (!memory)
        return;
    Block *block = block_of(memory);
    unsigned int class = block->state & 0xff;
    if (class == LARGE) {
        KnRgnDesc desc = { .start_addr = (unsigned long)block, .size = block->size };
        rgnFree(K_MYACTOR, &desc);
        return;
    }
    mutexGet(&mutex);
    block->state = FREE;
    block->next = lists[class];
    lists[class] = block;
    mutexRel(&mutex);
}

void *calloc(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return 0;
    void *memory = malloc(bytes);
    return memory ? memset(memory, 0, bytes) : 0;
}

void *realloc(void *memory, size_t size)
{
    if (!memory)
        return malloc(size);
    Block *block = block_of(memory);
    unsigned int class = block->state & 0xff;
    size_t room = (class == LARGE ? block->size : size_of(class)) - sizeof(Block);
    if (size <= room && size > room / 3)
        return memory;
    void *other = malloc(size);
    if (other) {
        memcpy(other, memory, size < room ? size : room);
        free(memory);
    }
    return other;
}
