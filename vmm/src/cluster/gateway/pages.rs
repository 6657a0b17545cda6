//! Pages that left the memory of sites: the store behind the default mappers of the guests.
//!
//! Each site that was given room (`swap`) has a file of its own, without a name, so that nothing is left behind however the cluster ends. A site reaches its
//! own pages and nobody else's: which site asks is what the frame says, not the message.

use chorus_abi::services::{Answer, PAGE_FORGET, PAGE_GIVE, PAGE_KEEP, PageRequest};
use chorus_abi::{KError, PAGE_SIZE};
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

const PAGE: usize = PAGE_SIZE as usize;

/// What has gone through the store for a site.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Moved {
    /// Pages that were kept.
    pub out: u64,
    /// Pages that were given back.
    pub back: u64,
}

/// The pages of one site.
struct Store {
    folder: PathBuf,
    /// Made when the first page comes.
    file: Option<File>,
    /// Most pages.
    room: u32,
    /// Places in the file that were used and are free.
    free: Vec<u32>,
    /// Places that were ever used.
    extent: u32,
    places: HashMap<(u64, u64), u32>,
    moved: Moved,
}

/// The stores of all sites.
#[derive(Default)]
pub struct Pages {
    sites: Mutex<HashMap<u16, Store>>,
}

/// A file without a name in a folder.
fn nameless(folder: &Path) -> io::Result<File> {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = folder.join(format!("pages-{}-{number}", std::process::id()));
    let mut options = File::options();
    let file = options
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

impl Store {
    fn keep(&mut self, at: (u64, u64), page: &[u8]) -> Result<(), KError> {
        if page.len() != PAGE {
            return Err(KError::Size);
        }
        if self.file.is_none() {
            self.file = Some(nameless(&self.folder).map_err(|_| KError::NoMem)?);
        }
        let file = self.file.as_ref().ok_or(KError::NoMem)?;
        let (place, fresh) = match self.places.get(&at) {
            Some(&place) => (place, false),
            None if !self.free.is_empty() => (*self.free.last().ok_or(KError::NoMem)?, true),
            None if self.extent < self.room => (self.extent, true),
            None => return Err(KError::NoMem),
        };
        file.write_all_at(page, u64::from(place) * PAGE_SIZE)
            .map_err(|_| KError::NoMem)?;
        if fresh {
            if self.free.pop().is_none() {
                self.extent += 1;
            }
            self.places.insert(at, place);
        }
        self.moved.out += 1;
        Ok(())
    }

    fn give(&mut self, at: (u64, u64)) -> Result<Vec<u8>, KError> {
        let (Some(&place), Some(file)) = (self.places.get(&at), &self.file) else {
            return Err(KError::Unknown);
        };
        let mut page = vec![0; PAGE];
        file.read_exact_at(&mut page, u64::from(place) * PAGE_SIZE)
            .map_err(|_| KError::Mapper)?;
        self.moved.back += 1;
        Ok(page)
    }

    fn forget(&mut self, key: u64) {
        let free = &mut self.free;
        self.places.retain(|&(of, _), place| {
            let stays = of != key;
            if !stays {
                free.push(*place);
            }
            stays
        });
    }
}

impl Pages {
    /// Gives a site room for so many bytes, in a file of a folder.
    pub fn provide(&self, site: u16, bytes: u64, folder: &Path) {
        let store = Store {
            folder: folder.to_owned(),
            file: None,
            room: u32::try_from(bytes / PAGE_SIZE).unwrap_or(u32::MAX),
            free: Vec::new(),
            extent: 0,
            places: HashMap::new(),
            moved: Moved::default(),
        };
        let mut sites = self.sites.lock().unwrap_or_else(PoisonError::into_inner);
        sites.insert(site, store);
    }

    /// What has gone through the store for a site; `None`: it has no room.
    pub fn moved(&self, site: u16) -> Option<Moved> {
        let sites = self.sites.lock().unwrap_or_else(PoisonError::into_inner);
        sites.get(&site).map(|store| store.moved)
    }

    /// A site is gone, and its pages with it.
    pub fn end_site(&self, site: u16) {
        let mut sites = self.sites.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = sites.get_mut(&site) {
            (store.file, store.extent) = (None, 0);
            store.places.clear();
            store.free.clear();
        }
    }

    /// Answers a request of a site: annex and body of the reply.
    pub fn serve(&self, site: u16, annex: &[u8; 64], body: &[u8]) -> ([u8; 64], Vec<u8>) {
        let request = PageRequest::from_annex(annex);
        let at = (request.key, request.offset);
        let mut sites = self.sites.lock().unwrap_or_else(PoisonError::into_inner);
        let done = match (sites.get_mut(&site), request.service) {
            (None, _) => Err(KError::NoMem),
            (Some(store), PAGE_KEEP) => store.keep(at, body).map(|()| Vec::new()),
            (Some(store), PAGE_GIVE) => store.give(at),
            (Some(store), PAGE_FORGET) => {
                store.forget(request.key);
                Ok(Vec::new())
            }
            _ => Err(KError::Inval),
        };
        let (result, body) = match done {
            Ok(body) => (0, body),
            Err(error) => (error.code(), Vec::new()),
        };
        let answer = Answer {
            result,
            ..Answer::default()
        };
        (answer.to_annex(), body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(pages: &Pages, site: u16, service: u32, at: (u64, u64), body: &[u8]) -> (i32, Vec<u8>) {
        let request = PageRequest {
            service,
            pad: 0,
            key: at.0,
            offset: at.1,
        };
        let (annex, body) = pages.serve(site, &request.to_annex(), body);
        (Answer::from_annex(&annex).result, body)
    }

    #[test]
    fn pages_come_back_to_their_own_site_only() {
        let pages = Pages::default();
        pages.provide(1, 2 * PAGE_SIZE, &std::env::temp_dir());
        pages.provide(2, 9 * PAGE_SIZE, &std::env::temp_dir());
        let page = |byte: u8| vec![byte; PAGE];
        assert_eq!(ask(&pages, 1, PAGE_KEEP, (7, 0), &page(1)).0, 0);
        assert_eq!(ask(&pages, 1, PAGE_KEEP, (7, 4096), &page(2)).0, 0);
        assert_eq!(ask(&pages, 1, PAGE_KEEP, (7, 0), &page(3)).0, 0);
        let full = ask(&pages, 1, PAGE_KEEP, (8, 0), &page(4)).0;
        assert_eq!(full, KError::NoMem.code());
        assert_eq!(ask(&pages, 1, PAGE_GIVE, (7, 0), b""), (0, page(3)));
        assert_eq!(ask(&pages, 1, PAGE_GIVE, (7, 4096), b""), (0, page(2)));
        let foreign = ask(&pages, 2, PAGE_GIVE, (7, 0), b"").0;
        assert_eq!(foreign, KError::Unknown.code());
        assert_eq!(ask(&pages, 1, PAGE_FORGET, (7, 0), b"").0, 0);
        assert_eq!(
            ask(&pages, 1, PAGE_GIVE, (7, 0), b"").0,
            KError::Unknown.code()
        );
        assert_eq!(ask(&pages, 1, PAGE_KEEP, (8, 0), &page(4)).0, 0);
        assert_eq!(ask(&pages, 1, PAGE_GIVE, (8, 0), b""), (0, page(4)));
        let moved = Moved { out: 4, back: 3 };
        assert_eq!((pages.moved(1), pages.moved(3)), (Some(moved), None));
        assert_eq!(
            ask(&pages, 1, PAGE_KEEP, (9, 0), b"short").0,
            KError::Size.code()
        );
        assert_eq!(
            ask(&pages, 3, PAGE_KEEP, (9, 0), &page(1)).0,
            KError::NoMem.code()
        );
        pages.end_site(1);
        assert_eq!(
            ask(&pages, 1, PAGE_GIVE, (8, 0), b"").0,
            KError::Unknown.code()
        );
    }
}
