//! Timers.

use super::synchronisation::{BAD_PLACE, LOST};
use super::*;

const BAD_TIMER: &str = "The capability is ill-formed, its key is wrong or its actor is gone; or the LI names no timer of that actor.";

section! {
"timerGetRes": "Resolution of timers."
contract "Timers expire at multiples of this time since boot, at the first one that is not before their time."
arguments {
    resolution "Where the resolution goes.";
}
result "0."
errors {
    Fault BAD_POINTER;
}
assertions []
example r"unsigned int timer_step(void)
{
    KnTimeVal resolution = { 0 };
    timerGetRes(&resolution);
    return resolution.tm_nsec;
}
"
see ["timerSet", "sysTimeGetRes"]

"timerThreadPoolInit": "Prepares a pool of threads for timers."
contract "A pool is 8 bytes in the caller's own memory, aligned to 4 and within one page. Threads wait on it by `timerThreadPoolWait`, and timers made with it wake them. When its page is freed, its timers stand still for ever, \
and threads that wait leave with `K_EFAULT`."
arguments {
    pool "The pool.";
}
result "0."
errors {
    Inval BAD_PLACE;
    Fault BAD_POINTER;
}
assertions [272..=272]
example r"static KnThreadPool pool;

int prepare_timers(void)
{
    return timerThreadPoolInit(&pool);
}
"
see ["timerThreadPoolWait", "timerCreate"]

"timerThreadPoolWait": "Waits until a timer of a pool expires."
contract "Writes the timer's cookie. An expiry wakes one thread, the one that has waited longest. Expiries for which no thread waits are counted for their timer and told to the next thread that waits, of \
several timers the one that expired first: `overrun` is how often the timer expired beyond this time. The null pointer waits without limit, an interval of zero not at all. A caller that is marked ABORTED leaves with \
`K_EABORT`."
waits "for an expiry, at most as long as `wait_limit` says. The wait is abortable."
arguments {
    pool "The pool.";
    cookie "Where the cookie of the timer goes; null: nowhere.";
    overrun "Where the number of further expiries goes; null: nowhere.";
    wait_limit "How long to wait at most; null: without limit.";
}
result "0."
errors {
    Inval "The pool was not prepared; it is not aligned to 4 bytes, or lies across the end of a page; or the nanoseconds of the interval are not in 0…999999999.";
    Timeout "No timer expired in time, or none has with an interval of zero.";
    Abort "The thread was aborted, now or before.";
    Fault LOST;
}
assertions [272..=273]
example r"/* What a thread of the pool does: each cookie is a function. */
void serve_timers(KnThreadPool *pool)
{
    unsigned long function;
    while (timerThreadPoolWait(pool, &function, 0, 0) == 0)
        ((void (*)(void))function)();
}
"
see ["timerCreate", "timerSet", "threadAbort"]

"timerCreate": "Makes a timer of an actor."
contract "The timer is not armed. It belongs to the actor and dies with it. Its expiries go to the pool, which lies in the caller's memory, with the cookie, which the Nucleus never follows."
privilege "For another actor that is a system or supervisor actor, system privilege."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
    clock "`K_CLOCK_REALTIME`, the clock of `sysTime`; there is no other.";
    pool "The pool.";
    cookie "A word that tells it from other timers of the pool.";
    timer_li "Where the LI of the timer goes, which is positive.";
}
result "0."
errors {
    Inval "The capability is ill-formed, its key is wrong or its actor is gone; there is no such clock; or the pool was not prepared, is not aligned to 4 bytes, or lies across the end of a page.";
    Unknown OTHER_SITE;
    Priv FOREIGN;
    Fault BAD_POINTER;
    NoMem "The site's table of timers is full.";
}
assertions [272..=274]
example r"/* Calls `tick` every 10 ms in a thread of the pool. */
int each_10_ms(KnThreadPool *pool, void (*tick)(void))
{
    KnITimer setting = { .it_interval = { .tm_nsec = 10000000 }, .it_value = { .tm_nsec = 10000000 } };
    int timer, result = timerCreate(K_MYACTOR, K_CLOCK_REALTIME, pool, (unsigned long)tick, &timer);
    return result < 0 ? result : timerSet(K_MYACTOR, timer, 0, &setting, 0);
}
"
see ["timerSet", "timerDelete", "timerThreadPoolInit", "timerThreadPoolWait"]

"timerSet": "Arms or disarms a timer."
contract "The timer expires when `it_value` has passed, or at that time of `sysTime` with `K_TIMER_ABSOLUTE`, and then again each time that `it_interval` has passed. An interval of zero: it expires once. A value of zero: it \
is disarmed. Values and intervals are rounded up to the resolution, so that it is never early, and no actor has more than one interrupt a tick. It replaces a former setting in one step; expiries that are counted and not told \
yet stay. What is left of the former setting is written first. A null pointer skips that half."
privilege "For another actor that is a system or supervisor actor, system privilege."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
    timer_li "LI of the timer.";
    flags "0, or `K_TIMER_ABSOLUTE`.";
    new_setting "The new setting; null: it stays.";
    old_setting "Where the former one goes, with the time that is left as its value; null: nowhere.";
}
result "0."
errors {
    Inval "The capability is ill-formed, its key is wrong or its actor is gone; the LI names no timer of that actor; the flags are none of those; the nanoseconds of an interval are not in 0…999999999; or the page of the \
timer's pool was freed.";
    Unknown OTHER_SITE;
    Priv FOREIGN;
    Fault BAD_POINTER;
}
assertions [272..=272]
example r"int disarm(int timer)
{
    KnITimer none = { 0 };
    return timerSet(K_MYACTOR, timer, 0, &none, 0);
}
"
see ["timerCreate", "timerDelete", "timerGetRes", "threadDelay"]

"timerDelete": "Deletes a timer."
contract "When it returns no expiry of the timer is told any more, also none that was counted."
privilege "For another actor that is a system or supervisor actor, system privilege."
arguments {
    actor_cap "Capability of the actor; null: the caller's own.";
    timer_li "LI of the timer.";
}
result "0."
errors {
    Inval BAD_TIMER;
    Unknown OTHER_SITE;
    Priv FOREIGN;
    Fault BAD_POINTER;
}
assertions [273..=273]
example r"int no_more(int timer)
{
    return timerDelete(K_MYACTOR, timer);
}
"
see ["timerCreate", "timerSet"]
}
