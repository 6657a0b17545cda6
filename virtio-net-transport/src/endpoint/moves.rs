//! Ports that move between sites: no more than one site ever serves a port, whatever is lost and whoever dies (docs/protocol.md, *Migration*).
//!
//! The old place stops serving before it asks the new one to prepare, and goes back to serving only if ACTIVATE was never sent, was surely not executed, or if the new place said that it never
//! will be. While it does not know, it asks. The new place serves only after ACTIVATE, and gives the port to nobody before the old one knows that it went: else, if it died then, the old one
//! would be told that the port is nowhere. Neither looks at a clock to decide that.

use super::client::Ending;
use super::link::To;
use super::passing::Outcome;
use super::{Endpoint, Site};
use crate::config::SECOND;
use crate::frame::{Data, Payload, Verb};
use crate::hints::{Hint, Key};
use crate::timers::Due;
use alloc::vec::Vec;
use chorus_abi::error::{K_EBUSY, K_EFULL, K_EINVAL, K_ELINKFAILURE, K_EUNKNOWN};
use chorus_abi::net::{
    KnNetItem, NET_ABANDON, NET_ACTIVATE, NET_ARRIVE, NET_MIGRATE, NET_RECORD_MAX,
};
use chorus_abi::{KnUniqueId, UiType};

/// A note of where a port went is told for so long.
const NOTE: u64 = 60 * SECOND;
/// A port that was prepared and not activated is forgotten after this time.
const PREPARED: u64 = 30 * SECOND;
/// The highest epoch: nothing moves that often.
const EPOCHS: u32 = 1 << 30;
/// Gap between questions whether ACTIVATE was executed, and between words that it was.
const ASK_GAP: u64 = SECOND;

/// A port that leaves.
#[derive(Debug)]
struct Leaving {
    port: KnUniqueId,
    actor: KnUniqueId,
    /// The caller of `portMigrate`.
    handle: u64,
    /// The epoch that the port is to have at the new place.
    epoch: u32,
    /// Its local identifier there.
    li: i32,
    /// When it is asked again whether it arrived; 0: a call is under way.
    ask: u64,
}

/// A port that arrives.
#[derive(Debug)]
struct Arriving {
    port: KnUniqueId,
    from: To,
    epoch: u32,
    /// It is live; the old place may not know.
    active: bool,
    /// When it is forgotten, or, if it is live, the old place is told so again; 0: a call is under way.
    due: u64,
}

/// The moves under way.
#[derive(Default, Debug)]
pub(super) struct Moves {
    leaving: Vec<Leaving>,
    arriving: Vec<Arriving>,
    due: u64,
}

impl Moves {
    pub(super) fn len(&self) -> usize {
        self.leaving.len() + self.arriving.len()
    }

    fn next(&self) -> Option<u64> {
        let asks = self.leaving.iter().map(|leaving| leaving.ask);
        let ends = self.arriving.iter().map(|arriving| arriving.due);
        asks.chain(ends).filter(|time| *time != 0).min()
    }
}

/// The name under which a site is asked for itself.
fn site_key(number: u16) -> Key {
    let ui = KnUniqueId::from_fields(number, UiType::Site, 0, 0);
    Key::of(ui, KnUniqueId::NULL)
}

impl Endpoint {
    fn arm_moves(&mut self) {
        match self.moves.next() {
            Some(next) => {
                let at = next.max(self.now + 1);
                self.timers.set(&mut self.moves.due, Due::Moves, at);
            }
            None => self.timers.clear(&mut self.moves.due, Due::Moves),
        }
    }

    fn leaving(&mut self, port: KnUniqueId, epoch: u32) -> Option<(usize, &mut Leaving)> {
        let mut all = self.moves.leaving.iter_mut().enumerate();
        all.find(|(_, leaving)| leaving.port == port && leaving.epoch == epoch)
    }

    /// MIGRATE from the Nucleus: a port is to move to an actor of another site.
    pub(super) fn take_migrate(&mut self, item: &KnNetItem, record: &[u8], site: &mut dyn Site) {
        let (port, actor) = (item.target, item.co_target);
        let to = actor.site();
        let named =
            port.kind() == Some(UiType::Port) && actor.kind() == Some(UiType::Port) && to != 0;
        let error = if !named
            || to == self.config.site
            || record.len() > NET_RECORD_MAX as usize
            || !(0..EPOCHS as i32).contains(&item.result)
        {
            K_EINVAL
        } else if self.moves.leaving.iter().any(|other| other.port == port)
            || self.moves.arriving.iter().any(|other| other.port == port)
        {
            K_EBUSY
        } else if self.moves.leaving.len() >= self.config.max_moves || !self.has_room(record) {
            K_EFULL
        } else {
            0
        };
        if error != 0 {
            return self.stays(port, item.handle, error, site);
        }
        let epoch = item.result as u32 + 1;
        self.moves.leaving.push(Leaving {
            port,
            actor,
            handle: item.handle,
            epoch,
            li: 0,
            ask: 0,
        });
        self.ask_manager(Verb::Prepare, port, actor, epoch, record, site);
    }

    /// Calls the manager of the site that an actor is on, or of the one that a name of a site names.
    fn ask_manager(
        &mut self,
        verb: Verb,
        port: KnUniqueId,
        actor: KnUniqueId,
        epoch: u32,
        record: &[u8],
        site: &mut dyn Site,
    ) {
        let item = KnNetItem {
            target: port,
            co_target: actor,
            body_size: record.len() as u32,
            ..KnNetItem::default()
        };
        let slot = self.begin(&item, verb, site_key(actor.site()), epoch, record);
        self.resolve(slot, site);
    }

    /// A call to the other manager ended.
    pub(super) fn move_on(&mut self, ending: &Ending, outcome: Outcome<'_>, site: &mut dyn Site) {
        let (port, epoch) = (ending.target, ending.port_epoch);
        let now = self.now;
        if ending.verb == Verb::Have {
            return self.told(port, epoch, outcome.is_ok());
        }
        let Some((at, leaving)) = self.leaving(port, epoch) else {
            return;
        };
        let (actor, handle) = (leaving.actor, leaving.handle);
        let answer = outcome.and_then(|(result, _, content)| match result {
            0 => Ok(content),
            error => Err(error),
        });
        match (ending.verb, answer) {
            (Verb::Prepare, Ok(content)) => {
                leaving.li = content.try_into().map_or(0, i32::from_le_bytes).max(0);
                self.ask_manager(Verb::Activate, port, actor, epoch, &[], site);
            }
            (Verb::Prepare, Err(error)) => self.end_leaving(at, handle, error, site),
            (Verb::Activate, Ok(_)) | (Verb::Ask, Ok([1])) => self.gone(at, ending.peer, site),
            // Whatever else it says, ACTIVATE was surely not executed and never will be.
            (Verb::Activate, Err(error)) if error != K_ELINKFAILURE => {
                self.end_leaving(at, handle, error, site);
            }
            (Verb::Ask, Ok([0])) => self.end_leaving(at, handle, K_ELINKFAILURE, site),
            (Verb::Activate | Verb::Ask, _) => {
                leaving.ask = now + ASK_GAP;
                self.arm_moves();
            }
            _ => {}
        }
    }

    /// The old place was told that the port is here, or did not answer.
    fn told(&mut self, port: KnUniqueId, epoch: u32, answered: bool) {
        let now = self.now;
        let mut all = self.moves.arriving.iter_mut();
        let Some(at) = all.position(|arriving| arriving.port == port && arriving.epoch == epoch)
        else {
            return;
        };
        if answered {
            self.moves.arriving.swap_remove(at);
        } else {
            self.moves.arriving[at].due = now + ASK_GAP;
        }
        self.arm_moves();
    }

    fn end_leaving(&mut self, at: usize, handle: u64, error: i32, site: &mut dyn Site) {
        let leaving = self.moves.leaving.swap_remove(at);
        self.arm_moves();
        self.stays(leaving.port, handle, error, site);
    }

    /// The port stays here.
    fn stays(&mut self, port: KnUniqueId, handle: u64, error: i32, site: &mut dyn Site) {
        self.link.counters.moves_failed += 1;
        let item = KnNetItem {
            kind: NET_MIGRATE,
            handle,
            target: port,
            result: error.min(-1),
            ..KnNetItem::default()
        };
        site.complete(&item, &[]);
    }

    /// The port is live at the other site.
    fn gone(&mut self, at: usize, number: u16, site: &mut dyn Site) {
        let leaving = self.moves.leaving.swap_remove(at);
        self.arm_moves();
        self.link.counters.moved_away += 1;
        let Leaving { port, epoch, .. } = leaving;
        let key = Key::of(port, KnUniqueId::NULL);
        if let Some(peer) = self.peers.get(&number) {
            let hint = Hint {
                site: number,
                incarnation: peer.incarnation,
                port_epoch: epoch,
            };
            self.hints.leave_note(key, hint, self.now + NOTE);
            self.report(port, hint, site);
        }
        let item = KnNetItem {
            kind: NET_MIGRATE,
            handle: leaving.handle,
            target: port,
            result: leaving.li,
            ..KnNetItem::default()
        };
        site.complete(&item, &[]);
    }

    /// Tells the site that made a port where it is.
    fn report(&mut self, port: KnUniqueId, hint: Hint, site: &mut dyn Site) {
        let home = port.site();
        if home == self.config.site || home == hint.site || home == 0 {
            return;
        }
        let incarnation = self.peers.get(&home).map(|peer| peer.incarnation);
        let known = incarnation.or(self.members.get(home).map(|member| member.incarnation));
        // A site that is not known is not told: it is asked later, and then all are.
        if let Some(incarnation) = known {
            let to = To {
                site: home,
                incarnation,
            };
            let (nonce, hint) = (0, hint.place());
            let word = Payload::Moved {
                ui: port,
                nonce,
                hint,
            };
            self.link.transmit(to, &word, site);
        }
    }

    /// What another manager asks of a port that comes here; bytes of the answer. Errors: what the other is told; nothing was changed for it.
    pub(super) fn serve_move(
        &mut self,
        from: To,
        data: &Data<'_>,
        record: &[u8],
        answer: &mut [u8; 4],
        site: &mut dyn Site,
    ) -> Result<usize, i32> {
        let (port, epoch) = (data.target, data.port_epoch);
        let known = self.moves.arriving.iter().position(|arriving| {
            arriving.port == port && arriving.epoch == epoch && arriving.from.site == from.site
        });
        match data.verb {
            Verb::Prepare => {
                *answer = self.prepare(from, data, record, site)?.to_le_bytes();
                Ok(answer.len())
            }
            Verb::Activate => {
                let at = known
                    .filter(|at| self.moves.arriving[*at].from == from)
                    .ok_or(K_EUNKNOWN)?;
                self.activate(at, site).map(|()| 0)
            }
            Verb::Ask => {
                let active = known.is_some_and(|at| self.moves.arriving[at].active);
                if let Some(at) = known.filter(|_| !active) {
                    self.abandon(at, site);
                }
                answer[0] = u8::from(active);
                Ok(1)
            }
            _ => {
                // It went there, whatever this site knows of it.
                let found = self.leaving(port, epoch);
                if let Some((at, _)) =
                    found.filter(|(_, leaving)| leaving.actor.site() == from.site)
                {
                    self.gone(at, from.site, site);
                }
                Ok(0)
            }
        }
    }

    /// PREPARE: the port is made, and nobody finds it; its local identifier.
    fn prepare(
        &mut self,
        from: To,
        data: &Data<'_>,
        record: &[u8],
        site: &mut dyn Site,
    ) -> Result<i32, i32> {
        let (port, epoch) = (data.target, data.port_epoch);
        let key = Key::of(port, KnUniqueId::NULL);
        let known = self.hints.find(key).map_or(0, |hint| hint.port_epoch);
        if !(1..=EPOCHS).contains(&epoch)
            || epoch <= known
            || record.len() > NET_RECORD_MAX as usize
            || site.query(port).is_some()
        {
            return Err(K_EINVAL);
        }
        let arriving = &self.moves.arriving;
        let other = arriving.iter().position(|other| other.port == port);
        if other.is_some_and(|at| arriving[at].active || arriving[at].epoch >= epoch) {
            return Err(K_EINVAL);
        }
        if other.is_none() && arriving.len() >= self.config.max_moves {
            return Err(K_EFULL);
        }
        let item = KnNetItem {
            kind: NET_ARRIVE,
            handle: epoch.into(),
            target: port,
            co_target: data.co_target,
            body_size: record.len() as u32,
            ..KnNetItem::default()
        };
        let li = site.deliver(&item, record);
        if li < 0 {
            return Err(li);
        }
        if let Some(at) = other {
            self.moves.arriving.swap_remove(at);
        }
        self.moves.arriving.push(Arriving {
            port,
            from,
            epoch,
            active: false,
            due: self.now + PREPARED,
        });
        self.arm_moves();
        Ok(li)
    }

    /// ACTIVATE: the port is live here. Errors: `K_EUNKNOWN`, it is not and will not be.
    fn activate(&mut self, at: usize, site: &mut dyn Site) -> Result<(), i32> {
        let now = self.now;
        let arriving = &mut self.moves.arriving[at];
        let (port, epoch) = (arriving.port, arriving.epoch);
        if !arriving.active {
            let item = KnNetItem {
                kind: NET_ACTIVATE,
                handle: epoch.into(),
                target: port,
                ..KnNetItem::default()
            };
            if site.deliver(&item, &[]) != 0 {
                self.abandon(at, site);
                return Err(K_EUNKNOWN);
            }
            arriving.active = true;
            // The answer goes first.
            arriving.due = now;
            self.link.counters.moved_here += 1;
            self.arm_moves();
            self.found_here(Key::of(port, KnUniqueId::NULL), site);
            let hint = Hint {
                site: self.config.site,
                incarnation: self.config.incarnation,
                port_epoch: epoch,
            };
            self.report(port, hint, site);
        }
        Ok(())
    }

    /// A port that arrives does not come.
    fn abandon(&mut self, at: usize, site: &mut dyn Site) {
        let arriving = self.moves.arriving.swap_remove(at);
        self.arm_moves();
        let item = KnNetItem {
            kind: NET_ABANDON,
            handle: arriving.epoch.into(),
            target: arriving.port,
            ..KnNetItem::default()
        };
        site.deliver(&item, &[]);
    }

    /// All that was with an incarnation of a site is over: what it prepared here does not come.
    pub(super) fn source_over(&mut self, number: u16, site: &mut dyn Site) {
        let mut at = 0;
        while let Some(arriving) = self.moves.arriving.get(at) {
            if arriving.from.site == number && !arriving.active {
                self.abandon(at, site);
            } else {
                at += 1;
            }
        }
    }

    /// Asks where it is not known whether a port arrived, and forgets what nobody came back to.
    pub(super) fn moves_timer(&mut self, site: &mut dyn Site) {
        self.moves.due = 0;
        let now = self.now;
        let late = |arriving: &Arriving| !arriving.active && arriving.due <= now;
        while let Some(at) = self.moves.arriving.iter().position(late) {
            self.abandon(at, site);
        }
        let asks = self.moves.leaving.iter_mut().map(|leaving| {
            let word = (Verb::Ask, leaving.port, leaving.actor, leaving.epoch);
            (&mut leaving.ask, word)
        });
        let tells = self.moves.arriving.iter_mut().map(|arriving| {
            let old = KnUniqueId::from_fields(arriving.from.site, UiType::Site, 0, 0);
            let word = (Verb::Have, arriving.port, old, arriving.epoch);
            (&mut arriving.due, word)
        });
        let due = asks
            .chain(tells)
            .filter(|(due, _)| **due != 0 && **due <= now);
        let mut calls = Vec::new();
        for (due, word) in due {
            // One that is down is asked when it is there again.
            let member = self.members.get(word.2.site());
            *due = now + ASK_GAP;
            if member.is_none_or(|member| member.is_live()) {
                *due = 0;
                calls.push(word);
            }
        }
        for (verb, port, other, epoch) in calls {
            self.ask_manager(verb, port, other, epoch, &[], site);
        }
        self.arm_moves();
    }
}
