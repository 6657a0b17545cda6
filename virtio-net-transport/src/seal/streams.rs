//! Frames of one direction: numbered and sealed by the sender, opened once each by the receiver.

use super::keys::Key;
use crate::window::Window;
use alloc::boxed::Box;
use core::fmt;

/// Words of the replay window: frames of one key that may overtake each other are 2,048.
const WORDS: usize = 32;

/// Number of a key, and of the frame under it, as the counter of a frame says them.
pub(super) fn parts(counter: u64) -> (u32, u32) {
    ((counter >> 32) as u32, counter as u32)
}

/// The way out.
pub(super) struct Outgoing {
    pub(super) key: Key,
    /// Number of the key.
    number: u32,
    /// Frames sealed with it.
    sealed: u32,
    /// When its first frame was sealed.
    since: u64,
}

impl Outgoing {
    pub(super) fn new(key: Key) -> Outgoing {
        Outgoing {
            key,
            number: 0,
            sealed: 0,
            since: 0,
        }
    }

    /// The counter of the next frame. The key is made anew by `derive` if it has sealed `frames` or is older than `age`; then the second is true.
    /// `None`: there are no more numbers.
    pub(super) fn next(
        &mut self,
        now: u64,
        frames: u32,
        age: u64,
        derive: impl FnOnce(u32) -> Key,
    ) -> Option<(u64, bool)> {
        let old = self.sealed > 0 && now.saturating_sub(self.since) >= age;
        let renewed = self.sealed >= frames.max(1) || old;
        if renewed {
            let number = self.number.checked_add(1)?;
            self.key = derive(number);
            self.number = number;
            self.sealed = 0;
        }
        if self.sealed == 0 {
            self.since = now;
        }
        self.sealed += 1;
        Some((
            u64::from(self.number) << 32 | u64::from(self.sealed),
            renewed,
        ))
    }
}

/// Frames that are sent change nothing but these numbers.
impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Outgoing")
    }
}

/// Frames of one key.
struct Heard {
    key: Key,
    number: u32,
    window: Window<WORDS>,
}

impl fmt::Debug for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {}: {:?}", self.number, self.window)
    }
}

/// The way in: the present key and the one before it, whose frames may have been overtaken.
#[derive(Default, Debug)]
pub(super) struct Incoming {
    present: Option<Box<Heard>>,
    before: Option<Box<Heard>>,
}

/// What is known of a counter.
pub(super) enum Look {
    /// Not seen, of a key that is known.
    Fresh(Key),
    /// Of a key that comes after all that are known.
    Later,
    /// Opened before.
    Seen,
    /// Too old to tell, or of a key that is over.
    Past,
}

impl Incoming {
    pub(super) fn is_empty(&self) -> bool {
        self.present.is_none()
    }

    pub(super) fn look(&self, counter: u64) -> Look {
        let (number, frame) = parts(counter);
        let known = [&self.present, &self.before]
            .into_iter()
            .flatten()
            .find(|heard| heard.number == number);
        let frame = frame.into();
        match known {
            _ if frame == 0 => Look::Past,
            Some(heard) if heard.window.is_past(frame) => Look::Past,
            Some(heard) if heard.window.contains(frame) => Look::Seen,
            Some(heard) => Look::Fresh(heard.key),
            None => match &self.present {
                Some(present) if present.number > number => Look::Past,
                _ => Look::Later,
            },
        }
    }

    /// A frame was opened with `key`: never again.
    pub(super) fn take(&mut self, counter: u64, key: &Key) {
        let (number, frame) = parts(counter);
        let known = [&mut self.present, &mut self.before]
            .into_iter()
            .flatten()
            .find(|heard| heard.number == number);
        if let Some(heard) = known {
            heard.window.insert(frame.into());
            return;
        }
        let mut heard = Heard {
            key: *key,
            number,
            window: Window::default(),
        };
        heard.window.insert(frame.into());
        self.before = self.present.replace(Box::new(heard));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn key(number: u32) -> Key {
        [number as u8; 32]
    }

    #[test]
    fn a_key_is_renewed_by_frames_and_by_age_and_the_last_number_ends_it() {
        let mut out = Outgoing::new(key(0));
        let mut next = |now| out.next(now, 3, 100, key);
        let counters: Vec<_> = [5, 6, 104, 104, 203, 204, 1000]
            .into_iter()
            .map(|now| next(now).map(|(counter, renewed)| (parts(counter), renewed)))
            .collect();
        let expected = [
            ((0, 1), false),
            ((0, 2), false),
            ((0, 3), false),
            ((1, 1), true),
            ((1, 2), false),
            ((2, 1), true),
            ((3, 1), true),
        ];
        assert!(counters.into_iter().eq(expected.map(Some)));
        assert_eq!(out.key, key(3));
        out.number = u32::MAX;
        assert_eq!(out.next(2000, 3, 100, key), None);
    }

    proptest! {
        /// Whatever is delayed, doubled and lost: no frame is opened twice, and none is refused that the present or the last key's window covers.
        #[test]
        fn each_frame_is_opened_once(order in proptest::collection::vec((0u32..6, 1u32..3000), 0..400)) {
            let mut incoming = Incoming::default();
            let mut opened = BTreeSet::new();
            let mut numbers: Vec<u32> = Vec::new();
            for (number, frame) in order {
                let counter = u64::from(number) << 32 | u64::from(frame);
                let highest = opened.range((number, 0)..(number + 1, 0)).last().map_or(0u32, |&(_, frame)| frame);
                let known = numbers.iter().rev().take(2).any(|known| *known == number);
                let later = numbers.iter().all(|known| *known < number);
                let past = highest.saturating_sub(frame) >= 2048;
                let fresh = match incoming.look(counter) {
                    Look::Fresh(with) => { prop_assert_eq!(with, key(number)); true }
                    Look::Later => { prop_assert!(later); numbers.push(number); true }
                    Look::Seen => { prop_assert!(opened.contains(&(number, frame))); false }
                    Look::Past => { prop_assert!(past || !(known || later)); false }
                };
                prop_assert_eq!(fresh, (known || later) && !past && !opened.contains(&(number, frame)));
                if fresh {
                    incoming.take(counter, &key(number));
                    opened.insert((number, frame));
                }
            }
        }
    }
}
