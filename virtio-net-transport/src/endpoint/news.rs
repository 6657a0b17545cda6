//! News of sites: who is there, in which incarnation, and what follows when one is over.
//!
//! Of two claims about one incarnation the one with the higher life counts; at the same life suspicion beats life. That an incarnation is down is final where it was
//! found out or believed. It is not believed by a site that has just heard an answer, nor when it was refuted: so a site that hears nothing any more, and takes the silence for that of
//! the others, harms only itself. What an end means for calls, hints and groups is the same whether it was found out here or heard of.

use super::link::To;
use super::{Endpoint, Notice, Site};
use crate::config::MILLISECOND;
use crate::frame::news::{Claim, Hello, ITEMS_MAX, Item, News, PING_OVER, Ping, Pong, View};
use crate::frame::{Frame, Payload};
use crate::members::{Member, Standing};
use alloc::vec::Vec;
use core::cmp::Reverse;

/// News that goes with each probe and each answer, beside that of the sender itself.
const RUMOURS: usize = 6;
/// A site is told at most so often that its incarnation is over.
const TELL_GAP: u64 = 50 * MILLISECOND;

/// What is said with a view.
#[derive(Clone, Copy)]
pub(super) enum Speech {
    /// News alone.
    Tell,
    /// A question, see [`Ping`].
    Ping { nonce: u32, origin: u16, flags: u8 },
    /// An answer of this site, see [`Pong`].
    Pong { nonce: u32, origin: u16 },
}

impl Endpoint {
    /// What this site says of itself.
    pub(super) fn own_item(&self) -> Item {
        Item {
            site: self.config.site,
            incarnation: self.config.incarnation,
            life: self.life,
            claim: Claim::Alive,
            groups: self.groups.version(),
        }
    }

    pub(super) fn own_hello(&self) -> Hello {
        Hello {
            watched: self.config.period != 0,
            life: self.life,
            groups: self.groups.version(),
        }
    }

    /// Sends a frame with news.
    pub(super) fn send_news(&mut self, to: To, news: News<'_>, site: &mut dyn Site) {
        self.link.transmit(to, &Payload::News(news), site);
    }

    /// Says something with this site's view and these items.
    pub(super) fn say(&mut self, to: To, speech: Speech, items: &[Item], site: &mut dyn Site) {
        let mut list = Vec::new();
        items.iter().for_each(|item| View::push(&mut list, item));
        let (live, lowest, digest) = self.members.view(&self.own_item());
        let view = View::new(live, lowest, digest, &list);
        let news = match speech {
            Speech::Tell => News::Tell(view),
            Speech::Ping {
                nonce,
                origin,
                flags,
            } => News::Ping(Ping {
                nonce,
                origin,
                flags,
                view,
            }),
            Speech::Pong { nonce, origin } => News::Pong(Pong {
                nonce,
                origin,
                subject: self.config.site,
                incarnation: self.config.incarnation,
                view,
            }),
        };
        self.send_news(to, news, site);
    }

    /// What goes with a probe or an answer: this site itself, and what others should hear of.
    pub(super) fn passing_news(&mut self) -> Vec<Item> {
        let mut items = self.members.rumours(RUMOURS);
        items.push(self.own_item());
        items
    }

    /// Tells all sites at once, and passes it on for a while.
    pub(super) fn announce(&mut self, item: Item, site: &mut dyn Site) {
        self.members.spread(item.site);
        self.say(To::ALL, Speech::Tell, &[item], site);
    }

    /// Tells one site all that are there.
    pub(super) fn tell_all(&mut self, to: To, site: &mut dyn Site) {
        let mut items: Vec<Item> = Vec::from([self.own_item()]);
        let live = self.members.iter().filter(|(_, member)| member.watched);
        items.extend(
            live.filter(|(_, member)| member.is_live())
                .map(|(number, member)| member.item(number)),
        );
        for part in items.chunks(ITEMS_MAX) {
            self.say(to, Speech::Tell, part, site);
        }
    }

    /// What is held of a site: its incarnation, and whether that is there.
    fn known(&self, site: u16) -> Option<(u16, bool)> {
        match self.members.get(site) {
            Some(member) => Some((member.incarnation, member.is_live())),
            None => self.peers.get(&site).map(|peer| (peer.incarnation, true)),
        }
    }

    /// Whether a site is known as something else than being there in this incarnation.
    pub(super) fn is_unexpected(&self, from: To) -> bool {
        let known = self.known(from.site);
        known.is_some_and(|known| known != (from.incarnation, true))
    }

    /// Whether a frame may change anything: its sender's incarnation is not over. One that is new ends what was with the old.
    pub(super) fn admit(&mut self, from: To, frame: &Frame<'_>, site: &mut dyn Site) -> bool {
        match self.known(from.site) {
            None => {}
            Some((incarnation, live))
                if from.incarnation < incarnation || (from.incarnation == incarnation && !live) =>
            {
                self.link.counters.dead_incarnation += 1;
                // The other side may hold this one for dead too: who of both begins anew?
                if let Some(above) = self.verdict(frame) {
                    let theirs = frame.payload.view().unwrap_or_default();
                    self.yield_to(from, theirs, above, site);
                }
                self.tell_over(from, site);
                return false;
            }
            Some((incarnation, _)) if from.incarnation > incarnation => {
                self.returned(from.site, from.incarnation, site);
            }
            Some(_) => {}
        }
        if let Some(above) = self.verdict(frame) {
            self.over(above, site);
            return false;
        }
        self.members
            .change(from.site, |member| member.mtu = frame.header.mtu);
        true
    }

    /// Whether a frame says that this incarnation is over; the incarnation that the next must be above.
    fn verdict(&self, frame: &Frame<'_>) -> Option<u16> {
        let Payload::News(news) = &frame.payload else {
            return None;
        };
        let own = self.config.incarnation;
        let alone = frame.header.dst_site != 0;
        match news {
            News::Ping(ping) if ping.flags & PING_OVER != 0 => {
                (frame.header.dst_incarnation == own).then_some(own)
            }
            News::Tell(view) => view
                .items()
                .filter(|item| item.site == self.config.site)
                .find(|item| {
                    // What was refuted counts only for those who missed that, and they say so to this site alone.
                    let stands = alone || item.life >= self.life;
                    item.incarnation > own
                        || (item.incarnation == own && item.claim == Claim::Down && stands)
                })
                .map(|item| item.incarnation),
            _ => None,
        }
    }

    /// Whether a site answered this one within a time.
    pub(super) fn has_answered(&self, number: u16, within: u64) -> bool {
        let live = self.members.get(number).is_some_and(Member::is_live);
        let heard = self.answered(number);
        live && heard != 0 && self.now.saturating_sub(heard) <= within
    }

    /// Each of two sites holds the other for dead. The one that sees fewer sites begins anew; at equal numbers the one that does not see the lowest of all.
    fn yield_to(&mut self, from: To, theirs: View<'_>, above: u16, site: &mut dyn Site) {
        let (live, lowest, _) = self.members.view(&self.own_item());
        let mine = (live, Reverse(lowest), Reverse(self.config.site));
        if mine < (theirs.live, Reverse(theirs.lowest), Reverse(from.site)) {
            self.over(above, site);
        }
    }

    /// Tells a site that its incarnation is over, not too often.
    fn tell_over(&mut self, to: To, site: &mut dyn Site) {
        let now = self.now;
        let due = self.members.change(to.site, |member| {
            let due = member.told == 0 || now.saturating_sub(member.told) >= TELL_GAP;
            if due {
                member.told = now.max(1);
            }
            due.then(|| member.item(to.site))
        });
        if let Some(Some(item)) = due
            && self.over.is_none()
        {
            self.say(to, Speech::Tell, &[item], site);
        }
    }

    /// HELLO: a site is there.
    pub(super) fn on_hello(&mut self, from: To, hello: &Hello, mtu: u32) {
        let member = Member {
            life: hello.life,
            groups: hello.groups,
            watched: hello.watched,
            mtu,
            ..Member::new(from.incarnation)
        };
        if !self.members.insert(from.site, member) {
            self.members.change(from.site, |known| {
                known.watched = hello.watched;
                known.life = known.life.max(hello.life);
                known.groups = known.groups.max(hello.groups);
            });
        }
        if hello.groups != 0 {
            self.want_lists();
        }
        self.watch();
    }

    /// A site that speaks of others is itself there, and wants to be watched.
    pub(super) fn learn(&mut self, from: To, mtu: u32) {
        let member = Member {
            watched: true,
            mtu,
            ..Member::new(from.incarnation)
        };
        if !self.members.insert(from.site, member) {
            self.members.change(from.site, |known| known.watched = true);
        }
        self.watch();
    }

    /// Takes news from another site.
    pub(super) fn hear(&mut self, view: View<'_>, site: &mut dyn Site) {
        for item in view.items() {
            self.take_item(&item, site);
        }
        self.watch();
    }

    fn take_item(&mut self, item: &Item, site: &mut dyn Site) {
        let number = item.site;
        if number == self.config.site {
            // What concerns the end of this incarnation was looked at before.
            let mine = item.incarnation == self.config.incarnation;
            if mine && item.claim != Claim::Alive && item.life >= self.life {
                self.refute(item.life, site);
            }
            return;
        }
        let Some(known) = self.members.get(number).copied() else {
            let claim = item.claim;
            let member = Member {
                life: item.life,
                groups: item.groups,
                watched: true,
                standing: if claim == Claim::Down {
                    Standing::Down
                } else {
                    Standing::Greeting
                },
                ..Member::new(item.incarnation)
            };
            // Whoever has frames of it knows better than somebody's word.
            let peer = self.peers.get(&number).map_or(0, |peer| peer.incarnation);
            if peer > item.incarnation {
                // What is said of an older one is no news, and its end must not end what is with this one; but that it is watched is.
                let member = Member {
                    watched: true,
                    ..Member::new(peer)
                };
                if self.members.insert(number, member) {
                    self.members.spread(number);
                    self.want_lists();
                }
                return;
            }
            if peer == item.incarnation && claim == Claim::Down {
                self.members.insert(
                    number,
                    Member {
                        standing: Standing::Up,
                        ..member
                    },
                );
                return self.fall(number, site);
            }
            if self.members.insert(number, member) {
                self.members.spread(number);
                self.want_lists();
            }
            return;
        };
        if item.incarnation < known.incarnation || !known.watched {
            return;
        }
        if item.incarnation > known.incarnation {
            self.returned(number, item.incarnation, site);
            self.members.change(number, |member| {
                member.life = item.life;
                member.groups = item.groups;
            });
            self.want_lists();
            if item.claim == Claim::Down {
                self.fall(number, site);
            }
            return;
        }
        if known.standing == Standing::Down {
            if item.claim != Claim::Down {
                // Somebody has not heard of it.
                self.members.spread(number);
            }
            return;
        }
        if item.groups > known.groups {
            self.members
                .change(number, |member| member.groups = item.groups);
            self.members.spread(number);
            self.want_lists();
        }
        match item.claim {
            Claim::Down
                if item.life >= known.life && !self.has_answered(number, self.config.suspicion) =>
            {
                self.fall(number, site);
            }
            Claim::Suspect if item.life >= known.life && known.standing != Standing::Suspect => {
                self.members.change(number, |member| {
                    member.standing = Standing::Suspect;
                    member.life = item.life;
                });
                self.members.spread(number);
            }
            Claim::Alive if item.life > known.life => {
                self.members
                    .change(number, |member| member.life = item.life);
                if known.standing == Standing::Suspect && known.probe.is_none() {
                    self.members
                        .change(number, |member| member.standing = Standing::Up);
                }
                self.members.spread(number);
            }
            Claim::Alive if known.standing == Standing::Greeting => {
                self.members
                    .change(number, |member| member.standing = Standing::Up);
            }
            _ => {}
        }
    }

    /// Somebody suspects this site: it is here, and says so.
    pub(super) fn refute(&mut self, life: u32, site: &mut dyn Site) {
        self.life = self.life.max(life).saturating_add(1);
        self.link.counters.refutations += 1;
        let item = self.own_item();
        self.say(To::ALL, Speech::Tell, &[item], site);
    }

    /// A site is there in a higher incarnation: what was with the old one ends.
    pub(super) fn returned(&mut self, number: u16, incarnation: u16, site: &mut dyn Site) {
        let entry = self.members.get(number).copied();
        if let Some(old) = entry {
            self.stop_probe(number);
            let fresh = Member {
                watched: old.watched,
                mtu: old.mtu,
                ..Member::new(incarnation)
            };
            self.members.change(number, |member| *member = fresh);
            self.members.spread(number);
        }
        self.groups.forget(number);
        self.hints.remove_site(number);
        let had = self
            .peers
            .get(&number)
            .is_some_and(|peer| peer.incarnation < incarnation);
        let was_live = entry.is_some_and(|old| old.is_live());
        if had || was_live {
            self.link.counters.peers_rebooted += 1;
            site.notice(Notice::PeerRebooted {
                site: number,
                incarnation,
            });
        }
        if had {
            self.end_peer(number, site);
        }
    }

    /// An incarnation of a site is over: nothing of it changes anything any more, and what was with it ends.
    pub(super) fn fall(&mut self, number: u16, site: &mut dyn Site) {
        let Some(member) = self.members.get(number).copied() else {
            return;
        };
        self.stop_probe(number);
        self.members
            .change(number, |member| member.standing = Standing::Down);
        self.members.spread(number);
        self.link.counters.peers_down += 1;
        site.notice(Notice::PeerDown {
            site: number,
            incarnation: member.incarnation,
        });
        self.groups.forget(number);
        self.hints.remove_site(number);
        self.end_peer(number, site);
    }

    /// This incarnation is over for others: it says nothing more, until its driver has it [`renew`](Endpoint::renew).
    pub(super) fn over(&mut self, above: u16, site: &mut dyn Site) {
        if self.over.is_some() {
            return;
        }
        let above = above.max(self.config.incarnation);
        self.over = Some(above);
        self.link.mute = true;
        self.link.counters.own_ends += 1;
        site.notice(Notice::IncarnationOver { above });
    }
}
