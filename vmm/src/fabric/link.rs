//! What links do to frames: loss, duplication, delay.
//!
//! A decision depends on nothing but the seed, the link, its direction and the number of the frame on it, so the same seed gives the same
//! verdicts for the same frames, whatever the timing of guests (spec `subsystems.md` 6.3, L3). The full fault model has its place here.

use std::collections::HashMap;
use std::time::Duration;

/// Parameters of one direction of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Link {
    /// Probability that a frame is lost, 0…1.
    pub loss: f64,
    /// Probability that a frame comes twice, 0…1.
    pub duplicate: f64,
    /// Time on the way.
    pub delay: Duration,
}

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It arrives this many times (1 or 2) after this time.
    Arrives(u8, Duration),
    /// It is lost.
    Lost,
    /// There is no link.
    NoLink,
}

/// All links of a cluster.
#[derive(Clone, Debug, Default)]
pub struct Links {
    seed: u64,
    default: Link,
    /// Links that are not like the others.
    special: HashMap<(u16, u16), Link>,
    /// There are no links but the special ones.
    closed: bool,
    frames: HashMap<(u16, u16), u64>,
}

impl Links {
    /// Everyone linked with everyone, alike.
    pub fn full(seed: u64, link: Link) -> Self {
        Links {
            seed,
            default: link,
            ..Links::default()
        }
    }

    /// The same, but these pairs by links of their own, in both directions.
    pub fn with(mut self, pairs: impl IntoIterator<Item = (u16, u16, Link)>) -> Self {
        self.special.extend(
            pairs
                .into_iter()
                .flat_map(|(a, b, link)| [((a, b), link), ((b, a), link)]),
        );
        self
    }

    /// Only these pairs, each in both directions. The gateway is linked with everyone, by a link without faults.
    pub fn listed(seed: u64, pairs: impl IntoIterator<Item = (u16, u16, Link)>) -> Self {
        Links {
            seed,
            closed: true,
            ..Links::default()
        }
        .with(pairs)
    }

    /// Decides about the next frame from one site to another.
    pub fn judge(&mut self, from: u16, to: u16) -> Verdict {
        let gateway = from == chorus_abi::GATEWAY_SITE || to == chorus_abi::GATEWAY_SITE;
        let link = match self.special.get(&(from, to)) {
            _ if gateway => Link::default(),
            Some(link) => *link,
            None if self.closed => return Verdict::NoLink,
            None => self.default,
        };
        let index = self.frames.entry((from, to)).or_default();
        *index += 1;
        let draw = |purpose: u64| {
            let key = u64::from(from) << 48 | u64::from(to) << 32;
            let word = mix(mix(self.seed ^ key) ^ mix(*index) ^ purpose);
            (word >> 11) as f64 / (1u64 << 53) as f64
        };
        if draw(1) < link.loss {
            return Verdict::Lost;
        }
        Verdict::Arrives(1 + u8::from(draw(2) < link.duplicate), link.delay)
    }
}

/// One step of SplitMix64 (Steele, Lea, Flood 2014).
fn mix(word: u64) -> u64 {
    let mut z = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_alone_decides() {
        let lossy = Link {
            loss: 0.2,
            duplicate: 0.1,
            ..Link::default()
        };
        let verdicts = |seed| {
            let mut links = Links::full(seed, lossy);
            (0..5000).map(|_| links.judge(1, 2)).collect::<Vec<_>>()
        };
        assert_eq!(verdicts(7), verdicts(7));
        assert_ne!(verdicts(7), verdicts(8));
        let lost = verdicts(7)
            .iter()
            .filter(|verdict| **verdict == Verdict::Lost)
            .count();
        assert!((900..1100).contains(&lost), "{lost} of 5000 at 20 %");
    }

    #[test]
    fn the_traffic_of_other_links_changes_nothing() {
        let lossy = Link {
            loss: 0.5,
            ..Link::default()
        };
        let mut alone = Links::full(3, lossy);
        let mut among = Links::full(3, lossy);
        for _ in 0..1000 {
            among.judge(2, 1);
            assert_eq!(alone.judge(1, 2), among.judge(1, 2));
        }
    }

    #[test]
    fn only_listed_pairs_can_talk_and_the_gateway_always() {
        let mut links = Links::listed(
            1,
            [(
                1,
                2,
                Link {
                    loss: 1.0,
                    ..Link::default()
                },
            )],
        );
        assert_eq!(links.judge(2, 1), Verdict::Lost);
        assert_eq!(links.judge(1, 3), Verdict::NoLink);
        assert_eq!(
            links.judge(3, chorus_abi::GATEWAY_SITE),
            Verdict::Arrives(1, Duration::ZERO)
        );
    }
}
