//! Actors that take the place of running ones: `exec --replace`.
//!
//! The site manager tells the new actor whom it replaces; the two settle the rest between them (`actors/runtime/src/succession.rs`). Seen from here the old one ends
//! when the new one has its port, or the new one ends and nothing has changed.

use super::failure::{Failure, Outcome, Status};
use super::gateway::Calls;
use super::gateway::requests;
use chorus_abi::{KnUniqueId, name_text};
use std::time::{Duration, Instant};

/// How long the old one may take to give its place.
const LIMIT: Duration = Duration::from_secs(60);
/// How often is looked.
const PAUSE: Duration = Duration::from_millis(50);

/// Who replaces whom.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// Site of both.
    pub site: u16,
    /// Default port of the old one.
    pub old: KnUniqueId,
    /// Default port of the new one.
    pub new: KnUniqueId,
}

/// The default port of the actor of a site that a name, or the text of a UI, means. Errors: there is none; there are several.
pub fn find(calls: &dyn Calls, site: u16, name: &str) -> Outcome<KnUniqueId> {
    let actors = requests::actors(calls, site)?;
    let mut found = actors
        .iter()
        .filter(|actor| name_text(&actor.name) == name || actor.cap.ui.to_string() == name);
    let (first, second) = (found.next(), found.next());
    if second.is_some() {
        return Err(
            Failure::usage(format!("site {site} has several actors named {name}"))
                .hint("name it by its port, as chorus ps -a shows it"),
        );
    }
    first.map(|actor| actor.cap.ui).ok_or_else(|| {
        Failure::usage(format!("there is no actor {name} on site {site}"))
            .hint("the actors are listed by: chorus ps -a")
    })
}

/// Waits until the new one is in the place of the old one. Errors: status 6, it ended and the old one goes on; 124, neither after a minute.
pub fn done(calls: &dyn Calls, pair: &Pair, name: &str) -> Outcome<()> {
    let site = pair.site;
    let end = Instant::now() + LIMIT;
    loop {
        let actors = requests::actors(calls, site)?;
        let runs = |ui: KnUniqueId| actors.iter().any(|actor| actor.cap.ui == ui);
        match (runs(pair.old), runs(pair.new)) {
            (false, _) => return Ok(()),
            (true, false) => {
                return Err(Failure::new(
                    Status::Guest,
                    format!("site {site}: {name} has ended without taking the other's place, which goes on"),
                )
                .hint("its output says why: chorus logs; only servers that are written for it can be replaced"));
            }
            (true, true) if Instant::now() >= end => {
                let _ = requests::kill(calls, site, pair.new);
                return Err(Failure::new(
                    Status::Timeout,
                    format!(
                        "site {site}: {name} did not get the other's place within {} s and was deleted",
                        LIMIT.as_secs()
                    ),
                ));
            }
            (true, true) => std::thread::sleep(PAUSE),
        }
    }
}
