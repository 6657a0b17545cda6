/* An actor in C: says where it runs, and sends itself a message. Its makefile says how it is built. */
#define CHORUS_ACTOR
#include "chorus.h"

static unsigned int put(char *line, unsigned int at, const char *text)
{
    while (*text)
        line[at++] = *text++;
    return at;
}

static unsigned int put_number(char *line, unsigned int at, unsigned int number)
{
    char digits[10];
    unsigned int count = 0;
    do
        digits[count++] = (char)('0' + number % 10);
    while (number /= 10);
    while (count)
        line[at++] = digits[--count];
    return at;
}

int chorus_main(void)
{
    /* A message to the own default port: sent, received, looked at. */
    static const char sent[] = "hello from C";
    char got[32] = { 0 };
    KnMsgDesc out = { .body_addr = (unsigned long)sent, .body_size = sizeof sent };
    KnMsgDesc in = { .body_addr = (unsigned long)got, .body_size = sizeof got };
    KnIpcDest own = { 0 };
    int port = K_DEFAULTPORT;
    int result = portUi(&own.target, K_DEFAULTPORT);
    if (result >= 0)
        result = ipcSend(&out, K_DEFAULTPORT, &own);
    if (result >= 0)
        result = ipcReceive(&in, &port, 1000);
    if (result < 0)
        return -result;

    char line[80];
    unsigned int at = put(line, 0, got);
    at = put(line, at, " on site ");
    at = put_number(line, at, chorus_start->site);
    at = put(line, at, " of ");
    at = put_number(line, at, chorus_start->sites);
    at = put(line, at, "\n");
    return chorus_write(STREAM_OUT, line, at) < 0;
}
