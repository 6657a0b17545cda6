//! The assertions about many sites (SS-001…) that the simulator makes, each a function that panics when it does not hold.
//!
//! They are tests of this crate, and `chorus soak` runs the very same functions. A name begins with the numbers that it is about: `ss_001_003_…`, `nc_190_ss_004_…`.

mod detection;
mod groups;
mod identities;
mod links;
mod locate;
mod membership;
mod migration;
mod migration_faults;
mod migration_forged;
mod news_frames;
mod pieces;
mod restarts;
mod rpc;
mod rpc_sim;
mod sealing;

/// One function that makes assertions.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Its name, without that of its file.
    pub name: &'static str,
    /// The file.
    pub file: &'static str,
    /// Makes them; panics when one does not hold.
    pub run: fn(),
}

/// The functions named, with their names.
macro_rules! checks {
    ($($name:ident),* $(,)?) => {
        &[$(crate::checks::Check {
            name: stringify!($name),
            file: module_path!(),
            run: $name,
        }),*]
    };
}
use checks;

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Check> {
    [
        locate::CHECKS,
        groups::CHECKS,
        membership::CHECKS,
        migration::CHECKS,
        migration_faults::CHECKS,
        migration_forged::CHECKS,
        rpc::CHECKS,
        rpc_sim::CHECKS,
        pieces::CHECKS,
        news_frames::CHECKS,
        detection::CHECKS,
        sealing::CHECKS,
        identities::CHECKS,
        restarts::CHECKS,
        links::CHECKS,
    ]
    .into_iter()
    .flatten()
}

impl Check {
    /// Numbers of the SS assertions that its name says.
    pub fn numbers(&self) -> Vec<u16> {
        let mut numbers = Vec::new();
        let mut counting = false;
        for word in self.name.split('_') {
            match (word, word.parse()) {
                ("ss", _) => counting = true,
                (_, Ok(number)) if counting && word.len() == 3 => numbers.push(number),
                ("and", _) => {}
                _ => counting = false,
            }
        }
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_their_numbers() {
        let numbers = |name| {
            Check {
                name,
                file: "",
                run: || {},
            }
            .numbers()
        };
        assert_eq!(numbers("ss_001_003_first_call_of_100"), [1, 3]);
        assert_eq!(numbers("nc_190_ss_004_unknown_port"), [4]);
        assert_eq!(numbers("ss_043_and_047_calls_end"), [43, 47]);
        assert_eq!(numbers("nc_105_and_more"), []);
        assert!(all().count() > 70);
    }
}
