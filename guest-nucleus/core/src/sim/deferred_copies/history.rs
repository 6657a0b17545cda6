//! Deferred copies by history objects: who stores keeps its place, and the old page goes down to the copy.

use super::{Found, PAGES, Strategy, Work, free};
use std::collections::BTreeSet;
use std::prelude::rust_2024::*;
use std::vec;

/// A cache. One that is mapped has one child at most; a *working* one, which nobody maps, has two or more.
struct Cache {
    pages: Vec<Option<u64>>,
    parent: Option<usize>,
    children: Vec<usize>,
    mapped: bool,
}

/// The caches; a region is named by its own. With `SHARED`, a page that has to go down is shared with the cache above that has it, and not copied once more:
/// per-page stubs.
#[derive(Default)]
pub struct History<const SHARED: bool> {
    caches: Vec<Option<Cache>>,
    work: Work,
}

impl<const SHARED: bool> History<SHARED> {
    fn put(&mut self, mapped: bool, parent: Option<usize>) -> usize {
        self.work.objects_made += 1;
        let cache = Cache {
            pages: vec![None; PAGES],
            parent,
            children: Vec::new(),
            mapped,
        };
        let id = free(&mut self.caches);
        self.caches[id] = Some(cache);
        if let Some(parent) = parent {
            self.at_mut(parent).children.push(id);
        }
        id
    }

    fn at(&self, id: usize) -> &Cache {
        self.caches[id].as_ref().expect("a cache that is gone")
    }

    fn at_mut(&mut self, id: usize) -> &mut Cache {
        self.caches[id].as_mut().expect("a cache that is gone")
    }

    fn unlink(&mut self, id: usize) {
        if let Some(parent) = self.at_mut(id).parent.take() {
            self.at_mut(parent).children.retain(|&child| child != id);
        }
    }

    fn link(&mut self, id: usize, parent: usize) {
        self.at_mut(id).parent = Some(parent);
        self.at_mut(parent).children.push(id);
    }

    /// Whether a region sees a page of the parent through a cache.
    fn is_seen_through(&self, id: usize, page: usize) -> bool {
        let cache = self.at(id);
        let mut children = cache.children.iter();
        cache.pages[page].is_none()
            && (cache.mapped || children.any(|&child| self.is_seen_through(child, page)))
    }

    /// A cache that nobody maps goes when nobody sees through it, and into the only child that does.
    fn settle(&mut self, id: usize) {
        if self.at(id).mapped {
            return;
        }
        let parent = self.at(id).parent;
        match *self.at(id).children.as_slice() {
            [] => {
                self.unlink(id);
                self.caches[id] = None;
                if let Some(parent) = parent {
                    self.settle(parent);
                }
            }
            [child] => {
                let pages = std::mem::take(&mut self.at_mut(id).pages);
                for (page, held) in pages.into_iter().enumerate() {
                    if held.is_some() && self.is_seen_through(child, page) {
                        self.at_mut(child).pages[page] = held;
                        self.work.moved += 1;
                    }
                }
                self.unlink(child);
                self.unlink(id);
                self.caches[id] = None;
                if let Some(parent) = parent {
                    self.link(child, parent);
                    self.settle(parent);
                }
            }
            _ => {}
        }
    }
}

impl<const SHARED: bool> Strategy for History<SHARED> {
    fn make(&mut self) -> usize {
        self.put(true, None)
    }

    fn copy(&mut self, source: usize) -> usize {
        let parent = match *self.at(source).children.as_slice() {
            [] => source,
            [child] => {
                let found = self.at(child);
                if !found.mapped && found.pages.iter().all(Option::is_none) {
                    child
                } else {
                    let working = self.put(false, None);
                    self.unlink(child);
                    self.link(working, source);
                    self.link(child, working);
                    working
                }
            }
            _ => unreachable!("a mapped cache with two children"),
        };
        self.put(true, Some(parent))
    }

    fn find(&mut self, region: usize, page: usize) -> Found {
        let (mut at, mut depth) = (region, 1);
        loop {
            let cache = self.at(at);
            if let Some(value) = cache.pages[page] {
                return Found {
                    value,
                    depth,
                    own: at == region,
                };
            }
            let Some(parent) = cache.parent else {
                return Found {
                    value: 0,
                    depth,
                    own: false,
                };
            };
            (at, depth) = (parent, depth + 1);
        }
    }

    fn store(&mut self, region: usize, page: usize, value: u64) {
        let before = self.find(region, page);
        self.work.copied += u64::from(!before.own && before.value != 0);
        let child = self.at(region).children.first().copied();
        if let Some(child) = child.filter(|&child| self.is_seen_through(child, page))
            && before.value != 0
        {
            self.at_mut(child).pages[page] = Some(before.value);
            self.work.copied += u64::from(before.own || !SHARED);
        }
        self.at_mut(region).pages[page] = Some(value);
    }

    fn free(&mut self, region: usize) {
        self.at_mut(region).mapped = false;
        self.settle(region);
    }

    fn held(&self) -> (u64, u64) {
        let caches = self.caches.iter().flatten();
        let pages = caches.clone().flat_map(|cache| &cache.pages).flatten();
        // Two pages of the same content are one frame, or else one is a copy.
        let frames = match SHARED {
            true => pages.collect::<BTreeSet<_>>().len(),
            false => pages.count(),
        };
        (frames as u64, caches.count() as u64)
    }

    fn work(&self) -> Work {
        self.work
    }
}
