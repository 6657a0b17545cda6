//! What an address of the Nucleus means: function, file and line.
//!
//! Functions come from the symbol table, files, lines and inlined calls from the DWARF line tables. Both are read when a first report needs them: a site
//! that ends well pays nothing.

use addr2line::Context;
use chorus_abi::machine::{IMAGES_CHANGED_SYMBOL, IMAGES_SYMBOL, PROCESSORS_SYMBOL};
use gimli::{Dwarf, EndianArcSlice, LittleEndian};
use object::{Object, ObjectSection, ObjectSymbol, SectionKind, SymbolKind};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// What the names of the standard library's files begin with.
pub const LIBRARY: &str = "library/";

type Lines = Context<EndianArcSlice<LittleEndian>>;

/// Names of the Nucleus' functions by address, addresses of what debuggers look for, and the line tables.
#[derive(Default)]
pub struct Symbols {
    functions: BTreeMap<u64, (u64, String)>,
    sought: BTreeMap<&'static str, u64>,
    /// Behind a lock since it parses on demand.
    lines: Option<Mutex<Lines>>,
}

impl Symbols {
    /// What an ELF file says; nothing when it was stripped or cannot be read.
    pub fn of(elf: &[u8]) -> Self {
        let Ok(file) = object::File::parse(elf) else {
            return Symbols::default();
        };
        let functions = file
            .symbols()
            .filter(|symbol| symbol.kind() == SymbolKind::Text);
        let functions = functions.filter_map(|symbol| {
            let name = format!("{:#}", rustc_demangle::demangle(symbol.name().ok()?));
            Some((symbol.address(), (symbol.size(), name)))
        });
        let mut functions: BTreeMap<_, _> = functions.collect();
        add_labels(&file, &mut functions);
        let sought = file.symbols().filter_map(|symbol| {
            let name = symbol.name().ok()?;
            let sought = [IMAGES_SYMBOL, IMAGES_CHANGED_SYMBOL, PROCESSORS_SYMBOL];
            let known = sought.into_iter().find(|known| *known == name)?;
            Some((known, symbol.address()))
        });
        Symbols {
            functions,
            sought: sought.collect(),
            lines: lines(&file).map(Mutex::new),
        }
    }

    /// Functions `(address, size, name)` without line tables.
    #[cfg(test)]
    pub fn named<const N: usize>(functions: [(u64, u64, &str); N]) -> Self {
        let functions = functions.map(|(address, size, name)| (address, (size, name.to_owned())));
        Symbols {
            functions: BTreeMap::from(functions),
            ..Symbols::default()
        }
    }

    /// Address of what debuggers look for, or of a function, by its plain name.
    pub fn address(&self, name: &str) -> Option<u64> {
        let functions = || self.functions.iter();
        let function = || functions().find(|(_, (_, known))| known == name);
        let sought = self.sought.get(name).copied();
        sought.or_else(|| function().map(|(address, _)| *address))
    }

    /// The function, or the label of assembly code, that an address belongs to.
    pub fn function(&self, address: u64) -> Option<&str> {
        let (start, (size, name)) = self.functions.range(..=address).next_back()?;
        (address - start < (*size).max(1)).then_some(name.as_str())
    }

    /// The functions that were inlined at an address, each with its file, outermost first. Files of the standard library begin with [`LIBRARY`].
    pub fn inlined(&self, address: u64) -> Vec<String> {
        let mut frames = self.frames(address);
        frames.pop();
        let name = |(function, at): (Option<String>, String)| {
            let file = at.rsplit_once(':').map_or(at.as_str(), |(file, _)| file);
            format!("{} ({file})", function.as_deref().unwrap_or("?"))
        };
        frames.into_iter().rev().map(name).collect()
    }

    /// `function+0x1f (file:line)`, or the bare address; functions that were inlined there stand on lines before, innermost first.
    pub fn place(&self, address: u64) -> String {
        let mut text = format!("{address:#018x}");
        let mut frames = self.frames(address);
        let outermost = frames.pop();
        for (function, at) in frames {
            let _ = write!(
                text,
                " {} ({at})\n  in {:18}",
                function.as_deref().unwrap_or("?"),
                ""
            );
        }
        if let Some((start, (size, name))) = self.functions.range(..=address).next_back()
            && address - start < (*size).max(1)
        {
            let _ = write!(text, " {name}+{:#x}", address - start);
        }
        if let Some((_, at)) = outermost {
            let _ = write!(text, " ({at})");
        }
        text
    }

    /// Functions and `file:line` at an address, innermost first.
    fn frames(&self, address: u64) -> Vec<(Option<String>, String)> {
        let mut found = Vec::new();
        let Some(lines) = &self.lines else {
            return found;
        };
        let lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(mut frames) = lines.find_frames(address).skip_all_loads() else {
            return found;
        };
        while let Ok(Some(frame)) = frames.next() {
            let function = frame.function.and_then(|name| {
                Some(format!(
                    "{:#}",
                    rustc_demangle::demangle(&name.raw_name().ok()?)
                ))
            });
            let at = frame.location.and_then(|location| {
                let file = in_workspace(location.file?).to_owned();
                Some(format!("{file}:{}", location.line?))
            });
            if let Some(at) = at {
                found.push((function, at));
            }
        }
        found
    }
}

/// Adds the labels of assembly code, which have no size: each reaches to the next.
fn add_labels(file: &object::File, functions: &mut BTreeMap<u64, (u64, String)>) {
    let executable = file
        .sections()
        .filter(|section| section.kind() == SectionKind::Text);
    for section in executable {
        let end = section.address() + section.size();
        let labels: BTreeMap<u64, &str> = file
            .symbols()
            .filter(|symbol| {
                symbol.section_index() == Some(section.index())
                    && symbol.kind() != SymbolKind::Text
                    && symbol.kind() != SymbolKind::Section
            })
            .filter_map(|symbol| Some((symbol.address(), symbol.name().ok()?)))
            // What a linker script defines.
            .filter(|(_, name)| !name.starts_with("__") && !name.is_empty())
            .collect();
        for (&address, name) in &labels {
            let after = address + 1..end;
            let next = labels.range(after.clone()).next();
            let next = next.map_or(end, |(next, _)| *next);
            let function = functions.range(after).next();
            let reach = function.map_or(next, |(function, _)| next.min(*function));
            let inside = functions.range(..=address).next_back();
            if inside.is_none_or(|(start, (size, _))| address - start >= *size) {
                functions.insert(address, (reach - address, (*name).to_owned()));
            }
        }
    }
}

/// The line tables of a file; `None` without any.
fn lines(file: &object::File) -> Option<Lines> {
    let dwarf = Dwarf::load(|section| -> Result<_, gimli::Error> {
        let data = file
            .section_by_name(section.name())
            .and_then(|section| section.data().ok())
            .unwrap_or_default();
        Ok(EndianArcSlice::new(data.into(), LittleEndian))
    });
    Context::from_dwarf(dwarf.ok()?).ok()
}

/// A source file's name from the root of the workspace that this was built in, of the standard library, or of the folder of crates.
fn in_workspace(file: &str) -> &str {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    if let Some(inside) = root.and_then(|root| file.strip_prefix(root.to_str()?)) {
        return inside.trim_start_matches('/');
    }
    if let Some(at) = file.find(LIBRARY)
        && file.starts_with('/')
    {
        return &file[at..];
    }
    // A crate: its name, version and file.
    let crates = file.split_once("/registry/src/");
    let inside = crates.and_then(|(_, file)| file.split_once('/'));
    inside.map_or(file, |(_, file)| file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_reach_as_far_as_their_functions() {
        let symbols = Symbols::named([(0x1000, 16, "alpha"), (0x2000, 0, "beta")]);
        assert_eq!(symbols.place(0x1004), "0x0000000000001004 alpha+0x4");
        assert_eq!(symbols.place(0x1010), "0x0000000000001010");
        assert_eq!(symbols.place(0x2000), "0x0000000000002000 beta+0x0");
        assert_eq!(symbols.place(1), "0x0000000000000001");
    }

    #[test]
    #[cfg_attr(skip_guest, ignore = "this build carries no guest")]
    fn the_nucleus_has_files_and_lines() {
        let nucleus = crate::cluster::images::builtin("nucleus").unwrap();
        let symbols = Symbols::of(nucleus);
        let call = symbols
            .functions
            .iter()
            .find(|(_, (_, name))| name.ends_with("nucleus_call"))
            .unwrap();
        let text = symbols.place(*call.0);
        assert!(
            text.contains("nucleus_call+0x0 (guest-nucleus/kernel/src/calls.rs:"),
            "{text}"
        );
        assert_eq!(
            Symbols::of(&nucleus[..nucleus.len() / 2]).place(1),
            Symbols::default().place(1)
        );
    }
}
