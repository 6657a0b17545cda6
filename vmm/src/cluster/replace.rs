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

#[cfg(test)]
mod tests {
    use super::super::gateway::Annex;
    use super::*;
    use chorus_abi::services::Answer;
    use chorus_abi::{KError, KnActorStat, KnCap, UiType, name_field};
    use std::sync::Mutex;
    use zerocopy::IntoBytes;

    /// A site whose lists are given, one after another; the last one stays.
    struct Lists(Mutex<Vec<Vec<(&'static str, u32)>>>);

    fn ui(stamp: u32) -> KnUniqueId {
        KnUniqueId::from_fields(1, UiType::Port, 1, stamp)
    }

    impl Calls for Lists {
        fn call(
            &self,
            _: KnUniqueId,
            _: &Annex,
            _: &[u8],
            _: Duration,
        ) -> Result<(Annex, Vec<u8>), KError> {
            let mut lists = self.0.lock().unwrap();
            let list = if lists.len() > 1 {
                lists.remove(0)
            } else {
                lists[0].clone()
            };
            let stats: Vec<KnActorStat> = list
                .into_iter()
                .map(|(name, stamp)| KnActorStat {
                    name: name_field(name),
                    cap: KnCap {
                        ui: ui(stamp),
                        key: 0,
                    },
                    ..KnActorStat::default()
                })
                .collect();
            Ok((Answer::default().to_annex(), stats.as_bytes().to_vec()))
        }
        fn reply(&self, _: u64, _: &Annex, _: &[u8]) {}
    }

    fn lists(lists: &[&[(&'static str, u32)]]) -> Lists {
        Lists(Mutex::new(lists.iter().map(|list| list.to_vec()).collect()))
    }

    #[test]
    fn an_actor_is_meant_by_its_name_or_its_port() {
        let site = lists(&[&[("a", 1), ("b", 2), ("b", 3)]]);
        assert_eq!(find(&site, 1, "a"), Ok(ui(1)));
        assert_eq!(find(&site, 1, &ui(3).to_string()), Ok(ui(3)));
        for wrong in ["b", "c", ""] {
            assert_eq!(find(&site, 1, wrong).unwrap_err().status, Status::Usage);
        }
    }

    #[test]
    fn it_is_done_when_the_old_one_has_gone() {
        let pair = Pair {
            site: 1,
            old: ui(1),
            new: ui(2),
        };
        let both: &[_] = &[("a", 1), ("a", 2)];
        let replaced = lists(&[both, both, &[("a", 2)]]);
        assert_eq!(done(&replaced, &pair, "a"), Ok(()));
        let refused = lists(&[both, &[("a", 1)]]);
        assert_eq!(
            done(&refused, &pair, "a").unwrap_err().status,
            Status::Guest
        );
    }
}
