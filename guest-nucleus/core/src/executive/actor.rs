//! Actors: the calls that make, end and describe them (spec 2.2, 3.1).

use crate::arena::Id;
use crate::executive::thread::Wait;
use crate::ipc::Port;
use crate::machine::{Machine, Space};
use crate::memory::Region;
use crate::nucleus::{Caller, Nucleus, Outcome};
use crate::supervisor::Handlers;
use chorus_abi::table::Privilege;
use chorus_abi::*;

/// How an actor ended, for its notice.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct End {
    /// 0, or the exception number.
    pub reason: u32,
    /// Status of `actorExit`; `i32::MIN` when it was deleted.
    pub status: i32,
    /// LI of the thread that caused the exception.
    pub thread: i32,
    /// Instruction pointer of the exception.
    pub pc: u64,
    /// Address of the exception.
    pub address: u64,
}

/// An actor.
pub struct Actor {
    /// UI of the default port, and key.
    pub cap: KnCap,
    /// The default port.
    pub default_port: Option<Id<Port>>,
    /// The first of all its ports.
    pub first_port: Option<Id<Port>>,
    /// `K_USERACTOR`…
    pub kind: i32,
    /// Its threads are STOPPED.
    pub stopped: bool,
    /// Priority.
    pub priority: i32,
    /// Protection identifier.
    pub pi: KnProtId,
    /// Name.
    pub name: [u8; 16],
    /// Port that hears of its end.
    pub notify: KnUniqueId,
    /// Its space.
    pub space: Space,
    /// Where its image was loaded; 0 before.
    pub base: u64,
    /// Threads.
    pub threads: u32,
    /// Ports.
    pub ports: u32,
    /// Messages of its own in queues.
    pub queued: u32,
    /// Saved messages.
    pub saved: u32,
    /// Pages that it owns.
    pub pages: u32,
    /// Most pages that it may own; 0: no limit.
    pub limit: u32,
    /// First of its regions, by address.
    pub regions: Option<Id<Region>>,
    /// The region in which a page was touched last, if it is still one of the actor's.
    pub touched: Option<Id<Region>>,
    /// Port that its exceptions are reported to.
    pub exception_port: KnUniqueId,
    /// Who treats its exceptions and aborts.
    pub handlers: Handlers,
    /// Threads and processors inside its points.
    pub guests: u32,
    /// Its image is being loaded, in steps.
    pub loading: bool,
    /// It is being deleted.
    pub dying: bool,
    /// How it ends, when it is dying.
    pub end: End,
}

impl<M: Machine> Nucleus<M> {
    /// The actor that a capability names; null is the caller's own.
    ///
    /// # Errors
    /// `K_EFAULT`; `K_EINVAL` ill-formed, wrong key, or gone; `K_EUNKNOWN` an actor of another site (NC-021, NC-023, NC-027).
    pub(crate) fn actor_by_cap(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
    ) -> Result<Id<Actor>, KError> {
        if cap.is_null() {
            return Ok(caller.actor);
        }
        if cap.address() == K_SVACTOR {
            return Err(KError::Inval);
        }
        let cap: KnCap = self.read(caller, cap)?;
        if cap.ui.kind() != Some(UiType::Port) {
            return Err(KError::Inval);
        }
        match self.port_by_ui(cap.ui) {
            Some(port) => {
                let owner = self.port_owner(port).ok_or(KError::Inval)?;
                let actor = self.actors.get(owner).ok_or(KError::Inval)?;
                if actor.default_port == Some(port) && actor.cap.key == cap.key {
                    Ok(owner)
                } else {
                    Err(KError::Inval)
                }
            }
            None if cap.ui.site() == self.configuration.site => Err(KError::Inval),
            None => Err(KError::Unknown),
        }
    }

    /// A user caller does not touch trusted actors.
    pub(crate) fn may_change(&self, caller: Caller, id: Id<Actor>) -> Result<(), KError> {
        let kind = self.actors.get(id).ok_or(KError::Inval)?.kind;
        if kind != K_USERACTOR && caller.privilege < Privilege::System && id != caller.actor {
            Err(KError::Priv)
        } else {
            Ok(())
        }
    }

    /// Makes an actor; `parent` gives priority, `creator` the protection identifier.
    pub(crate) fn actor_make(
        &mut self,
        parent: Option<Id<Actor>>,
        creator: Option<Id<Actor>>,
        kind: i32,
        stopped: bool,
    ) -> Result<Id<Actor>, KError> {
        if !self.actors.has_room() || !self.port_room() {
            return Err(KError::NoMem);
        }
        self.frames_spare();
        let space = match kind {
            K_SUPACTOR => Space::SUPERVISOR,
            _ => self.machine.space_create().ok_or(KError::NoMem)?,
        };
        let key = self.machine.random();
        let limit = creator
            .and_then(|id| self.actors.get(id))
            .map_or(0, |actor| actor.limit);
        let actor = Actor {
            cap: KnCap {
                ui: KnUniqueId::NULL,
                key,
            },
            default_port: None,
            first_port: None,
            kind,
            stopped,
            priority: parent
                .and_then(|id| self.actors.get(id))
                .map_or(K_SLICED_FIRST, |actor| actor.priority),
            pi: creator
                .and_then(|id| self.actors.get(id))
                .map_or_else(KnProtId::default, |actor| actor.pi),
            name: [0; 16],
            notify: KnUniqueId::NULL,
            space,
            threads: 0,
            ports: 0,
            queued: 0,
            saved: 0,
            pages: 0,
            limit,
            base: 0,
            regions: None,
            touched: None,
            exception_port: KnUniqueId::NULL,
            handlers: Handlers::default(),
            guests: 0,
            loading: false,
            dying: false,
            end: End::default(),
        };
        let id = self.actors.insert(actor).ok_or(KError::NoMem)?;
        let ui = self.new_ui(UiType::Port);
        let port = self.port_make(id, ui, KnProtId::default());
        if let Some(actor) = self.actors.get_mut(id) {
            actor.default_port = port;
            actor.cap.ui = ui;
        }
        if let (Some(port), Some(pi)) = (port, self.actors.get(id).map(|actor| actor.pi)) {
            self.port_set_pi(port, pi);
        }
        if let Some(parent) = parent {
            self.handlers_inherit(parent, id);
            self.exception_port_inherit(parent, id);
        }
        Ok(id)
    }

    /// `actorCreate` (NC-014…025).
    pub fn actor_create(
        &mut self,
        caller: Caller,
        init: In<KnCap>,
        cap: Out<KnCap>,
        kind: i32,
        status: i32,
    ) -> Result<Outcome, KError> {
        self.check_writable(caller, cap.address(), size_of::<KnCap>() as u64)?;
        let parent = self.actor_by_cap(caller, init)?;
        if !(K_USERACTOR..=K_SUPACTOR).contains(&kind) || !matches!(status, K_ACTIVE | K_STOPPED) {
            return Err(KError::Inval);
        }
        if kind != K_USERACTOR && caller.privilege < Privilege::System {
            return Err(KError::Priv);
        }
        let id = self.actor_make(Some(parent), Some(caller.actor), kind, status == K_STOPPED)?;
        let made = self
            .actors
            .get(id)
            .map(|actor| actor.cap)
            .unwrap_or_default();
        self.write(caller, cap, &made)?;
        Ok(Outcome::Done(K_OK))
    }

    /// `actorDelete` (NC-026…033).
    pub fn actor_delete(&mut self, caller: Caller, cap: In<KnCap>) -> Result<Outcome, KError> {
        let id = self.actor_by_cap(caller, cap)?;
        self.may_change(caller, id)?;
        if self.actors.get(id).is_some_and(|actor| actor.dying) {
            return Err(KError::Busy);
        }
        let gone = self.kill_actor(
            id,
            End {
                status: i32::MIN,
                ..End::default()
            },
        );
        if id == caller.actor {
            return Ok(Outcome::Blocked);
        }
        if gone {
            return Ok(Outcome::Done(K_OK));
        }
        self.actor_awaited(id, caller.thread);
        self.block(caller.thread, Wait::Gone(id), None);
        Ok(Outcome::Blocked)
    }

    /// `actorExit`.
    pub fn actor_exit(&mut self, caller: Caller, status: i32) -> Result<Outcome, KError> {
        self.kill_actor(
            caller.actor,
            End {
                status,
                ..End::default()
            },
        );
        Ok(Outcome::Blocked)
    }

    /// `actorStop` (NC-034…040).
    pub fn actor_stop(&mut self, caller: Caller, cap: In<KnCap>) -> Result<Outcome, KError> {
        let id = self.actor_by_cap(caller, cap)?;
        self.may_change(caller, id)?;
        if let Some(actor) = self.actors.get_mut(id) {
            actor.stopped = true;
        }
        let mut elsewhere = false;
        for slot in 0..self.threads.extent() {
            let Some(thread) = self.threads.at(slot) else {
                continue;
            };
            let Some(found) = self.threads.get(thread).filter(|thread| thread.actor == id) else {
                continue;
            };
            let away = found.cpu.is_some_and(|cpu| cpu != caller.cpu);
            elsewhere |= away;
            if let Some(found) = self.threads.get_mut(thread) {
                found.stopped = true;
                found.watched |= away;
            }
            self.requeue(thread);
        }
        match elsewhere {
            _ if id == caller.actor => Ok(self.await_off(caller, caller.thread, None)),
            true => {
                self.block(caller.thread, Wait::Still(id), None);
                Ok(Outcome::Blocked)
            }
            false => Ok(Outcome::Done(K_OK)),
        }
    }

    /// `actorStart` (NC-034…040).
    pub fn actor_start(&mut self, caller: Caller, cap: In<KnCap>) -> Result<Outcome, KError> {
        let id = self.actor_by_cap(caller, cap)?;
        self.may_change(caller, id)?;
        if let Some(actor) = self.actors.get_mut(id) {
            actor.stopped = false;
        }
        for slot in 0..self.threads.extent() {
            if let Some(thread) = self.threads.at(slot)
                && let Some(found) = self.threads.get_mut(thread)
                && found.actor == id
                && core::mem::take(&mut found.stopped)
            {
                self.goes_on(thread);
            }
        }
        // Its threads may never leave their processors now: whoever stops it waits for that no longer.
        self.wake_all(|wait| wait == Wait::Still(id));
        Ok(Outcome::Done(K_OK))
    }

    fn requeue_threads_of(&mut self, id: Id<Actor>) {
        for slot in 0..self.threads.extent() {
            if let Some(thread) = self.threads.at(slot)
                && self
                    .threads
                    .get(thread)
                    .is_some_and(|thread| thread.actor == id)
            {
                self.requeue(thread);
                self.slice_anew(thread);
                self.pass_on_priority(thread);
            }
        }
    }

    /// `actorPriority` (NC-041…047).
    pub fn actor_priority(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        old: Out<i32>,
        new: In<i32>,
    ) -> Result<Outcome, KError> {
        let id = self.actor_by_cap(caller, cap)?;
        let priority = self.actors.get(id).ok_or(KError::Inval)?.priority;
        let wanted = self.read_optional(caller, new)?;
        if let Some(wanted) = wanted {
            if !(0..=255).contains(&wanted) {
                return Err(KError::Inval);
            }
            if wanted < priority && wanted < K_USER_CEILING && caller.privilege == Privilege::User {
                return Err(KError::Priv);
            }
            self.may_change(caller, id)?;
        }
        self.write_optional(caller, old, &priority)?;
        if let (Some(wanted), Some(actor)) = (wanted, self.actors.get_mut(id)) {
            actor.priority = wanted;
            self.requeue_threads_of(id);
        }
        Ok(Outcome::Done(K_OK))
    }

    /// `actorSelf`.
    pub fn actor_self(&mut self, caller: Caller, cap: Out<KnCap>) -> Result<Outcome, KError> {
        let own = self.actors.get(caller.actor).ok_or(KError::Inval)?.cap;
        self.write(caller, cap, &own)?;
        Ok(Outcome::Done(K_OK))
    }

    /// `actorName`: an untrusted caller names only its own actor.
    pub fn actor_name(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        old: Out<u8>,
        new: In<u8>,
    ) -> Result<Outcome, KError> {
        let id = self.actor_by_cap(caller, cap)?;
        let name = self.actors.get(id).ok_or(KError::Inval)?.name;
        let mut wanted = None;
        if !new.is_null() {
            if id != caller.actor && caller.privilege < Privilege::System {
                return Err(KError::Priv);
            }
            let mut bytes: [u8; 16] = self.read(caller, In::new(new.address()))?;
            bytes[NAME_MAX] = 0;
            wanted = Some(bytes);
        }
        self.write_optional(caller, Out::new(old.address()), &name)?;
        if let (Some(wanted), Some(actor)) = (wanted, self.actors.get_mut(id)) {
            actor.name = wanted;
        }
        Ok(Outcome::Done(K_OK))
    }

    /// `actorStat`: entries are those of one instant.
    pub fn actor_stat(
        &mut self,
        caller: Caller,
        list: Out<KnActorStat>,
        room: i32,
    ) -> Result<Outcome, KError> {
        let room = usize::try_from(room).map_err(|_| KError::Inval)?;
        // All or nothing: a list that cannot be written to its end is not begun.
        let shown = room.min(self.actors.len()) * size_of::<KnActorStat>();
        self.check_writable(caller, list.address(), shown as u64)?;
        let mut count = 0;
        for slot in 0..self.actors.extent() {
            let Some(actor) = self.actors.at(slot).and_then(|id| self.actors.get(id)) else {
                continue;
            };
            let key = if caller.privilege >= Privilege::System {
                actor.cap.key
            } else {
                0
            };
            let stat = KnActorStat {
                cap: KnCap {
                    ui: actor.cap.ui,
                    key,
                },
                kind: actor.kind,
                stopped: actor.stopped.into(),
                priority: actor.priority,
                threads: actor.threads,
                ports: actor.ports,
                pages: actor.pages,
                name: actor.name,
                base: actor.base,
            };
            if count < room {
                self.write(
                    caller,
                    Out::new(list.address() + (count * size_of::<KnActorStat>()) as u64),
                    &stat,
                )?;
            }
            count += 1;
        }
        Ok(Outcome::Done(count as i32))
    }

    /// `actorNotify`.
    pub fn actor_notify(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        port: In<KnUniqueId>,
    ) -> Result<Outcome, KError> {
        let id = self.actor_by_cap(caller, cap)?;
        let port = self.read(caller, port)?;
        if port.is_valid() && port.kind() != Some(UiType::Port) {
            return Err(KError::Inval);
        }
        if let Some(actor) = self.actors.get_mut(id) {
            actor.notify = port;
        }
        Ok(Outcome::Done(K_OK))
    }
}
