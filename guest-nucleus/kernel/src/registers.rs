//! Registers of a thread that is on no processor (`threadContext`): where they lie on its stack, and how they are replaced.
//!
//! A thread that was interrupted has a [`Frame`] with all of them. One inside a call has what the entry saved: the registers of its arguments,
//! and where it goes back to; the others are somewhere in the Nucleus' own frames. To replace registers there, the frames are left where they are, and the
//! thread comes back by a new frame.

use crate::calls;
use crate::context::{Context, push, thread_entry};
use crate::processor::{KERNEL_CODE, KERNEL_DATA, USER_CODE, USER_DATA};
use crate::traps::Frame;
use chorus_abi::KnThreadCtx;

/// Flags that an actor may set: arithmetic, direction, trap.
const SETTABLE: u64 = 0xdd5;
/// Flags of a thread that begins: interrupts are on.
const BEGIN: u64 = 0x202;

unsafe extern "C" {
    fn thread_continues();
}

/// A word of a kernel stack.
///
/// # Safety
/// The address is a mapped word of a stack of a thread that is on no processor.
unsafe fn word(address: u64) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { (address as *const u64).read() }
}

impl Context {
    fn saved(&self) -> Option<*mut Frame> {
        (self.frame != 0).then(|| core::ptr::with_exposed_provenance_mut(self.frame as usize))
    }

    /// Its registers, as far as they are known.
    pub fn registers(&self) -> KnThreadCtx {
        if let Some(frame) = self.saved() {
            // SAFETY: whoever set `frame` had a whole frame there, and the thread did not run since.
            return whole(unsafe { &*frame });
        }
        // SAFETY: `switch` or `prepare` left where it goes on at the stack pointer, then a thread that has not begun has its argument and what `iretq` takes;
        // entries from user mode leave 72 bytes at the top at least.
        unsafe {
            let pointer = self.pointer;
            if word(pointer) == thread_entry as *const () as u64 {
                return KnThreadCtx {
                    rdi: word(pointer + 8),
                    rip: word(pointer + 16),
                    rflags: word(pointer + 32),
                    rsp: word(pointer + 40),
                    ..KnThreadCtx::default()
                };
            }
            if !self.is_user() {
                return KnThreadCtx {
                    rsp: pointer,
                    in_call: 1,
                    ..KnThreadCtx::default()
                };
            }
            let top = self.top;
            if word(top - 16) == u64::from(USER_DATA) {
                // The entry by an interrupt gate aligns the stack and saves everything. By `syscall` there are flags, which are never that.
                let frame = (top - 8 - size_of::<Frame>() as u64) as *const Frame;
                return KnThreadCtx {
                    in_call: 1,
                    ..whole(&*frame)
                };
            }
            let fixed = KnThreadCtx {
                rsp: word(top - 8),
                rflags: word(top - 16),
                rip: word(top - 24),
                in_call: 1,
                ..KnThreadCtx::default()
            };
            // The calls of messages take their arguments in registers, so that there is a return address at once.
            let [rdi, rsi, rdx, r10, r8, r9] = if calls::is_return(word(top - 32)) {
                self.arguments
            } else {
                core::array::from_fn(|argument| word(top - 72 + 8 * argument as u64))
            };
            KnThreadCtx {
                rdi,
                rsi,
                rdx,
                r10,
                r8,
                r9,
                ..fixed
            }
        }
    }

    /// Has it go on with these registers.
    pub fn set_registers(&mut self, registers: &KnThreadCtx) {
        let user = self.is_user();
        let frame = match self.saved() {
            Some(frame) => frame,
            None => {
                // Nothing above this is needed of a user thread; a supervisor thread's own variables may be.
                let mut pointer = if user { self.top } else { self.pointer };
                pointer = (pointer - size_of::<Frame>() as u64) & !15;
                let frame: *mut Frame = core::ptr::with_exposed_provenance_mut(pointer as usize);
                self.frame = pointer;
                // `thread_continues` finds the frame at its stack pointer.
                push(&mut pointer, &[thread_continues as *const () as u64]);
                self.pointer = pointer;
                frame
            }
        };
        let (cs, ss) = if user {
            (USER_CODE, USER_DATA)
        } else {
            (KERNEL_CODE, KERNEL_DATA)
        };
        let it = registers;
        // SAFETY: the frame is on this thread's stack, whole, and the thread is on no processor.
        unsafe {
            frame.write(Frame {
                r15: it.r15,
                r14: it.r14,
                r13: it.r13,
                r12: it.r12,
                rbp: it.rbp,
                rbx: it.rbx,
                r11: it.r11,
                r10: it.r10,
                r9: it.r9,
                r8: it.r8,
                rdi: it.rdi,
                rsi: it.rsi,
                rdx: it.rdx,
                rcx: it.rcx,
                rax: it.rax,
                vector: 0,
                error: 0,
                rip: it.rip,
                cs: u64::from(cs),
                rflags: BEGIN | it.rflags & SETTABLE,
                rsp: it.rsp,
                ss: u64::from(ss),
            });
        }
    }
}

fn whole(frame: &Frame) -> KnThreadCtx {
    KnThreadCtx {
        rax: frame.rax,
        rbx: frame.rbx,
        rcx: frame.rcx,
        rdx: frame.rdx,
        rsi: frame.rsi,
        rdi: frame.rdi,
        rbp: frame.rbp,
        rsp: frame.rsp,
        r8: frame.r8,
        r9: frame.r9,
        r10: frame.r10,
        r11: frame.r11,
        r12: frame.r12,
        r13: frame.r13,
        r14: frame.r14,
        r15: frame.r15,
        rip: frame.rip,
        rflags: frame.rflags,
        ..KnThreadCtx::default()
    }
}
