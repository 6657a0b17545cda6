//! A site whose manager makes calls about the memory of actors that have none of their own.

use super::default_mapper::DefaultMapper;
use super::site::Site;
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::executive::thread::Thread;
use crate::machine::Machine;
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::*;

/// Where the regions of the tests lie.
pub(super) const BASE: u64 = 0x100_0000;
/// Bytes of a page.
pub(super) const PAGE: u64 = PAGE_SIZE;

/// A site with a manager that makes the calls, and actors without any memory.
pub(super) struct Scene {
    pub(super) site: Site,
    pub(super) manager: Id<Actor>,
    pub(super) thread: Id<Thread>,
    pub(super) actors: Vec<Id<Actor>>,
    /// Who takes pages when there is little memory.
    pub(super) mapper: Option<DefaultMapper>,
}

impl Scene {
    pub(super) fn new(count: usize) -> Scene {
        Scene::on(Site::new(2), count)
    }

    /// A scene from which so many pages can leave; the manager is the default mapper as well.
    pub(super) fn with_outside(count: usize, outside: usize) -> Scene {
        let mut scene = Scene::on(Site::with_outside(2, 1, outside), count);
        scene.mapper = Some(DefaultMapper::new(&mut scene.site, scene.manager));
        scene
    }

    fn on(mut site: Site, count: usize) -> Scene {
        let manager = site.actor(K_SYSTEMACTOR, 140);
        let thread = site.thread(manager);
        let mut scene = Scene {
            site,
            manager,
            thread,
            actors: Vec::new(),
            mapper: None,
        };
        for page in 0..16 {
            // What it needs for its arguments is there.
            scene.site.put(manager, page * PAGE, &0u64);
        }
        for _ in 0..count {
            scene.add();
        }
        scene
    }

    /// A call of the manager, which may have to wait for the default mapper.
    pub(super) fn call(&mut self, name: &str, arguments: &[u64]) -> i32 {
        let mut result = self.site.call(self.thread, name, arguments);
        for _ in 0..1000 {
            if let Some(result) = result {
                return result;
            }
            // What goes, and a call that paused, wait for their steps.
            if self.site.nucleus.going() > 0 || self.site.nucleus.resumes(self.thread) {
                self.site.step(1);
                self.site.nucleus.check_memory();
            }
            self.serve();
            result = self.site.result(self.thread);
        }
        panic!("{name} waits for ever");
    }

    /// What goes is given back so many pages at a time, and so many by the calls themselves.
    pub(super) fn in_steps(&mut self, (at_once, in_step): (u32, u32)) {
        let going = &mut self.site.nucleus.memory.going;
        (going.at_once, going.in_step) = (at_once, in_step);
        self.site.steps = (in_step < 8).then_some(0);
    }

    /// The default mapper answers what it was asked.
    pub(super) fn serve(&mut self) -> usize {
        let mapper = self.mapper.as_mut();
        mapper.map_or(0, |mapper| mapper.serve(&mut self.site))
    }

    /// After an access that failed: whether it may be worth another try.
    fn again(&mut self) -> bool {
        let before = self.free();
        let waits = self.site.nucleus.awaited().is_some();
        self.site.nucleus.relieve();
        self.serve();
        waits || self.free() != before
    }

    pub(super) fn add(&mut self) -> usize {
        let made = self.site.nucleus.actor_make(None, None, K_USERACTOR, false);
        self.actors.push(made.unwrap());
        self.actors.len() - 1
    }

    /// Ends an actor.
    pub(super) fn end(&mut self, which: usize) {
        let cap = self.cap(which, 0);
        assert_eq!(self.call("actorDelete", &[cap]), K_OK);
    }

    /// Address of a capability of an actor, in one of several places.
    pub(super) fn cap(&mut self, which: usize, place: u64) -> u64 {
        let cap = self.site.nucleus.actors.get(self.actors[which]);
        let cap = cap.unwrap().cap;
        self.site.put(self.manager, place * 16, &cap)
    }

    pub(super) fn desc(&mut self, place: u64, start: u64, pages: u64, options: u32) -> u64 {
        let desc = KnRgnDesc {
            start_addr: start,
            size: pages * PAGE,
            options,
            ..KnRgnDesc::default()
        };
        self.site.put(self.manager, 0x100 + place * 64, &desc)
    }

    /// A call about a range of an actor.
    pub(super) fn range(
        &mut self,
        name: &str,
        which: usize,
        start: u64,
        pages: u64,
        options: u32,
    ) -> i32 {
        let arguments = [self.cap(which, 0), self.desc(0, start, pages, options)];
        self.call(name, &arguments)
    }

    /// A call that makes a region of one actor from a range of another.
    pub(super) fn from(
        &mut self,
        name: &str,
        (to, start, options): (usize, u64, u32),
        (from, at): (usize, u64),
        pages: u64,
    ) -> i32 {
        let arguments = [
            self.cap(to, 0),
            self.desc(0, start, pages, options),
            self.cap(from, 1),
            self.desc(1, at, pages, 0),
        ];
        self.call(name, &arguments)
    }

    pub(super) fn dup(&mut self, to: usize, from: usize, flags: u32) -> i32 {
        let arguments = [self.cap(to, 0), self.cap(from, 1), u64::from(flags)];
        self.call("rgnDup", &arguments)
    }

    pub(super) fn lock(
        &mut self,
        name: &str,
        which: usize,
        start: u64,
        pages: u64,
        flags: u32,
    ) -> i32 {
        let arguments = [self.cap(which, 0), start, pages * PAGE, u64::from(flags)];
        self.call(name, &arguments)
    }

    pub(super) fn copy(&mut self, to: (usize, u64), from: (usize, u64), size: u64) -> i32 {
        let (source, target) = (self.cap(from.0, 0), self.cap(to.0, 1));
        let arguments = [source, from.1, target, to.1, size];
        self.call("vmCopy", &arguments)
    }

    pub(super) fn put(&mut self, which: usize, address: u64, value: u64) -> bool {
        let (actor, space) = self.place(which);
        let bytes = value.to_le_bytes();
        for _ in 0..1000 {
            let nucleus = &mut self.site.nucleus;
            if nucleus.write_bytes(actor, space, address, &bytes).is_ok() {
                return true;
            }
            if !self.again() {
                return false;
            }
        }
        panic!("it waits for ever");
    }

    pub(super) fn get(&mut self, which: usize, address: u64) -> Option<u64> {
        let (actor, space) = self.place(which);
        let mut bytes = [0; 8];
        for _ in 0..1000 {
            let nucleus = &mut self.site.nucleus;
            match nucleus.read_bytes(actor, space, address, &mut bytes) {
                Ok(()) => return Some(u64::from_le_bytes(bytes)),
                Err(_) if self.again() => {}
                Err(_) => return None,
            }
        }
        panic!("it waits for ever");
    }

    pub(super) fn place(&self, which: usize) -> (Id<Actor>, crate::machine::Space) {
        let id = self.actors[which];
        (id, self.site.nucleus.actors.get(id).unwrap().space)
    }

    /// What `rgnStat` says of a range.
    pub(super) fn stat(&mut self, which: usize, start: u64, size: u64) -> Vec<KnRgnStat> {
        let desc = KnRgnDesc {
            start_addr: start,
            size,
            ..KnRgnDesc::default()
        };
        let desc = self.site.put(self.manager, 0x100, &desc);
        let buffer = self.site.at(self.manager, 0x1000);
        let cap = self.cap(which, 0);
        let arguments = [cap, desc, buffer, 0x4000];
        let count = self.site.call(self.thread, "rgnStat", &arguments).unwrap();
        assert!(count >= 0, "{count}");
        let at = |index| 0x1000 + index as u64 * size_of::<KnRgnStat>() as u64;
        (0..count)
            .map(|index| self.site.get(self.manager, at(index)))
            .collect()
    }

    pub(super) fn free(&self) -> u64 {
        self.site.nucleus.machine.frames().0
    }

    /// Whether an access may fail for want of memory.
    pub(super) fn is_short(&self) -> bool {
        self.free() == 0 || self.mapper.is_some() && self.free() <= 24
    }

    /// Everything ends, and nothing is left.
    pub(super) fn finish(mut self) {
        self.site.nucleus.check_memory();
        self.site.end();
        let (free, total) = self.site.nucleus.machine.frames();
        assert_eq!(free, total, "frames are lost");
        assert_eq!(self.site.nucleus.memory_objects(), (0, 0, 0));
        assert_eq!(
            self.site.nucleus.outside(),
            (0, 0),
            "temporary segments are left"
        );
    }
}
