//! What is done to a world: by clients and servers on its sites, and by whoever harms it. A list of acts with their times is a script, and makes a run again.

use super::random::Random;
use super::site::Plan;
use super::workload::group;
use super::world::{World, pattern};
use chorus_abi::{K_BROADMODE, K_DROPMSG, K_FUNCMODE, K_MIGRATEMSG, KnUniqueId, UiType};
use chorus_fabric::{Change, Fault};
use std::collections::HashMap;

/// Whom a call or a message is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// The server on a site.
    Site(u16),
    /// Some member of the group of all servers.
    Group,
    /// All members of it; messages only.
    All,
    /// A name of a site that nobody ever had.
    Nowhere(u16),
}

/// Which links.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ends {
    /// All of them.
    All,
    /// One, in both directions.
    Both(u16, u16),
    /// One direction.
    OneWay(u16, u16),
}

/// One thing that is done.
#[derive(Clone, PartialEq, Debug)]
pub enum Act {
    /// A client calls. `tag` names the call in this script.
    Call {
        /// Its name.
        tag: u32,
        /// The client's site.
        from: u16,
        /// Whom.
        to: Target,
        /// Bytes of the request.
        body: u32,
        /// What the server does.
        plan: Plan,
    },
    /// A client leaves while it waits.
    Leave {
        /// The call.
        tag: u32,
    },
    /// An asynchronous message.
    Send {
        /// The sender's site.
        from: u16,
        /// To whom.
        to: Target,
        /// Bytes of it.
        body: u32,
    },
    /// The server of a site goes, and another comes.
    Replace {
        /// The site.
        site: u16,
    },
    /// The server of a site moves from where it is to another site; its name in a script stays.
    Migrate {
        /// Whose server it was at first.
        server: u16,
        /// Where it is to go.
        to: u16,
        /// What waits at it is dropped.
        drop: bool,
    },
    /// A site loses its power.
    Kill {
        /// Its number.
        site: u16,
    },
    /// It is switched on, in a new incarnation, with a server.
    Restart {
        /// Its number.
        site: u16,
    },
    /// Its processors stop.
    Pause {
        /// Its number.
        site: u16,
    },
    /// They go on.
    Resume {
        /// Its number.
        site: u16,
    },
    /// Links change; what is not named stays.
    Set {
        /// Which.
        ends: Ends,
        /// To what.
        change: Change,
    },
    /// Nothing passes between sites of different parts.
    Partition {
        /// The parts; sites in none of them are one together.
        parts: Vec<Vec<u16>>,
    },
    /// The cluster is whole again.
    Heal,
    /// One frame meets something.
    Fault {
        /// Which, and what.
        fault: Fault,
    },
}

/// A world with a server on each site, to which acts are done.
pub struct Stage {
    /// The world.
    pub world: World,
    /// The server of each site, that of site 1 first.
    ports: Vec<KnUniqueId>,
    /// Which sites have power.
    up: Vec<bool>,
    /// Which do not stand still.
    runs: Vec<bool>,
    /// Servers are members of the group.
    groups: bool,
    calls: HashMap<u32, u32>,
    /// The name of each call that was made.
    tags: Vec<u32>,
}

/// Requests that a server's queue holds.
const QUEUE: usize = 64;

impl Stage {
    /// Servers on all sites of a world, each a member of the group if there is to be one.
    pub fn new(world: World, groups: bool) -> Stage {
        let sites = world.sites.len();
        let mut stage = Stage {
            world,
            ports: vec![KnUniqueId::NULL; sites],
            up: vec![true; sites],
            runs: vec![true; sites],
            groups,
            calls: HashMap::new(),
            tags: Vec::new(),
        };
        for site in 1..=sites as u16 {
            stage.serve(site);
        }
        stage
    }

    fn serve(&mut self, site: u16) {
        let port = self.world.open(site, QUEUE);
        if self.groups {
            self.world.join(site, group(), port);
        }
        self.ports[usize::from(site) - 1] = port;
    }

    /// The name in the script of a call, by its number in the world.
    pub fn tag(&self, call: u32) -> u32 {
        self.tags.get(call as usize).copied().unwrap_or(call)
    }

    /// Whether a site has power and runs.
    pub fn acts(&self, site: u16) -> bool {
        let at = usize::from(site).wrapping_sub(1);
        self.up.get(at) == Some(&true) && self.runs[at]
    }

    /// Where the server of a site is.
    pub fn place(&self, server: u16) -> Option<u16> {
        let port = self.ports.get(usize::from(server).wrapping_sub(1));
        self.world.place_of(*port?)
    }

    /// Whether a site has power.
    pub fn is_up(&self, site: u16) -> bool {
        self.up.get(usize::from(site).wrapping_sub(1)) == Some(&true)
    }

    fn target(&self, to: Target, name: u64) -> KnUniqueId {
        let mode = |mode| group().with_mode(mode).unwrap_or(group());
        match to {
            Target::Site(site) => {
                let port = self.ports.get(usize::from(site).wrapping_sub(1));
                port.copied().unwrap_or(KnUniqueId::NULL)
            }
            Target::Group => mode(K_FUNCMODE),
            Target::All => mode(K_BROADMODE),
            Target::Nowhere(site) => {
                let counter = 1 << 31 | Random::new(name).word() as u32;
                KnUniqueId::from_fields(site, UiType::Port, 9, counter)
            }
        }
    }

    /// Does one thing now. One that makes no sense as things are (a call from a site without power) is left out.
    pub fn act(&mut self, act: &Act) {
        match act {
            Act::Call {
                tag,
                from,
                to,
                body,
                plan,
            } => {
                if self.acts(*from) {
                    let target = self.target(*to, u64::from(*tag));
                    let body = pattern(u64::from(*tag), *body as usize);
                    let call = self.world.call(*from, target, &body, *plan);
                    self.calls.insert(*tag, call);
                    self.tags.push(*tag);
                }
            }
            Act::Leave { tag } => {
                if let Some(call) = self.calls.remove(tag)
                    && !self.world.is_paused(call)
                {
                    self.world.leave(call);
                }
            }
            Act::Send { from, to, body } => {
                if self.acts(*from) {
                    let number = u64::from(self.world.messages);
                    let target = self.target(*to, number);
                    let body = pattern(number ^ 0x5E4D, *body as usize);
                    self.world.send(*from, target, &body, number % 2 == 1);
                }
            }
            Act::Replace { site } => {
                if self.acts(*site) {
                    let old = self.ports[usize::from(*site) - 1];
                    // It may be elsewhere; one that is just leaving stays until it came.
                    let place = self.world.place_of(old);
                    if place.is_some_and(|place| self.world.is_leaving(place, old)) {
                        return;
                    }
                    self.serve(*site);
                    if let Some(place) = place.filter(|place| self.acts(*place)) {
                        self.world.close(place, old);
                    }
                }
            }
            Act::Migrate { server, to, drop } => {
                let port = self
                    .ports
                    .get(usize::from(*server).wrapping_sub(1))
                    .copied();
                let port = port.unwrap_or(KnUniqueId::NULL);
                if let Some(from) = self.world.place_of(port)
                    && self.acts(from)
                    && from != *to
                    && self.ports.len() >= usize::from(*to)
                {
                    let options = if *drop { K_DROPMSG } else { K_MIGRATEMSG };
                    self.world.migrate(from, port, *to, options);
                }
            }
            Act::Kill { site } => {
                if self.is_up(*site) {
                    self.up[usize::from(*site) - 1] = false;
                    self.runs[usize::from(*site) - 1] = true;
                    self.world.crash(*site);
                }
            }
            Act::Restart { site } => {
                if !self.is_up(*site) && self.ports.len() >= usize::from(*site) {
                    self.up[usize::from(*site) - 1] = true;
                    self.world.restart(*site);
                    // Servers that are nowhere any more, or on a site that will not come back, are made anew.
                    for server in 1..=self.ports.len() as u16 {
                        let port = self.ports[usize::from(server) - 1];
                        let gone = self.world.place_of(port).is_none();
                        if gone && (server == *site || self.acts(server)) {
                            self.serve(server);
                        }
                    }
                }
            }
            Act::Pause { site } => {
                if self.acts(*site) {
                    self.runs[usize::from(*site) - 1] = false;
                    self.world.pause(*site);
                }
            }
            Act::Resume { site } => {
                if self.is_up(*site) && !self.acts(*site) {
                    self.runs[usize::from(*site) - 1] = true;
                    self.world.resume(*site);
                }
            }
            Act::Set { ends, change } => match *ends {
                Ends::All => self.world.wire.rule(|rules| rules.change_all(change)),
                Ends::Both(a, b) => self.world.wire.change(a, b, change),
                Ends::OneWay(a, b) => self.world.wire.rule(|rules| rules.change(a, b, change)),
            },
            Act::Partition { parts } => self.world.split(parts),
            Act::Heal => self.world.wire.rule(|rules| rules.heal()),
            Act::Fault { fault } => self.world.script(*fault),
        }
    }

    /// Takes all harm back: links are without faults, all sites have power and run.
    pub fn mend(&mut self) {
        self.world.heal();
        self.world.set_faults(super::network::Faults::NONE);
        let mend = Change {
            burst: Some(chorus_fabric::Burst::NONE),
            corrupt: Some(chorus_fabric::Chance::NEVER),
            jitter: Some(chorus_fabric::Jitter::None),
            bandwidth: Some(0),
            ..Change::default()
        };
        self.world.wire.rule(|rules| rules.change_all(&mend));
        for site in 1..=self.ports.len() as u16 {
            self.act(&Act::Resume { site });
            self.act(&Act::Restart { site });
        }
    }
}
