//! The log of a cluster: what sites and actors wrote, line by line.
//!
//! Every line gets one number when its last byte comes; that number is the order of the merged log, so that two readers never see
//! two orders. A ring a site keeps the last lines in memory, a file a site keeps more; both are bounded whatever a guest
//! writes, and a full disk costs the file, not the cluster.

use super::control::{LogLine, Stream};
use chorus_abi::KnUniqueId;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Lines that a site's ring keeps.
const RING_LINES: usize = 10_000;
/// Bytes of text that a site's ring keeps.
const RING_BYTES: usize = 2 << 20;
/// Bytes after which a line is broken.
const LINE_BYTES: usize = 4096;
/// Unfinished lines that are kept; one a stream of an actor.
const PARTIAL_MAX: usize = 1024;
/// Bytes of a log file, after which the older half is dropped.
const FILE_BYTES: u64 = 16 << 20;

/// Who writes: site, actor, stream.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Writer {
    /// Site number.
    pub site: u16,
    /// Identity of the actor, so that two of one name do not share a line; 0 for the Nucleus and the cluster process.
    pub actor: u64,
    /// Name of the actor.
    pub name: Option<String>,
    /// Stream.
    pub stream: Stream,
}

impl Writer {
    /// The Nucleus of a site.
    pub fn console(site: u16) -> Writer {
        Writer {
            site,
            actor: 0,
            name: None,
            stream: Stream::Console,
        }
    }

    /// The cluster process, about a site.
    pub fn cluster(site: u16) -> Writer {
        Writer {
            site,
            actor: 0,
            name: None,
            stream: Stream::Cluster,
        }
    }
}

#[derive(Default)]
struct Ring {
    lines: VecDeque<LogLine>,
    bytes: usize,
}

#[derive(Default)]
struct Inner {
    next: u64,
    rings: BTreeMap<u16, Ring>,
    partial: HashMap<Writer, Vec<u8>>,
    files: BTreeMap<u16, LogFile>,
    closed: bool,
}

/// The log of a cluster.
pub struct Log {
    started: Instant,
    names: BTreeMap<u16, String>,
    folder: Option<PathBuf>,
    inner: Mutex<Inner>,
    more: Condvar,
}

impl Log {
    /// An empty log for sites with these names; files go into `folder`, if there is one.
    pub fn new(names: BTreeMap<u16, String>, folder: Option<&Path>) -> Log {
        Log {
            started: Instant::now(),
            names,
            folder: folder.map(Path::to_owned),
            inner: Mutex::default(),
            more: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A writer that panicked left whole lines behind; the log goes on.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Time since the log's start in nanoseconds.
    pub fn now_ns(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Takes bytes; each end of a line makes a line of the log.
    pub fn write(&self, writer: &Writer, mut bytes: &[u8]) {
        let mut inner = self.lock();
        while !bytes.is_empty() {
            let room = LINE_BYTES
                - inner
                    .partial
                    .get(writer)
                    .map_or(0, Vec::len)
                    .min(LINE_BYTES);
            let end = bytes.iter().position(|&byte| byte == b'\n');
            let (taken, rest, whole) = match end {
                Some(at) if at <= room => (&bytes[..at], &bytes[at + 1..], true),
                _ if bytes.len() > room => (&bytes[..room], &bytes[room..], true),
                _ => (bytes, &bytes[bytes.len()..], false),
            };
            if whole {
                let mut line = inner.partial.remove(writer).unwrap_or_default();
                line.extend_from_slice(taken);
                self.push(&mut inner, writer, &line);
            } else {
                if inner.partial.len() >= PARTIAL_MAX && !inner.partial.contains_key(writer) {
                    self.finish(&mut inner, |_| true);
                }
                inner
                    .partial
                    .entry(writer.clone())
                    .or_default()
                    .extend_from_slice(taken);
            }
            bytes = rest;
        }
        drop(inner);
        self.more.notify_all();
    }

    /// Writes one whole line.
    pub fn line(&self, writer: &Writer, text: &str) {
        self.write(writer, format!("{text}\n").as_bytes());
    }

    /// Ends the unfinished lines of a site, which will write no more.
    pub fn end_site(&self, site: u16) {
        self.finish(&mut self.lock(), |writer| writer.site == site);
        self.more.notify_all();
    }

    /// Ends the unfinished lines of an actor, which will write no more.
    pub fn end_actor(&self, site: u16, actor: u64) {
        self.finish(&mut self.lock(), |writer| {
            writer.site == site && writer.actor == actor && actor != 0
        });
        self.more.notify_all();
    }

    /// No line will come any more; readers that follow end.
    pub fn close(&self) {
        let mut inner = self.lock();
        self.finish(&mut inner, |_| true);
        inner.closed = true;
        drop(inner);
        self.more.notify_all();
    }

    fn finish(&self, inner: &mut Inner, which: impl Fn(&Writer) -> bool) {
        let mut ended: Vec<(Writer, Vec<u8>)> = inner
            .partial
            .extract_if(|writer, _| which(writer))
            .collect();
        ended.sort_by(|(a, _), (b, _)| (a.site, a.actor, &a.name).cmp(&(b.site, b.actor, &b.name)));
        for (writer, line) in ended {
            self.push(inner, &writer, &line);
        }
    }

    fn push(&self, inner: &mut Inner, writer: &Writer, line: &[u8]) {
        let text = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned();
        let line = LogLine {
            seq: inner.next,
            time_ns: self.now_ns(),
            site: writer.site,
            site_name: self
                .names
                .get(&writer.site)
                .cloned()
                .unwrap_or_else(|| format!("s{}", writer.site)),
            actor: writer.name.clone(),
            actor_ui: (writer.actor != 0).then(|| KnUniqueId::from_word(writer.actor).to_string()),
            stream: writer.stream,
            text,
        };
        inner.next += 1;
        if let Some(folder) = &self.folder {
            inner
                .files
                .entry(writer.site)
                .or_insert_with(|| LogFile::create(folder, &line.site_name))
                .append(&line);
        }
        let ring = inner.rings.entry(writer.site).or_default();
        ring.bytes += line.text.len();
        ring.lines.push_back(line);
        while ring.lines.len() > RING_LINES || ring.bytes > RING_BYTES {
            let Some(old) = ring.lines.pop_front() else {
                break;
            };
            ring.bytes -= old.text.len();
        }
    }

    /// At most `limit` lines from number `from` on, of one site or all, in order, and the number to go on from.
    pub fn since(&self, site: Option<u16>, from: u64, limit: usize) -> (Vec<LogLine>, u64) {
        Self::collect(&self.lock(), site, from, limit)
    }

    fn collect(inner: &Inner, site: Option<u16>, from: u64, limit: usize) -> (Vec<LogLine>, u64) {
        let rings = inner
            .rings
            .iter()
            .filter(|(number, _)| site.is_none_or(|site| site == **number));
        let mut lines: Vec<LogLine> = rings
            .flat_map(|(_, ring)| {
                let first = ring.lines.partition_point(|line| line.seq < from);
                ring.lines.range(first..).take(limit).cloned()
            })
            .collect();
        lines.sort_by_key(|line| line.seq);
        lines.truncate(limit);
        let next = if lines.len() == limit {
            lines.last().map_or(from, |line| line.seq + 1)
        } else {
            inner.next
        };
        (lines, next.max(from))
    }

    /// The last `tail` lines, and the number to go on from.
    pub fn tail(&self, site: Option<u16>, tail: usize) -> (Vec<LogLine>, u64) {
        let (mut lines, next) = self.since(site, 0, usize::MAX);
        let drop = lines.len().saturating_sub(tail);
        lines.drain(..drop);
        (lines, next)
    }

    /// As [`Log::since`], but waits up to `limit` for a line. The last value says whether the log is closed and read to its end.
    pub fn follow(
        &self,
        site: Option<u16>,
        from: u64,
        limit: Duration,
    ) -> (Vec<LogLine>, u64, bool) {
        let inner = self.lock();
        let waiting = |inner: &mut Inner| inner.next <= from && !inner.closed;
        let (inner, _) = self
            .more
            .wait_timeout_while(inner, limit, waiting)
            .unwrap_or_else(PoisonError::into_inner);
        let (lines, next) = Self::collect(&inner, site, from, 1024);
        let ended = inner.closed && next >= inner.next;
        (lines, next, ended)
    }
}

/// A line for people. `start` puts the time since the cluster's start before it, `prefix` site and actor.
pub fn format(line: &LogLine, start: bool, prefix: bool) -> String {
    let mut out = String::new();
    if start {
        out = format!(
            "{:>5}.{:06} ",
            line.time_ns / 1_000_000_000,
            line.time_ns / 1000 % 1_000_000
        );
    }
    if prefix {
        let who = match (&line.actor, line.stream) {
            (Some(actor), _) => actor.as_str(),
            (None, Stream::Cluster) => "chorus",
            (None, _) => "nucleus",
        };
        out.push_str(&format!("{}/{who} | ", line.site_name));
    }
    // A guest must not move the reader's cursor: control characters are shown, not done.
    out.extend(line.text.chars().map(|c| {
        if c.is_control() && c != '\t' {
            '\u{fffd}'
        } else {
            c
        }
    }));
    out
}

/// A site's log file, bounded.
struct LogFile {
    path: PathBuf,
    file: Option<std::fs::File>,
    bytes: u64,
}

impl LogFile {
    fn create(folder: &Path, site: &str) -> LogFile {
        let path = folder.join(format!("{site}.log"));
        let file = std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::File::create(&path))
            .ok();
        LogFile {
            path,
            file,
            bytes: 0,
        }
    }

    fn append(&mut self, line: &LogLine) {
        let text = format(line, true, true) + "\n";
        if self.bytes + text.len() as u64 > FILE_BYTES / 2 {
            let kept = std::fs::rename(&self.path, self.path.with_extension("log.1"))
                .and_then(|()| std::fs::File::create(&self.path));
            self.file = kept.ok();
            self.bytes = 0;
        }
        self.bytes += text.len() as u64;
        // After an error (a full disk) the file is left as it is: half a line would mislead more than a missing end.
        if let Some(file) = &mut self.file
            && file.write_all(text.as_bytes()).is_err()
        {
            self.file = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn log() -> Log {
        Log::new([(1, "one".to_owned()), (2, "two".to_owned())].into(), None)
    }

    fn texts(log: &Log, site: Option<u16>) -> Vec<String> {
        log.since(site, 0, usize::MAX)
            .0
            .into_iter()
            .map(|line| line.text)
            .collect()
    }

    #[test]
    fn lines_are_merged_in_the_order_of_their_ends() {
        let log = log();
        log.write(&Writer::console(1), b"a");
        log.write(&Writer::console(2), b"b\n");
        log.write(&Writer::console(1), b"c\r\nrest");
        assert_eq!(texts(&log, None), ["b", "ac"]);
        assert_eq!(texts(&log, Some(1)), ["ac"]);
        log.end_site(1);
        assert_eq!(texts(&log, Some(1)), ["ac", "rest"]);
        assert_eq!(log.tail(None, 1).0[0].text, "rest");
    }

    #[test]
    fn a_guest_cannot_fill_the_memory() {
        let log = log();
        for actor in 0..3000 {
            log.write(
                &Writer {
                    site: 1,
                    actor,
                    name: None,
                    stream: Stream::Out,
                },
                &[b'x'; 10_000],
            );
        }
        let inner = log.lock();
        assert!(inner.partial.len() <= PARTIAL_MAX && inner.rings[&1].bytes <= RING_BYTES);
    }

    #[test]
    fn a_reader_that_follows_ends_with_the_log() {
        let log = log();
        log.line(&Writer::cluster(1), "x");
        let (lines, next, ended) = log.follow(None, 0, Duration::ZERO);
        assert_eq!((lines.len(), next, ended), (1, 1, false));
        log.close();
        assert!(log.follow(None, next, Duration::from_secs(60)).2);
    }

    #[test]
    fn control_characters_are_shown() {
        let log = log();
        log.line(&Writer::console(1), "a\u{1b}[2Jb");
        assert_eq!(
            format(&log.tail(None, 1).0[0], false, true),
            "one/nucleus | a\u{fffd}[2Jb"
        );
    }

    #[test]
    fn files_have_every_line_and_stay_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::new([(1, "one".to_owned())].into(), Some(folder.path()));
        log.line(&Writer::cluster(1), "first");
        assert!(
            std::fs::read_to_string(folder.path().join("one.log"))
                .unwrap()
                .ends_with("one/chorus | first\n")
        );
        for _ in 0..5000 {
            log.line(&Writer::cluster(1), &"y".repeat(4000));
        }
        let bytes: u64 = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum();
        assert!(bytes <= FILE_BYTES + 8192, "{bytes}");
    }

    proptest! {
        #[test]
        fn no_byte_is_lost_however_it_is_cut(text in "[a-z\n]{0,400}", cuts in proptest::collection::vec(1usize..20, 0..80)) {
            let log = log();
            let mut rest = text.as_bytes();
            for cut in cuts {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                log.write(&Writer::console(1), now);
                rest = later;
            }
            log.write(&Writer::console(1), rest);
            log.close();
            let expected: Vec<&str> = text.lines().collect();
            prop_assert_eq!(texts(&log, None), expected);
        }
    }
}
