/* Text for people: what `printf` says goes to the actor's standard output (`chorus logs`), a line at a time; without a console service to the site's log. */
#ifndef LIBCHORUS_STDIO_H
#define LIBCHORUS_STDIO_H

#include <stdarg.h>
#include <stddef.h>

typedef struct ChorusStream FILE;
extern FILE *const stdout, *const stderr;
#define EOF (-1)

/* Conversions: d i u o x X c s p %, with the flags - 0 + space #, width, precision, and the sizes hh h l ll z t j. No floating point: an actor in C has no FPU. */
int printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
int fprintf(FILE *stream, const char *format, ...) __attribute__((format(printf, 2, 3)));
int vprintf(const char *format, va_list arguments) __attribute__((format(printf, 1, 0)));
int vfprintf(FILE *stream, const char *format, va_list arguments) __attribute__((format(printf, 2, 0)));
/* Returns the length that the whole text has; at most `size` bytes are written, the last of them zero. */
int snprintf(char *text, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
int vsnprintf(char *text, size_t size, const char *format, va_list arguments) __attribute__((format(printf, 3, 0)));
int puts(const char *text);
int putchar(int sign);
int fputs(const char *text, FILE *stream);
/* Sends what there is of a line. */
int fflush(FILE *stream);

#endif
