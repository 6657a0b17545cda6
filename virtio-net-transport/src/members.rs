//! The sites that this one knows of, and what it holds of each.
//!
//! A plain table: who is asked, when, and what follows from silence is decided in `endpoint/detect.rs` and `endpoint/news.rs`. An incarnation that is down stays so:
//! its entry is kept, so that no late frame of it can change anything (SS-067), until the site comes in a higher one.

use crate::frame::news::{Claim, Item};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// What a site is for this one. A site without an entry is unknown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It said hello; whether frames go both ways is not known yet.
    Greeting,
    /// It is there.
    Up,
    /// It does not answer, or somebody says so; it may still refute that.
    Suspect,
    /// This incarnation is over.
    Down,
}

/// A question under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Probe {
    pub(crate) nonce: u32,
    /// Questions so far: two alone, then by way of others, then as a suspect.
    pub(crate) stage: u8,
    /// Times that it was asked again because this site did not run.
    pub(crate) excused: u8,
    pub(crate) began: u64,
    /// When the suspicion is over.
    pub(crate) until: u64,
}

/// What is held of a site.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Member {
    pub(crate) incarnation: u16,
    pub(crate) life: u32,
    /// Version of its list of members, as last heard of.
    pub(crate) groups: u32,
    pub(crate) standing: Standing,
    /// It answers probes.
    pub(crate) watched: bool,
    /// Largest frame that it takes; 0: not heard of.
    pub(crate) mtu: u32,
    /// When it last answered something, itself or by way of others.
    pub(crate) heard: u64,
    /// It answers, but only by way of others.
    pub(crate) detour: bool,
    pub(crate) probe: Option<Probe>,
    pub(crate) due: u64,
    /// When it was last told that its incarnation is over.
    pub(crate) told: u64,
}

impl Member {
    pub(crate) fn new(incarnation: u16) -> Member {
        Member {
            incarnation,
            life: 0,
            groups: 0,
            standing: Standing::Greeting,
            watched: false,
            mtu: 0,
            heard: 0,
            detour: false,
            probe: None,
            due: 0,
            told: 0,
        }
    }

    pub(crate) fn is_live(&self) -> bool {
        self.standing != Standing::Down
    }

    /// What is said of it to others.
    pub(crate) fn item(&self, site: u16) -> Item {
        let claim = match self.standing {
            Standing::Greeting | Standing::Up => Claim::Alive,
            Standing::Suspect => Claim::Suspect,
            Standing::Down => Claim::Down,
        };
        Item {
            site,
            incarnation: self.incarnation,
            life: self.life,
            claim,
            groups: self.groups,
        }
    }
}

/// The table, and what follows from it.
#[derive(Default, Debug)]
pub(crate) struct Members {
    map: BTreeMap<u16, Member>,
    bound: usize,
    /// Watched sites that are there.
    live: usize,
    /// News and how often it still goes out.
    rumours: BTreeMap<u16, u8>,
}

/// One number for a site, its incarnation and the version of its list.
fn mark(item: &Item) -> u64 {
    let word = u64::from(item.site) << 48 | u64::from(item.incarnation) << 32;
    mix(mix(word | u64::from(item.groups)))
}

/// A step of splitmix64.
pub(crate) fn mix(word: u64) -> u64 {
    let z = word.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ z >> 31
}

impl Members {
    pub(crate) fn new(bound: usize) -> Self {
        Members {
            bound,
            ..Members::default()
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    pub(crate) fn get(&self, site: u16) -> Option<&Member> {
        self.map.get(&site)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u16, &Member)> {
        self.map.iter().map(|(site, member)| (*site, member))
    }

    /// Changes an entry; `None`: there is none.
    pub(crate) fn change<T>(
        &mut self,
        site: u16,
        change: impl FnOnce(&mut Member) -> T,
    ) -> Option<T> {
        let member = self.map.get_mut(&site)?;
        let before = member.watched && member.is_live();
        let result = change(member);
        let after = member.watched && member.is_live();
        self.live = self.live + usize::from(after) - usize::from(before);
        Some(result)
    }

    /// A new entry, if there is room.
    pub(crate) fn insert(&mut self, site: u16, member: Member) -> bool {
        if self.map.len() >= self.bound || self.map.contains_key(&site) {
            return false;
        }
        self.live += usize::from(member.watched && member.is_live());
        self.map.insert(site, member);
        true
    }

    /// Watched sites that are there.
    pub(crate) fn live(&self) -> usize {
        self.live
    }

    /// Watched sites that are there, in the order of a ring that begins behind `from`.
    pub(crate) fn ring(&self, from: u16) -> impl Iterator<Item = (u16, &Member)> {
        let behind = self.map.range(from.saturating_add(1)..);
        let before = self.map.range(..from);
        let all = behind.chain(before).map(|(site, member)| (*site, member));
        all.filter(|(_, member)| member.watched && member.is_live())
    }

    /// The next site in the same order whose incarnation is down.
    pub(crate) fn next_down(&self, from: u16) -> Option<u16> {
        let behind = self.map.range(from.saturating_add(1)..);
        let mut all = behind.chain(self.map.range(..=from));
        let down = |(_, member): &(&u16, &Member)| member.watched && !member.is_live();
        all.find(down).map(|(site, _)| *site)
    }

    /// Number of sites there, the lowest of them, and all of them as one number; `own` is this site.
    pub(crate) fn view(&self, own: &Item) -> (u16, u16, u64) {
        let mut digest = mark(own);
        let mut lowest = own.site;
        for (site, member) in self.iter().filter(|(_, member)| member.watched) {
            if member.is_live() {
                digest ^= mark(&member.item(site));
                lowest = lowest.min(site);
            }
        }
        (self.live as u16 + 1, lowest, digest)
    }

    /// News of a site is to be passed on.
    pub(crate) fn spread(&mut self, site: u16) {
        let often = 4 + 2 * (self.live as u32 + 2).ilog2() as u8;
        self.rumours.insert(site, often);
    }

    /// Some news that is to be passed on, each item one time less from now on.
    pub(crate) fn rumours(&mut self, most: usize) -> Vec<Item> {
        let mut items = Vec::new();
        let map = &self.map;
        let mut gone = Vec::new();
        // What was told least often goes first.
        let mut order: Vec<(u8, u16)> = self.rumours.iter().map(|(site, n)| (*n, *site)).collect();
        order.sort_unstable_by_key(|&(often, site)| (core::cmp::Reverse(often), site));
        for (_, site) in order.into_iter().take(most) {
            if let Some(member) = map.get(&site) {
                items.push(member.item(site));
            }
            if let Some(often) = self.rumours.get_mut(&site) {
                *often = often.saturating_sub(1);
                if *often == 0 {
                    gone.push(site);
                }
            }
        }
        for site in gone {
            self.rumours.remove(&site);
        }
        items
    }

    /// This site begins anew: what was over is unknown again, and nothing is asked.
    pub(crate) fn begin_anew(&mut self) {
        self.map.retain(|_, member| member.is_live());
        for member in self.map.values_mut() {
            *member = Member {
                groups: member.groups,
                life: member.life,
                watched: member.watched,
                mtu: member.mtu,
                ..Member::new(member.incarnation)
            };
        }
        self.rumours.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn up(incarnation: u16) -> Member {
        Member {
            watched: true,
            ..Member::new(incarnation)
        }
    }

    #[test]
    fn the_ring_goes_round_and_leaves_out_who_is_down() {
        let mut members = Members::new(10);
        for site in [2, 5, 7, 9] {
            assert!(members.insert(site, up(1)));
        }
        members.insert(8, Member::new(1));
        members.change(7, |member| member.standing = Standing::Down);
        let ring = |from| members.ring(from).map(|(site, _)| site).collect::<Vec<_>>();
        assert_eq!(ring(5), [9, 2]);
        assert_eq!(ring(9), [2, 5]);
        assert_eq!((members.live(), members.next_down(7)), (3, Some(7)));
    }

    #[test]
    fn the_digest_is_the_same_for_all_who_know_the_same() {
        let item = |site| up(3).item(site);
        let mut views = Vec::new();
        for own in 1..=5 {
            let mut members = Members::new(10);
            for site in (1..=5).rev().filter(|site| *site != own) {
                members.insert(site, up(3));
            }
            views.push(members.view(&item(own)));
        }
        assert!(views.iter().all(|view| *view == views[0]));
        assert_eq!((views[0].0, views[0].1), (5, 1));
    }

    #[test]
    fn the_bound_holds_and_rumours_end() {
        let mut members = Members::new(2);
        assert!(members.insert(1, up(1)) && members.insert(2, up(1)));
        assert!(!members.insert(3, up(1)));
        members.spread(1);
        let told = (0..100).filter(|_| !members.rumours(6).is_empty()).count();
        assert_eq!(told, 8);
    }
}
