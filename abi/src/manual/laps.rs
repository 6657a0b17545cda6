//! Local access points.

use super::*;

const NOT_SUPERVISOR: &str = "The caller is not a supervisor thread.";
const BAD_LAP: &str = "There is no such LAP, or it was deleted.";
const LONG_NAME: &str = "The name has more than 7 characters.";

section! {
"svLapCreate": "Makes a local access point."
contract "A LAP is a routine `void handler(void *arg, void *cookie)` of a supervisor actor that threads of other actors call, without a message and without another thread: while it runs, the caller's execution actor is its \
owner. The descriptor that is written can be given to anybody; its key cannot be guessed. A LAP is also what can be connected to exceptions, aborts and traps. It goes with its actor."
arguments {
    actor_cap "The owner, a supervisor actor; null is the caller's own.";
    handler "The routine, in the owner.";
    cookie "What it gets as second argument.";
    options "`K_LAP_SAFE`: it can be called from user mode, and its deletion waits for the calls inside. Or 0.";
    lap "Where the descriptor goes.";
}
result "0."
errors {
    Inval "The capability is bad or not of a supervisor actor, the routine is no address of supervisor actors, or an option is unknown.";
    Unknown OTHER_SITE;
    Priv NOT_SUPERVISOR;
    Fault BAD_POINTER;
    NoMem "The site's table of handlers is full.";
}
assertions [276..=276]
example r"static void count(void *arg, void *cookie)
{
    *(unsigned long *)cookie += (unsigned long)arg;
}

static unsigned long total;

int offer(KnLapDesc *lap)
{
    return svLapCreate(K_MYACTOR, (unsigned long)count, (unsigned long)&total, K_LAP_SAFE, lap);
}
"
see ["svLapDelete", "lapInvoke", "svLapBind"]

"svLapDelete": "Deletes a local access point."
contract "Nobody enters from now on; its names are free, and it is disconnected everywhere."
waits "until the last call of a safe LAP has ended; a caller that is inside it does not wait."
arguments {
    lap "The LAP.";
}
result "0."
errors {
    Inval BAD_LAP;
    Priv NOT_SUPERVISOR;
    Fault BAD_POINTER;
}
assertions [276..=276]
example r"int take_back(const KnLapDesc *lap)
{
    return svLapDelete(lap);
}
"
see ["svLapCreate"]

"lapInvoke": "Calls a local access point."
contract "The routine runs in the caller's thread, in supervisor mode, on its kernel stack. Unlike in ChorusOS every LAP's descriptor is checked, also that of one which is not safe. Calls can be nested, 8 deep with other \
handlers."
privilege "User and system actors can only call safe ones."
waits "as the routine does."
arguments {
    lap "The LAP.";
    arg "What the routine gets as first argument: a number, or an address. Addresses of user actors are not mapped for it.";
}
result "0."
errors {
    Inval "There is no such LAP, it was deleted, or it is not safe and the caller is in user mode.";
    Abort "The LAP's actor ended during the call.";
    Fault BAD_POINTER;
    NoMem "Too many calls and handlers are nested in this thread, or on the site.";
}
assertions [276..=276]
example r"int add(const KnLapDesc *counter, unsigned long number)
{
    return lapInvoke(counter, number);
}
"
see ["svLapCreate", "lapResolve"]

"svLapBind": "Gives a LAP a name on this site."
contract "Threads that wait for the name in `lapResolve` get the LAP. A LAP can have several names."
arguments {
    lap "The LAP.";
    name "At most 7 characters, with a zero behind.";
    options "`K_LAP_PROTECTED`: user actors do not see the name. Or 0.";
}
result "0."
errors {
    Inval "There is no such LAP, it was deleted, the name is empty, or an option is unknown.";
    Busy "The name is bound.";
    Priv NOT_SUPERVISOR;
    Fault BAD_POINTER;
    NoMem "The name has more than 7 characters, or the site has 128 names.";
}
assertions [277..=278]
example r#"int publish(const KnLapDesc *lap)
{
    return svLapBind(lap, "count", 0);
}
"#
see ["svLapUnbind", "lapResolve"]

"svLapUnbind": "Takes a name away from a LAP."
contract "The name is free again; descriptors that were resolved stay good."
arguments {
    name "The name.";
}
result "0."
errors {
    Inval "The name is empty.";
    Unknown "The name is not bound.";
    Priv NOT_SUPERVISOR;
    Fault BAD_POINTER;
    NoMem LONG_NAME;
}
assertions []
example r#"int withdraw(void)
{
    return svLapUnbind("count");
}
"#
see ["svLapBind"]

"lapResolve": "Finds a LAP by its name on this site."
contract "Writes the descriptor of the LAP with this name."
waits "until the name is bound, unless `K_LAP_NOBLOCK` says not to. `threadAbort` ends it."
arguments {
    lap "Where the descriptor goes.";
    name "At most 7 characters, with a zero behind.";
    options "`K_LAP_NOBLOCK`: do not wait. Or 0.";
}
result "0."
errors {
    Inval "The name is empty, or an option is unknown.";
    Abort "The caller was aborted.";
    Unknown "The name is not bound, or hidden from user actors, and the caller does not wait.";
    Fault BAD_POINTER;
    NoMem LONG_NAME;
}
assertions [277..=278]
example r#"int find(KnLapDesc *lap)
{
    return lapResolve(lap, "count", K_LAP_NOBLOCK);
}
"#
see ["svLapBind", "lapInvoke"]
}
