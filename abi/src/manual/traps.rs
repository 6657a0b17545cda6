//! Traps of subsystems.

use super::*;

const NOT_SUPERVISOR: &str = "The caller is not a supervisor thread.";
const BAD_TRAP: &str = "The number is not 0x41…0x4f, or the routine is not an address of supervisor actors, or the caller's actor is being deleted.";
const POINTS_FULL: &str = "The site's table of handlers is full.";

section! {
"svTrapConnect": "Connects a routine to a trap."
contract "A thread of any actor that executes `int trap_no` runs the routine `int handler(KnThreadCtx *ctx, unsigned trap_no)` in supervisor mode, on its kernel stack; meanwhile its execution actor is the caller's actor. The \
routine sees the thread's registers and may change them: the thread goes on with what is there when it returns. What it returns is not looked at. It may wait. A thread that is stopped, suspended or deleted meanwhile \
finishes the routine first. A trap without a handler is exception 6 (there the thread is behind the instruction already; at an `int` with any other number it is still at it). If the routine takes an exception that nobody treats, or runs over the end of the kernel stack (16 KiB of a user thread's), its actor ends, and the trap becomes exception 6 too. When the actor is deleted its traps are \
disconnected, and threads inside are put out. What a user actor's thread points at is not mapped for the routine: copy it by calls."
arguments {
    trap_no "0x41…0x4f (`K_TRAP_FIRST`…`K_TRAP_LAST`).";
    routine "The routine, in the caller's actor.";
}
result "0."
errors {
    Inval BAD_TRAP;
    Busy "The trap has a handler, or a table.";
    Priv NOT_SUPERVISOR;
    NoMem POINTS_FULL;
}
assertions [265..=266, 268..=269]
example r"static int add(KnThreadCtx *ctx, unsigned trap_no)
{
    (void)trap_no;
    ctx->rax = ctx->rdi + ctx->rsi;
    return 0;
}

int serve(void)
{
    return svTrapConnect(K_TRAP_FIRST, (unsigned long)add);
}
"
see ["svTrapDisConnect", "svTrapTabConnect", "svSysTrapHandlerConnect"]

"svTrapDisConnect": "Disconnects a routine from a trap."
contract "Traps from now on do not reach it."
waits "until no thread is inside that trapped; a caller that is inside the routine itself does not wait."
arguments {
    trap_no "The trap.";
    routine "The routine that is connected.";
}
result "0."
errors {
    Inval "The number is not that of a trap, or this routine is not connected to it.";
    Priv NOT_SUPERVISOR;
}
assertions []
example r"int end_serving(unsigned long routine)
{
    return svTrapDisConnect(K_TRAP_FIRST, routine);
}
"
see ["svTrapConnect"]

"svTrapTabConnect": "Connects a routine to an index of a trap's table."
contract "The second way to dispatch a trap: the trap has a table of 512 routines, and `rax` of the trapping thread picks one. A place without a routine, and an index out of range, are exception 6. The routine is as that of \
`svTrapConnect`. Routines of several actors can share a table. The trap has a table as long as one routine is connected."
arguments {
    trap_no "0x41…0x4f.";
    index "The place in the table, 0…511.";
    routine "The routine, in the caller's actor.";
}
result "0."
errors {
    Inval "The number, the index or the routine is out of range, or the caller's actor is being deleted.";
    Busy "The place is taken, or the trap has a single handler.";
    Priv NOT_SUPERVISOR;
    NoMem POINTS_FULL;
}
assertions [267..=267]
example r"int serve(unsigned int index, int (*routine)(KnThreadCtx *, unsigned))
{
    return svTrapTabConnect(K_TRAP_LAST, index, (unsigned long)routine);
}
"
see ["svTrapTabDisConnect", "svTrapConnect"]

"svTrapTabDisConnect": "Disconnects an index of a trap's table."
contract "Traps with this index do not reach it from now on."
waits "until no thread is inside that trapped; a caller that is inside the routine itself does not wait."
arguments {
    trap_no "The trap.";
    index "The place in the table.";
}
result "0."
errors {
    Inval "The trap has no table, or nothing at this place.";
    Priv NOT_SUPERVISOR;
}
assertions []
example r"int end_serving(unsigned int index)
{
    return svTrapTabDisConnect(K_TRAP_LAST, index);
}
"
see ["svTrapTabConnect"]

"svSysTrapHandlerConnect": "Connects a LAP to a trap."
contract "As `svTrapConnect`, with a LAP as handler: its argument is a `KnSysTrapDesc`. A LAP that is deleted is disconnected."
arguments {
    trap_no "0x41…0x4f.";
    lap "The LAP.";
}
result "0."
errors {
    Inval "The number is not 0x41…0x4f, or the LAP is bad.";
    Busy "The trap has a handler, or a table.";
    Priv NOT_SUPERVISOR;
    Fault BAD_POINTER;
}
assertions [266..=266]
example r"static void zero(void *arg, void *cookie)
{
    KnSysTrapDesc *trap = arg;
    (void)cookie;
    ((KnThreadCtx *)trap->thread_ctx)->rax = 0;
}

int serve(void)
{
    KnLapDesc lap;
    int result = svLapCreate(K_MYACTOR, (unsigned long)zero, 0, 0, &lap);
    return result < 0 ? result : svSysTrapHandlerConnect(K_TRAP_FIRST, &lap);
}
"
see ["svSysTrapHandlerDisconnect", "svSysTrapHandlerGetConnected", "svTrapConnect"]

"svSysTrapHandlerDisconnect": "Disconnects a LAP from a trap."
contract "Traps from now on do not reach it."
waits "until no thread is inside that trapped; a caller that is inside the LAP itself does not wait."
arguments {
    trap_no "The trap.";
    lap "The LAP that is connected; `K_CONNECTED_LAP`: whichever it is.";
}
result "0."
errors {
    Inval "The number is not that of a trap, or this LAP is not connected to it.";
    Priv NOT_SUPERVISOR;
    Fault BAD_POINTER;
}
assertions []
example r"int end_serving(void)
{
    return svSysTrapHandlerDisconnect(K_TRAP_FIRST, K_CONNECTED_LAP);
}
"
see ["svSysTrapHandlerConnect"]

"svSysTrapHandlerGetConnected": "Tells which LAP has a trap."
contract "Writes the descriptor of the LAP that is connected."
arguments {
    trap_no "The trap.";
    lap "Where the descriptor goes.";
}
result "0."
errors {
    Inval "The number is not that of a trap, or no LAP is connected to it.";
    Priv NOT_SUPERVISOR;
    Fault BAD_POINTER;
}
assertions []
example r"int who(KnLapDesc *lap)
{
    return svSysTrapHandlerGetConnected(K_TRAP_FIRST, lap);
}
"
see ["svSysTrapHandlerConnect"]
}
