/* The server of actors/tally in C: a count for each client. Instances in C and in Rust, in either ring, replace each other while their clients run. */
#include <libchorus.h>
#include <stdio.h>
#include <string.h>

enum { SITES = 64, CLIENTS = 3, STAMP = 0x540000 };

static unsigned long counts[SITES * CLIENTS];

static int begin(const KnUniqueId *port)
{
    KnCap group;
    int result = grpAllocate(K_STATUSER, &group, STAMP);
    return result < 0 ? result : grpPortInsert(&group, port);
}

static int succeed(const void *state, unsigned int size)
{
    if (size != sizeof counts)
        return K_ESIZE;
    memcpy(counts, state, sizeof counts);
    return K_OK;
}

static unsigned int state(const void **bytes)
{
    *bytes = counts;
    return sizeof counts;
}

typedef struct Reply {
    unsigned long count;
    int kind;
} Reply;

static int treat(const ChorusMessage *request, ChorusMessage *answer, void *unused)
{
    (void)unused;
    unsigned int client = request->annex[0], site = request->annex[1];
    Reply *reply = CHORUS_ANNEX(Reply, answer);
    if (client < CLIENTS && site < SITES)
        reply->count = ++counts[site * CLIENTS + client];
    reply->kind = chorus_start->kind;
    return CHORUS_SERVE;
}

int main(void)
{
    static const ChorusServer server = { .begin = begin, .succeed = succeed, .state = state, .treat = treat };
    ChorusMessage request = { .body = 0 };
    int end = chorus_serve_in_succession(&server, &request);
    printf("tally: %s\n", end == CHORUS_REPLACED ? "replaced" : chorus_error(end));
    return end < 0;
}
