//! Which sites are joined by links.

use crate::Site;

/// Sites 1…n and the links between them, each in both directions. The neighbours of a site have an order, which decides between ways of equal length.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Graph {
    /// One network for all: a link from everyone to everyone. No site passes on frames of others.
    Full {
        /// Sites.
        sites: Site,
    },
    /// The neighbours of each site, of site 1 first.
    Listed(Vec<Vec<Site>>),
}

impl Graph {
    /// A graph of these links. Links to itself, doubled ones, and ones to sites that are not there are left out.
    pub fn of(sites: Site, links: impl IntoIterator<Item = (Site, Site)>) -> Graph {
        let mut neighbours = vec![Vec::new(); usize::from(sites)];
        for (a, b) in links {
            if a == b || !(1..=sites).contains(&a) || !(1..=sites).contains(&b) {
                continue;
            }
            for (from, to) in [(a, b), (b, a)] {
                if let Some(list) = neighbours.get_mut(usize::from(from) - 1)
                    && !list.contains(&to)
                {
                    list.push(to);
                }
            }
        }
        Graph::Listed(neighbours)
    }

    /// How many sites there are.
    pub fn sites(&self) -> Site {
        match self {
            Graph::Full { sites } => *sites,
            Graph::Listed(neighbours) => neighbours.len() as Site,
        }
    }

    /// Neighbours of a site in their order; of [`Graph::Full`] none: nobody passes on.
    pub fn neighbours(&self, site: Site) -> &[Site] {
        match self {
            Graph::Full { .. } => &[],
            Graph::Listed(neighbours) => usize::from(site)
                .checked_sub(1)
                .and_then(|index| neighbours.get(index))
                .map_or(&[], Vec::as_slice),
        }
    }

    /// Whether a link joins two sites.
    pub fn joins(&self, a: Site, b: Site) -> bool {
        match self {
            Graph::Full { sites } => {
                a != b && (1..=*sites).contains(&a) && (1..=*sites).contains(&b)
            }
            Graph::Listed(_) => self.neighbours(a).contains(&b),
        }
    }

    /// All links, each once, the lower end first.
    pub fn links(&self) -> Vec<(Site, Site)> {
        let sites = self.sites();
        match self {
            Graph::Full { .. } => (1..=sites)
                .flat_map(|a| (a + 1..=sites).map(move |b| (a, b)))
                .collect(),
            Graph::Listed(_) => (1..=sites)
                .flat_map(|a| self.neighbours(a).iter().map(move |&b| (a, b)))
                .filter(|(a, b)| a < b)
                .collect(),
        }
    }

    /// The sites that cannot be reached from site 1; none: the graph is connected.
    pub fn unreached(&self) -> Vec<Site> {
        let sites = self.sites();
        if matches!(self, Graph::Full { .. }) || sites == 0 {
            return Vec::new();
        }
        let mut reached = vec![false; usize::from(sites) + 1];
        let mut waiting = vec![1];
        reached[1] = true;
        while let Some(site) = waiting.pop() {
            for &next in self.neighbours(site) {
                if !std::mem::replace(&mut reached[usize::from(next)], true) {
                    waiting.push(next);
                }
            }
        }
        (1..=sites)
            .filter(|&site| !reached[usize::from(site)])
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_graph_has_what_makes_sense_of_its_links() {
        let graph = Graph::of(4, [(1, 2), (2, 1), (2, 2), (3, 9), (0, 1), (2, 3)]);
        assert_eq!(graph.links(), [(1, 2), (2, 3)]);
        assert!(graph.joins(2, 1) && !graph.joins(1, 3));
        assert_eq!(graph.unreached(), [4]);
        assert_eq!(graph.neighbours(0), [0; 0]);
        let full = Graph::Full { sites: 3 };
        assert_eq!(full.links(), [(1, 2), (1, 3), (2, 3)]);
        assert!(full.joins(3, 1) && !full.joins(1, 1) && !full.joins(1, 4));
        assert_eq!(full.unreached(), [0; 0]);
    }
}
