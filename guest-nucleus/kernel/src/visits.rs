//! Visits: the caller of `ipcCall` goes into a message handler the way of its last call and comes out again (`ipc/visits.rs` of the core has what that means).
//!
//! One function from the lock to the lock: the routine is called on the caller's kernel stack in between. It can be lost as every routine, so its stack pointer is in the
//! chain of its thread; a visitor is inside nothing else, so that the chain holds nothing else.

use crate::calls;
use crate::machine::X86;
use crate::processor::{self, Processor};
use crate::{short_calls, site, stretches, upcalls};
use chorus_abi::KnMsgDesc;
use chorus_abi::table::number;
use chorus_nucleus_core::{Nucleus, Visited};
use core::arch::asm;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A message as a handler is shown it, on the kernel stack of its thread.
#[repr(C)]
struct Letter {
    desc: KnMsgDesc,
    annex: MaybeUninit<[u8; 64]>,
}

/// `ipcCall`, where the last one was a visit.
pub extern "C" fn visit(request: u64, src_port: u64, dest: u64, reply: u64, delay: u64) -> i32 {
    let arguments = [request, src_port, dest, reply, delay, 0];
    let (nucleus, own) = (site::enter_briefly(), processor::this());
    match visited(nucleus, own, &arguments) {
        Some(result) => result,
        None => short_calls::no_visit(&arguments),
    }
}

/// `ipcCall` that is no conversation, where the last one was none. The lock is held before, by whoever uses the Nucleus no more, and free after.
#[inline(never)]
pub fn visit_or_call(arguments: &[u64; 6]) -> i32 {
    // SAFETY: the caller took the lock, and uses the Nucleus no more.
    let (nucleus, own) = (unsafe { site::entered() }, processor::this());
    match visited(nucleus, own, arguments) {
        Some(result) => {
            processor::this().way_of_calls.set(visit);
            result
        }
        None => calls::longer_call(calls::IPC_CALL, arguments),
    }
}

/// The result of a call that is a visit. The lock is held before and free after; if it is none, it is still held.
#[inline(always)]
fn visited(nucleus: &mut Nucleus<X86>, own: &Processor, arguments: &[u64; 6]) -> Option<i32> {
    let chain = upcalls::chain(own.current.get())?;
    let mut letter = Letter {
        desc: KnMsgDesc::default(),
        annex: MaybeUninit::uninit(),
    };
    let entered: Visited = {
        let annex = &mut letter.annex;
        nucleus.visit(own.index, arguments, |bytes| {
            annex.write(bytes);
        })?
    };
    own.visiting.set(1);
    site::leave_briefly();
    letter.desc.seq_num = entered.sequence;
    if entered.annexed {
        letter.desc.annex_addr = letter.annex.as_ptr() as u64;
    }
    call(entered.routine, &raw const letter, entered.cookie, chain);
    let (nucleus, own) = (site::enter_briefly(), processor::this());
    match nucleus.visit_over(own.index) {
        Some(result) => {
            own.visiting.set(0);
            site::leave_briefly();
            Some(result)
        }
        None => Some(recorded(nucleus)),
    }
}

/// A visitor's records were made before its routine was over, as whoever loses one does. The lock is held before and free after.
#[cold]
#[inline(never)]
fn recorded(nucleus: &mut Nucleus<X86>) -> i32 {
    stretches::begin(stretches::now());
    stretches::is_in(calls::IPC_CALL);
    site::register(nucleus);
    let chain = upcalls::chain(processor::this().current.get());
    let lost = chain.is_some_and(|chain| chain.swap(0, Relaxed) != 0);
    upcalls::out(nucleus, (!lost).then_some(0))
}

/// Calls a routine with interrupts on. If it was lost its chain is not empty.
#[inline(always)]
fn call(routine: u64, letter: *const Letter, cookie: u64, chain: &'static AtomicU64) {
    // SAFETY: the Nucleus took the address from a supervisor actor, whose code may do anything by its nature; the chain lives for ever, and belongs to this thread alone.
    // At 2, where `call_lost` comes back, all registers that a routine keeps are given up, or on the stack.
    unsafe {
        asm!(
            "push rbp",
            "push rbx",
            "push r8",
            "lea rcx, [rip + 2f]",
            "push rcx",
            "mov [r8], rsp",
            "sti",
            "call rax",
            "cli",
            "mov r8, [rsp + 8]",
            "mov qword ptr [r8], 0",
            "add rsp, 32",
            "3:",
            ".pushsection .text.lost, \"ax\", @progbits",
            "2:",
            "pop r8",
            "pop rbx",
            "pop rbp",
            "jmp 3b",
            ".popsection",
            inout("rax") routine => _,
            in("rdi") letter,
            inout("rsi") cookie => _,
            inout("r8") chain => _,
            out("r12") _,
            out("r13") _,
            out("r14") _,
            out("r15") _,
            clobber_abi("sysv64"),
        );
    }
}

/// `svMsgHdlReply`.
pub extern "C" fn answer(desc: u64) -> i32 {
    let (nucleus, own) = (site::enter_briefly(), processor::this());
    match nucleus.visitor_answers(own.index, desc) {
        Some(result) => {
            site::leave_briefly();
            result
        }
        None => calls::longer_call(number::sv_msg_hdl_reply.into(), &[desc, 0, 0, 0, 0, 0]),
    }
}
