//! The control protocol of a cluster, as types.
//!
//! A client connects to `control.sock`, sends one [`Hello`] line and one [`Request`] line, and reads [`Answer`] lines until the
//! last one (every answer but [`Answer::Line`], [`Answer::Sites`], [`Answer::Recording`] and [`Answer::Attached`] is a last one). Lines are JSON. After [`Answer::Attached`] the
//! connection carries the console's bytes, both ways; after [`Request::Exec`] come `size` bytes of the image. Requests on one
//! connection are one after another. The peer is another program of the same user, perhaps of another version: lines are limited, and
//! nothing in them can do harm but fail.

use super::failure::{Failure, Outcome};
use super::footprint::Footprint;
use super::intervention::Intervention;
use super::network::NetInfo;
use super::site::TraceOrder;
use super::topology::Kind;
use crate::trace::Heading;
use chorus_fabric::{Counts, Parameters};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::io::{BufRead, Read, Write};

/// Version of this protocol; both sides must have the same.
pub const VERSION: u32 = 1;
/// Longest line in bytes.
pub const LINE_MAX: u64 = 1 << 20;

/// First line of a client.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// [`VERSION`].
    pub chorus: u32,
}

/// What a client asks for.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Request {
    /// The state of the sites: one [`Answer::Cluster`].
    Status,
    /// [`Answer::Sites`] at each change, until all have joined ([`Answer::Done`]) or it failed.
    Watch,
    /// Actors of a site, or of all: [`Answer::Actors`].
    Actors {
        /// Site number; none: all.
        site: Option<u16>,
    },
    /// Lines of the log, each an [`Answer::Line`].
    Logs {
        /// Site number; none: all.
        site: Option<u16>,
        /// Only so many of the last lines.
        tail: Option<usize>,
        /// Go on as lines come.
        follow: bool,
    },
    /// Attach to the console of a site: [`Answer::Attached`], then bytes.
    Console {
        /// Site number.
        site: u16,
    },
    /// Start an actor; `size` bytes of its image follow this line when it is not built in.
    Exec(Exec),
    /// Stop the processors of a site, or of all.
    Pause {
        /// Site number; none: all.
        site: Option<u16>,
    },
    /// Let them run again.
    Resume {
        /// Site number; none: all.
        site: Option<u16>,
    },
    /// End a site at once.
    Kill {
        /// Site number.
        site: u16,
    },
    /// Do something to links or sites.
    Intervene {
        /// What.
        what: Intervention,
    },
    /// The links as they are: [`Answer::Links`].
    Links,
    /// How the Network Manager of a site stands: [`Answer::Net`].
    Net {
        /// Site number; 8191 for the gateway.
        site: u16,
    },
    /// The address of a site's gdb stub: [`Answer::Gdb`].
    Gdb {
        /// Site number.
        site: u16,
    },
    /// Begin a trace on sites, or (none) on all that have not ended.
    Trace {
        /// Site numbers.
        sites: Vec<u16>,
        /// What.
        order: TraceOrder,
    },
    /// End it, where there is one: its records stay.
    TraceOff,
    /// What was recorded: an [`Answer::Recording`] a site, each followed by its bytes, then [`Answer::Done`].
    Traced,
    /// End the cluster.
    Down,
}

/// An actor to be started.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Exec {
    /// Site numbers.
    pub sites: Vec<u16>,
    /// Name.
    pub name: String,
    /// The image is the built-in one of this name; none: it follows.
    #[serde(default)]
    pub builtin: Option<String>,
    /// Bytes of the image that follow.
    #[serde(default)]
    pub size: u64,
    /// Kind.
    pub kind: Kind,
    /// Relative priority.
    pub priority: u8,
    /// Arguments, without the name.
    pub args: Vec<String>,
    /// Name, or UI, of the running actor that it replaces.
    #[serde(default)]
    pub replaces: Option<String>,
    /// Answer when all have ended, not when all are started. Leaving earlier ends them.
    pub wait: bool,
}

/// State of a site.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SiteState {
    /// Its machine is made.
    Created,
    /// The Nucleus runs.
    Booting,
    /// Its site manager answers.
    Ready,
    /// Its processors are stopped.
    Paused,
    /// It ended itself.
    Exited,
    /// The Nucleus, or the machine under it, gave up.
    Panicked,
    /// It was ended from outside.
    Killed,
}

impl SiteState {
    /// Whether the site's machine is no more.
    pub const fn ended(self) -> bool {
        matches!(
            self,
            SiteState::Exited | SiteState::Panicked | SiteState::Killed
        )
    }

    /// The word in tables.
    pub const fn word(self) -> &'static str {
        match self {
            SiteState::Created => "created",
            SiteState::Booting => "booting",
            SiteState::Ready => "ready",
            SiteState::Paused => "paused",
            SiteState::Exited => "exited",
            SiteState::Panicked => "panicked",
            SiteState::Killed => "killed",
        }
    }
}

/// One site as `ps` shows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SiteInfo {
    /// Number.
    pub site: u16,
    /// Name.
    pub name: String,
    /// State.
    pub state: SiteState,
    /// Which boot of it this is, from 1.
    #[serde(default)]
    pub incarnation: u16,
    /// Processors.
    pub vcpus: u32,
    /// Memory in bytes.
    pub mem: u64,
    /// How many of them the host has given, since the site touched their pages.
    #[serde(default)]
    pub touched: u64,
    /// Exit code, when it has ended by itself.
    #[serde(default)]
    pub exit: Option<u8>,
    /// VM exits so far.
    #[serde(default)]
    pub vm_exits: u64,
    /// Frames into the site.
    #[serde(default)]
    pub frames_in: u64,
    /// Frames out of the site.
    #[serde(default)]
    pub frames_out: u64,
    /// Room in bytes for pages outside its memory.
    #[serde(default)]
    pub swap: u64,
    /// Pages that left its memory so far.
    #[serde(default)]
    pub pages_out: u64,
    /// Pages that came back.
    #[serde(default)]
    pub pages_in: u64,
    /// gdb stub of the site.
    #[serde(default)]
    pub gdb: Option<String>,
}

/// One actor as `ps -a` shows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ActorInfo {
    /// Site number.
    pub site: u16,
    /// UI of its default port.
    pub actor: String,
    /// Name.
    pub name: String,
    /// Kind.
    pub kind: String,
    /// Actor priority.
    pub priority: i32,
    /// Threads.
    pub threads: u32,
    /// Ports.
    pub ports: u32,
    /// Pages of 4096 bytes.
    pub pages: u32,
    /// Address that its image was loaded at, in hexadecimal.
    pub base: String,
    /// Whether it is stopped.
    pub stopped: bool,
}

/// One direction of a link.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LinkInfo {
    /// Site number of the sender.
    pub from: u16,
    /// Site number of the receiver.
    pub to: u16,
    /// The two are in different parts of a split cluster: nothing passes.
    pub parted: bool,
    /// What it does.
    pub parameters: Parameters,
    /// What went through it.
    pub counts: Counts,
}

/// Who wrote a line of the log.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stream {
    /// Standard output of an actor.
    Out,
    /// Standard error of an actor.
    Err,
    /// The machine's own console: the Nucleus.
    Console,
    /// The cluster process, about the site.
    Cluster,
}

/// One line of the log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LogLine {
    /// Place in the whole log of the cluster, from 0.
    pub seq: u64,
    /// Nanoseconds since the cluster's start.
    pub time_ns: u64,
    /// Site number.
    pub site: u16,
    /// Name of the site.
    pub site_name: String,
    /// Name of the actor; none: the Nucleus or the cluster process.
    #[serde(default)]
    pub actor: Option<String>,
    /// UI of the actor's default port, as `ps -a` shows it.
    #[serde(default)]
    pub actor_ui: Option<String>,
    /// Who wrote.
    pub stream: Stream,
    /// The line without its end.
    pub text: String,
}

/// How an actor that `exec` started has ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ActorEnd {
    /// Site number.
    pub site: u16,
    /// Name.
    pub name: String,
    /// Status of `actorExit`; none: it did not end by itself.
    pub status: Option<i32>,
    /// Why it did not end by itself.
    #[serde(default)]
    pub why: Option<String>,
}

/// What the cluster answers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// Done.
    Done,
    /// It did not work.
    Failed {
        /// Why.
        failure: Failure,
    },
    /// To [`Request::Status`].
    Cluster {
        /// Name of the cluster.
        name: String,
        /// Process id.
        pid: i32,
        /// Nanoseconds since its start.
        uptime_ns: u64,
        /// What it takes of its host's memory.
        #[serde(default)]
        memory: Footprint,
        /// Sites.
        sites: Vec<SiteInfo>,
    },
    /// A change, to [`Request::Watch`].
    Sites {
        /// Sites.
        sites: Vec<SiteInfo>,
    },
    /// To [`Request::Actors`].
    Actors {
        /// Actors.
        actors: Vec<ActorInfo>,
    },
    /// To [`Request::Links`].
    Links {
        /// How the sites are joined.
        topology: String,
        /// What every link does that is not told otherwise.
        every: Parameters,
        /// Directions of links, in order.
        links: Vec<LinkInfo>,
    },
    /// To [`Request::Net`].
    Net {
        /// How it stands.
        end: Box<NetInfo>,
    },
    /// To [`Request::Logs`].
    Line {
        /// The line.
        line: LogLine,
    },
    /// To [`Request::Console`]: bytes from here on.
    Attached,
    /// To [`Request::Exec`].
    Ended {
        /// In the order of the sites; empty when nobody waited.
        ends: Vec<ActorEnd>,
    },
    /// To [`Request::Traced`]; the bytes follow.
    Recording {
        /// Whose, and how many bytes.
        heading: Heading,
    },
    /// To [`Request::Gdb`].
    Gdb {
        /// What gdb's `target remote` takes.
        address: String,
    },
}

/// Why a line could not be read.
#[derive(Debug)]
pub enum LineError {
    /// The other side ended, perhaps in the middle of a line.
    Ended,
    /// Longer than [`LINE_MAX`].
    TooLong,
    /// Not what was expected.
    Wrong(String),
    /// The connection broke.
    Io(std::io::Error),
}

impl std::fmt::Display for LineError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LineError::Ended => f.write_str("the connection ended"),
            LineError::TooLong => write!(f, "a line is longer than {LINE_MAX} bytes"),
            LineError::Wrong(why) => write!(f, "not a message of this protocol: {why}"),
            LineError::Io(error) => write!(f, "{error}"),
        }
    }
}

/// Reads one message.
pub fn receive<T: DeserializeOwned>(from: &mut impl BufRead) -> Result<T, LineError> {
    let mut line = Vec::new();
    from.by_ref()
        .take(LINE_MAX)
        .read_until(b'\n', &mut line)
        .map_err(LineError::Io)?;
    match line.last() {
        Some(b'\n') => {
            serde_json::from_slice(&line).map_err(|error| LineError::Wrong(error.to_string()))
        }
        _ if line.len() as u64 >= LINE_MAX => Err(LineError::TooLong),
        _ => Err(LineError::Ended),
    }
}

/// Writes one message, and pushes it out. Errors: the other side is gone.
pub fn send<T: Serialize>(to: &mut impl Write, message: &T) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    to.write_all(&line)?;
    to.flush()
}

/// Checks a client's first line.
pub fn check_hello(hello: &Hello) -> Outcome<()> {
    if hello.chorus == VERSION {
        return Ok(());
    }
    let text = format!(
        "the cluster speaks control protocol {VERSION}, this command {}",
        hello.chorus
    );
    Err(Failure::failed(text).hint("use the chorus that started the cluster"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(message: T) {
        let mut bytes = Vec::new();
        send(&mut bytes, &message).unwrap();
        assert_eq!(bytes.iter().filter(|&&byte| byte == b'\n').count(), 1);
        assert_eq!(receive::<T>(&mut bytes.as_slice()).unwrap(), message);
    }

    #[test]
    fn messages_round_trip() {
        round_trip(Request::Logs {
            site: Some(3),
            tail: None,
            follow: true,
        });
        let exec = Exec {
            sites: vec![1, 2],
            name: "a\nb".into(),
            builtin: None,
            size: 7,
            kind: Kind::User,
            priority: 1,
            args: vec!["ü".into()],
            replaces: Some("b".into()),
            wait: true,
        };
        round_trip(Request::Exec(exec));
        round_trip(Answer::Failed {
            failure: Failure::host("x"),
        });
        round_trip(Answer::Ended {
            ends: vec![ActorEnd {
                site: 1,
                name: "a".into(),
                status: Some(-1),
                why: None,
            }],
        });
    }

    #[test]
    fn the_text_on_the_socket_is_what_the_documents_say() {
        let text = serde_json::to_string(&Request::Kill { site: 2 }).unwrap();
        assert_eq!(text, r#"{"request":"kill","site":2}"#);
        assert_eq!(
            serde_json::to_string(&Answer::Done).unwrap(),
            r#"{"answer":"done"}"#
        );
    }

    #[test]
    fn lines_are_limited_and_whole() {
        let long = vec![b' '; LINE_MAX as usize + 5];
        assert!(matches!(
            receive::<Request>(&mut long.as_slice()),
            Err(LineError::TooLong)
        ));
        assert!(matches!(
            receive::<Request>(&mut &b"{\"request\":\"down\"}"[..]),
            Err(LineError::Ended)
        ));
        assert!(matches!(
            receive::<Request>(&mut &b"{\"request\":\"dance\"}\n"[..]),
            Err(LineError::Wrong(_))
        ));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let _ = receive::<Hello>(&mut bytes.as_slice());
            let _ = receive::<Request>(&mut bytes.as_slice());
            let _ = receive::<Answer>(&mut bytes.as_slice());
        }

        #[test]
        fn nearly_right_lines_never_panic(word in "(kill|exec|logs|console|down|status)", rest in "[ -~]{0,60}") {
            let line = format!("{{\"request\":\"{word}\",{rest}}}\n");
            let _ = receive::<Request>(&mut line.as_bytes());
        }
    }
}
