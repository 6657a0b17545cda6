//! Threads.

use super::*;

section! {
"threadCreate": "Makes a thread in an actor."
contract "The thread belongs to the actor for life. A user thread begins at `entry` with its stack pointer, and its first argument register, holding `stack_pointer`; it \
needs a stack of the actor's, and must not return from its first function. A supervisor thread runs on a stack of the Nucleus', and `stack_pointer` is only its argument. \
A user or system actor gets one from outside: it begins at code of a supervisor actor, counts, stops and dies with its home, and goes when the owner of that code goes; its calls are made in the name \
and with the memory of the owner of the code, as those of a handler are (whose name they are made in is our decision; the texts say only that there are such threads). \
With `K_ACTIVE` it may run before the call returns, if it is more urgent; with `K_INACTIVE` not before `threadActivate`. In a stopped actor it is STOPPED. Its absolute \
priority is the actor's plus `priority`. Addresses are not checked here: a thread whose entry or stack is no memory of the actor takes an exception when it runs."
privilege "System privilege for supervisor threads and for threads of other system or supervisor actors. A caller with user privilege may not make a thread that is more urgent than \
both itself and 100."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
    privilege "`K_USERTHREAD` for user and system actors only, `K_SUPTHREAD` for all.";
    status "`K_ACTIVE` or `K_INACTIVE`.";
    priority "Priority relative to the actor's, -255…255; negative is more urgent.";
    entry "Address of its first instruction.";
    stack_pointer "Stack pointer that it begins with, and its argument.";
}
result "LI of the thread in its actor: positive, and not used again for long after its end."
errors {
    Inval "The capability is ill-formed, its key is wrong or its actor is gone; `privilege` or `status` is none of those above; a user thread is wanted in a supervisor actor; the entry of a supervisor thread \
of another kind of actor is no code of a supervisor actor; or `priority` is out of range.";
    Unknown OTHER_SITE;
    Fault BAD_POINTER;
    Priv "The caller has user privilege, and asks for a supervisor thread, a thread in another system or supervisor actor, or one that is too urgent.";
    NoMem "The site's table of threads is full, or there is no memory for its stack in the Nucleus.";
}
assertions [53..=59]
example r"static unsigned char stack[8192] __attribute__((aligned(16)));

static void worker(void)
{
    /* ... */
    threadDelete(K_MYACTOR, K_MYSELF);
}

int start_worker(void)
{
    /* As a call would leave it: 8 below a multiple of 16. */
    unsigned long top = (unsigned long)(stack + sizeof stack - 8);
    return threadCreate(K_MYACTOR, K_USERTHREAD, K_ACTIVE, 0, (unsigned long)worker, top);
}
"
see ["threadDelete", "threadActivate", "threadPriority", "actorCreate"]

"threadDelete": "Destroys a thread."
contract "Others see the thread either alive or entirely gone. If it waits in `ipcReceive`, no message is lost: the next receiver gets it. If it waits in `ipcCall`, its request is \
withdrawn when it is still queued, and else answered to nobody. A request that is its current message is given up: the client gets `K_ENOPORT`. Messages that it saved stay \
with the actor. A mutex that it has locked stays locked. The actor stays when its last thread goes. With `K_MYSELF` and the own actor the caller ends, and the call does not return."
privilege "For a supervisor thread, system privilege."
waits "until the thread has left its processor, when it runs on another one."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
    thread_li "LI of the thread; `K_MYSELF` with the own actor: the caller.";
}
result "0; none when the caller deletes itself."
errors {
    Inval BAD_LI;
    Unknown OTHER_SITE;
    Busy "The thread is already being deleted.";
    Priv SUPERVISOR_THREAD;
    Fault BAD_POINTER;
}
assertions [60..=63]
example r"void end_of_thread(void)
{
    threadDelete(K_MYACTOR, K_MYSELF);
}
"
see ["threadCreate", "threadAbort", "actorDelete", "actorExit"]

"threadSelf": "LI of the caller in its actor."
contract "The network-wide name of a thread is its actor's capability and this number."
arguments {}
result "LI of the calling thread, positive: what `threadCreate` returned when it was made."
errors {}
assertions [53..=53]
example r"int am_i(int thread_li)
{
    return threadSelf() == thread_li;
}
"
see ["threadCreate", "actorSelf", "threadStat"]

"threadActivate": "Makes a thread that was created inactive eligible to run."
contract "A thread made with `K_INACTIVE` executes nothing before this. It may run before the call returns, if it is more urgent than the caller. On an active thread the \
call does nothing."
privilege "For a supervisor thread, system privilege."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
    thread_li "LI of the thread; `K_MYSELF` with the own actor: the caller.";
}
result "0."
errors {
    Inval BAD_LI;
    Unknown OTHER_SITE;
    Priv SUPERVISOR_THREAD;
    Fault BAD_POINTER;
    Busy DYING_THREAD;
}
assertions [58..=58]
example r"/* A thread whose priority is set before it runs. */
int start_at(unsigned long entry, unsigned long stack_pointer, int priority)
{
    int li = threadCreate(K_MYACTOR, K_USERTHREAD, K_INACTIVE, 0, entry, stack_pointer);
    int result = li < 0 ? li : threadPriority(K_MYACTOR, li, 0, &priority);
    if (result >= 0)
        result = threadActivate(K_MYACTOR, li);
    return result < 0 ? result : li;
}
"
see ["threadCreate", "threadResume", "actorStart"]

"threadSuspend": "Suspends a thread."
contract "Adds one to the thread's suspend counter. Once the call has returned, the thread executes no further instruction of its own until as many `threadResume`s came. A \
wait of it goes on meanwhile, and can end: a message is taken, the result is kept. A thread that suspends itself stands still inside the call, which returns 0 when another \
thread resumes it."
privilege "For a supervisor thread, system privilege."
waits "until the thread has left its processor, when it runs on another one; for the caller itself, until it is resumed."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
    thread_li "LI of the thread; `K_MYSELF` with the own actor: the caller.";
}
result "0."
errors {
    Inval BAD_LI;
    Unknown OTHER_SITE;
    Priv SUPERVISOR_THREAD;
    Fault BAD_POINTER;
    Busy DYING_THREAD;
}
assertions [37..=37, 64..=68]
example r"int hold_while(int thread_li, void (*work)(void))
{
    int result = threadSuspend(K_MYACTOR, thread_li);
    if (result < 0)
        return result;
    work();
    return threadResume(K_MYACTOR, thread_li);
}
"
see ["threadResume", "actorStop", "threadStat"]

"threadResume": "Takes back one suspension of a thread."
contract "Lowers the thread's suspend counter; the thread may run again when it is 0. A counter that is 0 stays 0, so that a resume is not saved up for a later suspend."
privilege "For a supervisor thread, system privilege."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
    thread_li "LI of the thread; `K_MYSELF` with the own actor: the caller.";
}
result "0, also for a thread that is not suspended."
errors {
    Inval BAD_LI;
    Unknown OTHER_SITE;
    Priv SUPERVISOR_THREAD;
    Fault BAD_POINTER;
    Busy DYING_THREAD;
}
assertions [37..=37, 64..=68]
example r"/* Wakes a thread that suspended itself. */
int go_on(int thread_li)
{
    return threadResume(K_MYACTOR, thread_li);
}
"
see ["threadSuspend", "actorStart", "threadActivate"]

"threadAbort": "Ends the abortable wait of a thread, or marks it."
contract "A thread that waits abortably leaves its call with `K_EABORT`, and the abort is used up. Abortable are the waits of `threadDelay`, `semP` and `nmWait`, and those of \
`ipcReceive`, `ipcReplyReceive` and `ipcCall` whose descriptor (of the message, of the reply) has the flag `K_ABORTABLE`. Any other thread is marked ABORTED, however often it is \
aborted; its next abortable call ends with `K_EABORT` at once and uses up the mark, and so does `threadAborted` (a receive that finds a message does not). When a client leaves `ipcCall` by an abort, the thread that serves its request is marked."
privilege "For a supervisor thread, and for a thread of another actor, system privilege."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
    thread_li "LI of the thread; `K_MYSELF` with the own actor: the caller.";
}
result "0."
errors {
    Inval BAD_LI;
    Unknown OTHER_SITE;
    Priv "The caller has user privilege, and the thread is a supervisor thread or one of another actor.";
    Fault BAD_POINTER;
    Busy DYING_THREAD;
}
missing "Abort handlers, which could treat the mark instead, are not there yet."
assertions [69..=73]
example r"/* The thread's threadDelay, semP or abortable receive returns K_EABORT. */
int interrupt(int thread_li)
{
    return threadAbort(K_MYACTOR, thread_li);
}
"
see ["threadAborted", "threadDelay", "ipcReceive", "ipcCall", "semP"]

"threadAborted": "Whether the caller is marked ABORTED; clears the mark."
contract "Test and clearing are one step. A server asks this to learn that the client of the request that it serves has left by an abort."
arguments {}
result "1 if the caller was marked, else 0."
errors {}
assertions [70..=71]
example r"/* A long piece of work that can be called off. */
int work(int (*step)(void))
{
    while (step())
        if (threadAborted())
            return K_EABORT;
    return K_OK;
}
"
see ["threadAbort", "ipcReply"]

"threadDelay": "Sleeps, or gives way."
contract "The caller waits until the interval has passed; never shorter, and as much longer as the clock's resolution and more urgent threads make it. The end of the interval is \
reported as `K_ETIMEOUT`, which is the normal end of a sleep. The null pointer sleeps without limit: until an abort. An interval of zero only gives way to other \
threads of the same absolute priority."
waits "for the interval. The wait is abortable."
arguments {
    wait_limit "The interval; null: without limit.";
}
result "Never 0: see the errors."
errors {
    Timeout "The interval has passed.";
    Abort "The thread was aborted, now or before.";
    Inval "The nanoseconds of the interval are not in 0…999999999.";
    Fault BAD_POINTER;
}
assertions [74..=76]
example r"int sleep_ms(unsigned int ms)
{
    KnTimeVal time = { .tm_sec = ms / 1000, .tm_nsec = ms % 1000 * 1000000 };
    int result = threadDelay(&time);
    return result == K_ETIMEOUT ? K_OK : result;
}
"
see ["sysTime", "semP", "threadAbort"]

"threadPriority": "Reads and sets the relative priority of a thread."
contract "The absolute priority of a thread is its actor's priority plus this, cut to 0…255; 0 is most urgent. From 128 on threads of one level share the processor in slices \
of 100 ms; below 128 a thread gives it to its equals only when it waits or yields. The old value is written to `old_priority`, then `new_priority` is set; a null pointer leaves that half \
out. The processors are given anew before the call returns."
privilege "For a supervisor thread, and to make a thread more urgent than 100, system privilege."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
    thread_li "LI of the thread; `K_MYSELF` with the own actor: the caller.";
    old_priority "Where the relative priority before goes; may be null.";
    new_priority "The relative priority to set, -255…255; null: it stays.";
}
result "0."
errors {
    Inval "The capability is ill-formed, its key is wrong or its actor is gone; the LI names no thread of it; or the new priority is not in -255…255.";
    Unknown OTHER_SITE;
    Priv "The caller has user privilege, and the thread is a supervisor thread, or would be made more urgent, beyond 100.";
    Fault BAD_POINTER;
    Busy DYING_THREAD;
}
assertions [41..=47]
example r"/* A thread for what can wait. */
int be_idle(void)
{
    int least = 255;
    return threadPriority(K_MYACTOR, K_MYSELF, 0, &least);
}
"
see ["actorPriority", "threadCreate", "threadStat"]

"threadStat": "Describes the threads of an actor."
contract "Returns how many threads the actor has, and describes as many as there is room for, all at one instant: LI, privilege, state bits (1 ACTIVE, 2 SUSPENDED, 4 STOPPED, 8 WAITING, 16 \
ABORTED), suspend counter, relative and absolute priority, processor, processor time."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
    list "Where the descriptions go, one after another.";
    room "How many descriptions there is room for.";
}
result "The number of threads of the actor, which may be more than `room`."
errors {
    Inval "The capability is ill-formed, its key is wrong or its actor is gone; or `room` is negative.";
    Unknown OTHER_SITE;
    Fault BAD_POINTER;
}
assertions [35..=35, 38..=38, 41..=41, 45..=45]
example r"/* Nanoseconds of processor time of an actor's first threads. */
unsigned long time_used(const KnCap *actor)
{
    KnThreadStat list[16];
    unsigned long sum = 0;
    int count = threadStat(actor, list, 16);
    for (int at = 0; at < count && at < 16; at++)
        sum += list[at].cpu_time_ns;
    return sum;
}
"
see ["actorStat", "threadSelf", "threadPriority"]

"threadLoad": "Reads the caller's context pointer."
contract "Each thread has one word that the Nucleus keeps for it and never looks at: a software register, 0 in a new thread. Programs keep there what belongs to \
the thread."
arguments {
    context "Where the word goes.";
}
result "0."
errors {
    Fault BAD_POINTER;
}
assertions [77..=77]
example r"struct per_thread { int count; };

struct per_thread *mine(void)
{
    unsigned long word = 0;
    threadLoad(&word);
    return (struct per_thread *)word;
}
"
see ["threadStore", "threadSelf"]

"threadStore": "Sets the caller's context pointer."
contract "The word is what `threadLoad` gives back in this thread, and in no other. The Nucleus never follows it."
arguments {
    context "The word.";
}
result "0."
errors {}
assertions [77..=77]
example r"struct per_thread { int count; };

int begin(struct per_thread *own)
{
    own->count = 0;
    return threadStore((unsigned long)own);
}
"
see ["threadLoad"]
}
