/* Threads, time, names of errors. */
#include "libchorus.h"

#include <stdlib.h>

#define STACK (64ul << 10)

typedef struct Begin {
    void (*routine)(void *);
    void *argument;
} Begin;

__attribute__((used, noreturn)) static void run(unsigned long argument)
{
    Begin begin = *(Begin *)argument;
    if (chorus_start->kind == K_SUPACTOR)
        free((void *)argument);
    begin.routine(begin.argument);
    for (;;)
        threadDelete(K_MYACTOR, K_MYSELF);
}

/* The first argument register holds what threadCreate got as the stack's address. */
void chorus_thread_begin(void);
__asm__(".text\n"
        ".globl chorus_thread_begin\n"
        "chorus_thread_begin:\n"
        "xor %ebp, %ebp\n"
        "and $-16, %rsp\n"
        "call run\n"
        "ud2\n");

int chorus_thread(void (*routine)(void *), void *argument, int priority)
{
    int supervisor = chorus_start->kind == K_SUPACTOR;
    KnRgnDesc stack = { .size = STACK, .options = K_WRITABLE | K_FILLZERO | K_ANYWHERE };
    Begin *begin;
    if (supervisor) {
        begin = malloc(sizeof *begin);
        if (!begin)
            return K_ENOMEM;
    } else {
        int result = rgnAllocate(K_MYACTOR, &stack);
        if (result < 0)
            return result;
        /* At the top of the stack, of which the thread uses what is below. */
        begin = (Begin *)(stack.start_addr + stack.size) - 1;
    }
    *begin = (Begin){ routine, argument };
    int made = threadCreate(K_MYACTOR, supervisor ? K_SUPTHREAD : K_USERTHREAD, K_ACTIVE, priority,
                            (unsigned long)chorus_thread_begin, (unsigned long)begin);
    if (made < 0) {
        if (supervisor)
            free(begin);
        else
            rgnFree(K_MYACTOR, &stack);
    }
    return made;
}

KnTimeVal chorus_interval(unsigned int milliseconds)
{
    return (KnTimeVal){ .tm_sec = milliseconds / 1000, .tm_nsec = milliseconds % 1000 * 1000000 };
}

int chorus_sleep(unsigned int milliseconds)
{
    KnTimeVal limit = chorus_interval(milliseconds);
    int result = threadDelay(&limit);
    return result == K_ETIMEOUT ? K_OK : result;
}

const char *chorus_error(int error)
{
    static const char *const names[] = {
        "K_OK", "K_EINVAL", "K_EUNKNOWN", "K_EFAULT", "K_ENOPORT", "K_ETIMEOUT", "K_EABORT", "K_EFULL", "K_ETOOMUCH", "K_EBUSY", "K_ENOMEM",
        "K_EPRIV", "K_ELINKFAILURE", "K_EOVERLAP", "K_EADDR", "K_EROUND", "K_ESIZE", "K_EPROT", "K_ESPACE", "K_EOFFSET", "K_EMAPPER", "K_ENOTIMP",
    };
    return error >= 0 ? names[0] : -error < (int)(sizeof names / sizeof *names) ? names[-error] : "an unknown error";
}
