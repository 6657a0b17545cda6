//! What must hold after every event.
//!
//! All of it is looked at where the event happened, and costs the same whatever the number of sites: promises about calls and messages ([`super::judge`]); all tables of the site within
//! their bounds; its next deadline in the future, so that it cannot spin; it does not believe in an incarnation of the sender that never was; frames name their true sender and its present incarnation.

use super::history::Violation;
use super::nucleus::Arrival;
use super::world::World;
use chorus_transport::frame;

/// What was broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// A promise about a call.
    Call(u32, Violation),
    /// A promise about an asynchronous message.
    Message(u32, Violation),
    /// A promise about a port, by the word of its name.
    Port(u64, Violation),
    /// A table holds more than its bound, by the name of its field in the configuration.
    Bound(&'static str),
    /// A site wants to be called at a time that is over.
    Spins,
    /// A site holds another to be in an incarnation that never was.
    Believes {
        /// The other.
        of: u16,
        /// The incarnation.
        incarnation: u16,
    },
    /// A site sent a frame under another's name, or of an incarnation that is not its own.
    Pretends,
    /// Something is left in a site's tables after all is over.
    Leak(&'static str, u64),
    /// Sites do not know the same after all is healed.
    Views,
}

/// The first thing that was broken, when and where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Broken {
    /// Virtual time in nanoseconds.
    pub time: u64,
    /// At which site.
    pub site: u16,
    /// What.
    pub what: What,
}

impl Broken {
    /// A promise about a call.
    pub fn promise(time: u64, site: u16, call: u32, violation: Violation) -> Broken {
        let what = What::Call(call, violation);
        Broken { time, site, what }
    }
}

impl std::fmt::Display for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            What::Call(call, violation) => write!(f, "call {call} {}", violation.text()),
            What::Message(message, violation) => {
                write!(f, "message {message} {}", violation.text())
            }
            What::Port(port, violation) => write!(f, "port {port:x} {}", violation.text()),
            What::Bound(table) => write!(f, "a table passed its bound, {table}"),
            What::Spins => f.write_str("a deadline was set for a time that is over"),
            What::Believes { of, incarnation } => {
                write!(
                    f,
                    "holds s{of} to be in incarnation {incarnation}, which never was"
                )
            }
            What::Pretends => f.write_str("sent a frame in another's name"),
            What::Leak(table, left) => write!(f, "{left} left in {table} after all was over"),
            What::Views => f.write_str("does not know the same as the others after all was healed"),
        }
    }
}

impl World {
    /// Something was broken; the first time counts.
    pub(super) fn breaks(&mut self, broken: Broken) {
        self.broken.get_or_insert(broken);
    }

    /// A site has had an event, a frame of `from` perhaps.
    pub(super) fn look(&mut self, site: u16, from: Option<u16>) {
        let Some(endpoint) = &self.sites[usize::from(site) - 1].endpoint else {
            return;
        };
        let sender = from.and_then(|from| Some((from, self.sites.get(usize::from(from) - 1)?)));
        let what = if let Some(table) = endpoint.beyond_bound() {
            What::Bound(table)
        } else if endpoint
            .next_deadline()
            .is_some_and(|next| next <= self.now)
        {
            What::Spins
        } else if let Some((from, sender)) = sender
            && let Some(other) = endpoint.other(from)
            && other.incarnation > sender.incarnation
        {
            What::Believes {
                of: from,
                incarnation: other.incarnation,
            }
        } else {
            return;
        };
        let time = self.now;
        self.breaks(Broken { time, site, what });
    }

    /// The site that a frame says it is from.
    pub(super) fn sender(bytes: &[u8]) -> Option<u16> {
        let source = bytes.get(10..12)?;
        Some(u16::from_be_bytes([source[0], source[1]])).filter(|site| *site > 0)
    }

    /// A site sends a frame.
    pub(super) fn look_at_frame(&mut self, site: u16, bytes: &[u8]) {
        let incarnation = self.sites[usize::from(site) - 1].incarnation;
        let true_one = frame::peek(bytes).is_some_and(|peek| peek.incarnation == incarnation)
            && Self::sender(bytes) == Some(site);
        if !true_one {
            let (time, what) = (self.now, What::Pretends);
            self.breaks(Broken { time, site, what });
        }
    }

    /// A port of a site got an asynchronous message.
    pub(super) fn arrived(&mut self, site: u16, arrival: Arrival) {
        let Arrival {
            message,
            port,
            all,
            digest,
            ..
        } = arrival;
        // What is for all may reach a port once at each place that it was at: a frame that is late meets it again.
        let place = if all { site } else { 0 };
        if let Err(violation) = self.judge.arrived(message, port.word(), place, digest) {
            let (time, what) = (self.now, What::Message(message, violation));
            self.breaks(Broken { time, site, what });
        }
    }
}
