//! Groups: capabilities, membership, the addressing modes on one site (NC-133…163).

use super::site::Site;
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::executive::thread::Thread;
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::*;
use proptest::prelude::*;

const CAP: u64 = 0x100;
const UI: u64 = 0x140;
const MESSAGE: u64 = 0x200;
const DEST: u64 = 0x240;

/// An actor with a thread.
struct Alone {
    site: Site,
    actor: Id<Actor>,
    thread: Id<Thread>,
}

impl Alone {
    fn new(kind: i32) -> Alone {
        let mut site = Site::new(1);
        let actor = site.actor(kind, 140);
        let thread = site.thread(actor);
        Alone {
            site,
            actor,
            thread,
        }
    }

    fn call(&mut self, name: &str, arguments: &[u64]) -> i32 {
        self.site.call(self.thread, name, arguments).unwrap()
    }

    fn allocate(&mut self, options: i32, stamp: u32) -> Result<KnCap, i32> {
        let at = self.site.at(self.actor, CAP);
        match self.call("grpAllocate", &[options as u64, at, u64::from(stamp)]) {
            K_OK => Ok(self.site.get(self.actor, CAP)),
            error => Err(error),
        }
    }

    fn port(&mut self) -> (i32, KnUniqueId) {
        let at = self.site.at(self.actor, UI);
        let li = self.call("portCreate", &[0, at]);
        (li, self.site.get(self.actor, UI))
    }

    fn change(&mut self, name: &str, group: KnCap, port: KnUniqueId) -> i32 {
        let group = self.site.put(self.actor, CAP, &group);
        let port = self.site.put(self.actor, UI, &port);
        self.call(name, &[group, port])
    }

    fn join(&mut self, group: KnCap, port: KnUniqueId) -> i32 {
        self.change("grpPortInsert", group, port)
    }

    fn leave(&mut self, group: KnCap, port: KnUniqueId) -> i32 {
        self.change("grpPortRemove", group, port)
    }

    fn send(&mut self, target: KnUniqueId, co_target: KnUniqueId) -> i32 {
        let message = self.site.put(self.actor, MESSAGE, &KnMsgDesc::default());
        let dest = self
            .site
            .put(self.actor, DEST, &KnIpcDest { target, co_target });
        self.call("ipcSend", &[message, 0, dest])
    }

    /// Takes all messages of a port; how many.
    fn drain(&mut self, li: i32) -> usize {
        let mut count = 0;
        loop {
            let message = self.site.put(self.actor, MESSAGE, &KnMsgDesc::default());
            let li = self.site.put(self.actor, DEST, &li);
            match self.call("ipcReceive", &[message, li, 0]) {
                K_ETIMEOUT => return count,
                size => assert_eq!(size, 0),
            }
            count += 1;
        }
    }
}

const NONE: KnUniqueId = KnUniqueId::NULL;

#[test]
fn nc_135_the_key_of_a_well_known_group_is_the_cluster_s() {
    let key = |site_number, secret| {
        let mut alone = Alone::new(K_USERACTOR);
        alone.site.nucleus.configuration.site = site_number;
        alone.site.nucleus.configuration.secret = secret;
        alone.allocate(K_STATUSER, 7).unwrap()
    };
    assert_eq!(key(1, (1, 2)), key(2, (1, 2)));
    assert_ne!(key(1, (1, 2)).key, key(1, (1, 3)).key);
    assert_ne!(key(1, (1, 2)).key, key(1, (2, 2)).key);
}

/// Nothing slows who goes on guessing: half of all keys would take 290,000 years at a million guesses a second.
#[test]
fn ss_080_a_million_guessed_keys_are_all_refused() {
    let mut user = Alone::new(K_USERACTOR);
    let group = user.allocate(K_STATUSER, 7).unwrap();
    let (_, port) = user.port();
    let mut guess = 1u64;
    for _ in 0..1_000_000 {
        guess = guess
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        let wrong = KnCap {
            key: guess,
            ..group
        };
        assert_eq!(user.join(wrong, port), K_EINVAL);
    }
    assert_eq!(user.join(group, port), K_OK);
}
proptest! {
    /// Memberships against a model: sets of ports. A multicast reaches each member once, and nobody else.
    #[test]
    fn groups_are_sets_of_ports(steps in proptest::collection::vec((0usize..4, 0usize..2, 0usize..4), 0..80)) {
        let mut alone = Alone::new(K_USERACTOR);
        let groups = [0; 2].map(|_| alone.allocate(K_DYNAMIC, 0).unwrap());
        let mut ports: Vec<(i32, KnUniqueId)> = (0..4).map(|_| alone.port()).collect();
        let mut model = [[false; 4]; 2];
        for (step, group, port) in steps {
            let (cap, (li, ui)) = (groups[group], ports[port]);
            match step {
                0 => {
                    prop_assert_eq!(alone.join(cap, ui), K_OK);
                    model[group][port] = true;
                }
                1 => {
                    let member = core::mem::take(&mut model[group][port]);
                    prop_assert_eq!(alone.leave(cap, ui), if member { K_OK } else { K_EINVAL });
                }
                2 => {
                    prop_assert_eq!(alone.call("portDelete", &[0, li as u64]), K_OK);
                    prop_assert_eq!(alone.join(cap, ui), K_EUNKNOWN);
                    ports[port] = alone.port();
                    model.iter_mut().for_each(|members| members[port] = false);
                }
                _ => {
                    prop_assert_eq!(alone.send(cap.ui, NONE), K_OK);
                    for (port, &(li, _)) in ports.iter().enumerate() {
                        prop_assert_eq!(alone.drain(li), usize::from(model[group][port]));
                    }
                }
            }
        }
        alone.site.end();
    }
}
