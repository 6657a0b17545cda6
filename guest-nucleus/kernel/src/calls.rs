//! The ways into the Nucleus: `syscall`, the stub page of user actors, the entry points of supervisor actors.
//!
//! All end in [`nucleus_call`] with a number and six registers. A user actor's stub is in a page that every user space has; a supervisor actor's
//! is the Nucleus' own code, called directly, without a change of ring or stack.

use crate::machine::X86;
use crate::processor::{self, Processor};
use crate::{context, short_calls, site, stretches, trace, upcalls, visits};
use chorus_abi::table::number;
use chorus_abi::trace::Class;
use chorus_nucleus_core::{Nucleus, Outcome, Passed};
use core::arch::global_asm;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

global_asm!(
    r#"
    // The way from a call of a user actor onto the kernel stack of its thread.
    .macro enter_call
    swapgs
    movq %rsp, %gs:{user_stack}
    movq %gs:{kernel_stack}, %rsp
    pushq %gs:{user_stack}
    pushq %r11
    pushq %rcx
    .endm

    // The way back to the actor of a call. What is in registers that a call may change is the Nucleus'.
    .macro leave_call
    popq %rcx
    popq %r11
    xorl %edx, %edx
    xorl %esi, %esi
    xorl %edi, %edi
    xorl %r8d, %r8d
    xorl %r9d, %r9d
    xorl %r10d, %r10d
    popq %rsp
    swapgs
    sysretq
    .endm

    .text
    .balign 16
    .global call_entry
call_entry:
    enter_call
call_saved:
    cmpl ${ipc_call}, %eax
    je 2f
    cmpl ${ipc_reply_receive}, %eax
    je 3f
    testl %eax, %eax
    jz 4f
    cmpl ${sem_p}, %eax
    je 5f
    cmpl ${sem_v}, %eax
    je 6f
    cmpl ${thread_delay}, %eax
    je 7f
    pushq %r9
    pushq %r8
    pushq %r10
    pushq %rdx
    pushq %rsi
    pushq %rdi
    movl %eax, %edi
    movq %rsp, %rsi
call_entered:
    call nucleus_call
    addq $48, %rsp
call_left:
    leave_call
2:  movq %r10, %rcx
    call *%gs:{way}
call_returns:
    leave_call
3:  movq %r10, %rcx
    call {reply_receive}
    leave_call
4:  call {null}
    leave_call
5:  call {p}
    leave_call
6:  call {v}
    leave_call
7:  call {delay}
call_entry_returns:
    leave_call
call_entry_end:

    // The same while a trace is on: every call goes one way.
    .balign 16
    .global call_entry_traced
call_entry_traced:
    enter_call
traced_saved:
    pushq %r9
    pushq %r8
    pushq %r10
    pushq %rdx
    pushq %rsi
    pushq %rdi
    movl %eax, %edi
    movq %rsp, %rsi
traced_entered:
    call {traced}
    addq $48, %rsp
traced_left:
    leave_call
traced_end:

    // How debuggers find the actor that called (.eh_frame by hand, since the assembler gives no way to mark a frame in .debug_frame as one whose caller is on
    // another stack: augmentation S). The stub between actor and Nucleus is left out: its return address is the top of the actor's stack, which is
    // saved 16 bytes up, and 64 bytes when nucleus_call is entered, so the frame's address is that + 8.
    .pushsection .eh_frame, "a", @progbits
2:  .long 4f - 3f
3:  .long 0
    .byte 1
    .asciz "zRS"
    .uleb128 1
    .sleb128 -8
    .uleb128 16
    .uleb128 1
    .byte 0x1b
    .byte 0x0c, 7, 8, 0x90, 1
    .balign 8, 0
    .macro way_in entry, saved, entered, left, end
4:  .long 6f - 5f
5:  .long 5b - 2b
    .long \entry - .
    .long \end - \entry
    .uleb128 0
    .byte 0x02, \saved - \entry
    .byte 0x0f, 5, 0x77, 0x10, 0x06, 0x23, 0x08
    .byte 0x02, \entered - \saved
    .byte 0x0f, 6, 0x77, 0xc0, 0x00, 0x06, 0x23, 0x08
    .byte 0x02, \left - \entered
    .byte 0x0f, 5, 0x77, 0x10, 0x06, 0x23, 0x08
    .balign 8, 0
6:
    .endm
4:  way_in call_entry, call_saved, call_entered, call_left, call_entry_end
    way_in call_entry_traced, traced_saved, traced_entered, traced_left, traced_end
    .popsection

    .macro supervisor_enters what
    .cfi_startproc
    // Interrupts are on again afterwards if they were: in their handlers they are not.
    pushfq
    cli
    pushq %r9
    pushq %r8
    pushq %rcx
    pushq %rdx
    pushq %rsi
    pushq %rdi
    movl %eax, %edi
    movq %rsp, %rsi
    .cfi_def_cfa %rsp, 64
    call \what
    addq $48, %rsp
    .cfi_def_cfa %rsp, 16
    popfq
    .cfi_def_cfa %rsp, 8
    ret
    .cfi_endproc
    .endm

    .balign 16
    .global supervisor_entries
supervisor_entries:
    .set number, 0
    .rept 256
    .balign 16
    .if number == {ipc_call}
    jmp *supervisor_ways+8(%rip)
    .elseif number == {ipc_reply_receive}
    jmp *supervisor_ways+16(%rip)
    .elseif number == {sem_p}
    jmp *supervisor_ways+24(%rip)
    .elseif number == {sem_v}
    jmp *supervisor_ways+32(%rip)
    .elseif number == {thread_delay}
    jmp *supervisor_ways+40(%rip)
    .elseif number == {sv_msg_hdl_reply}
    jmp *supervisor_ways+48(%rip)
    .elseif number == 0
    jmp *supervisor_ways+56(%rip)
    .else
    movl $number, %eax
    jmp *supervisor_ways(%rip)
    .endif
    .set number, number + 1
    .endr

    // Where the entries go on, and where they do while a trace is on and while none is.
    .macro supervisor_way call, number
    .pushsection .rodata.traced, "a"
    .quad traced_\call
    .popsection
    .pushsection .rodata.untraced, "a"
    .quad \call
    .popsection
    .pushsection .data.ways, "aw"
    .quad \call
    .popsection
traced_\call:
    .ifnb \number
    movl $\number, %eax
    jmp traced_supervisor_common
    .endif
    .endm
    .pushsection .rodata.traced, "a"
    .balign 8
supervisor_ways_traced:
    .popsection
    .pushsection .rodata.untraced, "a"
    .balign 8
supervisor_ways_untraced:
    .popsection
    .pushsection .data.ways, "aw"
    .balign 8
supervisor_ways:
    .popsection
    supervisor_way supervisor_common
    supervisor_enters {traced}
    supervisor_way supervisor_call, {ipc_call}
    supervisor_way supervisor_reply_receive, {ipc_reply_receive}
    supervisor_way supervisor_p, {sem_p}
    supervisor_way supervisor_v, {sem_v}
    supervisor_way supervisor_delay, {thread_delay}
    supervisor_way supervisor_answer, {sv_msg_hdl_reply}
    supervisor_way supervisor_null, 0

    // Calls whose arguments go where they are.
    .macro supervisor_calls what
    .cfi_startproc
    pushfq
    cli
    .cfi_def_cfa %rsp, 16
    call \what
    popfq
    .cfi_def_cfa %rsp, 8
    ret
    .cfi_endproc
    .endm
    // Those that go by what is known of the thread that runs: what a visitor calls from inside is not its own.
    .macro supervisor_calls_of_its_own what, number
    .cfi_startproc
    pushfq
    cli
    .cfi_def_cfa %rsp, 16
    cmpl $0, %gs:{visiting}
    jne 9f
    call \what
    popfq
    .cfi_def_cfa %rsp, 8
    ret
9:  popfq
    movl $\number, %eax
    jmp supervisor_common
    .cfi_endproc
    .endm
supervisor_null:
    supervisor_calls {null}
supervisor_answer:
    supervisor_calls {answer}
supervisor_call:
    supervisor_calls_of_its_own *%gs:{way}, {ipc_call}
supervisor_reply_receive:
    supervisor_calls_of_its_own {reply_receive}, {ipc_reply_receive}
supervisor_p:
    supervisor_calls_of_its_own {p}, {sem_p}
supervisor_v:
    supervisor_calls_of_its_own {v}, {sem_v}
supervisor_delay:
    supervisor_calls_of_its_own {delay}, {thread_delay}

supervisor_common:
    supervisor_enters nucleus_call

    // Serves a port with a handler until that fails.
    .global serve_port
serve_port:
    subq $8, %rsp
    movq %rdi, %rbx
1:  movq %rbx, %rdi
    movl ${serve}, %eax
    call supervisor_common
    testl %eax, %eax
    jz 1b
    xorl %edi, %edi
    xorl %esi, %esi
    movl ${delete}, %eax
    call supervisor_common
    ud2

    .global thread_entry
thread_entry:
    call thread_begins
    popq %rdi
    testb $3, 8(%rsp)
    jz 2f
    swapgs
2:  xorl %eax, %eax
    xorl %ecx, %ecx
    xorl %edx, %edx
    xorl %ebx, %ebx
    xorl %ebp, %ebp
    xorl %esi, %esi
    xorl %r8d, %r8d
    xorl %r9d, %r9d
    xorl %r10d, %r10d
    xorl %r11d, %r11d
    xorl %r12d, %r12d
    xorl %r13d, %r13d
    xorl %r14d, %r14d
    xorl %r15d, %r15d
    iretq

    .global idle_entry
idle_entry:
    call thread_begins
    jmp idle_forever
"#,
    serve = const number::sv_msg_serve,
    delete = const number::thread_delete,
    user_stack = const processor::USER_STACK,
    kernel_stack = const processor::KERNEL_STACK,
    ipc_call = const IPC_CALL,
    ipc_reply_receive = const IPC_REPLY_RECEIVE,
    way = const offset_of!(Processor, way_of_calls),
    visiting = const offset_of!(Processor, visiting),
    sv_msg_hdl_reply = const number::sv_msg_hdl_reply,
    answer = sym visits::answer,
    reply_receive = sym short_calls::ipc_reply_receive,
    traced = sym trace::traced_call,
    null = sym short_calls::null_call,
    sem_p = const SEM_P,
    sem_v = const SEM_V,
    thread_delay = const THREAD_DELAY,
    p = sym short_calls::sem_p,
    v = sym short_calls::sem_v,
    delay = sym short_calls::thread_delay,
    options(att_syntax)
);

unsafe extern "C" {
    static serve_port: u8;
    static call_entry: u8;
    static call_entry_traced: u8;
    static call_returns: u8;
    static call_entry_returns: u8;
    static supervisor_entries: u8;
    static supervisor_ways: [AtomicU64; WAYS];
    static supervisor_ways_traced: [u64; WAYS];
    static supervisor_ways_untraced: [u64; WAYS];
}

/// Whether a word of a stack is where one of the calls that are given their arguments in registers returns to.
pub fn is_return(word: u64) -> bool {
    (&raw const call_returns as u64..=&raw const call_entry_returns as u64).contains(&word)
}

/// Where `syscall` goes.
pub fn entry(traced: bool) -> u64 {
    match traced {
        true => &raw const call_entry_traced as u64,
        false => &raw const call_entry as u64,
    }
}

/// Has the calls of supervisor actors go the traced way, or no more.
pub fn go_traced(traced: bool) {
    // SAFETY: all three are tables of that many words, of which only the first ever changes.
    let (ways, goals) = unsafe {
        let goals = match traced {
            true => &supervisor_ways_traced,
            false => &supervisor_ways_untraced,
        };
        (&supervisor_ways, goals)
    };
    for (way, goal) in ways.iter().zip(goals) {
        way.store(*goal, Relaxed);
    }
}

/// A call by the way that it goes untraced, as far as all that is to be written down is seen there.
pub fn by_its_way(own: &Processor, number: u32, arguments: &[u64; 6]) -> i32 {
    let &[first, second, third, fourth, fifth, _] = arguments;
    let whole = trace::looks_inside() || own.visiting.get() != 0;
    match number {
        _ if whole => nucleus_call(number, arguments),
        NULL => short_calls::null_call(),
        IPC_CALL => own.way_of_calls.get()(first, second, third, fourth, fifth),
        IPC_REPLY_RECEIVE => short_calls::ipc_reply_receive(first, second, third, fourth),
        SEM_P => short_calls::sem_p(first, second),
        SEM_V => short_calls::sem_v(first),
        THREAD_DELAY => short_calls::thread_delay(first),
        _ => nucleus_call(number, arguments),
    }
}

/// Entry of threads that serve a port with a handler.
pub fn serving_entry() -> u64 {
    &raw const serve_port as u64
}

/// Address of a supervisor actor's entry for a call.
pub fn supervisor_entry(number: u16) -> u64 {
    &raw const supervisor_entries as u64 + u64::from(number & 0xff) * 16
}

/// Content of the stub page: 16 bytes a call.
pub fn stub_page() -> [u8; 4096] {
    let mut page = [0xcc; 4096];
    for (number, stub) in page.chunks_exact_mut(16).enumerate() {
        // mov eax, number; mov r10, rcx; syscall; ret
        stub[..11].copy_from_slice(&[
            0xb8,
            number as u8,
            0,
            0,
            0,
            0x49,
            0x89,
            0xca,
            0x0f,
            0x05,
            0xc3,
        ]);
    }
    page
}

/// In the word that a thread gives to the one that it passes the processor to: the result is in the low half, and nothing is left to be looked up.
pub const PASSED: u64 = 1 << 32;

/// Places where the entries of supervisor actors go on.
const WAYS: usize = 8;
const _: () = assert!(number::sys_null == 0);
const NULL: u32 = number::sys_null as u32;
pub const IPC_CALL: u32 = number::ipc_call as u32;
pub const IPC_REPLY_RECEIVE: u32 = number::ipc_reply_receive as u32;
pub const SEM_P: u32 = number::sem_p as u32;
pub const SEM_V: u32 = number::sem_v as u32;
pub const THREAD_DELAY: u32 = number::thread_delay as u32;

/// A call of the thread that runs on this processor: its number and where its registers are; its result for `eax`. Those that are made most often have functions
/// of their own, which take their arguments in registers: then this one is not called.
#[unsafe(no_mangle)]
pub extern "C" fn nucleus_call(number: u32, arguments: &[u64; 6]) -> i32 {
    site::enter();
    full_call(number, arguments)
}

/// What was not short after all. The lock is held.
#[cold]
#[inline(never)]
pub fn longer_call(number: u32, arguments: &[u64; 6]) -> i32 {
    stretches::begin(stretches::now());
    // SAFETY: the callers took the lock, and use the Nucleus no more.
    let nucleus = unsafe { site::entered() };
    let current = processor::this().current.get();
    if let Some(Some(context)) = nucleus.machine.contexts.get_mut(current) {
        context.arguments = *arguments;
    }
    full_call(number, arguments)
}

/// A call by the way that does everything. The lock is held.
extern "C" fn full_call(number: u32, arguments: &[u64; 6]) -> i32 {
    // SAFETY: the callers took the lock, and use the Nucleus no more.
    let nucleus = unsafe { site::entered() };
    site::register(nucleus);
    stretches::is_in(number);
    let own = processor::this();
    let outcome = match trace::looks_inside() {
        true => nucleus.call_traced(own.index, number as usize, arguments),
        false => nucleus.call(own.index, number as usize, arguments),
    };
    match outcome {
        Outcome::Done(result) => {
            if !nucleus.caller_goes_on() {
                site::settle(nucleus, own);
            }
            site::leave();
            result
        }
        Outcome::HandedOver(thread) => handed_over(nucleus, thread),
        Outcome::Inside => upcalls::straight(nucleus),
        Outcome::Blocked => wait(nucleus, own, number),
    }
}

/// The rest of a call whose caller waits while another thread, of a conversation, has its processor.
#[inline(always)]
pub fn pass(nucleus: &mut Nucleus<X86>, own: &Processor, passed: Passed) -> i32 {
    let word = go_to(own, passed);
    if word & PASSED != 0 {
        return was_passed(word);
    }
    back(nucleus)
}

/// Goes to the thread that has the processor now; gives the word of who comes back here.
#[inline(always)]
pub fn go_to(own: &Processor, passed: Passed) -> u64 {
    let word = PASSED | u64::from(passed.result.cast_unsigned());
    // SAFETY: the core has both threads in its table, with their words: one that ran, and one that did not.
    unsafe { context::pass(own, passed.thread as usize, passed.context, word) }
}

/// The rest of a call whose caller waits while another thread has its processor.
#[inline(always)]
fn handed_over(nucleus: &mut Nucleus<X86>, thread: u32) -> i32 {
    let own = processor::this();
    if trace::wants(Class::Switch) {
        trace::note_switch(nucleus, thread as usize);
    }
    let word = context::switch(&mut nucleus.machine, own, thread as usize, 0);
    if word & PASSED != 0 {
        return was_passed(word);
    }
    back(nucleus)
}

/// A thread has a processor again by one that passed this very processor on: there is nobody to take leave of, and no stretch is measured.
#[inline(always)]
fn was_passed(word: u64) -> i32 {
    site::leave_briefly();
    word as i32
}

/// A thread has a processor again that `schedule` gave it, or a call that looked it up.
#[inline(never)]
fn back(nucleus: &mut Nucleus<X86>) -> i32 {
    let own = processor::this().index;
    nucleus.switched(own);
    let (result, elsewhere) = nucleus.outcome(own);
    if elsewhere {
        upcalls::waited(nucleus);
    }
    site::leave();
    result
}

/// The rest of a call whose caller has to wait: others run, then it has a result.
#[inline(never)]
fn wait(nucleus: &'static mut Nucleus<X86>, own: &Processor, number: u32) -> i32 {
    let (mut nucleus, mut own) = (nucleus, own);
    loop {
        if let Some(upcall) = nucleus.entered() {
            return upcalls::inside(upcall);
        }
        if nucleus.pauses(own.index) {
            nucleus = site::breathe();
            own = processor::this();
        }
        site::settle(nucleus, own);
        upcalls::waited(nucleus);
        own = processor::this();
        stretches::is_in(number);
        let result = match nucleus.resume(own.index) {
            // It waited for a mapper or paused, was made again, and does so again.
            Outcome::Blocked => continue,
            Outcome::Inside => return upcalls::straight(nucleus),
            Outcome::Done(result) => {
                if !nucleus.caller_goes_on() {
                    site::settle(nucleus, own);
                }
                result
            }
            Outcome::HandedOver(thread) => {
                return handed_over(nucleus, thread);
            }
        };
        site::leave();
        return result;
    }
}
