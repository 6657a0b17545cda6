//! Threads as the processor sees them: a kernel stack with everything on it, and switching from one to another.

use crate::machine::X86;
use crate::noted::Notes;
use crate::paging::{REGISTERS, STACKS, USER_AREA};
use crate::processor::{IDLE, KERNEL_CODE, KERNEL_DATA, Processor, USER_CODE, USER_DATA};
use crate::stacks::Stack;
use crate::{cpu, fpu};
use chorus_nucleus_core::machine::{Space, Start};
use core::arch::asm;
use core::sync::atomic::Ordering::Relaxed;

/// A thread that does not run: where its registers are.
#[derive(Clone, Copy)]
pub struct Context {
    /// Its stack pointer: there lies where it goes on.
    pub pointer: u64,
    /// Top-level table of the space that it runs in; 0: any will do.
    pub root: u64,
    /// Its kernel stack.
    pub stack: Stack,
    /// Where entries from user mode begin.
    pub top: u64,
    /// Where all its registers are saved; 0: it is inside a call, or has not begun (see `registers`).
    pub frame: u64,
    /// It runs in user mode: then the state of its FPU lies above its kernel stack.
    pub user: bool,
    /// Where its arguments were the last time.
    pub notes: Notes,
}

unsafe extern "C" {
    pub(crate) fn thread_entry();
    fn idle_entry();
}

pub(crate) fn push(pointer: &mut u64, values: &[u64]) {
    for value in values {
        *pointer -= 8;
        // SAFETY: callers give the top of a fresh stack that is larger than what they push.
        unsafe { (*pointer as *mut u64).write(*value) };
    }
}

/// Makes the first frame of a thread on its stack. `root` is the top-level table of its space.
pub fn prepare(stack: Stack, start: Start, root: u64) -> Context {
    let top = if start.supervisor {
        stack.top()
    } else {
        stack.top() - fpu::AREA
    };
    let mut pointer = top;
    // An address that no space can map is replaced by one that faults in user mode: `iretq` would fault here.
    let entry = if !start.supervisor && start.entry >= USER_AREA.1 {
        0
    } else {
        start.entry
    };
    if start.supervisor {
        // As after a call: the return address is a null pointer, and the stack is aligned as the calling convention wants it.
        push(&mut pointer, &[0, 0, 0]);
        let stack_pointer = pointer;
        push(
            &mut pointer,
            &[
                u64::from(KERNEL_DATA),
                stack_pointer,
                0x202,
                u64::from(KERNEL_CODE),
                entry,
            ],
        );
    } else {
        // SAFETY: the area above `top` belongs to this stack.
        unsafe { fpu::clear(top) };
        push(
            &mut pointer,
            &[
                u64::from(USER_DATA),
                start.stack,
                0x202,
                u64::from(USER_CODE),
                entry,
            ],
        );
    }
    push(
        &mut pointer,
        &[start.argument, thread_entry as *const () as u64],
    );
    Context {
        pointer,
        root: if start.space == Space::SUPERVISOR {
            0
        } else {
            root
        },
        stack,
        top,
        frame: 0,
        user: !start.supervisor,
        notes: Notes::default(),
    }
}

/// Makes the idle context of a processor on a stack of its own.
pub fn prepare_idle(stack: Stack) -> u64 {
    let mut pointer = stack.top();
    push(&mut pointer, &[0, 0, idle_entry as *const () as u64]);
    pointer
}

impl Context {
    /// Whether it is a user thread's.
    pub fn is_user(&self) -> bool {
        self.user
    }
}

/// Leaves the current thread (or the idle context) and runs `next`; returns when this one is picked again, perhaps on another processor. The one that runs
/// gets the word of the one that left: 0, or what `calls` made of a result.
#[inline(always)]
pub fn switch(machine: &mut X86, own: &Processor, next: usize, word: u64) -> u64 {
    let current = own.current.get();
    let save = match machine.contexts.get_mut(current) {
        Some(Some(context)) => {
            if context.is_user() {
                // SAFETY: the area of the thread that runs, made with its context.
                unsafe { fpu::save(context.top) };
            }
            &raw mut context.pointer
        }
        _ if current == IDLE => own.idle_stack.as_ptr(),
        // The thread that ran was destroyed: nobody will come back to it.
        _ => machine.scratch[own.index].get(),
    };
    let load = match machine.contexts.get(next) {
        Some(Some(context)) => {
            own.current.set(next);
            own.set_kernel_stack(context.top);
            if context.is_user() {
                // SAFETY: the area of that thread, made with its context.
                unsafe { fpu::load(context.top, own) };
            }
            // A supervisor thread runs in any space: the upper half is the same in all.
            if context.root != 0 && context.root != own.root.load(Relaxed) {
                own.root.store(context.root, Relaxed);
                // SAFETY: the tables of a live space; the Nucleus is mapped in all alike.
                unsafe { cpu::set_cr3(context.root) };
            }
            context.pointer
        }
        _ => {
            own.current.set(IDLE);
            own.idle_stack.get()
        }
    };
    debug_assert!((STACKS..REGISTERS).contains(&load));
    let mut passed = word;
    // SAFETY: `load` was made by `prepare`, `prepare_idle` or an earlier switch, and its owner runs nowhere: the lock is held. All registers that a call may
    // change are given up, and those that it may not are kept on the stack, or by whoever needs them.
    unsafe {
        asm!(
            "push rbp",
            "push rbx",
            "lea rcx, [rip + 2f]",
            "push rcx",
            "mov [rdi], rsp",
            "mov rsp, rsi",
            "ret",
            "2:",
            "pop rbx",
            "pop rbp",
            inout("rax") passed,
            inout("rdi") save => _,
            inout("rsi") load => _,
            out("r12") _,
            out("r13") _,
            out("r14") _,
            out("r15") _,
            clobber_abi("sysv64"),
        );
    }
    passed
}
