//! Messages.

use super::*;

const NO_MESSAGE: &str = "The caller has no current message.";

section! {
"ipcSend": "Sends a message without waiting."
contract "The message has an annex of 64 bytes, a body of at most 65536, both, or neither. Its bytes are taken at once: what the sender stores later is not seen. It goes to a port, or to a group in the \
mode that the group's UI carries: all members (the default; each gets it once, and those whose queue is full are passed over), one of them (`K_FUNCMODE`), one on the site that recognises \
`co_target` (`K_FUNCUMODE`), or one that is not `co_target` nor on the site that it names (`K_FUNCXMODE`). In the modes for one, members on the caller's site are preferred, each in its turn. \
With `K_MOVE` in the flags of `msg` the whole pages of the body leave the sender instead of being copied, and show zeros afterwards; if the place of the body and that of the receiver's buffer \
agree about where in a page they are, the receiver gets these very pages. What is left at the ends is copied, and stays. Pages that are locked or were made with `K_NODEMAND` are copied, and zeroed; those of \
segments, and those that the sender may not store into, are copied, and stay. Memory that the sender shares with others leaves them too; copies made before keep what they saw. \
Arrival is not promised, and there is no later notice. Messages of one thread to one port arrive in their order, \
as long as none is lost. The receiver finds the UI of the source port, and the protection identifiers of the sender, in `ipcSysInfo`."
arguments {
    msg "What to send: `body_addr` and `body_size`, `annex_addr`; a null address leaves that part out. `flags` may have `K_MOVE`.";
    src_port "LI of a port of the caller's actor, where answers go; `K_DEFAULTPORT`: the default port.";
    dest "UI of the port or group, and for two of the modes the other UI that they need.";
}
result "0. For a destination on another site that is before the outcome is known; for all members of a group, also when there is none."
errors {
    Inval "`src_port` is no port of the caller's actor; the target is neither a port nor a group; or the mode needs a `co_target` and there is none.";
    TooMuch "The body has more than 65536 bytes.";
    Fault BAD_POINTER;
    Full "The queue of the port is full, or the site's table of messages, or what a user actor may have of it in queues (a quarter), or the queue to the Network Manager.";
    Unknown "There is no such port on this site; no member of the group can be reached in a functional mode; or the target is on another site, and there is no Network Manager.";
    NoMem "There is no memory to keep the body in.";
}
assertions [6..=6, 149..=179, 284..=284]
example r#"/* A line of text to a port, wherever it is. */
int tell(const KnUniqueId *port)
{
    static const char text[] = "hello";
    KnMsgDesc msg = { .body_addr = (unsigned long)text, .body_size = sizeof text };
    KnIpcDest dest = { .target = *port };
    return ipcSend(&msg, K_DEFAULTPORT, &dest);
}
"#
see ["ipcCall", "ipcReceive", "ipcSysInfo", "grpAllocate", "portUi"]

"ipcCall": "Sends a request and waits for its reply."
contract "The request goes to a port, on whichever site, or to one member of a group: not to all of them. It is executed once or not at all, also over links that lose and double frames; and the reply is \
that of this request, never a late one of another. The reply does not become a current message: a server may call others while it holds a request. With a time limit or an \
abort the request is withdrawn if it is still queued, and then never executed; if it is held, its reply is thrown away. A reply longer than the room is cut. With `delay` 0 nothing is sent, unless \
the port is one of this site with a message handler (`svMsgHandler`), which works on it at once."
waits "for the reply, at most `delay` milliseconds. The wait is abortable if `reply` has the flag `K_ABORTABLE`."
arguments {
    request "What to send: `body_addr` and `body_size`, `annex_addr`; a null address leaves that part out. `flags` may have `K_MOVE`, as for `ipcSend`.";
    src_port "LI of a port of the caller's actor, which the server sees as the source; `K_DEFAULTPORT`: the default port.";
    dest "UI of the port or group, and for two of the modes the other UI that they need.";
    reply "Room for the reply: `body_addr` and `body_size`, `annex_addr`; a null address drops that part. `flags` may have `K_ABORTABLE`.";
    delay "Milliseconds to wait at most; negative: without limit.";
}
result "Bytes of the reply's body as the server sent it, which may be more than there was room for."
errors {
    Inval "The target is a group in the mode of all members, or neither a port nor a group; `src_port` is no port of the caller's actor; or the mode needs a `co_target` and there is none.";
    Unknown "The target cannot be found, or no member of the group can be reached. Nothing was executed.";
    Full "The queue of the port is full, or the site's table of messages, or what a user actor may have of it in queues (a quarter), or the queue to the Network Manager; or the port has a message handler, and the caller is inside 8 handlers.";
    TooMuch "The body has more than 65536 bytes.";
    Fault "A pointer leads outside the caller's memory, or to memory that does not allow the access. If the room for the reply went away during the call, the request was executed.";
    Timeout "There was no reply in time.";
    Abort "The thread was aborted, now or before.";
    NoPort "The port was deleted, or the server that held the request ended, received another message or was deleted.";
    LinkFailure "The link to the server's site broke, or that site or the own Network Manager went. Whether the request was executed is not known.";
    NoMem "There is no memory to keep the body in.";
}
assertions [159..=159, 162..=162, 164..=164, 180..=194]
example r"/* Sends a number, gets a number; K_ETIMEOUT after a second. */
int ask(const KnUniqueId *server, unsigned long *number)
{
    unsigned long annex[K_CMSGANNEXSIZE / sizeof(unsigned long)] = { *number };
    KnMsgDesc request = { .annex_addr = (unsigned long)annex };
    KnMsgDesc reply = { .annex_addr = (unsigned long)annex };
    KnIpcDest dest = { .target = *server };
    int result = ipcCall(&request, K_DEFAULTPORT, &dest, &reply, 1000);
    *number = annex[0];
    return result;
}
"
see ["ipcReply", "ipcReceive", "ipcSend", "threadAbort"]

"ipcReceive": "Waits for a message, which becomes the current one."
contract "Receives from the port that `port_li` holds, or with `K_ANYENABLED` from any enabled port of the actor, whose LI is written back: the oldest message of the port with the best priority, or \
the first that comes. Annex and body are copied to the addresses given; a body longer than the room is cut; with a null body address it waits for `ipcGetData`. `seq_num` is the number of the \
message at its port. A message without an annex leaves the annex' place as it was. The message is then the thread's current message, until `ipcReply`, `ipcSave` or the next receive; a \
request that is replaced unanswered is given up: its client gets `K_ENOPORT`. A receive that fails takes nothing from the queue and leaves the current message as it was. Of several threads, the one \
that has waited longest gets the message, and one that waits for this very port before one that waits for any."
waits "for a message, at most `delay` milliseconds. The wait is abortable if `msg` has the flag `K_ABORTABLE`."
arguments {
    msg "Room for the message: `body_addr` and `body_size`, `annex_addr` (64 bytes); a null annex address drops the annex. `seq_num` is written.";
    port_li "LI of a port of the caller's actor, `K_DEFAULTPORT`, or `K_ANYENABLED`, which is replaced by the LI of the port.";
    delay "Milliseconds to wait at most; 0: do not wait; negative: without limit.";
}
result "Bytes of the body as it was sent, which may be more than there was room for."
errors {
    Inval "The LI names no port of the caller's actor, or one with a message handler (also if that was connected while the caller waited).";
    NoPort "The port was deleted while the caller waited.";
    Timeout "There was no message in time.";
    Abort "The thread was aborted, now or before.";
    Fault BAD_POINTER;
}
assertions [112..=112, 195..=205]
example r"/* Serves numbers until something fails. */
int serve(void)
{
    unsigned long annex[K_CMSGANNEXSIZE / sizeof(unsigned long)];
    KnMsgDesc msg = { .annex_addr = (unsigned long)annex };
    int port = K_DEFAULTPORT;
    int result = 0;
    while (result >= 0 && ipcReceive(&msg, &port, K_NODELAY_LIMIT) >= 0) {
        annex[0] += 1;
        result = ipcReply(&msg);
    }
    return result;
}
"
see ["ipcReply", "ipcReplyReceive", "ipcGetData", "ipcSave", "portEnable"]

"ipcGetData": "Copies the body of the current message."
contract "For a receiver that wants to see the annex first: if `ipcReceive` was given a null body address, the body waits for this call. It can be had once; a buffer that is too small cuts it, and the rest \
is lost. When the call fails the body is kept."
arguments {
    msg "Room for the body: `body_addr` and `body_size`.";
}
result "Bytes copied."
errors {
    Inval "The caller has no current message, or there is nothing to fetch: the body was received, was fetched, or is empty.";
    Fault BAD_POINTER;
}
assertions [197..=199]
example r"/* The annex says where the body is to go. */
int fetch(void *place, unsigned int room)
{
    KnMsgDesc msg = { .body_addr = (unsigned long)place, .body_size = room };
    return ipcGetData(&msg);
}
"
see ["ipcReceive", "ipcSysInfo"]

"ipcReply": "Answers the sender of the current message."
contract "The client that waits in `ipcCall` gets the reply and goes on; an asynchronous message is answered by a plain message to its source port, from the caller's default port. Afterwards the thread \
has no current message. A client that has left (time limit, abort, end) gets nothing, and that is no error. When the call fails, the message stays current and can be answered again."
arguments {
    msg "What to answer: `body_addr` and `body_size`, `annex_addr`; a null address leaves that part out.";
}
result "0."
errors {
    Inval NO_MESSAGE;
    TooMuch "The body has more than 65536 bytes.";
    Fault BAD_POINTER;
    Full "Answering an asynchronous message: the queue of its source port is full, or the site's table of messages, or what a user actor may have of it in queues (a quarter), or the queue to the Network Manager.";
    Unknown "Answering an asynchronous message: its source port cannot be found.";
    NoMem "There is no memory to keep the body in.";
}
assertions [102..=102, 180..=180, 206..=208, 219..=219]
example r"/* A reply with nothing in it: the client's ipcCall returns 0. */
int acknowledge(void)
{
    KnMsgDesc nothing = { 0 };
    return ipcReply(&nothing);
}
"
see ["ipcReceive", "ipcReplyReceive", "ipcCall", "ipcSave"]

"ipcReplyReceive": "Answers the current message and waits for the next."
contract "`ipcReply` with the first descriptor, then `ipcReceive` with the other arguments: what the loop of a server does, in one call and one switch. If the reply fails, its error is returned, the message \
stays current, and nothing is received. If the receive fails, the reply has been sent: `ipcSysInfo` finds no current message then."
waits "for a message, at most `delay` milliseconds. The wait is abortable if `msg` has the flag `K_ABORTABLE`."
arguments {
    reply "What to answer: as in `ipcReply`.";
    msg "Room for the next message: as in `ipcReceive`. May be the same descriptor as `reply`.";
    port_li "As in `ipcReceive`.";
    delay "Milliseconds to wait at most; 0: do not wait; negative: without limit.";
}
result "Bytes of the next message's body as it was sent."
errors {
    Inval "The caller has no current message; or the LI names no port of the caller's actor.";
    NoPort "The port was deleted while the caller waited.";
    Timeout "There was no message in time.";
    Abort "The thread was aborted, now or before.";
    Fault BAD_POINTER;
    TooMuch "The body of the reply has more than 65536 bytes.";
    Full "Answering an asynchronous message: as in `ipcReply`.";
    Unknown "Answering an asynchronous message: its source port cannot be found.";
    NoMem "There is no memory to keep the body of the reply in.";
}
assertions [195..=208, 219..=219]
example r"/* Sends every message back to where it came from. */
int echo(void)
{
    static char body[4096];
    KnMsgDesc msg = { .body_addr = (unsigned long)body, .body_size = sizeof body };
    int port = K_DEFAULTPORT;
    int size = ipcReceive(&msg, &port, K_NODELAY_LIMIT);
    while (size >= 0) {
        KnMsgDesc reply = msg;
        reply.body_size = (unsigned int)size < sizeof body ? (unsigned int)size : sizeof body;
        size = ipcReplyReceive(&reply, &msg, &port, K_NODELAY_LIMIT);
    }
    return size;
}
"
see ["ipcReply", "ipcReceive"]

"ipcSave": "Puts the current message aside."
contract "The thread has no current message afterwards, and may receive others; the message, with a body that was not fetched, waits under the identifier returned. It belongs to the actor: any of its \
threads may restore it, once. The client waits on, and its time limit runs. An actor has at most 64 saved messages (`K_CMSGSAVEDMAX`). When the call fails the message stays current."
arguments {
    reserved "`K_NONEPORT`. Not looked at.";
}
result "Identifier of the message, positive."
errors {
    Inval NO_MESSAGE;
    TooMuch "The actor has 64 saved messages already.";
}
assertions [209..=214]
example r"/* Keeps a request for later; the client waits. */
int put_aside(void)
{
    return ipcSave(K_NONEPORT);
}
"
see ["ipcRestore", "ipcReply", "ipcReceive"]

"ipcRestore": "Makes a saved message current again."
contract "The message is then as if it had just been received, and the identifier is used up. The current message that the thread had is replaced: if it was an unanswered request, its client gets \
`K_ENOPORT`. When the call fails the current message stays."
arguments {
    message_id "Identifier that `ipcSave` returned to a thread of this actor.";
}
result "0."
errors {
    Inval "The identifier is that of no message that this actor saved, or it was restored.";
}
assertions [209..=214]
example r"/* Answers the request that was put aside as `id`. */
int answer_later(int id, const KnMsgDesc *answer)
{
    int result = ipcRestore(id);
    return result < 0 ? result : ipcReply(answer);
}
"
see ["ipcSave", "ipcReply"]

"ipcSysInfo": "Tells about the current message."
contract "What the Nucleus knows of the message, as it was when it was sent: size of the body, source port, target (the group's UI for a message to a group) and `co_target`, protection identifiers of the \
sending actor and of the source port, which the sender cannot choose. Of `flags`, byte 0 is 1 when a client waits for a reply, byte 1 when there is an annex, byte 2 when it came from \
another site. `trans_id` is 0 when nobody waits. The message stays as it is."
arguments {
    head "Where the description goes.";
}
result "0."
errors {
    Inval NO_MESSAGE;
    Fault BAD_POINTER;
}
assertions [176..=176, 210..=210, 215..=218]
example r"/* Whether the sender runs under the user identifier 0. */
int is_from_root(void)
{
    KnMsgHead head;
    int result = ipcSysInfo(&head);
    return result < 0 ? result : head.actor_id.uid == 0;
}
"
see ["ipcReceive", "ipcReply", "ipcGetData"]
}
