//! Writes the manual pages: `cargo run -p chorus-abi --example pages -- docs/calls`. The generated part of `SUMMARY.md` in the folder above is written, too,
//! and generated pages of calls that are no more are removed.

use chorus_abi::manual::{self, page};
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let folder = env::args_os()
        .nth(1)
        .ok_or_else(|| io::Error::other("usage: pages FOLDER"))?;
    let folder = Path::new(&folder);
    fs::create_dir_all(folder)?;
    let mut wanted = vec![("README.md".to_string(), text(|out| page::index(out))?)];
    for (section, entry) in manual::entries() {
        wanted.push((
            format!("{}.md", entry.name),
            text(|out| page::page(out, section, entry))?,
        ));
    }
    for old in fs::read_dir(folder)? {
        let old = old?;
        let known = wanted
            .iter()
            .any(|(name, _)| old.file_name() == name.as_str());
        if !known && fs::read_to_string(old.path())?.starts_with(page::GENERATED) {
            fs::remove_file(old.path())?;
        }
    }
    for (name, text) in wanted {
        fs::write(folder.join(name), text)?;
    }
    let summary = folder.join("../SUMMARY.md");
    let book = fs::read_to_string(&summary)?;
    let (before, rest) = book
        .split_once(page::SUMMARY_BEGIN)
        .ok_or_else(|| io::Error::other("SUMMARY.md lacks the mark of its generated part"))?;
    let (_, after) = rest
        .split_once(page::SUMMARY_END)
        .ok_or_else(|| io::Error::other("SUMMARY.md lacks the end of its generated part"))?;
    let lines = text(|out| page::summary(out))?;
    fs::write(summary, format!("{before}{lines}{after}"))
}

fn text(write: impl FnOnce(&mut String) -> std::fmt::Result) -> io::Result<String> {
    let mut text = String::new();
    write(&mut text).map_err(io::Error::other)?;
    Ok(text)
}
