//! What the simulated network does to frames.

use super::random::Random;

/// Faults of every link, in thousandths and nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// Frames lost.
    pub loss: u64,
    /// Frames doubled.
    pub duplicate: u64,
    /// Frames delayed by up to `late` more, so that others overtake them.
    pub reorder: u64,
    /// Delay of every frame.
    pub delay: u64,
    /// Largest further delay of a reordered or doubled frame.
    pub late: u64,
}

impl Faults {
    /// The default fabric: 0.1 ms, no faults, order kept.
    pub const NONE: Faults = Faults {
        loss: 0,
        duplicate: 0,
        reorder: 0,
        delay: 100_000,
        late: 0,
    };

    /// `per_mille` loss, doubling and reordering each, overtaken by up to eight frame times.
    pub const fn all(per_mille: u64) -> Faults {
        Faults {
            loss: per_mille,
            duplicate: per_mille,
            reorder: per_mille,
            delay: 100_000,
            late: 800_000,
        }
    }

    /// Delays of the copies of one frame that arrive.
    pub fn copies(&self, random: &mut Random) -> Vec<u64> {
        let mut copies = Vec::new();
        if !random.happens(self.loss) {
            let late = if random.happens(self.reorder) {
                random.below(self.late + 1)
            } else {
                0
            };
            copies.push(self.delay + late);
        }
        if random.happens(self.duplicate) {
            copies.push(self.delay + random.below(self.late + 1));
        }
        copies
    }
}
