//! The calls that are made most often: each has a function of its own, which takes its arguments in registers and does no more than it must.
//!
//! What is not plain goes on as [`longer_call`]. None is measured as a stretch: they are short by construction, and their instructions are counted.

use crate::calls::{
    IPC_CALL, IPC_REPLY_RECEIVE, PASSED, SEM_P, SEM_V, THREAD_DELAY, go_to, longer_call, pass,
};
use crate::machine::X86;
use crate::processor::{self, Processor};
use crate::{site, stretches, visits};
use chorus_abi::{K_OK, KError};
use chorus_nucleus_core::{Handed, Nucleus, Passed};

/// `sysNull`.
pub extern "C" fn null_call() -> i32 {
    site::enter_briefly().null_call();
    site::leave_briefly();
    0
}

/// `ipcCall`: a conversation, or a visit, or [`longer_call`].
pub extern "C" fn ipc_call(request: u64, src_port: u64, dest: u64, reply: u64, delay: u64) -> i32 {
    match site::enter_at_once() {
        Ok(nucleus) => ipc_call_in(nucleus, request, src_port, dest, reply, delay),
        Err(ticket) => ipc_call_late(request, src_port, dest, reply, delay, ticket),
    }
}

#[inline(always)]
fn ipc_call_in(
    nucleus: &mut Nucleus<X86>,
    request: u64,
    src_port: u64,
    dest: u64,
    reply: u64,
    delay: u64,
) -> i32 {
    let own = processor::this();
    let thread = own.current.get();
    if !nucleus.call_repeats(thread, [request, src_port, dest, reply, delay]) {
        return longer_ipc_call(request, src_port, dest, reply, delay);
    }
    match nucleus.call_again(own.index, thread) {
        Some(passed) => pass(
            nucleus,
            own,
            Passed {
                result: 0,
                ..passed
            },
        ),
        None => call_otherwise(nucleus, own, thread),
    }
}

#[cold]
#[inline(never)]
extern "C" fn ipc_call_late(
    request: u64,
    src_port: u64,
    dest: u64,
    reply: u64,
    delay: u64,
    ticket: u32,
) -> i32 {
    let nucleus = site::enter_late(ticket);
    ipc_call_in(nucleus, request, src_port, dest, reply, delay)
}

/// `ipcReplyReceive`, likewise.
pub extern "C" fn ipc_reply_receive(reply: u64, msg: u64, li: u64, delay: u64) -> i32 {
    match site::enter_at_once() {
        Ok(nucleus) => ipc_reply_receive_in(nucleus, reply, msg, li, delay),
        Err(ticket) => ipc_reply_receive_late(reply, msg, li, delay, ticket),
    }
}

#[inline(always)]
fn ipc_reply_receive_in(
    nucleus: &mut Nucleus<X86>,
    reply: u64,
    msg: u64,
    li: u64,
    delay: u64,
) -> i32 {
    let own = processor::this();
    let thread = own.current.get();
    if !nucleus.receive_repeats(thread, [reply, msg, li, delay]) {
        return longer_ipc_reply_receive(reply, msg, li, delay);
    }
    match nucleus.reply_receive_again(own.index, thread) {
        Some(passed) => pass(
            nucleus,
            own,
            Passed {
                result: 0,
                ..passed
            },
        ),
        None => reply_otherwise(nucleus, own, thread),
    }
}

#[cold]
#[inline(never)]
extern "C" fn ipc_reply_receive_late(
    reply: u64,
    msg: u64,
    li: u64,
    delay: u64,
    ticket: u32,
) -> i32 {
    let nucleus = site::enter_late(ticket);
    ipc_reply_receive_in(nucleus, reply, msg, li, delay)
}

/// A call that repeats, but has a body, or is no conversation after all.
#[cold]
#[inline(never)]
fn call_otherwise(nucleus: &mut Nucleus<X86>, own: &Processor, thread: usize) -> i32 {
    match nucleus.call_otherwise(own.index, thread) {
        Some(passed) => pass(nucleus, own, passed),
        None => longer_call(IPC_CALL, &nucleus.repeated_call(thread)),
    }
}

/// The same of a reply.
#[cold]
#[inline(never)]
fn reply_otherwise(nucleus: &mut Nucleus<X86>, own: &Processor, thread: usize) -> i32 {
    match nucleus.reply_otherwise(own.index, thread) {
        Some(passed) => pass(nucleus, own, passed),
        None => longer_call(IPC_REPLY_RECEIVE, &nucleus.repeated_receive(thread)),
    }
}

#[cold]
#[inline(never)]
extern "C" fn longer_ipc_call(
    request: u64,
    src_port: u64,
    dest: u64,
    reply: u64,
    delay: u64,
) -> i32 {
    visits::visit_or_call(&[request, src_port, dest, reply, delay, 0])
}

/// `ipcCall` that is no visit, where the last one was. The lock is held before, by whoever uses the Nucleus no more, and free after.
#[inline(never)]
pub fn no_visit(arguments: &[u64; 6]) -> i32 {
    // SAFETY: the caller took the lock, and uses the Nucleus no more.
    let (nucleus, own) = (unsafe { site::entered() }, processor::this());
    own.way_of_calls.set(ipc_call);
    let thread = own.current.get();
    let &[request, src_port, dest, reply, delay, _] = arguments;
    if !nucleus.call_repeats(thread, [request, src_port, dest, reply, delay]) {
        return longer_call(IPC_CALL, arguments);
    }
    match nucleus.call_again(own.index, thread) {
        Some(passed) => pass(nucleus, own, passed),
        None => call_otherwise(nucleus, own, thread),
    }
}

#[cold]
#[inline(never)]
extern "C" fn longer_ipc_reply_receive(reply: u64, msg: u64, li: u64, delay: u64) -> i32 {
    longer_call(IPC_REPLY_RECEIVE, &[reply, msg, li, delay, 0, 0])
}

/// `semP`.
pub extern "C" fn sem_p(address: u64, limit: u64) -> i32 {
    let (nucleus, own) = (site::enter_briefly(), processor::this());
    match nucleus.sem_p_plain(own.index, own.current.get(), address, limit) {
        Some(Handed::Done) => {
            site::leave_briefly();
            K_OK
        }
        Some(Handed::Passed(passed)) => pass(nucleus, own, passed),
        _ => longer_call(SEM_P, &[address, limit, 0, 0, 0, 0]),
    }
}

/// `semV`.
pub extern "C" fn sem_v(address: u64) -> i32 {
    let (nucleus, own) = (site::enter_briefly(), processor::this());
    match nucleus.sem_v_plain(own.index, own.current.get(), address) {
        Some(Handed::Done) => {
            site::leave_briefly();
            K_OK
        }
        Some(_) => outdone(nucleus, own),
        None => longer_call(SEM_V, &[address, 0, 0, 0, 0, 0]),
    }
}

/// A call is done, but somebody more urgent can run now.
#[cold]
#[inline(never)]
fn outdone(nucleus: &mut Nucleus<X86>, own: &Processor) -> i32 {
    stretches::begin(stretches::now());
    stretches::is_in(SEM_V);
    site::settle(nucleus, own);
    site::leave();
    K_OK
}

/// `threadDelay`.
pub extern "C" fn thread_delay(limit: u64) -> i32 {
    let (nucleus, own) = (site::enter_briefly(), processor::this());
    match nucleus.give_way_plain(own.index, own.current.get(), limit) {
        Some(Handed::Passed(passed)) => {
            if go_to(own, passed) & PASSED != 0 {
                site::leave_briefly();
            } else {
                comes_again(nucleus);
            }
            KError::Timeout.code()
        }
        _ => longer_call(THREAD_DELAY, &[limit, 0, 0, 0, 0, 0]),
    }
}

/// A thread that gave way has a processor again that `schedule` gave it.
#[cold]
#[inline(never)]
fn comes_again(nucleus: &mut Nucleus<X86>) {
    nucleus.switched(processor::this().index);
    site::leave();
}
