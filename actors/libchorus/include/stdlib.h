/* Memory, numbers, the end of the actor. */
#ifndef LIBCHORUS_STDLIB_H
#define LIBCHORUS_STDLIB_H

#include <stddef.h>

#define EXIT_SUCCESS 0
#define EXIT_FAILURE 1

/* Memory of the actor, aligned to 16 bytes; null when there is none. Any thread may give it back. */
void *malloc(size_t size) __attribute__((malloc, alloc_size(1)));
void *calloc(size_t count, size_t size) __attribute__((malloc, alloc_size(1, 2)));
void *realloc(void *memory, size_t size) __attribute__((alloc_size(2)));
void free(void *memory);

/* Ends the actor with this status, after what was printed. */
void exit(int status) __attribute__((noreturn));
/* Ends it with status 134, as a shell shows an abort. */
void abort(void) __attribute__((noreturn));

int abs(int number);
int atoi(const char *text);
long strtol(const char *text, char **end, int base);
unsigned long strtoul(const char *text, char **end, int base);

#endif
