//! A default mapper that a test plays: honest, slow, dying or lying.

use super::site::Site;
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::executive::thread::Thread;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::*;

type Page = [u8; PAGE_SIZE as usize];

/// Where its messages lie in its memory, behind what others put there.
const ANNEX: u64 = 0x8800;
const DESC: u64 = 0x8900;
const PORT: u64 = 0x8a00;
const BODY: u64 = 0x9000;

/// What it does with a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mood {
    /// What is asked.
    Honest,
    /// It says no.
    Refuses,
    /// It says yes, and gives other bytes.
    OtherBytes,
    /// It gives another page.
    OtherPage,
    /// It gives half a page, and says that it is all.
    Half,
    /// It names a segment that it named already, or somebody else's.
    OldSegment,
    StrangeSegment,
}

/// The mapper.
pub(super) struct DefaultMapper {
    pub(super) actor: Id<Actor>,
    pub(super) thread: Id<Thread>,
    pub(super) mood: Mood,
    /// Pages of its segments, by key and offset.
    pub(super) pages: BTreeMap<(u64, u64), Page>,
    /// Keys of segments that were not released.
    pub(super) alive: BTreeSet<u64>,
    pub(super) created: u64,
    pub(super) released: Vec<u64>,
    /// Pages taken and given.
    pub(super) taken: u64,
    pub(super) given: u64,
    /// A port of somebody else.
    pub(super) stranger: KnUniqueId,
    /// A request whose answer found no frame, as may happen on a site that keeps none back: the answer is made again.
    open: Option<KnMpRequest>,
}

impl DefaultMapper {
    /// An actor joins the group of default mappers; its memory is all there.
    pub(super) fn new(site: &mut Site, actor: Id<Actor>) -> DefaultMapper {
        let thread = site.thread(actor);
        for page in 0..16 {
            let at = page * PAGE_SIZE;
            let before: u64 = site.get(actor, at);
            site.put(actor, at, &before);
        }
        let group = KnCap {
            ui: KnUniqueId::static_group(true, STAMP_DEFAULT_MAPPER),
            key: 0,
        };
        let group = site.put(actor, ANNEX, &group);
        let own = site.nucleus.actors.get(actor).unwrap().cap.ui;
        let port = site.put(actor, PORT, &own);
        let made = site.call(thread, "grpAllocate", &[K_STATSYS as u64, group, 1]);
        assert_eq!(made, Some(K_OK));
        let joined = site.call(thread, "grpPortInsert", &[group, port]);
        assert_eq!(joined, Some(K_OK));
        DefaultMapper {
            actor,
            thread,
            mood: Mood::Honest,
            pages: BTreeMap::new(),
            alive: BTreeSet::new(),
            created: 0,
            released: Vec::new(),
            taken: 0,
            given: 0,
            stranger: KnUniqueId::NULL,
            open: None,
        }
    }

    fn desc(&self, site: &mut Site, size: usize) -> u64 {
        let desc = KnMsgDesc {
            body_size: size as u32,
            body_addr: site.at(self.actor, BODY),
            annex_addr: site.at(self.actor, ANNEX),
            ..KnMsgDesc::default()
        };
        site.put(self.actor, DESC, &desc)
    }

    /// The next request, if there is one; it is the thread's current message then.
    pub(super) fn next(&mut self, site: &mut Site) -> Option<KnMpRequest> {
        let desc = self.desc(site, PAGE_SIZE as usize);
        let port = site.put(self.actor, PORT, &K_DEFAULTPORT);
        let got = site.call(self.thread, "ipcReceive", &[desc, port, 0]);
        let got = got.expect("it does not wait");
        if got == K_ETIMEOUT {
            return None;
        }
        assert!(got >= 0, "{got}");
        Some(site.get(self.actor, ANNEX))
    }

    /// Answers the request that was received last.
    pub(super) fn answer(&mut self, site: &mut Site, request: &KnMpRequest) {
        let (key, offset) = (request.seg_key, request.offset);
        let refuses = self.mood == Mood::Refuses;
        let diag = if refuses { K_EBUSY } else { 0 };
        let mut size = 0;
        match request.service {
            KN_MPCREATE => {
                let own = site.nucleus.actors.get(self.actor).unwrap().cap.ui;
                let (ui, key) = match self.mood {
                    Mood::OldSegment => (own, 1),
                    Mood::StrangeSegment => (self.stranger, 7),
                    _ => {
                        self.created += u64::from(!refuses);
                        (own, self.created)
                    }
                };
                self.alive.insert(key);
                let seg_cap = KnCap { ui, key };
                let reply = KnMpCreateReply {
                    diag,
                    seg_cap,
                    ..KnMpCreateReply::default()
                };
                site.put(self.actor, ANNEX, &reply);
            }
            service => {
                let mut reply = KnMpReply {
                    diag,
                    ..KnMpReply::default()
                };
                match service {
                    KN_MPPUSHOUT if !refuses => {
                        assert!(
                            self.alive.contains(&key),
                            "a page for a segment that is not"
                        );
                        self.taken += 1;
                        let page = site.get(self.actor, BODY);
                        self.pages.insert((key, offset), page);
                    }
                    KN_MPPULLIN if !refuses => {
                        self.given += 1;
                        assert!(self.alive.contains(&key), "a page of a segment that is not");
                        let mut page = self.pages[&(key, offset)];
                        (reply.offset, reply.size) = (offset, PAGE_SIZE);
                        reply.access = request.access;
                        size = PAGE_SIZE as usize;
                        match self.mood {
                            Mood::OtherBytes => page[77] ^= 1,
                            Mood::OtherPage => reply.offset += PAGE_SIZE,
                            Mood::Half => {
                                size = 1;
                            }
                            _ => {}
                        }
                        site.put(self.actor, BODY, &page);
                    }
                    KN_MPRELEASE => {
                        assert!(self.alive.remove(&key), "released what is not");
                        self.pages.retain(|&(of, _), _| of != key);
                        self.released.push(key);
                    }
                    _ => {}
                }
                site.put(self.actor, ANNEX, &reply);
            }
        }
        let desc = self.desc(site, size);
        let answered = site.call(self.thread, "ipcReply", &[desc]);
        self.open = (answered == Some(K_ENOMEM)).then_some(*request);
        assert!(
            answered == Some(K_OK) || self.open.is_some(),
            "{answered:?}"
        );
        site.settle();
    }

    /// Answers everything; how many there were.
    pub(super) fn serve(&mut self, site: &mut Site) -> usize {
        let mut count = 0;
        while let Some(request) = self.open.take().or_else(|| self.next(site)) {
            self.answer(site, &request);
            if self.open.is_some() {
                break;
            }
            count += 1;
        }
        count
    }
}
