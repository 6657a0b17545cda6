//! Routines of supervisor actors that the Nucleus calls: handlers of exceptions, traps, aborts and interrupts, and LAPs.
//!
//! A routine runs in supervisor mode on the kernel stack of the thread that it is called for, as the actor's own threads do, and without the site's lock. It can be
//! lost: its exception that nobody treats, or the deletion of its actor, takes the stack back to where it was called. For that each call leaves its
//! stack pointer, where the address lies to go on at, in a chain, one a thread; handlers of interrupts, in nobody's thread and with interrupts off, have one a processor. What is dropped
//! that way are frames of the routine, and of Nucleus code that holds nothing.

use crate::entry::MAX_CPUS;
use crate::machine::X86;
use crate::processor;
use crate::site;
use crate::stretches;
use crate::traps::Frame;
use chorus_abi::error::K_EABORT;
use chorus_abi::{K_OK, KnExcDesc, KnExcReport, KnMsgDesc, KnSysTrapDesc, KnThreadCtx};
use chorus_nucleus_core::Nucleus;
use chorus_nucleus_core::supervisor::{Arrived, Call, Service, Then, Trouble, Upcall};
use core::arch::global_asm;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Threads of a site, at most.
pub const THREADS: usize = 1024;

/// By thread: stack pointer of its innermost call of a routine. Only the thread itself looks at it.
static CHAINS: [AtomicU64; THREADS] = [const { AtomicU64::new(0) }; THREADS];
/// The same by processor, for handlers of interrupts.
static INTERRUPT_CHAINS: [AtomicU64; MAX_CPUS] = [const { AtomicU64::new(0) }; MAX_CPUS];

global_asm!(
    r#"
    .macro call_routine_with enable:req, disable:req
    pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15
    pushq (%r8)
    pushq %r8
    leaq routine_over(%rip), %rax
    pushq %rax
    movq %rsp, (%r8)
    movq %rdi, %rax
    movq %rsi, %rdi
    movq %rdx, %rsi
    movq %rcx, %rdx
    \enable
    call *%rax
    \disable
    addq $8, %rsp
    xorl %edx, %edx
    .endm

    .text
    .balign 16
    .global call_routine, call_routine_quietly, call_lost
call_routine:
    call_routine_with sti, cli
routine_over:
    cld
    popq %r8
    popq (%r8)
    popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp
    ret
call_routine_quietly:
    call_routine_with nop, cli
    jmp routine_over
call_lost:
    cli
    cld
    movq %rdi, %rsp
    movl $1, %edx
    ret
"#,
    options(att_syntax)
);

#[repr(C)]
struct Returned {
    value: u64,
    lost: u64,
}

impl Returned {
    fn result(&self) -> Option<i32> {
        (self.lost == 0).then_some(self.value as i32)
    }
}

type Routine = unsafe extern "C" fn(u64, u64, u64, u64, *const AtomicU64) -> Returned;
unsafe extern "C" {
    /// Calls a routine with three arguments and interrupts on.
    fn call_routine(routine: u64, a: u64, b: u64, c: u64, chain: *const AtomicU64) -> Returned;
    /// The same with interrupts off.
    fn call_routine_quietly(
        routine: u64,
        a: u64,
        b: u64,
        c: u64,
        chain: *const AtomicU64,
    ) -> Returned;
    /// Returns from the call whose stack pointer this is, without a result.
    fn call_lost(stack: u64) -> !;
}

/// What a handler is shown, on the kernel stack of its thread. The annex of an answer comes right behind the registers.
#[repr(C)]
struct Room {
    context: KnThreadCtx,
    annex: [u8; 64],
    report: KnExcReport,
    exception: KnExcDesc,
    trap: KnSysTrapDesc,
}

impl Room {
    fn new(frame: &Frame) -> Self {
        Room {
            context: frame.context(),
            annex: [0; 64],
            report: KnExcReport::default(),
            exception: KnExcDesc::default(),
            trap: KnSysTrapDesc::default(),
        }
    }
}

/// Calls a routine for the thread that runs; the lock is free. `None`: it was lost.
fn call(routine: u64, arguments: [u64; 3]) -> Option<i32> {
    let slot = processor::this().current.get();
    let chain = CHAINS.get(slot)?;
    let [a, b, c] = arguments;
    call_with(call_routine, routine, [a, b, c], chain)
}

fn call_with(
    how: Routine,
    routine: u64,
    [a, b, c]: [u64; 3],
    chain: &'static AtomicU64,
) -> Option<i32> {
    // SAFETY: the Nucleus took the address from a supervisor actor, whose code may do anything by its nature; the chain lives for ever, and belongs to this
    // thread or processor alone.
    unsafe { how(routine, a, b, c, chain) }.result()
}

/// Goes back to where the innermost routine of the thread that runs was called. The lock is free.
fn lose(chain: Option<&AtomicU64>) -> ! {
    let stack = chain.map_or(0, |chain| chain.load(Relaxed));
    assert!(stack != 0, "no routine to be lost");
    // SAFETY: the stack pointer of a call that has not returned, on this very stack.
    unsafe { call_lost(stack) }
}

/// The chain of the thread in a slot.
#[inline(always)]
pub fn chain(slot: usize) -> Option<&'static AtomicU64> {
    CHAINS.get(slot)
}

fn own_chain() -> Option<&'static AtomicU64> {
    CHAINS.get(processor::this().current.get())
}

/// A thread is back on a processor inside a routine, or on its way home: a routine that is lost ends here. The lock is held, and is free if this does not return.
#[inline]
fn leave_if_lost(nucleus: &mut Nucleus<X86>) {
    if nucleus.doomed(processor::this().index) {
        site::leave();
        lose(own_chain());
    }
}

/// The end of a wait in a call: as [`leave_if_lost`]; and an abort that is to be treated comes as an interrupt when the call is over.
pub fn waited(nucleus: &mut Nucleus<X86>) {
    leave_if_lost(nucleus);
    let own = processor::this();
    if nucleus.is_aborted(own.index) {
        crate::apic::send(own.apic.get(), u32::from(crate::apic::RESCHEDULE));
    }
}

/// A message as a handler is shown it, on the kernel stack of its thread.
#[repr(C)]
struct Letter {
    desc: KnMsgDesc,
    annex: MaybeUninit<[u8; 64]>,
}

impl Letter {
    #[inline(always)]
    fn new(message: &Arrived) -> Self {
        Letter {
            desc: KnMsgDesc {
                body_size: message.size,
                seq_num: message.sequence,
                ..KnMsgDesc::default()
            },
            annex: MaybeUninit::uninit(),
        }
    }

    /// Its address, once it stays where it is.
    #[inline(always)]
    fn shown(&mut self, message: &Arrived) -> u64 {
        if let Some(annex) = &message.annex {
            self.desc.annex_addr = self.annex.write(*annex).as_ptr() as u64;
        }
        &raw mut *self as u64
    }
}

/// The caller goes into a LAP or a message handler: the result of its call. The lock is held before and free after.
pub fn inside(upcall: Upcall) -> i32 {
    site::leave();
    let result = match upcall.what {
        Call::Message(message) => {
            let mut letter = Letter::new(&message);
            let shown = letter.shown(&message);
            call(upcall.routine, [shown, upcall.cookie, 0])
        }
        Call::Lap(argument) => call(upcall.routine, [argument, upcall.cookie, 0]),
        _ => None,
    };
    let of_message = come_out(site::enter(), result);
    match (upcall.what, result) {
        (Call::Message(_), _) => of_message,
        (_, Some(_)) => K_OK,
        (_, None) => K_EABORT,
    }
}

/// The thread that runs is out of its innermost routine, and goes on when it can: the result of its call if that was of a message. The lock is held before and free after.
fn come_out(nucleus: &mut Nucleus<X86>, result: Option<i32>) -> i32 {
    nucleus.returned(processor::this().index, result);
    site::settle(nucleus, processor::this());
    waited(nucleus);
    let result = nucleus.result(processor::this().index);
    site::leave();
    result
}

/// The caller goes the straight way into a message handler: the result of its call. The lock is held before and free after.
pub fn straight(nucleus: &Nucleus<X86>) -> i32 {
    let entered = nucleus.straight();
    let (routine, cookie) = (entered.routine, entered.cookie);
    let mut letter = Letter::new(&entered.arrived);
    let shown = letter.shown(&entered.arrived);
    let own = processor::this();
    own.way_of_calls.set(crate::visits::visit);
    own.visiting.set(1);
    site::leave();
    let result = call(routine, [shown, cookie, 0]);
    let (nucleus, own) = (site::enter_briefly(), processor::this());
    if result.is_some()
        && let Some(result) = nucleus.visit_over(own.index)
    {
        own.visiting.set(0);
        site::leave_briefly();
        return result;
    }
    stretches::begin(stretches::now());
    site::register(nucleus);
    out(nucleus, result)
}

/// The routine that the thread that runs went into is over: the result of its call. The lock is held before and free after.
pub fn out(nucleus: &mut Nucleus<X86>, result: Option<i32>) -> i32 {
    if result.is_some()
        && let Some(result) = nucleus.straight_out(processor::this().index)
    {
        if !nucleus.caller_goes_on() {
            site::settle(nucleus, processor::this());
        }
        site::leave();
        return result;
    }
    come_out(nucleus, result)
}

/// Calls a handler with what it is to see; its verdict.
fn handle(upcall: &Upcall, frame: &Frame, room: &mut Room) -> Option<i32> {
    room.context = frame.context();
    let context = &raw mut room.context as u64;
    let (routine, cookie) = (upcall.routine, upcall.cookie);
    match (upcall.what, upcall.lap) {
        (Call::Exception(trouble), false) => {
            let info = &raw mut room.report as u64;
            call(routine, [context, trouble.number.into(), info])
        }
        (Call::Exception(trouble), true) => {
            room.exception = KnExcDesc {
                thread_ctx: context,
                info: &raw mut room.report as u64,
                exc_no: trouble.number as i32,
                result: -1,
            };
            let argument = &raw mut room.exception;
            call(routine, [argument as u64, cookie, 0])?;
            // SAFETY: the routine was given the address, and wrote there if it wrote.
            Some(unsafe { (&raw const (*argument).result).read_volatile() })
        }
        (Call::Trap(number), false) => call(routine, [context, number.into(), 0]),
        (Call::Trap(number), true) => {
            room.trap = KnSysTrapDesc {
                thread_ctx: context,
                trap_number: number,
                pad: 0,
            };
            call(routine, [&raw mut room.trap as u64, cookie, 0])
        }
        (Call::Abort | Call::Lap(_) | Call::Message(_), _) => call(routine, [context, cookie, 0]),
    }
}

/// Does what the core says until the thread goes on with its own code. The lock is held before and after.
fn follow(nucleus: &'static mut Nucleus<X86>, frame: &mut Frame, room: &mut Room, first: Then) {
    let (mut nucleus, mut then) = (nucleus, first);
    loop {
        let own = processor::this();
        then = match then {
            Then::Resume { changed } => {
                if changed {
                    // SAFETY: handlers and answers write there by its address.
                    let context = unsafe { (&raw const room.context).read_volatile() };
                    frame.set_context(&context);
                }
                crate::traps::settle(nucleus, frame);
                if !frame.user() {
                    leave_if_lost(nucleus);
                }
                match nucleus.homecoming(processor::this().index) {
                    Some(upcall) => Then::Invoke(upcall),
                    None => return,
                }
            }
            Then::Invoke(upcall) => {
                if let Call::Exception(trouble) = &upcall.what {
                    room.report = nucleus.report_of(own.index, trouble);
                }
                site::leave();
                let result = handle(&upcall, frame, room);
                nucleus = site::enter();
                if !matches!((upcall.what, result), (Call::Exception(_), Some(0)))
                    && matches!(upcall.what, Call::Exception(_))
                {
                    // What a handler that did not treat it left there is nobody's.
                    room.context = frame.context();
                }
                nucleus.returned(processor::this().index, result)
            }
            Then::Report(trouble) => {
                crate::traps::settle(nucleus, frame);
                nucleus.reported(processor::this().index, &trouble)
            }
        };
    }
}

/// An exception that memory management did not solve. The lock is held before and after.
pub fn exception(nucleus: &'static mut Nucleus<X86>, frame: &mut Frame, trouble: Trouble) {
    let own = processor::this();
    if nucleus.in_interrupt(own.index) {
        nucleus.exception(own.index, trouble);
        site::leave();
        lose(INTERRUPT_CHAINS.get(own.index));
    }
    let mut room = Room::new(frame);
    let trouble = Trouble {
        context: &raw mut room.context as u64,
        ..trouble
    };
    let then = nucleus.exception(own.index, trouble);
    follow(nucleus, frame, &mut room, then);
}

/// A routine has run over the end of its stack: it is lost, with its actor, if it was called by the Nucleus. Then this does not return. A supervisor actor's own thread
/// is not helped that way. Called on the stack for double faults, with the lock free.
pub fn overrun(pc: u64) {
    let own = processor::this();
    let interrupt = |chain: &AtomicU64| chain.load(Relaxed) != 0;
    let in_interrupt = INTERRUPT_CHAINS
        .get(own.index)
        .filter(|chain| interrupt(chain));
    let Some(chain) = in_interrupt.or_else(|| own_chain().filter(|chain| interrupt(chain))) else {
        return;
    };
    // It may have been an interrupt that had no room: then nobody else would end it.
    crate::apic::end();
    let nucleus = site::enter();
    nucleus.lost(own.index, pc);
    site::leave();
    lose(Some(chain));
}

/// A trap of a subsystem.
pub fn trap(frame: &mut Frame) {
    let mut room = Room::new(frame);
    let context = &raw mut room.context as u64;
    let nucleus = site::enter();
    let (number, pc) = (frame.vector as u32, frame.rip);
    let then = nucleus.trap(processor::this().index, number, frame.rax, pc, context);
    follow(nucleus, frame, &mut room, then);
    site::leave();
}

/// The way back from an interrupt or an exception that is over. The lock is held, and free after.
#[inline]
pub fn finish(nucleus: &'static mut Nucleus<X86>, frame: &mut Frame) {
    if frame.in_nucleus() {
        // What concerns the thread is looked at when its call goes on.
        return site::leave();
    }
    if !frame.user() {
        leave_if_lost(nucleus);
    }
    if nucleus.is_aborted(processor::this().index) {
        go_home(nucleus, frame);
    }
    site::leave();
}

#[cold]
#[inline(never)]
fn go_home(nucleus: &'static mut Nucleus<X86>, frame: &mut Frame) {
    let mut room = Room::new(frame);
    follow(nucleus, frame, &mut room, Then::Resume { changed: false });
}

fn serve(nucleus: &'static mut Nucleus<X86>, first: Option<Service>) -> &'static mut Nucleus<X86> {
    let (mut nucleus, mut next) = (nucleus, first);
    let own = processor::this();
    while let (Some(service), Some(chain)) = (next, INTERRUPT_CHAINS.get(own.index)) {
        site::leave();
        let result = call_with(
            call_routine_quietly,
            service.routine,
            match service.timeout {
                Some(desc) => [desc, service.cookie, 0],
                None => [service.cookie, 0, 0],
            },
            chain,
        );
        nucleus = site::enter();
        next = nucleus.interrupt_returned(own.index, result);
    }
    nucleus
}

/// Calls the handlers of a vector, if there are any, and the system timeouts and soft interrupts that wait. The lock is held before and after.
pub fn interrupts(
    nucleus: &'static mut Nucleus<X86>,
    vector: Option<u32>,
) -> &'static mut Nucleus<X86> {
    let own = processor::this().index;
    let mut nucleus = nucleus;
    if let Some(first) = vector.and_then(|vector| nucleus.interrupt_handler(own, vector)) {
        nucleus = serve(nucleus, Some(first));
    }
    while let Some(soft) = nucleus.soft_interrupt(own) {
        nucleus = serve(nucleus, Some(soft));
    }
    nucleus
}

/// One past the highest address of user mode, of regions and the stub page.
const LOWER_HALF: u64 = 1 << 47;
/// Flags that a handler may change: arithmetic, direction, trap.
const CHANGEABLE: u64 = 0xdd5;

impl Frame {
    /// Whether it is of user mode.
    pub fn user(&self) -> bool {
        self.cs & 3 != 0
    }

    fn context(&self) -> KnThreadCtx {
        KnThreadCtx {
            rax: self.rax,
            rbx: self.rbx,
            rcx: self.rcx,
            rdx: self.rdx,
            rsi: self.rsi,
            rdi: self.rdi,
            rbp: self.rbp,
            rsp: self.rsp,
            r8: self.r8,
            r9: self.r9,
            r10: self.r10,
            r11: self.r11,
            r12: self.r12,
            r13: self.r13,
            r14: self.r14,
            r15: self.r15,
            rip: self.rip,
            rflags: self.rflags,
            ..KnThreadCtx::default()
        }
    }

    fn set_context(&mut self, context: &KnThreadCtx) {
        self.rax = context.rax;
        self.rbx = context.rbx;
        self.rcx = context.rcx;
        self.rdx = context.rdx;
        self.rsi = context.rsi;
        self.rdi = context.rdi;
        self.rbp = context.rbp;
        self.rsp = context.rsp;
        self.r8 = context.r8;
        self.r9 = context.r9;
        self.r10 = context.r10;
        self.r11 = context.r11;
        self.r12 = context.r12;
        self.r13 = context.r13;
        self.r14 = context.r14;
        self.r15 = context.r15;
        // An address that no space can map is replaced by one that faults in user mode: `iretq` would fault here.
        self.rip = if self.user() && context.rip >= LOWER_HALF {
            0
        } else {
            context.rip
        };
        self.rflags = self.rflags & !CHANGEABLE | context.rflags & CHANGEABLE;
    }
}
