//! The table of loaded images, for debuggers: which actor's image lies where.
//!
//! A debugger looks from outside, at a site that may stand still, so it cannot ask: it finds the table in memory by the symbol
//! [`CHORUS_IMAGES`], as debuggers of other systems find the link map, and hears of changes by a breakpoint at [`chorus_images_changed`].
//! Nobody else reads it.

use chorus_abi::machine::{IMAGES, KnImage};
use core::cell::UnsafeCell;

/// The table; slots by actor.
#[repr(transparent)]
pub struct Table(UnsafeCell<[KnImage; IMAGES]>);
// SAFETY: written under the site's lock only.
unsafe impl Sync for Table {}

/// Where debuggers find it.
#[unsafe(no_mangle)]
pub static CHORUS_IMAGES: Table = Table(UnsafeCell::new([KnImage::NONE; IMAGES]));

/// Does nothing: a place for a debugger's breakpoint, passed after each change.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn chorus_images_changed() {
    // An empty function would be left out.
    core::sync::atomic::compiler_fence(core::sync::atomic::Ordering::SeqCst);
    // SAFETY: no instruction at all.
    unsafe { core::arch::asm!("", options(nostack, preserves_flags)) };
}

/// Notes the image of an actor, or with [`KnImage::NONE`] that it has gone. More actors than slots are not noted. Under the site's lock.
pub fn set(actor: usize, image: KnImage) {
    if actor >= IMAGES {
        return;
    }
    // SAFETY: within the table, under the site's lock; volatile, for it is read from outside.
    unsafe {
        CHORUS_IMAGES
            .0
            .get()
            .cast::<KnImage>()
            .add(actor)
            .write_volatile(image);
    }
    chorus_images_changed();
}
