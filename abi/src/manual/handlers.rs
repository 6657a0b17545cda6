//! Message handlers.

use super::*;

const NOT_SUPERVISOR: &str = "The caller is not a supervisor thread.";

section! {
"svMsgHandler": "Connects a routine to a port."
contract "The routine `void handler(KnMsgDesc *msg, void *cookie)` is called for each message that comes to the port, and for those that are queued already. A request of this site is worked on by the client's own thread, in \
supervisor mode on its kernel stack, with the port's actor as its execution actor: nothing is queued and nobody is switched to. Calls may overlap. `msg` says how long the body is (`body_size`), where the annex is (null: there is none) \
and the number at the port; the message is the thread's current one, so that `ipcGetData` fetches the body and `ipcSysInfo` tells about it. What the thread had as its current message comes back afterwards. \
The reply is what `svMsgHdlReply`, or `ipcReply`, said last; a routine that returns without gives an empty one. `ipcSave` keeps the request beyond the return: its client waits until another thread has restored and answered it. \
A request that the routine replaces by receiving another, or a routine that is lost by an exception or the end of its actor, fails the client with K_ENOPORT: a client cannot tell a handler from a thread. \
Its time limit, an abort and the end of its source port are passed on as an abort to what the routine waits for, and the call ends with that error when the routine returns; a client that is deleted \
finishes the routine first. A `delay` of 0 is enough if nothing is queued. Handlers and other points can be nested, 8 deep: then the call is K_EFULL.\n\n\
Messages that are not requests of this site (asynchronous ones, those of other sites, reports of exceptions, requests to mappers), and requests that find a queue or an owner that is stopped, are queued and taken in order by a thread \
that the Nucleus makes in the owner for each port with a handler; more can help with `svMsgServe`. A request that is made inside a handler does not queue behind others, so that handlers that call each other do not wait for each \
other; such a caller's asynchronous messages may therefore be overtaken by its requests.\n\n\
Threads that wait on the port leave with K_EINVAL, and it leaves the enabled set. Receiving on it, enabling it and `portMigrate` are refused. With a null routine the port is an ordinary one again, with what is queued on it."
waits "when disconnecting, until the last call of the routine has ended; a caller that is inside it does not wait."
arguments {
    actor_cap "The port's actor, a supervisor actor; null is the caller's own.";
    port_li "LI of the port in that actor; `K_DEFAULTPORT`: the default port.";
    handler "The routine, in that actor; null disconnects.";
    stack_size "Not looked at: routines run on kernel stacks.";
    cookie "What the routine gets as second argument.";
}
result "0."
errors {
    Inval "The capability is bad or not of a supervisor actor, the LI names no port of it, the routine is no address of supervisor actors, or none is connected that could be disconnected.";
    Unknown OTHER_SITE;
    Busy "The port has a handler.";
    Priv NOT_SUPERVISOR;
    Fault BAD_POINTER;
    NoMem "The site's table of handlers or of threads is full, or there is no memory for the thread's stack.";
}
assertions [124..=124, 203..=203, 220..=223]
example r"static void answer(KnMsgDesc *msg, void *cookie)
{
    unsigned long annex[K_CMSGANNEXSIZE / sizeof(unsigned long)] = { 0 };
    KnMsgDesc reply = { .annex_addr = (unsigned long)annex };
    annex[0] = *(unsigned long *)cookie + msg->body_size;
    svMsgHdlReply(&reply);
}

static unsigned long offset = 7;

int serve(int port)
{
    return svMsgHandler(K_MYACTOR, port, (unsigned long)answer, 0, (unsigned long)&offset);
}
"
see ["svMsgHdlReply", "svMsgServe", "ipcCall", "lapInvoke"]

"svMsgHdlReply": "Prepares the reply inside a message handler."
contract "The content is taken at once: the buffers may be on the routine's stack. The client gets it when the routine returns; until then it can be prepared anew, and the last one counts. The request stays the current message."
arguments {
    msg "What to answer: `body_addr` and `body_size`, `annex_addr`; a null address leaves that part out.";
}
result "0, also if the client has left meanwhile."
errors {
    Inval "The caller is not in a message handler, the message that it was called for is not its current one any more, or that is no request.";
    TooMuch "The body has more than 65536 bytes.";
    Fault BAD_POINTER;
    Priv NOT_SUPERVISOR;
    NoMem "There is no memory to keep the body in; what was prepared before stays.";
}
assertions [223..=223]
example r"void acknowledge(KnMsgDesc *msg, void *cookie)
{
    KnMsgDesc reply = { .body_addr = (unsigned long)cookie, .body_size = msg->body_size };
    svMsgHdlReply(&reply);
}
"
see ["svMsgHandler", "ipcReply"]

"svMsgServe": "Works for the handler of a port."
contract "Takes the oldest message that is queued on a port with a handler, and calls the handler with it in the caller's thread. The thread that the Nucleus makes for such a port does nothing else; an actor whose \
handlers wait can give it more. Own addition."
waits "for a message, and as the routine does."
arguments {
    port_li "LI of the port in the caller's actor; `K_DEFAULTPORT`: the default port.";
}
result "0: a message was worked on, or another thread took it: call again."
errors {
    Inval "The LI names no port of the caller's actor, or one without a handler; or the handler was disconnected while the caller waited.";
    NoPort "The port was deleted while the caller waited.";
    Priv NOT_SUPERVISOR;
    NoMem "The caller is inside 8 handlers or access points.";
}
assertions [220..=220]
example r"/* A thread that helps until the handler is disconnected. */
void help(int port)
{
    while (svMsgServe(port) == 0)
        ;
}
"
see ["svMsgHandler"]
}
