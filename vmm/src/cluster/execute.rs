//! Actors that people start: `run`, `exec`, and `[[actor]]` of a topology.
//!
//! All three go the same way: the image is put at the file service, the site manager of each site is asked to start it, and the
//! notice of its end comes back to the control service.

use super::control::ActorEnd;
use super::failure::{Failure, Outcome, Status};
use super::gateway::ends::End;
use super::gateway::requests::{self, Start};
use super::images;
use super::plan::Plan;
use super::process::Cluster;
use super::replace;
use super::topology::{ActorSpec, Image, Kind};
use chorus_abi::{KnCap, KnUniqueId};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An actor, its image read.
pub struct Work {
    /// Name.
    pub name: String,
    /// Image.
    pub image: Arc<[u8]>,
    /// Site numbers.
    pub sites: Vec<u16>,
    /// Kind.
    pub kind: Kind,
    /// Priority.
    pub priority: u8,
    /// Arguments.
    pub args: Vec<String>,
    /// Name, or UI of the default port, of the running actor that it replaces on its site.
    pub replaces: Option<String>,
}

/// An actor that was started.
#[derive(Clone, Debug)]
pub struct Started {
    /// Site number.
    pub site: u16,
    /// Its default port.
    pub actor: KnUniqueId,
    /// Its name.
    pub name: String,
}

/// Reads the image of an actor of the topology. Errors: status 4 naming the file.
pub fn work_of(plan: &Plan, actor: &ActorSpec) -> Outcome<Work> {
    let in_folder = match (&actor.image, &plan.actor_dir) {
        (Image::BuiltIn(name), Some(folder)) => {
            Some(folder.join(name)).filter(|path| path.is_file())
        }
        _ => None,
    };
    let image = match in_folder {
        Some(path) => images::load_file(&path)?,
        None => images::load(&actor.image)?,
    };
    Ok(Work {
        name: actor.name.clone(),
        image: image.into(),
        sites: actor.site.clone(),
        kind: actor.kind,
        priority: actor.priority,
        args: actor.args.clone(),
        replaces: None,
    })
}

/// An image at the file service, taken away again when nobody starts it any more.
struct Registered<'a>(&'a Cluster, KnCap);

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.0.services.files.forget(self.1);
    }
}

/// Starts an actor on all its sites. Errors: a site refused or did not answer; what was started on others is deleted again.
pub fn start(cluster: &Cluster, work: &Work) -> Outcome<Vec<Started>> {
    let calls = cluster.calls()?;
    let cap = cluster
        .services
        .files
        .register(&work.name, Arc::clone(&work.image));
    let image = Registered(cluster, cap);
    let size = u32::try_from(work.image.len())
        .map_err(|_| Failure::bad_file(format!("{}: too large", work.name)))?;
    let mut started: Vec<Started> = Vec::new();
    let mut replaced = Vec::new();
    for &site in &work.sites {
        let replaces = match &work.replaces {
            Some(name) => match replace::find(calls, site, name) {
                Ok(ui) => Some(ui),
                Err(failure) => {
                    delete(cluster, &started);
                    return Err(failure);
                }
            },
            None => None,
        };
        let order = Start {
            name: &work.name,
            image: image.1,
            size,
            kind: work.kind,
            priority: work.priority,
            args: &work.args,
            replaces,
        };
        let answer = cluster
            .machine(site)
            .and_then(|_| requests::start(calls, site, &order));
        match answer {
            Ok(actor) => {
                started.push(Started {
                    site,
                    actor,
                    name: work.name.clone(),
                });
                replaced.extend(replaces.map(|old| replace::Pair {
                    site,
                    old,
                    new: actor,
                }));
            }
            Err(failure) => {
                delete(cluster, &started);
                return Err(failure);
            }
        }
    }
    for pair in replaced {
        replace::done(calls, &pair, &work.name)?;
    }
    Ok(started)
}

/// Deletes actors; those that have ended, or whose site has, are passed over.
pub fn delete(cluster: &Cluster, actors: &[Started]) {
    let Ok(calls) = cluster.calls() else { return };
    for started in actors
        .iter()
        .filter(|started| cluster.machine(started.site).is_ok())
    {
        // Nobody waits for these any more; a site that does not answer will be ended by its owner.
        let _ = requests::kill(calls, started.site, started.actor);
    }
}

/// Waits for the ends of actors. `check` is asked often, and its error ends the wait. Errors: the time limit (status 124), or
/// `check`'s; the actors that still run are deleted then.
pub fn wait(
    cluster: &Cluster,
    actors: &[Started],
    limit: Option<Instant>,
    check: &dyn Fn() -> Outcome<()>,
) -> Outcome<Vec<ActorEnd>> {
    let mut ends = Vec::new();
    for (index, started) in actors.iter().enumerate() {
        loop {
            if let Some(end) =
                cluster
                    .services
                    .ends
                    .wait(started.site, started.actor, Duration::from_millis(100))
            {
                let status = if let End::Exit(status) = end {
                    Some(status)
                } else {
                    None
                };
                ends.push(ActorEnd {
                    site: started.site,
                    name: started.name.clone(),
                    status,
                    why: end.why(),
                });
                break;
            }
            let late = limit.is_some_and(|limit| Instant::now() >= limit);
            let stop = if late {
                let text = format!(
                    "the time limit passed; actor {} on site {} still runs",
                    started.name, started.site
                );
                Err(Failure::new(Status::Timeout, text))
            } else {
                check()
            };
            if let Err(failure) = stop {
                delete(cluster, &actors[index..]);
                return Err(failure);
            }
        }
    }
    Ok(ends)
}

/// An end in words.
pub fn describe(end: &ActorEnd) -> String {
    match (end.status, &end.why) {
        (Some(status), _) => format!("status {status}"),
        (None, Some(why)) => why.clone(),
        (None, None) => "ended".to_owned(),
    }
}

/// The exit status for these ends: the first that is not 0. Errors: status 6 when an actor did not end by itself.
pub fn status_of(ends: &[ActorEnd]) -> Outcome<u8> {
    match ends.iter().find(|end| end.status != Some(0)) {
        None => Ok(0),
        // As a shell sees it: the low eight bits; but what is not 0 must not become 0.
        Some(ActorEnd {
            status: Some(status),
            ..
        }) => Ok(u8::try_from(status & 0xff).unwrap_or(1).max(1)),
        Some(end) => Err(Failure::new(
            Status::Guest,
            format!("actor {} on site {}: {}", end.name, end.site, describe(end)),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(status: Option<i32>) -> ActorEnd {
        ActorEnd {
            site: 1,
            name: "a".into(),
            status,
            why: Some("x".into()),
        }
    }

    #[test]
    fn the_first_bad_status_counts() {
        assert_eq!(status_of(&[]), Ok(0));
        assert_eq!(
            status_of(&[end(Some(0)), end(Some(7)), end(Some(8))]),
            Ok(7)
        );
        assert_eq!(status_of(&[end(Some(-1))]), Ok(255));
        assert_eq!(status_of(&[end(Some(256))]), Ok(1));
        assert_eq!(
            status_of(&[end(Some(0)), end(None)]).unwrap_err().status,
            Status::Guest
        );
    }
}
