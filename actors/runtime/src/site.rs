//! Where an actor is: its site, the cluster, its own port.

use crate::{at, at_mut, check, start_info};
use chorus_abi::{In, K_DEFAULTPORT, KError, KnUniqueId, Out};
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

/// `uiIsLocal`: whether this site recognises a name: its own, its ports' and actors', and what was declared here.
pub fn recognises(ui: KnUniqueId) -> bool {
    // SAFETY: the identifier lives through the call.
    unsafe { crate::raw::ui_is_local(In::new(at(&ui))) == 1 }
}

/// `uiDeclare`: this site recognises the name until [`forget`], or the end of this actor. Errors: `K_EINVAL`, `K_EFULL`; `K_EPRIV` for names
/// that anybody can compute.
pub fn declare(ui: KnUniqueId) -> Result<(), KError> {
    // SAFETY: the identifier lives through the call.
    check(unsafe { crate::raw::ui_declare(In::new(at(&ui))) }).map(|_| ())
}

/// `uiForget`: takes one declaration of this actor back. Errors: `K_EINVAL`, there is none.
pub fn forget(ui: KnUniqueId) -> Result<(), KError> {
    // SAFETY: the identifier lives through the call.
    check(unsafe { crate::raw::ui_forget(In::new(at(&ui))) }).map(|_| ())
}
