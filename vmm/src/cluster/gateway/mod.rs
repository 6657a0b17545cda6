//! The host as a site of its own cluster: site 8191.
//!
//! What actors write, what they read, the images they are loaded from, and the CLI's requests are Chorus messages between this
//! site and the others; there is no other way into a guest. This module knows the services and the messages; how messages become
//! frames is the business of the transport behind [`Calls`].

pub mod ends;
pub mod files;
pub mod input;
pub mod pages;
pub mod requests;
pub mod station;

use super::log::{Log, Writer};
use chorus_abi::services::{
    Answer, CONSOLE_READ, CONSOLE_WRITE, CONTROL_ENDED, CONTROL_JOINED, CONTROL_REFUSED,
    CONTROL_STARTED, ConsoleRequest, ControlNotice, STREAM_ERR,
};
use chorus_abi::{
    K_CMSGSIZEMAX, KError, KnUniqueId, STAMP_CONSOLE, STAMP_CONTROL, STAMP_FILES, STAMP_PAGES,
    name_text,
};
use ends::{End, Ends};
use files::Files;
use input::{Input, Read};
use pages::Pages;
use std::sync::Arc;
use std::time::Duration;

/// A message with its annex.
pub type Annex = [u8; 64];

/// How the gateway calls a port of another site.
pub trait Calls: Send + Sync {
    /// `ipcCall`: sends a request and waits for its reply, at most `limit`. Errors: those of `ipcCall`.
    fn call(
        &self,
        target: KnUniqueId,
        annex: &Annex,
        body: &[u8],
        limit: Duration,
    ) -> Result<(Annex, Vec<u8>), KError>;
    /// Answers a request that [`Services::serve`] left open.
    fn reply(&self, token: u64, annex: &Annex, body: &[u8]);
    /// How this site's own endpoint stands. `None`: it has ended.
    fn view(&self) -> Option<chorus_transport::View> {
        None
    }
}

/// A request that came from a site.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Site that it came from, by the frame: what the message says about itself is not believed.
    pub site: u16,
    /// Stamp of the well-known port that it is for.
    pub stamp: u32,
    /// Annex; zeros when there was none.
    pub annex: &'a Annex,
    /// Body.
    pub body: &'a [u8],
    /// By which it is answered later.
    pub token: u64,
}

/// What the cluster process wants to hear.
pub trait Listener: Send + Sync {
    /// The site manager of a site answers.
    fn joined(&self, site: u16);
}

/// The services of the gateway.
pub struct Services {
    /// The log that actors' output goes to.
    pub log: Arc<Log>,
    /// Images.
    pub files: Files,
    /// Pages that left the memory of sites.
    pub pages: Pages,
    /// What people type.
    pub input: Input,
    /// How actors ended.
    pub ends: Ends,
    listener: Box<dyn Listener>,
}

impl Services {
    /// Services that write to `log` and tell `listener`.
    pub fn new(log: Arc<Log>, listener: Box<dyn Listener>) -> Services {
        Services {
            log,
            files: Files::new(),
            pages: Pages::default(),
            input: Input::default(),
            ends: Ends::default(),
            listener,
        }
    }

    /// Serves one request. The value is the reply, or nothing when it comes later by [`Calls::reply`].
    pub fn serve(&self, request: Request<'_>) -> Option<(Annex, Vec<u8>)> {
        if request.body.len() > K_CMSGSIZEMAX as usize {
            return Some(refuse(KError::TooMuch));
        }
        match request.stamp {
            STAMP_CONSOLE => self.console(&request),
            STAMP_FILES => {
                let (answer, body) = self.files.serve(request.annex, request.body);
                Some((answer.to_annex(), body))
            }
            STAMP_PAGES => Some(self.pages.serve(request.site, request.annex, request.body)),
            STAMP_CONTROL => Some(self.control(&request)),
            _ => Some(refuse(KError::Unknown)),
        }
    }

    /// The client of a request that was left open is gone.
    pub fn cancel(&self, token: u64) {
        self.input.cancel(token);
    }

    /// Takes typed bytes for a site's actors.
    pub fn typed(&self, calls: &dyn Calls, site: u16, bytes: &[u8]) {
        for (token, bytes) in self.input.typed(site, bytes) {
            calls.reply(
                token,
                &Answer {
                    value: bytes.len() as u64,
                    ..Answer::default()
                }
                .to_annex(),
                &bytes,
            );
        }
    }

    /// A site is gone: its lines end, its actors have ended, nobody there reads any more.
    pub fn site_ended(&self, site: u16, incarnation: u16) {
        self.log.end_site(site);
        self.input.end_site(site);
        self.pages.end_site(site);
        self.ends.site_ended(site, incarnation);
    }

    fn console(&self, request: &Request<'_>) -> Option<(Annex, Vec<u8>)> {
        let asked = ConsoleRequest::from_annex(request.annex);
        match asked.service {
            CONSOLE_WRITE => {
                let stream = match asked.stream {
                    STREAM_ERR => super::control::Stream::Err,
                    _ => super::control::Stream::Out,
                };
                let name = word(&asked.name);
                let writer = Writer {
                    site: request.site,
                    actor: asked.actor.word(),
                    name: Some(name),
                    stream,
                };
                self.log.write(&writer, request.body);
                let value = request.body.len() as u64;
                Some((
                    Answer {
                        value,
                        ..Answer::default()
                    }
                    .to_annex(),
                    Vec::new(),
                ))
            }
            CONSOLE_READ => {
                let room = asked.room.min(K_CMSGSIZEMAX) as usize;
                match self.input.read(request.site, request.token, room) {
                    Read::Later => None,
                    Read::Refused => Some(refuse(KError::Full)),
                    Read::Now(bytes) => {
                        let value = bytes.len() as u64;
                        Some((
                            Answer {
                                value,
                                ..Answer::default()
                            }
                            .to_annex(),
                            bytes,
                        ))
                    }
                }
            }
            _ => Some(refuse(KError::Inval)),
        }
    }

    fn control(&self, request: &Request<'_>) -> (Annex, Vec<u8>) {
        let notice = ControlNotice::from_annex(request.annex);
        let text =
            String::from_utf8_lossy(&request.body[..request.body.len().min(2048)]).into_owned();
        let name = word(&notice.name);
        let say = |line: &str| self.log.line(&Writer::cluster(request.site), line);
        match notice.service {
            CONTROL_JOINED => self.listener.joined(request.site),
            CONTROL_STARTED => {}
            CONTROL_ENDED => {
                self.log.end_actor(request.site, notice.actor.word());
                let end = End::from_notice(&notice, &text);
                if let End::Exception(why) = &end {
                    say(&format!("actor {name} ended by an exception: {why}"));
                }
                self.ends.ended(request.site, notice.actor, end);
            }
            CONTROL_REFUSED => say(&format!(
                "actor {name} of the boot list was not started: {text}"
            )),
            _ => return refuse(KError::Inval),
        }
        (Answer::default().to_annex(), Vec::new())
    }
}

/// A name from a guest, fit for a line of the log.
fn word(field: &[u8; 16]) -> String {
    let name: String = name_text(field)
        .chars()
        .filter(|c| !c.is_control() && !c.is_whitespace())
        .collect();
    if name.is_empty() {
        "?".to_owned()
    } else {
        name
    }
}

fn refuse(error: KError) -> (Annex, Vec<u8>) {
    (
        Answer {
            result: error.code(),
            ..Answer::default()
        }
        .to_annex(),
        Vec::new(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use chorus_abi::name_field;
    use proptest::prelude::*;
    use std::sync::Mutex;

    #[derive(Default)]
    struct Joined(Arc<Mutex<Vec<u16>>>);
    impl Listener for Joined {
        fn joined(&self, site: u16) {
            self.0.lock().unwrap().push(site);
        }
    }

    fn services() -> (Services, Arc<Mutex<Vec<u16>>>) {
        let joined = Joined::default();
        let seen = Arc::clone(&joined.0);
        (
            Services::new(
                Arc::new(Log::new([(2, "b".to_owned())].into(), None)),
                Box::new(joined),
            ),
            seen,
        )
    }

    fn ask(services: &Services, stamp: u32, annex: Annex, body: &[u8]) -> Option<Answer> {
        let request = Request {
            site: 2,
            stamp,
            annex: &annex,
            body,
            token: 9,
        };
        services
            .serve(request)
            .map(|(annex, _)| Answer::from_annex(&annex))
    }

    #[test]
    fn output_is_filed_under_the_site_of_the_frame() {
        let (services, _) = services();
        let write = ConsoleRequest {
            service: CONSOLE_WRITE,
            stream: 1,
            name: name_field("hello"),
            site: 77,
            ..Default::default()
        };
        assert_eq!(
            ask(&services, STAMP_CONSOLE, write.to_annex(), b"hi\n")
                .unwrap()
                .value,
            3
        );
        let line = services.log.tail(None, 1).0.remove(0);
        assert_eq!(
            (
                line.site,
                line.site_name.as_str(),
                line.actor.as_deref(),
                line.text.as_str()
            ),
            (2, "b", Some("hello"), "hi")
        );
    }

    #[test]
    fn joins_ends_and_nonsense() {
        let (services, joined) = services();
        let notice = ControlNotice {
            service: CONTROL_JOINED,
            site: 5,
            ..Default::default()
        };
        assert_eq!(
            ask(&services, STAMP_CONTROL, notice.to_annex(), b"")
                .unwrap()
                .result,
            0
        );
        assert_eq!(*joined.lock().unwrap(), [2]);
        let actor = KnUniqueId::well_known_port(2, 100);
        let notice = ControlNotice {
            service: CONTROL_ENDED,
            actor,
            status: 4,
            ..Default::default()
        };
        ask(&services, STAMP_CONTROL, notice.to_annex(), b"");
        assert_eq!(
            services.ends.wait(2, actor, Duration::ZERO),
            Some(End::Exit(4))
        );
        assert_eq!(
            ask(&services, STAMP_CONTROL, [0; 64], b"").unwrap().result,
            KError::Inval.code()
        );
        assert_eq!(
            ask(&services, 99, [0; 64], b"").unwrap().result,
            KError::Unknown.code()
        );
    }

    #[test]
    fn a_reader_waits() {
        let (services, _) = services();
        let read = ConsoleRequest {
            service: CONSOLE_READ,
            room: 10,
            ..Default::default()
        };
        assert_eq!(ask(&services, STAMP_CONSOLE, read.to_annex(), b""), None);
        services.cancel(9);
        assert_eq!(services.input.typed(2, b"x"), []);
    }

    proptest! {
        #[test]
        fn any_message_is_served(stamp in 0u32..6, head in proptest::collection::vec(any::<u8>(), 64), body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let (services, _) = services();
            let mut annex: Annex = [0; 64];
            annex.copy_from_slice(&head);
            for service in [1, 2, 10, 11, 20, 21, 22, 23, 50, 51, 52, 99] {
                annex[0] = service;
                annex[1..4].fill(0);
                ask(&services, stamp, annex, &body);
            }
        }
    }
}
