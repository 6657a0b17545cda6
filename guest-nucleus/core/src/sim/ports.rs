//! Ports: what they carry over to another actor, what they leave behind, who may do it (NC-097…132).

use super::site::Site;
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::executive::thread::Thread;
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::*;
use proptest::prelude::*;

const FOREVER: u64 = u64::MAX;
/// Where in an actor's memory a test puts things.
const DEST: u64 = 0x100;
const MESSAGE: u64 = 0x200;
const LI: u64 = 0x300;
const UI: u64 = 0x340;
const NUMBER: u64 = 0x360;
const FROM: u64 = 0x380;
const TO: u64 = 0x3a0;
const HEAD: u64 = 0x400;
const BODY: u64 = 0x2000;

/// Two actors and a thread of each; the first actor is a user actor.
struct Pair {
    site: Site,
    actors: [Id<Actor>; 2],
    threads: [Id<Thread>; 2],
}

impl Pair {
    fn new(second: i32) -> Pair {
        let mut site = Site::new(4);
        let actors = [site.actor(K_USERACTOR, 140), site.actor(second, 140)];
        let threads = actors.map(|actor| site.thread(actor));
        Pair {
            site,
            actors,
            threads,
        }
    }

    fn call(&mut self, who: usize, name: &str, arguments: &[u64]) -> Option<i32> {
        self.site.call(self.threads[who], name, arguments)
    }

    /// The capability of an actor, in the memory of another.
    fn cap(&mut self, of: usize, who: usize, at: u64) -> u64 {
        let cap = self.site.nucleus.actors.get(self.actors[of]).unwrap().cap;
        self.site.put(self.actors[who], at, &cap)
    }

    /// A port of an actor: its LI and UI.
    fn port(&mut self, who: usize) -> (i32, KnUniqueId) {
        let at = self.site.at(self.actors[who], UI);
        let li = self.call(who, "portCreate", &[0, at]).unwrap();
        (li, self.site.get(self.actors[who], UI))
    }

    fn dest(&mut self, who: usize, target: KnUniqueId) -> u64 {
        let dest = KnIpcDest {
            target,
            co_target: KnUniqueId::NULL,
        };
        self.site.put(self.actors[who], DEST, &dest)
    }

    /// A descriptor with a body of four bytes.
    fn desc(&mut self, who: usize) -> u64 {
        let desc = KnMsgDesc {
            body_size: 4,
            body_addr: self.site.at(self.actors[who], BODY),
            ..KnMsgDesc::default()
        };
        self.site.put(self.actors[who], MESSAGE, &desc)
    }

    fn send_from(&mut self, who: usize, li: i32, target: KnUniqueId, number: u32) -> i32 {
        self.site.put(self.actors[who], BODY, &number);
        let (message, dest) = (self.desc(who), self.dest(who, target));
        self.call(who, "ipcSend", &[message, li as u64, dest])
            .unwrap()
    }

    fn send(&mut self, who: usize, target: KnUniqueId, number: u32) -> i32 {
        self.send_from(who, K_DEFAULTPORT, target, number)
    }

    /// A receive with a limit; `None`: it waits.
    fn receive(&mut self, who: usize, li: i32, delay: u64) -> Option<i32> {
        let message = self.desc(who);
        let li = self.site.put(self.actors[who], LI, &li);
        self.call(who, "ipcReceive", &[message, li, delay])
    }

    /// The number in the next message of a port; an error.
    fn take(&mut self, who: usize, li: i32) -> Result<u32, i32> {
        match self.receive(who, li, 0).unwrap() {
            4 => Ok(self.site.get(self.actors[who], BODY)),
            error => Err(error),
        }
    }

    /// A request of four bytes; it waits, unless it fails.
    /// `who` moves a port from one actor to another; LI there, or an error.
    fn migrate(&mut self, who: usize, options: i32, from: usize, li: i32, to: usize) -> i32 {
        let (from, to) = (self.cap(from, who, FROM), self.cap(to, who, TO));
        let number = self.site.at(self.actors[who], NUMBER);
        let arguments = [options as u64, from, li as u64, to, number];
        self.call(who, "portMigrate", &arguments).unwrap()
    }

    fn count(&mut self, who: usize) -> u32 {
        self.site.get(self.actors[who], NUMBER)
    }
}

#[test]
fn nc_116_and_119_and_123_a_port_moves_without_its_owner() {
    // A system actor takes a port of a user actor that does nothing.
    let mut pair = Pair::new(K_SYSTEMACTOR);
    let (li, ui) = pair.port(0);
    assert_eq!(pair.call(0, "portEnable", &[0, li as u64, 0]), Some(K_OK));
    let there = pair.migrate(1, K_MIGRATEMSG, 0, li, 1);
    assert!(there > 0);
    assert_eq!(pair.send(0, ui, 7), K_OK);
    assert_eq!(
        pair.take(1, K_ANYENABLED),
        Err(K_ETIMEOUT),
        "it is disabled"
    );
    assert_eq!(
        pair.take(0, li),
        Err(K_EINVAL),
        "the old actor has it no more"
    );
    assert_eq!(pair.take(1, there), Ok(7));
    let counts = pair
        .actors
        .map(|id| pair.site.nucleus.actors.get(id).unwrap().ports);
    assert_eq!(counts, [1, 2]);
    // And away with its new actor.
    assert_eq!(pair.call(1, "actorExit", &[0]), None);
    assert_eq!(pair.send(0, ui, 8), K_EUNKNOWN);
    pair.site.end();
}

#[test]
fn nc_117_what_is_queued_follows_in_order() {
    let mut pair = Pair::new(K_USERACTOR);
    let (li, ui) = pair.port(0);
    for number in 0..10 {
        assert_eq!(pair.send(0, ui, number), K_OK);
    }
    let there = pair.migrate(0, K_MIGRATEMSG, 0, li, 1);
    assert_eq!(pair.send(0, ui, 10), K_OK);
    for number in 0..11 {
        assert_eq!(pair.take(1, there), Ok(number));
    }
    pair.site.end();
}

#[test]
fn nc_118_what_is_queued_is_dropped_and_its_clients_fail() {
    let mut pair = Pair::new(K_SYSTEMACTOR);
    let (li, ui) = pair.port(0);
    let client = pair.site.thread(pair.actors[0]);
    assert_eq!(pair.send(0, ui, 1), K_OK);
    let (message, dest) = (pair.desc(0), pair.dest(0, ui));
    let asked = pair
        .site
        .call(client, "ipcCall", &[message, 0, dest, message, FOREVER]);
    assert_eq!(asked, None);
    let there = pair.migrate(1, K_DROPMSG, 0, li, 1);
    assert_eq!(pair.site.result(client), Some(K_ENOPORT));
    assert_eq!(pair.take(1, there), Err(K_ETIMEOUT));
    assert_eq!(pair.send(0, ui, 2), K_OK);
    assert_eq!(pair.take(1, there), Ok(2));
    pair.site.end();
}

#[test]
fn nc_120_memberships_stay() {
    let mut pair = Pair::new(K_USERACTOR);
    let (li, ui) = pair.port(0);
    let (cap, port) = (
        pair.site.at(pair.actors[0], FROM),
        pair.site.at(pair.actors[0], UI),
    );
    assert_eq!(pair.call(0, "grpAllocate", &[0, cap, 0]), Some(K_OK));
    let group: KnCap = pair.site.get(pair.actors[0], FROM);
    assert_eq!(pair.call(0, "grpPortInsert", &[cap, port]), Some(K_OK));
    let there = pair.migrate(0, K_MIGRATEMSG, 0, li, 1);
    assert_eq!(pair.send(0, group.ui, 5), K_OK);
    assert_eq!(pair.take(1, there), Ok(5));
    assert_ne!(ui, KnUniqueId::NULL);
    pair.site.end();
}

#[test]
fn nc_121_waiters_leave_and_those_for_any_port_stay() {
    let mut pair = Pair::new(K_SYSTEMACTOR);
    let (li, ui) = pair.port(0);
    let any = pair.site.thread(pair.actors[0]);
    let message = pair.desc(0);
    assert_eq!(pair.call(0, "portEnable", &[0, li as u64, 0]), Some(K_OK));
    let at = pair.site.put(pair.actors[0], LI + 8, &K_ANYENABLED);
    let waits = pair.site.call(any, "ipcReceive", &[message, at, FOREVER]);
    assert_eq!(waits, None);
    assert_eq!(pair.receive(0, li, FOREVER), None);
    let there = pair.migrate(1, K_MIGRATEMSG, 0, li, 1);
    assert_eq!(pair.site.result(pair.threads[0]), Some(K_ENOPORT));
    assert_eq!(pair.site.result(any), None);
    assert_eq!(pair.send(0, ui, 1), K_OK);
    assert_eq!(pair.site.result(any), None, "it is no port of the actor");
    assert_eq!(pair.take(1, there), Ok(1));
    pair.site.end();
}

#[test]
fn nc_122_the_count_is_told_and_begins_again() {
    let mut pair = Pair::new(K_USERACTOR);
    let (li, ui) = pair.port(0);
    for number in 0..5 {
        assert_eq!(pair.send(0, ui, number), K_OK);
        assert_eq!(pair.take(0, li), Ok(number));
    }
    let there = pair.migrate(0, K_MIGRATEMSG, 0, li, 1);
    assert_eq!(pair.count(0), 6);
    let at = pair.site.at(pair.actors[1], NUMBER);
    let asked = pair.call(1, "portGetSeqNum", &[0, there as u64, at]);
    assert_eq!((asked, pair.count(1)), (Some(K_OK), 0));
    pair.site.end();
}

#[test]
fn nc_125_static_ports_and_default_ports_stay_where_they_are() {
    let mut pair = Pair::new(K_SYSTEMACTOR);
    let ui = KnUniqueId::well_known_port(1, 100);
    let at = pair.site.put(pair.actors[1], UI, &ui);
    let li = pair.call(1, "portDeclare", &[0, at]).unwrap();
    assert!(li > 0);
    assert_eq!(pair.migrate(1, K_MIGRATEMSG, 1, li, 0), K_EINVAL);
    assert_eq!(pair.migrate(1, K_MIGRATEMSG, 1, K_DEFAULTPORT, 0), K_EINVAL);
    pair.site.end();
}

#[test]
fn a_migration_that_is_refused_changes_nothing() {
    let mut pair = Pair::new(K_SYSTEMACTOR);
    let (li, ui) = pair.port(0);
    assert_eq!(pair.send(0, ui, 1), K_OK);
    pair.site.put(pair.actors[0], NUMBER, &77u32);
    assert_eq!(pair.migrate(0, 2, 0, li, 0), K_EINVAL, "no such option");
    assert_eq!(pair.migrate(0, K_DROPMSG, 0, li + 1, 0), K_EINVAL);
    assert_eq!(pair.migrate(0, K_DROPMSG, 0, K_ANYENABLED, 0), K_EINVAL);
    assert_eq!(pair.migrate(0, K_DROPMSG, 0, li, 1), K_EPRIV);
    let [own, other] = [pair.cap(0, 0, FROM), pair.cap(1, 0, TO)];
    let mut wrong: KnCap = pair.site.get(pair.actors[0], TO);
    let number = pair.site.at(pair.actors[0], NUMBER);
    let li = li as u64;
    let refused = |pair: &mut Pair, from, to, number| {
        pair.call(0, "portMigrate", &[K_DROPMSG as u64, from, li, to, number])
    };
    assert_eq!(refused(&mut pair, own, own, 0x10), Some(K_EFAULT));
    assert_eq!(refused(&mut pair, own, 0x10, number), Some(K_EFAULT));
    wrong.key ^= 1 << 63;
    pair.site.put(pair.actors[0], TO, &wrong);
    assert_eq!(refused(&mut pair, own, other, number), Some(K_EINVAL));
    wrong.ui = KnUniqueId::from_fields(9, UiType::Port, 1, 1);
    pair.site.put(pair.actors[0], TO, &wrong);
    assert_eq!(refused(&mut pair, own, other, number), Some(K_EUNKNOWN));
    assert_eq!(refused(&mut pair, other, own, number), Some(K_EUNKNOWN));
    assert_eq!(pair.count(0), 77, "nothing was written");
    assert_eq!(pair.take(0, li as i32), Ok(1), "nothing was dropped");
    pair.site.end();
}

#[test]
fn nc_192_a_queued_request_is_answered_by_the_new_actor_and_a_held_one_by_its_holder() {
    let mut pair = Pair::new(K_SYSTEMACTOR);
    let (li, ui) = pair.port(1);
    let clients = [0, 1].map(|_| pair.site.thread(pair.actors[0]));
    for client in clients {
        let (message, dest) = (pair.desc(0), pair.dest(0, ui));
        let asked = pair
            .site
            .call(client, "ipcCall", &[message, 0, dest, message, FOREVER]);
        assert_eq!(asked, None);
    }
    assert_eq!(pair.receive(1, li, 0), Some(4));
    let there = pair.migrate(1, K_MIGRATEMSG, 1, li, 0);
    let answer = pair.desc(1);
    assert_eq!(pair.call(1, "ipcReply", &[answer]), Some(K_OK));
    assert_eq!(pair.site.result(clients[0]), Some(4));
    assert_eq!(pair.site.result(clients[1]), None);
    assert_eq!(pair.receive(0, there, 0), Some(4));
    let answer = pair.desc(0);
    assert_eq!(pair.call(0, "ipcReply", &[answer]), Some(K_OK));
    assert_eq!(pair.site.result(clients[1]), Some(4));
    pair.site.end();
}

#[test]
fn nc_099_and_131_and_132_a_port_s_pi_is_its_creator_s_until_a_trusted_actor_sets_it() {
    let mut pair = Pair::new(K_SYSTEMACTOR);
    let id = pair.actors[1];
    let made = KnProtId {
        uid: 5,
        gid: 6,
        did: 7,
        pad: 0,
    };
    pair.site.nucleus.actors.get_mut(id).unwrap().pi = made;
    let (_, ui) = pair.port(0);
    // The system actor makes a port of the other: the PI is the maker's.
    let (cap, at) = (pair.cap(0, 1, FROM), pair.site.at(pair.actors[1], UI));
    let li = pair.call(1, "portCreate", &[cap, at]).unwrap();
    let [old, new] = [0x600, 0x620].map(|offset| pair.site.at(pair.actors[1], offset));
    let read = pair.call(1, "portPi", &[cap, li as u64, old, 0]);
    assert_eq!(read, Some(K_OK));
    assert_eq!(pair.site.get::<KnProtId>(pair.actors[1], 0x600), made);
    // Messages are stamped when they are sent.
    assert_eq!(pair.send_from(0, li, ui, 1), K_OK);
    let wanted = KnProtId {
        uid: 1,
        gid: 2,
        did: 3,
        pad: 9,
    };
    pair.site.put(pair.actors[1], 0x620, &wanted);
    let set = pair.call(1, "portPi", &[cap, li as u64, old, new]);
    assert_eq!(set, Some(K_OK));
    assert_eq!(pair.site.get::<KnProtId>(pair.actors[1], 0x600), made);
    assert_eq!(pair.send_from(0, li, ui, 2), K_OK);
    let head = pair.site.at(pair.actors[0], HEAD);
    let own = pair.site.put(pair.actors[0], UI, &ui);
    let source = pair.call(0, "portLi", &[own]).unwrap();
    for stamp in [made, KnProtId { pad: 0, ..wanted }] {
        assert!(pair.take(0, source).is_ok());
        assert_eq!(pair.call(0, "ipcSysInfo", &[head]), Some(K_OK));
        let head: KnMsgHead = pair.site.get(pair.actors[0], HEAD);
        assert_eq!(head.port_id, stamp);
    }
    // A user actor neither sets nor reads.
    let own = pair.site.put(pair.actors[0], 0x620, &wanted);
    for arguments in [[0, li as u64, 0, own], [0, li as u64, own, 0]] {
        assert_eq!(pair.call(0, "portPi", &arguments), Some(K_EPRIV));
    }
    assert_eq!(
        pair.call(1, "portPi", &[cap, 12345, old, 0]),
        Some(K_EINVAL)
    );
    assert_eq!(
        pair.call(1, "portPi", &[cap, li as u64, 0x10, 0]),
        Some(K_EFAULT)
    );
    assert_eq!(
        pair.call(1, "portPi", &[cap, li as u64, 0, 0x10]),
        Some(K_EFAULT)
    );
    assert_eq!(
        pair.call(1, "portPi", &[cap, K_DEFAULTPORT as u64, old, new]),
        Some(K_OK)
    );
    pair.site.end();
}

proptest! {
    /// Ports of two actors against a model: a queue and an owner each. Nothing is lost, doubled or given to the wrong actor (NC-126).
    #[test]
    fn nc_126_ports_are_queues_with_an_owner(steps in proptest::collection::vec((0usize..5, 0usize..3, any::<bool>()), 0..120)) {
        let mut pair = Pair::new(K_USERACTOR);
        let mut ports: Vec<(KnUniqueId, usize, i32, Vec<u32>, u32)> = Vec::new();
        for who in [0, 1, 0] {
            let (li, ui) = pair.port(who);
            ports.push((ui, who, li, Vec::new(), 0));
        }
        for (index, (step, which, flag)) in steps.into_iter().enumerate() {
            let number = index as u32;
            let (ui, owner, li, queue, count) = &mut ports[which];
            match step {
                0 | 1 => {
                    let full = queue.len() >= K_CPORTQUEUE;
                    prop_assert_eq!(pair.send(usize::from(flag), *ui, number), if full { K_EFULL } else { K_OK });
                    if !full {
                        queue.push(number);
                    }
                }
                2 | 3 => {
                    let taken = pair.take(*owner, *li);
                    let expected = if queue.is_empty() { Err(K_ETIMEOUT) } else { Ok(queue.remove(0)) };
                    prop_assert_eq!(taken, expected);
                    *count += u32::from(expected.is_ok());
                    prop_assert_eq!(pair.take(1 - *owner, *li), Err(K_EINVAL));
                }
                _ => {
                    let options = if flag { K_DROPMSG } else { K_MIGRATEMSG };
                    let there = pair.migrate(usize::from(flag), options, *owner, *li, 1 - *owner);
                    prop_assert!(there > 0);
                    prop_assert_eq!(pair.count(usize::from(flag)), *count + 1);
                    (*owner, *li, *count) = (1 - *owner, there, 0);
                    if flag {
                        queue.clear();
                    }
                }
            }
        }
        pair.site.end();
        let (free, total) = crate::machine::Machine::frames(&pair.site.nucleus.machine);
        prop_assert_eq!(free, total);
    }
}
