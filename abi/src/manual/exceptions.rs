//! Exceptions and aborts.

use super::*;

const NOT_SUPERVISOR: &str = "The caller is not a supervisor thread.";
const BAD_ROUTINE: &str = "The capability is bad; or the routine is not an address of supervisor actors, or the caller's actor is being deleted.";
const BAD_PLACE: &str = "The capability or the LAP is bad, or the place is not below 4.";
const NOT_THAT: &str =
    "The capability is bad, the place is not below 4, or that LAP is not connected there.";
const POINTS_FULL: &str = "The site's table of handlers is full.";

section! {
"actorExcept": "Reads and sets an actor's exception port."
contract "An exception that no handler treats is reported to this port, if the thread is in its home actor's own code: the Nucleus makes an `ipcCall` in the thread's name. The annex of the request is a `KnExcReport`, its \
body the thread's registers, a `KnThreadCtx`. The annex of the reply begins with a `KnExcVerdict`: `K_EXC_CONTINUE` lets the thread go on where it was, or with the registers in the reply's body if that is a whole \
`KnThreadCtx`; `K_EXC_DELETE` deletes the thread; anything else, a reply without an annex, and the end of the port or of its owner, mean that it was not treated. The thread waits meanwhile, and no abort ends that. The \
registers in request and reply are this Nucleus' own addition, so that a debugger on any site can repair a thread. \
A new actor has its parent's port, unless its kind is trusted more than its parent's (the specification has no such exception): whoever answers has the registers of supervisor code. An exception of a thread \
inside a handler or LAP of another actor is not reported."
privilege "Another actor's port is for threads of system actors and supervisor threads."
arguments {
    actor_cap "The actor; null is the caller's own.";
    old_port "Where the present port goes; null: nowhere.";
    new_port "The new port, or a group with its addressing mode; the null identifier: none. Null: it stays.";
}
result "0."
errors {
    Inval "The capability is bad, or the identifier names neither a port nor a group.";
    Unknown OTHER_SITE;
    Fault BAD_POINTER;
    Priv "The caller has user privilege, and the actor is another.";
}
assertions [48..=52]
example r"/* Has exceptions of this actor reported to a port. */
int watch(const KnUniqueId *debugger)
{
    return actorExcept(K_MYACTOR, 0, debugger);
}
"
see ["svExcHandler", "actorNotify", "ipcReply"]

"svExcHandler": "Sets the routine that treats an actor's exceptions."
contract "The routine `int handler(KnThreadCtx *ctx, int exc_no, KnExcReport *info)` of the caller's actor runs in the thread that took the exception, each time that happens in code of the actor, in supervisor mode. It may \
change the registers and may wait. If it returns 0 the thread goes on with the registers as they are then; otherwise the exception port is asked next, and then the actor ends. Handlers that were connected to the vector \
come before it. Exceptions of the handler itself nobody treats: its own actor ends, and it counts as not having treated anything. A new actor has its parent's handlers. When the actor of a handler is deleted the handler \
is disconnected, and threads inside are put out. What a user actor's thread points at is not mapped for the routine: copy it by calls."
arguments {
    actor_cap "The actor whose exceptions are treated; null is the caller's own.";
    routine "The routine, in the caller's actor; 0: none. One that was set before is replaced.";
}
result "0."
errors {
    Inval BAD_ROUTINE;
    Unknown OTHER_SITE;
    Priv NOT_SUPERVISOR;
    Fault BAD_POINTER;
    NoMem POINTS_FULL;
}
assertions [270..=271]
example r"static int skip(KnThreadCtx *ctx, int exc_no, KnExcReport *info)
{
    (void)info;
    if (exc_no != 4)
        return K_EINVAL;
    ctx->rip += 2; /* ud2 */
    return 0;
}

int treat(const KnCap *actor)
{
    return svExcHandler(actor, (unsigned long)skip);
}
"
see ["svActorExcHandlerConnect", "actorExcept", "svTrapConnect"]

"svAbortHandler": "Sets the routine that treats aborts of an actor's threads."
contract "The routine `void handler(KnThreadCtx *ctx)` of the caller's actor runs in a thread that was aborted, in supervisor mode, when the thread goes back to its own code: out of a call that the abort ended (which still \
returns K_EABORT), out of a handler, or at once if it is running. It may change the registers, as subsystems do that make signals of aborts, and may wait. The mark of the abort is used up by it. Handlers that were \
connected to the vector come before it; all of them run. A new actor has its parent's handlers."
arguments {
    actor_cap "The actor whose aborts are treated; null is the caller's own.";
    routine "The routine, in the caller's actor; 0: none. One that was set before is replaced.";
}
result "0."
errors {
    Inval BAD_ROUTINE;
    Unknown OTHER_SITE;
    Priv NOT_SUPERVISOR;
    Fault BAD_POINTER;
    NoMem POINTS_FULL;
}
assertions []
example r"static unsigned long redirected;

static void divert(KnThreadCtx *ctx)
{
    ctx->rip = redirected;
}

int divert_aborts(const KnCap *actor, unsigned long where)
{
    redirected = where;
    return svAbortHandler(actor, (unsigned long)divert);
}
"
see ["threadAbort", "threadAborted", "svActorAbortHandlerConnect"]

"svActorExcHandlerConnect": "Connects a LAP to an actor's exceptions."
contract "An actor has a vector of 4 places, so that several subsystems can treat its exceptions. They are tried in the order of their places, before the routine of `svExcHandler`, until one treats the exception. The LAP's \
argument is a `KnExcDesc`: it sets `result` to 0 if it treated the exception. All else is as `svExcHandler` says. A LAP that is deleted is disconnected."
arguments {
    actor_cap "The actor whose exceptions are treated; null is the caller's own.";
    index "The place, 0…3.";
    lap "The LAP.";
}
result "0."
errors {
    Inval BAD_PLACE;
    Unknown OTHER_SITE;
    Busy "The place is taken.";
    Priv NOT_SUPERVISOR;
    Fault BAD_POINTER;
}
assertions [270..=271]
example r"static void treat(void *arg, void *cookie)
{
    KnExcDesc *exception = arg;
    (void)cookie;
    if (exception->exc_no == 11)
        exception->result = 0;
}

int connect(const KnCap *actor)
{
    KnLapDesc lap;
    int result = svLapCreate(K_MYACTOR, (unsigned long)treat, 0, 0, &lap);
    return result < 0 ? result : svActorExcHandlerConnect(actor, 0, &lap);
}
"
see ["svActorExcHandlerDisconnect", "svActorExcHandlerGetConnected", "svLapCreate"]

"svActorExcHandlerDisconnect": "Disconnects a LAP from an actor's exceptions."
contract "Exceptions from now on do not reach it; a thread inside finishes."
arguments {
    actor_cap "The actor; null is the caller's own.";
    index "The place, 0…3.";
    lap "The LAP that is connected there; `K_CONNECTED_LAP`: whichever it is.";
}
result "0."
errors {
    Inval NOT_THAT;
    Unknown OTHER_SITE;
    Priv NOT_SUPERVISOR;
    Fault BAD_POINTER;
}
assertions []
example r"int disconnect(const KnCap *actor)
{
    return svActorExcHandlerDisconnect(actor, 0, K_CONNECTED_LAP);
}
"
see ["svActorExcHandlerConnect"]

"svActorExcHandlerGetConnected": "Tells which LAP treats an actor's exceptions."
contract "Writes the descriptor of the LAP at a place of the vector."
arguments {
    actor_cap "The actor; null is the caller's own.";
    index "The place, 0…3.";
    lap "Where the descriptor goes.";
}
result "0."
errors {
    Inval "The capability is bad, the place is not below 4, or nothing is connected there.";
    Unknown OTHER_SITE;
    Priv NOT_SUPERVISOR;
    Fault BAD_POINTER;
}
assertions [271..=271]
example r"int inherited(const KnCap *child, KnLapDesc *lap)
{
    return svActorExcHandlerGetConnected(child, 0, lap);
}
"
see ["svActorExcHandlerConnect"]

"svActorAbortHandlerConnect": "Connects a LAP to aborts of an actor's threads."
contract "An actor has a vector of 4 places. All LAPs in it run, in the order of their places, and then the routine of `svAbortHandler`, which says all else. The LAP's argument is the thread's registers, a `KnThreadCtx`."
arguments {
    actor_cap "The actor whose aborts are treated; null is the caller's own.";
    index "The place, 0…3.";
    lap "The LAP.";
}
result "0."
errors {
    Inval BAD_PLACE;
    Unknown OTHER_SITE;
    Busy "The place is taken.";
    Priv NOT_SUPERVISOR;
    Fault BAD_POINTER;
}
assertions []
example r"int connect(const KnCap *actor, const KnLapDesc *lap)
{
    return svActorAbortHandlerConnect(actor, 0, lap);
}
"
see ["svAbortHandler", "svActorAbortHandlerDisconnect", "svActorAbortHandlerGetConnected"]

"svActorAbortHandlerDisconnect": "Disconnects a LAP from aborts of an actor's threads."
contract "Aborts from now on do not reach it; a thread inside finishes."
arguments {
    actor_cap "The actor; null is the caller's own.";
    index "The place, 0…3.";
    lap "The LAP that is connected there; `K_CONNECTED_LAP`: whichever it is.";
}
result "0."
errors {
    Inval NOT_THAT;
    Unknown OTHER_SITE;
    Priv NOT_SUPERVISOR;
    Fault BAD_POINTER;
}
assertions []
example r"int disconnect(const KnCap *actor)
{
    return svActorAbortHandlerDisconnect(actor, 0, K_CONNECTED_LAP);
}
"
see ["svActorAbortHandlerConnect"]

"svActorAbortHandlerGetConnected": "Tells which LAP treats aborts of an actor's threads."
contract "Writes the descriptor of the LAP at a place of the vector."
arguments {
    actor_cap "The actor; null is the caller's own.";
    index "The place, 0…3.";
    lap "Where the descriptor goes.";
}
result "0."
errors {
    Inval "The capability is bad, the place is not below 4, or nothing is connected there.";
    Unknown OTHER_SITE;
    Priv NOT_SUPERVISOR;
    Fault BAD_POINTER;
}
assertions []
example r"int connected(const KnCap *actor, KnLapDesc *lap)
{
    return svActorAbortHandlerGetConnected(actor, 0, lap);
}
"
see ["svActorAbortHandlerConnect"]
}
