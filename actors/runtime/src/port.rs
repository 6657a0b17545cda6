//! Ports and groups of the actor (spec 2.4, 2.5).

use crate::message::Buffer;
use crate::time::milliseconds;
use crate::{at, at_mut, check};
use chorus_abi::{
    In, InOut, K_ANYENABLED, K_DEFAULTPORT, K_DROPMSG, K_MIGRATEMSG, K_MYACTOR, KError, KnCap,
    KnProtId, KnUniqueId, Out,
};
use core::time::Duration;

/// A port of this actor, deleted when dropped; the default port stays.
#[derive(Debug)]
pub struct Port {
    li: i32,
    ui: KnUniqueId,
}

const OWN: In<KnCap> = In::new(K_MYACTOR);

/// What becomes of the messages that are queued on a port when it moves to another actor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Queued {
    /// They follow.
    Follow,
    /// They are lost; clients whose requests are queued get `K_ENOPORT`.
    Drop,
}

impl Queued {
    fn options(self) -> i32 {
        match self {
            Queued::Follow => K_MIGRATEMSG,
            Queued::Drop => K_DROPMSG,
        }
    }
}

impl Port {
    /// `portCreate`. Errors: `K_ENOMEM`.
    pub fn create() -> Result<Port, KError> {
        let mut ui = KnUniqueId::NULL;
        // SAFETY: the identifier lives through the call.
        let li = check(unsafe { crate::raw::port_create(OWN, Out::new(at_mut(&mut ui))) })?;
        Ok(Port { li: li as i32, ui })
    }

    /// `portDeclare`: a port with a static name (privileged actors). Errors: `K_EBUSY`, the name is in use; `K_EPRIV`.
    pub fn declare(ui: KnUniqueId) -> Result<Port, KError> {
        // SAFETY: the identifier lives through the call.
        let li = check(unsafe { crate::raw::port_declare(OWN, In::new(at(&ui))) })?;
        Ok(Port { li: li as i32, ui })
    }

    /// A port that another gave to this actor.
    pub(crate) fn arrived(li: i32, ui: KnUniqueId) -> Port {
        Port { li, ui }
    }

    /// The actor's default port.
    pub fn own() -> Port {
        Port {
            li: K_DEFAULTPORT,
            ui: crate::site::own_port(),
        }
    }

    /// Its name in the cluster.
    pub fn ui(&self) -> KnUniqueId {
        self.ui
    }

    /// Its name in the actor.
    pub fn li(&self) -> i32 {
        self.li
    }

    /// `portEnable`: [`receive_any`] looks at it; low priority numbers first. Errors: `K_EINVAL`.
    pub fn enable(&self, priority: i32) -> Result<(), KError> {
        // SAFETY: no pointers of this actor.
        check(unsafe { crate::raw::port_enable(OWN, self.li, priority) }).map(|_| ())
    }

    /// `portDisable`. Errors: `K_EINVAL`.
    pub fn disable(&self) -> Result<(), KError> {
        // SAFETY: no pointers of this actor.
        check(unsafe { crate::raw::port_disable(OWN, self.li) }).map(|_| ())
    }

    /// `portMigrate`: gives the port to another actor, where it arrives disabled; its LI there. If that actor is on another site, the caller waits until the port is there with all that was queued, or
    /// stays. The default port and ports with a static name stay (`K_EINVAL`). Errors: with the port, which has not moved; after `K_EABORT` it may be on its way.
    pub fn give(self, to: &KnCap, queued: Queued) -> Result<i32, (Port, KError)> {
        // SAFETY: the capability lives through the call.
        let moved = check(unsafe {
            crate::raw::port_migrate(queued.options(), OWN, self.li, In::new(at(to)), Out::new(0))
        });
        match moved {
            Ok(li) => {
                // It is another's now: not to be deleted here.
                core::mem::forget(self);
                Ok(li as i32)
            }
            Err(error) => Err((self, error)),
        }
    }

    /// `portMigrate`: takes a port of another actor of this site, whose threads need not know. It arrives disabled. Errors: `K_EINVAL`,
    /// `K_EUNKNOWN`, `K_EBUSY`, `K_EPRIV`.
    pub fn take_over(from: &KnCap, li: i32, queued: Queued) -> Result<Port, KError> {
        // SAFETY: the capability lives through the call.
        let li = check(unsafe {
            crate::raw::port_migrate(queued.options(), In::new(at(from)), li, OWN, Out::new(0))
        })? as i32;
        let mut ui = KnUniqueId::NULL;
        // SAFETY: the identifier lives through the call.
        check(unsafe { crate::raw::port_ui(Out::new(at_mut(&mut ui)), li) })?;
        Ok(Port { li, ui })
    }

    /// `portPi`: the protection identifier that messages from this port are stamped with. Errors: `K_EPRIV`.
    pub fn pi(&self) -> Result<KnProtId, KError> {
        let mut pi = KnProtId::default();
        // SAFETY: the identifier lives through the call.
        check(unsafe { crate::raw::port_pi(OWN, self.li, Out::new(at_mut(&mut pi)), In::new(0)) })?;
        Ok(pi)
    }

    /// `portPi`: sets it, for messages from now on. Errors: `K_EPRIV`.
    pub fn set_pi(&self, pi: KnProtId) -> Result<(), KError> {
        // SAFETY: the identifier lives through the call.
        check(unsafe { crate::raw::port_pi(OWN, self.li, Out::new(0), In::new(at(&pi))) })
            .map(|_| ())
    }

    /// `grpPortInsert`: becomes a member of a group. Errors: `K_EUNKNOWN`, `K_ENOMEM`.
    pub fn join(&self, group: &KnCap) -> Result<(), KError> {
        // SAFETY: both live through the call.
        check(unsafe { crate::raw::grp_port_insert(In::new(at(group)), In::new(at(&self.ui))) })
            .map(|_| ())
    }

    /// `grpPortRemove`: leaves a group. Errors: `K_EUNKNOWN`.
    pub fn leave(&self, group: &KnCap) -> Result<(), KError> {
        // SAFETY: both live through the call.
        check(unsafe { crate::raw::grp_port_remove(In::new(at(group)), In::new(at(&self.ui))) })
            .map(|_| ())
    }

    /// `ipcReceive` on this port, waiting at most `limit`. The message becomes current. Errors: those of `ipcReceive`.
    pub fn receive(&self, buffer: &mut Buffer, limit: Option<Duration>) -> Result<(), KError> {
        receive(self.li, buffer, limit).map(|_| ())
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        if self.li != K_DEFAULTPORT {
            // SAFETY: no pointers of this actor.
            unsafe { crate::raw::port_delete(OWN, self.li) };
        }
    }
}

/// `ipcReceive` on any enabled port; returns its LI. Errors: those of `ipcReceive`.
pub fn receive_any(buffer: &mut Buffer, limit: Option<Duration>) -> Result<i32, KError> {
    receive(K_ANYENABLED, buffer, limit)
}

fn receive(mut li: i32, buffer: &mut Buffer, limit: Option<Duration>) -> Result<i32, KError> {
    let mut room = buffer.descriptor();
    // SAFETY: the descriptor, the buffer that it points at, and the LI live through the call.
    let size = check(unsafe {
        crate::raw::ipc_receive(
            InOut::new(at_mut(&mut room)),
            InOut::new(at_mut(&mut li)),
            milliseconds(limit),
        )
    })?;
    buffer.came(size, &room);
    Ok(li)
}

/// `grpAllocate`: the well-known group `stamp` of the user class, for actors that meet by a number. Errors: `K_EINVAL`.
pub fn well_known_group(stamp: u32) -> Result<KnCap, KError> {
    group(chorus_abi::K_STATUSER, stamp)
}

/// `grpAllocate`: the group of this site's default mappers (`vmStat` in the manual). Errors: `K_EPRIV`.
pub fn default_mappers() -> Result<KnCap, KError> {
    group(chorus_abi::K_STATSYS, chorus_abi::STAMP_DEFAULT_MAPPER)
}

/// `grpAllocate`: a new group. Errors: none that an actor could cause.
pub fn new_group() -> Result<KnCap, KError> {
    group(chorus_abi::K_DYNAMIC, 0)
}

fn group(options: i32, stamp: u32) -> Result<KnCap, KError> {
    let mut cap = KnCap::default();
    // SAFETY: the capability lives through the call.
    check(unsafe { crate::raw::grp_allocate(options, Out::new(at_mut(&mut cap)), stamp) })?;
    Ok(cap)
}
