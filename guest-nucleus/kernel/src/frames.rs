//! Which page frames of physical memory are free: a bitmap with a summary above it.
//!
//! Nothing is written into free frames, so memory that was never used stays untouched (and costs the host nothing); the lowest free
//! frame is always taken first, so that frames already touched are reused. Two levels make the search short at any size. Where the machine's owner
//! promises memory full of zeros, frames above all that were ever given out need no clearing.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

/// The allocator.
pub struct Frames {
    /// One bit a frame, 1 = free.
    words: Vec<u64>,
    /// One bit a word of `words`, 1 = has a free frame.
    summary: Vec<u64>,
    /// No summary word below has a bit.
    hint: usize,
    free: u64,
    total: u64,
    /// One bit a frame, 1 = managed here at all.
    managed: Vec<u64>,
    /// Frames that are full of zeros, if they are free.
    zeroed: Range<u32>,
}

impl Frames {
    /// For frames 0…`limit`-1, none of them free yet.
    pub fn new(limit: usize) -> Self {
        let words = limit.div_ceil(64);
        Frames {
            words: vec![0; words],
            summary: vec![0; words.div_ceil(64)],
            hint: 0,
            free: 0,
            total: 0,
            managed: vec![0; words],
            zeroed: 0..0,
        }
    }

    /// Makes the frames of a range free and managed.
    pub fn add(&mut self, range: Range<u32>) {
        let mut frame = range.start;
        while frame < range.end {
            let (word, bit) = (frame as usize / 64, frame % 64);
            let count = (64 - bit).min(range.end - frame);
            let mask = (u64::MAX >> (64 - count)) << bit;
            let Some(managed) = self.managed.get_mut(word) else {
                return;
            };
            let fresh = mask & !*managed;
            *managed |= fresh;
            self.words[word] |= fresh;
            self.summary[word / 64] |= 1 << (word % 64);
            self.hint = self.hint.min(word / 64);
            self.free += u64::from(fresh.count_ones());
            self.total += u64::from(fresh.count_ones());
            frame += count;
        }
    }

    /// Frames in this range are full of zeros until they are given out for the first time.
    pub fn promise_zeros(&mut self, range: Range<u32>) {
        self.zeroed = range;
    }

    /// The lowest free frame full of zeros; `clear` makes one so that may not be.
    #[inline]
    pub fn allocate_zeroed(&mut self, clear: impl FnOnce(u32)) -> Option<u32> {
        let zeroed = self.zeroed.clone();
        let frame = self.allocate()?;
        if !zeroed.contains(&frame) {
            clear(frame);
        }
        Some(frame)
    }

    /// As [`Frames::contiguous`], full of zeros.
    pub fn contiguous_zeroed(&mut self, count: usize, clear: impl FnMut(u32)) -> Option<u32> {
        let zeroed = self.zeroed.clone();
        let first = self.contiguous(count)?;
        let used = (first..first + count as u32).filter(|frame| !zeroed.contains(frame));
        used.for_each(clear);
        Some(first)
    }

    /// The lowest free frame.
    #[inline]
    pub fn allocate(&mut self) -> Option<u32> {
        let index = (self.hint..self.summary.len()).find(|&index| self.summary[index] != 0)?;
        self.hint = index;
        let word = index * 64 + self.summary[index].trailing_zeros() as usize;
        let bit = self.words[word].trailing_zeros();
        self.take(word as u32 * 64 + bit);
        Some(word as u32 * 64 + bit)
    }

    /// `count` free frames in a row; the first.
    pub fn contiguous(&mut self, count: usize) -> Option<u32> {
        let (mut run, mut frame) = (0, self.hint * 64 * 64);
        while count > 0 && frame < self.words.len() * 64 {
            if frame.is_multiple_of(64) && self.words[frame / 64] == 0 {
                (run, frame) = (0, frame + 64);
                continue;
            }
            run = if self.is_free(frame as u32) {
                run + 1
            } else {
                0
            };
            if run == count {
                let first = (frame + 1 - count) as u32;
                (first..=frame as u32).for_each(|frame| self.take(frame));
                return Some(first);
            }
            frame += 1;
        }
        None
    }

    /// Gives a frame back. Frames that are not managed here (device registers) and free ones are left alone.
    pub fn release(&mut self, frame: u32) {
        let (word, bit) = (frame as usize / 64, 1u64 << (frame % 64));
        if self
            .managed
            .get(word)
            .is_some_and(|&managed| managed & bit != 0)
            && self.words[word] & bit == 0
        {
            self.words[word] |= bit;
            self.summary[word / 64] |= 1 << (word % 64);
            self.hint = self.hint.min(word / 64);
            self.free += 1;
        }
    }

    /// One more than the largest number of a frame that can be managed here.
    pub fn limit(&self) -> usize {
        self.words.len() * 64
    }

    /// `(free, total)`.
    pub fn counts(&self) -> (u64, u64) {
        (self.free, self.total)
    }

    fn is_free(&self, frame: u32) -> bool {
        self.words[frame as usize / 64] >> (frame % 64) & 1 == 1
    }

    fn take(&mut self, frame: u32) {
        let word = frame as usize / 64;
        self.words[word] &= !(1 << (frame % 64));
        if self.words[word] == 0 {
            self.summary[word / 64] &= !(1 << (word % 64));
        }
        self.free -= 1;
        self.zeroed.start = self.zeroed.start.max(frame + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_a_set_of_frames() {
        let mut frames = Frames::new(9000);
        frames.add(3..70);
        frames.add(8000..8999);
        let mut model: std::collections::BTreeSet<u32> = (3..70).chain(8000..8999).collect();
        let mut state = 1u64;
        let mut taken = Vec::new();
        for _ in 0..20_000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            match state >> 60 {
                0..=8 => {
                    assert_eq!(
                        frames.allocate(),
                        model.pop_first().inspect(|&frame| taken.push(frame))
                    );
                }
                9 => {
                    if let Some(first) = frames.contiguous(5) {
                        (first..first + 5).for_each(|frame| {
                            assert!(model.remove(&frame));
                            taken.push(frame);
                        });
                    }
                }
                _ if !taken.is_empty() => {
                    let frame = taken.swap_remove((state >> 20) as usize % taken.len());
                    frames.release(frame);
                    frames.release(frame);
                    model.insert(frame);
                }
                _ => {}
            }
            assert_eq!(frames.counts(), (model.len() as u64, 67 + 999));
        }
        assert!(frames.zeroed.is_empty());
        frames.release(100_000);
        frames.release(1);
        assert_eq!(frames.counts().0, model.len() as u64);
    }

    #[test]
    fn only_frames_that_were_never_given_out_are_taken_for_cleared() {
        let mut frames = Frames::new(640);
        frames.add(10..600);
        frames.promise_zeros(100..500);
        let mut written = [true; 640];
        written[100..500].fill(false);
        let mut state = 7u64;
        let mut taken = Vec::new();
        for _ in 0..20_000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let got = match state >> 61 {
                0 | 1 => {
                    let got = frames.allocate_zeroed(|frame| written[frame as usize] = false);
                    got.map_or(0..0, |frame| frame..frame + 1)
                }
                2 => {
                    let got = frames.contiguous_zeroed(7, |frame| written[frame as usize] = false);
                    got.map_or(0..0, |frame| frame..frame + 7)
                }
                3 => {
                    let got = frames.allocate();
                    got.inspect(|&frame| written[frame as usize] = false);
                    got.map_or(0..0, |frame| frame..frame + 1)
                }
                _ if !taken.is_empty() => {
                    frames.release(taken.swap_remove((state >> 20) as usize % taken.len()));
                    0..0
                }
                _ => 0..0,
            };
            for frame in got {
                assert!(!written[frame as usize], "frame {frame}");
                written[frame as usize] = true;
                taken.push(frame);
            }
        }
    }
}
