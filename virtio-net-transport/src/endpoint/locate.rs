//! Finding the site of a name.
//!
//! First the creation site is asked alone, then all sites, at most three times (SS-003, SS-004). One search serves all who wait for
//! the name (SS-005), in the order in which they came, so that messages keep their order. Nothing is concluded from silence beyond
//! the present waiters: the next message searches anew.

use super::link::To;
use super::{Endpoint, Site};
use crate::config::SECOND;
use crate::frame::{Header, Payload, Place};
use crate::hints::{Hint, Key};
use crate::timers::Due;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use chorus_abi::error::K_EUNKNOWN;
use chorus_abi::net::KnNetItem;
use chorus_abi::ui::EPOCH_MAX;
use chorus_abi::{K_FUNCMODE, K_FUNCXMODE, KnUniqueId, UiType};

/// Who waits for a location.
#[derive(Debug)]
pub(super) enum Waiter {
    /// The call in this slot.
    Call(u32),
    /// An asynchronous message with its content.
    Send(KnNetItem, Vec<u8>),
}

/// A search under way.
#[derive(Debug)]
pub(super) struct Search {
    nonce: u64,
    /// Questions asked so far; the unicast ones count first.
    stage: usize,
    due: u64,
    waiters: VecDeque<Waiter>,
}

impl Endpoint {
    /// Waits for the location of `key`; starts a search if there is none. `skip_home`: the creation site said no already.
    pub(super) fn search(
        &mut self,
        key: Key,
        skip_home: bool,
        waiter: Waiter,
        site: &mut dyn Site,
    ) {
        if let Some(search) = self.searches.get_mut(&key) {
            search.waiters.push_back(waiter);
            return;
        }
        if let Some(hint) = self.own_place(key, site) {
            // It came here while the message was on its way.
            return self.go_on(waiter, Some(hint), site);
        }
        let home = key.home();
        let stage = if skip_home || home == 0 || home == self.config.site {
            self.config.locate_unicast.len()
        } else {
            0
        };
        let nonce = self.nonce();
        self.searches.insert(
            key,
            Search {
                nonce,
                stage,
                due: 0,
                waiters: VecDeque::from([waiter]),
            },
        );
        self.ask(key, site);
    }

    /// Whether messages for `key` queue behind a search.
    pub(super) fn is_searched(&self, key: Key) -> bool {
        self.searches.contains_key(&key)
    }

    /// A call no longer waits.
    pub(super) fn stop_waiting(&mut self, key: Key, slot: u32) {
        let Some(search) = self.searches.get_mut(&key) else {
            return;
        };
        search
            .waiters
            .retain(|waiter| !matches!(waiter, Waiter::Call(waiting) if *waiting == slot));
        if search.waiters.is_empty() {
            self.timers.clear(&mut search.due, Due::Search(key));
            self.searches.remove(&key);
        }
    }

    pub(super) fn search_timer(&mut self, key: Key, site: &mut dyn Site) {
        if let Some(search) = self.searches.get_mut(&key) {
            search.due = 0;
            self.ask(key, site);
        }
    }

    /// Asks the next question of a search, or ends it.
    fn ask(&mut self, key: Key, site: &mut dyn Site) {
        let Some(search) = self.searches.get_mut(&key) else {
            return;
        };
        let question = Payload::Locate {
            ui: key.ui(),
            co_target: key.co_target(),
            nonce: search.nonce,
        };
        let unicasts = &self.config.locate_unicast;
        let wait = if let Some(wait) = unicasts.get(search.stage) {
            self.link.counters.locate_unicasts += 1;
            self.link.transmit(
                To {
                    site: key.home(),
                    incarnation: 0,
                },
                &question,
                site,
            );
            *wait
        } else if let Some(wait) = self
            .config
            .locate_broadcast
            .get(search.stage - unicasts.len())
        {
            // Broadcasts are paid from an allowance that grows with time, so that no site can flood the others.
            let cost = SECOND / u64::from(self.config.locate_rate.max(1));
            self.locate_allowance =
                (self.locate_allowance + (self.now - self.locate_time)).min(SECOND);
            self.locate_time = self.now;
            if self.locate_allowance < cost {
                let later = self.now + cost - self.locate_allowance;
                self.timers.set(&mut search.due, Due::Search(key), later);
                return;
            }
            self.locate_allowance -= cost;
            self.link.counters.locate_broadcasts += 1;
            self.link.transmit(To::ALL, &question, site);
            *wait
        } else {
            self.end_search(key, None, site);
            return;
        };
        search.stage += 1;
        self.timers
            .set(&mut search.due, Due::Search(key), self.now + wait);
    }

    /// Ends a search: all who wait go on with the location, or fail without one.
    fn end_search(&mut self, key: Key, hint: Option<Hint>, site: &mut dyn Site) {
        let Some(mut search) = self.searches.remove(&key) else {
            return;
        };
        self.timers.clear(&mut search.due, Due::Search(key));
        if hint.is_none() {
            self.link.counters.locate_failures += 1;
        }
        for waiter in search.waiters {
            self.go_on(waiter, hint, site);
        }
    }

    /// Somebody who waited for a location goes on with it, or fails without.
    fn go_on(&mut self, waiter: Waiter, hint: Option<Hint>, site: &mut dyn Site) {
        match (waiter, hint) {
            (Waiter::Call(slot), Some(hint)) => self.dispatch(slot, hint, site),
            (Waiter::Call(slot), None) => self.fail(slot, K_EUNKNOWN, site),
            (Waiter::Send(item, content), hint) => {
                self.waiting_sends -= 1;
                self.outbound -= content.len();
                match hint {
                    Some(hint) => self.dispatch_send(&item, &content, hint, site),
                    None => self.link.counters.lost_sends += 1,
                }
                self.recycle(content);
            }
        }
    }

    /// This site, if the port of `key` is here.
    fn own_place(&mut self, key: Key, site: &mut dyn Site) -> Option<Hint> {
        let port = key.ui().kind() == Some(UiType::Port) && key.co_target() == KnUniqueId::NULL;
        let port_epoch = port.then(|| site.query(key.ui()))??;
        Some(Hint {
            site: self.config.site,
            incarnation: self.config.incarnation,
            port_epoch,
        })
    }

    /// The port of `key` is live here now: who looks for it need not look further.
    pub(super) fn found_here(&mut self, key: Key, site: &mut dyn Site) {
        if let Some(hint) = self.own_place(key, site) {
            self.hints.insert(key, hint);
            self.end_search(key, Some(hint), site);
        }
    }

    /// A word about where a port is: remembered if it can be true and is no older than what is known. Whether it was.
    pub(super) fn learn_place(&mut self, key: Key, place: Place, site: &mut dyn Site) -> bool {
        let (number, incarnation, port_epoch) = place;
        let hint = Hint {
            site: number,
            incarnation,
            port_epoch,
        };
        let to = To {
            site: number,
            incarnation,
        };
        let sites = 1..=chorus_abi::SITE_MAX;
        let possible = sites.contains(&number) && (1..=EPOCH_MAX).contains(&incarnation);
        let is_port = key.ui().kind() == Some(UiType::Port);
        let there = if number == self.config.site {
            self.own_place(key, site).is_some()
        } else {
            !self.is_unexpected(to)
        };
        if !possible || !is_port || port_epoch == 0 || !there {
            return false;
        }
        self.hints.insert(key, hint);
        self.hints.find(key) == Some(hint)
    }

    /// MOVED: a site that was asked says where the port went; or a report for its creation site.
    pub(super) fn on_moved(
        &mut self,
        from: To,
        ui: KnUniqueId,
        nonce: u64,
        place: Place,
        site: &mut dyn Site,
    ) {
        let key = Key::of(ui, KnUniqueId::NULL);
        let asked = self.searches.get(&key).is_some_and(|search| {
            search.nonce == nonce && search.stage <= self.config.locate_unicast.len()
        });
        if asked && from.site == key.home() {
            if self.learn_place(key, place, site) {
                let hint = self.hints.find(key);
                self.end_search(key, hint, site);
            } else {
                self.on_not_here(from, key, nonce, site);
            }
        } else if nonce == 0
            && key.home() == self.config.site
            && (place.0 == from.site || self.hints.is_at(key, from.site))
            && site.query(ui).is_none()
        {
            // Where it is now, or where it was, says so.
            self.learn_place(key, place, site);
        } else {
            self.link.counters.duplicates += 1;
        }
    }

    /// HERE: the first answer to the present question wins; all others are late or forged and change nothing.
    pub(super) fn on_here(
        &mut self,
        from: To,
        header: &Header,
        key: Key,
        nonce: u64,
        port_epoch: u32,
        site: &mut dyn Site,
    ) {
        if self
            .searches
            .get(&key)
            .is_none_or(|search| search.nonce != nonce)
        {
            self.link.counters.duplicates += 1;
            return;
        }
        // Without room for the peer the waiters fail one by one in `dispatch`.
        self.meet(from, header.mtu, site);
        if let Some(peer) = self.peers.get_mut(&from.site) {
            peer.heard = self.now;
        }
        let hint = Hint {
            site: from.site,
            incarnation: from.incarnation,
            port_epoch,
        };
        self.hints.insert(key, hint);
        // A late word of an old place must not lead back there (SS-008).
        let newest = self.hints.find(key);
        self.end_search(key, newest, site);
    }

    /// NOT-HERE from the creation site: ask all others at once.
    pub(super) fn on_not_here(&mut self, from: To, key: Key, nonce: u64, site: &mut dyn Site) {
        let unicasts = self.config.locate_unicast.len();
        match self.searches.get_mut(&key) {
            Some(search)
                if search.nonce == nonce && from.site == key.home() && search.stage <= unicasts =>
            {
                search.stage = unicasts;
                self.ask(key, site);
            }
            _ => self.link.counters.duplicates += 1,
        }
    }

    /// LOCATE: costs one look-up and leaves no trace (SS-010).
    pub(super) fn on_locate(
        &mut self,
        from: To,
        ui: KnUniqueId,
        co_target: KnUniqueId,
        nonce: u64,
        broadcast: bool,
        site: &mut dyn Site,
    ) {
        let here = self.recognises(ui, co_target, site);
        if (here.is_some() || !broadcast) && self.takes() {
            self.link.counters.locate_answers += 1;
            let answer = match here {
                Some(port_epoch) => Payload::Here {
                    ui,
                    co_target,
                    nonce,
                    port_epoch,
                },
                None => match self.note(ui) {
                    Some(hint) if co_target == KnUniqueId::NULL => Payload::Moved {
                        ui,
                        nonce,
                        hint: hint.place(),
                    },
                    _ => Payload::NotHere {
                        ui,
                        co_target,
                        nonce,
                    },
                },
            };
            self.link.transmit(from, &answer, site);
        }
    }

    /// What others are told of where a port went that is not here.
    pub(super) fn note(&self, port: KnUniqueId) -> Option<Hint> {
        let key = Key::of(port, KnUniqueId::NULL);
        let port = port.kind() == Some(UiType::Port);
        port.then(|| self.hints.note(key, self.now, self.config.site))?
    }

    /// Whether this site is the place for a searched name; of a port its epoch.
    fn recognises(
        &self,
        ui: KnUniqueId,
        co_target: KnUniqueId,
        site: &mut dyn Site,
    ) -> Option<u32> {
        let known = |here: bool| here.then_some(0);
        if co_target == ui {
            // Selective mode: which site knows the name, not where messages to it go.
            return known(self.is_at_home(co_target, site));
        }
        match ui.kind()? {
            UiType::Site => known(ui.site() == self.config.site),
            UiType::Port => site.query(ui),
            UiType::Group => match ui.group()?.mode {
                K_FUNCMODE => site.query(ui.identity()),
                K_FUNCXMODE if !self.is_at_home(co_target, site) => site.query(ui.identity()),
                _ => None,
            },
        }
    }

    /// Whether this site recognises a co-target: it is the site itself, a port on it, or a name that was declared there.
    pub(super) fn is_at_home(&self, co_target: KnUniqueId, site: &mut dyn Site) -> bool {
        match co_target.kind() {
            Some(UiType::Site) if co_target.site() == self.config.site => true,
            Some(_) => site.recognises(co_target.identity()),
            None => false,
        }
    }
}
