//! A topology written as a file with nothing left to defaults.
//!
//! What is printed is itself a topology that reads back to the same cluster, so that a person can keep it and change it.

use super::settings::{changed, settings};
use super::size::{format_delay, format_size};
use super::{Image, TRUE_SPEED, Topology};
use chorus_fabric::Parameters;
use std::fmt::Write;

/// The topology as `chorus.toml`.
pub fn to_toml(topology: &Topology) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_toml(&mut out, topology);
    out
}

fn write_toml(out: &mut String, topology: &Topology) -> std::fmt::Result {
    writeln!(
        out,
        "version = {}\n\n[cluster]\nname = {}",
        topology.version,
        quote(&topology.cluster.name)
    )?;
    if let Some(seed) = topology.cluster.seed {
        writeln!(out, "seed = {seed}")?;
    }
    let mut every = Parameters::PERFECT;
    topology.fabric.every.apply(&mut every);
    writeln!(
        out,
        "\n[fabric]\ntopology = {}",
        quote(&topology.fabric.topology.to_string())
    )?;
    for (key, value) in settings(&every) {
        writeln!(out, "{key} = {}", quote(&value))?;
    }
    for site in &topology.site {
        writeln!(
            out,
            "\n[[site]] # site {}\nname = {}",
            site.number,
            quote(&site.name)
        )?;
        writeln!(
            out,
            "vcpus = {}\nmem = {}",
            site.vcpus,
            quote(&format_size(site.mem))
        )?;
        if site.swap > 0 {
            writeln!(out, "swap = {}", quote(&format_size(site.swap)))?;
        }
        if site.clock != TRUE_SPEED {
            let speed = format!("{}%", f64::from(site.clock) / 1e4);
            writeln!(out, "clock = {}", quote(&speed))?;
        }
    }
    let name = |number: u16| {
        topology
            .site
            .iter()
            .find(|site| site.number == number)
            .map_or("?", |site| site.name.as_str())
    };
    for link in &topology.link {
        let keys = if link.one_way {
            ["from", "to"]
        } else {
            ["a", "b"]
        };
        writeln!(
            out,
            "\n[[link]]\n{} = {}\n{} = {}",
            keys[0],
            quote(name(link.a)),
            keys[1],
            quote(name(link.b))
        )?;
        for (key, value) in changed(&link.own) {
            writeln!(out, "{key} = {}", quote(&value))?;
        }
    }
    for actor in &topology.actor {
        writeln!(out, "\n[[actor]]\nname = {}", quote(&actor.name))?;
        match &actor.image {
            Image::File(path) => writeln!(out, "file = {}", quote(&path.display().to_string()))?,
            Image::BuiltIn(name) => writeln!(out, "builtin = {}", quote(name))?,
        }
        let sites: Vec<String> = actor.site.iter().map(|&site| quote(name(site))).collect();
        writeln!(
            out,
            "site = [{}]\nkind = {}",
            sites.join(", "),
            quote(actor.kind.word())
        )?;
        let args: Vec<String> = actor.args.iter().map(|arg| quote(arg)).collect();
        writeln!(
            out,
            "priority = {}\nargs = [{}]",
            actor.priority,
            args.join(", ")
        )?;
    }
    for event in &topology.event {
        let text = event.what.text(&|site| name(site).to_owned());
        let at = quote(&format_delay(event.at_ns));
        writeln!(out, "\n[[event]]\nat = {at}\ndo = {}", quote(&text))?;
    }
    Ok(())
}

/// A TOML basic string.
fn quote(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
