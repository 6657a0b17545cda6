//! Where an actor is: its site, the cluster, its own port.

use crate::{at_mut, start_info};
use chorus_abi::{K_DEFAULTPORT, KnUniqueId, Out};
use core::sync::atomic::{AtomicU64, Ordering};

/// Number of this site, from 1.
pub fn number() -> u16 {
    start_info().site as u16
}

/// Sites that the cluster was started with.
pub fn count() -> u16 {
    start_info().sites as u16
}

/// Processors of this site.
pub fn cpus() -> u32 {
    start_info().cpus
}

/// UI of the actor's default port, which is its name too.
pub fn own_port() -> KnUniqueId {
    static PORT: AtomicU64 = AtomicU64::new(0);
    let known = PORT.load(Ordering::Relaxed);
    if known != 0 {
        return KnUniqueId::from_word(known);
    }
    let mut ui = KnUniqueId::NULL;
    // SAFETY: the identifier lives through the call.
    unsafe { crate::raw::port_ui(Out::new(at_mut(&mut ui)), K_DEFAULTPORT) };
    PORT.store(ui.word(), Ordering::Relaxed);
    ui
}
