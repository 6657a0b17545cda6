//! What every verb knows: the global options, and how to speak to the person.
//!
//! Data goes to stdout by [`super::output`]; everything here goes to stderr, and is silent when stderr is closed.

use super::args::{Global, When};
use crate::cluster::failure::{Failure, Outcome};
use crate::cluster::runtime::Runtime;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;

/// Global options, ready for use.
#[derive(Clone, Debug)]
pub struct Context {
    /// `--name`.
    pub name: Option<String>,
    /// How much to say: 0 usual, 1 and 2 more.
    pub verbose: u8,
    /// Say nothing but errors.
    pub quiet: bool,
    /// `-C`.
    directory: Option<PathBuf>,
    color: When,
}

impl Context {
    /// From the command line.
    pub fn new(global: &Global) -> Context {
        Context {
            name: global.name.clone(),
            verbose: global.verbose,
            quiet: global.quiet,
            directory: global.directory.clone(),
            color: global.color,
        }
    }

    /// The context of a process that owns a cluster for another one, which does the talking.
    pub fn of_plan(&self, verbose: u8) -> Context {
        Context {
            verbose,
            quiet: true,
            ..self.clone()
        }
    }

    /// Changes to the folder of `-C`. Errors: status 4 when it cannot be entered.
    pub fn enter(&self) -> Outcome<()> {
        let Some(folder) = &self.directory else {
            return Ok(());
        };
        std::env::set_current_dir(folder).map_err(|error| {
            Failure::bad_file(format!(
                "-C {}: {}",
                folder.display(),
                crate::cluster::reason(&error)
            ))
        })
    }

    /// The runtime folder of the cluster that the command is about.
    pub fn runtime(&self) -> Outcome<Runtime> {
        Runtime::of(self.name.as_deref().unwrap_or("default"))
    }

    /// Whether to colour stderr.
    pub fn color_err(&self) -> bool {
        self.color_on(std::io::stderr().is_terminal())
    }

    /// Whether to colour stdout.
    pub fn color_out(&self) -> bool {
        self.color_on(std::io::stdout().is_terminal())
    }

    fn color_on(&self, terminal: bool) -> bool {
        match self.color {
            When::Always => true,
            When::Never => false,
            When::Auto => {
                terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            }
        }
    }

    /// Says something on stderr, unless `-q`.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// Prints a failure on stderr.
    pub fn complain(&self, failure: &Failure) {
        let (red, green, plain) = if self.color_err() {
            ("\x1b[1;31m", "\x1b[1;32m", "\x1b[0m")
        } else {
            ("", "", "")
        };
        let mut err = std::io::stderr().lock();
        let _ = match failure.verbatim {
            true => writeln!(err, "{}", failure.what),
            false => writeln!(err, "{red}error{plain}: {}", failure.what),
        };
        if let Some(hint) = &failure.hint {
            let _ = writeln!(err, "{green}help{plain}: {hint}");
        }
    }
}
