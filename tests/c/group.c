/* A group of ports in its addressing modes: a message to all, a request to one, to a chosen one, to any but one. */
#include <libchorus.h>
#include <stdio.h>

#define MEMBERS 3

typedef struct Member {
    KnUniqueId port;
    int li;
    int number;
    int got;
} Member;

static Member members[MEMBERS];
static KnSem ended;

static int treat(const ChorusMessage *message, ChorusMessage *reply, void *cookie)
{
    Member *member = cookie;
    member->got++;
    *CHORUS_ANNEX(int, reply) = member->number;
    return *CHORUS_ANNEX(const int, message) == -1;
}

static void serve(void *argument)
{
    Member *member = argument;
    ChorusMessage request = { .body = 0 };
    chorus_serve(member->li, &request, treat, member);
    semV(&ended);
}

int main(void)
{
    KnCap group;
    semInit(&ended, 0);
    if (grpAllocate(K_DYNAMIC, &group, 0) < 0)
        return 1;
    ChorusMessage request = { .body = 0 }, reply = { .body = 0 };
    printf("empty: %s\n", chorus_error(chorus_call(&group.ui, &request, &reply, 1000)));
    for (int at = 0; at < MEMBERS; at++) {
        members[at].number = at + 1;
        members[at].li = portCreate(K_MYACTOR, &members[at].port);
        if (grpPortInsert(&group, &members[at].port) < 0 || chorus_thread(serve, &members[at], 0) < 0)
            return 2;
    }

    /* Functional: each request is one member's. */
    int answered = 0;
    for (int at = 0; at < 10; at++)
        if (chorus_call(&group.ui, &request, &reply, 1000) == K_OK)
            answered += *CHORUS_ANNEX(int, &reply) >= 1 && *CHORUS_ANNEX(int, &reply) <= MEMBERS;
    printf("one of them: %d requests, %d right answers, %d received\n", 10, answered, members[0].got + members[1].got + members[2].got);

    /* By itself a group's name is a broadcast. */
    for (int at = 0; at < MEMBERS; at++)
        members[at].got = 0;
    int sent = chorus_send(&group.ui, &request);
    for (int tries = 0; tries < 200 && !(members[0].got && members[1].got && members[2].got); tries++)
        chorus_sleep(5);
    printf("all: %s, %d %d %d\n", chorus_error(sent), members[0].got, members[1].got, members[2].got);

    /* Selective: the member that a port is; any but it; any but on a site. */
    KnIpcDest dest = { .target = group.ui, .co_target = members[1].port };
    KnMsgDesc out = { 0 }, in = { 0 };
    ipcTarget(&dest.target, K_FUNCUMODE);
    printf("where a port is: %s\n", chorus_error(ipcCall(&out, K_DEFAULTPORT, &dest, &in, 1000)));
    ipcTarget(&dest.target, K_FUNCXMODE);
    int before = members[1].got, others = 0;
    for (int at = 0; at < 5; at++)
        others += ipcCall(&out, K_DEFAULTPORT, &dest, &in, 1000) == K_OK;
    printf("any but this port: %d of 5, by itself %d\n", others, members[1].got - before);
    uiSite(&dest.co_target, chorus_start->site);
    printf("any but on this site: %s\n", chorus_error(ipcCall(&out, K_DEFAULTPORT, &dest, &in, 1000)));
    printf("no mode: %s\n", chorus_error(ipcTarget(&dest.target, 9)));

    /* Whoever left gets no more. */
    grpPortRemove(&group, &members[0].port);
    grpPortRemove(&group, &members[1].port);
    int right = 0;
    for (int at = 0; at < 5; at++)
        right += chorus_call(&group.ui, &request, &reply, 1000) == K_OK && *CHORUS_ANNEX(int, &reply) == 3;
    printf("the last member: %d of 5\n", right);
    *CHORUS_ANNEX(int, &request) = -1;
    for (int at = 0; at < MEMBERS; at++) {
        chorus_call(&members[at].port, &request, 0, 1000);
        semP(&ended, 0);
    }
    return 0;
}
