//! `chorus logs`: what sites and actors wrote.
//!
//! From the living cluster by its control socket; after its process was killed, from the log files that it left.

use super::args::{Format, LogsArgs};
use super::context::Context;
use super::{actors, output};
use crate::cluster::client::Client;
use crate::cluster::control::{Answer, LogLine, Request, Stream};
use crate::cluster::failure::{Failure, Outcome};
use crate::cluster::log;
use crate::cluster::runtime::{Runtime, State};
use std::io::Write;

/// Where the lines of a log go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sort {
    /// All on stdout: the log itself was asked for.
    Log,
    /// What actors write on their standard output on stdout, all else on stderr: the actors' output was asked for.
    Output,
}

/// Prints one line of the log. False when nobody reads any more.
pub fn print(line: &LogLine, sort: Sort, times: bool, prefix: bool, color: bool) -> bool {
    let mut text = log::format(line, times, prefix);
    if color && prefix {
        // A colour a site, so that the eye can follow one.
        let tint = 31 + (line.site.wrapping_sub(1)) % 6;
        text = match text.split_once(" | ") {
            Some((head, rest)) => format!("\x1b[{tint}m{head}\x1b[0m | {rest}"),
            None => text,
        };
    }
    text.push('\n');
    fn put(mut out: impl Write, text: &str) -> bool {
        out.write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .is_ok()
    }
    if sort == Sort::Output && line.stream != Stream::Out {
        put(std::io::stderr().lock(), &text)
    } else {
        put(std::io::stdout().lock(), &text)
    }
}

/// `chorus logs`.
pub fn logs(context: &Context, args: &LogsArgs) -> Outcome<()> {
    let runtime = context.runtime()?;
    if runtime.state() == State::Stale && !args.follow {
        return left_behind(context, &runtime, args);
    }
    let mut client = Client::connect(&runtime)?;
    let site = args
        .site
        .as_deref()
        .map(|site| actors::site_number(&mut client, site))
        .transpose()?;
    client.send(
        &Request::Logs {
            site,
            tail: args.tail,
            follow: args.follow,
        },
        &[],
    )?;
    let color = context.color_out();
    loop {
        match client.receive()? {
            Answer::Line { line } if args.format.format == Format::Json => {
                output::json_line(&line)?
            }
            Answer::Line { line } => {
                if !print(&line, Sort::Log, args.timestamps, !args.no_prefix, color) {
                    // One more write tells a reader that went away from a full disk.
                    return output::text("\n");
                }
            }
            Answer::Done => return Ok(()),
            other => return Err(client.unexpected(&other)),
        }
    }
}

/// The log files of a cluster whose process was killed.
fn left_behind(context: &Context, runtime: &Runtime, args: &LogsArgs) -> Outcome<()> {
    if args.format.format == Format::Json || args.no_prefix {
        let text = format!(
            "the process of cluster {} was killed; its log is left as text only",
            runtime.name()
        );
        return Err(Failure::failed(text).hint(format!(
            "leave out --format and --no-prefix, or read {}",
            runtime.logs().display()
        )));
    }
    context.say(&format!(
        "the process of cluster {} was killed; this is what it left",
        runtime.name()
    ));
    let entries = std::fs::read_dir(runtime.logs())
        .map(|entries| entries.flatten().collect::<Vec<_>>())
        .unwrap_or_default();
    let mut lines: Vec<String> = Vec::new();
    for entry in entries {
        let file = entry.file_name().to_string_lossy().into_owned();
        if args
            .site
            .as_deref()
            .is_none_or(|site| file.starts_with(&format!("{site}.log")))
        {
            let bytes = std::fs::read(entry.path()).unwrap_or_default();
            lines.extend(String::from_utf8_lossy(&bytes).lines().map(str::to_owned));
        }
    }
    // Every line begins with its time, padded, so that the order of the text is the order of time.
    lines.sort();
    let from = lines.len().saturating_sub(args.tail.unwrap_or(usize::MAX));
    output::text(
        &lines[from..]
            .iter()
            .map(|line| format!("{line}\n"))
            .collect::<String>(),
    )
}
