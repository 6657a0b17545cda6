/* Servers that are replaced while their clients run (docs/succession.md): the same protocol as the runtime's in Rust, so that one may replace the other. */
#include "libchorus.h"
#include "message.h"

#include <stdlib.h>
#include <string.h>

/* Services of abi/src/services.rs. */
enum { SITE_SUCCEED = 34, SITE_HAND = 35, SERVER_REPLACE = 50 };

/* How long the predecessor may take for the request that it is at, in milliseconds. */
#define LIMIT 30000

static int ask(const KnUniqueId *to, SiteRequest request, ChorusMessage *answer)
{
    ChorusMessage message = { .body = 0 };
    *CHORUS_ANNEX(SiteRequest, &message) = request;
    int result = chorus_call(to, &message, answer, LIMIT);
    return result < 0 ? result : CHORUS_ANNEX(Answer, answer)->result;
}

static int ask_manager(SiteRequest request, ChorusMessage *answer)
{
    KnUniqueId manager = uiPort(chorus_start->site, STAMP_SITE_MANAGER);
    return ask(&manager, request, answer);
}

/* Takes the place of another instance: its port, whose LI is the result, and its state. */
static int take_place(const ChorusServer *server, const KnUniqueId *of)
{
    ChorusMessage answer = { .body = malloc(K_CMSGSIZEMAX), .room = K_CMSGSIZEMAX };
    if (!answer.body)
        return K_ENOMEM;
    int result = ask(of, (SiteRequest){ .service = SERVER_REPLACE }, &answer);
    if (result >= 0)
        result = server->succeed(answer.body, answer.size);
    free(answer.body);
    return result < 0 ? result : (int)CHORUS_ANNEX(Answer, &answer)->value;
}

/* Gives the place to the actor that asks in the current message. K_OK: it is that one's now; an error: it stays. */
static int give_place(const ChorusServer *server, int port)
{
    ChorusMessage handed = { .body = 0 }, answer = { .body = 0 };
    const void *state = 0;
    unsigned int size = server->state(&state);
    KnMsgHead head;
    KnUniqueId ui;
    int result = size > K_CMSGSIZEMAX ? K_ETOOMUCH : portUi(&ui, port);
    if (result >= 0)
        result = ipcSysInfo(&head);
    if (result >= 0)
        result = ask_manager((SiteRequest){ SITE_HAND, (unsigned int)port, head.src_port }, &handed);
    Answer *place = CHORUS_ANNEX(Answer, &answer);
    if (result >= 0) {
        *place = *CHORUS_ANNEX(Answer, &handed);
        place->cap.ui = ui;
        answer.body = (void *)state;
        answer.size = size;
        result = K_OK;
    } else {
        place->result = result;
    }
    /* Whoever asked may have gone. */
    chorus_reply(&answer);
    return result;
}

/* The port to serve: a new one, or that of a predecessor. */
static int begin(const ChorusServer *server)
{
    ChorusMessage answer = { .body = 0 };
    int result = ask_manager((SiteRequest){ .service = SITE_SUCCEED }, &answer);
    const KnUniqueId *predecessor = &CHORUS_ANNEX(Answer, &answer)->cap.ui;
    if (result >= 0 && uiValid(predecessor))
        return take_place(server, predecessor);
    /* Without a site manager there is no predecessor. */
    if (result < 0 && result != K_EUNKNOWN)
        return result;
    KnUniqueId ui;
    int port = portCreate(K_MYACTOR, &ui);
    if (port < 0)
        return port;
    result = server->begin(&ui);
    return result < 0 ? result : port;
}

int chorus_serve_in_succession(const ChorusServer *server, ChorusMessage *request)
{
    int port = begin(server);
    int result = port;
    if (result >= 0)
        result = portEnable(K_MYACTOR, K_DEFAULTPORT, 5);
    if (result >= 0)
        result = portEnable(K_MYACTOR, port, 10);
    while (result >= 0) {
        int came = chorus_receive(K_ANYENABLED, request, K_NODELAY_LIMIT);
        if (came == K_EABORT)
            continue;
        if (came < 0)
            return came;
        ChorusMessage reply = { .body = 0 };
        int next = CHORUS_SERVE;
        if (came == port) {
            next = server->treat(request, &reply, server->cookie);
        } else if (CHORUS_ANNEX(const SiteRequest, request)->service == SERVER_REPLACE) {
            if (give_place(server, port) == K_OK)
                return CHORUS_REPLACED;
            continue;
        } else {
            CHORUS_ANNEX(Answer, &reply)->result = K_EINVAL;
        }
        if (chorus_reply_awaited())
            chorus_reply(&reply);
        if (next != CHORUS_SERVE)
            return next;
    }
    return result;
}
