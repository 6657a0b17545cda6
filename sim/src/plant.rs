//! Bugs that are planted on purpose, so that it can be seen that they are found, shrunk and made again.
//!
//! They sit between the sites and their transport; the transport itself knows nothing of them. Some look into frames, which must not be sealed then.

use super::history::Happening;
use super::world::World;
use chorus_transport::frame::{self, Payload};

/// What is wrong on purpose.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Plant {
    /// Nothing.
    #[default]
    None,
    /// A server forgets a request once it has answered: when it is repeated, it is executed again.
    Twice,
    /// A call whose outcome is unknown ends with an error that promises that it was not executed.
    Untrue,
    /// A client is not told of errors.
    Lost,
    /// A site goes on serving a port that it gave to another.
    Both,
}

/// Their names.
pub const PLANTS: [(&str, Plant); 5] = [
    ("none", Plant::None),
    ("twice", Plant::Twice),
    ("untrue", Plant::Untrue),
    ("lost", Plant::Lost),
    ("both", Plant::Both),
];

impl Plant {
    /// The one of this name.
    pub fn find(name: &str) -> Option<Plant> {
        let mut all = PLANTS.into_iter();
        all.find(|(known, _)| *known == name)
            .map(|(_, plant)| plant)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        let mut all = PLANTS.into_iter();
        all.find(|(_, known)| *known == self)
            .map_or("", |(name, _)| name)
    }
}

impl World {
    /// [`Plant::Twice`]: a request comes that was answered already.
    pub(super) fn execute_again(&mut self, site: u16, bytes: &[u8]) {
        let Ok(frame) = frame::parse(bytes) else {
            return;
        };
        if let Payload::Request(data) = frame.payload
            && data.piece.index == 0
            && let Some(digest) = self.judge.is_answered(data.src_port.counter())
        {
            self.happened(site, data.src_port.counter(), Happening::Executed(digest));
        }
    }
}
