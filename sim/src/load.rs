//! Workloads: what clients on the sites do, as data. Several are combined by taking of each the most.

use super::act::{Act, Stage, Target};
use super::random::Random;
use super::site::Plan;
use super::world::{MS, SEC};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A workload. Rates are in thousandths of what clients do.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Its name.
    pub name: &'static str,
    /// What it is, for people.
    pub about: &'static str,
    /// Calls that wait at once, for each site.
    pub concurrent: u64,
    /// Requests and replies of up to 64 KiB, each.
    pub big: u64,
    /// Servers that take up to three seconds.
    pub slow: u64,
    /// Clients that leave within 20 ms.
    pub leave: u64,
    /// Calls to a group in functional mode.
    pub group: u64,
    /// Calls to names that nobody has.
    pub nowhere: u64,
    /// Messages instead of calls.
    pub send: u64,
    /// Messages to all members of a group instead of calls.
    pub all: u64,
    /// Servers that are replaced.
    pub replace: u64,
    /// Servers that move to another site; a tenth of them without what waits at them.
    pub migrate: u64,
    /// Clients come to think of calls once in this time at most, in nanoseconds.
    pub gap: u64,
    /// Everybody calls the server of site 1.
    pub one_server: bool,
}

/// Clients that call servers on other sites, with little.
const CALLS: Load = Load {
    name: "calls",
    about: "small calls to the servers of all other sites",
    concurrent: 4,
    big: 0,
    slow: 0,
    leave: 0,
    group: 0,
    nowhere: 0,
    send: 0,
    all: 0,
    replace: 0,
    migrate: 0,
    gap: MS / 5,
    one_server: false,
};

/// All workloads.
pub const LOADS: [Load; 10] = [
    CALLS,
    Load {
        name: "server",
        about: "all sites call the server of site 1",
        one_server: true,
        ..CALLS
    },
    Load {
        name: "groups",
        about: "half of the calls go to a group in functional mode, and servers are replaced",
        group: 500,
        replace: 3,
        ..CALLS
    },
    Load {
        name: "bulk",
        about: "bodies of up to 64 KiB both ways",
        big: 1000,
        concurrent: 2,
        ..CALLS
    },
    Load {
        name: "slow",
        about: "one server of a hundred takes up to three seconds",
        slow: 10,
        concurrent: 8,
        ..CALLS
    },
    Load {
        name: "leave",
        about: "a tenth of the clients leave while they wait",
        leave: 100,
        ..CALLS
    },
    Load {
        name: "messages",
        about: "asynchronous messages to ports and to all members of a group",
        send: 600,
        all: 100,
        ..CALLS
    },
    Load {
        name: "nowhere",
        about: "one call of a hundred is to a name that nobody has",
        nowhere: 10,
        ..CALLS
    },
    Load {
        name: "migrate",
        about: "servers move from site to site; half of the calls go to a group, some are messages",
        migrate: 30,
        group: 300,
        send: 100,
        all: 10,
        replace: 1,
        leave: 20,
        ..CALLS
    },
    Load {
        name: "mixed",
        about: "something of everything",
        big: 20,
        slow: 3,
        leave: 20,
        group: 200,
        nowhere: 2,
        send: 50,
        all: 5,
        replace: 3,
        concurrent: 6,
        ..CALLS
    },
];

impl Load {
    /// The workload of these names together. Errors: the name that there is none of.
    pub fn named<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<Load, String> {
        let mut all: Option<Load> = None;
        for name in names {
            let mut loads = LOADS.iter();
            let load = loads.find(|load| load.name == name);
            let load = *load.ok_or_else(|| name.to_owned())?;
            all = Some(all.map_or(load, |all| all.and(&load)));
        }
        Ok(all.unwrap_or(CALLS))
    }

    /// Whether it needs a group of all servers.
    pub fn uses_group(&self) -> bool {
        self.group > 0 || self.all > 0
    }

    fn and(self, other: &Load) -> Load {
        Load {
            concurrent: self.concurrent.max(other.concurrent),
            big: self.big.max(other.big),
            slow: self.slow.max(other.slow),
            leave: self.leave.max(other.leave),
            group: self.group.max(other.group),
            nowhere: self.nowhere.max(other.nowhere),
            send: self.send.max(other.send),
            all: self.all.max(other.all),
            replace: self.replace.max(other.replace),
            migrate: self.migrate.max(other.migrate),
            gap: self.gap.min(other.gap),
            one_server: self.one_server || other.one_server,
            ..self
        }
    }
}

/// Clients at work.
pub struct Clients {
    load: Load,
    random: Random,
    sites: u16,
    tags: u32,
    leaving: BinaryHeap<Reverse<(u64, u32)>>,
    /// When they do something next.
    pub next: u64,
}

impl Clients {
    /// Clients on so many sites.
    pub fn new(load: Load, seed: u64, sites: u16, now: u64) -> Clients {
        Clients {
            load,
            random: Random::new(seed ^ 0x10AD),
            sites,
            tags: 0,
            leaving: BinaryHeap::new(),
            next: now,
        }
    }

    /// What they do at their time; [`Clients::next`] is the time after it.
    pub fn step(&mut self, stage: &Stage, acts: &mut Vec<Act>) {
        let now = self.next;
        while let Some(&Reverse((time, tag))) = self.leaving.peek() {
            if time > now {
                break;
            }
            self.leaving.pop();
            acts.push(Act::Leave { tag });
        }
        let most = (self.load.concurrent * u64::from(self.sites)).min(2048) as usize;
        let room = most.saturating_sub(stage.world.waiting);
        for _ in 0..room {
            self.one(stage, now, acts);
        }
        self.next = now + 1 + self.random.below(self.load.gap);
    }

    fn site(&mut self) -> u16 {
        1 + self.random.below(self.sites.into()) as u16
    }

    fn length(&mut self) -> u32 {
        let most = match self.random.happens(self.load.big) {
            true => 65_537,
            false => 200,
        };
        self.random.below(most) as u32
    }

    fn one(&mut self, stage: &Stage, now: u64, acts: &mut Vec<Act>) {
        if self.random.happens(self.load.replace) {
            let site = self.site();
            return acts.push(Act::Replace { site });
        }
        if self.random.happens(self.load.migrate) {
            let (server, to) = (self.site(), self.site());
            let drop = self.random.happens(100);
            return acts.push(Act::Migrate { server, to, drop });
        }
        let from = self.site();
        if !stage.acts(from) {
            return;
        }
        let mut to = match self.load.one_server {
            true => 1,
            false => self.site(),
        };
        if to == from {
            to = from % self.sites + 1;
        }
        let body = self.length();
        if self.random.happens(self.load.all) {
            let to = Target::All;
            return acts.push(Act::Send { from, to, body });
        }
        if self.random.happens(self.load.send) {
            let to = Target::Site(to);
            return acts.push(Act::Send { from, to, body });
        }
        let to = if self.random.happens(self.load.nowhere) {
            Target::Nowhere(to)
        } else if self.random.happens(self.load.group) {
            Target::Group
        } else {
            Target::Site(to)
        };
        let longest = match self.random.happens(self.load.slow) {
            true => 3 * SEC,
            false => MS / 5,
        };
        let plan = Plan {
            queue: self.random.below(MS / 10),
            service: self.random.below(longest),
            reply: self.length() as usize,
            annex: self.random.happens(500),
            result: 0,
        };
        self.tags += 1;
        let tag = self.tags;
        if self.random.happens(self.load.leave) {
            let time = now + self.random.below(20 * MS);
            self.leaving.push(Reverse((time, tag)));
        }
        acts.push(Act::Call {
            tag,
            from,
            to,
            body,
            plan,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workloads_have_their_names_and_add_up() {
        let both = Load::named(["bulk", "leave"]).unwrap();
        assert_eq!((both.big, both.leave, both.concurrent), (1000, 100, 4));
        assert_eq!(Load::named(["bulk", "boat"]).unwrap_err(), "boat");
        let mut names: Vec<&str> = LOADS.iter().map(|load| load.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), LOADS.len());
    }
}
