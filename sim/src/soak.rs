//! All named assertions: which check is about which, and a check made with full counts.

use super::assertions::{ASSERTIONS, Elsewhere};
use super::checks::{self, Check};
use super::effort::{self, Done};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// One assertion.
#[derive(Clone, Debug)]
pub struct Assertion {
    /// Its number.
    pub number: u16,
    /// What it says.
    pub text: &'static str,
    /// The checks of the simulator that are about it.
    pub checks: Vec<&'static Check>,
    /// Where it is checked else.
    pub elsewhere: Elsewhere,
}

/// All of them, in order.
pub fn assertions() -> Vec<Assertion> {
    let all: Vec<(&Check, Vec<u16>)> = checks::all()
        .map(|check| (check, check.numbers()))
        .collect();
    ASSERTIONS
        .into_iter()
        .map(|(number, text, elsewhere)| Assertion {
            number,
            text,
            checks: all
                .iter()
                .filter(|(_, numbers)| numbers.contains(&number))
                .map(|(check, _)| *check)
                .collect(),
            elsewhere,
        })
        .collect()
}

/// What a check came to.
#[derive(Clone, Debug)]
pub struct Made {
    /// Why it does not hold.
    pub problem: Option<String>,
    /// What was done.
    pub done: Done,
    /// What it says of itself.
    pub notes: Vec<String>,
}

/// Makes a check, with full counts or those of a test, and with its own seed if none is given.
pub fn make(check: &Check, full: bool, seed: Option<u64>) -> Made {
    effort::demand(full, seed);
    let run = check.run;
    let result = catch_unwind(AssertUnwindSafe(run));
    let problem = result.err().map(|cause| {
        let text = cause.downcast_ref::<String>().cloned();
        text.or_else(|| cause.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_else(|| "it panicked".to_owned())
    });
    let made = Made {
        problem,
        done: effort::done(),
        notes: effort::notes(),
    };
    effort::demand(false, None);
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_assertion_has_its_place_and_only_one_kind_of_it() {
        let all = assertions();
        assert_eq!(all.len(), 89);
        let numbers: Vec<u16> = all.iter().map(|one| one.number).collect();
        let wanted: Vec<u16> = (1..=80).chain(138..=146).collect();
        assert_eq!(numbers, wanted);
        for one in &all {
            let here = !one.checks.is_empty();
            let elsewhere = one.elsewhere != Elsewhere::Nowhere;
            assert!(here != elsewhere, "SS-{:03}: {one:?}", one.number);
        }
    }

    #[test]
    fn a_check_that_does_not_hold_says_so() {
        let check = |run| Check {
            name: "planted",
            file: "",
            run,
        };
        let made = make(&check(|| panic!("it is {}", 7)), false, None);
        assert_eq!(made.problem.as_deref(), Some("it is 7"));
        let made = make(&check(|| effort::say("words")), true, Some(5));
        assert_eq!((made.problem, made.notes), (None, vec!["words".to_owned()]));
        let seen = make(
            &check(|| assert_eq!((effort::full(1, 2), effort::seed(9)), (2, 5))),
            true,
            Some(5),
        );
        assert_eq!(seen.problem, None);
    }
}
