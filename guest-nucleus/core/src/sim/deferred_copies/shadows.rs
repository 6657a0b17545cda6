//! Deferred copies by shadow objects: who stores gets a new object on top of what both had, which stays as it was.

use super::{Found, PAGES, Strategy, Work, free};
use std::prelude::rust_2024::*;
use std::vec;

/// An object; what it lacks is in the one that it shadows.
struct Object {
    pages: Vec<Option<u64>>,
    below: Option<usize>,
    /// Regions and objects that lead here.
    users: usize,
}

/// A region: its topmost object, and whether the next store makes a new one.
#[derive(Clone, Copy)]
struct Region {
    top: usize,
    frozen: bool,
}

/// The objects and regions.
#[derive(Default)]
pub struct Shadows {
    objects: Vec<Option<Object>>,
    regions: Vec<Option<Region>>,
    work: Work,
}

impl Shadows {
    fn at(&self, id: usize) -> &Object {
        self.objects[id].as_ref().expect("an object that is gone")
    }

    fn at_mut(&mut self, id: usize) -> &mut Object {
        self.objects[id].as_mut().expect("an object that is gone")
    }

    fn put(&mut self, below: Option<usize>) -> usize {
        self.work.objects_made += 1;
        let object = Object {
            pages: vec![None; PAGES],
            below,
            users: 1,
        };
        let id = free(&mut self.objects);
        self.objects[id] = Some(object);
        id
    }

    fn region(&self, region: usize) -> Region {
        self.regions[region].expect("a region that is gone")
    }

    /// Somebody uses an object no more.
    fn leave(&mut self, id: usize) {
        self.at_mut(id).users -= 1;
        if self.at(id).users == 0 {
            let below = self.at(id).below;
            self.objects[id] = None;
            if let Some(below) = below {
                self.leave(below);
            }
        }
    }

    /// All that can be said to be short is made short: below everything that is above something, an object that only this one uses is merged into it,
    /// and one of which nothing is seen from here is passed by. A Mach that looks at each moment at all its objects.
    fn collapse(&mut self) {
        let mut changed = true;
        while std::mem::take(&mut changed) {
            for id in 0..self.objects.len() {
                let Some(below) = self.objects[id].as_ref().and_then(|object| object.below) else {
                    continue;
                };
                if self.at(below).users == 1 {
                    let under = self.objects[below].take().expect("an object that is gone");
                    let top = self.objects[id].as_mut().expect("an object that is gone");
                    for (own, held) in top.pages.iter_mut().zip(under.pages) {
                        if own.is_none() && held.is_some() {
                            *own = held;
                            self.work.moved += 1;
                        }
                    }
                    top.below = under.below;
                    changed = true;
                } else if let pages = &self.at(below).pages
                    && pages
                        .iter()
                        .zip(&self.at(id).pages)
                        .all(|(under, own)| under.is_none() || own.is_some())
                {
                    let next = self.at(below).below;
                    self.at_mut(id).below = next;
                    if let Some(next) = next {
                        self.at_mut(next).users += 1;
                    }
                    self.leave(below);
                    changed = true;
                }
            }
        }
    }
}

impl Strategy for Shadows {
    fn make(&mut self) -> usize {
        let top = self.put(None);
        self.regions.push(Some(Region { top, frozen: false }));
        self.regions.len() - 1
    }

    fn copy(&mut self, source: usize) -> usize {
        let top = self.region(source).top;
        self.at_mut(top).users += 1;
        let region = Some(Region { top, frozen: true });
        self.regions[source] = region;
        self.regions.push(region);
        self.regions.len() - 1
    }

    fn find(&mut self, region: usize, page: usize) -> Found {
        let Region { top, frozen } = self.region(region);
        let (mut at, mut depth) = (top, 1);
        loop {
            let object = self.at(at);
            if let Some(value) = object.pages[page] {
                let own = at == top && !(frozen && self.at(top).users > 1);
                return Found { value, depth, own };
            }
            let Some(below) = object.below else {
                return Found {
                    value: 0,
                    depth,
                    own: false,
                };
            };
            (at, depth) = (below, depth + 1);
        }
    }

    fn store(&mut self, region: usize, page: usize, value: u64) {
        let before = self.find(region, page);
        self.work.copied += u64::from(!before.own && before.value != 0);
        let Region { mut top, frozen } = self.region(region);
        // What nobody else has any more needs no shadow.
        let shadows = frozen && self.at(top).users > 1;
        if shadows {
            // The shadow uses it in the place of the region.
            top = self.put(Some(top));
        }
        self.regions[region] = Some(Region { top, frozen: false });
        self.at_mut(top).pages[page] = Some(value);
        self.collapse();
    }

    fn free(&mut self, region: usize) {
        let top = self.region(region).top;
        self.regions[region] = None;
        self.leave(top);
        self.collapse();
    }

    fn held(&self) -> (u64, u64) {
        let objects = self.objects.iter().flatten();
        let pages = objects.clone().flat_map(|object| &object.pages);
        (pages.flatten().count() as u64, objects.count() as u64)
    }

    fn work(&self) -> Work {
        self.work
    }
}
