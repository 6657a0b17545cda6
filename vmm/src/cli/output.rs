//! Data on stdout: text, tables, JSON.
//!
//! A reader that went away (`chorus ps | head -1`) is no failure: the command ends with status 0 and without a word. Any
//! other error of stdout, a full disk say, is one.

use super::args::Format;
use crate::cluster::failure::{Failure, Outcome};
use serde::Serialize;
use std::io::{ErrorKind, Write};

/// Writes text to stdout as it is. Errors: status 1, unless the reader went away: then the process ends here, well.
pub fn text(text: &str) -> Outcome<()> {
    bytes(text.as_bytes())
}

/// The same of bytes.
pub fn bytes(bytes: &[u8]) -> Outcome<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => Err(Failure::failed(format!(
            "cannot write to stdout: {}",
            crate::cluster::reason(&error)
        ))),
        Ok(()) => Ok(()),
    }
}

/// Writes a value as JSON, indented.
pub fn json(value: &impl Serialize) -> Outcome<()> {
    let written = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::failed(format!("JSON: {error}")))?;
    text(&(written + "\n"))
}

/// Writes a value as one line of JSON.
pub fn json_line(value: &impl Serialize) -> Outcome<()> {
    let written =
        serde_json::to_string(value).map_err(|error| Failure::failed(format!("JSON: {error}")))?;
    text(&(written + "\n"))
}

/// Writes a value as JSON, or else as a table.
pub fn either(
    format: Format,
    value: &impl Serialize,
    table: impl FnOnce() -> String,
) -> Outcome<()> {
    match format {
        Format::Json => json(value),
        Format::Table => text(&table()),
    }
}

/// Columns of text under their headings; numbers (headings that begin with `>`) to the right.
pub fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let heading = headings[column].trim_start_matches('>').chars().count();
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .fold(heading, usize::max)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let mut out = String::new();
    let heading: Vec<String> = headings
        .iter()
        .map(|heading| heading.trim_start_matches('>').to_owned())
        .collect();
    for row in std::iter::once(&heading).chain(rows) {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate().take(widths.len()) {
            let room = " ".repeat(widths[column] - cell.chars().count());
            let right = headings[column].starts_with('>');
            line.push_str(&if right {
                format!("{room}{cell}  ")
            } else {
                format!("{cell}{room}  ")
            });
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [
            vec!["s1".into(), "7".into()],
            vec!["longer".into(), "12".into()],
        ];
        assert_eq!(
            table(&["NAME", ">COUNT"], &rows),
            "NAME    COUNT\ns1          7\nlonger     12\n"
        );
    }
}
