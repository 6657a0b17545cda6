//! Two sites, and between them what two Network Managers and a network without faults do with items: for tests of ports that move.

use super::invariants;
use super::nc_network::{hand, take};
use super::scene::Party;
use super::site::Site;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::net::*;
use chorus_abi::*;

/// The sites 1 and 2, by index, each with a Network Manager and two users.
pub struct Two {
    pub sites: [Site; 2],
    pub managers: [Party; 2],
    pub users: [[Party; 2]; 2],
    /// Who waits for the reply to a token: site and handle.
    clients: BTreeMap<u64, (usize, u64)>,
    tokens: u64,
}

/// The site with a number.
fn site(number: u16) -> (Site, Party, [Party; 2]) {
    let mut site = Site::new(4);
    site.nucleus.configuration.site = number;
    let manager = site.party(K_SYSTEMACTOR);
    assert_eq!(site.grants(manager, "nmAttach", &[5]), K_OK);
    let (item, _) = take(&mut site, manager).expect("a manager hears of the groups first");
    assert_eq!(item.kind, NET_GROUPS);
    let users = [(); 2].map(|()| site.party(K_USERACTOR));
    (site, manager, users)
}

impl Two {
    pub fn new() -> Two {
        let (one, first, here) = site(1);
        let (other, second, there) = site(2);
        Two {
            sites: [one, other],
            managers: [first, second],
            users: [here, there],
            clients: BTreeMap::new(),
            tokens: 100,
        }
    }

    /// What holds between any two calls.
    #[track_caller]
    pub fn check(&self) {
        self.sites
            .iter()
            .for_each(|site| invariants::check(&site.nucleus));
    }

    /// A user on a site begins to move its port to a user on the other site, and waits.
    #[track_caller]
    pub fn departs(&mut self, at: usize, user: usize, li: i32, options: i32) {
        let arguments = self.wish(at, user, li, options);
        let by = self.users[at][user];
        self.sites[at].waits(by, "portMigrate", &arguments);
        self.check();
    }

    /// The arguments of a move to the first user of the other site; where the count goes is the last.
    pub fn wish(&mut self, at: usize, user: usize, li: i32, options: i32) -> [u64; 5] {
        let other = 1 - at;
        let to = self.sites[other].cap(self.users[other][0].actor);
        let by = self.users[at][user];
        let to = self.sites[at].arg(by.actor, &to);
        let count = self.sites[at].arg(by.actor, &0xeeee_eeeeu32);
        [options as u64, 0, li as u64, to, count]
    }

    /// The next item of a site but those of groups.
    pub fn next(&mut self, at: usize) -> Option<(KnNetItem, Vec<u8>)> {
        loop {
            let next = take(&mut self.sites[at], self.managers[at]);
            self.check();
            match next {
                Some((item, _)) if item.kind == NET_GROUPS => {}
                next => return next,
            }
        }
    }

    /// Hands an item to a site's Nucleus.
    pub fn hand(&mut self, at: usize, name: &str, item: KnNetItem, body: &[u8]) -> i32 {
        let result = hand(&mut self.sites[at], self.managers[at], name, item, body);
        self.check();
        result
    }

    /// The same with what came out of the other one, as another kind and under another handle.
    pub fn deliver(
        &mut self,
        at: usize,
        kind: u32,
        handle: u64,
        item: &KnNetItem,
        body: &[u8],
    ) -> i32 {
        let item = KnNetItem {
            kind,
            handle,
            result: 0,
            ..*item
        };
        self.hand(at, "nmDeliver", item, body)
    }

    /// Says how what an item asked for ended.
    pub fn ends(&mut self, at: usize, item: &KnNetItem, result: i32) -> i32 {
        let item = KnNetItem {
            result,
            annex_size: 0,
            ..*item
        };
        self.hand(at, "nmComplete", item, b"")
    }

    /// What `nmQuery` tells.
    pub fn query(&mut self, at: usize, ui: KnUniqueId) -> i32 {
        let manager = self.managers[at];
        let ui = self.sites[at].arg(manager.actor, &ui);
        self.sites[at].grants(manager, "nmQuery", &[ui])
    }

    /// A message goes to the other site, or, if its port is not there, to where it came from.
    fn routed(&mut self, at: usize, kind: u32, token: u64, item: &KnNetItem, body: &[u8]) -> i32 {
        match self.deliver(1 - at, kind, token, item, body) {
            K_EUNKNOWN => self.deliver(at, kind, token, item, body),
            result => result,
        }
    }

    /// A request goes there under a new token.
    fn asks(&mut self, at: usize, client: (usize, u64), item: &KnNetItem, body: &[u8]) {
        self.tokens += 1;
        let token = self.tokens;
        match self.routed(at, NET_CALL, token, item, body) {
            K_OK => {
                self.clients.insert(token, client);
            }
            error => self.end_call(client, error, KnNetItem::default(), b""),
        }
    }

    fn end_call(&mut self, (at, handle): (usize, u64), result: i32, reply: KnNetItem, body: &[u8]) {
        let item = KnNetItem {
            kind: NET_REPLY,
            handle,
            result,
            ..reply
        };
        let ended = self.hand(at, "nmComplete", item, body);
        assert!(matches!(ended, K_OK | K_EUNKNOWN), "{ended}");
    }

    /// Carries one item of a site; whether there was one.
    #[track_caller]
    pub fn carry(&mut self, at: usize) -> bool {
        let other = 1 - at;
        let Some((item, body)) = self.next(at) else {
            return false;
        };
        match (item.kind, item.result) {
            (NET_SEND, _) => {
                self.routed(at, NET_SEND, 0, &item, &body);
            }
            (NET_CALL, _) => self.asks(at, (at, item.handle), &item, &body),
            (NET_REPLY, result) => {
                if let Some(client) = self.clients.remove(&item.handle) {
                    self.end_call(client, result, item, &body);
                }
            }
            (NET_CANCEL, _) => {
                let client = (at, item.handle);
                let token = self.clients.iter().find(|&(_, known)| *known == client);
                if let Some(token) = token.map(|(token, _)| *token) {
                    self.clients.remove(&token);
                    // Whichever site it is at; tokens are of both.
                    for at in 0..2 {
                        self.deliver(at, NET_CANCEL, token, &item, b"");
                    }
                }
            }
            (NET_MIGRATE, epoch) => {
                let epoch = epoch as u64 + 1;
                let li = self.deliver(other, NET_ARRIVE, epoch, &item, &body);
                if li >= 0 {
                    assert_eq!(self.deliver(other, NET_ACTIVATE, epoch, &item, b""), K_OK);
                }
                assert_eq!(self.ends(at, &item, li), K_OK);
            }
            (NET_PASS, PASS_SEND) => {
                self.routed(at, NET_SEND, 0, &item, &body);
                assert_eq!(self.ends(at, &item, 0), K_OK);
            }
            (NET_PASS, PASS_OWN) => {
                self.asks(at, (at, item.handle), &item, &body);
                assert_eq!(self.ends(at, &item, 0), K_OK);
            }
            (NET_PASS, PASS_OTHER) => {
                if let Some(client) = self.clients.remove(&item.handle) {
                    self.asks(at, client, &item, &body);
                }
                assert_eq!(self.ends(at, &item, 0), K_OK);
            }
            other => panic!("an item {other:?}"),
        }
        true
    }

    /// Carries everything.
    #[track_caller]
    pub fn settle(&mut self) {
        while self.carry(0) | self.carry(1) {}
    }

    /// The result of a call of a user that waited.
    pub fn result(&self, at: usize, user: usize) -> Option<i32> {
        self.sites[at].result(self.users[at][user].thread)
    }

    /// Ends both sites; nothing is left.
    #[track_caller]
    pub fn end(&mut self) {
        self.sites.iter_mut().for_each(Site::end);
    }
}
