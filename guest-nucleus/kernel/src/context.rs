//! Threads as the processor sees them: a kernel stack with everything on it, and switching from one to another.

use crate::machine::X86;
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
    /// Where entries from user mode begin. It is 8 off what calls want, so that three words are what the entry of a call has to push.
    pub top: u64,
    /// State of its FPU, above its kernel stack; 0: it runs in supervisor mode, and has none.
    pub area: u64,
    /// Where all its registers are saved; 0: it is inside a call, or has not begun (see `registers`).
    pub frame: u64,
    /// Arguments of the last call that was given them in registers, but those that the core knows.
    pub arguments: [u64; 6],
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
    let (area, begin) = if start.supervisor {
        (0, stack.top())
    } else {
        let area = stack.top() - fpu::AREA;
        (area, area)
    };
    let mut pointer = begin;
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
        // SAFETY: the area belongs to this stack.
        unsafe { fpu::clear(area) };
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
        top: begin - 8,
        area,
        frame: 0,
        arguments: [0; 6],
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
        self.area != 0
    }
}

/// Leaves the current thread (or the idle context) and runs `next`; returns when this one is picked again, perhaps on another processor. The one that runs
/// gets the word of the one that left: 0, or what `calls` made of a result.
#[inline]
pub fn switch(machine: &mut X86, own: &Processor, next: usize, word: u64) -> u64 {
    let current = own.current.get();
    let save = match machine.contexts.get_mut(current) {
        Some(Some(context)) => context.leaves(),
        _ if current == IDLE => own.idle_stack.as_ptr(),
        // The thread that ran was destroyed: nobody will come back to it.
        _ => machine.scratch[own.index].get(),
    };
    let load = match machine.contexts.get_mut(next) {
        Some(Some(context)) => context.comes(own, next),
        _ => {
            own.current.set(IDLE);
            own.idle_stack.get()
        }
    };
    // SAFETY: both are stack pointers as `go` wants them.
    unsafe { go(save, load, word) }
}

/// The same from a thread that waits to another, by the word that [`Context`]s are known by.
///
/// # Safety
/// The word is that of the thread `next`, which is another than the one that runs; both are there.
#[inline(always)]
pub unsafe fn pass(own: &Processor, next: usize, context: u64, word: u64) -> u64 {
    let left: *mut Context = core::ptr::with_exposed_provenance_mut(own.context.get() as usize);
    let to: *mut Context = core::ptr::with_exposed_provenance_mut(context as usize);
    let mut passed = word;
    // SAFETY: the contexts of two threads that are there, in a table that stays where it is. The rest as `go`, with the places of stack pointers in them.
    unsafe {
        (*left).leaves();
        (*to).comes(own, next);
        asm!(
            "pushq %rbp",
            "pushq %rbx",
            "pushq $2f",
            "movq %rsp, {pointer}({left})",
            "movq {pointer}({to}), %rsp",
            "ret",
            "2:",
            "popq %rbx",
            "popq %rbp",
            left = in(reg) left,
            to = in(reg) to,
            pointer = const core::mem::offset_of!(Context, pointer),
            inout("rax") passed,
            out("r12") _,
            out("r13") _,
            out("r14") _,
            out("r15") _,
            clobber_abi("sysv64"),
            options(att_syntax),
        );
    }
    passed
}

impl Context {
    /// Its thread leaves the processor: where its stack pointer goes.
    #[inline(always)]
    fn leaves(&mut self) -> *mut u64 {
        if self.is_user() {
            // SAFETY: the area of the thread that runs, made with its context.
            unsafe { fpu::save(self.area) };
        }
        &raw mut self.pointer
    }

    /// Its thread comes to the processor: its stack pointer.
    #[inline(always)]
    fn comes(&mut self, own: &Processor, thread: usize) -> u64 {
        own.current.set(thread);
        own.context.set((&raw mut *self).expose_provenance() as u64);
        own.set_kernel_stack(self.top);
        if self.is_user() {
            // SAFETY: the area of that thread, made with its context.
            unsafe { fpu::load(self.area, own) };
        }
        // A supervisor thread runs in any space: the upper half is the same in all.
        let root = self.root;
        if root != own.root_here() && root != 0 {
            own.root.store(root, Relaxed);
            // SAFETY: the tables of a live space; the Nucleus is mapped in all alike.
            unsafe { cpu::set_cr3(root) };
        }
        debug_assert!((STACKS..REGISTERS).contains(&self.pointer));
        self.pointer
    }
}

/// Goes from one stack to another, with a word for who goes on there; gives the word of who comes back.
///
/// # Safety
/// `load` was made by `prepare`, `prepare_idle` or an earlier switch, and its owner runs nowhere: the lock is held. `save` is where it will be looked for.
#[inline(always)]
unsafe fn go(save: *mut u64, load: u64, word: u64) -> u64 {
    let mut passed = word;
    // SAFETY: the caller's promise. All registers that a call may change are given up, and those that it may not are kept on the stack, or by whoever needs them.
    unsafe {
        asm!(
            "pushq %rbp",
            "pushq %rbx",
            "pushq $2f",
            "movq %rsp, (%rdi)",
            "movq %rsi, %rsp",
            "ret",
            "2:",
            "popq %rbx",
            "popq %rbp",
            inout("rax") passed,
            inout("rdi") save => _,
            inout("rsi") load => _,
            out("r12") _,
            out("r13") _,
            out("r14") _,
            out("r15") _,
            clobber_abi("sysv64"),
            options(att_syntax),
        );
    }
    passed
}
