/* Entry and end of the actor: the loader's arguments become those of `main`. */
#define CHORUS_ACTOR
#include "libchorus.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv);

/* More arguments than this are left out: the loader has room for 3,072 bytes of them. */
#define MOST 128

int chorus_main(void)
{
    static char *argv[MOST + 1];
    char *text = (char *)chorus_start->args;
    int argc = 0;
    for (unsigned long at = 0; at < chorus_start->args_size && argc < MOST; at++)
        if (at == 0 || !text[at - 1])
            argv[argc++] = text + at;
    exit(main(argc, argv));
}

void exit(int status)
{
    fflush(stdout);
    fflush(stderr);
    for (;;)
        actorExit(status);
}

void abort(void)
{
    exit(134);
}

void chorus_assertion(const char *condition, const char *file, int line)
{
    fprintf(stderr, "%s:%d: assertion does not hold: %s\n", file, line, condition);
    abort();
}
