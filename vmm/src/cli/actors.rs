//! Verbs on sites and actors of a running cluster: `exec`, `pause`, `resume`, `kill`.

use super::args::{ExecArgs, KindArg, OneSiteArgs, SiteArgs};
use super::context::Context;
use super::{output, shape};
use crate::cluster::client::Client;
use crate::cluster::control::{Answer, Exec, Request, SiteInfo};
use crate::cluster::execute;
use crate::cluster::failure::{Failure, Outcome, Status};
use crate::cluster::images;
use crate::cluster::topology::{Image, Kind, nearest};
use std::time::{Duration, Instant};

/// The sites of the cluster.
fn sites(client: &mut Client) -> Outcome<Vec<SiteInfo>> {
    match client.ask(&Request::Status)? {
        Answer::Cluster { sites, .. } => Ok(sites),
        other => Err(client.unexpected(&other)),
    }
}

/// The number of the site that a name or number means. Errors: status 2 with the nearest name.
pub fn find(sites: &[SiteInfo], text: &str) -> Outcome<u16> {
    let number = text.parse::<u16>().ok();
    let found = sites
        .iter()
        .find(|site| Some(site.site) == number || site.name == text);
    found.map(|site| site.site).ok_or_else(|| {
        let failure = Failure::usage(format!("there is no site {text} in this cluster"));
        match nearest(text, sites.iter().map(|site| site.name.as_str())) {
            Some(meant) => failure.hint(format!("did you mean {meant}?")),
            None => failure.hint("the sites are listed by: chorus ps"),
        }
    })
}

/// As [`find`], asking the cluster for its sites.
pub fn site_number(client: &mut Client, text: &str) -> Outcome<u16> {
    find(&sites(client)?, text)
}

/// `chorus exec`.
pub fn exec(context: &Context, args: &ExecArgs) -> Outcome<u8> {
    let image = images::find(&args.actor, None)?;
    let limit = args
        .timeout
        .map(|limit| shape::seconds("--timeout", limit))
        .transpose()?;
    let (builtin, bytes) = match &image {
        Image::BuiltIn(name) => (Some(name.clone()), Vec::new()),
        Image::File(path) => (None, images::load_file(path)?),
    };
    let mut client = Client::connect(&context.runtime()?)?;
    let all = sites(&mut client)?;
    let chosen = match args.site.as_str() {
        "all" => all
            .iter()
            .filter(|site| !site.state.ended())
            .map(|site| site.site)
            .collect(),
        one => vec![find(&all, one)?],
    };
    let kind = match args.kind {
        KindArg::User => Kind::User,
        KindArg::System => Kind::System,
        KindArg::Supervisor => Kind::Supervisor,
    };
    let many = chosen.len() > 1;
    let exec = Exec {
        sites: chosen,
        name: images::default_name(&image),
        builtin,
        size: bytes.len() as u64,
        kind,
        priority: args.priority,
        args: args.args.clone(),
        replaces: args.replace.clone(),
        wait: !args.no_wait,
    };
    client.send(&Request::Exec(exec), &bytes)?;
    let late = |failure: Failure| match (failure.status, limit) {
        // Leaving ends the actor: the cluster sees the connection go.
        (Status::Timeout, Some(limit)) => {
            let text = format!("the time limit of {limit} s passed; the actor is ended");
            Failure::new(Status::Timeout, text)
        }
        _ => failure,
    };
    let end = limit.map(|limit| Instant::now() + Duration::from_secs_f64(limit));
    loop {
        // The limit is on the whole, not on each line.
        client.limit(end.map(|end| end.saturating_duration_since(Instant::now())))?;
        match client.receive().map_err(late)? {
            Answer::Line { line } => {
                if !super::logs::print(
                    &line,
                    super::logs::Sort::Output,
                    false,
                    many,
                    context.color_out(),
                ) {
                    return output::text("\n").map(|()| 0);
                }
            }
            Answer::Ended { ends } => {
                for end in ends
                    .iter()
                    .filter(|end| end.status != Some(0) && context.verbose > 0)
                {
                    let how = execute::describe(end);
                    context.say(&format!("actor {} on site {}: {how}", end.name, end.site));
                }
                return execute::status_of(&ends);
            }
            other => return Err(client.unexpected(&other)),
        }
    }
}

fn order(
    context: &Context,
    site: Option<&str>,
    request: impl Fn(Option<u16>) -> Request,
) -> Outcome<()> {
    let mut client = Client::connect(&context.runtime()?)?;
    client.limit(Some(Duration::from_secs(60)))?;
    let site = site
        .map(|site| site_number(&mut client, site))
        .transpose()?;
    client.order(&request(site))
}

/// `chorus pause`.
pub fn pause(context: &Context, args: &SiteArgs) -> Outcome<()> {
    order(context, args.site.as_deref(), |site| Request::Pause {
        site,
    })
}

/// `chorus resume`.
pub fn resume(context: &Context, args: &SiteArgs) -> Outcome<()> {
    order(context, args.site.as_deref(), |site| Request::Resume {
        site,
    })
}

/// `chorus kill`.
pub fn kill(context: &Context, args: &OneSiteArgs) -> Outcome<()> {
    order(context, Some(&args.site), |site| Request::Kill {
        site: site.unwrap_or(0),
    })
}
