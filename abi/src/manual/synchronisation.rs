//! Mutexes, semaphores, time.

use super::*;

pub(super) const BAD_PLACE: &str =
    "The structure is not aligned to 4 bytes, or lies across the end of a page.";
pub(super) const LOST: &str = "A pointer leads outside the caller's memory, or to memory that does not allow the access; or the page of the structure was freed while the caller waited.";

section! {
"mutexInit": "Makes a mutex free."
contract "A mutex is 8 bytes in the caller's own memory, aligned to 4 and within one page. All zero is a free mutex, so that static ones need no call. The Nucleus keeps nothing for it \
while nobody waits: there can be any number. It excludes the threads of all actors that share the memory. It must not be made anew while a thread waits for it."
arguments {
    mutex "The mutex.";
}
result "0."
errors {
    Fault BAD_POINTER;
}
assertions [83..=83]
example r"struct account { KnMutex lock; long balance; };

int open_account(struct account *account)
{
    account->balance = 0;
    return mutexInit(&account->lock);
}
"
see ["mutexGet", "mutexRel", "mutexTry", "semInit"]

"mutexGet": "Locks a mutex."
contract "Threads get it in the order in which they began to wait; the one that releases it hands it over directly, so that nobody overtakes. It is not recursive: a thread \
that has it and asks again waits for ever. A waiter that is deleted leaves the queue; one that is suspended keeps its place."
waits "until the mutex is free, or handed over. The wait has no limit and is not abortable."
arguments {
    mutex "The mutex.";
}
result "0."
errors {
    Inval BAD_PLACE;
    Fault LOST;
}
assertions [80..=83]
example r"static KnMutex lock; /* all zero: free */
static long balance;

int deposit(long amount)
{
    int result = mutexGet(&lock);
    if (result < 0)
        return result;
    balance += amount;
    return mutexRel(&lock);
}
"
see ["mutexRel", "mutexTry", "mutexInit", "semP"]

"mutexRel": "Unlocks a mutex."
contract "The thread that has waited longest has the mutex from now on; if none waits, it is free. Any thread may release it. Releasing a free mutex has no effect."
arguments {
    mutex "The mutex.";
}
result "0."
errors {
    Inval BAD_PLACE;
    Fault BAD_POINTER;
}
assertions [80..=83]
example r"static KnMutex lock;

void with_lock(void (*work)(void))
{
    mutexGet(&lock);
    work();
    mutexRel(&lock);
}
"
see ["mutexGet", "mutexTry"]

"mutexTry": "Locks a mutex if that needs no waiting."
contract "Test and locking are one step. It never waits."
arguments {
    mutex "The mutex.";
}
result "0 when the caller has it now, 1 when another has it."
errors {
    Inval BAD_PLACE;
    Fault BAD_POINTER;
}
assertions [82..=82]
example r"static KnMutex lock;

int try_work(void (*work)(void))
{
    if (mutexTry(&lock) != 0)
        return 0;
    work();
    mutexRel(&lock);
    return 1;
}
"
see ["mutexGet", "mutexRel"]

"semInit": "Sets the counter of a semaphore."
contract "A semaphore is 8 bytes in the caller's own memory, aligned to 4 and within one page. The Nucleus keeps nothing for it while nobody waits. It works between all actors that share \
the memory. It must not be set anew while a thread waits for it."
arguments {
    sem "The semaphore.";
    count "Units that it has.";
}
result "0."
errors {
    Fault BAD_POINTER;
    Inval "The count is above 2147483647.";
}
assertions [86..=86]
example r"static KnSem items;

int empty_store(void)
{
    return semInit(&items, 0);
}
"
see ["semP", "semV", "mutexInit"]

"semP": "Takes a unit of a semaphore."
contract "Subtracts one from the counter. If it was 0 or below, the caller waits until `semV` gives it a unit; threads are woken in the order in which they began to wait. A time limit or an abort \
takes the subtraction back, so that no unit is lost. The null pointer waits without limit, an interval of zero not at all. A caller that is marked ABORTED leaves with \
`K_EABORT` even if there is a unit, and takes none."
waits "for a unit, at most as long as `wait_limit` says. The wait is abortable."
arguments {
    sem "The semaphore.";
    wait_limit "How long to wait at most; null: without limit.";
}
result "0."
errors {
    Timeout "There was no unit in time, or none at all with an interval of zero.";
    Abort "The thread was aborted, now or before.";
    Fault LOST;
    Inval "The structure is not aligned to 4 bytes, or lies across the end of a page; or the nanoseconds of the interval are not in 0…999999999.";
}
assertions [72..=72, 86..=90]
example r"static KnSem items;

/* 0, or K_ETIMEOUT after a second. */
int take_item(void)
{
    KnTimeVal second = { .tm_sec = 1 };
    return semP(&items, &second);
}
"
see ["semV", "semInit", "threadAbort", "threadDelay"]

"semV": "Gives a unit to a semaphore."
contract "Adds one to the counter. If threads wait, the one that has waited longest wakes; one call wakes one thread at most."
arguments {
    sem "The semaphore.";
}
result "0."
errors {
    Inval BAD_PLACE;
    Fault BAD_POINTER;
    Full "The counter is at its maximum, 2147483647.";
}
assertions [86..=90]
example r"static KnSem items;

int put_item(void)
{
    return semV(&items);
}
"
see ["semP", "semInit"]

"sysTime": "Time since boot."
contract "The time that has passed since the site booted, in seconds and nanoseconds. It never goes back, on whichever processor it is asked. Clocks of different sites have \
nothing to do with each other."
arguments {
    time "Where the time goes.";
}
result "0."
errors {
    Fault BAD_POINTER;
}
assertions [74..=74]
example r"unsigned long nanoseconds(void)
{
    KnTimeVal now = { 0 };
    sysTime(&now);
    return now.tm_sec * 1000000000 + now.tm_nsec;
}
"
see ["sysTimeGetRes", "threadDelay", "siteStat"]

"sysTimeGetRes": "Resolution of the clock."
contract "The smallest step of `sysTime`. No interval is kept more exactly than this."
arguments {
    resolution "Where the resolution goes.";
}
result "0."
errors {
    Fault BAD_POINTER;
}
assertions []
example r"unsigned int step(void)
{
    KnTimeVal resolution = { 0 };
    sysTimeGetRes(&resolution);
    return resolution.tm_nsec;
}
"
see ["sysTime", "threadDelay"]
}
