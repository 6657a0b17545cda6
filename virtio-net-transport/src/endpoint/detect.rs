//! Finding out who is there: probes, and what follows from silence (SS-063…068).
//!
//! The sites that are there form a ring by their numbers. Once a period each asks the next one whether it is there, so every site is asked once a period by exactly
//! one other, however many there are; now and then one of a shuffled list is asked too, so that any two find out what is between them. Who has lately answered something is not
//! asked. Silence leads from a second question to questions by way of others (the link may be at fault), then to suspicion, told to all, which the suspect refutes if it can; and in
//! the end to the word that this incarnation is over. The shape is that of SWIM (Das, Gupta, Motivala 2002) with the ring in place of chance: chance would leave a dead site
//! unasked for several periods now and then.
//!
//! A site that was itself not running is careful with its judgement: a timer that comes late extends the time of the others, and after a jump of the clock it refutes
//! what may be said of it and begins its questions anew.

use super::link::To;
use super::news::Speech;
use super::{Endpoint, Notice, Site};
use crate::frame::news::{News, PING_HEARD, PING_OVER, PING_SUSPECT, Ping, Pong, Relay, View};
use crate::members::{Probe, Standing};
use crate::timers::Due;
use alloc::vec::Vec;

/// Questions of a site alone before others are asked for help.
const ALONE: u8 = 2;
/// The stage of a suspect.
const SUSPECTED: u8 = ALONE + 1;
/// Questions while a site is suspected.
const LAST_QUESTIONS: u64 = 10;
/// Late timers that a question waits for.
const EXCUSES: u8 = 4;
/// The most that lateness of this site's own timers multiplies the time of suspects by, less one.
const HEALTH_MAX: u8 = 7;

/// What the watch of this site over the others is about at present.
#[derive(Default, Debug)]
pub(super) struct Watch {
    /// When the period ends.
    due: u64,
    ticks: u32,
    /// Sites that are to be asked beside the next in the ring, the last first.
    order: Vec<u16>,
    /// The site that is down that was asked last whether it is back.
    down: u16,
    /// Before that nobody is sent everything again.
    lists: u64,
    /// How late the own timers lately were: 0 not at all.
    health: u8,
    /// Until then nobody is found to be down.
    grace: u64,
    /// When this site last refuted a suspicion.
    refuted: u64,
}

impl Endpoint {
    /// The period: longer where there are many sites, so that all together do not ask more often than the few.
    pub(super) fn pace(&self) -> u64 {
        let sites = self.members.live() as u64 + 1;
        let few = u64::from(self.config.period_sites.max(1));
        let longer = self.config.period.saturating_mul(sites) / few;
        longer.clamp(
            self.config.period,
            self.config.period_max.max(self.config.period),
        )
    }

    fn suspicion(&self) -> u64 {
        self.config.suspicion * (1 + u64::from(self.watch.health))
    }

    /// Begins to watch, if there is somebody.
    pub(super) fn watch(&mut self) {
        let somebody = self.members.live() > 0 || self.members.next_down(0).is_some();
        if self.config.period == 0 || self.watch.due != 0 || !somebody {
            return;
        }
        // Sites that were switched on together do not all ask at once.
        let at = self.now + self.nonce() % self.config.period;
        self.timers.set(&mut self.watch.due, Due::Period, at);
    }

    /// Nothing of the watch so far is worth anything.
    pub(super) fn restart_watch(&mut self) {
        self.timers.clear(&mut self.watch.due, Due::Period);
        self.watch = Watch::default();
        self.watch();
    }

    /// Whether the clock jumped: the period was over long ago.
    pub(super) fn has_jumped(&self) -> bool {
        self.watch.due != 0 && self.now > self.watch.due.saturating_add(self.config.clock_jump)
    }

    /// This site was not running, the others may have been: it says that it is here, and gives everybody new time (SS-065).
    pub(super) fn jumped(&mut self, site: &mut dyn Site) {
        self.link.counters.clock_jumps += 1;
        let now = self.now;
        let numbers: Vec<u16> = self.members.iter().map(|(number, _)| number).collect();
        for number in numbers {
            self.stop_probe(number);
            self.members.change(number, |member| {
                member.heard = now;
                if member.standing == Standing::Suspect {
                    member.standing = Standing::Up;
                }
            });
        }
        for peer in self.peers.values_mut() {
            peer.heard = now;
            peer.serving
                .values_mut()
                .for_each(|channel| channel.asked = now);
        }
        for slot in self.calls.slots_where(|_| true) {
            if let Some(call) = self.calls.get_mut(slot) {
                call.heard = now;
            }
        }
        self.restart_watch();
        self.watch.grace = now + self.pace() + self.suspicion();
        self.refute(self.life, site);
    }

    /// When a site last answered anything.
    pub(super) fn answered(&self, number: u16) -> u64 {
        let peer = self.peers.get(&number).map_or(0, |peer| peer.heard);
        self.members
            .get(number)
            .map_or(peer, |member| member.heard.max(peer))
    }

    /// The end of a period.
    pub(super) fn period_timer(&mut self, site: &mut dyn Site) {
        let due = core::mem::take(&mut self.watch.due);
        if !self.lateness(due) {
            self.watch.health = self.watch.health.saturating_sub(1);
        }
        let (now, pace) = (self.now, self.pace());
        let mut next = now + pace;
        // The next one in the ring; behind one that is suspected the next but one too, and so on.
        let mut wanted = Vec::new();
        for (number, member) in self.members.ring(self.config.site) {
            wanted.push(number);
            if member.standing != Standing::Suspect {
                break;
            }
        }
        self.watch.ticks = self.watch.ticks.wrapping_add(1);
        if self.watch.ticks.is_multiple_of(self.config.shuffle.max(1)) {
            wanted.extend(self.one_of_all());
        }
        for (at, number) in wanted.into_iter().enumerate() {
            let answered = self.answered(number);
            // An answer to the last question of a period is as old as a period, less its way.
            let fresh = answered != 0 && now.saturating_sub(answered) < pace - pace / 8;
            if !fresh {
                self.probe(number, site);
            } else if at == 0 {
                // It is asked a period after its last word, not after the last question.
                next = next.min(answered + pace);
            }
        }
        self.ask_whether_back(site);
        if self.members.live() > 0 || self.watch.down != 0 {
            self.timers.set(&mut self.watch.due, Due::Period, next);
        }
    }

    /// The next of a shuffled list of all, which is made anew when it is at its end.
    fn one_of_all(&mut self) -> Option<u16> {
        if self.watch.order.is_empty() {
            let ring = self.members.ring(self.config.site);
            let mut order: Vec<u16> = ring.map(|(number, _)| number).collect();
            for last in (1..order.len()).rev() {
                let other = (self.nonce() % (last as u64 + 1)) as usize;
                order.swap(last, other);
            }
            self.watch.order = order;
        }
        let number = self.watch.order.pop()?;
        self.members.get(number).filter(|member| member.is_live())?;
        Some(number)
    }

    /// Asks one of the sites that are down whether it is back: after a partition somebody must be the first to speak.
    fn ask_whether_back(&mut self, site: &mut dyn Site) {
        let next = self.members.next_down(self.watch.down);
        self.watch.down = next.unwrap_or(0);
        if let Some(number) = next {
            self.ping(number, 0, 0, PING_OVER, site);
        }
    }

    /// Begins to ask a site, unless that is under way.
    pub(super) fn probe(&mut self, number: u16, site: &mut dyn Site) {
        let asked = |member: &&crate::members::Member| {
            member.watched && member.is_live() && member.probe.is_none()
        };
        if self.members.get(number).filter(asked).is_none() {
            return;
        }
        let probe = Probe {
            nonce: self.nonce() as u32,
            stage: 1,
            excused: 0,
            began: self.now,
            until: 0,
        };
        self.members
            .change(number, |member| member.probe = Some(probe));
        self.ping(number, 0, probe.nonce, 0, site);
        self.arm_probe(number, self.config.ping_again);
    }

    /// A call to a site is not answered: it is asked whether it is there, without waiting for its turn.
    pub(super) fn doubt(&mut self, number: u16, site: &mut dyn Site) {
        let quiet = self.now.saturating_sub(self.answered(number));
        if self.config.period != 0 && quiet >= 2 * self.config.ping_again {
            self.probe(number, site);
        }
    }

    fn arm_probe(&mut self, number: u16, wait: u64) {
        let (timers, at) = (&mut self.timers, self.now + wait);
        self.members.change(number, |member| {
            timers.set(&mut member.due, Due::Probe(number), at);
        });
    }

    /// Nothing is asked of a site any more.
    pub(super) fn stop_probe(&mut self, number: u16) {
        let timers = &mut self.timers;
        self.members.change(number, |member| {
            member.probe = None;
            timers.clear(&mut member.due, Due::Probe(number));
        });
    }

    fn ping(&mut self, number: u16, origin: u16, nonce: u32, flags: u8, site: &mut dyn Site) {
        let Some(incarnation) = self.members.get(number).map(|member| member.incarnation) else {
            return;
        };
        let heard = if self.has_answered(number, 2 * self.pace()) {
            PING_HEARD
        } else {
            0
        };
        let flags = flags | heard;
        let items = if flags & PING_OVER == 0 {
            self.passing_news()
        } else {
            Vec::new()
        };
        self.link.counters.pings += 1;
        let to = To {
            site: number,
            incarnation,
        };
        let speech = Speech::Ping {
            nonce,
            origin,
            flags,
        };
        self.say(to, speech, &items, site);
    }

    /// Whether a timer of this site came so late that it was not running; remembered for the judgement of others.
    fn lateness(&mut self, due: u64) -> bool {
        let late = self.now.saturating_sub(due) >= self.config.ping_again / 2;
        if late {
            self.watch.health = (self.watch.health + 1).min(HEALTH_MAX);
        }
        late
    }

    /// A question was not answered for a while.
    pub(super) fn probe_timer(&mut self, number: u16, site: &mut dyn Site) {
        let taken = self.members.change(number, |member| {
            (core::mem::take(&mut member.due), member.probe)
        });
        let Some((due, Some(mut probe))) = taken else {
            return;
        };
        if self.answered(number) > probe.began {
            return self.is_there(number, true, site);
        }
        let late = self.lateness(due);
        let again = self.config.suspicion / LAST_QUESTIONS;
        if probe.stage < SUSPECTED {
            // Somebody who did not run has not waited; who never runs in time must judge all the same.
            let excused = late && probe.excused < EXCUSES;
            probe.excused += u8::from(excused);
            probe.stage += u8::from(!excused);
            self.ping(number, 0, probe.nonce, 0, site);
            let wait = match probe.stage {
                stage if stage <= ALONE => self.config.ping_again,
                SUSPECTED if self.relays(number, probe.nonce, self.config.relays, site) > 0 => {
                    self.config.relay_wait
                }
                _ => self.config.ping_again,
            };
            self.members
                .change(number, |member| member.probe = Some(probe));
            return self.arm_probe(number, wait);
        }
        if probe.until == 0 {
            probe.until = self.now + self.suspicion();
            self.suspect(number, site);
        } else if late {
            probe.until = probe.until.saturating_add(self.now - due);
        }
        probe.until = probe.until.max(self.watch.grace);
        if self.now >= probe.until {
            return self.declare(number, site);
        }
        self.members
            .change(number, |member| member.probe = Some(probe));
        self.ping(number, 0, probe.nonce, PING_SUSPECT, site);
        self.relays(number, probe.nonce, 1, site);
        self.arm_probe(number, again.min(probe.until - self.now));
    }

    /// Has others ask a site; how many.
    fn relays(&mut self, number: u16, nonce: u32, most: u32, site: &mut dyn Site) -> usize {
        let Some(incarnation) = self.members.get(number).map(|member| member.incarnation) else {
            return 0;
        };
        let ring = self.members.ring(self.config.site);
        let mut others: Vec<To> = ring
            .filter(|(other, member)| *other != number && member.standing != Standing::Suspect)
            .map(|(site, member)| To {
                site,
                incarnation: member.incarnation,
            })
            .collect();
        let mut sent = 0;
        while sent < most as usize && !others.is_empty() {
            let at = (self.nonce() % others.len() as u64) as usize;
            let relay = Relay {
                nonce,
                subject: number,
                incarnation,
            };
            self.link.counters.relays += 1;
            self.send_news(others.swap_remove(at), News::Relay(relay), site);
            sent += 1;
        }
        sent
    }

    fn suspect(&mut self, number: u16, site: &mut dyn Site) {
        let known = self.members.change(number, |member| {
            let known = member.standing == Standing::Suspect;
            member.standing = Standing::Suspect;
            (known, member.item(number))
        });
        if let Some((false, item)) = known {
            self.link.counters.suspicions += 1;
            site.notice(Notice::PeerSuspect { site: number });
            self.announce(item, site);
        }
    }

    /// A suspect had its time.
    fn declare(&mut self, number: u16, site: &mut dyn Site) {
        self.fall(number, site);
        if let Some(item) = self.members.get(number).map(|member| member.item(number)) {
            self.announce(item, site);
        }
    }

    /// A site answered, itself or by way of others.
    fn is_there(&mut self, number: u16, direct: bool, site: &mut dyn Site) {
        self.stop_probe(number);
        let now = self.now;
        let before = self.members.change(number, |member| {
            let before = (member.standing, member.detour);
            member.heard = now.max(1);
            member.detour = !direct;
            if member.is_live() {
                member.standing = Standing::Up;
            }
            before
        });
        match before {
            Some((Standing::Suspect, _)) => self.members.spread(number),
            Some((Standing::Greeting, _)) => site.notice(Notice::PeerUp { site: number }),
            _ => {}
        }
        if let Some((_, detour)) = before
            && detour == direct
        {
            site.notice(if direct {
                Notice::LinkBack { site: number }
            } else {
                Notice::LinkLost { site: number }
            });
        }
    }

    /// PING: the answer goes back the way it came.
    pub(super) fn on_ping(&mut self, from: To, ping: &Ping<'_>, mtu: u32, site: &mut dyn Site) {
        self.learn(from, mtu);
        self.hear(ping.view, site);
        let now = self.now;
        if ping.flags & PING_SUSPECT != 0
            && now.saturating_sub(self.watch.refuted) >= 2 * self.config.ping_again
        {
            self.watch.refuted = now;
            self.refute(self.life, site);
        }
        if ping.flags & PING_HEARD != 0 && ping.origin == 0 {
            self.members.change(from.site, |member| {
                member.heard = now.max(1);
                member.detour = false;
            });
        }
        let lost = self.members.change(ping.origin, |member| {
            !core::mem::replace(&mut member.detour, true)
        });
        if lost == Some(true) {
            // It had to ask by way of another.
            site.notice(Notice::LinkLost { site: ping.origin });
        }
        let items = self.passing_news();
        let (nonce, origin) = (ping.nonce, ping.origin);
        self.say(from, Speech::Pong { nonce, origin }, &items, site);
        if origin == 0 {
            self.compare(from, ping.view, site);
        }
    }

    /// PONG: for this site, or for one that asked by way of it.
    pub(super) fn on_pong(&mut self, from: To, pong: &Pong<'_>, mtu: u32, site: &mut dyn Site) {
        self.learn(from, mtu);
        if pong.origin != 0 && pong.origin != self.config.site {
            let asker = self.members.get(pong.origin).map(|member| To {
                site: pong.origin,
                incarnation: member.incarnation,
            });
            if let Some(asker) = asker.filter(|_| pong.subject == from.site) {
                self.send_news(asker, News::Pong(*pong), site);
            }
            return;
        }
        let direct = pong.subject == from.site;
        let asked = self.members.get(pong.subject).is_some_and(|member| {
            member.incarnation == pong.incarnation
                && member.probe.is_some_and(|probe| probe.nonce == pong.nonce)
        });
        if asked {
            self.is_there(pong.subject, direct, site);
        }
        self.hear(pong.view, site);
        if direct {
            self.compare(from, pong.view, site);
        }
    }

    /// RELAY: somebody cannot reach a site and has this one ask.
    pub(super) fn on_relay(&mut self, from: To, relay: &Relay, site: &mut dyn Site) {
        let known = self.members.get(relay.subject);
        if known.is_some_and(|member| member.is_live() && member.incarnation == relay.incarnation)
            && self.members.get(from.site).is_some()
        {
            self.ping(relay.subject, from.site, relay.nonce, 0, site);
        }
    }

    /// Another site knows other things than this one: it is sent everything, and does the same. Not too often.
    fn compare(&mut self, from: To, theirs: View<'_>, site: &mut dyn Site) {
        let (_, _, digest) = self.members.view(&self.own_item());
        if self.config.period != 0 && digest != theirs.digest && self.now >= self.watch.lists {
            self.watch.lists = self.now + self.config.period / 4;
            self.tell_all(from, site);
        }
    }
}
