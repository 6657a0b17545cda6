//! The one Nucleus of the site, its lock, and the way out of it: to whichever thread should run.

use crate::lock::TicketLock;
use crate::machine::X86;
use crate::processor::{self, IDLE, Processor};
use crate::{context, cpu, serial, shootdown, stretches, trace};
use chorus_abi::machine::Mark;
use chorus_abi::trace::Class;
use chorus_nucleus_core::Next;
use chorus_nucleus_core::Nucleus;
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

struct Site(UnsafeCell<MaybeUninit<Nucleus<X86>>>);
// SAFETY: reached through `enter` only, which takes the lock.
unsafe impl Sync for Site {}

static SITE: Site = Site(UnsafeCell::new(MaybeUninit::uninit()));
static LOCK: TicketLock = TicketLock::of(AtomicU32::new(0), AtomicU32::new(0));
static FIRST_USER: AtomicBool = AtomicBool::new(true);

/// Puts the Nucleus in its place, before any processor enters.
pub fn install(nucleus: Nucleus<X86>) {
    // SAFETY: the boot processor is alone until it lets the others schedule.
    unsafe { (*SITE.0.get()).write(nucleus) };
}

/// Takes the lock and gives the Nucleus, in which everybody is seen to be where he is.
#[inline]
pub fn enter() -> &'static mut Nucleus<X86> {
    let began = stretches::now();
    let nucleus = enter_briefly();
    stretches::begin(began);
    register(nucleus);
    nucleus
}

/// Threads inside handlers are seen to be there from now on, that of this processor among them.
#[inline(always)]
pub fn register(nucleus: &mut Nucleus<X86>) {
    nucleus.register_visitors();
    processor::this().visiting.set(0);
}

/// The same for what is short by construction, and not worth reading the clock for: conversations, and visits, which others can leave without records.
#[inline]
pub fn enter_briefly() -> &'static mut Nucleus<X86> {
    LOCK.acquire(shootdown::serve);
    // SAFETY: `install` came first, and the lock makes this the only reference in use.
    unsafe { (*SITE.0.get()).assume_init_mut() }
}

/// The same if the lock is free; else the ticket to call [`enter_late`] with, so that who has much in registers need not keep it for the wait.
#[inline(always)]
pub fn enter_at_once() -> Result<&'static mut Nucleus<X86>, u32> {
    LOCK.acquire_at_once()?;
    // SAFETY: as `enter_briefly`.
    Ok(unsafe { (*SITE.0.get()).assume_init_mut() })
}

/// The rest of entering when it was not free.
pub fn enter_late(ticket: u32) -> &'static mut Nucleus<X86> {
    LOCK.wait(ticket, shootdown::serve);
    // SAFETY: as `enter_briefly`.
    unsafe { (*SITE.0.get()).assume_init_mut() }
}

/// The Nucleus, whose lock this processor has taken.
///
/// # Safety
/// The lock is held, and no other reference is in use.
#[inline(always)]
pub unsafe fn entered() -> &'static mut Nucleus<X86> {
    // SAFETY: the caller's promise; `install` came before the first lock was taken.
    unsafe { (*SITE.0.get()).assume_init_mut() }
}

/// Actor and thread of a slot for the panic report, without the lock: its holder may be the very processor that panics.
///
/// # Safety
/// A thread was once put in the slot, so the Nucleus is installed, and all other processors have been told to stop.
pub unsafe fn identity(slot: usize) -> Option<(u64, u32)> {
    // SAFETY: by the contract; what is read may be half changed, and is only copied out.
    unsafe { (*SITE.0.get()).assume_init_ref() }.identity(slot)
}

/// Lets the next processor in.
#[inline]
pub fn leave() {
    stretches::end();
    LOCK.release();
}

/// The same after [`enter_briefly`], when nothing else was done.
#[inline]
pub fn leave_briefly() {
    LOCK.release();
}

/// Runs the thread that should run now; returns when the caller should. The lock is held before and after.
#[inline]
pub fn settle(nucleus: &mut Nucleus<X86>, own: &Processor) {
    match nucleus.schedule(own.index) {
        Next::Same => {}
        Next::Thread(thread) => run(nucleus, own, thread),
        Next::Idle => run(nucleus, own, IDLE),
        Next::Reap => {
            own.reaps.set(true);
            run(nucleus, own, IDLE);
        }
    }
}

/// Between two steps of a call: lets other processors in, and interrupts, which may put another thread on this one.
pub fn breathe() -> &'static mut Nucleus<X86> {
    leave();
    cpu::hear_interrupts();
    enter()
}

/// What a processor does before it sleeps: it gives back what goes, in steps, if it was told so. Between two of them interrupts are heard. They are off before and
/// after.
#[unsafe(no_mangle)]
extern "C" fn idle_work() {
    let own = processor::this();
    while own.reaps.take() {
        let nucleus = enter();
        stretches::is_in(stretches::REAPING);
        nucleus.reap(own.index);
        settle(nucleus, own);
        leave();
        cpu::hear_interrupts();
    }
}

/// Switches to a thread that has this processor already, or to nobody.
#[inline]
pub fn run(nucleus: &mut Nucleus<X86>, own: &Processor, next: usize) {
    if next != own.current.get() {
        if trace::wants(Class::Switch) {
            trace::note_switch(nucleus, next);
        }
        context::switch(&mut nucleus.machine, own, next, 0);
        nucleus.switched(processor::this().index);
    }
}

/// First thing that a new thread, or a processor that idles for the first time, does.
#[unsafe(no_mangle)]
extern "C" fn thread_begins() {
    let own = processor::this();
    // SAFETY: the lock was taken by whoever switched here.
    let nucleus = unsafe { (*SITE.0.get()).assume_init_mut() };
    nucleus.switched(own.index);
    let user = nucleus.machine.is_user(own.current.get());
    leave();
    if user && FIRST_USER.swap(false, Ordering::Relaxed) {
        serial::mark(Mark::FirstUserInstruction as u32);
    }
}

/// First thing that a thread does whose registers were replaced.
#[unsafe(no_mangle)]
extern "C" fn thread_goes_on() {
    // SAFETY: as `thread_begins`, which leaves the lock.
    let nucleus = unsafe { (*SITE.0.get()).assume_init_mut() };
    let current = processor::this().current.get();
    if let Some(Some(context)) = nucleus.machine.contexts.get_mut(current) {
        context.frame = 0;
    }
    thread_begins();
}
