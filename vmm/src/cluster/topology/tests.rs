//! Tests of the topology file, good and bad.

use super::*;
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
fn links_name_sites_by_name_or_number() {
    let text = "version = 1\n[[site]]\ncount = 3\nname = \"s\"\n[[link]]\na = \"s1\"\nb = 3\ndelay = \"2ms\"\nloss = \"1%\"\n";
    let link = LinkSpec {
        a: 1,
        b: 3,
        delay_ns: 2_000_000,
        loss: 1.0,
        duplicate: 0.0,
    };
    assert_eq!(good(text).link, [link]);
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
        "(version = 1|\\[\\[site\\]\\]|\\[\\[link\\]\\]|\\[cluster\\]|name = \"[a-c]\"|vcpus = [0-9]{1,2}|a = 1|b = \"a\"|count = 2|delay = \"1ms\"|loss = [0-9]+|x = \"ä\")", 0..12)) {
        let source = source(&lines.join("\n"));
        match read(&source, Some(1 << 30)) {
            Ok(topology) => prop_assert_eq!(good(&to_toml(&topology)), topology),
            Err(problems) => prop_assert!(!render(&source, &problems, false).is_empty()),
        }
    }
}
