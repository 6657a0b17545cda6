//! Who is in which group, on this site and on others.
//!
//! Each site has the say about the ports on it. It counts the versions of its list; changes are told to all once, and who notices a version that it does not have asks for
//! the whole list. What is known of others is bounded: beyond that a site is known to have a list, and its members are searched for as those of an unknown site are.

use crate::frame::news::{Groups as Frame, Membership};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

/// Parts of a list at most.
pub(crate) const PARTS_MAX: usize = 128;

/// The list of one other site.
#[derive(Default, Debug)]
struct Remote {
    incarnation: u16,
    version: u32,
    list: BTreeSet<Membership>,
    /// Groups for which the site refused a message although it is said to have a member.
    doubted: BTreeSet<u64>,
    /// A whole list that is coming in: its version, the parts that are there, what they say.
    coming: Option<(u32, u128, Vec<Membership>)>,
}

/// Result of taking a frame of another site.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Taken {
    /// The list is as new as the frame says now, or newer.
    Known,
    /// Parts of the list are still to come.
    Parts,
    /// Changes to a list that is not there: the whole one is needed; the version that is there.
    Gap(u32),
}

/// All memberships that this site knows of.
#[derive(Default, Debug)]
pub(crate) struct Groups {
    own: BTreeSet<Membership>,
    version: u32,
    remote: BTreeMap<u16, Remote>,
    /// Group, site: which sites have members.
    places: BTreeSet<(u64, u16)>,
    entries: usize,
    bound: usize,
}

impl Groups {
    pub(crate) fn new(bound: usize) -> Self {
        Groups {
            bound,
            ..Groups::default()
        }
    }

    /// Version of this site's own list.
    pub(crate) fn version(&self) -> u32 {
        self.version
    }

    /// This site's own list.
    pub(crate) fn own(&self) -> impl Iterator<Item = &Membership> {
        self.own.iter()
    }

    /// Memberships of other sites.
    pub(crate) fn entries(&self) -> usize {
        self.entries
    }

    /// All memberships: site, which; `own` is this site's number.
    pub(crate) fn all(&self, own: u16) -> impl Iterator<Item = (u16, Membership)> {
        let here = self.own.iter().map(move |member| (own, *member));
        let there = self.remote.iter();
        here.chain(
            there.flat_map(|(site, remote)| remote.list.iter().map(|member| (*site, *member))),
        )
    }

    /// Takes the site's own list as it is now; the changes in it, none if it is as it was.
    pub(crate) fn set_own(&mut self, list: BTreeSet<Membership>) -> Vec<(bool, Membership)> {
        let ended = self.own.difference(&list).map(|member| (false, *member));
        let begun = list.difference(&self.own).map(|member| (true, *member));
        let changes: Vec<_> = ended.chain(begun).collect();
        if !changes.is_empty() {
            self.version = self.version.wrapping_add(1).max(1);
            self.own = list;
        }
        changes
    }

    /// The version of a site's list that is here; 0 for none.
    pub(crate) fn version_of(&self, site: u16, incarnation: u16) -> u32 {
        let remote = self.remote.get(&site);
        remote
            .filter(|remote| remote.incarnation == incarnation)
            .map_or(0, |remote| remote.version)
    }

    /// Forgets what a site said.
    pub(crate) fn forget(&mut self, site: u16) {
        if let Some(remote) = self.remote.remove(&site) {
            self.take_away(site, &remote.list);
        }
    }

    fn take_away(&mut self, site: u16, list: &BTreeSet<Membership>) {
        self.entries -= list.len();
        for member in list {
            self.places.remove(&(member.group, site));
        }
    }

    /// Takes changes or a part of the list of a site; its proof was checked.
    pub(crate) fn take(&mut self, site: u16, incarnation: u16, frame: &Frame<'_>) -> Taken {
        let remote = self.remote.entry(site).or_default();
        if remote.incarnation != incarnation {
            let old = core::mem::take(remote);
            remote.incarnation = incarnation;
            self.take_away(site, &old.list);
        }
        let Some(remote) = self.remote.get_mut(&site) else {
            return Taken::Known;
        };
        if frame.version <= remote.version {
            return Taken::Known;
        }
        let mut list = if frame.whole {
            let parts = u128::from(frame.count.min(PARTS_MAX as u8));
            let all = if parts >= 128 {
                u128::MAX
            } else {
                (1 << parts) - 1
            };
            let fresh = (frame.version, 0, Vec::new());
            let coming = remote.coming.get_or_insert(fresh.clone());
            if coming.0 != frame.version {
                *coming = fresh;
            }
            let bit = 1u128.checked_shl(frame.index.into()).unwrap_or(0);
            if coming.1 & bit == 0 {
                coming.1 |= bit;
                coming.2.extend(frame.entries().map(|(_, member)| member));
            }
            if coming.1 & all != all {
                return Taken::Parts;
            }
            remote
                .coming
                .take()
                .map_or(BTreeSet::new(), |(_, _, list)| list.into_iter().collect())
        } else {
            if frame.base != remote.version {
                return Taken::Gap(remote.version);
            }
            let mut list = remote.list.clone();
            for (joins, member) in frame.entries() {
                if joins {
                    list.insert(member);
                } else {
                    list.remove(&member);
                }
            }
            list
        };
        remote.version = frame.version;
        remote.doubted.clear();
        let old = core::mem::take(&mut remote.list);
        self.take_away(site, &old);
        if self.entries + list.len() > self.bound {
            list.clear();
        }
        self.entries += list.len();
        self.places
            .extend(list.iter().map(|member| (member.group, site)));
        if let Some(remote) = self.remote.get_mut(&site) {
            remote.list = list;
        }
        Taken::Known
    }

    /// A site refused a message for a group.
    pub(crate) fn doubt(&mut self, site: u16, group: u64) {
        if let Some(remote) = self.remote.get_mut(&site)
            && self.places.contains(&(group, site))
        {
            remote.doubted.insert(group);
        }
    }

    /// Sites that have members of a group, and did not refuse.
    pub(crate) fn sites_of(&self, group: u64) -> impl Iterator<Item = u16> {
        let places = self.places.range((group, 0)..=(group, u16::MAX));
        places.map(|(_, site)| *site).filter(move |site| {
            let remote = self.remote.get(site);
            remote.is_some_and(|remote| !remote.doubted.contains(&group))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn member(group: u64, port: u64) -> Membership {
        Membership { group, port }
    }

    proptest! {
        /// Whatever a site does, and whichever frames are lost, who follows it has its list or knows that it has not.
        #[test]
        fn followers_have_the_list_or_know_that_they_have_not(
            steps in proptest::collection::vec((any::<bool>(), 0u64..3, 0u64..6, any::<bool>()), 0..60),
        ) {
            let (mut site, mut follower) = (Groups::new(100), Groups::new(100));
            let mut list = BTreeSet::new();
            for (joins, group, port, lost) in steps {
                let before = site.version();
                if joins { list.insert(member(group, port)); } else { list.remove(&member(group, port)); }
                let changes = site.set_own(list.clone());
                if changes.is_empty() {
                    continue;
                }
                let mut bytes = Vec::new();
                changes.iter().for_each(|(joins, member)| Frame::push(&mut bytes, *joins, member));
                let taken = if lost {
                    Taken::Gap(follower.version_of(7, 1))
                } else {
                    follower.take(7, 1, &Frame::new(false, before, site.version(), 0, 1).with(&bytes))
                };
                if let Taken::Gap(have) = taken {
                    prop_assert!(have < site.version());
                    if !lost {
                        let mut bytes = Vec::new();
                        site.own().for_each(|member| Frame::push(&mut bytes, true, member));
                        let whole = Frame::new(true, 0, site.version(), 0, 1).with(&bytes);
                        prop_assert_eq!(follower.take(7, 1, &whole), Taken::Known);
                    }
                }
                if follower.version_of(7, 1) == site.version() {
                    prop_assert!(follower.all(1).map(|(_, member)| member).eq(site.own().copied()));
                    for group in 0..3 {
                        let here = list.iter().any(|member| member.group == group);
                        prop_assert_eq!(follower.sites_of(group).next(), here.then_some(7));
                    }
                }
                prop_assert_eq!(follower.entries(), follower.all(1).count());
            }
            follower.forget(7);
            prop_assert_eq!((follower.entries(), follower.places.len()), (0, 0));
        }
    }

    #[test]
    fn a_list_in_parts_counts_when_all_are_there_and_the_bound_holds() {
        let mut groups = Groups::new(3);
        let part = |index: u8, ports: &[u64], version| {
            let mut bytes = Vec::new();
            ports
                .iter()
                .for_each(|port| Frame::push(&mut bytes, true, &member(5, *port)));
            groups.take(2, 1, &Frame::new(true, 0, version, index, 2).with(&bytes))
        };
        let mut part = part;
        assert_eq!(part(1, &[3], 4), Taken::Parts);
        assert_eq!(part(1, &[3], 4), Taken::Parts);
        assert_eq!(part(0, &[1, 2], 4), Taken::Known);
        assert_eq!(part(0, &[1, 2, 3], 5), Taken::Parts);
        assert_eq!(part(1, &[4], 5), Taken::Known);
        assert_eq!(
            (
                groups.entries(),
                groups.version_of(2, 1),
                groups.version_of(2, 2)
            ),
            (0, 5, 0)
        );
        assert_eq!(groups.sites_of(5).next(), None);
    }
}
