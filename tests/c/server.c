/* A server and its client, two threads of an actor that share nothing but a port: calls with annex and body, asynchronous messages, what goes wrong. */
#include <libchorus.h>
#include <stdio.h>
#include <string.h>

/* What the client asks, in the annex. The body has the numbers, or the text. */
enum { SUM = 1, REVERSE = 2, NOTE = 3, END = 4 };
typedef struct Request {
    int what;
    unsigned int count;
} Request;
typedef struct Reply {
    int result;
    unsigned int notes;
    long sum;
} Reply;

static KnUniqueId server;
static int server_port;
static KnSem ended;

static int treat(const ChorusMessage *message, ChorusMessage *answer, void *cookie)
{
    static char text[64];
    unsigned int *notes = cookie;
    const Request *request = CHORUS_ANNEX(const Request, message);
    Reply *reply = CHORUS_ANNEX(Reply, answer);
    reply->notes = *notes;
    switch (request->what) {
    case SUM:
        if (message->size != request->count * sizeof(int)) {
            reply->result = K_EINVAL;
            break;
        }
        for (unsigned int at = 0; at < request->count; at++)
            reply->sum += ((const int *)message->body)[at];
        break;
    case REVERSE:
        for (unsigned int at = 0; at < message->size; at++)
            text[at] = ((const char *)message->body)[message->size - 1 - at];
        answer->body = text;
        answer->size = message->size;
        break;
    case NOTE:
        ++*notes;
        break;
    case END:
        return 1;
    default:
        reply->result = K_EINVAL;
    }
    return CHORUS_SERVE;
}

static void serve(void *unused)
{
    (void)unused;
    static char body[4096];
    unsigned int notes = 0;
    ChorusMessage request = { .body = body, .room = sizeof body };
    int end = chorus_serve(server_port, &request, treat, &notes);
    printf("server: ends with %d\n", end);
    semV(&ended);
}

int main(int argc, char **argv)
{
    printf("%s: %d argument\n", argv[0], argc);
    semInit(&ended, 0);
    server_port = portCreate(K_MYACTOR, &server);
    if (server_port < 0 || chorus_thread(serve, 0, 0) < 0)
        return 1;

    int numbers[100];
    for (int at = 0; at < 100; at++)
        numbers[at] = at - 20;
    char room[64] = { 0 };
    ChorusMessage request = { .body = numbers, .size = sizeof numbers }, reply = { .body = room, .room = sizeof room };
    Request *asked = CHORUS_ANNEX(Request, &request);
    Reply *answer = CHORUS_ANNEX(Reply, &reply);

    *asked = (Request){ SUM, 100 };
    int result = chorus_call(&server, &request, &reply, 5000);
    printf("sum: %s, %ld\n", chorus_error(result), answer->sum);

    asked->count = 99;
    result = chorus_call(&server, &request, &reply, 5000);
    printf("wrong count: %s, answered %s\n", chorus_error(result), chorus_error(answer->result));

    asked->what = REVERSE;
    request.body = "locotorp";
    request.size = 8;
    result = chorus_call(&server, &request, &reply, 5000);
    printf("reversed: %s, %u bytes, \"%.*s\"\n", chorus_error(result), reply.size, (int)reply.size, room);

    /* Nobody waits for an answer; the order is kept. */
    asked->what = NOTE;
    request.size = 0;
    for (int at = 0; at < 5; at++)
        result |= chorus_send(&server, &request);
    asked->what = 0;
    result |= chorus_call(&server, &request, &reply, 5000);
    printf("notes: %s, %u\n", chorus_error(result), answer->notes);

    asked->what = END;
    printf("end: %s\n", chorus_error(chorus_call(&server, &request, 0, 5000)));
    semP(&ended, 0);

    /* The port is there, and nobody serves it; then it is gone. */
    result = chorus_call(&server, &request, &reply, 20);
    printf("nobody serves: %s\n", chorus_error(result));
    portDelete(K_MYACTOR, server_port);
    result = chorus_call(&server, &request, &reply, 5000);
    printf("no port: %s\n", chorus_error(result));
    return 0;
}
