/* Formatting, wherever the text goes. */
#include <stdarg.h>

/* Takes the next sign of a text. */
typedef void (*Taker)(void *where, char sign);

/* Formats, and returns the number of signs. */
int chorus_format(Taker take, void *where, const char *format, va_list arguments);
