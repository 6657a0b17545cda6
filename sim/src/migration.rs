//! Ports that move between the sites of a world.

use super::invariants::{Broken, What};
use super::plant::Plant;
use super::ports::Standing;
use super::world::{Happens, MS, SEC, World, actor_of};
use chorus_abi::KnUniqueId;
use chorus_abi::error::K_EBUSY;
use chorus_transport::Event;

/// A port that was to move.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Migration {
    /// Which.
    pub port: KnUniqueId,
    /// From which site.
    pub from: u16,
    /// To which.
    pub to: u16,
    /// When.
    pub begun: u64,
    /// How its caller learnt of the end: result, count of messages, when.
    pub end: Option<(i32, u32, u64)>,
}

impl World {
    /// An actor on `from` moves a port to that of `to`; the number of the move.
    pub fn migrate(&mut self, from: u16, port: KnUniqueId, to: u16, options: i32) -> usize {
        let handle = self.migrations.len();
        let actor = actor_of(to, self.site(to).boots);
        self.migrations.push(Migration {
            port,
            from,
            to,
            begun: self.now,
            end: None,
        });
        let keeps_serving = self.plant == Plant::Both;
        let nucleus = &mut self.site(from).nucleus;
        nucleus.keeps_serving = keeps_serving;
        let refused = nucleus.migrate(handle as u64, port, actor, options);
        if refused != 0 {
            self.migrations[handle].end = Some((refused, 0, self.now));
        }
        self.after(from);
        handle
    }

    /// Moves a port, again and again while it is still busy with its last move, and waits until its caller knows the end, a minute at most: result and count.
    pub fn migrate_now(
        &mut self,
        from: u16,
        port: KnUniqueId,
        to: u16,
        options: i32,
    ) -> (i32, u32) {
        let limit = self.now + 60 * SEC;
        loop {
            let number = self.migrate(from, port, to, options);
            while self.migrations[number].end.is_none() && self.now < limit {
                let Some(next) = self.next() else { break };
                self.run_until(next);
            }
            let end = self.migrations[number].end.expect("an end");
            if end.0 != K_EBUSY || self.now >= limit {
                return (end.0, end.1);
            }
            self.run(MS);
        }
    }

    /// The site that serves a port, or that it is leaving.
    pub fn place_of(&self, port: KnUniqueId) -> Option<u16> {
        let here =
            |site: &&super::site::SimSite| site.endpoint.is_some() && site.nucleus.is_here(port);
        self.sites.iter().find(here).map(|site| site.number)
    }

    /// Whether a port is on its way from a site.
    pub fn is_leaving(&mut self, site: u16, port: KnUniqueId) -> bool {
        let entry = self.site(site).nucleus.ports.get(&port.word());
        entry.is_some_and(|entry| matches!(entry.standing, Standing::Departing { .. }))
    }

    /// The actor of a site to which ports may come is replaced by another: who knows the old one's name finds nobody.
    pub fn replace_actor(&mut self, site: u16) {
        self.site(site).nucleus.actor ^= 1;
    }

    /// An actor receives from a port from now on.
    pub fn enable(&mut self, site: u16, port: KnUniqueId) {
        self.site(site).nucleus.enable(port);
        self.after(site);
    }

    /// Whether a port is on a site and does not receive.
    pub fn is_disabled(&mut self, site: u16, port: KnUniqueId) -> bool {
        let entry = self.site(site).nucleus.ports.get(&port.word());
        entry.is_some_and(|entry| !entry.enabled && entry.standing == Standing::Live)
    }

    /// Carries on what a site's Nucleus did about ports that move.
    pub(super) fn moved(&mut self, number: u16) {
        let now = self.now;
        let site = self.site(number);
        let boot = site.boots;
        let nucleus = &mut site.nucleus;
        let regrouped = std::mem::take(&mut nucleus.regrouped);
        let places = std::mem::take(&mut nucleus.places);
        let came = std::mem::take(&mut nucleus.arrived_ports);
        let ended = std::mem::take(&mut nucleus.moves_ended);
        let items = std::mem::take(&mut nucleus.outbound);
        for (port, serves) in places {
            if let Err(violation) = self.judge.place(port, number, serves) {
                let what = What::Port(port, violation);
                self.breaks(Broken {
                    time: now,
                    site: number,
                    what,
                });
            }
        }
        for port in came {
            if let Some(wait) = self.enables {
                let what = Happens::Enable {
                    site: number,
                    boot,
                    port: port.word(),
                };
                self.push(now + wait, what);
            }
        }
        for (handle, result, count) in ended {
            if let Some(migration) = self.migrations.get_mut(handle as usize) {
                migration.end.get_or_insert((result, count, now));
            }
        }
        for (item, body) in items {
            self.event(number, Event::Item(&item, &body));
        }
        if regrouped {
            self.members_changed(number);
        }
    }

    /// A request for a port begins to be executed on a site.
    pub(super) fn serves(&mut self, site: u16, port: KnUniqueId) {
        if let Err(violation) = self.judge.serves(port.word(), site) {
            let (time, what) = (self.now, What::Port(port.word(), violation));
            self.breaks(Broken { time, site, what });
        }
    }
}
