//! Regions of actors: pages with attributes, each showing a cell. A copy is a copy at once, and shared pages show the same cell.

use super::episode::*;
use super::model::{Expected, Model};
use chorus_abi::error::*;
use chorus_abi::table::number;
use chorus_abi::*;
use std::format;
use std::prelude::rust_2024::*;

/// Where the regions lie that the calls make, and how many pages there are.
const BASE: u64 = 0x100_0000;
const PAGES: u64 = 4;
/// Calls of a step.
const BURST: usize = 6;
const INHERITANCE: u32 = K_INHERITCOPY | K_INHERITSHARE;
const PROTECTION: u32 = K_WRITABLE | K_EXECUTABLE;

/// A page of a region.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Page {
    /// Which cell it shows.
    cell: usize,
    options: u32,
    opaque: u64,
}

/// Pages of an actor.
type Range = (usize, std::ops::Range<u64>);

impl Model {
    fn cell(&mut self, value: u64) -> usize {
        self.cells.push(value);
        self.cells.len() - 1
    }

    /// The pages of a range, if it has no hole.
    fn whole(&self, (actor, range): &Range) -> Option<Vec<Page>> {
        let pages = &self.actors[*actor].pages;
        range.clone().map(|at| pages.get(&at).copied()).collect()
    }

    fn is_empty(&self, (actor, range): &Range) -> bool {
        let mut pages = range.clone();
        !pages.any(|at| self.actors[*actor].pages.contains_key(&at))
    }

    /// Attributes of the pages of a range are changed, if it has no hole.
    fn change(&mut self, range: &Range, change: impl Fn(&mut Page)) -> Expected {
        if self.whole(range).is_none() {
            return Expected::Returns(K_EADDR);
        }
        let pages = self.actors[range.0].pages.range_mut(range.1.clone());
        pages.for_each(|(_, page)| change(page));
        Expected::Returns(K_OK)
    }

    /// Pages of another are shown in a range, or copies of them.
    fn show(
        &mut self,
        to: &Range,
        from: &Range,
        (options, opaque): (u32, u64),
        copies: bool,
    ) -> Expected {
        if !self.is_empty(to) {
            return Expected::Returns(K_EOVERLAP);
        }
        let Some(pages) = self.whole(from) else {
            return Expected::Returns(K_EADDR);
        };
        for (at, page) in to.1.clone().zip(pages) {
            let cell = match copies {
                true => self.cell(self.cells[page.cell]),
                false => page.cell,
            };
            let page = Page {
                cell,
                options,
                opaque,
            };
            self.actors[to.0].pages.insert(at, page);
        }
        Expected::Returns(K_OK)
    }

    fn store(&mut self, actor: usize, at: u64, value: u64) -> bool {
        match self.actors[actor].pages.get(&at) {
            Some(page) if page.options & K_WRITABLE != 0 => {
                self.cells[page.cell] = value;
                true
            }
            _ => false,
        }
    }

    fn load(&self, actor: usize, at: u64) -> Option<u64> {
        let page = self.actors[actor].pages.get(&at)?;
        Some(self.cells[page.cell])
    }
}

impl Episode {
    /// An actor with a space of its own.
    fn spaced(&self, pick: u8) -> usize {
        let actor = self.actor(pick);
        match self.model.actors[actor].kind {
            K_SUPACTOR => self.actor(pick.wrapping_add(1)),
            _ => actor,
        }
    }

    fn region(
        &mut self,
        caller: usize,
        place: u64,
        (_, range): &Range,
        options: u32,
        opaque: u64,
    ) -> u64 {
        let desc = KnRgnDesc {
            start_addr: BASE + range.start * PAGE_SIZE,
            size: (range.end - range.start) * PAGE_SIZE,
            options,
            opaque1: opaque,
            ..KnRgnDesc::default()
        };
        self.put(caller, place, &desc)
    }

    /// Several calls about regions, so that they meet: what one episode makes of an actor's memory is little otherwise.
    pub(super) fn regions(
        &mut self,
        cpu: usize,
        caller: usize,
        (a, b, c): (u8, u8, u8),
    ) -> Checked {
        let mut mixed = u64::from_le_bytes([a, b, c, a, b, c, a, b]) | 1;
        for _ in 0..BURST {
            // Marsaglia's xorshift.
            mixed ^= mixed << 13;
            mixed ^= mixed >> 7;
            mixed ^= mixed << 17;
            let [op, a, b, c, ..] = mixed.to_be_bytes();
            self.region_call(cpu, caller, op % 9, (a, b, c))?;
        }
        Ok(())
    }

    /// A call about regions, or what a thread stores and loads there.
    fn region_call(
        &mut self,
        cpu: usize,
        caller: usize,
        op: u8,
        (a, b, c): (u8, u8, u8),
    ) -> Checked {
        let (actor, other) = (self.spaced(a), self.spaced(c / 8));
        let (first, count) = (u64::from(b) % PAGES, 1 + u64::from(c) % 2);
        let range: Range = (actor, first..(first + count).min(PAGES));
        let count = range.1.end - range.1.start;
        let second = (u64::from(b) / PAGES % PAGES).min(PAGES - count);
        let from: Range = (other, second..second + count);
        let protection = [K_WRITABLE, K_WRITABLE, 0, K_EXECUTABLE][usize::from(a >> 4) % 4];
        let inherits = [0, K_INHERITCOPY, K_INHERITSHARE][usize::from(a >> 6) % 3];
        let (options, opaque) = (protection | inherits, u64::from(b >> 7));
        let cap = self.put(caller, CAP, &self.caps[actor].clone());
        self.tell(|| format!("pages {range:?} of an actor, {from:?} of the other"));
        let may = |episode: &Episode, actor| episode.model.may_change(caller, actor);
        let refused = Expected::Returns(K_EPRIV);
        match op {
            0 => {
                // Now and then with one thing that is wrong.
                let (wrong, error) = match c {
                    200..=207 => (
                        KnRgnDesc {
                            size: 0,
                            ..KnRgnDesc::default()
                        },
                        K_ESIZE,
                    ),
                    208..=215 => (
                        KnRgnDesc {
                            start_addr: 1 << 50,
                            size: PAGE_SIZE,
                            ..KnRgnDesc::default()
                        },
                        K_EADDR,
                    ),
                    216..=223 => (
                        KnRgnDesc {
                            start_addr: BASE + 8,
                            size: PAGE_SIZE,
                            ..KnRgnDesc::default()
                        },
                        K_EROUND,
                    ),
                    224..=231 => (
                        KnRgnDesc {
                            options: INHERITANCE,
                            ..KnRgnDesc::default()
                        },
                        K_EINVAL,
                    ),
                    232..=239 => (
                        KnRgnDesc {
                            options: 1 << 31,
                            ..KnRgnDesc::default()
                        },
                        K_EINVAL,
                    ),
                    _ => (KnRgnDesc::default(), K_OK),
                };
                let (place, expected) = match (may(self, actor), error) {
                    (false, _) => (
                        self.region(caller, REGION, &range, options, opaque),
                        refused,
                    ),
                    (true, K_OK) => {
                        let place = self.region(caller, REGION, &range, options, opaque);
                        let empty = self.model.is_empty(&range);
                        if empty {
                            for at in range.1.clone() {
                                let cell = self.model.cell(0);
                                let page = Page {
                                    cell,
                                    options,
                                    opaque,
                                };
                                self.model.actors[actor].pages.insert(at, page);
                            }
                        }
                        (
                            place,
                            Expected::Returns(if empty { K_OK } else { K_EOVERLAP }),
                        )
                    }
                    (true, error) => (self.put(caller, REGION, &wrong), Expected::Returns(error)),
                };
                self.call(cpu, caller, number::rgn_allocate, &[cap, place], expected)?;
            }
            1 | 2 => {
                let (name, expected) = match (op, a % 4) {
                    (1, 0) => {
                        if may(self, actor) {
                            let pages = &mut self.model.actors[actor].pages;
                            pages.retain(|at, _| !range.1.contains(at));
                        }
                        (number::rgn_free, Expected::Returns(K_OK))
                    }
                    _ if !may(self, actor) => (number::rgn_set_protect, refused),
                    (1, _) => (
                        number::rgn_set_protect,
                        self.model.change(&range, |page| {
                            page.options = page.options & !PROTECTION | protection;
                        }),
                    ),
                    (_, 0) => (
                        number::rgn_set_opaque,
                        self.model.change(&range, |page| page.opaque = opaque),
                    ),
                    _ => (
                        number::rgn_set_inherit,
                        self.model.change(&range, |page| {
                            page.options = page.options & !INHERITANCE | inherits;
                        }),
                    ),
                };
                let options = match name {
                    number::rgn_set_protect => protection,
                    number::rgn_set_inherit => inherits,
                    _ => 0,
                };
                let place = self.region(caller, REGION, &range, options, opaque);
                let expected = if may(self, actor) { expected } else { refused };
                self.call(cpu, caller, name, &[cap, place], expected)?;
            }
            3 => {
                let cap_from = self.put(caller, CAP_TO, &self.caps[other].clone());
                let copies = a % 4 != 0;
                let name = match copies {
                    true => number::rgn_init_from_actor,
                    false => number::rgn_map_from_actor,
                };
                let expected = match may(self, actor) && may(self, other) {
                    true => self.model.show(&range, &from, (options, opaque), copies),
                    false => refused,
                };
                let arguments = [
                    cap,
                    self.region(caller, REGION, &range, options, opaque),
                    cap_from,
                    self.region(caller, REGION_FROM, &from, 0, 0),
                ];
                self.call(cpu, caller, name, &arguments, expected)?;
            }
            4 => return self.copies(cpu, caller, range, from),
            5..=7 => {
                // Of any page, so that each is met.
                let at = u64::from(b) % PAGES;
                let value = self.made;
                let (id, address) = (self.actors[actor], BASE + at * PAGE_SIZE);
                let space = self.site.nucleus.actors.get(id).unwrap().space;
                let nucleus = self.site.whole();
                let stored = nucleus.write_bytes(id, space, address, &value.to_le_bytes());
                same!(
                    stored.is_ok(),
                    self.model.store(actor, at, value),
                    "a store to page {at} of actor {actor}"
                );
                self.loads(actor)?;
            }
            _ => return self.look_at_regions(cpu, caller, actor),
        }
        Ok(())
    }

    /// What an actor sees.
    fn loads(&mut self, actor: usize) -> Checked {
        let id = self.actors[actor];
        let space = self.site.nucleus.actors.get(id).unwrap().space;
        for at in 0..PAGES {
            let mut bytes = [0; 8];
            let address = BASE + at * PAGE_SIZE;
            let nucleus = self.site.whole();
            let loaded = nucleus.read_bytes(id, space, address, &mut bytes);
            let seen = loaded.ok().map(|()| u64::from_le_bytes(bytes));
            same!(
                seen,
                self.model.load(actor, at),
                "page {at} of actor {actor}"
            );
        }
        Ok(())
    }

    /// `vmCopy`.
    fn copies(&mut self, cpu: usize, caller: usize, to: Range, from: Range) -> Checked {
        let (source, target) = (self.model.whole(&from), self.model.whole(&to));
        let cells = |pages: &Option<Vec<Page>>| -> Vec<usize> {
            pages.iter().flatten().map(|page| page.cell).collect()
        };
        let (read, written) = (cells(&source), cells(&target));
        let twice = |at: &usize| {
            read.contains(at) || written.iter().filter(|other| *other == at).count() > 1
        };
        if written.iter().any(twice) {
            // Pages that show the same: the order would count.
            return Ok(());
        }
        let pages = &self.model.actors[to.0].pages;
        let protected = to.1.clone().any(|at| {
            pages
                .get(&at)
                .is_some_and(|page| page.options & K_WRITABLE == 0)
        });
        let both = self.model.may_change(caller, to.0) && self.model.may_change(caller, from.0);
        let expected = match (both, source.is_some() && target.is_some(), protected) {
            (false, ..) => K_EPRIV,
            // Two things are wrong.
            (true, false, true) => return Ok(()),
            (true, false, false) => K_EADDR,
            (true, true, true) => K_EPROT,
            (true, true, false) => K_OK,
        };
        let size = (to.1.end - to.1.start) * PAGE_SIZE;
        let arguments = [
            self.put(caller, CAP, &self.caps[from.0].clone()),
            BASE + from.1.start * PAGE_SIZE,
            self.put(caller, CAP_TO, &self.caps[to.0].clone()),
            BASE + to.1.start * PAGE_SIZE,
            size,
        ];
        let seen = Expected::Returns(expected);
        self.call(cpu, caller, number::vm_copy, &arguments, seen)?;
        if expected == K_OK {
            for (to, from) in written.into_iter().zip(read) {
                self.model.cells[to] = self.model.cells[from];
            }
        }
        self.loads(to.0)
    }

    /// `rgnStat`: neighbours that are alike count as one.
    fn look_at_regions(&mut self, cpu: usize, caller: usize, actor: usize) -> Checked {
        let home = self.actors[self.model.threads[caller].actor];
        let mut runs: Vec<(u64, u64, u32, u64)> = Vec::new();
        for (&at, page) in &self.model.actors[actor].pages {
            let (start, alike) = (BASE + at * PAGE_SIZE, (page.options, page.opaque));
            match runs.last_mut() {
                Some((from, size, options, opaque))
                    if *from + *size == start && (*options, *opaque) == alike =>
                {
                    *size += PAGE_SIZE;
                }
                _ => runs.push((start, PAGE_SIZE, page.options, page.opaque)),
            }
        }
        let may = self.model.may_change(caller, actor);
        let count = if may { runs.len() as i32 } else { K_EPRIV };
        let arguments = [
            self.put(caller, CAP, &self.caps[actor].clone()),
            self.region(caller, REGION, &(actor, 0..PAGES), 0, 0),
            self.site.at(home, STAT),
            PAGES * size_of::<KnRgnStat>() as u64,
        ];
        let expected = Expected::Returns(count);
        self.call(cpu, caller, number::rgn_stat, &arguments, expected)?;
        for (index, run) in runs.into_iter().enumerate().filter(|_| may) {
            let at = STAT + (index * size_of::<KnRgnStat>()) as u64;
            let stat: KnRgnStat = self.site.get(home, at);
            let found = (stat.start_addr, stat.size, stat.options, stat.opaque1);
            same!(found, run, "region {index} of actor {actor}");
        }
        Ok(())
    }
}
