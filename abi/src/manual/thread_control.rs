//! Threads under the control of others: stopping, names, scheduling, registers.

use super::*;

section! {
"threadStop": "Stops one thread."
contract "Sets STOPPED on the thread, for debuggers: it executes nothing more until `threadStart`, or `actorStart` of its actor. Its other state bits stay as they are, and events still reach it. Stops do \
not count. It is the same bit that `actorStop` sets in all threads of an actor."
waits "until the thread has left its processor, when it runs on another one; when it is the caller itself, until another thread starts it."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
    thread_li "LI of the thread; `K_MYSELF` with the own actor: the caller.";
}
result "0."
errors {
    Inval BAD_LI;
    Unknown OTHER_SITE;
    Priv NOT_TRUSTED;
    Fault BAD_POINTER;
    Busy DYING_THREAD;
}
assertions []
example r"/* Where a thread is, without letting it go on. */
int look(const KnCap *actor, int thread, KnThreadCtx *registers)
{
    int result = threadStop(actor, thread);
    if (result < 0)
        return result;
    registers->fpu_area = 0;
    result = threadContext(actor, thread, registers, 0);
    threadStart(actor, thread);
    return result;
}
"
see ["threadStart", "actorStop", "threadSuspend", "threadContext"]

"threadStart": "Starts one stopped thread."
contract "Clears STOPPED of the thread, whether `threadStop` or `actorStop` set it, and of no other thread. It runs if nothing else holds it."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
    thread_li "LI of the thread; `K_MYSELF` with the own actor: the caller.";
}
result "0."
errors {
    Inval "The capability is ill-formed, its key is wrong or its actor is gone; the LI names nothing of that actor; or the thread is not stopped.";
    Unknown OTHER_SITE;
    Priv NOT_TRUSTED;
    Fault BAD_POINTER;
    Busy DYING_THREAD;
}
assertions []
example r"int start_again(const KnCap *actor, int thread)
{
    return threadStart(actor, thread);
}
"
see ["threadStop", "actorStart", "threadResume"]

"threadName": "Reads and sets the name of a thread."
contract "A name is for people who debug, and names nothing for the Nucleus. It is a field of 16 bytes, padded with zeros; the last byte is always zero. A new thread has none. A null pointer skips that half."
privilege "For a supervisor thread, system privilege."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
    thread_li "LI of the thread; `K_MYSELF` with the own actor: the caller.";
    old_name "Where the 16 bytes of the present name go; null: nowhere.";
    new_name "16 bytes of the new name; null: it stays.";
}
result "0."
errors {
    Inval BAD_LI;
    Unknown OTHER_SITE;
    Priv SUPERVISOR_THREAD;
    Fault BAD_POINTER;
    Busy DYING_THREAD;
}
assertions []
example r"int call_me(const char name[16])
{
    return threadName(K_MYACTOR, K_MYSELF, 0, name);
}
"
see ["actorName", "threadStat"]

"threadScheduler": "Reads and sets the scheduling class of a thread."
contract "`CLASS_DEFAULT` is time-sliced when the absolute priority is 128 or more, `CLASS_FIFO` never, `CLASS_RR` always, with slices of 100 ms; the priority of these is relative to the actor's, and what \
`threadPriority` reads and sets. `CLASS_RT` has a priority of its own, 100 to 159, where larger is more urgent: the absolute priority is 255 less that, whatever the actor's is, and its time slice is \
what `th_quantum` says; zero is none. A class stays when `threadPriority` or `actorPriority` changes a priority; of a `CLASS_RT` thread they change nothing but the relative priority, which counts again when it \
leaves the class. It is rescheduled before the call returns. All classes take the same structure, so that reading needs no knowledge of the class. A null pointer skips that half."
privilege "For a supervisor thread, for `CLASS_RT`, and for making a thread more urgent than 100: system privilege."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
    thread_li "LI of the thread; `K_MYSELF` with the own actor: the caller.";
    old_parameters "Where the present class and parameters go; null: nowhere.";
    new_parameters "The new ones; null: they stay.";
}
result "0."
errors {
    Inval "The capability is ill-formed, its key is wrong or its actor is gone; the LI names nothing of that actor; there is no such class; the priority is out of its range; or the nanoseconds of the slice are \
not in 0…999999999.";
    Unknown OTHER_SITE;
    Priv "The caller has user privilege, and the thread is a supervisor thread, the class is `CLASS_RT` or the priority is too urgent.";
    Fault BAD_POINTER;
    Busy DYING_THREAD;
}
assertions [263..=263]
example r"/* 5 ms at a time, absolute priority 96. */
int most_urgent(int thread)
{
    KnThParms parameters = { .th_class = CLASS_RT, .th_priority = K_RT_PRIOMAX, .th_quantum = { .tm_nsec = 5000000 } };
    return threadScheduler(K_MYACTOR, thread, 0, &parameters);
}
"
see ["threadPriority", "actorPriority", "threadBind", "threadStat"]

"threadBind": "Ties a thread to one processor."
contract "A thread that is tied runs on that processor only, also when others are idle; `K_ANYCPU` frees it. When the call returns the thread is on no other processor. A caller that ties itself goes over before \
the call returns. A processor runs the most urgent thread that may run on it; a thread that could run elsewhere is not moved away to make room for one that is tied. A null pointer skips that half."
waits "until the thread has left its processor, when it runs on one that it may not run on any more."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
    thread_li "LI of the thread; `K_MYSELF` with the own actor: the caller.";
    old_cpu "Where the number of its processor goes, or `K_ANYCPU`; null: nowhere.";
    new_cpu "Number of the processor, from 0, or `K_ANYCPU`; null: it stays.";
}
result "0."
errors {
    Inval "The capability is ill-formed, its key is wrong or its actor is gone; the LI names nothing of that actor; or the site has no such processor.";
    Unknown OTHER_SITE;
    Priv NOT_TRUSTED;
    Fault BAD_POINTER;
    Busy DYING_THREAD;
}
assertions []
example r"int only_there(int thread, int cpu)
{
    return threadBind(K_MYACTOR, thread, 0, &cpu);
}
"
see ["threadStat", "threadScheduler"]

"threadContext": "Reads and sets the registers of a thread."
contract "The thread must be suspended, stopped or not yet activated. `old_context` is read first: its `fpu_area` says where 512 bytes of x87 and SSE registers go (as FXSAVE lays them out), and null \
leaves them out; the same field of `new_context` says where they come from. All of `new_context` takes effect, so that it is best made from what was read. Of the flags only the arithmetic ones, direction \
and trap are taken. A thread inside a call goes on where the new registers say as soon as the call ends, and what the call returns is lost; `in_call` tells that, and then only `rip`, `rsp`, `rflags` and the \
registers of the call's arguments can be read. A null pointer skips that half."
privilege "For a supervisor thread and for threads of other actors, system privilege."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
    thread_li "LI of the thread; `K_MYSELF` with the own actor: the caller.";
    old_context "Where the registers go, and whether with those of the FPU; null: nowhere.";
    new_context "The new registers; null: they stay.";
}
result "0."
errors {
    Inval "The capability is ill-formed, its key is wrong or its actor is gone; the LI names nothing of that actor; the thread is neither suspended nor stopped nor inactive; `rip` is outside the addresses that the \
thread can execute at; a segment's base is not zero; or a supervisor thread, which has no FPU, is asked for its registers.";
    Unknown OTHER_SITE;
    Priv "The caller has user privilege, and the thread is a supervisor thread or one of another actor.";
    Fault BAD_POINTER;
    Busy "The thread is being deleted, or is held but has not left its processor yet.";
}
missing "Bases of the FS and GS segments are always zero. Of a thread inside a call the registers that a call preserves (`rbx`, `rbp`, `r12` to `r15`) cannot be read, and of a supervisor thread \
inside a call none but an approximate `rsp`."
assertions [78..=79]
example r"/* Sends a suspended thread to a function, on the stack that it has. */
int divert(int thread, void (*to)(void))
{
    KnThreadCtx registers = { 0 };
    int result = threadContext(K_MYACTOR, thread, &registers, 0);
    if (result < 0)
        return result;
    registers.rip = (unsigned long)to;
    /* Below what a leaf function may use, and as a call would leave it. */
    registers.rsp = ((registers.rsp - 128) & -16ul) - 8;
    return threadContext(K_MYACTOR, thread, 0, &registers);
}
"
see ["threadSuspend", "threadStop", "threadCreate"]
}
