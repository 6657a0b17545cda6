//! Code in an actor that was made empty: what a checker of any kind has another user actor do.
//!
//! The code is a few routines without a stack, copied into a page of the new actor that may then be executed and not written. They work with words in a second page,
//! which the checker maps too: so it sees what they did after the actor has gone.

use crate::actors::{delete, make};
use crate::verdict::{OWN, call};
use chorus_abi::error::*;
use chorus_abi::table::number;
use chorus_abi::*;
use chorus_runtime::{at, at_mut, thread};
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

/// Where the code lies in such an actor.
const CODE: u64 = 0x4000_0000;
/// Where its words lie.
const WORDS: u64 = 0x4001_0000;
/// Words of a thread: how often it did its work, the last result, the number of a call, six arguments, how often it is to be made.
const AREA: usize = 16;
const ARGUMENTS: usize = 3;
const TIMES: usize = 9;

core::arch::global_asm!(
    ".globl conformance_planted, conformance_planted_end",
    "conformance_planted:",
    // Adds one, for ever.
    "2: lock inc qword ptr [rdi]",
    "jmp 2b",
    ".org conformance_planted + 16",
    // Makes a call so many times, and sleeps.
    "mov rbx, rdi",
    "3: mov rdi, [rbx + 24]",
    "mov rsi, [rbx + 32]",
    "mov rdx, [rbx + 40]",
    "mov r10, [rbx + 48]",
    "mov r8, [rbx + 56]",
    "mov r9, [rbx + 64]",
    "mov eax, [rbx + 16]",
    "syscall",
    "mov [rbx + 8], rax",
    "lock inc qword ptr [rbx]",
    "dec qword ptr [rbx + 72]",
    "jnz 3b",
    "4: xor edi, edi",
    "mov eax, {delay}",
    "syscall",
    "jmp 4b",
    ".org conformance_planted + 96",
    // Loads from the address in the first argument.
    "mov rbx, rdi",
    "mov rcx, [rbx + 24]",
    "mov rax, [rcx]",
    "mov [rbx + 8], rax",
    "lock inc qword ptr [rbx]",
    "jmp 4b",
    ".org conformance_planted + 128",
    // Stores there.
    "mov rbx, rdi",
    "mov rcx, [rbx + 24]",
    "mov [rcx], rcx",
    "lock inc qword ptr [rbx]",
    "jmp 4b",
    "conformance_planted_end:",
    delay = const number::thread_delay,
);
unsafe extern "C" {
    static conformance_planted: u8;
    static conformance_planted_end: u8;
}

/// A routine.
#[derive(Clone, Copy)]
pub enum Code {
    /// Adds one to its count, for ever.
    Count = 0,
    /// Makes a call, counts, and sleeps after the last.
    Call = 16,
    /// Loads from an address, counts, and sleeps.
    Load = 96,
    /// Stores there, counts, and sleeps.
    Store = 128,
}

/// A user actor with such code. It is deleted when dropped, if it is still there.
pub struct Planted {
    /// Its capability.
    pub cap: KnCap,
    words: u64,
}

fn page(start_addr: u64, options: u32) -> KnRgnDesc {
    KnRgnDesc {
        start_addr,
        size: PAGE_SIZE,
        options,
        ..KnRgnDesc::default()
    }
}

impl Planted {
    /// Makes one, as active or stopped as `status` says. `None`: something was refused.
    pub fn new(status: i32) -> Option<Planted> {
        let (made, cap) = make(K_USERACTOR, status);
        let mut planted = Planted { cap, words: 0 };
        let (first, end) = (
            &raw const conformance_planted,
            &raw const conformance_planted_end,
        );
        let (code, bytes) = (first as u64, end as u64 - first as u64);
        let (mut text, mut words) = (page(CODE, K_WRITABLE), page(WORDS, K_WRITABLE));
        let mut here = page(0, K_WRITABLE | K_ANYWHERE);
        let actor = planted.actor();
        let results = [
            made,
            call!(rgn_allocate, actor, InOut::new(at_mut(&mut text))),
            call!(vm_copy, OWN, code, actor, CODE, bytes),
            call!(
                rgn_set_protect,
                actor,
                In::new(at(&page(CODE, K_EXECUTABLE)))
            ),
            call!(rgn_allocate, actor, InOut::new(at_mut(&mut words))),
            call!(
                rgn_map_from_actor,
                OWN,
                InOut::new(at_mut(&mut here)),
                actor,
                In::new(at(&words))
            ),
        ];
        if results != [K_OK; 6] {
            chorus_runtime::println!("code could not be planted: {results:?}");
            return None;
        }
        planted.words = here.start_addr;
        Some(planted)
    }

    /// The actor, for calls.
    pub fn actor(&self) -> In<KnCap> {
        In::new(at(&self.cap))
    }

    /// A word of an area, here.
    pub fn word(&self, area: usize, index: usize) -> &AtomicU64 {
        let place = self.words + 8 * (area * AREA + index) as u64;
        // SAFETY: the page was mapped for this, stays until `self` goes, and has only such words; 32 areas are in it.
        unsafe { &*(place as *const AtomicU64) }
    }

    /// The address of a word there.
    pub fn there(area: usize, index: usize) -> u64 {
        WORDS + 8 * (area * AREA + index) as u64
    }

    /// How often the thread of an area did its work.
    pub fn count(&self, area: usize) -> u64 {
        self.word(area, 0).load(Ordering::Acquire)
    }

    /// The last result of an area's calls.
    pub fn result(&self, area: usize) -> i32 {
        self.word(area, 1).load(Ordering::Acquire) as i32
    }

    /// A thread with an area's words; its LI.
    pub fn run(&self, area: usize, code: Code, status: i32, relative: i32) -> i32 {
        let (entry, words) = (CODE + code as u64, Planted::there(area, 0));
        let actor = self.actor();
        call!(
            thread_create,
            actor,
            K_USERTHREAD,
            status,
            relative,
            entry,
            words
        )
    }

    fn tell(&self, area: usize, number: u16, arguments: &[u64], times: u64) {
        self.word(area, 2).store(number.into(), Ordering::Release);
        for (index, argument) in arguments.iter().enumerate() {
            self.word(area, ARGUMENTS + index)
                .store(*argument, Ordering::Release);
        }
        self.word(area, TIMES).store(times, Ordering::Release);
    }

    /// A thread that makes a call so many times; its LI. Less urgent than the checker.
    pub fn call(&self, area: usize, number: u16, arguments: &[u64], times: u64) -> i32 {
        self.tell(area, number, arguments, times);
        self.run(area, Code::Call, K_ACTIVE, 1)
    }

    /// A thread, not yet activated, that receives at its actor's default port; its LI.
    pub fn receiver(&self, area: usize, delay: i64, times: u64, relative: i32) -> i32 {
        // A descriptor without room, and the LI of the default port, are zeros.
        let zeros = Planted::there(31, 0);
        let arguments = [zeros, zeros + 64, delay as u64];
        self.tell(area, number::ipc_receive, &arguments, times);
        self.run(area, Code::Call, K_INACTIVE, relative)
    }

    /// A thread that loads from an address, or stores there.
    pub fn touch(&self, area: usize, address: u64, code: Code) -> i32 {
        self.tell(area, 0, &[address], 1);
        self.run(area, code, K_ACTIVE, 1)
    }

    /// Whether an area's count becomes at least `count`, in five seconds.
    pub fn comes(&self, area: usize, count: u64) -> bool {
        for _ in 0..1000 {
            if self.count(area) >= count {
                return true;
            }
            let _ = thread::sleep(Duration::from_millis(5));
        }
        false
    }

    /// Whether an area's count grows, in five seconds.
    pub fn advances(&self, area: usize) -> bool {
        self.comes(area, self.count(area) + 1)
    }

    /// How much an area's count grows while the checker sleeps.
    pub fn grows(&self, area: usize, time: Duration) -> u64 {
        let before = self.count(area);
        let _ = thread::sleep(time);
        self.count(area) - before
    }

    /// Deletes the actor: the result.
    pub fn delete(&self) -> i32 {
        delete(&self.cap)
    }
}

impl Drop for Planted {
    fn drop(&mut self) {
        delete(&self.cap);
        if self.words != 0 {
            call!(rgn_free, OWN, In::new(at(&page(self.words, 0))));
        }
    }
}
