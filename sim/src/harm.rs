//! Nemeses: what harms the sites and the links, as data. Each is a small program: what it does, how often, and for how long.

use super::act::{Act, Ends, Stage};
use super::random::Random;
use super::world::{MS, SEC};
use chorus_fabric::{Action, Burst, Chance, Change, Fault, Jitter};
use chorus_transport::frame::KIND_NAMES;

/// What a nemesis does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deed {
    /// Links lose so much.
    Loss,
    /// Links lose in bursts that begin so often.
    Burst,
    /// Links double so many frames.
    Duplicate,
    /// Links let so many frames be overtaken, by up to 2 ms.
    Reorder,
    /// Links take between nothing and 400 µs.
    Jitter,
    /// Links turn a bit of so many frames.
    Corrupt,
    /// Links carry 10 MB/s, and 32 frames wait.
    Narrow,
    /// The cluster is split in two, and healed.
    Partition,
    /// One direction of a link is cut, and joined.
    OneWay,
    /// A site loses its power, and comes back.
    Crash,
    /// A site stands still, and goes on.
    Pause,
    /// One of the next frames of a port that moves is lost.
    Snatch,
    /// A server moves, and in the middle of it the two sites are cut from each other, split from the rest, or one of them loses its power.
    Sever,
}

/// A nemesis.
#[derive(Clone, Copy, Debug)]
pub struct Harm {
    /// Its name.
    pub name: &'static str,
    /// What it is, for people.
    pub about: &'static str,
    /// What it does.
    pub deed: Deed,
    /// Of a nemesis of links: how much, in thousandths of a percent. Of others: how often, in nanoseconds.
    pub strength: u64,
    /// Of others: how long at most.
    pub lasts: u64,
}

const fn link(name: &'static str, deed: Deed, strength: u64, about: &'static str) -> Harm {
    Harm {
        name,
        about,
        deed,
        strength,
        lasts: 0,
    }
}

/// All nemeses.
pub const HARMS: [Harm; 13] = [
    link("loss", Deed::Loss, 5_000, "links lose 5% of the frames"),
    link(
        "burst",
        Deed::Burst,
        500,
        "links lose ten frames in a row, one time in 200",
    ),
    link(
        "duplicate",
        Deed::Duplicate,
        5_000,
        "5% of the frames come twice",
    ),
    link(
        "reorder",
        Deed::Reorder,
        5_000,
        "5% of the frames are up to 2 ms late, and overtaken",
    ),
    link("jitter", Deed::Jitter, 0, "the delay of links varies"),
    link(
        "corrupt",
        Deed::Corrupt,
        1_000,
        "a bit of 1% of the frames is turned, and the card drops them",
    ),
    link(
        "narrow",
        Deed::Narrow,
        0,
        "links carry 10 MB/s, and 32 frames wait",
    ),
    Harm {
        name: "partition",
        about: "every 5s the cluster is split in two, for up to 3s",
        deed: Deed::Partition,
        strength: 5 * SEC,
        lasts: 3 * SEC,
    },
    Harm {
        name: "oneway",
        about: "every 5s one direction of a link is cut, for up to 3s",
        deed: Deed::OneWay,
        strength: 5 * SEC,
        lasts: 3 * SEC,
    },
    Harm {
        name: "crash",
        about: "every 2s a site loses its power, for up to 2s",
        deed: Deed::Crash,
        strength: 2 * SEC,
        lasts: 2 * SEC,
    },
    Harm {
        name: "pause",
        about: "every 2s a site stands still, for up to 3s",
        deed: Deed::Pause,
        strength: 2 * SEC,
        lasts: 3 * SEC,
    },
    Harm {
        name: "snatch",
        about: "every 20ms one of the next frames of a port that moves is lost",
        deed: Deed::Snatch,
        strength: 20 * MS,
        lasts: 1,
    },
    Harm {
        name: "sever",
        about: "every 2s a server moves, and in the middle its sites are cut off or lose their power, for up to 10s",
        deed: Deed::Sever,
        strength: 2 * SEC,
        lasts: 10 * SEC,
    },
];

/// Frames of a port that moves, and their answers.
const OF_MOVES: [&str; 7] = [
    "PREPARE",
    "ACTIVATE",
    "HAVE",
    "PASS",
    "PASS-SEND",
    "REPLY",
    "PROGRESS",
];

impl Deed {
    /// Whether it is something that links do all the time.
    pub fn is_of_links(self) -> bool {
        self.change(0).is_some()
    }

    fn change(self, strength: u64) -> Option<Change> {
        let chance = Chance::percent(strength as f64 / 1000.0);
        let none = Change::default();
        Some(match self {
            Deed::Loss => Change {
                loss: Some(chance),
                ..none
            },
            Deed::Burst => Change {
                burst: Some(Burst {
                    begins: chance,
                    ends: Chance::percent(10.0),
                    loss: Chance::ALWAYS,
                }),
                ..none
            },
            Deed::Duplicate => Change {
                duplicate: Some(chance),
                ..none
            },
            Deed::Reorder => Change {
                reorder: Some(chance),
                late: Some(2 * MS),
                ..none
            },
            Deed::Jitter => Change {
                latency: Some(MS / 5),
                jitter: Some(Jitter::Even(MS / 5)),
                ..none
            },
            Deed::Corrupt => Change {
                corrupt: Some(chance),
                ..none
            },
            Deed::Narrow => Change {
                bandwidth: Some(10_000_000),
                queue: Some(32),
                ..none
            },
            _ => return None,
        })
    }
}

impl Harm {
    /// The nemesis of this name. `all` are all of them but those that cut frames to size.
    pub fn named(name: &str) -> Option<Vec<Harm>> {
        match name {
            "none" => Some(Vec::new()),
            "all" => Some(
                HARMS
                    .into_iter()
                    .filter(|harm| harm.deed != Deed::Narrow)
                    .collect(),
            ),
            name => {
                let mut harms = HARMS.iter();
                let harm = harms.find(|harm| harm.name == name)?;
                Some(vec![*harm])
            }
        }
    }
}

/// A nemesis at work.
pub struct Nemesis {
    harm: Harm,
    random: Random,
    sites: u16,
    /// What ends, and when.
    ends: Vec<(u64, Act)>,
    begins: u64,
}

impl Nemesis {
    /// A nemesis of so many sites; `number` tells it from others.
    pub fn new(harm: Harm, number: u64, seed: u64, sites: u16, now: u64) -> Nemesis {
        let mut random = Random::new(seed ^ 0x4A34 ^ number << 32);
        let begins = match harm.deed.is_of_links() {
            true => now,
            false => now + random.below(harm.strength),
        };
        Nemesis {
            harm,
            random,
            sites,
            ends: Vec::new(),
            begins,
        }
    }

    /// When it does something next.
    pub fn next(&self) -> u64 {
        let ends = self.ends.iter().map(|(time, _)| *time);
        ends.fold(self.begins, u64::min)
    }

    /// What it does at its time.
    pub fn step(&mut self, stage: &Stage, acts: &mut Vec<Act>) {
        let now = self.next();
        self.ends.retain(|(time, act)| {
            let over = *time <= now;
            if over {
                acts.push(act.clone());
            }
            !over
        });
        if self.begins > now {
            return;
        }
        if let Some(change) = self.harm.deed.change(self.harm.strength) {
            self.begins = u64::MAX;
            return acts.push(Act::Set {
                ends: Ends::All,
                change,
            });
        }
        // Around so often as it says.
        self.begins = now + 1 + self.random.below(2 * self.harm.strength);
        let over = now + 1 + self.random.below(self.harm.lasts);
        let site = 1 + self.random.below(self.sites.into()) as u16;
        match self.harm.deed {
            Deed::Snatch => {
                let name = OF_MOVES[self.random.below(OF_MOVES.len() as u64) as usize];
                let kind = KIND_NAMES.iter().position(|known| *known == name);
                let fault = Fault {
                    kind: kind.map(|kind| kind as u8),
                    nth: 1 + self.random.below(2),
                    from: None,
                    to: None,
                    action: Action::Drop,
                };
                return acts.push(Act::Fault { fault });
            }
            Deed::Sever => return self.sever(stage, now, over, acts),
            _ => {}
        }
        let begun = match self.harm.deed {
            Deed::Partition => {
                let mut parts = vec![Vec::new(), Vec::new()];
                for site in 1..=self.sites {
                    parts[self.random.below(2) as usize].push(site);
                }
                if parts.iter().any(Vec::is_empty) || !self.ends.is_empty() {
                    return;
                }
                Some((Act::Partition { parts }, Act::Heal))
            }
            Deed::OneWay => {
                let other = site % self.sites + 1;
                let cut = |cut| Act::Set {
                    ends: Ends::OneWay(site, other),
                    change: Change {
                        cut: Some(cut),
                        ..Change::default()
                    },
                };
                (site != other).then(|| (cut(true), cut(false)))
            }
            Deed::Crash if stage.is_up(site) => Some((Act::Kill { site }, Act::Restart { site })),
            Deed::Pause if stage.acts(site) => Some((Act::Pause { site }, Act::Resume { site })),
            _ => None,
        };
        if let Some((begin, end)) = begun {
            acts.push(begin);
            self.ends.push((over, end));
        }
    }
}

impl Nemesis {
    /// A server moves, and something happens to one of its sites, or between them, in the first millisecond.
    fn sever(&mut self, stage: &Stage, now: u64, over: u64, acts: &mut Vec<Act>) {
        let mut site = || 1 + self.random.below(self.sites.into()) as u16;
        let (server, to) = (site(), site());
        let Some(from) = stage.place(server).filter(|from| *from != to) else {
            return;
        };
        if !stage.acts(from) || !stage.acts(to) || !self.ends.is_empty() {
            return;
        }
        acts.push(Act::Migrate {
            server,
            to,
            drop: false,
        });
        let at = now + self.random.below(MS);
        let cut = |cut| Act::Set {
            ends: Ends::Both(from, to),
            change: Change {
                cut: Some(cut),
                ..Change::default()
            },
        };
        let one = if self.random.happens(500) { from } else { to };
        let rest = (1..=self.sites).filter(|site| *site != one).collect();
        let (begin, end) = match self.random.below(4) {
            0 => (cut(true), cut(false)),
            1 => {
                let parts = vec![vec![one], rest];
                (Act::Partition { parts }, Act::Heal)
            }
            2 => (Act::Kill { site: one }, Act::Restart { site: one }),
            _ => (Act::Pause { site: one }, Act::Resume { site: one }),
        };
        self.ends.push((at, begin));
        self.ends.push((at + 1 + over.saturating_sub(now), end));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nemeses_have_their_names() {
        for harm in HARMS {
            assert_eq!(Harm::named(harm.name).unwrap().len(), 1);
        }
        assert_eq!(Harm::named("all").unwrap().len(), HARMS.len() - 1);
        assert!(Harm::named("none").unwrap().is_empty() && Harm::named("bad").is_none());
    }
}
