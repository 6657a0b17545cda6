//! Interrupts.

use super::*;

const NOT_SUPERVISOR: &str = "The caller is not a supervisor thread.";
const NOT_ATTACHED: &str = "Nothing is attached by this name.";
const NOT_SOFT: &str = "No soft interrupt was declared in this structure.";

section! {
"svIntrAttach": "Attaches a handler to a device interrupt."
contract "The handler `int handler(void *cookie)` runs on whichever processor takes the interrupt, with interrupts off, in nobody's thread. Handlers of the same vector run in the order in which they were attached, until one \
returns `K_INTR_CLAIMED`. A handler may not wait; of all calls it may make `semV`, `threadSemPost`, `eventPost`, `svSoftIntrTrigger`, `svSysTimeoutSet`, `sysTime` and `sysNull`: every other returns K_EINVAL there. An \
exception in it ends its actor, and the next handler runs. Interrupts are edges: what the device has to be told is the handler's affair. When the actor is deleted its handlers are detached."
arguments {
    intr "The vector: 0x30 + `irq` of `devGet`'s description for an `irq` below 16, 0x60 + `irq` above.";
    handler "The handler, in the caller's actor.";
    cookie "What it gets.";
    ops "Where the addresses of `svIntrMask` and `svIntrUnmask` go; null: nowhere.";
    id "Where the name of the attachment goes.";
}
result "0."
errors {
    Inval "The vector is an exception's or the Nucleus' own, or the handler is not an address of supervisor actors.";
    Priv NOT_SUPERVISOR;
    Fault BAD_POINTER;
    NoMem "64 handlers are attached, or the site's table of handlers is full.";
}
assertions [275..=275]
example r"static KnSem came;

static int handle(void *cookie)
{
    (void)cookie;
    semV(&came);
    return K_INTR_CLAIMED;
}

int attach(const KnDevDesc *device, unsigned long *id)
{
    return svIntrAttach(0x30 + device->irq, (unsigned long)handle, 0, 0, id);
}
"
see ["svIntrDetach", "svSoftIntrDeclare", "devGet"]

"svIntrDetach": "Detaches a handler from an interrupt."
contract "The handler does not run any more when this returns."
waits "until it does not run on another processor."
arguments {
    id "What `svIntrAttach` wrote.";
}
result "0."
errors {
    Inval NOT_ATTACHED;
    Priv NOT_SUPERVISOR;
}
assertions []
example r"int detach(unsigned long id)
{
    return svIntrDetach(id);
}
"
see ["svIntrAttach"]

"svIntrMask": "Holds an interrupt back from its handler."
contract "This handler does not run; others of the vector do. This and `svIntrUnmask` are the services that `svIntrAttach` writes into `ops`."
arguments {
    id "What `svIntrAttach` wrote.";
}
result "0."
errors {
    Inval NOT_ATTACHED;
    Priv NOT_SUPERVISOR;
}
assertions []
example r"int hold(unsigned long id)
{
    return svIntrMask(id);
}
"
see ["svIntrUnmask", "svIntrAttach"]

"svIntrUnmask": "Lets an interrupt through to its handler again."
contract "If it came while it was masked, all handlers of the vector run once now."
arguments {
    id "What `svIntrAttach` wrote.";
}
result "0."
errors {
    Inval NOT_ATTACHED;
    Priv NOT_SUPERVISOR;
}
assertions []
example r"int let_through(unsigned long id)
{
    return svIntrUnmask(id);
}
"
see ["svIntrMask", "svIntrAttach"]

"svSoftIntrDeclare": "Declares a soft interrupt."
contract "A soft interrupt is work that a handler of interrupts puts off: its handler `void handler(void *cookie)` runs when all handlers of the interrupt have run and before the processor goes back to a thread, with the rules \
of interrupt handlers. The structure has handler and cookie; the Nucleus writes the name of the soft interrupt into it. It goes with the caller's actor."
arguments {
    soft "The structure.";
}
result "0."
errors {
    Inval "The handler is not an address of supervisor actors.";
    Priv NOT_SUPERVISOR;
    Fault BAD_POINTER;
    NoMem "64 are declared, or the site's table of handlers is full.";
}
missing "Interrupts are off while it runs."
assertions []
example r"static void later(void *cookie)
{
    semV(cookie);
}

int declare(KnSoftIntr *soft, KnSem *sem)
{
    soft->handler = (unsigned long)later;
    soft->cookie = (unsigned long)sem;
    return svSoftIntrDeclare(soft);
}
"
see ["svSoftIntrTrigger", "svSoftIntrForget", "svIntrAttach"]

"svSoftIntrTrigger": "Has the handler of a soft interrupt run."
contract "Of those that are pending the last one triggered runs first; one that is pending already runs once. A thread that triggers one is interrupted by it when the call is over."
arguments {
    soft "The structure.";
}
result "0."
errors {
    Inval NOT_SOFT;
    Priv NOT_SUPERVISOR;
    Fault BAD_POINTER;
}
assertions []
example r"int trigger(const KnSoftIntr *soft)
{
    return svSoftIntrTrigger(soft);
}
"
see ["svSoftIntrDeclare"]

"svSoftIntrForget": "Ends a soft interrupt."
contract "If it is pending, it does not run any more."
waits "until its handler does not run on another processor."
arguments {
    soft "The structure.";
}
result "0."
errors {
    Inval NOT_SOFT;
    Priv NOT_SUPERVISOR;
    Fault BAD_POINTER;
}
assertions []
example r"int forget(const KnSoftIntr *soft)
{
    return svSoftIntrForget(soft);
}
"
see ["svSoftIntrDeclare"]
}
