//! What one direction of a link does to frames, and changes to it.

use crate::Nanoseconds;
use crate::chance::Chance;
use serde::{Deserialize, Serialize};

/// Variation of the time on the way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Jitter {
    /// None.
    #[default]
    None,
    /// Any time up to this much more or less, each as likely.
    Even(Nanoseconds),
    /// Around the latency with this standard deviation.
    Normal(Nanoseconds),
}

/// Losses in bursts (Gilbert and Elliott): the link is well or ill, and each frame may change that. The default has none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Burst {
    /// That a link which is well falls ill with a frame.
    pub begins: Chance,
    /// That one which is ill is well again.
    pub ends: Chance,
    /// That a frame is lost meanwhile.
    pub loss: Chance,
}

impl Burst {
    /// No bursts: a link that is ill gets well with the next frame.
    pub const NONE: Burst = Burst {
        begins: Chance::NEVER,
        ends: Chance::ALWAYS,
        loss: Chance::NEVER,
    };
}

impl Default for Burst {
    fn default() -> Self {
        Burst::NONE
    }
}

/// Parameters of one direction of a link. Frames keep their order whatever the jitter; only [`Parameters::reorder`] lets one be overtaken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Parameters {
    /// Time on the way.
    pub latency: Nanoseconds,
    /// Its variation.
    pub jitter: Jitter,
    /// Bytes a second; 0: as many as come.
    pub bandwidth: u64,
    /// Frames that wait for the bandwidth; what comes when it is full is lost.
    pub queue: u32,
    /// That a frame is lost.
    pub loss: Chance,
    /// Losses in bursts.
    pub burst: Burst,
    /// That a frame comes twice.
    pub duplicate: Chance,
    /// That a frame is late and others overtake it.
    pub reorder: Chance,
    /// How late at most.
    pub late: Nanoseconds,
    /// That a bit of a frame is turned.
    pub corrupt: Chance,
    /// Nothing passes.
    pub cut: bool,
}

/// Frames that wait at a link of limited bandwidth when nothing is said.
pub const QUEUE_DEFAULT: u32 = 256;
/// How late a frame is at most that others overtake, when nothing is said.
pub const LATE_DEFAULT: Nanoseconds = 1_000_000;

impl Parameters {
    /// A link without faults, and without delay.
    pub const PERFECT: Parameters = Parameters {
        latency: 0,
        jitter: Jitter::None,
        bandwidth: 0,
        queue: QUEUE_DEFAULT,
        loss: Chance::NEVER,
        burst: Burst::NONE,
        duplicate: Chance::NEVER,
        reorder: Chance::NEVER,
        late: LATE_DEFAULT,
        corrupt: Chance::NEVER,
        cut: false,
    };
}

impl Default for Parameters {
    fn default() -> Self {
        Parameters::PERFECT
    }
}

macro_rules! change {
    ($($(#[$doc:meta])* $field:ident : $type:ty),* $(,)?) => {
        /// New values of some parameters; what is not named stays as it is.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Change {
            $($(#[$doc])* #[serde(skip_serializing_if = "Option::is_none")] pub $field: Option<$type>,)*
        }

        impl Change {
            /// Puts the new values in.
            pub fn apply(&self, parameters: &mut Parameters) {
                $(if let Some(value) = self.$field { parameters.$field = value; })*
            }

            /// Whether it changes nothing.
            pub fn is_empty(&self) -> bool {
                *self == Change::default()
            }

            /// This change, and where it says nothing, the other.
            pub fn or(self, other: Change) -> Change {
                Change { $($field: self.$field.or(other.$field),)* }
            }
        }
    };
}
change! {
    /// Of [`Parameters::latency`].
    latency: Nanoseconds,
    /// Of [`Parameters::jitter`].
    jitter: Jitter,
    /// Of [`Parameters::bandwidth`].
    bandwidth: u64,
    /// Of [`Parameters::queue`].
    queue: u32,
    /// Of [`Parameters::loss`].
    loss: Chance,
    /// Of [`Parameters::burst`].
    burst: Burst,
    /// Of [`Parameters::duplicate`].
    duplicate: Chance,
    /// Of [`Parameters::reorder`].
    reorder: Chance,
    /// Of [`Parameters::late`].
    late: Nanoseconds,
    /// Of [`Parameters::corrupt`].
    corrupt: Chance,
    /// Of [`Parameters::cut`].
    cut: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_changes_what_it_names() {
        let mut parameters = Parameters {
            latency: 7,
            cut: true,
            ..Parameters::PERFECT
        };
        assert!(Change::default().is_empty());
        Change::default().apply(&mut parameters);
        assert_eq!(parameters.latency, 7);
        let change = Change {
            loss: Some(Chance::ALWAYS),
            cut: Some(false),
            ..Change::default()
        };
        change.apply(&mut parameters);
        assert_eq!(
            parameters,
            Parameters {
                latency: 7,
                loss: Chance::ALWAYS,
                ..Parameters::PERFECT
            }
        );
        let other = Change {
            cut: Some(true),
            queue: Some(1),
            ..Change::default()
        };
        let both = change.or(other);
        assert_eq!((both.cut, both.queue), (Some(false), Some(1)));
    }
}
