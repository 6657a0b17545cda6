//! Actors.

use super::*;

section! {
"actorCreate": "Makes an actor."
contract "A new actor comes to be on the caller's site, as a child of `actor_init`, and its capability is written to `actor_cap`. It has one port (its \
default port, disabled, which is already a destination when the call returns), no thread, and an empty address space; a supervisor actor shares the \
Nucleus' space instead of having its own. It inherits the priority of `actor_init` and the protection identifier of the caller's actor. With `K_STOPPED` \
the threads made in it stand still until `actorStart`. It lives on when its parent is deleted."
privilege "For a system or supervisor actor (`kind`), system privilege."
arguments {
    actor_init "Capability of the parent; null: the caller's actor.";
    actor_cap "Where the capability of the new actor goes.";
    kind "`K_USERACTOR`, `K_SYSTEMACTOR` or `K_SUPACTOR`.";
    status "`K_ACTIVE` or `K_STOPPED`.";
}
result "0."
errors {
    Inval "The capability of the parent is ill-formed, its key is wrong or its actor is gone; or `kind` or `status` is none of those above.";
    Unknown OTHER_SITE;
    Priv "The caller has user privilege and asks for a system or supervisor actor.";
    Fault BAD_POINTER;
    NoMem "The site's table of actors or of ports is full, or there is no memory for an address space.";
}
missing "Exception and abort handlers, which a child would inherit, are not there yet, nor are `actorPi` and `rgnStat`, with which a program could look at what it inherited and that it is empty (NC-015)."
assertions [14..=25]
example r"/* A user actor that may have threads at once. */
int make_child(KnCap *child)
{
    return actorCreate(K_MYACTOR, child, K_USERACTOR, K_ACTIVE);
}
"
see ["actorDelete", "actorLoad", "threadCreate", "rgnAllocate", "actorNotify"]

"actorDelete": "Deletes an actor and everything it owns."
contract "One cut: when the call returns, no thread of the actor runs any more, its ports are gone, its capability is dead. Threads end as by `threadDelete`, \
ports as by `portDelete`; messages that it saved are given up, regions are freed. Clients whose requests it had queued, held or saved leave `ipcCall` \
with `K_ENOPORT`. Its children live on. With the null pointer the caller's own actor goes, and the call does not return. The port that `actorNotify` named \
hears of the end, with the status of a deletion (the smallest integer)."
privilege "For another actor that is a system or supervisor actor, system privilege."
waits "until the last thread of the actor has left its processor, and its memory has been given back. That is done in steps at the priority of the actor, or of whoever waits for it if that is more urgent."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
}
result "0; none when the caller's own actor is deleted."
errors {
    Inval BAD_CAP;
    Unknown OTHER_SITE;
    Busy "The actor is already being deleted.";
    Priv FOREIGN;
    Fault BAD_POINTER;
}
assertions [26..=33]
example r"int make_and_delete(void)
{
    KnCap child;
    int result = actorCreate(K_MYACTOR, &child, K_USERACTOR, K_ACTIVE);
    return result < 0 ? result : actorDelete(&child);
}
"
see ["actorCreate", "actorExit", "actorNotify", "threadDelete", "portDelete"]

"actorStop": "Stops all threads of an actor."
contract "Every thread of the actor is STOPPED: it executes nothing more, whatever its other state bits are, until `actorStart`. Events still reach it: a message is \
taken by a thread that waits for it, queues fill, time limits run; what came is seen after `actorStart`. Stops do not count: stopping a stopped actor \
changes nothing. An actor that stops itself stands still inside the call."
privilege "For another actor that is a system or supervisor actor, system privilege."
waits "until no thread of the actor is on another processor; when the actor is the caller's own, until another actor starts it."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
}
result "0."
errors {
    Inval BAD_CAP;
    Unknown OTHER_SITE;
    Priv FOREIGN;
    Fault BAD_POINTER;
}
assertions [34..=40]
example r"/* Nothing of the actor runs between the two calls. */
int freeze_for(const KnCap *actor, const KnTimeVal *time)
{
    int result = actorStop(actor);
    if (result < 0)
        return result;
    threadDelay(time);
    return actorStart(actor);
}
"
see ["actorStart", "threadSuspend", "threadStat"]

"actorStart": "Starts a stopped actor."
contract "All threads of the actor leave STOPPED in one step, and each runs that nothing else holds (a thread may still be suspended, waiting or not activated). It \
starts an actor made with `K_STOPPED`, too. Starting an actor that is not stopped changes nothing."
privilege "For another actor that is a system or supervisor actor, system privilege."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
}
result "0."
errors {
    Inval BAD_CAP;
    Unknown OTHER_SITE;
    Priv FOREIGN;
    Fault BAD_POINTER;
}
assertions [22..=22, 34..=40]
example r"/* An actor whose first thread waits until everything about it is settled. */
int make_held(KnCap *child, const KnUniqueId *tell)
{
    int result = actorCreate(K_MYACTOR, child, K_USERACTOR, K_STOPPED);
    if (result >= 0)
        result = actorNotify(child, tell);
    return result < 0 ? result : actorStart(child);
}
"
see ["actorStop", "actorCreate", "threadActivate", "threadResume"]

"actorPriority": "Reads and sets the priority of an actor."
contract "An actor's priority is 0 (most urgent) to 255. The absolute priority of each of its threads is this plus the thread's relative priority, cut to 0…255. The \
old value is written to `old_priority`, then `new_priority` is set; a null pointer leaves that half out. Setting it moves all threads of the actor at once, \
and the processors are given anew before the call returns."
privilege "To make an actor more urgent than 100, and to set the priority of another system or supervisor actor, system privilege. Reading needs only the capability."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
    old_priority "Where the priority before goes; may be null.";
    new_priority "The priority to set; null: it stays.";
}
result "0."
errors {
    Inval "The capability is ill-formed, its key is wrong or its actor is gone; or the new priority is not in 0…255.";
    Unknown OTHER_SITE;
    Priv "The caller has user privilege, and would make the actor more urgent, beyond 100; or the actor is another system or supervisor actor.";
    Fault BAD_POINTER;
}
assertions [17..=17, 41..=47]
example r"/* The caller's actor gives way to others. */
int be_modest(void)
{
    int old, modest = 200;
    int result = actorPriority(K_MYACTOR, &old, &modest);
    return result < 0 ? result : old;
}
"
see ["threadPriority", "actorStat", "threadStat"]

"actorSelf": "Writes the capability of the caller's actor."
contract "The capability has the UI of the actor's default port and the actor's key. Whoever is given it may do to the actor what the actor may do to itself: it \
is not to be sent to just anyone."
arguments {
    actor_cap "Where the capability goes.";
}
result "0."
errors {
    Fault BAD_POINTER;
}
assertions []
example r"/* The UI of the own default port, to be handed to others. */
int own_ui(KnUniqueId *ui)
{
    KnCap self;
    int result = actorSelf(&self);
    if (result >= 0)
        *ui = self.ui;
    return result;
}
"
see ["actorCreate", "portUi", "threadSelf"]

"actorName": "Reads and sets the name of an actor."
contract "The name is for people: in lists, in the line that tells of an exception, in the notice of its end. It has 16 bytes, padded with zeros, of which 15 are used; \
two actors may have the same. The old name is written to `old_name`, then `new_name` is set; a null pointer leaves that half out."
privilege "To name another actor, system privilege. Reading needs only the capability."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
    old_name "Where the 16 bytes of the name before go; may be null.";
    new_name "The 16 bytes of the name to set, the last of which is taken as zero; null: it stays.";
}
result "0."
errors {
    Inval BAD_CAP;
    Unknown OTHER_SITE;
    Priv "The caller has user privilege, and names another actor.";
    Fault BAD_POINTER;
}
assertions []
example r#"int call_me_echo(void)
{
    char name[16] = "echo";
    return actorName(K_MYACTOR, 0, name);
}
"#
see ["actorStat", "actorLoad"]

"actorStat": "Lists the actors of the site."
contract "Returns how many actors there are, and describes as many as there is room for, all at one instant: capability, kind, whether it is stopped, priority, \
numbers of threads, ports and pages, name, load address. With `room` 0 it only counts."
privilege "The keys in the capabilities are zero for callers with user privilege."
arguments {
    list "Where the descriptions go, one after another.";
    room "How many descriptions there is room for.";
}
result "The number of actors of the site, which may be more than `room`."
errors {
    Inval "`room` is negative.";
    Fault BAD_POINTER;
}
assertions []
example r"int count_stopped(void)
{
    static KnActorStat list[64];
    int stopped = 0;
    int count = actorStat(list, 64);
    for (int at = 0; at < count && at < 64; at++)
        stopped += list[at].stopped;
    return count < 0 ? count : stopped;
}
"
see ["threadStat", "siteStat", "actorName"]

"actorExit": "Ends the caller's actor with a status."
contract "As `actorDelete` of the own actor, but the notice to the port that `actorNotify` named carries `status`. That is how a program says how it went: 0 is good, as in C."
arguments {
    status "Status of the actor for whoever hears of its end.";
}
result "None: it does not return."
errors {}
assertions []
example r"void give_up(void)
{
    actorExit(1);
}
"
see ["actorDelete", "actorNotify", "threadDelete"]

"actorNotify": "Names the port that is told when an actor ends."
contract "When the actor is gone, and its memory with it, the port gets an asynchronous message whose annex is an `EndNotice` (service `ACTOR_ENDED`, 40): the actor's UI \
and name, the status of `actorExit` or the smallest integer when it was deleted, and for an actor that ended by an exception its number, thread, program counter \
and address. There is one port an actor, the last one named; the null UI names none. Like all asynchronous messages the notice can be lost: when the port's queue is \
full, and on the network."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
    port "UI of the port, on any site; the null UI: none.";
}
result "0."
errors {
    Inval "The capability is ill-formed, its key is wrong or its actor is gone; or the UI is neither null nor that of a port.";
    Unknown OTHER_SITE;
    Priv NOT_TRUSTED;
    Fault BAD_POINTER;
}
assertions [51..=51]
example r"/* Ends of the child are told to the caller's default port. */
int watch(const KnCap *child)
{
    KnUniqueId own;
    int result = portUi(&own, K_DEFAULTPORT);
    return result < 0 ? result : actorNotify(child, &own);
}
"
see ["actorExit", "actorDelete", "actorLoad", "ipcReceive"]

"actorLoad": "Loads an image into an empty actor and starts its first thread."
contract "The image is a static position-independent ELF file that was linked with the actor runtime (or `chorus.h`). Each segment becomes a region with the segment's \
own protection; the slots of its imports are filled with stubs for a user or system actor and with the Nucleus' own entry points for a supervisor actor: the same \
file serves both. Then come a page with the start information and the arguments, and a stack, and one thread begins at the entry point. Of the arguments, the first is \
the actor's name by custom. An image that is refused leaves the actor as empty as it was, and `diag` and `detail` of the descriptor say why. Loading takes steps, between which more urgent threads run; meanwhile nobody else can load \
the actor (`K_EBUSY`) or name it in a call about its memory (`K_EINVAL`), and if the caller is deleted the actor is empty again."
arguments {
    actor_cap "Capability of an actor without threads and regions.";
    load "What is to be loaded: image (at most 16 MiB), arguments (at most 3 KiB, zero-terminated strings), priority of the first thread relative to the actor, size of its \
stack (0: 64 KiB; at most 16 MiB). `diag`, `detail` and `base` are written.";
}
result "LI of the first thread."
errors {
    Inval "The capability is ill-formed, its key is wrong or its actor is gone; or the priority is not in -255…255; or the image was refused: `diag` is not 0.";
    Unknown OTHER_SITE;
    Priv NOT_TRUSTED;
    Fault BAD_POINTER;
    NoMem "The site has not enough memory, regions or threads for it.";
    Size "Image, arguments or stack are larger than allowed.";
    Busy "The actor has a thread or a region already.";
}
assertions [194..=194]
example r#"int start(KnCap *child, const void *image, unsigned long size)
{
    static const char args[] = "echo";
    KnLoadDesc load = {
        .image = (unsigned long)image,
        .image_size = size,
        .args = (unsigned long)args,
        .args_size = sizeof args,
    };
    int result = actorCreate(K_MYACTOR, child, K_USERACTOR, K_ACTIVE);
    return result < 0 ? result : actorLoad(child, &load);
}
"#
see ["actorCreate", "threadCreate", "rgnAllocate", "actorNotify"]

"actorLimit": "Reads and sets the most pages of memory that an actor may own."
contract "Counted are the pages that `actorStat` counts: those in memory, of the regions that the actor maps first. A touch that would make one more raises exception 9, a call returns `K_ENOMEM`; nothing is taken away \
from an actor that has more already, and pages that are in a temporary segment of the default mapper do not count until they come back. Actors made later by the actor's threads inherit the limit. A null pointer skips that half.\
\n\nWithout a limit, too, an actor with 64 pages or more leaves the last frames of a site to small calls: what it touches then waits if there is a default mapper, else it meets exception 9."
privilege "System privilege to set it."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
    old_limit "Where the present one goes; null: nowhere.";
    new_limit "The new one, in pages; 0: none. Null: it stays.";
}
result "0."
errors {
    Inval BAD_CAP;
    Unknown OTHER_SITE;
    Priv "The caller has user privilege, and would set a limit.";
    Fault BAD_POINTER;
}
assertions []
example r"int at_most_a_megabyte(const KnCap *actor)
{
    unsigned int pages = 256;
    return actorLimit(actor, 0, &pages);
}
"
see ["actorStat", "vmStat", "rgnAllocate"]

"actorPi": "Reads and sets the protection identifier of an actor."
contract "The protection identifier (user, group, domain) goes with each message as the sender's, where the receiver finds it by `ipcSysInfo`, and actors made later by the actor's threads \
inherit it. Messages sent before keep the old one, and so do the ports that the actor has. A null pointer skips that half."
privilege "System privilege to set it, or to read that of another actor."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
    old_pi "Where the present one goes; null: nowhere.";
    new_pi "The new one; null: it stays. Its padding is ignored.";
}
result "0."
errors {
    Inval BAD_CAP;
    Unknown OTHER_SITE;
    Priv "The caller has user privilege, and would set an identifier or read another actor's.";
    Fault BAD_POINTER;
}
assertions [18..=18]
example r"unsigned int own_user(void)
{
    KnProtId own = { 0 };
    actorPi(K_MYACTOR, &own, 0);
    return own.uid;
}
"
see ["ipcSysInfo", "actorCreate", "actorPrivilege"]

"actorPrivilege": "Reads and sets the kind of an actor."
contract "A user actor becomes a system actor, or a system actor a user actor; nothing changes to or from supervisor actors. Each of its threads has the new privilege from its next call on. \
What was got with the old one (memberships, ports, the seat of the Network Manager) is kept. Setting the kind that the actor has changes nothing. A null pointer skips that half."
privilege "System privilege to set it."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
    old_privilege "Where the present kind goes; null: nowhere.";
    new_privilege "`K_USERACTOR` or `K_SYSTEMACTOR`; null: it stays.";
}
result "0."
errors {
    Inval "The capability is ill-formed, its key is wrong or its actor is gone; or the change is not one of those two.";
    Unknown OTHER_SITE;
    Priv "The caller has user privilege, and would set it.";
    Fault BAD_POINTER;
}
assertions []
example r"/* A system actor that has done its privileged work gives its privilege away. */
int become_plain(void)
{
    int plain = K_USERACTOR;
    return actorPrivilege(K_MYACTOR, 0, &plain);
}
"
see ["actorCreate", "actorPi", "actorStat"]
}
