//! The boot archive of a site: what its Nucleus finds beside itself.
//!
//! A `newc` cpio, as Linux' initramfs, so that any tool can make or look into one (docs/contracts.md, "Boot archive"). The same inputs
//! give the same bytes: no times, no owners, inode numbers by place.

use super::failure::{Failure, Outcome};
use super::images;
use super::topology::{Image, Kind};
use std::path::Path;

/// Name of the list of actors in the archive.
pub const BOOT_CONF: &str = "boot.conf";

/// `boot.conf` when nothing else is asked for: the Network Manager beside the Nucleus, and the site manager that joins the cluster.
pub const STANDARD_BOOT_CONF: &str = "\
# FILE KIND PRIORITY NAME [ARG…]
network-manager supervisor 20 network-manager
site-manager system 60 site-manager
";

/// File of the actor that takes pages from the memory of a site.
const DEFAULT_MAPPER: &str = "default-mapper";

/// The same list with the default mapper, which keeps pages at the gateway, unless it has one.
pub fn with_default_mapper(conf: &str) -> String {
    let has = |line: &str| line.split_ascii_whitespace().next() == Some(DEFAULT_MAPPER);
    match conf.lines().any(has) {
        true => conf.to_owned(),
        false => format!(
            "{}\n{DEFAULT_MAPPER} system 40 {DEFAULT_MAPPER} host\n",
            conf.trim_end()
        ),
    }
}

/// File of the actor that carries messages between sites.
const NETWORK_MANAGER: &str = "network-manager";

/// The same list with more arguments for the Network Manager.
pub fn with_network_words(conf: &str, words: &[String]) -> String {
    let told = |line: &str| {
        let before = line.split('#').next().unwrap_or("").trim_end();
        let first = before.split_ascii_whitespace().next();
        match first == Some(NETWORK_MANAGER) {
            true => format!("{before} {}\n", words.join(" ")),
            false => format!("{line}\n"),
        }
    };
    conf.lines().map(told).collect()
}

/// One line of `boot.conf`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BootActor {
    /// Entry of the archive.
    pub file: String,
    /// Kind.
    pub kind: Kind,
    /// Relative priority.
    pub priority: u8,
    /// Name.
    pub name: String,
    /// Arguments.
    pub args: Vec<String>,
}

/// Reads `boot.conf`. Errors: line number and what is wrong.
pub fn parse_boot_conf(text: &str) -> Result<Vec<BootActor>, (usize, String)> {
    let mut actors = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let words: Vec<&str> = line
            .split('#')
            .next()
            .unwrap_or("")
            .split_whitespace()
            .collect();
        let [file, kind, priority, name, args @ ..] = words.as_slice() else {
            if words.is_empty() {
                continue;
            }
            return Err((
                index + 1,
                "a line is: FILE KIND PRIORITY NAME [ARG…]".to_owned(),
            ));
        };
        let kind = match *kind {
            "user" => Kind::User,
            "system" => Kind::System,
            "supervisor" => Kind::Supervisor,
            other => {
                return Err((
                    index + 1,
                    format!("\"{other}\" is not a kind; the kinds are user, system and supervisor"),
                ));
            }
        };
        let priority = priority.parse().map_err(|_| {
            (
                index + 1,
                format!("\"{priority}\" is not a priority from 0 to 255"),
            )
        })?;
        let args = args.iter().map(|&arg| arg.to_owned()).collect();
        actors.push(BootActor {
            file: (*file).to_owned(),
            kind,
            priority,
            name: (*name).to_owned(),
            args,
        });
    }
    Ok(actors)
}

/// Builds the boot archive from the text of `boot.conf`; images come from `folder` first, then from this binary.
/// Errors: status 4 naming the line, or the image that is missing.
pub fn build(boot_conf: &str, conf_name: &str, folder: Option<&Path>) -> Outcome<Vec<u8>> {
    let actors = parse_boot_conf(boot_conf)
        .map_err(|(line, why)| Failure::bad_file(format!("{conf_name}:{line}: {why}")))?;
    let mut archive = Archive::default();
    archive.add(BOOT_CONF, boot_conf.as_bytes())?;
    let mut added: Vec<&str> = Vec::new();
    for actor in &actors {
        if added.contains(&actor.file.as_str()) {
            continue;
        }
        if actor.file.contains('/') || actor.file == BOOT_CONF {
            return Err(Failure::bad_file(format!(
                "{conf_name}: {} cannot be an image's name",
                actor.file
            )));
        }
        let image = match folder
            .map(|folder| folder.join(&actor.file))
            .filter(|path| path.is_file())
        {
            Some(path) => Image::File(path),
            None => Image::BuiltIn(actor.file.clone()),
        };
        archive.add(&actor.file, &images::load(&image)?)?;
        added.push(&actor.file);
    }
    archive.finish()
}

/// A cpio in the making.
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    fn add(&mut self, name: &str, content: &[u8]) -> Outcome<()> {
        self.entries += 1;
        self.header(name, self.entries, 0o100_644, content)
    }

    fn header(&mut self, name: &str, inode: u32, mode: u32, content: &[u8]) -> Outcome<()> {
        let size = u32::try_from(content.len())
            .map_err(|_| Failure::bad_file(format!("{name}: larger than 4 GiB")))?;
        let name_size = name.len() as u32 + 1;
        // inode, mode, uid, gid, links, mtime, size, device (4 fields), name size, check.
        let fields = [inode, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes
                .extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
        Ok(())
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn finish(mut self) -> Outcome<Vec<u8>> {
        self.header("TRAILER!!!", 0, 0, &[])?;
        Ok(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_list_is_well_formed() {
        let actors = parse_boot_conf(STANDARD_BOOT_CONF).unwrap();
        assert_eq!(
            actors
                .iter()
                .map(|actor| actor.name.as_str())
                .collect::<Vec<_>>(),
            ["network-manager", "site-manager"]
        );
        assert_eq!(actors[0].kind, Kind::Supervisor);
    }

    #[test]
    fn words_are_told_to_the_network_manager() {
        let words = ["detect=7000", "domains=2=3,4;3="].map(str::to_owned);
        let actors = parse_boot_conf(&with_network_words(STANDARD_BOOT_CONF, &words)).unwrap();
        let args = actors.iter().map(|actor| actor.args.join(" "));
        assert!(args.eq([words.join(" "), String::new()]));
    }

    #[test]
    fn lists_are_read_with_comments_and_refused_with_a_line() {
        let actors = parse_boot_conf("\n a user 7 b x y # z\n").unwrap();
        assert_eq!(
            actors,
            [BootActor {
                file: "a".into(),
                kind: Kind::User,
                priority: 7,
                name: "b".into(),
                args: vec!["x".into(), "y".into()]
            }]
        );
        assert_eq!(parse_boot_conf("# c\na user").unwrap_err().0, 2);
        assert_eq!(parse_boot_conf("a root 1 b").unwrap_err().0, 1);
        assert_eq!(parse_boot_conf("a user 256 b").unwrap_err().0, 1);
    }

    #[test]
    fn the_archive_reads_back_with_another_reader() {
        let mut archive = Archive::default();
        archive.add("boot.conf", b"hello").unwrap();
        archive.add("x", &[7; 4097]).unwrap();
        let bytes = archive.finish().unwrap();
        assert_eq!(bytes.len() % 4, 0);
        let mut rest: &[u8] = &bytes;
        let mut found = Vec::new();
        loop {
            let mut reader = cpio::newc::Reader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                break;
            }
            let mut content = Vec::new();
            std::io::Read::read_to_end(&mut reader, &mut content).unwrap();
            found.push((reader.entry().name().to_owned(), content.len()));
            rest = reader.finish().unwrap();
        }
        assert_eq!(found, [("boot.conf".to_owned(), 5), ("x".to_owned(), 4097)]);
    }
}
