//! From the text of `chorus.toml` to a [`Topology`].
//!
//! Reading goes over the whole file and collects every complaint; only a file without any becomes a topology. The keys are those
//! of the item 3; what the fabric cannot do yet is an unknown key, not a silent wish.

use super::events::read_event;
use super::fields::{At, Fields, Reader, text_of};
use super::links::{check_graph, read_fabric, read_link};
use super::names::{check_name, nearest};
use super::report::Problem;
use super::size::{format_size, parse_size};
use super::*;
use crate::cluster::images;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Reads a topology. `host_mem` is the memory of the host in bytes, if known. Errors: every complaint, in the order of the text.
pub fn read(source: &Source, host_mem: Option<u64>) -> Result<Topology, Vec<Problem>> {
    let (root, errors) = DeTable::parse_recoverable(&source.text);
    let mut problems: Vec<Problem> = errors
        .iter()
        .map(|error| {
            let span = error.span().unwrap_or(0..0);
            Problem::at(
                &source.text,
                span,
                "syntax",
                error.message().trim().replace('\n', ", "),
            )
        })
        .collect();
    if !problems.is_empty() {
        return Err(problems);
    }
    let reader = Reader {
        text: &source.text,
        problems: RefCell::default(),
    };
    let topology = read_root(&reader, source, &root, host_mem);
    problems.append(&mut reader.problems.into_inner());
    problems.sort_by_key(|problem| problem.span.start);
    if problems.is_empty() {
        Ok(topology)
    } else {
        Err(problems)
    }
}

const VCPUS_HELP: &str = "a site of this release has 1 to 16 processors; take more sites for more";
const COUNT_HELP: &str = "a cluster of this release has 1 to 512 sites";

/// Size of a site, as `[defaults]` and `[[site]]` give it.
#[derive(Clone, Copy)]
struct Size {
    vcpus: u32,
    mem: u64,
    swap: u64,
    clock: u32,
}

fn read_root(
    reader: &Reader<'_>,
    source: &Source,
    root: &Spanned<DeTable<'_>>,
    host_mem: Option<u64>,
) -> Topology {
    let mut file = Fields::new(reader, root.get_ref(), 0..0, "the file");
    match file.number("version", 1..=1, "version", "this chorus reads version 1") {
        None if root.get_ref().get("version").is_none() => {
            file.missing("version", "begin the file with: version = 1")
        }
        _ => {}
    }
    let cluster = read_cluster(reader, file.take("cluster"));
    let mut defaults = Size {
        vcpus: VCPUS_DEFAULT,
        mem: MEM_DEFAULT,
        swap: 0,
        clock: TRUE_SPEED,
    };
    if let Some(mut table) = file
        .take("defaults")
        .and_then(|value| Fields::of(reader, value, "[defaults]"))
    {
        defaults = read_size(reader, &mut table, defaults);
        table.finish();
    }
    let (fabric, place) = read_fabric(reader, file.take("fabric"));
    let mut topology = Topology {
        version: 1,
        cluster,
        site: Vec::new(),
        fabric,
        link: Vec::new(),
        actor: Vec::new(),
        event: Vec::new(),
    };
    read_sites(reader, &mut file, defaults, &mut topology, host_mem);
    let links: Vec<_> = file.array("link").collect();
    let actors: Vec<_> = file.array("actor").collect();
    let events: Vec<_> = file.array("event").collect();
    // A shape has its links whatever is listed.
    let shape = match topology.fabric.topology {
        Pattern::Shape(_) => topology.graph(0).ok(),
        Pattern::Listed => None,
    };
    for value in links {
        if let Some(table) = Fields::of(reader, value, "[[link]]") {
            read_link(reader, table, &mut topology, shape.as_ref());
        }
    }
    check_graph(reader, &topology, &place);
    for value in actors {
        if let Some(table) = Fields::of(reader, value, "[[actor]]") {
            read_actor(reader, table, source, &mut topology);
        }
    }
    let graph = topology.graph(0).ok();
    for value in events {
        if let Some(table) = Fields::of(reader, value, "[[event]]") {
            read_event(reader, table, &mut topology, graph.as_ref());
        }
    }
    file.finish();
    topology
}

fn read_cluster(reader: &Reader<'_>, value: Option<&Spanned<DeValue<'_>>>) -> ClusterSpec {
    let mut cluster = ClusterSpec {
        name: "default".to_owned(),
        seed: None,
    };
    let Some(mut table) = value.and_then(|value| Fields::of(reader, value, "[cluster]")) else {
        return cluster;
    };
    if let Some(name) = table.parsed("name", "name", |name| {
        check_name(name).map(|()| name.to_owned())
    }) {
        cluster.name = name.value;
    }
    cluster.seed = table
        .number(
            "seed",
            0..=i64::MAX as u64,
            "seed",
            "a seed is a whole number",
        )
        .map(|seed| seed.value);
    table.finish();
    cluster
}

fn read_size(reader: &Reader<'_>, table: &mut Fields<'_, '_>, base: Size) -> Size {
    let vcpus = table.number("vcpus", 1..=u64::from(VCPUS_MAX), "vcpus", VCPUS_HELP);
    let mem = table
        .parsed("mem", "mem", parse_size)
        .and_then(|mem| match check_mem(mem.value) {
            Ok(()) => Some(mem.value),
            Err(why) => {
                reader.complain(
                    reader
                        .at(&mem.span, "mem", format!("`mem` {why}"))
                        .label("out of range"),
                );
                None
            }
        });
    let swap =
        table
            .parsed("swap", "swap", parse_size)
            .and_then(|swap| match check_swap(swap.value) {
                Ok(()) => Some(swap.value),
                Err(why) => {
                    reader.complain(
                        reader
                            .at(&swap.span, "swap", format!("`swap` {why}"))
                            .label("out of range"),
                    );
                    None
                }
            });
    let clock = table.parsed("clock", "clock", parse_speed);
    Size {
        vcpus: vcpus.map_or(base.vcpus, |vcpus| vcpus.value as u32),
        mem: mem.unwrap_or(base.mem),
        swap: swap.unwrap_or(base.swap),
        clock: clock.map_or(base.clock, |clock| clock.value),
    }
}

/// Reads the speed of a clock, percent of the true one, as millionths. Errors: a sentence.
fn parse_speed(text: &str) -> Result<u32, String> {
    let number = text.trim().trim_end_matches('%').trim_end().parse::<f64>();
    match number {
        Ok(percent) if (10.0..=1000.0).contains(&percent) => Ok((percent * 1e4).round() as u32),
        _ => Err(format!("\"{text}\" must be 10% to 1000% of the true speed")),
    }
}

/// Whether a site can have this much room for pages outside its memory. Errors: a sentence without its subject.
pub fn check_swap(bytes: u64) -> Result<(), String> {
    if bytes > SWAP_MAX {
        return Err(format!("is more than {}", format_size(SWAP_MAX)));
    }
    if bytes > 0 && bytes < 1 << 20 {
        return Err("is less than 1M".to_owned());
    }
    Ok(())
}

/// Whether a site can have this much memory. Errors: a sentence without its subject.
pub fn check_mem(bytes: u64) -> Result<(), String> {
    if !(MEM_MIN..=MEM_MAX).contains(&bytes) {
        return Err(format!(
            "is {}, but must be {} to {}",
            format_size(bytes),
            format_size(MEM_MIN),
            format_size(MEM_MAX)
        ));
    }
    if !bytes.is_multiple_of(2 << 20) {
        return Err(format!(
            "is {}, but must be a multiple of 2M",
            format_size(bytes)
        ));
    }
    Ok(())
}

fn read_sites(
    reader: &Reader<'_>,
    file: &mut Fields<'_, '_>,
    defaults: Size,
    topology: &mut Topology,
    host_mem: Option<u64>,
) {
    let mut first: HashMap<String, Range<usize>> = HashMap::new();
    let mut mem = 0u64;
    let mut too_much = false;
    for value in file.array("site").collect::<Vec<_>>() {
        let Some(mut table) = Fields::of(reader, value, "[[site]]") else {
            continue;
        };
        let name = table.parsed("name", "name", |name| {
            check_name(name).map(|()| name.to_owned())
        });
        let size = read_size(reader, &mut table, defaults);
        let count = table.number("count", 1..=u64::from(SITES_MAX), "count", COUNT_HELP);
        let span = name
            .as_ref()
            .map_or(table.span.clone(), |name| name.span.clone());
        table.finish();
        let copies = count.as_ref().map_or(1, |count| count.value as u16);
        for copy in 1..=copies {
            if topology.site.len() >= usize::from(SITES_MAX) {
                reader.complain(
                    reader
                        .at(&span, "count", format!("more than {SITES_MAX} sites"))
                        .help(COUNT_HELP),
                );
                return;
            }
            let number = topology.site.len() as u16 + 1;
            let name = match (&name, &count) {
                (Some(name), None) => name.value.clone(),
                (Some(name), Some(_)) => format!("{}{copy}", name.value),
                (None, _) => format!("s{number}"),
            };
            if let Some(before) = first.insert(name.clone(), span.clone()) {
                let line = reader.text[..before.start].matches('\n').count() + 1;
                let problem = reader.at(
                    &span,
                    "duplicate-name",
                    format!("a second site is called `{name}`"),
                );
                reader.complain(problem.label("taken").help(format!(
                    "the first is in line {line}; give each site a name of its own"
                )));
                break;
            }
            topology.site.push(SiteSpec {
                number,
                name,
                vcpus: size.vcpus,
                mem: size.mem,
                swap: size.swap,
                clock: size.clock,
            });
            mem = mem.saturating_add(size.mem);
            if let Some(host) = host_mem.filter(|host| mem > *host && !too_much) {
                let message = format!(
                    "the sites need {} up to here, and this machine has {}",
                    format_size(mem),
                    round_mib(host)
                );
                let problem = reader
                    .at(&span, "host-mem", message)
                    .label("too much memory");
                reader.complain(problem.help("give the sites less `mem`, or take fewer sites"));
                too_much = true;
            }
        }
    }
    if topology.site.is_empty() && reader.problems.borrow().is_empty() {
        file.missing("site", "add at least one site: [[site]]");
    }
}

/// A size for people, in whole mebibytes.
pub fn round_mib(bytes: u64) -> String {
    format_size(bytes >> 20 << 20)
}

/// The site that a text or number names, or a complaint.
pub(super) fn resolve_site(
    reader: &Reader<'_>,
    topology: &Topology,
    value: &Spanned<DeValue<'_>>,
    key: &str,
) -> Option<At<u16>> {
    let text = match value.get_ref() {
        DeValue::Integer(integer) => integer.as_str().to_owned(),
        _ => text_of(reader, value, key)?.value,
    };
    if let Some(site) = topology.find_site(&text) {
        return Some(At {
            value: site.number,
            span: value.span(),
        });
    }
    let help = match nearest(&text, topology.site.iter().map(|site| site.name.as_str())) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => {
            let names: Vec<&str> = topology
                .site
                .iter()
                .take(8)
                .map(|site| site.name.as_str())
                .collect();
            let more = if topology.site.len() > 8 { ", …" } else { "" };
            format!("the sites are {}{more}", names.join(", "))
        }
    };
    reader.complain(
        reader
            .at(
                &value.span(),
                "no-such-site",
                format!("`{key}`: there is no site `{text}`"),
            )
            .label("no such site")
            .help(help),
    );
    None
}

fn read_actor(
    reader: &Reader<'_>,
    mut table: Fields<'_, '_>,
    source: &Source,
    topology: &mut Topology,
) {
    let file = table.text("file");
    let builtin = table.text("builtin");
    let image = match (file, builtin) {
        (Some(file), None) => find_image(reader, source, file),
        (None, Some(name)) => find_builtin(reader, name),
        (Some(file), Some(_)) => {
            reader.complain(reader.at(
                &file.span,
                "two-images",
                "an actor has either `file` or `builtin`",
            ));
            None
        }
        (None, None) => {
            table.missing(
                "file",
                "name an ELF file, or a built-in actor such as \"hello\"",
            );
            None
        }
    };
    let site = read_placement(reader, &mut table, topology);
    let kind = table.parsed("kind", "kind", |word| match word {
        "user" => Ok(Kind::User),
        "system" => Ok(Kind::System),
        "supervisor" => Ok(Kind::Supervisor),
        other => Err(match nearest(other, ["user", "system", "supervisor"]) {
            Some(meant) => format!("\"{other}\" is not a kind; did you mean \"{meant}\"?"),
            None => format!("\"{other}\" is not a kind; the kinds are user, system and supervisor"),
        }),
    });
    let priority = table.number(
        "priority",
        0..=255,
        "priority",
        "0 is the most urgent, 255 the least",
    );
    let args: Vec<String> = table
        .array("args")
        .filter_map(|value| text_of(reader, value, "args"))
        .map(|arg| arg.value)
        .collect();
    let name = table.parsed("name", "name", |name| {
        check_name(name).map(|()| name.to_owned())
    });
    if let Some(at) = args.iter().position(|arg| arg.contains('\0')) {
        reader.complain(reader.at(
            &table.span,
            "args",
            format!("argument {} holds a zero byte", at + 1),
        ));
    }
    table.finish();
    let Some(image) = image else { return };
    let name = name.map_or_else(|| images::default_name(&image), |name| name.value);
    topology.actor.push(ActorSpec {
        name,
        image,
        site,
        kind: kind.map_or(Kind::User, |kind| kind.value),
        priority: priority.map_or(PRIORITY_DEFAULT, |priority| priority.value as u8),
        args,
    });
}

/// The sites of an actor: a name, a number, a list of them, or "all" (the default).
fn read_placement(
    reader: &Reader<'_>,
    table: &mut Fields<'_, '_>,
    topology: &Topology,
) -> Vec<u16> {
    let all = || topology.site.iter().map(|site| site.number).collect();
    let mut site = match table.take("site") {
        None => return all(),
        Some(value) => match value.get_ref() {
            DeValue::String(text) if text == "all" => return all(),
            DeValue::Array(array) => array
                .iter()
                .filter_map(|value| resolve_site(reader, topology, value, "site"))
                .map(|site| site.value)
                .collect(),
            _ => resolve_site(reader, topology, value, "site")
                .map_or_else(Vec::new, |site| vec![site.value]),
        },
    };
    site.sort_unstable();
    site.dedup();
    site
}

fn find_image(reader: &Reader<'_>, source: &Source, file: At<String>) -> Option<Image> {
    let path = source.folder.join(&file.value);
    if !file.value.contains('/') && !path.exists() && images::is_builtin(&file.value) {
        return Some(Image::BuiltIn(file.value));
    }
    match images::check_file(&path) {
        Ok(()) => Some(Image::File(path)),
        Err(why) => {
            let problem = reader
                .at(
                    &file.span,
                    "actor-file",
                    format!("actor file `{}`: {why}", file.value),
                )
                .label("cannot be used");
            let builtin = nearest(&file.value, images::builtin_names());
            reader.complain(match builtin {
                Some(meant) => problem.help(format!("did you mean the built-in actor `{meant}`?")),
                None => problem.help(format!(
                    "file names start from the topology's folder; looked for {}",
                    path.display()
                )),
            });
            None
        }
    }
}

fn find_builtin(reader: &Reader<'_>, name: At<String>) -> Option<Image> {
    if images::is_builtin(&name.value) {
        return Some(Image::BuiltIn(name.value));
    }
    let problem = reader.at(
        &name.span,
        "no-such-actor",
        format!("there is no built-in actor `{}`", name.value),
    );
    let names: Vec<&str> = images::builtin_names().collect();
    reader.complain(match nearest(&name.value, names.iter().copied()) {
        Some(meant) => problem.help(format!("did you mean `{meant}`?")),
        None => problem.help(format!("the built-in actors are: {}", names.join(", "))),
    });
    None
}
