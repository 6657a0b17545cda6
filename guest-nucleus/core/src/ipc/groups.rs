//! Port groups: well-known and new ones, membership, the four addressing modes on this site (spec 2.5, 3.5).

use super::port::Port;
use super::send::{Letter, Parcel, Way};
use crate::arena::Id;
use crate::machine::Machine;
use crate::names::keys::keyed_hash;
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::table::Privilege;
use chorus_abi::*;

/// A port in a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Membership {
    /// Group, without addressing mode.
    group: KnUniqueId,
    port: Id<Port>,
}

/// Secret of the installation for keys of groups: every site of a cluster has the same. Sealing (issue C) brings one per cluster.
const SECRET: (u64, u64) = (0x4368_6f72_7573_2041, 0x6e65_7720_696e_2052);

impl<M: Machine> Nucleus<M> {
    /// The key of a group: computed from its name, so that any site can check it without asking.
    fn group_key(group: KnUniqueId) -> u64 {
        keyed_hash(SECRET, group.identity().word())
    }

    fn group_by_cap(&mut self, caller: Caller, cap: In<KnCap>) -> Result<KnUniqueId, KError> {
        let cap = self.read(caller, cap)?;
        let group = cap.ui.group().ok_or(KError::Inval)?;
        if cap.key != Self::group_key(group.identity) {
            return Err(KError::Inval);
        }
        if group.kind == GroupKind::StaticSystem && caller.privilege < Privilege::System {
            return Err(KError::Priv);
        }
        Ok(group.identity)
    }

    /// `grpAllocate` (NC-133…137).
    pub fn grp_allocate(
        &mut self,
        caller: Caller,
        options: i32,
        cap: Out<KnCap>,
        stamp: u32,
    ) -> Result<Outcome, KError> {
        self.check_writable(caller, cap.address(), size_of::<KnCap>() as u64)?;
        let ui = match options {
            K_DYNAMIC => self.new_ui(UiType::Group),
            K_STATUSER => KnUniqueId::static_group(false, stamp),
            K_STATSYS if caller.privilege < Privilege::System => return Err(KError::Priv),
            K_STATSYS => KnUniqueId::static_group(true, stamp),
            _ => return Err(KError::Inval),
        };
        self.write(
            caller,
            cap,
            &KnCap {
                ui,
                key: Self::group_key(ui),
            },
        )?;
        Ok(Outcome::Done(K_OK))
    }

    fn membership(&self, group: KnUniqueId, port: Id<Port>) -> Option<Id<Membership>> {
        let found = self
            .ipc
            .memberships
            .iter()
            .find(|(_, member)| member.group == group && member.port == port);
        found.map(|(id, _)| id)
    }

    fn port_of_site(&mut self, caller: Caller, ui: In<KnUniqueId>) -> Result<Id<Port>, KError> {
        let ui = self.read(caller, ui)?;
        if ui.kind() != Some(UiType::Port) {
            return Err(KError::Inval);
        }
        self.port_by_ui(ui).ok_or(KError::Unknown)
    }

    /// `grpPortInsert` (NC-138…146).
    pub fn grp_port_insert(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        ui: In<KnUniqueId>,
    ) -> Result<Outcome, KError> {
        let group = self.group_by_cap(caller, cap)?;
        let port = self.port_of_site(caller, ui)?;
        if self.membership(group, port).is_none() {
            self.ipc
                .memberships
                .insert(Membership { group, port })
                .ok_or(KError::NoMem)?;
        }
        Ok(Outcome::Done(K_OK))
    }

    /// `grpPortRemove` (NC-140…144).
    pub fn grp_port_remove(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        ui: In<KnUniqueId>,
    ) -> Result<Outcome, KError> {
        let group = self.group_by_cap(caller, cap)?;
        let port = self.port_of_site(caller, ui)?;
        let member = self.membership(group, port).ok_or(KError::Inval)?;
        self.ipc.memberships.remove(member);
        Ok(Outcome::Done(K_OK))
    }

    /// A port leaves all its groups.
    pub(crate) fn memberships_end(&mut self, port: Id<Port>) {
        for slot in 0..self.ipc.memberships.capacity() {
            if let Some(id) = self.ipc.memberships.at(slot)
                && self
                    .ipc
                    .memberships
                    .get(id)
                    .is_some_and(|member| member.port == port)
            {
                self.ipc.memberships.remove(id);
            }
        }
    }

    /// A member here that `fits`, each time another where there are several.
    fn pick_member(
        &mut self,
        group: KnUniqueId,
        fits: impl Fn(KnUniqueId) -> bool,
    ) -> Option<Id<Port>> {
        let member = |(_, member): (Id<Membership>, &Membership)| {
            let ui = self.ipc.ports.get(member.port)?.ui;
            (member.group == group && fits(ui)).then_some(member.port)
        };
        let count = self.ipc.memberships.iter().filter_map(member).count();
        let turn = self.ipc.rotation.checked_rem(count)?;
        let picked = self.ipc.memberships.iter().filter_map(member).nth(turn);
        self.ipc.rotation = self.ipc.rotation.wrapping_add(1);
        picked
    }

    /// Where a message to a group goes (spec 3.6 `ipcSend`, modes). A member here is preferred.
    pub(crate) fn way_to_group(&mut self, dest: &KnIpcDest) -> Result<Way, KError> {
        let group = dest.target.group().ok_or(KError::Inval)?;
        let (identity, other) = (group.identity, dest.co_target);
        let here = match group.mode {
            K_BROADMODE => return Ok(Way::Broadcast(identity)),
            K_FUNCMODE => self.pick_member(identity, |_| true),
            K_FUNCUMODE => {
                if other.kind().is_none() {
                    return Err(KError::Inval);
                }
                // The site that recognises the co-target decides; no other is tried.
                if self.recognises(other) {
                    return self
                        .pick_member(identity, |_| true)
                        .map(Way::Port)
                        .ok_or(KError::Unknown);
                }
                None
            }
            _ => match other.kind() {
                None => return Err(KError::Inval),
                Some(UiType::Site) if self.recognises(other) => None,
                Some(_) => self.pick_member(identity, |ui| ui != other),
            },
        };
        match here {
            Some(port) => Ok(Way::Port(port)),
            None if self.network_attached() => Ok(Way::Network),
            None => Err(KError::Unknown),
        }
    }

    /// Delivers to every member here; full queues are passed over. How many got it.
    pub(crate) fn post_to_members(
        &mut self,
        group: KnUniqueId,
        letter: &Letter,
        parcel: &Parcel,
    ) -> usize {
        let mut count = 0;
        for slot in 0..self.ipc.memberships.capacity() {
            let Some(member) = self
                .ipc
                .memberships
                .at(slot)
                .and_then(|id| self.ipc.memberships.get(id))
                .copied()
            else {
                continue;
            };
            if member.group == group && self.post(member.port, letter, parcel).is_ok() {
                count += 1;
            }
        }
        count
    }

    /// Whether a group has a member here.
    pub(crate) fn has_member(&self, group: KnUniqueId) -> bool {
        self.ipc
            .memberships
            .iter()
            .any(|(_, member)| member.group == group.identity())
    }
}
