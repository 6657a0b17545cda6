//! Members of groups on other sites: told, asked for, and chosen from.
//!
//! A list that does not prove knowledge of the key of the cluster's groups is refused: whoever may not insert a port into a group on a site of its own (the Nucleus checks the
//! group's key there) cannot make others believe that it did (SS-036). A message to a group in functional mode goes to a site that is known to have a member; only where
//! none is known all sites are asked. Each such site is used until it refuses, or, if [`spread`](crate::Config::spread) is set, for each call the one of two
//! drawn ones that has fewer calls of this site at work.

use super::link::To;
use super::{Endpoint, Site};
use crate::config::MILLISECOND;
use crate::frame::news::{ENTRIES_MAX, Groups as Frame, Membership, News};
use crate::hints::{Hint, Key};
use crate::members::Standing;
use crate::membership::{PARTS_MAX, Taken};
use crate::timers::Due;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use chorus_abi::keys::keyed_hash_of;
use chorus_abi::net::KnNetItem;
use chorus_abi::{K_FUNCMODE, KnUniqueId};

/// Sites that are asked for their lists at once.
const ASKED: usize = 8;
/// News that comes together is waited for before lists are asked for.
const SOON: u64 = 5 * MILLISECOND;
/// First gap between two questions.
const FIRST_GAP: u64 = 100 * MILLISECOND;

/// When lists are asked for.
#[derive(Default, Debug)]
pub(super) struct Asking {
    due: u64,
    gap: u64,
}

impl Endpoint {
    /// The Nucleus says which of its ports are in which groups: pairs of group and port. The annex has the key with which sites prove their lists.
    pub(super) fn take_groups(&mut self, item: &KnNetItem, body: &[u8], site: &mut dyn Site) {
        let word = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_le_bytes);
        let key = (word(&item.annex[..8]), word(&item.annex[8..16]));
        if self.group_key.replace(key).is_none() {
            // What came before could not be checked.
            self.want_lists();
        }
        let pairs = body.chunks_exact(16);
        let list: BTreeSet<Membership> = pairs
            .map(|pair| Membership {
                group: word(&pair[..8]),
                port: word(&pair[8..]),
            })
            .collect();
        let base = self.groups.version();
        let changes = self.groups.set_own(list);
        if changes.is_empty() {
            return;
        }
        // Too many to tell: the others ask for the list.
        let (base, told) = if changes.len() <= ENTRIES_MAX {
            (base, &changes[..])
        } else {
            (self.groups.version(), &[][..])
        };
        let frame = Frame::new(false, base, self.groups.version(), 0, 1);
        self.send_list(To::ALL, frame, told.iter().copied(), site);
    }

    fn proof(&self, frame: &Frame<'_>, number: u16, incarnation: u16) -> Option<u64> {
        let words = frame.words(number, incarnation);
        Some(keyed_hash_of(self.group_key?, words))
    }

    fn send_list(
        &mut self,
        to: To,
        frame: Frame<'_>,
        entries: impl Iterator<Item = (bool, Membership)>,
        site: &mut dyn Site,
    ) {
        let mut bytes = Vec::new();
        entries.for_each(|(joins, member)| Frame::push(&mut bytes, joins, &member));
        let mut frame = frame.with(&bytes);
        let own = (self.config.site, self.config.incarnation);
        if let Some(proof) = self.proof(&frame, own.0, own.1) {
            frame.proof = proof;
            self.send_news(to, News::Groups(frame), site);
        }
    }

    /// GROUPS: the list of another site, or changes to it.
    pub(super) fn on_groups(&mut self, from: To, frame: &Frame<'_>, site: &mut dyn Site) {
        if self.config.period == 0 {
            return;
        }
        if self.proof(frame, from.site, from.incarnation) != Some(frame.proof) {
            self.link.counters.refused_lists += 1;
            return;
        }
        // A site that is not known cannot be missed when it is gone.
        if self.members.get(from.site).is_none() {
            return;
        }
        self.members.change(from.site, |member| {
            member.groups = member.groups.max(frame.version);
        });
        match self.groups.take(from.site, from.incarnation, frame) {
            Taken::Known => self.lists.gap = FIRST_GAP,
            Taken::Parts => {}
            Taken::Gap(have) => {
                self.send_news(from, News::GroupsAsk(have), site);
                self.want_lists();
            }
        }
    }

    /// GROUPS-ASK: the whole list, unless the other has it.
    pub(super) fn on_groups_ask(&mut self, from: To, have: u32, site: &mut dyn Site) {
        let version = self.groups.version();
        if have == version || self.members.get(from.site).is_none() {
            return;
        }
        let list: Vec<Membership> = self
            .groups
            .own()
            .copied()
            .take(PARTS_MAX * ENTRIES_MAX)
            .collect();
        let count = list.len().div_ceil(ENTRIES_MAX).max(1) as u8;
        for index in 0..count {
            let begin = usize::from(index) * ENTRIES_MAX;
            let part = list.iter().skip(begin).take(ENTRIES_MAX);
            let frame = Frame::new(true, 0, version, index, count);
            self.send_list(from, frame, part.map(|member| (true, *member)), site);
        }
    }

    /// A list is newer than what is here: it will be asked for.
    pub(super) fn want_lists(&mut self) {
        self.lists.gap = FIRST_GAP;
        if self.config.period != 0 && self.lists.due == 0 {
            let at = self.now + SOON;
            self.timers.set(&mut self.lists.due, Due::Lists, at);
        }
    }

    /// Asks sites whose lists are newer than what is here, again and again, but less often each time that nothing came.
    pub(super) fn lists_timer(&mut self, site: &mut dyn Site) {
        self.lists.due = 0;
        let behind: Vec<(To, u32)> = self
            .members
            .ring(self.config.site)
            .filter_map(|(number, member)| {
                let have = self.groups.version_of(number, member.incarnation);
                let to = To {
                    site: number,
                    incarnation: member.incarnation,
                };
                (have < member.groups).then_some((to, have))
            })
            .take(ASKED)
            .collect();
        if behind.is_empty() {
            return;
        }
        for &(to, have) in &behind {
            self.send_news(to, News::GroupsAsk(have), site);
        }
        let at = self.now + self.lists.gap;
        self.timers.set(&mut self.lists.due, Due::Lists, at);
        self.lists.gap = (self.lists.gap * 2).min(self.config.period_max.max(FIRST_GAP));
    }

    /// A site that has a member of a group in functional mode, from what is known.
    pub(super) fn place_of_group(&mut self, target: KnUniqueId, key: Key) -> Option<Hint> {
        if target.group()?.mode != K_FUNCMODE {
            return None;
        }
        let group = target.identity().word();
        let standing = |site: u16| self.members.get(site).map(|member| member.standing);
        let known: Vec<u16> = self.groups.sites_of(group).collect();
        let mut sites: Vec<u16> = known
            .iter()
            .copied()
            .filter(|site| standing(*site) != Some(Standing::Suspect))
            .collect();
        if sites.is_empty() {
            sites = known;
        }
        let draw = |random: u64| {
            sites
                .get((random % sites.len().max(1) as u64) as usize)
                .copied()
        };
        let (one, two) = (draw(self.nonce())?, draw(self.nonce())?);
        let busy = |site: u16| {
            let peer = self.peers.get(&site);
            peer.map_or(0, |peer| {
                peer.channels.len() - peer.free.len() + peer.queued.len()
            })
        };
        let number = if self.config.spread && busy(two) < busy(one) {
            two
        } else {
            one
        };
        let hint = Hint {
            site: number,
            incarnation: self.members.get(number)?.incarnation,
            port_epoch: 0,
        };
        if !self.config.spread {
            self.hints.insert(key, hint);
        }
        Some(hint)
    }

    /// A site said that it has no member of a group, or that a port is not there.
    pub(super) fn refused_by(&mut self, number: u16, target: KnUniqueId, key: Key) {
        self.hints.remove(key, number);
        if target.group().is_some() {
            self.groups.doubt(number, target.identity().word());
        }
    }

    /// Members of groups that are known here: site, group without mode, port.
    pub fn group_members(&self) -> impl Iterator<Item = (u16, KnUniqueId, KnUniqueId)> {
        self.groups.all(self.config.site).map(|(site, member)| {
            let [group, port] = [member.group, member.port].map(KnUniqueId::from_word);
            (site, group, port)
        })
    }
}
