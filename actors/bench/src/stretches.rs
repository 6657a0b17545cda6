//! The longest time that a processor hears no interrupts, as the Nucleus records it: since the boot, and in calls that have much to do.
//!
//! After each stretch the most urgent thread runs, so that this is also how long one that is ready waits for a less urgent one.

use crate::memory::{Region, free};
use crate::samples::report;
use alloc::format;
use chorus_abi::{
    In, InOut, K_ACTIVE, K_ANYWHERE, K_FILLZERO, K_MYACTOR, K_NODEMAND, K_USERACTOR, K_WRITABLE,
    KError, KnCap, KnRgnDesc, KnSiteStat, Out, PAGE_SIZE,
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
fn during(name: &str, operation: impl FnOnce() -> Result<(), KError>) -> Result<(), KError> {
    stat()?;
    operation()?;
    let stat = stat()?;
    told(name, stat.recent_in, stat.recent_ns);
    Ok(())
}

/// A region of another actor, all of whose pages are made at once.
fn allocate_in(actor: &KnCap, size: u64) -> Result<(), KError> {
    let mut region = KnRgnDesc {
        size,
        options: K_WRITABLE | K_FILLZERO | K_ANYWHERE | K_NODEMAND,
        ..KnRgnDesc::default()
    };
    // SAFETY: capability and descriptor live through the call.
    check(unsafe { raw::rgn_allocate(In::new(at(actor)), InOut::new(at_mut(&mut region))) })
        .map(|_| ())
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
    during("nodemand-16-MiB", || allocate_in(&child, LARGE))?;
    for _ in 0..8 {
        allocate_in(&child, 64 * PAGE_SIZE)?;
    }
    during("delete-18-MiB", || delete(&child))?;
    let source = Region::new(LARGE)?;
    let mut copy_of = Some(source.copy());
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
    let kept = source.copy();
    let mut source = Some(source);
    during("free-what-was-copied", || {
        drop(source.take());
        Ok(())
    })?;
    let target = Region::fresh(LARGE)?;
    during("vmCopy-16-MiB", || copy(&kept, &target, LARGE))
}
