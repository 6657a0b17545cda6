//! What the gateway asks of the sites: start, list, delete actors.
//!
//! All are `ipcCall`s to a site's site manager at its well-known port.

use super::{Annex, Calls};
use crate::cluster::control::ActorInfo;
use crate::cluster::failure::{Failure, Outcome, Status};
use crate::cluster::topology::Kind;
use chorus_abi::image::{ARGS_MAX, LoadDiag};
use chorus_abi::services::{
    Answer, NET_VIEW, SITE_KILL, SITE_LIST, SITE_PING, SITE_START, SiteRequest, StartRequest,
};
use chorus_abi::{
    GATEWAY_SITE, K_SUPACTOR, K_SYSTEMACTOR, KError, KnActorStat, KnCap, KnUniqueId,
    STAMP_NETWORK_MANAGER, STAMP_SITE_MANAGER, name_text,
};
use std::time::Duration;
use zerocopy::FromBytes;

/// How long a site manager may take. Loading an image of 16 MiB over a slow emulated host is the longest.
const LIMIT: Duration = Duration::from_secs(60);

/// How long a Network Manager may take to say how it stands.
const VIEW_LIMIT: Duration = Duration::from_secs(20);

/// An actor to be started.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    /// Name, the first argument.
    pub name: &'a str,
    /// Image at the file service.
    pub image: KnCap,
    /// Bytes of the image.
    pub size: u32,
    /// Kind.
    pub kind: Kind,
    /// Priority.
    pub priority: u8,
    /// Arguments behind the name.
    pub args: &'a [String],
    /// Default port of the actor that it replaces.
    pub replaces: Option<KnUniqueId>,
}

fn manager(site: u16) -> KnUniqueId {
    KnUniqueId::well_known_port(site, STAMP_SITE_MANAGER)
}

fn ask(
    calls: &dyn Calls,
    site: u16,
    doing: &str,
    annex: &Annex,
    body: &[u8],
) -> Outcome<(Answer, Vec<u8>)> {
    ask_port(calls, site, manager(site), doing, annex, body, LIMIT)
}

fn ask_port(
    calls: &dyn Calls,
    site: u16,
    port: KnUniqueId,
    doing: &str,
    annex: &Annex,
    body: &[u8],
    limit: Duration,
) -> Outcome<(Answer, Vec<u8>)> {
    let fail = |error: KError| {
        let status = if error == KError::Timeout {
            Status::Timeout
        } else {
            Status::Guest
        };
        Failure::new(
            status,
            format!(
                "site {site}: {doing}: {} ({})",
                error.meaning(),
                error.symbol()
            ),
        )
    };
    let (annex, body) = calls.call(port, annex, body, limit).map_err(fail)?;
    Ok((Answer::from_annex(&annex), body))
}

/// The error in an answer.
fn error_of(answer: &Answer) -> Option<KError> {
    (answer.result != 0).then(|| KError::from_code(answer.result).unwrap_or(KError::Inval))
}

/// Whether the site manager answers; the site's incarnation.
pub fn ping(calls: &dyn Calls, site: u16, limit: Duration) -> Result<u64, KError> {
    let request = SiteRequest {
        service: SITE_PING,
        ..SiteRequest::default()
    };
    let (annex, _) = calls.call(manager(site), &request.to_annex(), &[], limit)?;
    let answer = Answer::from_annex(&annex);
    error_of(&answer).map_or(Ok(answer.value), Err)
}

/// The arguments as the Nucleus takes them: zero-terminated strings. Errors: status 2 when they do not fit.
pub fn pack_args(name: &str, args: &[String]) -> Outcome<Vec<u8>> {
    let mut packed = Vec::new();
    for text in std::iter::once(name).chain(args.iter().map(String::as_str)) {
        if text.contains('\0') {
            return Err(Failure::usage(format!(
                "an argument of {name} holds a zero byte"
            )));
        }
        packed.extend_from_slice(text.as_bytes());
        packed.push(0);
    }
    if packed.len() > ARGS_MAX {
        return Err(Failure::usage(format!(
            "the arguments of {name} take {} bytes, an actor has room for {ARGS_MAX}",
            packed.len()
        )));
    }
    Ok(packed)
}

/// Starts an actor; the value is its default port. Errors: status 4 when the loader refused the image, 6 when the site did not answer.
pub fn start(calls: &dyn Calls, site: u16, start: &Start<'_>) -> Outcome<KnUniqueId> {
    let body = pack_args(start.name, start.args)?;
    let request = StartRequest {
        service: SITE_START,
        kind: start.kind.number(),
        priority: i32::from(start.priority),
        size: start.size,
        image: start.image,
        replaces: start.replaces.unwrap_or(KnUniqueId::NULL),
    };
    let doing = format!("starting {}", start.name);
    let (answer, _) = ask(calls, site, &doing, &request.to_annex(), &body)?;
    let Some(error) = error_of(&answer) else {
        return Ok(answer.cap.ui);
    };
    if let Some(diag) = LoadDiag::from_number(answer.diag) {
        let text = format!(
            "{}: the loader of site {site} refuses it: {} (detail {:#x})",
            start.name,
            diag.text(),
            answer.detail
        );
        return Err(Failure::bad_file(text));
    }
    Err(Failure::new(
        Status::Guest,
        format!(
            "site {site}: {doing}: {} ({})",
            error.meaning(),
            error.symbol()
        ),
    ))
}

/// Deletes an actor. One that has ended already is no error.
pub fn kill(calls: &dyn Calls, site: u16, actor: KnUniqueId) -> Outcome<()> {
    let request = SiteRequest {
        service: SITE_KILL,
        ui: actor,
        ..SiteRequest::default()
    };
    let (answer, _) = ask(calls, site, "deleting an actor", &request.to_annex(), &[])?;
    match error_of(&answer) {
        None | Some(KError::Unknown) => Ok(()),
        Some(error) => Err(Failure::new(
            Status::Guest,
            format!("site {site}: deleting an actor: {}", error.meaning()),
        )),
    }
}

/// How the Network Manager of a site stands; of the gateway's site, its own endpoint.
pub fn view(calls: &dyn Calls, site: u16) -> Outcome<chorus_transport::View> {
    if site == GATEWAY_SITE {
        let view = calls.view();
        return view.ok_or_else(|| Failure::failed("the gateway has ended"));
    }
    let request = SiteRequest {
        service: NET_VIEW,
        ..SiteRequest::default()
    };
    let doing = "asking its Network Manager";
    let port = KnUniqueId::well_known_port(site, STAMP_NETWORK_MANAGER);
    let annex = request.to_annex();
    let (answer, body) = ask_port(calls, site, port, doing, &annex, &[], VIEW_LIMIT)?;
    let view = match error_of(&answer) {
        None => chorus_transport::View::read(&body),
        Some(_) => None,
    };
    view.ok_or_else(|| {
        let text = format!("site {site}: {doing}: its answer is not understood");
        Failure::new(Status::Guest, text)
    })
}

/// The actors of a site, for people.
pub fn list(calls: &dyn Calls, site: u16) -> Outcome<Vec<ActorInfo>> {
    Ok(told(site, &actors(calls, site)?))
}

/// The actors of a site.
pub fn actors(calls: &dyn Calls, site: u16) -> Outcome<Vec<KnActorStat>> {
    let request = SiteRequest {
        service: SITE_LIST,
        ..SiteRequest::default()
    };
    let (answer, body) = ask(calls, site, "listing actors", &request.to_annex(), &[])?;
    if let Some(error) = error_of(&answer) {
        return Err(Failure::new(
            Status::Guest,
            format!("site {site}: listing actors: {}", error.meaning()),
        ));
    }
    Ok(actors_in(&body))
}

fn actors_in(body: &[u8]) -> Vec<KnActorStat> {
    let entries = body.chunks_exact(size_of::<KnActorStat>());
    entries
        .filter_map(|bytes| KnActorStat::read_from_bytes(bytes).ok())
        .collect()
}

fn told(site: u16, actors: &[KnActorStat]) -> Vec<ActorInfo> {
    actors
        .iter()
        .map(|stat| ActorInfo {
            site,
            actor: stat.cap.ui.to_string(),
            name: name_text(&stat.name)
                .chars()
                .filter(|c| !c.is_control())
                .collect(),
            kind: match stat.kind {
                K_SUPACTOR => "supervisor",
                K_SYSTEMACTOR => "system",
                _ => "user",
            }
            .to_owned(),
            priority: stat.priority,
            threads: stat.threads,
            ports: stat.ports,
            pages: stat.pages,
            base: format!("{:#x}", stat.base),
            stopped: stat.stopped != 0,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::IntoBytes;

    /// A site that gives one answer.
    struct Fixed(Result<Answer, KError>, Vec<u8>);
    impl Calls for Fixed {
        fn call(
            &self,
            _: KnUniqueId,
            _: &Annex,
            _: &[u8],
            _: Duration,
        ) -> Result<(Annex, Vec<u8>), KError> {
            self.0.map(|answer| (answer.to_annex(), self.1.clone()))
        }
        fn reply(&self, _: u64, _: &Annex, _: &[u8]) {}
    }

    fn started(answer: Result<Answer, KError>) -> Outcome<KnUniqueId> {
        let image = KnCap::default();
        let order = Start {
            name: "a",
            image,
            size: 1,
            kind: Kind::User,
            priority: 1,
            args: &[],
            replaces: None,
        };
        start(&Fixed(answer, vec![]), 3, &order)
    }

    #[test]
    fn refusals_name_their_cause() {
        let refused = Answer {
            result: KError::Inval.code(),
            diag: LoadDiag::UnknownImport as u32,
            ..Answer::default()
        };
        let failure = started(Ok(refused)).unwrap_err();
        assert_eq!(failure.status, Status::BadFile);
        assert!(failure.what.contains("imports a call"), "{failure}");
        assert_eq!(
            started(Err(KError::Timeout)).unwrap_err().status,
            Status::Timeout
        );
        assert_eq!(
            started(Ok(Answer {
                result: -999,
                ..Answer::default()
            }))
            .unwrap_err()
            .status,
            Status::Guest
        );
    }

    #[test]
    fn arguments_are_packed_and_limited() {
        assert_eq!(
            pack_args("a", &["b c".into(), String::new()]).unwrap(),
            b"a\0b c\0\0"
        );
        assert_eq!(
            pack_args("a", &["x".repeat(ARGS_MAX)]).unwrap_err().status,
            Status::Usage
        );
        assert!(pack_args("a", &["x\0y".into()]).is_err());
    }

    #[test]
    fn lists_are_read_and_a_half_entry_is_dropped() {
        let stat = KnActorStat {
            kind: K_SUPACTOR,
            threads: 2,
            name: chorus_abi::name_field("nm\u{1b}"),
            ..Default::default()
        };
        let mut body = stat.as_bytes().to_vec();
        body.extend_from_slice(&[1, 2, 3]);
        let actors = told(4, &actors_in(&body));
        assert_eq!(actors.len(), 1);
        assert_eq!(
            (
                actors[0].name.as_str(),
                actors[0].kind.as_str(),
                actors[0].threads
            ),
            ("nm", "supervisor", 2)
        );
    }
}
