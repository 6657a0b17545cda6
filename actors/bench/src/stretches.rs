//! The longest time that a processor hears no interrupts, as the Nucleus records it: since the boot, and in calls that have much to do.
//!
//! After each stretch the most urgent thread runs, so that this is also how long one that is ready waits for a less urgent one.

use crate::memory::{Region, free};
use crate::samples::report;
use alloc::format;
use chorus_abi::image::NOTE_OWNER;
use chorus_abi::{
    ABI_VERSION, In, InOut, K_ACTIVE, K_ANYWHERE, K_FILLZERO, K_MYACTOR, K_NODEMAND, K_USERACTOR,
    K_WRITABLE, KError, KnCap, KnLoadDesc, KnRgnDesc, KnSiteStat, Out, PAGE_SIZE,
};
use chorus_runtime::{at, at_mut, check, raw};

fn stat() -> Result<KnSiteStat, KError> {
    let mut stat = KnSiteStat::default();
    // SAFETY: the structure lives through the call.
    check(unsafe { raw::site_stat(Out::new(at_mut(&mut stat))) })?;
    Ok(stat)
}

fn told(of: &str, what: u32, nanoseconds: u64) {
    let op = match what >> 16 {
        0 => format!("{of}-in-call-{what}"),
        1 => format!("{of}-in-vector-{}", what & 0xff),
        _ => format!("{of}-giving-back"),
    };
    report("stretch", &op, "ns", &mut [nanoseconds]);
}

/// The longest since the boot.
pub fn longest() -> Result<(), KError> {
    let stat = stat()?;
    told("longest", stat.longest_in, stat.longest_ns);
    Ok(())
}

/// Runs something, and tells of its longest stretch.
pub fn during(name: &str, operation: impl FnOnce() -> Result<(), KError>) -> Result<(), KError> {
    stat()?;
    operation()?;
    let stat = stat()?;
    told(name, stat.recent_in, stat.recent_ns);
    Ok(())
}

/// A region of another actor, all of whose pages are made at once.
fn allocate_in(actor: &KnCap, size: u64) -> Result<KnRgnDesc, KError> {
    let mut region = KnRgnDesc {
        size,
        options: K_WRITABLE | K_FILLZERO | K_ANYWHERE | K_NODEMAND,
        ..KnRgnDesc::default()
    };
    // SAFETY: capability and descriptor live through the call.
    check(unsafe { raw::rgn_allocate(In::new(at(actor)), InOut::new(at_mut(&mut region))) })?;
    Ok(region)
}

/// Forbids stores into a region of another actor.
fn protect_in(actor: &KnCap, region: KnRgnDesc) -> Result<(), KError> {
    let region = KnRgnDesc {
        options: 0,
        ..region
    };
    // SAFETY: capability and descriptor live through the call.
    check(unsafe { raw::rgn_set_protect(In::new(at(actor)), In::new(at(&region))) }).map(|_| ())
}

/// A region of so many pages, each one made a region of its own.
fn cut(pages: u64) -> Result<Region, KError> {
    let region = Region::new(pages * PAGE_SIZE)?;
    for page in 0..pages {
        let one = KnRgnDesc {
            start_addr: region.start() + page * PAGE_SIZE,
            size: PAGE_SIZE,
            opaque1: page,
            ..KnRgnDesc::default()
        };
        // SAFETY: the descriptor lives through the call.
        check(unsafe { raw::rgn_set_opaque(In::new(K_MYACTOR), In::new(at(&one))) })?;
    }
    Ok(region)
}

fn actor() -> Result<KnCap, KError> {
    let mut cap = KnCap::default();
    // SAFETY: the capability lives through the call.
    check(unsafe {
        raw::actor_create(
            In::new(K_MYACTOR),
            Out::new(at_mut(&mut cap)),
            K_USERACTOR,
            K_ACTIVE,
        )
    })?;
    Ok(cap)
}

fn delete(actor: &KnCap) -> Result<(), KError> {
    // SAFETY: the capability lives through the call.
    check(unsafe { raw::actor_delete(In::new(at(actor))) }).map(|_| ())
}

fn copy(from: &Region, to: &Region, size: u64) -> Result<(), KError> {
    // SAFETY: both regions are this actor's, and nothing else uses them.
    check(unsafe {
        raw::vm_copy(
            In::new(K_MYACTOR),
            from.start(),
            In::new(K_MYACTOR),
            to.start(),
            size,
        )
    })
    .map(|_| ())
}

/// Locks a region, no page of which is there, and unlocks it.
fn lock(region: &Region, size: u64) -> Result<(), KError> {
    let (own, start) = (In::new(K_MYACTOR), region.start());
    // SAFETY: the region is this actor's.
    check(unsafe { raw::vm_lock(own, start, size, 0) })?;
    // SAFETY: likewise.
    check(unsafe { raw::vm_un_lock(own, start, size) }).map(|_| ())
}

/// The longest in each of the calls that have much to do.
pub fn of_long_calls() -> Result<(), KError> {
    const LARGE: u64 = 16 << 20;
    if free()? < 5 * LARGE {
        return Ok(());
    }
    let mut region = Some(Region::new(LARGE)?);
    during("free-16-MiB", || {
        drop(region.take());
        Ok(())
    })?;
    let child = actor()?;
    let mut made = KnRgnDesc::default();
    during("nodemand-16-MiB", || {
        made = allocate_in(&child, LARGE)?;
        Ok(())
    })?;
    during("protect-16-MiB-nodemand", || protect_in(&child, made))?;
    let mut pieces = Some(cut(200)?);
    during("free-200-regions", || {
        drop(pieces.take());
        Ok(())
    })?;
    for _ in 0..8 {
        allocate_in(&child, 64 * PAGE_SIZE)?;
    }
    during("delete-18-MiB", || delete(&child))?;
    let source = Region::new(LARGE)?;
    let mut copy_of = Some(source.copy()?);
    let target = Region::new(PAGE_SIZE)?;
    drop(target);
    // Of a copy half of which was written to, the other half is still the source's.
    if let Some(region) = &copy_of {
        region.touch(LARGE / 2);
    }
    source.touch(LARGE);
    during("free-a-copy", || {
        drop(copy_of.take());
        Ok(())
    })?;
    let kept = source.copy()?;
    let mut source = Some(source);
    during("free-what-was-copied", || {
        drop(source.take());
        Ok(())
    })?;
    let target = Region::fresh(LARGE)?;
    during("vmCopy-16-MiB", || copy(&kept, &target, LARGE))?;
    drop(target);
    during("copy-16-MiB-nodemand", || kept.copy_whole().map(drop))?;
    let target = Region::fresh(LARGE)?;
    during("lock-16-MiB", || lock(&target, LARGE))?;
    drop(target);
    let image = image();
    let child = actor()?;
    during("load-1-MiB", || load(&child, &image))?;
    delete(&child)
}

/// Bytes of the image that is loaded, and words in it that are relocated.
const IMAGE: usize = 1 << 20;
const WORDS: usize = 10_000;
const NOTE: usize = 0x200;
const DYNAMIC: usize = 0x300;
const RELOCATIONS: usize = 0x1000;

/// An image of one page of code and much data, with many words to relocate. Its thread would end with its first instruction.
fn image() -> alloc::vec::Vec<u8> {
    let data = (RELOCATIONS + WORDS * 24).next_multiple_of(PAGE_SIZE as usize);
    let mut image = alloc::vec![0u8; IMAGE];
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(place) = image.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    };
    put(0, b"\x7fELF\x02\x01\x01");
    put(16, &[3, 0, 62, 0, 1, 0, 0, 0]);
    put(24, &0x400u64.to_le_bytes());
    put(32, &64u64.to_le_bytes());
    put(54, &[56, 0, 4, 0]);
    // Kind, flags, place, bytes in the file and in memory.
    let parts = [
        (1u32, 5u32, 0, data),
        (1, 6, data, IMAGE - data),
        (4, 4, NOTE, 0x34),
        (2, 6, DYNAMIC, 48),
    ];
    for (index, (kind, flags, at, size)) in parts.into_iter().enumerate() {
        let header = 64 + index * 56;
        put(header, &kind.to_le_bytes());
        put(header + 4, &flags.to_le_bytes());
        for (field, value) in [(8, at), (16, at), (32, size), (40, size)] {
            put(header + field, &(value as u64).to_le_bytes());
        }
    }
    put(NOTE, &[8, 0, 0, 0, 32, 0, 0, 0, 1, 0, 0, 0]);
    put(NOTE + 12, NOTE_OWNER);
    put(NOTE + 20, &ABI_VERSION.to_le_bytes());
    for field in [36, 40] {
        // No imports: an empty table, named relative to the field.
        let to = data as i32 - (NOTE + field) as i32;
        put(NOTE + field, &to.to_le_bytes());
    }
    let table = [7, RELOCATIONS as u64, 8, WORDS as u64 * 24, 0, 0];
    for (index, value) in table.into_iter().enumerate() {
        put(DYNAMIC + index * 8, &value.to_le_bytes());
    }
    for word in 0..WORDS {
        let at = RELOCATIONS + word * 24;
        put(at, &((data + word * 8) as u64).to_le_bytes());
        put(at + 8, &8u64.to_le_bytes());
    }
    image
}

fn load(actor: &KnCap, image: &[u8]) -> Result<(), KError> {
    let mut desc = KnLoadDesc {
        image: at(image),
        image_size: image.len() as u64,
        priority: 100,
        ..KnLoadDesc::default()
    };
    // SAFETY: capability, descriptor and image live through the call.
    check(unsafe { raw::actor_load(In::new(at(actor)), InOut::new(at_mut(&mut desc))) }).map(|_| ())
}
