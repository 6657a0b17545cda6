/* Messages as one thing each, and the loop of a server. */
#include "libchorus.h"
#include "message.h"

#include <string.h>

static KnMsgDesc outgoing(const ChorusMessage *message)
{
    KnMsgDesc desc = { .annex_addr = (unsigned long)message->annex };
    if (message->body && message->size) {
        desc.body_addr = (unsigned long)message->body;
        desc.body_size = message->size;
    }
    return desc;
}

static KnMsgDesc incoming(ChorusMessage *message)
{
    memset(message->annex, 0, sizeof message->annex);
    KnMsgDesc desc = { .flags = K_ABORTABLE, .annex_addr = (unsigned long)message->annex };
    if (message->body && message->room) {
        desc.body_addr = (unsigned long)message->body;
        desc.body_size = message->room;
    }
    return desc;
}

/* A group is asked for one member. */
static KnIpcDest destination(const KnUniqueId *to, int mode)
{
    KnIpcDest dest = { .target = *to };
    if (uiType(to) == K_UIGROUP && mode >= 0)
        ipcTarget(&dest.target, mode);
    return dest;
}

int chorus_call(const KnUniqueId *to, const ChorusMessage *request, ChorusMessage *reply, int limit)
{
    ChorusMessage unwanted;
    if (!reply) {
        unwanted.body = 0;
        reply = &unwanted;
    }
    KnMsgDesc out = outgoing(request), in = incoming(reply);
    KnIpcDest dest = destination(to, K_FUNCMODE);
    int result = ipcCall(&out, K_DEFAULTPORT, &dest, &in, limit);
    if (result < 0)
        return result;
    reply->size = (unsigned int)result;
    return K_OK;
}

int chorus_send(const KnUniqueId *to, const ChorusMessage *message)
{
    KnMsgDesc out = outgoing(message);
    KnIpcDest dest = destination(to, -1);
    return ipcSend(&out, K_DEFAULTPORT, &dest);
}

int chorus_receive(int port, ChorusMessage *message, int limit)
{
    KnMsgDesc in = incoming(message);
    int result = ipcReceive(&in, &port, limit);
    if (result < 0)
        return result;
    message->size = (unsigned int)result;
    return port;
}

int chorus_reply(const ChorusMessage *message)
{
    KnMsgDesc out = outgoing(message);
    return ipcReply(&out);
}

int chorus_reply_awaited(void)
{
    KnMsgHead head;
    return ipcSysInfo(&head) >= 0 && head.flags[0] == 1;
}

int chorus_serve(int port, ChorusMessage *request, ChorusHandler handler, void *cookie)
{
    int came = chorus_receive(port, request, K_NODELAY_LIMIT);
    while (came >= 0) {
        ChorusMessage reply = { .body = 0 };
        int next = handler(request, &reply, cookie);
        int awaited = chorus_reply_awaited();
        if (next != CHORUS_SERVE) {
            if (awaited)
                chorus_reply(&reply);
            return next;
        }
        if (awaited) {
            KnMsgDesc out = outgoing(&reply), in = incoming(request);
            int li = port, result = ipcReplyReceive(&out, &in, &li, K_NODELAY_LIMIT);
            if (result >= 0) {
                request->size = (unsigned int)result;
                continue;
            }
            if (result == K_ENOPORT || result == K_EFAULT || result == K_EABORT)
                return result;
            /* The reply failed, because the client has left or the answer is too large: the server goes on. */
        }
        came = chorus_receive(port, request, K_NODELAY_LIMIT);
    }
    return came;
}
