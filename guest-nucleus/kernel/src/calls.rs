//! The ways into the Nucleus: `syscall`, the stub page of user actors, the entry points of supervisor actors.
//!
//! All end in [`nucleus_call`] with a number and six registers. A user actor's stub is in a page that every user space has; a supervisor actor's
//! is the Nucleus' own code, called directly, without a change of ring or stack.

use crate::machine::X86;
use crate::processor::{self, Processor};
use crate::{context, site, stretches, upcalls};
use chorus_abi::table::{self, number};
use chorus_nucleus_core::{Nucleus, Outcome, Passed};
use core::arch::global_asm;

global_asm!(
    r#"
    .text
    .balign 16
    .global call_entry
call_entry:
    swapgs
    movq %rsp, %gs:16
    movq %gs:8, %rsp
    pushq %gs:16
    pushq %r11
    pushq %rcx
    subq $8, %rsp
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
    addq $56, %rsp
    popq %rcx
    popq %r11
    movq %rcx, %rdx
    shrq $47, %rdx
    jnz 1f
    xorl %esi, %esi
    xorl %edi, %edi
    xorl %r8d, %r8d
    xorl %r9d, %r9d
    xorl %r10d, %r10d
    popq %rsp
    swapgs
    sysretq
1:  ud2
call_entry_end:

    // How debuggers find the actor that called (.eh_frame by hand, since the assembler gives no way to mark a frame in .debug_frame as one whose caller is on
    // another stack: augmentation S). The stub between actor and Nucleus is left out: its return address is the top of the actor's stack, which is
    // saved 72 bytes up when nucleus_call is entered, so the frame's address is that + 8.
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
4:  .long 6f - 5f
5:  .long 5b - 2b
    .long call_entry - .
    .long call_entry_end - call_entry
    .uleb128 0
    .byte 0x02, call_entered - call_entry
    .byte 0x0f, 6, 0x77, 0xc8, 0x00, 0x06, 0x23, 0x08
    .balign 8, 0
6:  .popsection

    .balign 16
    .global supervisor_entries
supervisor_entries:
    .set number, 0
    .rept 256
    .balign 16
    movl $number, %eax
    jmp supervisor_common
    .set number, number + 1
    .endr
supervisor_common:
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
    call nucleus_call
    addq $48, %rsp
    .cfi_def_cfa %rsp, 16
    popfq
    .cfi_def_cfa %rsp, 8
    ret
    .cfi_endproc

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
    options(att_syntax)
);

unsafe extern "C" {
    static serve_port: u8;
    static call_entry: u8;
    static supervisor_entries: u8;
}

/// Where `syscall` goes.
pub fn entry() -> u64 {
    &raw const call_entry as u64
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
const PASSED: u64 = 1 << 32;

/// A call of the thread that runs on this processor: its number and where its registers are; its result for `eax`. Those that are made most often have functions
/// of their own, so that none saves registers that only another needs.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub extern "C" fn nucleus_call(number: u32, arguments: &[u64; 6]) -> i32 {
    core::arch::naked_asm!(
        "cmp edi, {ipc_call}",
        "je {call}",
        "cmp edi, {ipc_reply_receive}",
        "je {reply_receive}",
        "test edi, edi",
        "jz {null}",
        "jmp {any}",
        ipc_call = const IPC_CALL,
        ipc_reply_receive = const IPC_REPLY_RECEIVE,
        call = sym ipc_call,
        reply_receive = sym ipc_reply_receive,
        null = sym null_call,
        any = sym any_call,
    )
}

const _: () = assert!(table::number::sys_null == 0);
const IPC_CALL: u32 = table::number::ipc_call as u32;
const IPC_REPLY_RECEIVE: u32 = table::number::ipc_reply_receive as u32;

extern "C" fn null_call(_: u32, _: &[u64; 6]) -> i32 {
    site::enter_briefly().null_call();
    site::leave_briefly();
    0
}

extern "C" fn ipc_call(_: u32, arguments: &[u64; 6]) -> i32 {
    let (nucleus, own) = (site::enter_briefly(), processor::this());
    match nucleus.call_again(own.index, arguments) {
        Some(passed) => pass(nucleus, passed),
        None => longer_call(IPC_CALL, arguments),
    }
}

extern "C" fn ipc_reply_receive(_: u32, arguments: &[u64; 6]) -> i32 {
    let (nucleus, own) = (site::enter_briefly(), processor::this());
    match nucleus.reply_receive_again(own.index, arguments) {
        Some(passed) => pass(nucleus, passed),
        None => longer_call(IPC_REPLY_RECEIVE, arguments),
    }
}

/// What was not short after all.
extern "C" fn longer_call(number: u32, arguments: &[u64; 6]) -> i32 {
    stretches::begin(stretches::now());
    full_call(number, arguments)
}

extern "C" fn any_call(number: u32, arguments: &[u64; 6]) -> i32 {
    site::enter();
    full_call(number, arguments)
}

/// A call by the way that does everything. The lock is held.
extern "C" fn full_call(number: u32, arguments: &[u64; 6]) -> i32 {
    // SAFETY: the callers took the lock, and use the Nucleus no more.
    let nucleus = unsafe { site::entered() };
    stretches::is_in(number);
    let own = processor::this();
    match nucleus.call(own.index, number as usize, arguments) {
        Outcome::Done(result) => {
            if !nucleus.caller_goes_on() {
                site::settle(nucleus, own);
            }
            site::leave();
            result
        }
        Outcome::HandedOver(thread) => handed_over(nucleus, thread, 0),
        Outcome::Inside => upcalls::straight(nucleus),
        Outcome::Blocked => wait(nucleus, own, number),
    }
}

#[inline(always)]
fn pass(nucleus: &mut Nucleus<X86>, passed: Passed) -> i32 {
    let word = PASSED | u64::from(passed.result.cast_unsigned());
    handed_over(nucleus, passed.thread, word)
}

/// The rest of a call whose caller waits while another thread has its processor.
#[inline(always)]
fn handed_over(nucleus: &mut Nucleus<X86>, thread: u32, word: u64) -> i32 {
    let own = processor::this();
    let word = context::switch(&mut nucleus.machine, own, thread as usize, word);
    if word & PASSED != 0 {
        // By a thread that passed this very processor on: there is nobody to take leave of.
        site::leave();
        return word as i32;
    }
    back(nucleus)
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
                return handed_over(nucleus, thread, 0);
            }
        };
        site::leave();
        return result;
    }
}
