//! History objects or shadow objects: both in a model, over the very same operations (spec 4.4).
//!
//! There are two ways to defer copies. With *history objects* a region keeps its object, and an old page goes down to the copy before it changes. With *shadow
//! objects* the object stays as it was, and new pages go to a shadow on top of it. Here both are made as plainly as can be, with all that is
//! known to keep them short, and judged by a third model that copies at once. Counted is what an operating system pays: frames, objects, pages copied, and how many
//! objects a fault looks at. Faults are the same in both, since who has stored or loaded since the last copy has a mapping.
//!
//!     cargo test --release -p chorus-nucleus-core history_and_shadows -- --nocapture

mod history;
mod shadows;

use history::History;
use shadows::Shadows;
use std::collections::BTreeSet;
use std::prelude::rust_2024::*;
use std::{eprintln, format};

/// Pages of a region.
const PAGES: usize = 64;
/// Operations of a mix, and seeds.
const STEPS: usize = 4000;
const SEEDS: u64 = 5;

/// What was done so far.
#[derive(Clone, Copy, Default)]
pub struct Work {
    /// Pages whose bytes were copied.
    pub copied: u64,
    /// Pages that went from one object to another, without a copy.
    pub moved: u64,
    pub objects_made: u64,
}

/// A page as a fault finds it.
pub struct Found {
    /// Zero: nobody ever stored there.
    pub value: u64,
    /// Objects that were looked at.
    pub depth: u64,
    /// A store needs no new frame for whoever stores.
    pub own: bool,
}

/// A way to defer copies.
pub trait Strategy {
    /// A region of zeros.
    fn make(&mut self) -> usize;
    fn copy(&mut self, source: usize) -> usize;
    fn find(&mut self, region: usize, page: usize) -> Found;
    fn store(&mut self, region: usize, page: usize, value: u64);
    fn free(&mut self, region: usize);
    /// Frames and objects that there are.
    fn held(&self) -> (u64, u64);
    fn work(&self) -> Work;
}

/// A slot that nothing is in.
fn free<T>(slots: &mut Vec<Option<T>>) -> usize {
    slots.iter().position(Option::is_none).unwrap_or_else(|| {
        slots.push(None);
        slots.len() - 1
    })
}

/// What was seen of a way.
#[derive(Clone, Copy, Default)]
struct Seen {
    faults: u64,
    depth: u64,
    deepest: u64,
    samples: u64,
    frames: u64,
    needed: u64,
    objects: u64,
    most_objects: u64,
    work: Work,
}

/// May a region be loaded from, and stored to, without a fault?
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Mapped {
    No,
    Loads,
    Stores,
}

/// A region as everybody sees it: copied at once.
struct Plain {
    pages: [u64; PAGES],
    mapped: [Mapped; PAGES],
    name: usize,
}

struct Run<S> {
    way: S,
    regions: Vec<Plain>,
    seen: Seen,
    stores: u64,
    random: u64,
}

impl<S: Strategy + Default> Run<S> {
    fn new(seed: u64) -> Self {
        let mut run = Run {
            way: S::default(),
            regions: Vec::new(),
            seen: Seen::default(),
            stores: 0,
            random: seed | 1,
        };
        run.make();
        run
    }

    /// A number below another (Marsaglia's xorshift).
    fn below(&mut self, bound: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as usize % bound.max(1)
    }

    /// A region whose pages have all been stored to.
    fn make(&mut self) {
        let name = self.way.make();
        self.regions.push(Plain {
            pages: [0; PAGES],
            mapped: [Mapped::No; PAGES],
            name,
        });
        for page in 0..PAGES {
            self.store(self.regions.len() - 1, page);
        }
    }

    fn copy(&mut self, at: usize) {
        let source = &mut self.regions[at];
        for mapped in &mut source.mapped {
            if *mapped == Mapped::Stores {
                *mapped = Mapped::Loads;
            }
        }
        let name = self.way.copy(source.name);
        let pages = source.pages;
        self.regions.push(Plain {
            pages,
            mapped: [Mapped::No; PAGES],
            name,
        });
    }

    fn fault(&mut self, at: usize, page: usize) {
        let region = &self.regions[at];
        let found = self.way.find(region.name, page);
        assert_eq!(found.value, region.pages[page], "page {page}");
        self.seen.faults += 1;
        self.seen.depth += found.depth;
        self.seen.deepest = self.seen.deepest.max(found.depth);
    }

    fn load(&mut self, at: usize, page: usize) {
        if self.regions[at].mapped[page] == Mapped::No {
            self.fault(at, page);
            self.regions[at].mapped[page] = Mapped::Loads;
        }
    }

    fn store(&mut self, at: usize, page: usize) {
        self.stores += 1;
        if self.regions[at].mapped[page] != Mapped::Stores {
            self.fault(at, page);
        }
        let region = &mut self.regions[at];
        region.pages[page] = self.stores;
        region.mapped[page] = Mapped::Stores;
        self.way.store(region.name, page, self.stores);
    }

    /// Accesses of a region: so many, of which of hundred so many store, to few pages most often.
    fn touch(&mut self, at: usize, count: usize, stores: usize) {
        for _ in 0..count {
            let page = match self.below(4) {
                0 => self.below(PAGES),
                _ => self.below(PAGES / 8),
            };
            match self.below(100) < stores {
                true => self.store(at, page),
                false => self.load(at, page),
            }
        }
    }

    fn free(&mut self, at: usize) {
        let region = self.regions.remove(at);
        self.way.free(region.name);
    }

    /// Looks at what there is.
    fn sample(&mut self) {
        let pages = self.regions.iter().flat_map(|region| region.pages);
        let needed = pages.collect::<BTreeSet<u64>>().len() as u64;
        let (frames, objects) = self.way.held();
        assert!(frames >= needed, "{frames} frames for {needed} pages");
        let seen = &mut self.seen;
        seen.samples += 1;
        (seen.frames, seen.needed) = (seen.frames + frames, seen.needed + needed);
        seen.objects += objects;
        seen.most_objects = seen.most_objects.max(objects);
    }

    fn end(mut self) -> Seen {
        self.seen.work = self.way.work();
        while !self.regions.is_empty() {
            self.free(0);
        }
        assert_eq!(self.way.held(), (0, 0), "something is left");
        self.seen
    }
}

/// What actors do to their memory.
#[derive(Clone, Copy, Debug)]
enum Mix {
    /// One that lives long is duplicated again and again; the duplicates store a little and go (a shell, a server that forks).
    ForkAndExec,
    /// Any is duplicated, any goes.
    Family,
    /// The copy is copied, and its source goes (a daemon; a message passed on and on).
    Chain,
    /// One that stores all the time; the last eight of its copies are kept, and read.
    Snapshots,
    /// A buffer is filled and copied; the copy is read and goes (messages).
    Buffers,
    /// Anything.
    Any,
}

impl Mix {
    fn step<S: Strategy + Default>(self, run: &mut Run<S>) {
        let last = run.regions.len() - 1;
        match self {
            Mix::ForkAndExec => {
                run.copy(0);
                run.touch(last + 1, 6, 50);
                run.touch(0, 6, 50);
                while run.regions.len() > 1 + run.random as usize % 4 {
                    let gone = 1 + run.below(run.regions.len() - 1);
                    run.free(gone);
                }
            }
            Mix::Family => {
                let (parent, one) = (run.below(last + 1), run.below(last + 1));
                run.copy(parent);
                run.touch(one, 6, 50);
                if run.regions.len() > 12 {
                    let gone = run.below(run.regions.len());
                    run.free(gone);
                }
            }
            Mix::Chain => {
                run.touch(last, 6, 50);
                run.copy(last);
                run.touch(last, 2, 50);
                run.touch(last + 1, 4, 50);
                if run.regions.len() > 3 {
                    run.free(0);
                }
            }
            Mix::Snapshots => {
                run.touch(0, 10, 80);
                run.copy(0);
                let one = run.below(run.regions.len());
                run.touch(one, 4, 0);
                if run.regions.len() > 9 {
                    run.free(1);
                }
            }
            Mix::Buffers => {
                run.touch(0, 8, 100);
                run.copy(0);
                run.touch(last + 1, 8, 5);
                run.free(last + 1);
            }
            Mix::Any => {
                let at = run.below(last + 1);
                match run.below(8) {
                    0 | 1 if run.regions.len() < 16 => run.copy(at),
                    2 if run.regions.len() > 1 => run.free(at),
                    3 if run.regions.len() < 4 => run.make(),
                    _ => run.touch(at, 4, 50),
                }
            }
        }
    }
}

fn measure<S: Strategy + Default>(mix: Mix) -> Seen {
    let mut all = Seen::default();
    for seed in 1..=SEEDS {
        let mut run = Run::<S>::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        for _ in 0..STEPS {
            mix.step(&mut run);
            run.sample();
        }
        let seen = run.end();
        all.faults += seen.faults;
        all.depth += seen.depth;
        all.deepest = all.deepest.max(seen.deepest);
        all.samples += seen.samples;
        all.frames += seen.frames;
        all.needed += seen.needed;
        all.objects += seen.objects;
        all.most_objects = all.most_objects.max(seen.most_objects);
        all.work.copied += seen.work.copied;
        all.work.moved += seen.work.moved;
        all.work.objects_made += seen.work.objects_made;
    }
    all
}

/// A row of the table.
fn row(mix: Mix, name: &str, seen: &Seen) -> String {
    let each = |count: u64, of: u64| count as f64 / of as f64;
    format!(
        "| {mix:?} | {name} | {:.1} of {:.1} | {} | {} | {:.2} | {} | {:.1} | {} | {} |",
        each(seen.frames, seen.samples),
        each(seen.needed, seen.samples),
        seen.work.copied,
        seen.work.moved,
        each(seen.depth, seen.faults),
        seen.deepest,
        each(seen.objects, seen.samples),
        seen.most_objects,
        seen.work.objects_made,
    )
}

#[test]
fn history_and_shadows_over_the_same_operations() {
    eprintln!(
        "| mix | objects | frames held of needed | copied | moved | mean depth | deepest | objects | most | made |"
    );
    for mix in [
        Mix::ForkAndExec,
        Mix::Family,
        Mix::Chain,
        Mix::Snapshots,
        Mix::Buffers,
        Mix::Any,
    ] {
        let history = measure::<History<false>>(mix);
        let stubs = measure::<History<true>>(mix);
        let shadows = measure::<Shadows>(mix);
        assert_eq!(history.faults, shadows.faults, "the operations differ");
        for (name, seen) in [
            ("history", history),
            ("history, stubs", stubs),
            ("shadow", shadows),
        ] {
            eprintln!("{}", row(mix, name, &seen));
        }
        // What the choice rests on (docs/memory.md).
        let shallow = history.depth < shadows.depth;
        let few = stubs.frames <= shadows.frames && stubs.work.copied <= shadows.work.copied;
        match mix {
            Mix::ForkAndExec | Mix::Snapshots => assert!(shallow && few, "{mix:?}"),
            _ => assert!(few, "{mix:?}"),
        }
    }
}
