//! Thread semaphores, event flags, real-time mutexes.

use super::synchronisation::{BAD_PLACE, LOST};
use super::*;

section! {
"threadSemInit": "Makes a semaphore of the calling thread."
contract "A thread semaphore is 8 bytes in the caller's own memory, aligned to 4 and within one page. It is posted or not, not posted at first. Only the thread that made it waits on it; anybody who shares the \
memory posts it. The Nucleus keeps nothing for it while its thread does not wait."
arguments {
    sem "The thread semaphore.";
}
result "0."
errors {
    Inval BAD_PLACE;
    Fault BAD_POINTER;
}
assertions [91..=92]
example r"static KnThSem finished;

int prepare(void)
{
    return threadSemInit(&finished);
}
"
see ["threadSemWait", "threadSemPost", "semInit"]

"threadSemWait": "Takes the post of the caller's thread semaphore."
contract "If it is posted, takes the post and returns; else the caller waits for one. Test and taking are one step. The null pointer waits without limit, an interval of zero not at all. A caller that is marked \
ABORTED leaves with `K_EABORT` even if it is posted, and takes nothing."
waits "for a post, at most as long as `wait_limit` says. The wait is abortable."
arguments {
    sem "The thread semaphore.";
    wait_limit "How long to wait at most; null: without limit.";
}
result "0."
errors {
    Inval "The caller did not make this semaphore; the structure is not aligned to 4 bytes, or lies across the end of a page; or the nanoseconds of the interval are not in 0…999999999.";
    Timeout "There was no post in time, or none at all with an interval of zero.";
    Abort "The thread was aborted, now or before.";
    Fault LOST;
}
assertions [91..=92]
example r"static KnThSem finished;

int await_end(void)
{
    return threadSemWait(&finished, 0);
}
"
see ["threadSemPost", "threadSemInit", "threadAbort"]

"threadSemPost": "Posts a thread semaphore."
contract "The thread that waits on it wakes and takes the post; if it does not wait, the post stays until it does. Posts are not counted: several before a wait are one."
arguments {
    sem "The thread semaphore.";
}
result "0."
errors {
    Inval BAD_PLACE;
    Fault BAD_POINTER;
}
assertions [91..=91]
example r"int tell_end(KnThSem *finished)
{
    return threadSemPost(finished);
}
"
see ["threadSemWait", "semV", "eventPost"]

"eventInit": "Makes a set of event flags."
contract "A set of 32 flags is 8 bytes in the caller's own memory, aligned to 4 and within one page. No flag is posted at first; all zero is such a set, so that static ones need no call. It works between all \
actors that share the memory, and must not be made anew while a thread waits for it."
arguments {
    set "The set.";
}
result "0."
errors {
    Inval BAD_PLACE;
    Fault BAD_POINTER;
}
assertions [93..=96]
example r"static KnEventSet states;

int no_state(void)
{
    return eventInit(&states);
}
"
see ["eventPost", "eventClear", "eventWait"]

"eventPost": "Posts event flags."
contract "The flags stay posted until `eventClear`. Every thread whose wait is satisfied by the flags that are posted now wakes, in the order in which they began to wait."
arguments {
    set "The set.";
    mask "The flags, a bit each; those that are posted already stay so.";
}
result "0."
errors {
    Inval BAD_PLACE;
    Fault BAD_POINTER;
}
assertions [93..=96]
example r"#define DOOR_OPEN (1u << 3)

int open_door(KnEventSet *states)
{
    return eventPost(states, DOOR_OPEN);
}
"
see ["eventWait", "eventClear", "threadSemPost"]

"eventClear": "Unposts event flags."
contract "The flags are not posted any more. Threads that wait are not disturbed."
arguments {
    set "The set.";
    mask "The flags, a bit each.";
}
result "0."
errors {
    Inval BAD_PLACE;
    Fault BAD_POINTER;
}
assertions [96..=96]
example r"#define DOOR_OPEN (1u << 3)

int close_door(KnEventSet *states)
{
    return eventClear(states, DOOR_OPEN);
}
"
see ["eventPost", "eventWait"]

"eventWait": "Waits for event flags."
contract "Waits until all of the flags are posted (`K_EVENT_AND`) or one of them is (`K_EVENT_OR`), and writes which of them are posted at that moment. The flags stay posted. The null pointer waits without \
limit, an interval of zero not at all. A caller that is marked ABORTED leaves with `K_EABORT` even if it need not wait."
waits "for the flags, at most as long as `wait_limit` says. The wait is abortable."
arguments {
    set "The set.";
    mask "The flags of interest, a bit each.";
    mode "`K_EVENT_OR` or `K_EVENT_AND`.";
    got "Where those of them go that are posted; null: nowhere.";
    wait_limit "How long to wait at most; null: without limit.";
}
result "0."
errors {
    Inval "The mask is empty, or the mode is neither; the structure is not aligned to 4 bytes, or lies across the end of a page; or the nanoseconds of the interval are not in 0…999999999.";
    Timeout "The flags were not posted in time, or are not with an interval of zero.";
    Abort "The thread was aborted, now or before.";
    Fault LOST;
}
assertions [93..=96]
example r"#define DOOR_OPEN (1u << 3)
#define LIGHT_ON (1u << 4)

int await_both(KnEventSet *states)
{
    return eventWait(states, DOOR_OPEN | LIGHT_ON, K_EVENT_AND, 0, 0);
}
"
see ["eventPost", "eventClear", "eventInit"]

"rtMutexInit": "Makes a real-time mutex free."
contract "A real-time mutex is 16 bytes in the caller's own memory, aligned to 4 and within one page. All zero is a free one, so that static ones need no call. It must not be made anew while a thread has it."
arguments {
    mutex "The real-time mutex.";
}
result "0."
errors {
    Inval BAD_PLACE;
    Fault BAD_POINTER;
}
assertions [84..=84]
example r"static KnRtMutex lock;

int open_lock(void)
{
    return rtMutexInit(&lock);
}
"
see ["rtMutexGet", "rtMutexRel", "mutexInit"]

"rtMutexGet": "Locks a real-time mutex."
contract "While others wait for it, its owner runs at the best priority of its own and theirs; if the owner waits for another such mutex, that one's owner does too, and so on. A change of a waiter's priority \
reaches the owners at once. A thread that would wait for itself, because it has the mutex or because its owner waits for the caller, directly or through others, gets `K_EINVAL` instead of waiting for ever. The \
owner is written with a seal that only the Nucleus can make: a mutex whose content was changed is free, unless threads wait for it. When an owner ends, the most urgent waiter gets the mutex; one that nobody waits for is free."
waits "until the mutex is free, or handed over. The wait has no limit and is not abortable."
arguments {
    mutex "The real-time mutex.";
}
result "0."
errors {
    Inval "The caller has it already, or its owner waits for the caller; or the structure is not aligned to 4 bytes, or lies across the end of a page.";
    Fault LOST;
}
assertions [84..=85]
example r"static KnRtMutex lock;

void with_urgent_lock(void (*work)(void))
{
    rtMutexGet(&lock);
    work();
    rtMutexRel(&lock);
}
"
see ["rtMutexRel", "rtMutexTry", "mutexGet", "threadPriority"]

"rtMutexRel": "Unlocks a real-time mutex."
contract "The most urgent waiter gets it, of equally urgent ones the one that has waited longest, and may preempt the caller before the call returns. The caller falls back to its own priority, or to what it \
inherits by other mutexes that it has."
arguments {
    mutex "The real-time mutex.";
}
result "0."
errors {
    Inval "The caller does not have it; or the structure is not aligned to 4 bytes, or lies across the end of a page.";
    Fault BAD_POINTER;
}
assertions [84..=85]
example r"int leave(KnRtMutex *lock)
{
    return rtMutexRel(lock);
}
"
see ["rtMutexGet", "rtMutexTry"]

"rtMutexTry": "Locks a real-time mutex if that needs no waiting."
contract "Test and locking are one step. It never waits."
arguments {
    mutex "The real-time mutex.";
}
result "0 when the caller has it now, 1 when it had an owner, be it the caller."
errors {
    Inval BAD_PLACE;
    Fault BAD_POINTER;
}
assertions [84..=84]
example r"int try_lock(KnRtMutex *lock)
{
    return rtMutexTry(lock) == 0;
}
"
see ["rtMutexGet", "rtMutexRel", "mutexTry"]
}
