//! A site with a mapper that the test plays, and two actors that use its segments.

use super::site::Site;
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::executive::thread::Thread;
use crate::machine::Machine;
use crate::memory::Fault;
use chorus_abi::error::*;
use chorus_abi::*;
use zerocopy::IntoBytes;

/// Where regions of the tests lie.
pub(super) const BASE: u64 = 0x100_0000;
pub(super) const PAGE: u64 = PAGE_SIZE;
/// Where the mapper's messages lie in its memory.
pub(super) const BODY: u64 = 0x4000;

/// A mapper, and two actors that use its segments.
pub(super) struct Lab {
    pub(super) site: Site,
    pub(super) mapper: Id<Actor>,
    pub(super) serves: Id<Thread>,
    pub(super) users: [Id<Actor>; 2],
    pub(super) threads: [Id<Thread>; 2],
    pub(super) cap: KnCap,
}

impl Lab {
    pub(super) fn new() -> Lab {
        Lab::on(Site::new(4))
    }

    /// The same on a site of the test's.
    pub(super) fn on(mut site: Site) -> Lab {
        let mapper = site.actor(K_SYSTEMACTOR, 140);
        let serves = site.thread(mapper);
        let users = [K_USERACTOR, K_SYSTEMACTOR].map(|kind| site.actor(kind, 140));
        let threads = users.map(|actor| site.thread(actor));
        let ui = site.nucleus.actors.get(mapper).unwrap().cap.ui;
        let cap = KnCap { ui, key: 77 };
        let mut lab = Lab {
            site,
            mapper,
            serves,
            users,
            threads,
            cap,
        };
        for actor in [mapper, users[0], users[1]] {
            for page in 0..16 {
                lab.site.put(actor, page * PAGE, &0u64);
            }
        }
        lab
    }

    /// The next request that the mapper gets, and the beginning of its body.
    pub(super) fn request(&mut self) -> Option<(KnMpRequest, u64)> {
        let desc = KnMsgDesc {
            body_size: 4 * PAGE as u32,
            body_addr: self.site.at(self.mapper, BODY),
            annex_addr: self.site.at(self.mapper, 0x100),
            ..KnMsgDesc::default()
        };
        let desc = self.site.put(self.mapper, 0x200, &desc);
        let port = self.site.put(self.mapper, 0x300, &K_DEFAULTPORT);
        let got = self
            .site
            .call(self.serves, "ipcReceive", &[desc, port, 0])
            .unwrap();
        if got == K_ETIMEOUT {
            return None;
        }
        assert!(got >= 0, "{got}");
        let request = self.site.get(self.mapper, 0x100);
        Some((request, self.site.get(self.mapper, BODY)))
    }

    pub(super) fn expect(&mut self, service: i32) -> (KnMpRequest, u64) {
        let (request, body) = self.request().expect("no request");
        assert_eq!((request.service, request.seg_key), (service, 77));
        (request, body)
    }

    /// Answers the request that was received last: each page of the body begins with one of these words.
    pub(super) fn answer(&mut self, reply: KnMpReply, words: &[u64]) {
        for (page, word) in words.iter().enumerate() {
            let mut bytes = [0xee; PAGE_SIZE as usize];
            bytes[..8].copy_from_slice(&word.to_le_bytes());
            self.site
                .put(self.mapper, BODY + page as u64 * PAGE, &bytes);
        }
        self.site.put(self.mapper, 0x100, &reply);
        let desc = KnMsgDesc {
            body_size: (words.len() as u64 * PAGE) as u32,
            body_addr: self.site.at(self.mapper, BODY),
            annex_addr: self.site.at(self.mapper, 0x100),
            ..KnMsgDesc::default()
        };
        let desc = self.site.put(self.mapper, 0x200, &desc);
        assert_eq!(self.site.call(self.serves, "ipcReply", &[desc]), Some(K_OK));
        self.site.settle();
    }

    /// Answers a pull-in with one page, with as much access as was asked for.
    pub(super) fn give(&mut self, word: u64) -> u64 {
        let (request, _) = self.expect(KN_MPPULLIN);
        let reply = KnMpReply {
            access: request.access,
            offset: request.offset,
            size: PAGE,
            ..KnMpReply::default()
        };
        self.answer(reply, &[word]);
        request.offset
    }

    pub(super) fn part(&mut self, user: usize, offset: u64, size: u64) -> u64 {
        let part = KnObjDesc {
            data_object: self.cap,
            start_offset: offset,
            size,
        };
        self.site.put(self.users[user], 0x400, &part)
    }

    pub(super) fn region(&mut self, user: usize, start: u64, pages: u64, options: u32) -> u64 {
        let desc = KnRgnDesc {
            start_addr: start,
            size: pages * PAGE,
            options,
            ..KnRgnDesc::default()
        };
        self.site.put(self.users[user], 0x500, &desc)
    }

    pub(super) fn map(&mut self, user: usize, start: u64, pages: u64, offset: u64) -> i32 {
        let arguments = [
            0,
            self.region(user, start, pages, K_WRITABLE),
            self.part(user, offset, 0),
        ];
        self.call(user, "rgnMap", &arguments).unwrap()
    }

    pub(super) fn call(&mut self, user: usize, name: &str, arguments: &[u64]) -> Option<i32> {
        self.site.call(self.threads[user], name, arguments)
    }

    pub(super) fn free(&mut self, user: usize, start: u64, pages: u64) -> i32 {
        let region = self.region(user, start, pages, 0);
        self.call(user, "rgnFree", &[0, region]).unwrap()
    }

    /// An access of a user's thread.
    pub(super) fn touch(&mut self, user: usize, address: u64, write: bool) -> Fault {
        let cpu = self.site.cpu_of(self.threads[user]).expect("it runs");
        if self.site.nucleus.first_touch(cpu, address) {
            return Fault::Resolved;
        }
        let fault = self.site.nucleus.fault(cpu, address, write, false, true);
        self.site.settle();
        fault
    }

    /// A load that must not wait.
    pub(super) fn load(&mut self, user: usize, address: u64) -> u64 {
        let (actor, mut bytes) = (self.users[user], [0; 8]);
        let space = self.site.nucleus.actors.get(actor).unwrap().space;
        let nucleus = &mut self.site.nucleus;
        nucleus
            .read_bytes(actor, space, address, &mut bytes)
            .unwrap();
        u64::from_le_bytes(bytes)
    }

    /// A store that must not wait.
    pub(super) fn store(&mut self, user: usize, address: u64, value: u64) {
        let actor = self.users[user];
        let space = self.site.nucleus.actors.get(actor).unwrap().space;
        let nucleus = &mut self.site.nucleus;
        nucleus
            .write_bytes(actor, space, address, value.as_bytes())
            .unwrap();
    }

    pub(super) fn finish(mut self) {
        self.site.nucleus.check_memory();
        self.site.end();
        let (free, total) = self.site.nucleus.machine.frames();
        assert_eq!(free, total, "frames are lost");
        assert_eq!(self.site.nucleus.memory_objects(), (0, 0, 0));
    }
}

/// Done, and nothing more.
pub(super) const FINE: KnMpReply = KnMpReply {
    diag: 0,
    access: 0,
    offset: 0,
    size: 0,
    in_cluster: 0,
    release: 0,
    pad: [0; 4],
};
