/* Standard output and standard error: lines are put together in a buffer each, so that every line is one message. */
#include "format.h"
#include "libchorus.h"

#include <stdio.h>

#define ROOM 1024

struct ChorusStream {
    KnMutex mutex;
    unsigned int stream, used;
    char bytes[ROOM];
};

static struct ChorusStream out = { .stream = STREAM_OUT }, err = { .stream = STREAM_ERR };
FILE *const stdout = &out, *const stderr = &err;

static void send(FILE *stream)
{
    if (stream->used)
        chorus_write(stream->stream, stream->bytes, stream->used);
    stream->used = 0;
}

static void take(void *where, char sign)
{
    FILE *stream = where;
    stream->bytes[stream->used++] = sign;
    if (sign == '\n' || stream->used == ROOM)
        send(stream);
}

int fflush(FILE *stream)
{
    mutexGet(&stream->mutex);
    send(stream);
    mutexRel(&stream->mutex);
    return 0;
}

int vfprintf(FILE *stream, const char *format, va_list arguments)
{
    mutexGet(&stream->mutex);
    int count = chorus_format(take, stream, format, arguments);
    mutexRel(&stream->mutex);
    return count;
}

int vprintf(const char *format, va_list arguments)
{
    return vfprintf(stdout, format, arguments);
}

int fprintf(FILE *stream, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int count = vfprintf(stream, format, arguments);
    va_end(arguments);
    return count;
}

int printf(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int count = vfprintf(stdout, format, arguments);
    va_end(arguments);
    return count;
}

int fputs(const char *text, FILE *stream)
{
    return fprintf(stream, "%s", text);
}

int puts(const char *text)
{
    return printf("%s\n", text);
}

int putchar(int sign)
{
    printf("%c", sign);
    return (unsigned char)sign;
}
