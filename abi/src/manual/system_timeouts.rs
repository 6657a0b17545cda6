//! System timeouts.

use super::*;

const NOT_SUPERVISOR: &str = "The caller is not a supervisor thread.";

section! {
"svSysTimeoutSet": "Has a LAP called at interrupt level after a delay."
contract "The LAP `void handler(void *arg, void *cookie)` is called once, with the structure as its argument, when the delay has passed: rounded up to the resolution, so that it is never early. It runs on whichever processor hears of it, \
with interrupts off, in nobody's thread, with the rules of handlers of interrupts (`svIntrAttach`); of all calls it may make those that wake others, and this one, also with the same structure. An exception in it ends its actor. \
Timeouts of the same tick are called in the order in which they were found due. A timeout goes with the actor that set it, and with the LAP. The structure needs no preparation; the Nucleus writes a name into it, and it must not be moved."
arguments {
    desc "The structure.";
    delay "The delay; zero: the next tick.";
    flags "0: there are none.";
    handler "The LAP; need not be a safe one.";
}
result "0."
errors {
    Inval "There is no such LAP, no delay, its nanoseconds are not in 0…999999999, or a flag is unknown.";
    Busy "The structure is set, and its handler has not been called.";
    Priv NOT_SUPERVISOR;
    Fault BAD_POINTER;
    NoMem "64 timeouts are set on the site.";
}
assertions []
example r"/* The LAP gets the structure, and may set it again. */
int in_ten_ms(KnTimeout *timeout, const KnLapDesc *lap)
{
    KnTimeVal delay = { .tm_nsec = 10000000 };
    return svSysTimeoutSet(timeout, &delay, 0, lap);
}
"
see ["svSysTimeoutCancel", "svTimeoutGetRes", "svLapCreate", "svIntrAttach", "timerCreate"]

"svSysTimeoutCancel": "Takes a system timeout back."
contract "The handler is not called after this returns, also if its time has come; one that runs already on another processor is not waited for."
arguments {
    desc "The structure.";
}
result "0."
errors {
    Inval "It is not set: never, not any more, or its handler has been called.";
    Priv NOT_SUPERVISOR;
    Fault BAD_POINTER;
}
assertions []
example r"int no_more(const KnTimeout *timeout)
{
    return svSysTimeoutCancel(timeout);
}
"
see ["svSysTimeoutSet"]

"svTimeoutGetRes": "Resolution of system timeouts."
contract "System timeouts expire on a grid of this width, the same as that of timers: 1 ms."
arguments {
    resolution "Where it goes.";
}
result "0."
errors {
    Priv NOT_SUPERVISOR;
    Fault BAD_POINTER;
}
assertions []
example r"unsigned int tick(void)
{
    KnTimeVal resolution = { 0 };
    svTimeoutGetRes(&resolution);
    return resolution.tm_nsec;
}
"
see ["svSysTimeoutSet", "timerGetRes"]
}
