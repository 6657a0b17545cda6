//! The figures that hold on every host: frames and exits of a remote call, bytes of an idle site, instructions of the boot.

use crate::lab::Lab;
use chorus::measure::Record;

fn figure(said: &str, name: &str, unit: &str) -> f64 {
    let mut records = said.lines().filter_map(Record::in_line);
    let found = records.find(|record| record.name() == name && record.unit == unit);
    found
        .unwrap_or_else(|| panic!("no {name} in {unit}: {said}"))
        .median
}

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn a_remote_call_takes_two_frames_and_four_exits_and_a_site_little_memory() {
    let lab = Lab::new();
    let words = [
        "bench", "rpc", "density", "--count", "100", "--format", "json",
    ];
    let said = lab.chorus(&words).with(0).out;
    let most = |name, unit, most: f64| {
        let figure = figure(&said, name, unit);
        assert!(
            figure > 0.0 && figure <= most,
            "{name}: {figure} {unit}, at most {most}"
        );
    };
    // A frame that is sent again, or a processor that was awake, once in a while: a tenth more.
    most("rpc/remote-null", "frames", 2.2);
    most("rpc/remote-null", "exits", 4.4);
    let mebibyte = f64::from(1 << 20);
    most("density/guest-pages", "bytes", 2.0 * mebibyte);
    most("density/process-less-guest", "bytes", 0.5 * mebibyte);
    most("density/machine-less-guest", "bytes", mebibyte);
}

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn the_boot_with_two_processors_takes_less_than_three_million_instructions() {
    let lab = Lab::new();
    let words = [
        "bench", "--icount", "boot", "call", "stretch", "--format", "json",
    ];
    let said = lab.chorus(&words).with(0).out;
    let boot = figure(&said, "boot/first-actor-2-vcpus", "instructions");
    assert!(boot > 100_000.0 && boot <= 3e6, "{boot} instructions");
    assert!(figure(&said, "call/null-user", "instructions") > 10.0);
    // The Nucleus says itself how long it heard no interrupts, and in what: the calls that have much to do take steps.
    let records = said.lines().filter_map(Record::in_line);
    let stretches =
        records.filter(|record| record.suite == "stretch" && record.unit == "instructions");
    let found: Vec<(String, f64)> = stretches.map(|it| (it.name(), it.median)).collect();
    assert!(found.len() >= 7, "{found:?}");
    for (name, stretch) in &found {
        // The longest are two hundred regions of one cache that are freed, and a body that moves between deferred copies (docs/measurements.md).
        let most = 34e3;
        assert!((1000.0..=most).contains(stretch), "{name}: {stretch}");
    }
}
