//! Whether this Nucleus does what the call reference says: `chorus conformance`.
//!
//! The conformance actor (`actors/conformance`) prints a line for each assertion that it checks. This room starts sites by itself, runs the actor on
//! them as user, system and supervisor actor ([`run`]), and holds what was printed against the list of all assertions ([`report`]): which
//! held where, which did not, and why the others were not looked at ([`coverage`]). An assertion that only tests of the source tree check
//! is counted as such: those tests are not run here.

mod coverage;
mod print;
mod report;
mod run;

use crate::cli::args::ConformanceArgs;
use crate::cluster::failure::{Failure, Outcome, Status};
use report::Report;

/// Runs `chorus conformance`.
///
/// # Errors
/// Status 6: an assertion does not hold, or a run did not get to its end; 5: the machine is not able; 2: a filter is wrong.
pub fn conformance(args: &ConformanceArgs) -> Outcome<()> {
    let filter = report::Filter::read(&args.filter).map_err(|word| {
        Failure::usage(format!("{word} names no assertions"))
            .hint("NC-069 is one, NC-1 all that begin so, NC-097..NC-149 a range")
    })?;
    let runs = run::all(args.host, args.nucleus.as_deref())?;
    let report = Report::new(&runs, &filter);
    print::print(args.format, &report)?;
    let mut wrong = report.failures();
    wrong.extend(report.runs.iter().filter_map(|run| run.complaint.clone()));
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(Status::Guest, wrong.join("; ")))
    }
}
