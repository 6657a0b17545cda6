//! One direction of a link: its state, and its judgement of each frame.

use crate::chance::Draw;
use crate::parameters::{Jitter, Parameters};
use crate::{Nanoseconds, Site};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Why a frame was lost.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Cause {
    /// By the chance of the link.
    Loss,
    /// In a burst.
    Burst,
    /// The queue for the link's bandwidth was full.
    Queue,
    /// The link is cut, or its ends are in different parts of the cluster.
    Cut,
    /// No way leads there.
    NoWay,
    /// A scripted fault.
    Script,
    /// Too many frames were on their way.
    Flights,
}

/// What a link does with a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It is lost.
    Lost(Cause),
    /// It comes out.
    Arrives {
        /// When.
        at: Nanoseconds,
        /// And once more then.
        again: Option<Nanoseconds>,
        /// One of its bits is turned: this one, modulo their number.
        flipped: Option<u64>,
    },
}

/// What went through one direction of a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Frames that were to pass.
    pub frames: u64,
    /// Bytes of those that came out, once each.
    pub bytes: u64,
    /// Lost by chance.
    pub lost: u64,
    /// Lost in bursts.
    pub lost_burst: u64,
    /// Lost because the queue was full.
    pub lost_queue: u64,
    /// Lost because the link was cut.
    pub lost_cut: u64,
    /// Came twice.
    pub duplicated: u64,
    /// Were late on purpose.
    pub reordered: u64,
    /// Had a bit turned.
    pub corrupted: u64,
    /// Most frames that waited for the bandwidth at once.
    pub queue_peak: u32,
}

/// One direction of a link.
#[derive(Clone, Debug, Default)]
pub struct Link {
    /// Frames so far: the number of a frame decides its fate.
    index: u64,
    /// It is ill, and loses in bursts.
    ill: bool,
    /// When each frame that waits for the bandwidth, or is being sent, will be out.
    departures: VecDeque<Nanoseconds>,
    /// When the last frame in order arrives.
    last: Nanoseconds,
    counts: Counts,
}

/// What the draws are for.
mod purpose {
    pub const ILLNESS: u64 = 1;
    pub const BURST: u64 = 2;
    pub const LOSS: u64 = 3;
    pub const DUPLICATE: u64 = 4;
    pub const REORDER: u64 = 5;
    pub const LATE: u64 = 6;
    pub const CORRUPT: u64 = 7;
    pub const BIT: u64 = 8;
    pub const JITTER: u64 = 9;
}

impl Link {
    /// What went through it.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The number of the frame that was judged last; the first is 1.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Decides about the next frame, of `size` bytes, that comes at `now`; `ends` tell the direction. Time never goes back.
    pub fn judge(
        &mut self,
        parameters: &Parameters,
        (seed, ends): (u64, (Site, Site)),
        now: Nanoseconds,
        size: usize,
    ) -> Fate {
        self.index += 1;
        self.counts.frames += 1;
        let key = u64::from(ends.0) << 48 | u64::from(ends.1) << 32;
        let draw = |purpose| Draw::of(seed, key, self.index, purpose);
        // Illness goes on while the link is cut: what the frames behind the cut meet does not depend on when it was cut.
        let burst = parameters.burst;
        let turns = if self.ill { burst.ends } else { burst.begins };
        self.ill ^= turns.happens(draw(purpose::ILLNESS));
        if parameters.cut {
            self.counts.lost_cut += 1;
            return Fate::Lost(Cause::Cut);
        }
        if self.ill && burst.loss.happens(draw(purpose::BURST)) {
            self.counts.lost_burst += 1;
            return Fate::Lost(Cause::Burst);
        }
        if parameters.loss.happens(draw(purpose::LOSS)) {
            self.counts.lost += 1;
            return Fate::Lost(Cause::Loss);
        }
        let Some(departure) = self.departure(parameters, now, size) else {
            self.counts.lost_queue += 1;
            return Fate::Lost(Cause::Queue);
        };
        let draw = |purpose| Draw::of(seed, key, self.index, purpose);
        let latency = match parameters.jitter {
            Jitter::None => parameters.latency,
            Jitter::Even(span) => {
                let more = draw(purpose::JITTER).below(span.saturating_mul(2).saturating_add(1));
                parameters.latency.saturating_add(more).saturating_sub(span)
            }
            Jitter::Normal(sigma) => parameters
                .latency
                .saturating_add_signed(draw(purpose::JITTER).around(sigma)),
        };
        let arrival = departure.saturating_add(latency);
        let late = parameters.reorder.happens(draw(purpose::REORDER));
        let at = if late {
            let more = draw(purpose::LATE).below(parameters.late.saturating_add(1));
            arrival.saturating_add(more)
        } else {
            self.last = self.last.max(arrival);
            self.last
        };
        let again = parameters
            .duplicate
            .happens(draw(purpose::DUPLICATE))
            .then_some(at);
        let flipped = parameters
            .corrupt
            .happens(draw(purpose::CORRUPT))
            .then(|| draw(purpose::BIT).0);
        self.counts.bytes += size as u64;
        self.counts.reordered += u64::from(late);
        self.counts.duplicated += u64::from(again.is_some());
        self.counts.corrupted += u64::from(flipped.is_some());
        Fate::Arrives { at, again, flipped }
    }

    /// When a frame has left the sender; `None`: there is no room for it to wait.
    fn departure(
        &mut self,
        parameters: &Parameters,
        now: Nanoseconds,
        size: usize,
    ) -> Option<Nanoseconds> {
        if parameters.bandwidth == 0 {
            self.departures.clear();
            return Some(now);
        }
        while self.departures.front().is_some_and(|&out| out <= now) {
            self.departures.pop_front();
        }
        // The one that is being sent does not wait.
        let waiting = self.departures.len().saturating_sub(1) as u32;
        if !self.departures.is_empty() && waiting >= parameters.queue {
            return None;
        }
        let begin = self.departures.back().map_or(now, |&out| out.max(now));
        let takes = size as u128 * 1_000_000_000 / u128::from(parameters.bandwidth);
        let out = begin.saturating_add(u64::try_from(takes).unwrap_or(u64::MAX));
        self.departures.push_back(out);
        let waiting = self.departures.len().saturating_sub(1) as u32;
        self.counts.queue_peak = self.counts.queue_peak.max(waiting);
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Chance;
    use crate::parameters::Burst;

    fn judge(link: &mut Link, parameters: &Parameters, now: u64, size: usize) -> Fate {
        link.judge(parameters, (5, (1, 2)), now, size)
    }

    fn at(fate: Fate) -> u64 {
        match fate {
            Fate::Arrives { at, .. } => at,
            Fate::Lost(cause) => panic!("lost: {cause:?}"),
        }
    }

    #[test]
    fn bandwidth_and_queue_are_those_of_the_link() {
        // SS-139: 10 ms and 1 MB/s.
        let parameters = Parameters {
            latency: 10_000_000,
            bandwidth: 1_000_000,
            queue: 3,
            ..Parameters::PERFECT
        };
        let mut link = Link::default();
        for number in 1..=4 {
            let fate = judge(&mut link, &parameters, 0, 1000);
            assert_eq!(at(fate), 10_000_000 + number * 1_000_000);
        }
        assert_eq!(
            judge(&mut link, &parameters, 0, 1000),
            Fate::Lost(Cause::Queue)
        );
        assert_eq!(link.counts().queue_peak, 3);
        // One is out, so there is room for one.
        let fate = judge(&mut link, &parameters, 1_000_000, 1000);
        assert_eq!(at(fate), 15_000_000);
        assert_eq!(link.counts().lost_queue, 1);
        // An idle link sends at once.
        let fate = judge(&mut link, &parameters, 1_000_000_000, 1);
        assert_eq!(at(fate), 1_010_001_000);
    }

    #[test]
    fn jitter_keeps_the_order_and_reordering_does_not() {
        let jitter = Parameters {
            latency: 1_000_000,
            jitter: Jitter::Even(900_000),
            ..Parameters::PERFECT
        };
        let mut link = Link::default();
        let times: Vec<u64> = (0..1000)
            .map(|number| at(judge(&mut link, &jitter, number * 1000, 100)))
            .collect();
        assert!(times.is_sorted());
        let spread: Vec<u64> = (0..1000)
            .map(|number| at(judge(&mut link, &jitter, 1 << 40 | number << 24, 100)))
            .zip(0..)
            .map(|(at, number)| at - (1 << 40 | number << 24))
            .collect();
        let (least, most) = (spread.iter().min().unwrap(), spread.iter().max().unwrap());
        assert!(*least < 200_000 && *most > 1_800_000 && *most <= 1_900_000);
        let late = Parameters {
            latency: 1_000_000,
            reorder: Chance::percent(20.0),
            ..Parameters::PERFECT
        };
        let mut link = Link::default();
        let times: Vec<u64> = (0..1000)
            .map(|number| at(judge(&mut link, &late, number * 1000, 100)))
            .collect();
        assert!(!times.is_sorted());
        assert!((150..250).contains(&link.counts().reordered));
    }

    #[test]
    fn bursts_come_in_runs() {
        let parameters = Parameters {
            burst: Burst {
                begins: Chance::percent(1.0),
                ends: Chance::percent(10.0),
                loss: Chance::ALWAYS,
            },
            ..Parameters::PERFECT
        };
        let mut link = Link::default();
        let lost: Vec<bool> = (0..100_000)
            .map(|now| judge(&mut link, &parameters, now, 1) == Fate::Lost(Cause::Burst))
            .collect();
        let count = lost.iter().filter(|lost| **lost).count();
        let runs = lost.windows(2).filter(|pair| !pair[0] && pair[1]).count();
        // An illness in a hundred frames, ten frames long: one in eleven.
        assert!((8_000..10_500).contains(&count), "{count}");
        assert!((800..1_000).contains(&runs), "{runs}");
    }

    #[test]
    fn a_cut_loses_and_later_frames_meet_the_fate_that_they_had_met() {
        let lossy = Parameters {
            loss: Chance::percent(30.0),
            duplicate: Chance::percent(30.0),
            corrupt: Chance::percent(30.0),
            ..Parameters::PERFECT
        };
        let cut = Parameters { cut: true, ..lossy };
        let (mut whole, mut broken) = (Link::default(), Link::default());
        for number in 0..1000 {
            let fate = judge(&mut whole, &lossy, 0, 64);
            if (100..200).contains(&number) {
                assert_eq!(judge(&mut broken, &cut, 0, 64), Fate::Lost(Cause::Cut));
            } else {
                assert_eq!(judge(&mut broken, &lossy, 0, 64), fate);
            }
        }
        assert_eq!(broken.counts().lost_cut, 100);
        assert!(whole.counts().corrupted > 100 && whole.counts().duplicated > 100);
    }
}
