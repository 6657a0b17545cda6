//! The text of a topology and where it came from.
//!
//! Kept whole, because every complaint shows the line it is about; limited, because a file may be anything.

use crate::cluster::failure::{Failure, Outcome};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Largest topology file in bytes.
const LIMIT: u64 = 1 << 20;

/// A topology as read.
#[derive(Clone, Debug)]
pub struct Source {
    /// Name for messages.
    pub name: String,
    /// The text.
    pub text: String,
    /// Folder that file names in it start from.
    pub folder: PathBuf,
}

impl Source {
    /// Reads a file, or stdin for `-`. Errors: status 4 when it is missing, unreadable, too large or not UTF-8.
    pub fn open(path: &Path) -> Outcome<Source> {
        let stdin = path == Path::new("-");
        let name = if stdin {
            "<stdin>".to_owned()
        } else {
            path.display().to_string()
        };
        let bad = |why: String| Failure::bad_file(format!("{name}: {why}"));
        let mut bytes = Vec::new();
        let got = if stdin {
            std::io::stdin()
                .lock()
                .take(LIMIT + 1)
                .read_to_end(&mut bytes)
        } else {
            std::fs::File::open(path).and_then(|file| file.take(LIMIT + 1).read_to_end(&mut bytes))
        };
        got.map_err(|error| {
            let failure = bad(format!(
                "cannot read the topology: {}",
                crate::cluster::reason(&error)
            ));
            if error.kind() == std::io::ErrorKind::NotFound {
                failure.hint("name a file with -f FILE, or give the number of sites with -n")
            } else {
                failure
            }
        })?;
        if bytes.len() as u64 > LIMIT {
            return Err(bad(format!(
                "the topology is larger than {} KiB",
                LIMIT >> 10
            )));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let line = error.as_bytes()[..error.utf8_error().valid_up_to()]
                .iter()
                .filter(|&&byte| byte == b'\n')
                .count()
                + 1;
            bad(format!("line {line} is not UTF-8 text"))
        })?;
        let folder = match path.parent() {
            Some(parent) if !stdin => parent.to_owned(),
            _ => PathBuf::new(),
        };
        Ok(Source { name, text, folder })
    }
}
