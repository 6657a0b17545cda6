//! Page-out: pages leave memory when it is short and come back as they were (NC-253, NC-254, SS-099, SS-103).

use super::default_mapper::{DefaultMapper, Mood};
use super::site::Site;
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::executive::thread::Thread;
use crate::machine::{Frame, Machine};
use crate::memory::Fault;
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::*;

pub(super) const BASE: u64 = 0x100_0000;
pub(super) const PAGE: u64 = PAGE_SIZE;
/// The exception of a page that cannot be had.
pub(super) const SUPPLY: u32 = 9;

/// A site with little memory, a default mapper, and two actors of which one eats memory.
pub(super) struct Short {
    pub(super) site: Site,
    pub(super) mapper: DefaultMapper,
    pub(super) eater: (Id<Actor>, Id<Thread>),
    pub(super) other: (Id<Actor>, Id<Thread>),
    pub(super) hoard: Vec<Frame>,
}

impl Short {
    pub(super) fn new(leave: u64) -> Short {
        let mut site = Site::with_outside(4, 1, 400);
        let actor = site.actor(K_SYSTEMACTOR, 140);
        let mut mapper = DefaultMapper::new(&mut site, actor);
        let [eater, other] = [K_USERACTOR, K_USERACTOR].map(|kind| {
            let actor = site.actor(kind, 140);
            (actor, site.thread(actor))
        });
        mapper.stranger = site.nucleus.actors.get(other.0).unwrap().cap.ui;
        for of in [eater, other] {
            // What they need for their arguments stays.
            let lock = [0, super::site::MEMORY.0, PAGE, u64::from(K_WRITABLE)];
            assert_eq!(site.call(of.1, "vmLock", &lock), Some(K_OK));
        }
        let hoard = site.hoard(leave);
        Short {
            site,
            mapper,
            eater,
            other,
            hoard,
        }
    }

    pub(super) fn region(
        &mut self,
        of: (Id<Actor>, Id<Thread>),
        start: u64,
        pages: u64,
        options: u32,
    ) -> i32 {
        let desc = KnRgnDesc {
            start_addr: start,
            size: pages * PAGE,
            options,
            ..KnRgnDesc::default()
        };
        let desc = self.site.put(of.0, 0x500, &desc);
        let mut result = self.site.call(of.1, "rgnAllocate", &[0, desc]);
        for _ in 0..1000 {
            if let Some(result) = result {
                return result;
            }
            self.mapper.serve(&mut self.site);
            result = self.site.result(of.1);
        }
        panic!("rgnAllocate waits for ever");
    }

    pub(super) fn free(&mut self, of: (Id<Actor>, Id<Thread>), start: u64, pages: u64) {
        let desc = KnRgnDesc {
            start_addr: start,
            size: pages * PAGE,
            ..KnRgnDesc::default()
        };
        let desc = self.site.put(of.0, 0x500, &desc);
        assert_eq!(self.site.call(of.1, "rgnFree", &[0, desc]), Some(K_OK));
    }

    /// One fault of a thread; it must be on a processor.
    pub(super) fn fault(
        &mut self,
        of: (Id<Actor>, Id<Thread>),
        address: u64,
        write: bool,
    ) -> Fault {
        let cpu = self.site.cpu_of(of.1).expect("it runs");
        let fault = self.site.nucleus.fault(cpu, address, write, false, true);
        self.site.settle();
        fault
    }

    /// Reads or writes as a thread does, waiting for the mapper as long as it must. Errors: the exception.
    pub(super) fn access(
        &mut self,
        of: (Id<Actor>, Id<Thread>),
        address: u64,
        store: Option<u64>,
    ) -> Result<u64, u32> {
        let space = self.site.nucleus.actors.get(of.0).unwrap().space;
        for _ in 0..2000 {
            let machine = &mut self.site.nucleus.machine;
            let mut bytes = [0; 8];
            let done = match store {
                Some(value) => machine.write(space, address, &value.to_le_bytes()),
                None => machine.read(space, address, &mut bytes),
            };
            if done.is_ok() {
                return Ok(u64::from_le_bytes(bytes));
            }
            match self.fault(of, address, store.is_some()) {
                Fault::Exception(number) => return Err(number),
                _ => self.mapper.serve(&mut self.site),
            };
        }
        panic!("it waits for ever");
    }

    pub(super) fn put(&mut self, page: u64, value: u64) -> Result<u64, u32> {
        self.access(self.eater, BASE + page * PAGE, Some(value))
    }

    pub(super) fn get(&mut self, page: u64) -> Result<u64, u32> {
        self.access(self.eater, BASE + page * PAGE, None)
    }

    /// The eater has a region of so many pages, each with its number in it.
    pub(super) fn fill(&mut self, pages: u64) {
        assert_eq!(self.region(self.eater, BASE, pages, K_WRITABLE), K_OK);
        for page in 0..pages {
            assert_eq!(
                self.put(page, page + 1000).map(|_| ()),
                Ok(()),
                "page {page}"
            );
        }
        self.site.nucleus.check_memory();
    }

    pub(super) fn logged(&self, part: &str) -> bool {
        self.site
            .nucleus
            .machine
            .log
            .iter()
            .any(|line| line.contains(part))
    }

    pub(super) fn stat(&mut self) -> KnVmStat {
        let at = self.site.at(self.other.0, 0x600);
        assert_eq!(self.site.call(self.other.1, "vmStat", &[at]), Some(K_OK));
        self.site.get(self.other.0, 0x600)
    }

    pub(super) fn finish(mut self) {
        self.site.nucleus.check_memory();
        self.site.give_back(self.hoard);
        self.site.end();
        let (free, total) = self.site.nucleus.machine.frames();
        assert_eq!(free, total, "frames are lost");
        assert_eq!(self.site.nucleus.memory_objects(), (0, 0, 0));
        assert_eq!(self.site.nucleus.outside(), (0, 0));
    }
}

#[test]
fn nc_253_and_254_twice_the_memory_comes_back_as_it_was() {
    let mut short = Short::new(60);
    short.fill(200);
    assert_eq!(
        short.mapper.created, 1,
        "one temporary segment for one object"
    );
    for round in 0..2 {
        for page in 0..200 {
            assert_eq!(short.get(page), Ok(page + 1000 + round));
            if round == 0 {
                assert_eq!(short.put(page, page + 1001).map(|_| ()), Ok(()));
            }
        }
        short.site.nucleus.check_memory();
    }
    assert_eq!(short.mapper.created, 1);
    let stat = short.stat();
    assert!(stat.pages_out >= 300 && stat.pages_in >= 200, "{stat:?}");
    assert!(stat.outside >= 120 * PAGE, "{stat:?}");
    assert!(short.mapper.released.is_empty());
    short.free(short.eater, BASE, 200);
    short.mapper.serve(&mut short.site);
    assert_eq!(short.mapper.released, [1]);
    assert!(short.mapper.pages.is_empty());
    assert_eq!(short.stat().outside, 0);
    short.finish();
}

#[test]
fn nc_253_each_object_has_a_temporary_segment_of_its_own() {
    let mut short = Short::new(60);
    let other = short.other;
    assert_eq!(short.region(other, BASE, 60, K_WRITABLE), K_OK);
    for page in 0..60 {
        let done = short.access(other, BASE + page * PAGE, Some(page + 1));
        assert_eq!(done.map(|_| ()), Ok(()));
    }
    short.fill(80);
    for page in 0..60 {
        assert_eq!(short.access(other, BASE + page * PAGE, None), Ok(page + 1));
    }
    for page in 0..80 {
        assert_eq!(short.get(page), Ok(page + 1000));
    }
    let created = short.mapper.created;
    assert!((2..=4).contains(&created), "{created}");
    short
        .site
        .nucleus
        .kill_actor(short.eater.0, Default::default());
    short.site.nucleus.kill_actor(other.0, Default::default());
    short.site.settle();
    short.mapper.serve(&mut short.site);
    assert_eq!(short.mapper.released.len() as u64, created);
    assert!(short.mapper.alive.is_empty());
    short.finish();
}

#[test]
fn pages_that_nobody_changed_are_not_pushed_again() {
    let mut short = Short::new(60);
    short.fill(100);
    for page in 0..100 {
        assert_eq!(short.get(page), Ok(page + 1000));
    }
    let taken = short.mapper.taken;
    for _ in 0..3 {
        for page in 0..100 {
            assert_eq!(short.get(page), Ok(page + 1000));
        }
    }
    // Those that were never outside, once.
    assert!(
        short.mapper.taken <= taken + 60,
        "{taken} {}",
        short.mapper.taken
    );
    short.finish();
}

#[test]
fn without_a_default_mapper_memory_ends() {
    let mut site = Site::with_outside(2, 1, 100);
    let actor = site.actor(K_USERACTOR, 140);
    let thread = site.thread(actor);
    let hoard = site.hoard(10);
    let cpu = site.cpu_of(thread).unwrap();
    let at = |page| super::site::MEMORY.0 + page * PAGE;
    let mut made = 0;
    let fault = loop {
        match site.nucleus.fault(cpu, at(made), true, false, true) {
            Fault::Resolved => made += 1,
            other => break other,
        }
    };
    assert_eq!((fault, made), (Fault::Exception(SUPPLY), 10));
    site.give_back(hoard);
    site.end();
}

#[test]
fn ss_099_a_slow_mapper_keeps_nobody_else_from_work() {
    let mut short = Short::new(60);
    short.fill(100);
    // The eater waits for a page that is outside; nobody answers.
    let absent = (0..100).find(|page| {
        let space = short.site.nucleus.actors.get(short.eater.0).unwrap().space;
        short
            .site
            .nucleus
            .machine
            .translate(space, BASE + page * PAGE)
            .is_none()
    });
    let absent = absent.unwrap();
    let fault = short.fault(short.eater, BASE + absent * PAGE, false);
    assert_eq!(fault, Fault::Waits);
    short.site.pass(5_000_000_000);
    assert_eq!(short.site.cpu_of(short.eater.1), None);
    // The other works: calls, a message to itself, and a page of its own.
    let other = short.other;
    assert_eq!(short.site.call(other.1, "sysNull", &[]), Some(K_OK));
    let dest = KnIpcDest {
        target: short.site.nucleus.actors.get(other.0).unwrap().cap.ui,
        co_target: KnUniqueId::NULL,
    };
    let dest = short.site.put(other.0, 0x700, &dest);
    let body = KnMsgDesc {
        body_size: 100,
        body_addr: short.site.at(other.0, 0x100),
        ..KnMsgDesc::default()
    };
    let body = short.site.put(other.0, 0x780, &body);
    let sent = short.site.call(other.1, "ipcSend", &[body, 0, dest]);
    assert_eq!(sent, Some(K_OK));
    let own = super::site::MEMORY.0 + 9 * PAGE;
    assert_eq!(short.fault(other, own, true), Fault::Resolved);
    short.mapper.serve(&mut short.site);
    assert!(short.site.cpu_of(short.eater.1).is_some());
    assert_eq!(short.get(absent), Ok(absent + 1000));
    short.finish();
}

#[test]
fn ss_099_of_a_mapper_that_dies_only_what_it_had_is_lost() {
    let mut short = Short::new(60);
    short.fill(100);
    let mut outside = 0;
    short
        .site
        .nucleus
        .kill_actor(short.mapper.actor, Default::default());
    short.site.settle();
    let space = short.site.nucleus.actors.get(short.eater.0).unwrap().space;
    for page in 0..100 {
        let address = BASE + page * PAGE;
        let mut bytes = [0; 8];
        if short
            .site
            .nucleus
            .machine
            .read(space, address, &mut bytes)
            .is_ok()
        {
            assert_eq!(u64::from_le_bytes(bytes), page + 1000);
            continue;
        }
        match short.fault(short.eater, address, false) {
            Fault::Exception(number) => assert_eq!(number, SUPPLY),
            other => assert_eq!(other, Fault::Resolved),
        }
        outside += 1;
    }
    assert!(outside > 30, "{outside}");
    assert_eq!(short.site.call(short.other.1, "sysNull", &[]), Some(K_OK));
    // A call tells it as an error.
    let target = short.site.at(short.other.0, 0x100);
    let absent = (0..100).find(|page| {
        short
            .site
            .nucleus
            .machine
            .translate(space, BASE + page * PAGE)
            .is_none()
    });
    let cap = short.site.put_cap(short.other.0, short.eater.0);
    let arguments = [cap, BASE + absent.unwrap() * PAGE, 0, target, 8];
    let copied = short.site.call(short.other.1, "vmCopy", &arguments);
    assert!(matches!(copied, Some(K_EMAPPER | K_EPRIV)), "{copied:?}");
    // Another default mapper comes, and pages leave again.
    let actor = short.site.actor(K_SYSTEMACTOR, 140);
    let more = short.hoard.split_off(short.hoard.len() - 30);
    short.site.give_back(more);
    short.mapper = DefaultMapper::new(&mut short.site, actor);
    let other = short.other;
    assert_eq!(short.region(other, BASE, 100, K_WRITABLE), K_OK);
    for page in 0..100 {
        let done = short.access(other, BASE + page * PAGE, Some(page));
        assert_eq!(done.map(|_| ()), Ok(()), "{page}");
    }
    for page in 0..100 {
        assert_eq!(short.access(other, BASE + page * PAGE, None), Ok(page));
    }
    short.finish();
}

#[test]
fn ss_103_a_mapper_that_lies_is_found_out() {
    for (mood, line) in [
        (Mood::OtherBytes, "other bytes"),
        (Mood::OtherPage, "another page"),
        (Mood::Half, "other bytes"),
        (Mood::Refuses, ""),
    ] {
        let mut short = Short::new(60);
        short.fill(100);
        short.mapper.mood = mood;
        let mut lost = 0;
        for page in 0..100 {
            match short.get(page) {
                Ok(value) => assert_eq!(value, page + 1000, "{mood:?}"),
                Err(number) => {
                    assert_eq!(number, SUPPLY, "{mood:?}");
                    lost += 1;
                }
            }
        }
        assert!(lost > 20, "{mood:?} {lost}");
        assert!(line.is_empty() || short.logged(line), "{mood:?}");
        short.site.nucleus.check_memory();
        // Nothing was lost for good.
        short.mapper.mood = Mood::Honest;
        for page in 0..100 {
            assert_eq!(short.get(page), Ok(page + 1000), "{mood:?}");
        }
        short.finish();
    }
}

#[test]
fn ss_103_pages_that_are_refused_stay() {
    for mood in [Mood::Refuses, Mood::StrangeSegment] {
        let mut short = Short::new(60);
        short.mapper.mood = mood;
        assert_eq!(short.region(short.eater, BASE, 100, K_WRITABLE), K_OK);
        let mut made = 0;
        let error = loop {
            match short.put(made, made + 1000) {
                Ok(_) => made += 1,
                Err(number) => break number,
            }
        };
        assert_eq!(error, SUPPLY);
        assert!((30..60).contains(&made), "{mood:?} {made}");
        for page in 0..made {
            assert_eq!(short.get(page), Ok(page + 1000));
        }
        assert_eq!(short.mapper.taken, 0);
        assert!(mood == Mood::Refuses || short.logged("no temporary segment"));
        short.finish();
    }
}

#[test]
fn ss_103_a_segment_is_not_given_twice() {
    let mut short = Short::new(70);
    short.mapper.mood = Mood::OldSegment;
    let other = short.other;
    assert_eq!(short.region(other, BASE, 60, K_WRITABLE), K_OK);
    for page in 0..60 {
        let _ = short.access(other, BASE + page * PAGE, Some(page + 1));
    }
    assert_eq!(short.region(short.eater, BASE, 30, K_WRITABLE), K_OK);
    let mut made = 0;
    while made < 30 && short.put(made, made + 1000).is_ok() {
        made += 1;
    }
    for page in 0..made {
        assert_eq!(short.get(page), Ok(page + 1000));
    }
    short.site.nucleus.check_memory();
    short.finish();
}

#[test]
fn what_is_stored_while_a_page_leaves_is_not_lost() {
    let mut short = Short::new(60);
    assert_eq!(short.region(short.eater, BASE, 100, K_WRITABLE), K_OK);
    let mut made = 0;
    // Requests are answered one by one, and each page on its way out is stored into first.
    for page in 0..100 {
        for _ in 0..1000 {
            let address = BASE + page * PAGE;
            let fault = short.fault(short.eater, address, true);
            assert!(!matches!(fault, Fault::Exception(_)), "{page} {fault:?}");
            if fault == Fault::Resolved {
                break;
            }
            while short.site.cpu_of(short.eater.1).is_none() {
                let request = short
                    .mapper
                    .next(&mut short.site)
                    .expect("it waits for something");
                short.mapper.answer(&mut short.site, &request);
            }
        }
        let request = short.mapper.next(&mut short.site);
        for back in 0..page.min(5) {
            assert_eq!(
                short.poke(page - back, page * 100 + back),
                Some(()).filter(|()| true)
            );
            made += 1;
        }
        if let Some(request) = request {
            short.mapper.answer(&mut short.site, &request);
        }
        for back in 0..page.min(5) {
            assert_eq!(
                short.get(page - back),
                Ok(page * 100 + back),
                "page {page} {back}"
            );
        }
    }
    assert!(made > 400);
    short.finish();
}

impl Short {
    /// Stores into a page that is here, or comes without the mapper.
    pub(super) fn poke(&mut self, page: u64, value: u64) -> Option<()> {
        let space = self.site.nucleus.actors.get(self.eater.0).unwrap().space;
        let address = BASE + page * PAGE;
        for _ in 0..2 {
            let machine = &mut self.site.nucleus.machine;
            if machine.write(space, address, &value.to_le_bytes()).is_ok() {
                return Some(());
            }
            if self.fault(self.eater, address, true) != Fault::Resolved {
                // It waits: the mapper has to be heard after all.
                return self.put(page, value).ok().map(|_| ());
            }
        }
        None
    }
}
