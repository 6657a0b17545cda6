//! Snapshots of the command line: help, errors, tables, JSON.
//!
//! Each `snapshots/*.trycmd` is a transcript: commands, their output, their exit codes. After a wanted change write them
//! anew with `TRYCMD=overwrite cargo test -p chorus --test snapshots`, and look at the difference.

/// The transcripts must not depend on the clusters of whoever runs the tests, nor on their settings.
#[test]
fn transcripts() {
    let runtime = tempfile::tempdir().expect("a temporary folder");
    let cases = trycmd::TestCases::new();
    cases
        .env("XDG_RUNTIME_DIR", runtime.path().to_string_lossy())
        .env("NO_COLOR", "1")
        .env("COLUMNS", "100");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CHORUS_")) {
        // The transcripts cannot take a variable away, only say why they may differ.
        eprintln!("note: {name} is set and may change the transcripts");
    }
    cases.case("tests/snapshots/*.trycmd").run();
}
