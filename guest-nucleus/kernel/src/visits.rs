//! Visits: the caller of `ipcCall` goes into a message handler the way of its last call and comes out again (`ipc/visits.rs` of the core has what that means).
//!
//! One function from the lock to the lock: the routine is called on the caller's kernel stack in between. It can be lost as every routine, so its stack pointer is in the
//! chain of its thread; a visitor is inside nothing else, so that the chain holds nothing else.

use crate::calls;
use crate::machine::X86;
use crate::processor::{self, IDLE, Processor};
use crate::{site, stretches, upcalls};
use chorus_abi::KnMsgDesc;
use chorus_abi::table::number;
use chorus_nucleus_core::{Nucleus, Visited};
use core::arch::asm;
use core::mem::MaybeUninit;
use core::sync::atomic::AtomicU64;

/// A message as a handler is shown it, on the kernel stack of its thread.
#[repr(C)]
struct Letter {
    desc: KnMsgDesc,
    annex: MaybeUninit<[u8; 64]>,
}

/// `ipcCall` of a thread whose last one was a visit.
pub extern "C" fn visit(_: u32, arguments: &[u64; 6]) -> i32 {
    let (nucleus, own) = (site::enter_briefly(), processor::this());
    match visited(nucleus, own, arguments) {
        Some(result) => result,
        None => {
            own.visitor.set(IDLE);
            calls::ipc_call_entered(nucleus, own, arguments)
        }
    }
}

/// `ipcCall` that is no conversation. The lock is held.
#[inline(never)]
pub fn visit_or_call(nucleus: &mut Nucleus<X86>, own: &Processor, arguments: &[u64; 6]) -> i32 {
    let slot = own.current.get();
    match visited(nucleus, own, arguments) {
        Some(result) => {
            processor::this().visitor.set(slot);
            result
        }
        None => calls::longer_call(calls::IPC_CALL, arguments),
    }
}

/// The result of a call that is a visit. The lock is held before and free after; if it is none, it is still held.
#[inline(always)]
fn visited(nucleus: &mut Nucleus<X86>, own: &Processor, arguments: &[u64; 6]) -> Option<i32> {
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
    let chain = upcalls::chain(own.current.get())?;
    site::leave_briefly();
    letter.desc.seq_num = entered.sequence;
    if entered.annexed {
        letter.desc.annex_addr = letter.annex.as_ptr() as u64;
    }
    let lost = call(entered.routine, &raw const letter, entered.cookie, chain);
    let (nucleus, own) = (site::enter_briefly(), processor::this());
    if !lost && let Some(result) = nucleus.visit_over(own.index) {
        site::leave_briefly();
        return Some(result);
    }
    Some(recorded(nucleus, lost))
}

/// A visitor's records were made before its routine was over. The lock is held before and free after.
#[cold]
#[inline(never)]
fn recorded(nucleus: &mut Nucleus<X86>, lost: bool) -> i32 {
    stretches::begin(stretches::now());
    stretches::is_in(calls::IPC_CALL);
    nucleus.register_visitors();
    upcalls::out(nucleus, (!lost).then_some(0))
}

/// Calls a routine with interrupts on: whether it was lost.
#[inline(always)]
fn call(routine: u64, letter: *const Letter, cookie: u64, chain: &'static AtomicU64) -> bool {
    let lost: u64;
    // SAFETY: the Nucleus took the address from a supervisor actor, whose code may do anything by its nature; the chain lives for ever, and belongs to this thread alone.
    // Where `call_lost` comes back, all registers that a routine keeps are given up, or on the stack.
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
            "add rsp, 8",
            "xor edx, edx",
            "2:",
            "pop r8",
            "mov qword ptr [r8], 0",
            "pop rbx",
            "pop rbp",
            inout("rax") routine => _,
            in("rdi") letter,
            inout("rsi") cookie => _,
            inout("r8") chain => _,
            out("rdx") lost,
            out("r12") _,
            out("r13") _,
            out("r14") _,
            out("r15") _,
            clobber_abi("sysv64"),
        );
    }
    lost != 0
}

/// `svMsgHdlReply`.
pub extern "C" fn answer(_: u32, arguments: &[u64; 6]) -> i32 {
    let (nucleus, own) = (site::enter_briefly(), processor::this());
    match nucleus.visitor_answers(own.index, arguments) {
        Some(result) => {
            site::leave_briefly();
            result
        }
        None => calls::longer_call(number::sv_msg_hdl_reply.into(), arguments),
    }
}
