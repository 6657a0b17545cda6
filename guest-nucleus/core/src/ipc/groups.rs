//! Port groups: well-known and new ones, membership, the four addressing modes on this site (spec 2.5, 3.5).

use super::port::Port;
use super::send::{Letter, Parcel, Way};
use crate::arena::{Arena, Id};
use crate::changes::Changes;
use crate::machine::Machine;
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::keys::keyed_hash;
use chorus_abi::table::Privilege;
use chorus_abi::*;

/// A port in a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Membership {
    /// Group, without addressing mode.
    group: KnUniqueId,
    port: Id<Port>,
    /// The port arrives from another site: the membership is in no list yet.
    arrives: bool,
    /// The next one in its list.
    next: Option<Id<Membership>>,
}

impl Membership {
    /// The group.
    pub(crate) fn group(&self) -> KnUniqueId {
        self.group
    }

    /// Whether it holds, and is in its list.
    #[cfg(test)]
    pub(crate) fn holds(&self) -> bool {
        !self.arrives
    }

    /// The member.
    #[cfg(test)]
    pub(crate) fn port(&self) -> Id<Port> {
        self.port
    }
}

/// Two words that name no group: identifiers of a reserved type.
const PROOF: u64 = u64::MAX - 1;

/// Lists of memberships; a group's are all in one.
const BUCKETS: usize = 64;

/// All memberships, in lists by their group.
pub struct Groups {
    pub(crate) members: Arena<Membership>,
    lists: [Option<Id<Membership>>; BUCKETS],
    /// How many are in no list.
    arriving: usize,
}

impl Groups {
    /// Room for this many memberships.
    pub fn new(limit: usize, changes: &Changes) -> Self {
        Groups {
            members: Arena::counting(limit, changes),
            lists: [None; BUCKETS],
            arriving: 0,
        }
    }

    fn bucket(group: KnUniqueId) -> usize {
        group.counter() as usize % BUCKETS
    }

    /// The first of the list that a group's members are in.
    fn first(&self, group: KnUniqueId) -> Option<Id<Membership>> {
        self.lists.get(Self::bucket(group)).copied().flatten()
    }

    /// The members of a group; the order says nothing.
    fn of(&self, group: KnUniqueId) -> impl Iterator<Item = (Id<Membership>, Id<Port>)> {
        let mut at = self.first(group);
        core::iter::from_fn(move || {
            while let Some(id) = at {
                let member = self.members.get(id)?;
                at = member.next;
                if member.group == group {
                    return Some((id, member.port));
                }
            }
            None
        })
    }

    /// The ports in a group; the order says nothing.
    pub(crate) fn members_of(&self, group: KnUniqueId) -> impl Iterator<Item = Id<Port>> {
        self.of(group).map(|(_, port)| port)
    }

    /// The member of a group that has no other.
    pub(crate) fn only(&self, group: KnUniqueId) -> Option<Id<Port>> {
        let mut members = self.of(group).map(|(_, port)| port);
        members.next().filter(|_| members.next().is_none())
    }

    fn insert(&mut self, group: KnUniqueId, port: Id<Port>) -> Option<()> {
        let list = self.lists.get_mut(Self::bucket(group))?;
        let next = *list;
        *list = Some(self.members.insert(Membership {
            group,
            port,
            arrives: false,
            next,
        })?);
        Some(())
    }

    /// A membership of a port that arrives: in no list, so that nobody finds it.
    fn prepare(&mut self, group: KnUniqueId, port: Id<Port>) -> Option<()> {
        self.members.insert(Membership {
            group,
            port,
            arrives: true,
            next: None,
        })?;
        self.arriving += 1;
        Some(())
    }

    /// The port has arrived: its membership holds from now on.
    fn arrive(&mut self, id: Id<Membership>) {
        let Some(member) = self.members.get_mut(id).filter(|member| member.arrives) else {
            return;
        };
        if let Some(list) = self.lists.get_mut(Self::bucket(member.group)) {
            (member.arrives, member.next) = (false, list.replace(id));
            self.arriving -= 1;
        }
    }

    /// Memberships that hold.
    pub(crate) fn count(&self) -> usize {
        self.members.len() - self.arriving
    }

    /// A membership ends; whether it held.
    fn remove(&mut self, id: Id<Membership>) -> bool {
        let Some(gone) = self.members.remove(id) else {
            return false;
        };
        if gone.arrives {
            self.arriving -= 1;
            return false;
        }
        let Some(list) = self.lists.get_mut(Self::bucket(gone.group)) else {
            return false;
        };
        if *list == Some(id) {
            *list = gone.next;
            return true;
        }
        let mut at = *list;
        while let Some(member) = at.and_then(|at| self.members.get_mut(at)) {
            if member.next == Some(id) {
                member.next = gone.next;
                break;
            }
            at = member.next;
        }
        true
    }
}

impl<M: Machine> Nucleus<M> {
    /// The key of a group: computed from its name and the cluster's secret, so that any site can check it without asking and nobody else knows it.
    pub(super) fn group_key(&self, group: KnUniqueId) -> u64 {
        keyed_hash(self.configuration.secret, group.identity().word())
    }

    /// The key with which the cluster's sites prove to each other what they say of members; it opens no group.
    pub(crate) fn group_proof_key(&self) -> [u64; 2] {
        let secret = self.configuration.secret;
        [PROOF, PROOF + 1].map(|word| keyed_hash(secret, word))
    }

    /// Group and port of a membership that holds.
    pub(crate) fn membership_names(&self, id: Id<Membership>) -> Option<(KnUniqueId, KnUniqueId)> {
        let member = self.ipc.groups.members.get(id)?;
        if member.arrives {
            return None;
        }
        Some((member.group, self.ipc.ports.get(member.port)?.ui))
    }

    fn group_by_cap(&mut self, caller: Caller, cap: In<KnCap>) -> Result<KnUniqueId, KError> {
        let cap = self.read(caller, cap)?;
        let group = cap.ui.group().ok_or(KError::Inval)?;
        // First the privilege: a caller without it learns nothing of the key.
        if group.kind == GroupKind::StaticSystem && caller.privilege < Privilege::System {
            return Err(KError::Priv);
        }
        if cap.key != self.group_key(group.identity) {
            return Err(KError::Inval);
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
                key: self.group_key(ui),
            },
        )?;
        Ok(Outcome::Done(K_OK))
    }

    fn membership(&self, group: KnUniqueId, port: Id<Port>) -> Option<Id<Membership>> {
        let mut members = self.ipc.groups.of(group);
        members
            .find(|&(_, member)| member == port)
            .map(|(id, _)| id)
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
        self.port_stays(port)?;
        if self.membership(group, port).is_none() {
            self.ipc.groups.insert(group, port).ok_or(KError::NoMem)?;
            if let Some(port) = self.ipc.ports.get_mut(port) {
                port.groups += 1;
            }
            self.network_regrouped();
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
        self.port_stays(port)?;
        let member = self.membership(group, port).ok_or(KError::Inval)?;
        self.ipc.groups.remove(member);
        if let Some(port) = self.ipc.ports.get_mut(port) {
            port.groups -= 1;
        }
        self.network_regrouped();
        Ok(Outcome::Done(K_OK))
    }

    /// A port leaves all its groups.
    pub(crate) fn memberships_end(&mut self, port: Id<Port>) {
        let (mut slot, mut held) = (0, false);
        while let Some(id) = self.next_membership(port, &mut slot) {
            held |= self.ipc.groups.remove(id);
        }
        if held {
            self.network_regrouped();
        }
    }

    /// The next membership of a port, from a slot on.
    pub(super) fn next_membership(
        &self,
        port: Id<Port>,
        slot: &mut usize,
    ) -> Option<Id<Membership>> {
        if self.ipc.ports.get(port)?.groups == 0 {
            return None;
        }
        let members = &self.ipc.groups.members;
        while *slot < members.extent() {
            let id = members.at(*slot);
            *slot += 1;
            if let Some(member) = id.and_then(|id| members.get(id))
                && member.port == port
            {
                return id;
            }
        }
        None
    }

    /// A port that arrives is to be a member of a group. Errors: `K_EINVAL` there is no such group, or this is not its key; `K_ENOMEM`.
    pub(super) fn membership_prepare(
        &mut self,
        port: Id<Port>,
        [word, key]: [u64; 2],
    ) -> Result<(), KError> {
        let ui = KnUniqueId::from_word(word);
        let group = ui.group().ok_or(KError::Inval)?;
        if group.identity != ui || key != self.group_key(ui) {
            return Err(KError::Inval);
        }
        let groups = &mut self.ipc.groups;
        groups.prepare(ui, port).ok_or(KError::NoMem)?;
        if let Some(port) = self.ipc.ports.get_mut(port) {
            port.groups += 1;
        }
        Ok(())
    }

    /// A port has arrived: it is a member of its groups, of each once.
    pub(super) fn memberships_arrive(&mut self, port: Id<Port>) {
        let (mut slot, mut joined) = (0, false);
        while let Some(id) = self.next_membership(port, &mut slot) {
            let group = self.ipc.groups.members.get(id).map(|member| member.group);
            if group.is_some_and(|group| self.membership(group, port).is_none()) {
                self.ipc.groups.arrive(id);
                joined = true;
                continue;
            }
            self.ipc.groups.remove(id);
            if let Some(port) = self.ipc.ports.get_mut(port) {
                port.groups -= 1;
            }
        }
        if joined {
            self.network_regrouped();
        }
    }

    /// A member here that `fits`, each time another where there are several.
    fn pick_member(
        &mut self,
        group: KnUniqueId,
        fits: impl Fn(KnUniqueId) -> bool,
    ) -> Option<Id<Port>> {
        let fitting = || {
            let members = self.ipc.groups.of(group).map(|(_, port)| port);
            members.filter(|&port| self.ipc.ports.get(port).is_some_and(|port| fits(port.ui)))
        };
        let turn = self.ipc.rotation.checked_rem(fitting().count())?;
        let picked = fitting().nth(turn);
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
        let mut at = self.ipc.groups.first(group);
        // Posting changes no membership.
        while let Some(member) = at.and_then(|id| self.ipc.groups.members.get(id)).copied() {
            at = member.next;
            if member.group == group {
                count += usize::from(self.post(member.port, letter, parcel).is_ok());
            }
        }
        count
    }

    /// Whether a group has a member here.
    pub(crate) fn has_member(&self, group: KnUniqueId) -> bool {
        self.ipc.groups.of(group.identity()).next().is_some()
    }
}
