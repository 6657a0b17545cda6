//! From the options of `up` and `run` to a plan.
//!
//! A topology file gives the sites, options change all of them, and without a file the options are the whole cluster. What is
//! wrong with an option is said here, before anything is started.

use super::args::Shape;
use super::context::Context;
use super::topology::load;
use crate::cluster::failure::{Failure, Outcome};
use crate::cluster::plan::{Plan, fresh_seed};
use crate::cluster::sealing::FabricKey;
use crate::cluster::topology::settings::{parse_assignment, parse_chance};
use crate::cluster::topology::{
    MEM_DEFAULT, Pattern, SITES_MAX, Topology, VCPUS_DEFAULT, VCPUS_MAX, check_mem, check_name,
    check_swap, parse_size, round_mib,
};
use crate::cluster::{archive, host_memory, images};
use chorus_fabric::Change;
use chorus_transport::Trust;
use std::path::{Path, PathBuf};

/// The file that is taken when it is there and nothing else is said.
const TOPOLOGY: &str = "chorus.toml";

/// Makes the plan of a cluster. Errors: status 2 for an option, 4 for a file.
pub fn plan(context: &Context, shape: &Shape, default_name: &str) -> Outcome<Plan> {
    let vcpus = shape.vcpus.map(check_vcpus).transpose()?;
    let mem = shape.mem.as_deref().map(option_mem).transpose()?;
    let swap = shape.swap.as_deref().map(option_swap).transpose()?;
    let every = option_links(shape)?;
    let pattern = shape.topo.as_deref().map(Pattern::parse).transpose();
    let pattern = pattern.map_err(|why| Failure::usage(format!("--topo: {why}")))?;
    let found = Path::new(TOPOLOGY).is_file() && shape.sites.is_none();
    let file = shape
        .file
        .clone()
        .or_else(|| found.then(|| PathBuf::from(TOPOLOGY)));
    let mut topology = match &file {
        Some(file) => {
            let mut topology = load(context, file)?;
            for site in &mut topology.site {
                site.vcpus = vcpus.unwrap_or(site.vcpus);
                site.mem = mem.unwrap_or(site.mem);
            }
            topology
        }
        None => {
            let count = shape.sites.unwrap_or(1);
            if !(1..=SITES_MAX).contains(&count) {
                return Err(Failure::usage(format!(
                    "-n {count}: a cluster has 1 to {SITES_MAX} sites"
                )));
            }
            let (vcpus, mem) = (vcpus.unwrap_or(VCPUS_DEFAULT), mem.unwrap_or(MEM_DEFAULT));
            Topology::uniform(default_name, count, vcpus, mem)
        }
    };
    topology.fabric.every = every.or(topology.fabric.every);
    if let Some(pattern) = pattern {
        topology.fabric.topology = pattern;
    }
    topology
        .graph(0)
        .map_err(|why| Failure::usage(why).hint("see --topo and [fabric] of the topology file"))?;
    for site in &mut topology.site {
        site.swap = swap.unwrap_or(site.swap);
    }
    if let Some(name) = &context.name {
        check_name(name).map_err(|why| Failure::usage(format!("--name: {why}")))?;
        topology.cluster.name.clone_from(name);
    }
    check_total(&topology)?;
    for actor in &mut topology.actor {
        if let crate::cluster::topology::Image::File(path) = &mut actor.image {
            *path = absolute(path);
        }
    }
    let nucleus = shape.nucleus.as_deref().map(absolute);
    if let Some(path) = &nucleus {
        images::load_file(path)?;
    }
    let seed = shape.seed.or(topology.cluster.seed);
    let seed = seed.unwrap_or_else(|| if shape.deterministic { 1 } else { fresh_seed() });
    let fabric_key = match shape.deterministic {
        true => FabricKey::of_seed(seed),
        false => FabricKey::fresh()?,
    };
    Ok(Plan {
        seed,
        domains: option_domains(&shape.domains, topology.site.len())?,
        topology,
        detect_ms: shape.detect.map(option_detect).transpose()?,
        fabric_key,
        insecure_fabric: shape.insecure_fabric,
        nucleus,
        actor_dir: shape
            .actor_dir
            .as_deref()
            .map(existing_folder)
            .transpose()?,
        boot_conf: shape.boot_actors.as_deref().map(boot_conf).transpose()?,
        join_timeout: 120.0,
        paused: false,
        until_ended: false,
        run_timeout: None,
        print_log: true,
        verbose: context.verbose,
    })
}

fn check_vcpus(count: u32) -> Outcome<u32> {
    if (1..=VCPUS_MAX).contains(&count) {
        return Ok(count);
    }
    let text = format!("--vcpus {count}: a site of this release has 1 to {VCPUS_MAX} processors");
    Err(Failure::usage(text).hint("take more sites (-n) for more processors"))
}

fn option_mem(text: &str) -> Outcome<u64> {
    let bytes = parse_size(text).map_err(|why| Failure::usage(format!("--mem: {why}")))?;
    check_mem(bytes).map_err(|why| Failure::usage(format!("--mem {why}")))?;
    Ok(bytes)
}

fn option_swap(text: &str) -> Outcome<u64> {
    let bytes = parse_size(text).map_err(|why| Failure::usage(format!("--swap: {why}")))?;
    check_swap(bytes).map_err(|why| Failure::usage(format!("--swap {why}")))?;
    Ok(bytes)
}

/// Milliseconds of `--detect`. Errors: less than a network needs to answer, or as good as never.
fn option_detect(seconds: f64) -> Outcome<u32> {
    match (0.1..=3600.0).contains(&seconds) {
        true => Ok((seconds * 1000.0) as u32),
        false => Err(Failure::usage(format!(
            "--detect {seconds}: must be 0.1 to 3600 seconds"
        ))),
    }
}

/// All `--domains` as one text. Errors: one that is no site of the cluster with its domains, a site twice.
fn option_domains(domains: &[String], sites: usize) -> Outcome<String> {
    let text = domains.join(";");
    let trust = Trust::parse(&text).map_err(|_| {
        Failure::usage(format!(
            "--domains {text}: must be SITE=DID,DID…, each site once"
        ))
        .hint("--domains 2=3,4 lets actors of site 2 speak for domains 3 and 4 only")
    })?;
    match trust
        .sites()
        .find(|site| !(1..=sites).contains(&usize::from(*site)))
    {
        Some(site) => Err(Failure::usage(format!(
            "--domains: the cluster has no site {site}"
        ))),
        None => Ok(trust.to_string()),
    }
}

/// What `--loss` and `--link` say of every link.
fn option_links(shape: &Shape) -> Outcome<Change> {
    let mut every = Change::default();
    if let Some(loss) = &shape.loss {
        let chance = parse_chance(loss);
        every.loss = Some(chance.map_err(|why| Failure::usage(format!("--loss {why}")))?);
    }
    for text in &shape.link {
        let one = parse_assignment(text).map_err(|why| Failure::usage(format!("--link {why}")))?;
        every = one.or(every);
    }
    Ok(every)
}

/// Most seconds of a time limit: as good as none.
pub const NO_LIMIT: f64 = 1e9;

/// Seconds of a time limit. Errors: status 2 for what is no time.
pub fn seconds(option: &str, seconds: f64) -> Outcome<f64> {
    if seconds.is_finite() && seconds > 0.0 && seconds <= NO_LIMIT {
        return Ok(seconds);
    }
    Err(Failure::usage(format!(
        "{option} {seconds}: must be a number of seconds above 0"
    )))
}

fn check_total(topology: &Topology) -> Outcome<()> {
    let total = topology.total_mem();
    match host_memory() {
        Some(host) if total > host => {
            let text = format!(
                "the sites need {}, and this machine has {}",
                round_mib(total),
                round_mib(host)
            );
            Err(Failure::usage(text).hint("give the sites less --mem, or take fewer sites"))
        }
        _ => Ok(()),
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn existing_folder(path: &Path) -> Outcome<PathBuf> {
    if path.is_dir() {
        return Ok(absolute(path));
    }
    Err(Failure::bad_file(format!(
        "--actor-dir {}: not a folder",
        path.display()
    )))
}

fn boot_conf(path: &Path) -> Outcome<String> {
    let name = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::bad_file(format!("{name}: {}", crate::cluster::reason(&error)))
    })?;
    archive::parse_boot_conf(&text)
        .map_err(|(line, why)| Failure::bad_file(format!("{name}:{line}: {why}")))?;
    Ok(text)
}
