//! Tests of the topology file, good and bad.

use super::settings::told;
use super::*;
use chorus_fabric::{Chance, Change};
use proptest::prelude::*;
use std::path::PathBuf;

fn source(text: &str) -> Source {
    Source {
        name: "chorus.toml".into(),
        text: text.into(),
        folder: PathBuf::new(),
    }
}

fn good(text: &str) -> Topology {
    match read(&source(text), None) {
        Ok(topology) => topology,
        Err(problems) => panic!("{}", render(&source(text), &problems, false)),
    }
}

/// The only complaint: code, line, column, help.
fn bad(text: &str) -> (&'static str, usize, usize, String) {
    let problems = read(&source(text), Some(1 << 30)).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    let only = &problems[0];
    (
        only.code,
        only.line,
        only.column,
        only.help.clone().unwrap_or_default(),
    )
}

#[test]
fn defaults_counts_and_names_are_written_out() {
    let text = "version = 1\n[defaults]\nvcpus = 2\nmem = \"32M\"\n[[site]]\nname = \"a\"\ncount = 2\n[[site]]\nmem = \"16M\"\n";
    let topology = good(text);
    let names: Vec<_> = topology
        .site
        .iter()
        .map(|s| (s.number, s.name.as_str(), s.vcpus, s.mem >> 20))
        .collect();
    assert_eq!(
        names,
        [(1, "a1", 2, 32), (2, "a2", 2, 32), (3, "s3", 2, 16)]
    );
}

#[test]
fn clocks_have_a_speed_and_it_is_written_out() {
    let text = "version = 1\n[defaults]\nclock = \"90%\"\n[[site]]\n[[site]]\nclock = \"100.5%\"\n[[site]]\nclock = \"100%\"\n";
    let topology = good(text);
    let speeds = |topology: &Topology| topology.site.iter().map(|s| s.clock).collect::<Vec<_>>();
    assert_eq!(speeds(&topology), [900_000, 1_005_000, TRUE_SPEED]);
    assert_eq!(speeds(&good(&to_toml(&topology))), speeds(&topology));
    for speed in ["9.9%", "1001%", "fast", "-5%", "nan"] {
        let text = format!("version = 1\n[[site]]\nclock = \"{speed}\"\n");
        let (code, line, _, _) = bad(&text);
        assert_eq!((code, line), ("clock", 3), "{speed}");
    }
}

#[test]
fn links_name_sites_by_name_or_number() {
    let text = "version = 1\n[[site]]\ncount = 3\nname = \"s\"\n[[link]]\na = \"s1\"\nb = 3\nlatency = \"2ms\"\nloss = \"1%\"\n";
    let own = Change {
        latency: Some(2_000_000),
        loss: Some(Chance::percent(1.0)),
        ..Change::default()
    };
    let link = LinkSpec {
        a: 1,
        b: 3,
        one_way: false,
        own,
    };
    assert_eq!(good(text).link, [link]);
}

#[test]
fn the_fabric_has_a_topology_and_links_are_like_it_but_for_what_they_say() {
    let text = "version = 1\n[fabric]\ntopology = \"ring\"\nlatency = \"1ms\"\nloss = 2\n[[site]]\ncount = 4\n\
        [[link]]\nfrom = 1\nto = 2\nloss = 0\ncut = true\n";
    let topology = good(text);
    let rules = topology.rules();
    assert_eq!(topology.graph(1).unwrap().links().len(), 4);
    assert_eq!(told(&rules.set(2, 1)), "latency=1ms loss=2%");
    assert_eq!(told(&rules.set(1, 2)), "latency=1ms cut=yes");
    assert_eq!(good(&to_toml(&topology)).rules().set(1, 2), rules.set(1, 2));
    // Only what is listed.
    let listed = "version = 1\n[fabric]\ntopology = \"links\"\n[[site]]\ncount = 3\n[[link]]\na = 1\nb = 2\n";
    let joined = format!("{listed}[[link]]\na = 2\nb = 3\n");
    assert_eq!(good(&joined).graph(1).unwrap().links(), [(1, 2), (2, 3)]);
    let (code, line, column, _) = bad(listed);
    assert_eq!((code, line, column), ("topology", 3, 12));
}

#[test]
fn topologies_and_links_that_cannot_be_have_a_place() {
    let sites = "[[site]]\ncount = 4\n";
    for (fabric, code, line) in [
        ("topology = \"donut\"", "topology", 3),
        ("topology = \"torus,3,3\"", "topology", 3),
        ("losss = 1", "unknown-key", 3),
        ("loss = 101", "loss", 3),
        ("bandwidth = 10", "bandwidth", 3),
        ("latency = true", "latency", 3),
        ("queue = []", "queue", 3),
    ] {
        let (found, at, _, _) = bad(&format!("version = 1\n[fabric]\n{fabric}\n{sites}"));
        assert_eq!((found, at), (code, line), "{fabric}");
    }
    let line = format!("version = 1\n[fabric]\ntopology = \"line\"\n{sites}");
    for (link, code) in [
        ("a = 1\nb = 3", "no-such-link"),
        ("a = 1\nto = 2", "missing-key"),
        ("a = 1\nb = 2\n[[link]]\nfrom = 2\nto = 1", "duplicate-link"),
    ] {
        let problems = read(&source(&format!("{line}[[link]]\n{link}\n")), None).unwrap_err();
        assert_eq!(problems[0].code, code, "{link}");
        assert!(problems[0].line >= 6);
    }
    good(&format!(
        "{line}[[link]]\nfrom = 1\nto = 2\n[[link]]\nfrom = 2\nto = 1\n"
    ));
}

#[test]
fn unknown_keys_get_a_place_and_a_suggestion() {
    let help = "did you mean `vcpus`?".to_owned();
    assert_eq!(
        bad("version = 1\n[[site]]\n  vcpu = 2\n"),
        ("unknown-key", 3, 3, help)
    );
    let (code, line, column, help) = bad("version = 1\nfrobnicate = 3\n[[site]]\n");
    assert_eq!((code, line, column), ("unknown-key", 2, 1));
    assert!(
        help.starts_with("the keys here are version, cluster"),
        "{help}"
    );
}

#[test]
fn columns_count_characters() {
    assert_eq!(bad("version = 1\n[[site]]\nname = \"ä\" # x\n").0, "name");
    let (code, line, column, _) = bad("version = 1\nsite = [{ mem = \"16M\", näme = \"a\" }]\n");
    assert_eq!((code, line, column), ("syntax", 2, 25));
}

#[test]
fn numbers_outside_their_range_are_refused() {
    for count in ["0", "17", "10000", "-1", "99999999999999999999999"] {
        let (code, line, column, help) = bad(&format!("version = 1\n[[site]]\nvcpus = {count}\n"));
        assert_eq!((code, line, column), ("vcpus", 3, 9), "{count}");
        assert!(help.contains("1 to 16"));
    }
    assert_eq!(bad("version = 1\n[[site]]\nmem = \"8M\"\n").0, "mem");
    assert_eq!(bad("version = 1\n[[site]]\nmem = \"64\"\n").0, "mem");
    assert_eq!(
        bad("version = 1\n[[site]]\nname=\"s\"\ncount = 513\n").0,
        "count"
    );
    assert_eq!(bad("version = 2\n[[site]]\n").0, "version");
}

#[test]
fn names_links_and_memory_are_checked_against_the_rest() {
    let (code, line, _, help) =
        bad("version = 1\n[[site]]\nname = \"a\"\n[[site]]\nname = \"a\"\n");
    assert_eq!((code, line), ("duplicate-name", 5));
    assert!(help.contains("line 3"), "{help}");
    let two = "version = 1\n[[site]]\nname = \"left\"\n[[site]]\nname = \"right\"\n[[link]]\na = \"left\"\n";
    let (code, line, column, help) = bad(&format!("{two}b = \"rigth\"\n"));
    assert_eq!(
        (code, line, column, help.as_str()),
        ("no-such-site", 8, 5, "did you mean `right`?")
    );
    assert_eq!(bad(&format!("{two}b = \"left\"\n")).0, "link-to-itself");
    assert_eq!(bad(two).0, "missing-key");
    assert_eq!(bad("version = 1\n[[site]]\nmem = \"2G\"\n").0, "host-mem");
    assert_eq!(bad("version = 1\n").0, "missing-key");
}

#[test]
fn actor_files_must_be_images() {
    let (code, line, column, _) = bad("version = 1\n[[site]]\n[[actor]]\nfile = \"no/such\"\n");
    assert_eq!((code, line, column), ("actor-file", 4, 8));
    let text = "version = 1\n[[site]]\n[[actor]]\nfile = \"no/such\"\nkind = \"sytem\"\n";
    let problems = read(&source(text), None).unwrap_err();
    assert_eq!((problems[1].code, problems[1].line), ("kind", 5));
    assert!(problems[1].message.contains("did you mean \"system\"?"));
}

#[test]
fn every_mistake_is_reported_in_order() {
    let problems = read(
        &source("version = 1\nx = 1\n[[site]]\ny = 1\nvcpus = 0\n"),
        None,
    )
    .unwrap_err();
    let lines: Vec<_> = problems.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [2, 4, 5]);
}

#[test]
fn events_come_in_the_order_of_time() {
    let text = "version = 1\n[fabric]\ntopology = \"line\"\n[[site]]\ncount = 3\n";
    let good_events = format!(
        "{text}[[event]]\nat = \"1s\"\ndo = \"link set s1 s2 loss=5%\"\n[[event]]\nat = \"1s\"\ndo = \"site restart s3\"\n"
    );
    let topology = good(&good_events);
    assert_eq!(topology.event.len(), 2);
    assert_eq!(topology.event[1].at_ns, 1_000_000_000);
    assert_eq!(good(&to_toml(&topology)).event, topology.event);
    for (event, code, line) in [
        ("at = \"1s\"\ndo = \"dance\"", "do", 8),
        ("at = \"1s\"", "missing-key", 6),
        ("do = \"heal\"", "missing-key", 6),
        ("at = \"soon\"\ndo = \"heal\"", "at", 7),
        ("at = \"1s\"\ndo = \"site kill s9\"", "do", 8),
        (
            "at = \"1s\"\ndo = \"link set s1 s3 loss=1\"",
            "no-such-link",
            8,
        ),
        (
            "at = \"2s\"\ndo = \"heal\"\n[[event]]\nat = \"1s\"\ndo = \"heal\"",
            "in-the-past",
            10,
        ),
    ] {
        let (found, at, _, _) = bad(&format!("{text}[[event]]\n{event}\n"));
        assert_eq!((found, at), (code, line), "{event}");
    }
}

proptest! {
    #[test]
    fn any_text_is_judged_without_a_panic(text in "\\PC{0,200}") {
        let source = source(&text);
        if let Err(problems) = read(&source, Some(1 << 30)) {
            prop_assert!(!render(&source, &problems, false).is_empty());
        }
    }

    #[test]
    fn nearly_right_files_are_judged(lines in proptest::collection::vec(
        "(version = 1|\\[\\[site\\]\\]|\\[\\[link\\]\\]|\\[cluster\\]|name = \"[a-c]\"|vcpus = [0-9]{1,2}|a = 1|b = \"a\"|count = 2|latency = \"1ms\"|loss = [0-9]+|x = \"ä\")", 0..12)) {
        let source = source(&lines.join("\n"));
        match read(&source, Some(1 << 30)) {
            Ok(topology) => {
                let written = to_toml(&topology);
                prop_assert_eq!(to_toml(&good(&written)), written)
            }
            Err(problems) => prop_assert!(!render(&source, &problems, false).is_empty()),
        }
    }
}
