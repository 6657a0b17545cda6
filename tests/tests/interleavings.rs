//! The few places where processors meet without the site's lock, in every interleaving that the memory model allows (loom).
//!
//! The files are the kernel's own; only their atomics are the checker's.

use loom::sync::atomic;

#[path = "../../guest-nucleus/kernel/src/lock.rs"]
mod lock;
#[path = "../../guest-nucleus/kernel/src/requests.rs"]
mod requests;

use atomic::{AtomicU32, AtomicU64, Ordering};
use lock::TicketLock;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use requests::Requests;

fn free_lock() -> TicketLock {
    TicketLock::of(AtomicU32::new(0), AtomicU32::new(0))
}

/// What the lock guards; loom sees two who are inside at once.
struct Guarded {
    lock: TicketLock,
    value: UnsafeCell<u32>,
}

// SAFETY: loom stops a test in which the lock does not keep accesses apart.
unsafe impl Sync for Guarded {}
// SAFETY: as above.
unsafe impl Send for Guarded {}

impl Guarded {
    fn new() -> Arc<Guarded> {
        Arc::new(Guarded {
            lock: free_lock(),
            value: UnsafeCell::new(0),
        })
    }

    /// Inside, holding the lock.
    fn with<T>(&self, meanwhile: fn(), change: impl FnOnce(&mut u32) -> T) -> T {
        self.lock.acquire(meanwhile);
        // SAFETY: the lock is held, or loom says that it is not.
        let result = self.value.with_mut(|value| change(unsafe { &mut *value }));
        self.lock.release();
        result
    }
}

#[test]
fn the_site_s_lock_lets_one_in_at_a_time() {
    loom::model(|| {
        let guarded = Guarded::new();
        let others: Vec<_> = (0..2)
            .map(|_| {
                let guarded = guarded.clone();
                thread::spawn(move || guarded.with(thread::yield_now, |value| *value += 1))
            })
            .collect();
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(guarded.with(thread::yield_now, |value| *value), 2);
    });
}

#[test]
fn the_lock_is_taken_in_order_of_arrival() {
    loom::model(|| {
        let guarded = Guarded::new();
        guarded.lock.acquire(thread::yield_now);
        let other = {
            let guarded = guarded.clone();
            thread::spawn(move || guarded.with(thread::yield_now, |value| *value = 1))
        };
        guarded.lock.release();
        // Whoever came first was first: a second turn of ours sees either nothing yet or all of it.
        let seen = guarded.with(thread::yield_now, |value| *value);
        assert!(seen <= 1);
        other.join().unwrap();
        assert_eq!(guarded.with(thread::yield_now, |value| *value), 1);
    });
}

/// A request that one processor sends while it holds the lock, to one that wants the lock or serves an interrupt: it is done when the sender goes on, and nobody waits for ever.
#[test]
fn a_request_is_done_before_its_sender_goes_on() {
    loom::lazy_static! {
        static ref REQUESTS: Requests = Requests::of(AtomicU64::new(0), AtomicU64::new(0));
        static ref DONE: AtomicU64 = AtomicU64::new(0);
    }
    fn serve() {
        if REQUESTS.any() {
            REQUESTS.answer(1, |what| {
                // Relaxed: the answer itself must carry it to the sender.
                DONE.store(what, Ordering::Relaxed);
            });
        }
        thread::yield_now();
    }
    loom::model(|| {
        let guarded = Guarded::new();
        let other = {
            let guarded = guarded.clone();
            thread::spawn(move || {
                guarded.with(serve, |value| *value += 1);
                // Out of the Nucleus its interrupt serves it.
                while DONE.load(Ordering::Relaxed) == 0 {
                    serve();
                }
            })
        };
        guarded.with(thread::yield_now, |value| {
            *value += 1;
            REQUESTS.raise(7, 1 << 1);
            while !REQUESTS.all_answered() {
                thread::yield_now();
            }
            assert_eq!(
                DONE.load(Ordering::Relaxed),
                7,
                "the sender goes on too early"
            );
        });
        other.join().unwrap();
    });
}

/// A processor finds nothing to do, leaves the lock and halts; another makes a thread ready and kicks it. The interrupt stays pending until the halt, so that no wake-up is lost.
#[test]
fn a_kick_between_the_look_and_the_halt_wakes() {
    loom::model(|| {
        let guarded = Guarded::new();
        // Whoever is notified while he does not wait does not wait when he wants to: so it is with a pending interrupt and `sti; hlt`.
        let interrupt = Arc::new(loom::sync::Notify::new());
        let idle = {
            let (guarded, interrupt) = (guarded.clone(), interrupt.clone());
            thread::spawn(move || {
                while guarded.with(thread::yield_now, std::mem::take) == 0 {
                    interrupt.wait();
                }
            })
        };
        guarded.with(thread::yield_now, |ready| {
            *ready = 1;
            interrupt.notify();
        });
        idle.join().unwrap();
    });
}
