//! Single faults by script: "drop the third hand-over frame".

use crate::{Nanoseconds, Site};
use serde::{Deserialize, Serialize};

/// What is done to the frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It is lost.
    Drop,
    /// It sets out so much later.
    Delay(Nanoseconds),
    /// It sets out twice.
    Duplicate,
    /// This bit of it is turned, modulo their number.
    Corrupt(u64),
}

/// A fault that meets one frame: the so-and-so-many-th that fits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fault {
    /// Its sender; none: any.
    pub from: Option<Site>,
    /// Whom it is for; none: any, and broadcasts.
    pub to: Option<Site>,
    /// Its kind, as the caller counts kinds of frames; none: any.
    pub kind: Option<u8>,
    /// Which of those that fit, from 1.
    pub nth: u64,
    /// What is done to it.
    pub action: Action,
}

/// Faults that are still to come, and how many frames of each were seen.
#[derive(Clone, Debug, Default)]
pub struct Script {
    waiting: Vec<(Fault, u64)>,
    met: u64,
}

impl Script {
    /// Adds a fault.
    pub fn add(&mut self, fault: Fault) {
        self.waiting.push((fault, 0));
    }

    /// Faults that have not met their frame yet.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Faults that have.
    pub fn met(&self) -> u64 {
        self.met
    }

    /// What is done to a frame that sets out. Every fault counts it; of several that it is the frame for, each is done with, and the first says what happens.
    pub fn judge(&mut self, from: Site, to: Option<Site>, kind: u8) -> Option<Action> {
        let mut action = None;
        let met = &mut self.met;
        self.waiting.retain_mut(|(fault, seen)| {
            let fits = fault.from.is_none_or(|site| site == from)
                && fault.to.is_none_or(|site| Some(site) == to)
                && fault.kind.is_none_or(|wanted| wanted == kind);
            *seen += u64::from(fits);
            let hit = fits && *seen == fault.nth.max(1);
            if hit {
                *met += 1;
                action = action.or(Some(fault.action));
            }
            !hit
        });
        action
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ss_143_a_fault_hits_exactly_its_frame() {
        let mut script = Script::default();
        script.add(Fault {
            from: Some(2),
            to: None,
            kind: Some(7),
            nth: 3,
            action: Action::Drop,
        });
        let frames = [(2, 7), (1, 7), (2, 6), (2, 7), (2, 7), (2, 7)];
        let hit: Vec<bool> = frames
            .iter()
            .map(|&(from, kind)| script.judge(from, Some(9), kind).is_some())
            .collect();
        assert_eq!(hit, [false, false, false, false, true, false]);
        assert_eq!((script.waiting(), script.met()), (0, 1));
    }

    #[test]
    fn a_fault_for_one_receiver_leaves_broadcasts_alone() {
        let mut script = Script::default();
        script.add(Fault {
            from: None,
            to: Some(3),
            kind: None,
            nth: 1,
            action: Action::Duplicate,
        });
        assert_eq!(script.judge(1, None, 0), None);
        assert_eq!(script.judge(1, Some(2), 0), None);
        assert_eq!(script.judge(1, Some(3), 0), Some(Action::Duplicate));
    }
}
