//! The Network Manager's seat.

use super::*;

section! {
"nmAttach": "Makes the caller's actor the Network Manager of the site."
contract "There is one at most. From now on messages to names that are not here go into the outbound queue, in place of failing with `K_EUNKNOWN`. With `irq` the interrupt of that device \
wakes `nmWait`, too. `seat` gets the key of the cluster's frames, the generation of the cluster in which this site started, and whether frames go in clear: nobody else on the site can learn the key, and no later Network Manager either: it would seal frames with numbers that were used. When the actor ends, the site has no Network Manager: clients of calls that are under way to other sites leave with `K_ELINKFAILURE`, and what is in the queue is lost."
arguments {
    irq "Interrupt of the network device, 0…63; -1: none.";
    seat "Where the key and what belongs to it go; null: nowhere.";
}
result "0."
errors {
    Inval "`irq` is not in -1…63.";
    Busy "The site has a Network Manager, or had one that was told the key, and `seat` is not null.";
    Fault BAD_POINTER;
    Priv NOT_TRUSTED;
}
assertions []
example r"int take_seat(const KnDevDesc *network)
{
    return nmAttach((int)network->irq, 0);
}
"
see ["nmWait", "nmTake", "nmDeliver", "nmComplete", "nmQuery", "devGet"]

"nmWait": "Waits for work for the Network Manager."
contract "Returns when there is an outbound item (bit 0) or the device interrupt fired since it was last reported (bit 1): the bits that hold. Reporting the interrupt clears it; the other bit stays until the queue is \
empty. One thread waits at a time: of two, only the last is woken."
waits "for an item or an interrupt, at most as long as `wait_limit` says. The wait is abortable."
arguments {
    wait_limit "How long to wait at most; null: without limit; zero: not at all.";
}
result "Bit 0: there are outbound items. Bit 1: the device interrupt fired."
errors {
    Inval "The caller's actor is not the Network Manager; or the nanoseconds of the interval are not in 0…999999999.";
    Timeout "There was neither in time.";
    Abort "The thread was aborted, now or before.";
    Fault BAD_POINTER;
    Priv "The caller is no system or supervisor actor; or a port is for one, and who moves it is none.";
}
assertions []
example r"/* Both handlers run until there is nothing for them. */
int manage(void (*outbound)(void), void (*device)(void))
{
    int bits;
    while ((bits = nmWait(0)) >= 0) {
        if (bits & 1)
            outbound();
        if (bits & 2)
            device();
    }
    return bits;
}
"
see ["nmAttach", "nmTake", "threadAbort"]

"nmTake": "Takes the next outbound item."
contract "A manager hears first which ports of the site are in which groups, and again after each change (`NET_GROUPS`). Other items are taken in the order in which they came: a message for another site, a request whose client waits (`handle` names it), the end of a request that `nmDeliver` handed in (`handle` is the token \
that came with it), or that the client of a request has left. What concerns ports that go to other sites comes before these: that one is to go (`NET_MIGRATE`), and, when it has gone, each message that was queued at it (`NET_PASS`). The body is copied beside the item. If the room is too small the item stays."
arguments {
    item "Where the item goes.";
    body "Where its body goes.";
    room "Bytes of room for the body; 65536 is always enough.";
}
result "Bytes of the body."
errors {
    Inval NO_MANAGER;
    Timeout "There is no item.";
    TooMuch "The body is larger than the room.";
    Fault BAD_POINTER;
    Priv NOT_TRUSTED;
}
assertions []
example r"static char body[K_CMSGSIZEMAX];

void drain(KnNetItem *item, void (*carry)(const KnNetItem *, const char *, int))
{
    int size;
    while ((size = nmTake(item, body, sizeof body)) >= 0)
        carry(item, body, size);
}
"
see ["nmWait", "nmComplete", "nmDeliver"]

"nmDeliver": "Hands in a message from the network, or a port."
contract "An asynchronous message is delivered as if it had been sent here. For a request that is accepted exactly one end comes out of `nmTake`, with the token of the item: the reply, or the error with which it \
ended; unless it is cancelled. A cancellation withdraws the request of that token if it is still queued, and marks the thread that serves it ABORTED if not. What came from the network is not sent out again.\n\n\
A port that comes from another site (`NET_ARRIVE`, with the record that its Nucleus gave) is made for its actor, and is no part of this site until `NET_ACTIVATE` \
says that it lives here: no name, no local identifier, in no group. `NET_ABANDON`, and the end of its actor, make it as if it had never come. `chorus_abi::net` says what each item has."
arguments {
    item "The message, request or cancellation; or the port.";
    body "Its body or record, of `body_size` bytes.";
}
result "0; of `NET_ARRIVE` the local identifier that the port will have."
errors {
    Inval "The caller's actor is not the Network Manager; or the item is of another kind; or a request goes to all members of a group; or a port of this name is here, or comes already with as high an epoch, or may not move, or its record is none, or has a wrong key of the actor or of a group.";
    Unknown "The port is not here, or the group has no member here that fits; the actor that a port is for is not here; or no such port is to come.";
    Full "The queue of the port is full, or the site's table of messages.";
    TooMuch "The body has more than 65536 bytes.";
    Fault BAD_POINTER;
    Priv NOT_TRUSTED;
    NoMem "There is no memory to keep the body in; or no room for a port and its groups.";
}
assertions []
example r"/* 0, or the error that the other site is to be told. */
int hand_in(const KnNetItem *item, const void *body)
{
    return nmDeliver(item, body);
}
"
see ["nmTake", "nmComplete", "nmQuery"]

"nmComplete": "Ends the call of a local client, or the move of a port."
contract "The client whose request `nmTake` gave out leaves `ipcCall` with the reply, or with the error in `result` of the item. One that has left is `K_EUNKNOWN`, which a Network Manager need not mind.\n\n\
With kind `NET_MIGRATE` it says how the move ended that the item of this `handle` and `target` asked for: `result` is an error and the port stays, or its local identifier on the other site, and it is \
gone here. With `NET_PASS` it says that the last message which `nmTake` gave out of the queue of `target` is through; then comes the next one, and after the last the call ends that moved the port."
arguments {
    item "`handle` of the request, `result`, and the reply's annex and size.";
    body "Body of the reply, of `body_size` bytes.";
}
result "0."
errors {
    Inval NO_MANAGER;
    Unknown "No client waits under this handle; no such move was given out, or no message of that port.";
    TooMuch "The body has more than 65536 bytes.";
    Fault BAD_POINTER;
    Priv NOT_TRUSTED;
}
assertions []
example r"/* Whether the client still waited. */
int complete(const KnNetItem *reply, const void *body)
{
    return nmComplete(reply, body) >= 0;
}
"
see ["nmTake", "nmDeliver", "ipcCall"]

"nmQuery": "Whether messages to a UI can be delivered here."
contract "What a Network Manager asks when another site looks for a name: a port here, a group that has a member here, or the site itself. Of a port it tells the epoch too: how often it moved between sites, or came back when it should have. One that departs is here until it has \
gone; one that arrives is not before it lives here."
arguments {
    ui "UI of a port, a group or a site.";
}
result "0 if they cannot; else 1, and of a port 1 and its epoch."
errors {
    Inval NO_MANAGER;
    Fault BAD_POINTER;
    Priv NOT_TRUSTED;
}
assertions []
example r"int answer_locate(const KnUniqueId *wanted)
{
    return nmQuery(wanted) > 0;
}
"
see ["uiIsLocal", "nmDeliver"]

"svLinkFailure": "Tells the site that the link to another broke."
contract "All calls of this site to ports there, also those that are still being sent or whose port is being looked for there first, end with `K_ELINKFAILURE`; requests that came from there and are not answered lose their client, as if \
it had left; what is known of where ports and groups are on that site is forgotten. Calls made afterwards try anew: the Network Manager itself goes on talking to the site if that answers. It is told in the order of the calls, by an \
item in the Network Manager's queue: the calls end a moment after this returns. Without a Network Manager there are no such calls, and nothing happens."
arguments {
    site "The other site.";
    reason "Why, for the Network Manager's notice: any number.";
}
result "0."
errors {
    Inval "The number is this site's, or no site has it.";
    Full "The queue to the Network Manager is full.";
    Priv "The caller is not a supervisor thread.";
}
assertions [280..=280]
example r"/* A driver that saw its cable go. */
int unplugged(unsigned int site)
{
    return svLinkFailure(site, 1);
}
"
see ["ipcCall", "nmAttach"]
}
