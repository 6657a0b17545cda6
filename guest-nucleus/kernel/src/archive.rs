//! The boot archive: a `newc` cpio with `boot.conf` and the images that it names (docs/contracts.md, "Boot archive").
//!
//! Whoever made the archive is not trusted to have made it well: every length is checked, and what is wrong ends the walk.

/// Walks the entries of an archive: name and content.
pub struct Entries<'a> {
    rest: &'a [u8],
}

/// Entries of an archive, in its order; stops at the trailer or at the first malformed header.
pub fn entries(archive: &[u8]) -> Entries<'_> {
    Entries { rest: archive }
}

const HEADER: usize = 110;

fn field(header: &[u8], index: usize) -> Option<usize> {
    let start = 6 + index * 8;
    let text = core::str::from_utf8(header.get(start..start + 8)?).ok()?;
    usize::from_str_radix(text, 16).ok()
}

impl<'a> Iterator for Entries<'a> {
    type Item = (&'a str, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = core::mem::take(&mut self.rest);
        let header = rest.get(..HEADER)?;
        if !header.starts_with(b"070701") && !header.starts_with(b"070702") {
            return None;
        }
        let (size, name_size) = (field(header, 6)?, field(header, 11)?);
        let name_end = HEADER.checked_add(name_size)?;
        let name = rest
            .get(HEADER..name_end)?
            .split(|&byte| byte == 0)
            .next()?;
        let name = core::str::from_utf8(name).ok()?;
        if name == "TRAILER!!!" {
            return None;
        }
        let start = name_end.checked_next_multiple_of(4)?;
        let end = start.checked_add(size)?;
        let content = rest.get(start..end)?;
        self.rest = rest.get(end.checked_next_multiple_of(4)?..).unwrap_or(&[]);
        Some((name.strip_prefix("./").unwrap_or(name), content))
    }
}

/// Content of the entry with this name.
pub fn find<'a>(archive: &'a [u8], name: &str) -> Option<&'a [u8]> {
    entries(archive)
        .find(|entry| entry.0 == name)
        .map(|entry| entry.1)
}

/// One line of `boot.conf`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BootLine<'a> {
    /// Name of the image in the archive.
    pub file: &'a str,
    /// `K_USERACTOR`, `K_SYSTEMACTOR` or `K_SUPACTOR`.
    pub kind: i32,
    /// Priority of the actor.
    pub priority: i32,
    /// Name of the actor.
    pub name: &'a str,
    /// Further words: its arguments.
    pub rest: &'a str,
}

/// One actor a line; a line that is wrong is given back as text. Comments and empty lines are left out.
pub fn boot_lines(text: &str) -> impl Iterator<Item = Result<BootLine<'_>, &str>> {
    text.lines()
        .map(|line| line.split('#').next().unwrap_or("").trim())
        .filter(|line| !line.is_empty())
        .map(|line| boot_line(line).ok_or(line))
}

fn boot_line(line: &str) -> Option<BootLine<'_>> {
    let (file, rest) = word(line)?;
    let (kind, rest) = word(rest)?;
    let (priority, rest) = word(rest)?;
    let (name, rest) = word(rest)?;
    let kind = match kind {
        "user" => chorus_abi::K_USERACTOR,
        "system" => chorus_abi::K_SYSTEMACTOR,
        "supervisor" => chorus_abi::K_SUPACTOR,
        _ => return None,
    };
    Some(BootLine {
        file,
        kind,
        priority: priority.parse().ok()?,
        name,
        rest,
    })
}

fn word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    (!word.is_empty()).then_some((word, rest.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, content: &[u8]) -> Vec<u8> {
        let mut bytes = format!(
            "070701{:048X}{:08X}{:032X}{:08X}{:08X}",
            0,
            content.len(),
            0,
            name.len() + 1,
            0
        )
        .into_bytes();
        bytes.extend(name.bytes().chain([0]));
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn entries_are_found_and_damage_ends_the_walk() {
        let archive = [
            entry("boot.conf", b"x"),
            entry("./hello", b"12345"),
            entry("TRAILER!!!", b""),
        ]
        .concat();
        assert_eq!(find(&archive, "hello"), Some(&b"12345"[..]));
        assert_eq!(entries(&archive).count(), 2);
        for cut in 0..archive.len() {
            assert!(entries(&archive[..cut]).count() <= 2);
        }
        let mut damaged = archive;
        damaged[54..62].copy_from_slice(b"FFFFFFFF");
        assert_eq!(entries(&damaged).count(), 0);
    }

    #[test]
    fn lines_of_boot_conf() {
        let lines: Vec<_> =
            boot_lines("# a comment\n\nnm supervisor 50 network-manager --fast x\nbad line\n")
                .collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(
            lines[0].map(|l| (l.kind, l.priority, l.name, l.rest)),
            Ok((chorus_abi::K_SUPACTOR, 50, "network-manager", "--fast x"))
        );
        assert_eq!(lines[1], Err("bad line"));
    }
}
