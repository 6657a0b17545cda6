//! What the simulated network does to frames: faults of all links alike, in the terms of the fabric that the cluster has too.

use chorus_fabric::{Chance, Change, Parameters};

/// Faults of every link, in thousandths and nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// Frames lost.
    pub loss: u64,
    /// Frames that come twice, at the same time.
    pub duplicate: u64,
    /// Frames delayed by up to `late` more, so that others overtake them.
    pub reorder: u64,
    /// Frames that somebody records and lets arrive once more up to `late` later: no link of the fabric does that.
    pub echo: u64,
    /// Delay of every frame.
    pub delay: u64,
    /// Largest further delay of a reordered or repeated frame.
    pub late: u64,
}

impl Faults {
    /// The default fabric: 0.1 ms, no faults, order kept.
    pub const NONE: Faults = Faults {
        loss: 0,
        duplicate: 0,
        reorder: 0,
        echo: 0,
        delay: 100_000,
        late: 0,
    };

    /// `per_mille` loss, doubling, reordering and repeating each, overtaken by up to eight frame times.
    pub const fn all(per_mille: u64) -> Faults {
        Faults {
            loss: per_mille,
            duplicate: per_mille,
            reorder: per_mille,
            echo: per_mille,
            delay: 100_000,
            late: 800_000,
        }
    }

    /// So many in a thousand.
    fn chance(per_mille: u64) -> Chance {
        Chance::percent(per_mille as f64 / 10.0)
    }

    /// What a link of the fabric is told.
    pub fn change(&self) -> Change {
        Change {
            latency: Some(self.delay),
            loss: Some(Self::chance(self.loss)),
            duplicate: Some(Self::chance(self.duplicate)),
            reorder: Some(Self::chance(self.reorder)),
            late: Some(self.late),
            ..Change::default()
        }
    }

    /// Links that are so from the start.
    pub fn parameters(&self) -> Parameters {
        let mut parameters = Parameters::PERFECT;
        self.change().apply(&mut parameters);
        parameters
    }
}
