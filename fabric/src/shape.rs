//! Shapes that have a name: `line`, `ring`, `star`, `tree`, `mesh`, `torus`, `hypercube`, `random`, `full`.

use crate::chance::Draw;
use crate::{Graph, Site};

/// A named shape, with its sizes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Shape {
    /// Everyone with everyone; no site passes on frames of others.
    Full,
    /// 1-2-3-…
    Line,
    /// A line whose ends are joined.
    Ring,
    /// Site 1 in the middle.
    Star,
    /// Each site has so many below it; site 1 is the root.
    Tree(Site),
    /// A grid with these sides, the first one fastest.
    Mesh(Vec<Site>),
    /// A grid whose opposite borders are joined.
    Torus(Vec<Site>),
    /// A cube of so many dimensions.
    Hypercube(u32),
    /// A connected graph in which each site has about so many links, chosen by the seed.
    Random(Site),
}

/// Names with what follows them, for messages and completions.
pub const NAMES: [&str; 9] = [
    "full",
    "line",
    "ring",
    "star",
    "tree,FANOUT",
    "mesh,X,Y[,Z…]",
    "torus,X,Y[,Z…]",
    "hypercube,DIMENSIONS",
    "random,DEGREE",
];

impl Shape {
    /// Reads `torus,4,4` and its like. Errors: a sentence that says what is wrong.
    pub fn parse(text: &str) -> Result<Shape, String> {
        let mut words = text.split(',').map(str::trim);
        let name = words.next().unwrap_or_default();
        let mut numbers = Vec::new();
        for word in words {
            let number = word.parse::<Site>().ok().filter(|number| *number > 0);
            numbers.push(
                number.ok_or_else(|| format!("\"{word}\" in \"{text}\" is not a number from 1"))?,
            );
        }
        let one = |what: &str| match numbers.as_slice() {
            [number] => Ok(*number),
            _ => Err(format!("{name} needs one number, {what}: {name},3")),
        };
        let shape = match name {
            "full" | "line" | "ring" | "star" if !numbers.is_empty() => {
                return Err(format!("{name} takes no numbers"));
            }
            "full" => Shape::Full,
            "line" => Shape::Line,
            "ring" => Shape::Ring,
            "star" => Shape::Star,
            "tree" => Shape::Tree(one("how many sites are below each")?),
            "hypercube" => Shape::Hypercube(u32::from(one("its dimensions")?)),
            "random" => Shape::Random(one("how many links each site has")?),
            "mesh" | "torus" if numbers.is_empty() => {
                return Err(format!("{name} needs the length of each side: {name},4,4"));
            }
            "mesh" => Shape::Mesh(numbers),
            "torus" => Shape::Torus(numbers),
            _ => {
                return Err(format!(
                    "\"{name}\" is not a topology; there are {}",
                    NAMES.join(" ")
                ));
            }
        };
        match shape {
            Shape::Hypercube(dimensions) if dimensions > 12 => {
                Err("a hypercube has at most 12 dimensions".to_owned())
            }
            shape => Ok(shape),
        }
    }

    /// How many sites it is for, if it says so.
    pub fn sites(&self) -> Option<u64> {
        match self {
            Shape::Mesh(sides) | Shape::Torus(sides) => Some(
                sides
                    .iter()
                    .fold(1, |all: u64, &side| all.saturating_mul(u64::from(side))),
            ),
            Shape::Hypercube(dimensions) => Some(1 << dimensions),
            _ => None,
        }
    }

    /// The graph of so many sites. Errors: a sentence, if the shape is for another number.
    pub fn graph(&self, sites: Site, seed: u64) -> Result<Graph, String> {
        if let Some(needs) = self.sites()
            && needs != u64::from(sites)
        {
            return Err(format!("{self} joins {needs} sites, and there are {sites}"));
        }
        let pairs = match self {
            Shape::Full => return Ok(Graph::Full { sites }),
            Shape::Line => chain(sites),
            Shape::Ring => {
                let mut pairs = chain(sites);
                pairs.push((sites, 1));
                pairs
            }
            Shape::Star => (2..=sites).map(|site| (1, site)).collect(),
            Shape::Tree(fanout) => (2..=sites)
                .map(|site| ((site - 2) / fanout.max(&1) + 1, site))
                .collect(),
            Shape::Mesh(sides) => grid(sides, false),
            Shape::Torus(sides) => grid(sides, true),
            Shape::Hypercube(dimensions) => grid(&vec![2; *dimensions as usize], false),
            Shape::Random(degree) => random(sites, *degree, seed),
        };
        Ok(Graph::of(sites, pairs))
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, numbers): (_, Vec<String>) = match self {
            Shape::Full => ("full", Vec::new()),
            Shape::Line => ("line", Vec::new()),
            Shape::Ring => ("ring", Vec::new()),
            Shape::Star => ("star", Vec::new()),
            Shape::Tree(fanout) => ("tree", vec![fanout.to_string()]),
            Shape::Mesh(sides) => ("mesh", sides.iter().map(Site::to_string).collect()),
            Shape::Torus(sides) => ("torus", sides.iter().map(Site::to_string).collect()),
            Shape::Hypercube(dimensions) => ("hypercube", vec![dimensions.to_string()]),
            Shape::Random(degree) => ("random", vec![degree.to_string()]),
        };
        write!(f, "{name}")?;
        numbers.iter().try_for_each(|number| write!(f, ",{number}"))
    }
}

fn chain(sites: Site) -> Vec<(Site, Site)> {
    (1..sites).map(|site| (site, site + 1)).collect()
}

/// The links of a grid, dimension by dimension: then the neighbours of each site come in the order of dimensions, and among the shortest ways the one is
/// taken that goes along the first dimension first.
fn grid(sides: &[Site], joined: bool) -> Vec<(Site, Site)> {
    let sites: u64 = sides.iter().map(|&side| u64::from(side)).product();
    let mut pairs = Vec::new();
    let mut step = 1;
    for &side in sides {
        let side = u64::from(side);
        for site in 0..sites {
            let place = site / step % side;
            let next = match place + 1 {
                end if end == side && joined => site - place * step,
                end if end == side => continue,
                _ => site + step,
            };
            pairs.push((site as Site + 1, next as Site + 1));
        }
        step *= side;
    }
    pairs
}

/// A random tree, so that all are joined, and further links until there are as many as the degree asks for.
fn random(sites: Site, degree: Site, seed: u64) -> Vec<(Site, Site)> {
    let draw = |index: u64, bound: u64| Draw::of(seed, 0x5a9e, index, 0).below(bound);
    let mut pairs: Vec<(Site, Site)> = (2..=sites)
        .map(|site| (draw(u64::from(site), u64::from(site) - 1) as Site + 1, site))
        .collect();
    let all = u64::from(sites) * (u64::from(sites).saturating_sub(1)) / 2;
    let wanted = (u64::from(sites) * u64::from(degree) / 2).min(all);
    let mut known: std::collections::HashSet<_> = pairs.iter().copied().collect();
    let mut index = u64::from(sites);
    // The draws are bounded: in a graph that is nearly full, some links may be missing.
    while (pairs.len() as u64) < wanted && index < u64::from(sites) + wanted * 16 {
        index += 1;
        let a = draw(2 * index, u64::from(sites)) as Site + 1;
        let b = draw(2 * index + 1, u64::from(sites)) as Site + 1;
        let pair = (a.min(b), a.max(b));
        if a != b && known.insert(pair) {
            pairs.push(pair);
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(text: &str, sites: Site) -> Graph {
        Shape::parse(text).unwrap().graph(sites, 1).unwrap()
    }

    #[test]
    fn shapes_have_their_links() {
        assert_eq!(graph("line", 3).links(), [(1, 2), (2, 3)]);
        assert_eq!(graph("ring", 3).links(), [(1, 2), (1, 3), (2, 3)]);
        assert_eq!(graph("ring", 2).links(), [(1, 2)]);
        assert_eq!(graph("star", 4).links(), [(1, 2), (1, 3), (1, 4)]);
        assert_eq!(
            graph("tree,2", 6).links(),
            [(1, 2), (1, 3), (2, 4), (2, 5), (3, 6)]
        );
        assert_eq!(
            graph("mesh,2,2", 4).links(),
            [(1, 2), (1, 3), (2, 4), (3, 4)]
        );
        let torus = graph("torus,4,4", 16);
        assert_eq!(torus.links().len(), 32);
        assert!((1..=16).all(|site| torus.neighbours(site).len() == 4));
        let cube = graph("hypercube,4", 16);
        assert_eq!(cube.links().len(), 32);
        assert!(cube.joins(1, 9) && !cube.joins(1, 4));
        // Sides of one and two: no link to itself, none twice.
        assert_eq!(graph("torus,2,1", 2).links(), [(1, 2)]);
    }

    #[test]
    fn random_graphs_are_connected_and_the_seed_decides() {
        for seed in 0..50 {
            let shape = Shape::Random(3);
            let graph = shape.graph(40, seed).unwrap();
            assert_eq!(graph.unreached(), [0; 0]);
            assert_eq!(graph.links().len(), 60);
            assert_eq!(graph, shape.graph(40, seed).unwrap());
            assert_ne!(graph, shape.graph(40, seed + 1).unwrap());
        }
        assert_eq!(Shape::Random(9).graph(3, 1).unwrap().links().len(), 3);
        assert_eq!(Shape::Random(1).graph(1, 1).unwrap().links().len(), 0);
    }

    #[test]
    fn what_is_written_reads_back_and_what_is_wrong_is_said() {
        for text in [
            "full",
            "line",
            "ring",
            "star",
            "tree,3",
            "mesh,2,3,4",
            "torus,4,4",
            "hypercube,3",
            "random,4",
        ] {
            assert_eq!(Shape::parse(text).unwrap().to_string(), text);
        }
        for (text, sentence) in [
            ("donut", "not a topology"),
            ("torus", "the length of each side"),
            ("torus,4,x", "not a number"),
            ("mesh,0,4", "not a number"),
            ("ring,4", "takes no numbers"),
            ("tree", "needs one number"),
            ("hypercube,13", "at most 12"),
        ] {
            let error = Shape::parse(text).unwrap_err();
            assert!(error.contains(sentence), "{text}: {error}");
        }
        let error = Shape::parse("torus,4,4").unwrap().graph(15, 1).unwrap_err();
        assert_eq!(error, "torus,4,4 joins 16 sites, and there are 15");
    }
}
