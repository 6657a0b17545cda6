//! What people type for a site's actors: the reading half of the console service.
//!
//! Bytes wait for a reader, or a reader for bytes; both queues are bounded. A reader is a request of a guest that is answered later,
//! so it is kept as the token by which it can be answered.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

/// Bytes that wait for a reader, at most, a site.
const BYTES_MAX: usize = 4096;
/// Readers that wait for bytes, at most, a site. One more is refused.
const READERS_MAX: usize = 64;

/// A reader that waits: its token, and how much it takes.
type Reader = (u64, usize);

#[derive(Default)]
struct SiteInput {
    bytes: VecDeque<u8>,
    readers: VecDeque<Reader>,
}

/// What becomes of a request to read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Read {
    /// Bytes at once.
    Now(Vec<u8>),
    /// It waits.
    Later,
    /// Too many wait already.
    Refused,
}

/// Input of all sites.
#[derive(Default)]
pub struct Input(Mutex<BTreeMap<u16, SiteInput>>);

impl Input {
    /// A request to read at most `room` bytes.
    pub fn read(&self, site: u16, token: u64, room: usize) -> Read {
        let mut sites = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let input = sites.entry(site).or_default();
        if !input.bytes.is_empty() && room > 0 {
            let take = room.min(input.bytes.len());
            return Read::Now(input.bytes.drain(..take).collect());
        }
        if input.readers.len() >= READERS_MAX {
            return Read::Refused;
        }
        input.readers.push_back((token, room));
        Read::Later
    }

    /// Takes typed bytes; gives back the readers that can be answered now. What finds no room is dropped.
    pub fn typed(&self, site: u16, bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
        let mut sites = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let input = sites.entry(site).or_default();
        let room = BYTES_MAX.saturating_sub(input.bytes.len());
        input.bytes.extend(&bytes[..bytes.len().min(room)]);
        let mut answered = Vec::new();
        while !input.bytes.is_empty() {
            let Some((token, room)) = input.readers.pop_front() else {
                break;
            };
            let take = room.min(input.bytes.len());
            answered.push((token, input.bytes.drain(..take).collect()));
        }
        answered
    }

    /// The reader left.
    pub fn cancel(&self, token: u64) {
        let mut sites = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for input in sites.values_mut() {
            input.readers.retain(|(waiting, _)| *waiting != token);
        }
    }

    /// The site is gone: nobody reads and nobody's bytes wait.
    pub fn end_site(&self, site: u16) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&site);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_readers_meet_in_order() {
        let input = Input::default();
        assert_eq!(input.read(1, 10, 2), Read::Later);
        assert_eq!(input.read(1, 11, 2), Read::Later);
        assert_eq!(
            input.typed(1, b"abc"),
            [(10, b"ab".to_vec()), (11, b"c".to_vec())]
        );
        assert_eq!(input.typed(1, b"de"), []);
        assert_eq!(input.read(1, 12, 1), Read::Now(b"d".to_vec()));
        assert_eq!(input.read(2, 13, 1), Read::Later);
        input.cancel(13);
        assert_eq!(input.typed(2, b"x"), []);
    }

    #[test]
    fn both_queues_are_bounded() {
        let input = Input::default();
        input.typed(1, &[b'x'; 3 * BYTES_MAX]);
        assert_eq!(
            input.read(1, 1, usize::MAX),
            Read::Now(vec![b'x'; BYTES_MAX])
        );
        for token in 0..READERS_MAX as u64 {
            assert_eq!(input.read(1, token, 1), Read::Later);
        }
        assert_eq!(input.read(1, 99, 1), Read::Refused);
    }

    #[test]
    fn a_reader_without_room_gets_nothing_and_stops_nobody() {
        let input = Input::default();
        input.read(1, 1, 0);
        assert_eq!(input.typed(1, b"a"), [(1, vec![])]);
        assert_eq!(input.read(1, 2, 1), Read::Now(b"a".to_vec()));
    }
}
