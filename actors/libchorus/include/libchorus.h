/* The library of actors in C: entry, text for people, memory, threads, and loops of messages over the Nucleus' calls (docs/c-programs.md).
 *
 * A program includes this header, defines `main`, and is linked with libchorus.a; it runs as user, system and supervisor actor.
 */
#ifndef LIBCHORUS_H
#define LIBCHORUS_H

#include "chorus.h"

/* A message as one thing: what is sent, or room for what comes and then what came. */
typedef struct ChorusMessage {
    /* The fixed part. Of a received message that had none it is zeros. */
    unsigned char annex[K_CMSGANNEXSIZE] __attribute__((aligned(8)));
    /* The body; null: none. */
    void *body;
    /* Bytes of the body that are sent, or that were sent by whom it came from (more than `room`: the rest is lost). */
    unsigned int size;
    /* Bytes that fit the body, of a message that is to be received. */
    unsigned int room;
} ChorusMessage;

/* The annex of a message as a structure of the program's own. */
#define CHORUS_ANNEX(TYPE, MESSAGE) \
    (__extension__({ \
        _Static_assert(sizeof(TYPE) <= K_CMSGANNEXSIZE, "an annex has 64 bytes"); \
        (TYPE *)(void *)(MESSAGE)->annex; \
    }))

/* `ipcCall` from the default port to a port, or to one member of a group: `reply` may be null. Waits at most `limit` milliseconds (K_NODELAY_LIMIT: for ever).
 * K_OK, or an error of ipcCall. */
int chorus_call(const KnUniqueId *to, const ChorusMessage *request, ChorusMessage *reply, int limit);

/* `ipcSend` from the default port. */
int chorus_send(const KnUniqueId *to, const ChorusMessage *message);

/* `ipcReceive` on a port (K_ANYENABLED: on the enabled ones): its LI, or an error. */
int chorus_receive(int port, ChorusMessage *message, int limit);

/* `ipcReply` to the current message. */
int chorus_reply(const ChorusMessage *message);

/* Treats one message: fills the reply, which begins empty (zeros and no body) and is dropped if nobody waits for it. CHORUS_SERVE: go on. Another number: the
 * reply is sent, and chorus_serve returns that number. */
typedef int (*ChorusHandler)(const ChorusMessage *request, ChorusMessage *reply, void *cookie);
#define CHORUS_SERVE 0

/* Serves a port (K_ANYENABLED: all enabled ones), with one call of the Nucleus a request. `request` has the room for bodies that come. Returns what the handler
 * returned, or an error of ipcReceive. */
int chorus_serve(int port, ChorusMessage *request, ChorusHandler handler, void *cookie);

/* A server that another instance of it can replace while its clients run, in the other ring perhaps (docs/succession.md). */
typedef struct ChorusServer {
    /* The first instance, with a new port: to be made known. An error ends the service. */
    int (*begin)(const KnUniqueId *port);
    /* A later one, with the state of the one before. An error ends the service. */
    int (*succeed)(const void *state, unsigned int size);
    /* All that the next instance must know: where it lies, and its bytes, at most K_CMSGSIZEMAX. */
    unsigned int (*state)(const void **bytes);
    /* Treats one request, with `cookie`. */
    ChorusHandler treat;
    void *cookie;
} ChorusServer;
/* Another instance serves now. */
#define CHORUS_REPLACED 0

/* Serves, from the beginning or in succession of another instance: CHORUS_REPLACED, what the handler returned, or an error. `request` as in chorus_serve. Requests to the
 * actor's default port are not the server's: that is where a successor asks. */
int chorus_serve_in_succession(const ChorusServer *server, ChorusMessage *request);

/* Starts a thread of this actor, with a priority relative to the actor's (0: the same); its LI, or an error. It ends when `routine` returns. The stack of a user thread
 * (64 KiB) is not given back; a supervisor thread has a stack of the Nucleus. */
int chorus_thread(void (*routine)(void *argument), void *argument, int priority);

/* Sleeps so many milliseconds; 0 only lets others run. K_OK, or K_EABORT. */
int chorus_sleep(unsigned int milliseconds);

/* A limit for semP and others. */
KnTimeVal chorus_interval(unsigned int milliseconds);

/* Name of an error: "K_EINVAL"; of another number: "K_OK". */
const char *chorus_error(int error);

#endif
