//! `chorus trace`: what the sites of a running cluster do, call by call.

use super::actors::find;
use super::args::{TraceExportArgs, TraceFormat, TraceStartArgs, TraceVerb};
use super::context::Context;
use super::output;
use crate::cluster::client::Client;
use crate::cluster::control::{Answer, Request};
use crate::cluster::failure::{Failure, Outcome};
use crate::cluster::site::TraceOrder;
use crate::cluster::topology::parse_size;
use crate::trace::{Recording, chrome, classes, decode, folded, perfetto, text};
use chorus_abi::trace::{RECORD, WINDOW_MOST};
use std::path::Path;
use std::time::Duration;

/// `chorus trace`.
pub fn trace(context: &Context, verb: &TraceVerb) -> Outcome<()> {
    match verb {
        TraceVerb::Start(args) => start(context, args),
        TraceVerb::Stop => client(context)?.order(&Request::TraceOff),
        TraceVerb::Export(args) => export(context, args),
    }
}

fn client(context: &Context) -> Outcome<Client> {
    let client = Client::connect(&context.runtime()?)?;
    client.limit(Some(Duration::from_secs(180)))?;
    Ok(client)
}

fn start(context: &Context, args: &TraceStartArgs) -> Outcome<()> {
    let named = args.classes.iter().map(String::as_str);
    let bits = classes(named).map_err(|why| Failure::usage(format!("--classes: {why}")))?;
    let order = TraceOrder {
        classes: bits,
        records: records(&args.size)?,
    };
    let mut client = client(context)?;
    let sites = match client.ask(&Request::Status)? {
        Answer::Cluster { sites, .. } => sites,
        other => return Err(client.unexpected(&other)),
    };
    let chosen = args.sites.iter().map(|word| find(&sites, word));
    let sites = chosen.collect::<Outcome<_>>()?;
    client.order(&Request::Trace { sites, order })?;
    context.say("tracing; next: chorus trace export, chorus trace stop");
    Ok(())
}

/// How many records take at most so much memory. Errors: status 2 for what is no size, too little, or too much.
fn records(size: &str) -> Outcome<u64> {
    let bytes = parse_size(size).map_err(|why| Failure::usage(format!("--size: {why}")))?;
    match bytes {
        1024..=WINDOW_MOST => {
            let most = bytes / RECORD;
            Ok(1 << most.ilog2())
        }
        _ => Err(Failure::usage(format!(
            "--size {size}: must be 1K to {}M",
            WINDOW_MOST >> 20
        ))),
    }
}

fn export(context: &Context, args: &TraceExportArgs) -> Outcome<()> {
    let recordings = fetch(&mut client(context)?)?;
    if recordings.is_empty() {
        let failure = Failure::failed("nothing was traced in this cluster");
        return Err(failure.hint("begin with: chorus trace start"));
    }
    let trace = decode::decode(&recordings);
    let written = match args.format {
        TraceFormat::Text => text::write(&trace).into_bytes(),
        TraceFormat::Chrome => chrome::write(&trace).into_bytes(),
        TraceFormat::Perfetto => perfetto::write(&trace),
        TraceFormat::Folded => folded::write(&trace).into_bytes(),
    };
    match &args.output {
        Some(path) if path != Path::new("-") => std::fs::write(path, written).map_err(|error| {
            let why = crate::cluster::reason(&error);
            Failure::failed(format!("{}: {why}", path.display()))
        }),
        _ => output::bytes(&written),
    }?;
    let counts = trace.sites.iter().flat_map(|site| &site.counts);
    let lost = counts.fold(0u64, |sum, count| sum.saturating_add(count.lost));
    if lost > 0 {
        context.say(&format!(
            "{lost} older events were overwritten; a larger --size of trace start keeps more"
        ));
    }
    Ok(())
}

/// What was recorded of all sites.
fn fetch(client: &mut Client) -> Outcome<Vec<Recording>> {
    client.send(&Request::Traced, &[])?;
    let mut recordings = Vec::new();
    loop {
        match client.receive()? {
            Answer::Recording { heading } => {
                let large = || Failure::failed("the cluster sends a ring that is too large");
                recordings.push(heading.with(large, |bytes| client.bytes(bytes))?);
            }
            Answer::Done => return Ok(recordings),
            other => return Err(client.unexpected(&other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::records;

    #[test]
    fn a_ring_never_takes_more_than_was_given() {
        assert_eq!(records("1M").unwrap(), 16384);
        assert_eq!(records("3M").unwrap(), 32768);
        assert_eq!(records("1K").unwrap(), 16);
        for wrong in ["1", "0K", "257M", "x"] {
            assert!(records(wrong).is_err(), "{wrong}");
        }
    }
}
