//! Making other processors forget a translation.
//!
//! One request at a time: its sender holds the site's lock, and waits until all have answered. A processor that waits for the lock answers from there.

use crate::entry::MAX_CPUS;
use crate::requests::Requests;
use crate::{apic, cpu, processor};
use core::sync::atomic::{AtomicU64, Ordering};

static REQUESTS: Requests = Requests::of(AtomicU64::new(0), AtomicU64::new(0));
/// Root to which processors leave a space that goes away.
pub static KERNEL_ROOT: AtomicU64 = AtomicU64::new(0);
/// Interprocessor interrupts sent.
pub static SENT: AtomicU64 = AtomicU64::new(0);
const LEAVE: u64 = u64::MAX;
/// All addresses: those that are the same in all spaces too, or those that are not.
const ALL: u64 = u64::MAX - 1;
const ALL_OF_SPACE: u64 = u64::MAX - 2;

/// Answers a request to this processor, if there is one.
#[inline]
pub fn serve() {
    if REQUESTS.any() {
        REQUESTS.answer(processor::this().index, obey);
    }
}

fn obey(address: u64) {
    if address == LEAVE {
        let root = KERNEL_ROOT.load(Ordering::Relaxed);
        // SAFETY: the Nucleus is mapped in all tables alike.
        unsafe { cpu::set_cr3(root) };
        processor::this().root.store(root, Ordering::Relaxed);
    } else if address == ALL {
        cpu::invalidate_all();
    } else if address == ALL_OF_SPACE {
        let root = processor::this().root.load(Ordering::Relaxed);
        // SAFETY: these tables are in force.
        unsafe { cpu::set_cr3(root) };
    } else {
        cpu::invalidate(address);
    }
}

fn request(address: u64, concerned: impl Fn(u64) -> bool) {
    let own = processor::this().index;
    let others = || (0..MAX_CPUS).map_while(processor::get);
    let mut mask = 0;
    for other in others().filter(|other| concerned(other.root.load(Ordering::Relaxed))) {
        mask |= 1u64 << other.index;
    }
    if mask >> own & 1 == 1 {
        obey(address);
        mask &= !(1 << own);
    }
    if mask == 0 {
        return;
    }
    REQUESTS.raise(address, mask);
    for other in others().filter(|other| mask >> other.index & 1 == 1) {
        SENT.fetch_add(1, Ordering::Relaxed);
        apic::send(other.apic.get(), u32::from(apic::SHOOTDOWN));
    }
    while !REQUESTS.all_answered() {
        core::hint::spin_loop();
    }
}

/// Forgets an address of the space with this root; 0: of the upper half, which all share.
pub fn forget(root: u64, address: u64) {
    request(address, |loaded| {
        loaded != 0 && (root == 0 || loaded == root)
    });
}

/// The same of all addresses.
pub fn forget_all(root: u64) {
    let what = if root == 0 { ALL } else { ALL_OF_SPACE };
    request(what, |loaded| loaded != 0 && (root == 0 || loaded == root));
}

/// No processor keeps the space with this root in force.
pub fn leave(root: u64) {
    request(LEAVE, |loaded| loaded == root);
}
