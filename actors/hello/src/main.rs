//! Example: says where it runs.
//!
//! The smallest actor: one import for the text, one for the exit.
#![no_std]
#![no_main]

chorus_runtime::entry!(main);

fn main() -> i32 {
    let info = chorus_runtime::start_info();
    let kind = ["user", "system", "supervisor"]
        .get(info.kind as usize)
        .unwrap_or(&"unknown");
    chorus_runtime::println!(
        "hello from site {} of {}: {} actor, {} cpus",
        info.site,
        info.sites,
        kind,
        info.cpus
    );
    0
}
