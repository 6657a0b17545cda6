//! How actors ended, for those who wait for it.
//!
//! The notice of an end may come before the answer that says which actor was started (a short actor, a lost frame), so ends are
//! kept for a while whether somebody waits or not; a bounded while, whatever the guests send.

use chorus_abi::KnUniqueId;
use chorus_abi::services::{ControlNotice, EXCEPTIONS};
use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Ends that are kept without anybody waiting for them.
const KEPT: usize = 4096;

/// How an actor ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// By `actorExit`, with this status.
    Exit(i32),
    /// Deleted by another.
    Deleted,
    /// By an exception; for people.
    Exception(String),
    /// Its site ended.
    SiteEnded,
}

impl End {
    /// From the site manager's notice and the text beside it.
    pub fn from_notice(notice: &ControlNotice, text: &str) -> End {
        match (notice.reason, notice.status) {
            (0, i32::MIN) => End::Deleted,
            (0, status) => End::Exit(status),
            (number, _) => {
                let known = usize::try_from(number)
                    .ok()
                    .and_then(|number| EXCEPTIONS.get(number));
                let name = known.copied().unwrap_or("unknown exception");
                let more = if text.is_empty() {
                    String::new()
                } else {
                    format!(": {text}")
                };
                End::Exception(format!(
                    "{name} at {:#x}, address {:#x}{more}",
                    notice.pc, notice.address
                ))
            }
        }
    }

    /// In words, when it was not by `actorExit`.
    pub fn why(&self) -> Option<String> {
        match self {
            End::Exit(_) => None,
            End::Deleted => Some("deleted by another".to_owned()),
            End::Exception(text) => Some(text.clone()),
            End::SiteEnded => Some("its site ended".to_owned()),
        }
    }
}

/// Site and UI of an actor's default port.
type Key = (u16, u64);

#[derive(Default)]
struct Inner {
    ends: HashMap<Key, End>,
    order: VecDeque<Key>,
    /// The last incarnation of each site that has ended.
    dead: HashMap<u16, u16>,
}

/// The ends of all actors.
#[derive(Default)]
pub struct Ends {
    inner: Mutex<Inner>,
    changed: Condvar,
}

impl Ends {
    /// An actor has ended.
    pub fn ended(&self, site: u16, actor: KnUniqueId, end: End) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (site, actor.word());
        if inner.ends.insert(key, end).is_none() {
            inner.order.push_back(key);
        }
        while inner.order.len() > KEPT {
            if let Some(old) = inner.order.pop_front() {
                inner.ends.remove(&old);
            }
        }
        drop(inner);
        self.changed.notify_all();
    }

    /// An incarnation of a site has ended, and all its actors with it.
    pub fn site_ended(&self, site: u16, incarnation: u16) {
        self.inner
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .dead
            .insert(site, incarnation);
        self.changed.notify_all();
    }

    /// Waits up to `limit` for an actor's end, and takes it.
    pub fn wait(&self, site: u16, actor: KnUniqueId, limit: Duration) -> Option<End> {
        let key = (site, actor.word());
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        // The name of a port says in which incarnation of its site it was made.
        let dead = |inner: &Inner| {
            let last = inner.dead.get(&site);
            last.is_some_and(|&last| actor.epoch() <= last)
        };
        let waiting = |inner: &mut Inner| !inner.ends.contains_key(&key) && !dead(inner);
        let (mut inner, _) = self
            .changed
            .wait_timeout_while(inner, limit, waiting)
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(end) = inner.ends.remove(&key) {
            inner.order.retain(|kept| *kept != key);
            return Some(end);
        }
        dead(&inner).then_some(End::SiteEnded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actor(number: u32) -> KnUniqueId {
        KnUniqueId::from_fields(1, chorus_abi::UiType::Port, 1, number)
    }

    #[test]
    fn an_end_that_came_early_is_found() {
        let ends = Ends::default();
        ends.ended(1, actor(7), End::Exit(3));
        assert_eq!(ends.wait(2, actor(7), Duration::ZERO), None);
        assert_eq!(ends.wait(1, actor(7), Duration::ZERO), Some(End::Exit(3)));
        assert_eq!(ends.wait(1, actor(7), Duration::ZERO), None);
        ends.site_ended(1, 1);
        assert_eq!(
            ends.wait(1, actor(8), Duration::from_secs(60)),
            Some(End::SiteEnded)
        );
    }

    #[test]
    fn guests_cannot_fill_the_memory() {
        let ends = Ends::default();
        for number in 0..3 * KEPT as u32 {
            ends.ended(1, actor(number), End::Deleted);
        }
        let inner = ends.inner.lock().unwrap();
        assert_eq!((inner.ends.len(), inner.order.len()), (KEPT, KEPT));
    }

    #[test]
    fn notices_are_told_apart() {
        let mut notice = ControlNotice {
            status: 5,
            ..ControlNotice::default()
        };
        assert_eq!(End::from_notice(&notice, ""), End::Exit(5));
        notice.status = i32::MIN;
        assert_eq!(End::from_notice(&notice, ""), End::Deleted);
        notice.reason = 7;
        assert!(
            matches!(End::from_notice(&notice, "x"), End::Exception(text) if text.contains("no region at address"))
        );
        notice.reason = u32::MAX;
        assert!(
            matches!(End::from_notice(&notice, ""), End::Exception(text) if text.contains("unknown"))
        );
    }
}
