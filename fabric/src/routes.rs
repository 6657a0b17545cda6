//! Which way frames take: the shortest, and of these the one along the first neighbours.
//!
//! In a grid that is the way along the first dimension first. Ways are found anew when links are cut or joined (SS-142), and remembered until then.

use crate::{Graph, Site};
use std::collections::{HashMap, VecDeque};

/// Not to be reached.
const FAR: u16 = u16::MAX;
/// Destinations, and origins of broadcasts, whose ways are remembered: so many times two bytes a site.
const REMEMBERED: usize = 1024;

/// The ways of a graph.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    /// By destination: the distance from each site, of site 0 (nobody) first.
    distances: HashMap<Site, Box<[u16]>>,
    /// By origin of a broadcast: who passes it on to each site.
    trees: HashMap<Site, Box<[Site]>>,
}

/// Whether a frame can go from one site to its neighbour.
pub type Open<'a> = &'a dyn Fn(Site, Site) -> bool;

impl Routes {
    /// Forgets all ways: a link was cut or joined.
    pub fn forget(&mut self) {
        *self = Routes::default();
    }

    /// Where a frame for a site goes next; `None`: there is no way.
    pub fn next(&mut self, graph: &Graph, open: Open<'_>, at: Site, to: Site) -> Option<Site> {
        if let Graph::Full { .. } = graph {
            return graph.joins(at, to).then_some(to);
        }
        if self.distances.len() >= REMEMBERED && !self.distances.contains_key(&to) {
            self.distances.clear();
        }
        let distances = self
            .distances
            .entry(to)
            .or_insert_with(|| distances(graph, open, to));
        let own = *distances.get(usize::from(at))?;
        let nearer = |&&site: &&Site| {
            distances
                .get(usize::from(site))
                .is_some_and(|&far| far < own)
                && open(at, site)
        };
        graph.neighbours(at).iter().find(nearer).copied()
    }

    /// Links on the way between two sites.
    pub fn hops(&mut self, graph: &Graph, open: Open<'_>, from: Site, to: Site) -> Option<u16> {
        let mut at = from;
        let mut hops = 0;
        while at != to {
            at = self.next(graph, open, at, to)?;
            hops += 1;
        }
        Some(hops)
    }

    /// To whom a site passes a broadcast of `origin` on.
    pub fn onward(&mut self, graph: &Graph, open: Open<'_>, origin: Site, at: Site) -> Vec<Site> {
        if let Graph::Full { sites } = graph {
            let all = 1..=*sites;
            return match at == origin {
                true => all.filter(|&site| site != origin).collect(),
                false => Vec::new(),
            };
        }
        if self.trees.len() >= REMEMBERED && !self.trees.contains_key(&origin) {
            self.trees.clear();
        }
        let tree = self
            .trees
            .entry(origin)
            .or_insert_with(|| tree(graph, open, origin));
        let below = |&&site: &&Site| tree.get(usize::from(site)) == Some(&at);
        graph.neighbours(at).iter().filter(below).copied().collect()
    }
}

/// How far each site is from a destination.
fn distances(graph: &Graph, open: Open<'_>, to: Site) -> Box<[u16]> {
    let mut far = vec![FAR; usize::from(graph.sites()) + 1];
    let mut waiting = VecDeque::new();
    if let Some(own) = far.get_mut(usize::from(to)).filter(|_| to != 0) {
        *own = 0;
        waiting.push_back(to);
    }
    while let Some(site) = waiting.pop_front() {
        let distance = far[usize::from(site)];
        for &before in graph.neighbours(site) {
            let own = &mut far[usize::from(before)];
            if *own == FAR && open(before, site) {
                *own = distance + 1;
                waiting.push_back(before);
            }
        }
    }
    far.into()
}

/// Who passes a broadcast on to whom; 0: it does not come there.
fn tree(graph: &Graph, open: Open<'_>, origin: Site) -> Box<[Site]> {
    let mut above = vec![0; usize::from(graph.sites()) + 1];
    let mut waiting = VecDeque::from([origin]);
    while let Some(site) = waiting.pop_front() {
        for &next in graph.neighbours(site) {
            let own = &mut above[usize::from(next)];
            if *own == 0 && next != origin && open(site, next) {
                *own = site;
                waiting.push_back(next);
            }
        }
    }
    above.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Shape;
    use proptest::prelude::*;

    fn graph(text: &str, sites: Site) -> Graph {
        Shape::parse(text).unwrap().graph(sites, 7).unwrap()
    }

    const ALL: fn(Site, Site) -> bool = |_, _| true;

    #[test]
    fn ss_141_hop_counts_match_the_topology() {
        let place = |site: Site| ((site - 1) % 4, (site - 1) / 4);
        let around = |a: Site, b: Site| a.abs_diff(b).min(4 - a.abs_diff(b));
        for (text, hops) in [
            (
                "mesh,4,4",
                &(|a: Site, b: Site| {
                    let ((ax, ay), (bx, by)) = (place(a), place(b));
                    ax.abs_diff(bx) + ay.abs_diff(by)
                }) as &dyn Fn(Site, Site) -> u16,
            ),
            ("torus,4,4", &|a, b| {
                let ((ax, ay), (bx, by)) = (place(a), place(b));
                around(ax, bx) + around(ay, by)
            }),
            ("hypercube,4", &|a, b| {
                ((a - 1) ^ (b - 1)).count_ones() as u16
            }),
        ] {
            let graph = graph(text, 16);
            let mut routes = Routes::default();
            for a in 1..=16 {
                for b in 1..=16 {
                    let found = routes.hops(&graph, &ALL, a, b);
                    assert_eq!(found, Some(hops(a, b)), "{text}: {a} to {b}");
                }
            }
        }
    }

    #[test]
    fn a_grid_is_crossed_along_the_first_dimension_first() {
        let graph = graph("mesh,4,4", 16);
        let mut routes = Routes::default();
        let mut at = 1;
        let mut way = Vec::new();
        while at != 11 {
            at = routes.next(&graph, &ALL, at, 11).unwrap();
            way.push(at);
        }
        assert_eq!(way, [2, 3, 7, 11]);
    }

    #[test]
    fn ss_142_a_cut_link_is_gone_around_and_the_last_one_isolates() {
        let graph = graph("mesh,3,3", 9);
        let mut routes = Routes::default();
        assert_eq!(routes.hops(&graph, &ALL, 1, 2), Some(1));
        routes.forget();
        let without = |a: Site, b: Site| (a, b) != (1, 2);
        assert_eq!(routes.hops(&graph, &without, 1, 2), Some(3));
        // One way only: the other direction is there.
        assert_eq!(routes.hops(&graph, &without, 2, 1), Some(1));
        routes.forget();
        let alone = |a: Site, b: Site| a != 1 && b != 1;
        assert_eq!(routes.next(&graph, &alone, 1, 9), None);
        assert_eq!(routes.next(&graph, &alone, 9, 1), None);
        assert_eq!(routes.hops(&graph, &alone, 2, 9), Some(3));
        assert_eq!(routes.next(&graph, &ALL, 1, 99), None);
    }

    proptest! {
        #[test]
        fn a_broadcast_reaches_everyone_who_can_be_reached_once(
            sites in 1u16..60, degree in 1u16..5, seed in any::<u64>(), cuts in 0u64..4
        ) {
            let graph = Shape::Random(degree).graph(sites, seed).unwrap();
            let open = |a: Site, b: Site| crate::chance::mix(u64::from(a.min(b)) << 16 | u64::from(a.max(b)) ^ seed) % 8 >= cuts;
            let mut routes = Routes::default();
            let mut times = vec![0; usize::from(sites) + 1];
            let mut waiting = vec![1];
            while let Some(site) = waiting.pop() {
                times[usize::from(site)] += 1;
                waiting.extend(routes.onward(&graph, &open, 1, site));
            }
            for site in 1..=sites {
                let reached = routes.hops(&graph, &open, 1, site).is_some();
                prop_assert_eq!(times[usize::from(site)], u32::from(reached));
            }
        }
    }
}
