//! A whole cluster process, with sites that have no processor.
//!
//! The sites here answer as a site manager does: they join, start actors that write a line and end with the number in their first
//! argument, and end when they are told. Everything else is the real process, server, client and log.

use super::*;
use crate::cluster::client::Client;
use crate::cluster::control::{Answer, Exec, Request};
use crate::cluster::gateway::{Annex, Request as Message};
use crate::cluster::sealing::FabricKey;
use crate::cluster::site::{Counters, Events, SiteOrder, TraceOrder};
use crate::cluster::topology::{Kind, Topology};
use crate::fabric::Switch;
use crate::trace::{Recording, Ring};
use chorus_abi::services::{self, Answer as Reply, ConsoleRequest, ControlNotice, StartRequest};
use chorus_abi::{KError, KnCap, KnUniqueId, UiType, name_field};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// What the sites of a test do.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Manner {
    Good,
    Silent,
    Panics,
}

struct FakeSite {
    events: Events,
    traced: AtomicU32,
    alive: Arc<AtomicBool>,
}

impl SiteMachine for FakeSite {
    fn pause(&self) -> Outcome<()> {
        Ok(())
    }
    fn resume(&self) -> Outcome<()> {
        Ok(())
    }
    fn kill(&self) {
        self.alive.store(false, Ordering::SeqCst);
    }
    fn type_in(&self, bytes: &[u8]) {
        (self.events)(SiteEvent::Output(bytes.to_vec()));
    }
    fn counters(&self) -> Counters {
        Counters {
            vm_exits: 3,
            frames_in: 2,
            frames_out: 1,
            touched: 4096,
        }
    }
    fn trace(&self, order: TraceOrder) -> Outcome<()> {
        self.traced.store(order.classes, Ordering::SeqCst);
        Ok(())
    }
    fn trace_off(&self) -> Outcome<bool> {
        Ok(self.traced.swap(0, Ordering::SeqCst) != 0)
    }
    fn traced(&self) -> Option<Recording> {
        // Bytes that no Nucleus would write: as many as there are classes.
        let size = self.traced.load(Ordering::SeqCst) as usize;
        (size > 0).then(|| Recording {
            site: 1,
            name: "s1".to_owned(),
            khz: 1,
            before: Vec::new(),
            now: Vec::new(),
            rings: vec![Ring {
                vcpu: 0,
                lost: 7,
                bytes: vec![0xff; size],
            }],
        })
    }
}

struct FakeCalls {
    services: Arc<Services>,
    next: AtomicU32,
}

impl Calls for FakeCalls {
    fn call(
        &self,
        target: KnUniqueId,
        annex: &Annex,
        body: &[u8],
        _: Duration,
    ) -> Result<(Annex, Vec<u8>), KError> {
        let start = StartRequest::from_annex(annex);
        if start.service != services::SITE_START {
            return Err(KError::Inval);
        }
        let site = target.site();
        let text = String::from_utf8_lossy(body).into_owned();
        let words: Vec<&str> = text.split_terminator('\0').collect();
        let actor = KnUniqueId::from_fields(
            site,
            UiType::Port,
            1,
            self.next.fetch_add(1, Ordering::SeqCst),
        );
        let name = name_field(words[0]);
        let tell = |stamp, annex: Annex, body: &[u8]| {
            self.services.serve(Message {
                site,
                stamp,
                annex: &annex,
                body,
                token: 0,
            })
        };
        let write = ConsoleRequest {
            service: services::CONSOLE_WRITE,
            stream: 1,
            actor,
            name,
            ..Default::default()
        };
        tell(
            chorus_abi::STAMP_CONSOLE,
            write.to_annex(),
            format!("{} bytes\n", start.size).as_bytes(),
        );
        if let Some(status) = words.get(1).and_then(|word| word.parse().ok()) {
            let notice = ControlNotice {
                service: services::CONTROL_ENDED,
                actor,
                name,
                status,
                ..Default::default()
            };
            tell(chorus_abi::STAMP_CONTROL, notice.to_annex(), b"");
        }
        Ok((
            Reply {
                cap: KnCap { ui: actor, key: 1 },
                ..Reply::default()
            }
            .to_annex(),
            Vec::new(),
        ))
    }
    fn reply(&self, _: u64, _: &Annex, _: &[u8]) {}
}

struct Fake {
    manner: Manner,
    services: OnceLock<Arc<Services>>,
    alive: Arc<AtomicBool>,
    switch: Arc<Switch>,
}

impl Machines for Fake {
    fn gateway(&self, services: Arc<Services>) -> Outcome<Arc<dyn Calls>> {
        let _ = self.services.set(Arc::clone(&services));
        Ok(Arc::new(FakeCalls {
            services,
            next: AtomicU32::new(1),
        }))
    }

    fn switch(&self) -> &Switch {
        &self.switch
    }

    fn start(&self, order: SiteOrder, events: Events) -> Outcome<Box<dyn SiteMachine>> {
        events(SiteEvent::Output(b"boots\n".to_vec()));
        events(SiteEvent::Mark(1));
        match self.manner {
            Manner::Silent => {}
            Manner::Panics => {
                let report = "panic: x".to_owned();
                events(SiteEvent::Ended {
                    state: SiteState::Panicked,
                    exit: None,
                    report,
                });
            }
            Manner::Good => {
                let notice = ControlNotice {
                    service: services::CONTROL_JOINED,
                    ..Default::default()
                };
                let stamp = chorus_abi::STAMP_CONTROL;
                let message = Message {
                    site: order.number,
                    stamp,
                    annex: &notice.to_annex(),
                    body: b"",
                    token: 0,
                };
                self.services.get().unwrap().serve(message);
            }
        }
        self.alive.store(true, Ordering::SeqCst);
        Ok(Box::new(FakeSite {
            traced: AtomicU32::new(0),
            events,
            alive: Arc::clone(&self.alive),
        }))
    }
}

/// An actor folder with what `boot.conf` names, and a nucleus: the smallest file that passes as an image.
fn images(folder: &std::path::Path) -> std::path::PathBuf {
    let mut image = vec![0u8; 64 + 56];
    image[..6].copy_from_slice(b"\x7fELF\x02\x01");
    image[18] = 62;
    image[32] = 64;
    image[54] = 56;
    image[56] = 1;
    image[64] = 1;
    for name in ["nucleus", "network-manager", "site-manager"] {
        std::fs::write(folder.join(name), &image).unwrap();
    }
    folder.join("nucleus")
}

pub(super) struct Test {
    _folder: tempfile::TempDir,
    runtime: Runtime,
    pub(super) interrupt: Interrupt,
    alive: Arc<AtomicBool>,
    pub(super) switch: Arc<Switch>,
    thread: std::thread::JoinHandle<Outcome<u8>>,
}

/// Starts a cluster of two sites in a thread.
pub(super) fn start(manner: Manner, change: impl FnOnce(&mut Plan, &std::path::Path)) -> Test {
    let folder = tempfile::tempdir().unwrap();
    let runtime = Runtime::at(folder.path(), "test").unwrap();
    let mut plan = Plan {
        topology: Topology::uniform("test", 2, 1, 64 << 20),
        seed: 1,
        detect_ms: None,
        fabric_key: FabricKey::of_seed(1),
        insecure_fabric: false,
        domains: String::new(),
        nucleus: Some(images(folder.path())),
        actor_dir: Some(folder.path().to_owned()),
        boot_conf: None,
        paused: false,
        join_timeout: 20.0,
        until_ended: false,
        run_timeout: Some(20.0),
        print_log: false,
        verbose: 0,
    };
    change(&mut plan, folder.path());
    let interrupt = Interrupt::default();
    let alive = Arc::new(AtomicBool::new(false));
    let switch = Arc::new(Switch::perfect(2).unwrap());
    let fake = Fake {
        manner,
        services: OnceLock::new(),
        alive: Arc::clone(&alive),
        switch: Arc::clone(&switch),
    };
    let claim = runtime.claim().unwrap();
    let stop = interrupt.clone();
    let thread = std::thread::spawn(move || run(plan, &claim, &stop, Arc::new(fake), None));
    Test {
        _folder: folder,
        runtime,
        interrupt,
        alive,
        switch,
        thread,
    }
}

impl Test {
    fn client(&self) -> Client {
        for _ in 0..200 {
            if let Ok(client) = Client::connect(&self.runtime) {
                client.limit(Some(Duration::from_secs(20))).unwrap();
                return client;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("no control socket");
    }

    pub(super) fn up(&self) -> Client {
        let mut client = self.client();
        client.send(&Request::Watch, &[]).unwrap();
        while client.receive().unwrap() != Answer::Done {}
        client
    }

    pub(super) fn end(self) -> Outcome<u8> {
        let outcome = self.thread.join().unwrap();
        assert!(
            !self.runtime.folder().exists(),
            "the runtime folder is left"
        );
        outcome
    }
}

fn states(client: &mut Client) -> Vec<SiteState> {
    match client.ask(&Request::Status).unwrap() {
        Answer::Cluster { sites, .. } => sites.iter().map(|site| site.state).collect(),
        other => panic!("{other:?}"),
    }
}

pub(super) fn actor(plan: &mut Plan, folder: &std::path::Path, arg: &str) {
    plan.topology
        .actor
        .push(crate::cluster::topology::ActorSpec {
            name: "a".into(),
            image: crate::cluster::topology::Image::File(folder.join("nucleus")),
            site: vec![1, 2],
            kind: Kind::User,
            priority: 140,
            args: vec![arg.into()],
        });
}

#[test]
fn a_cluster_lives_and_goes_down() {
    let test = start(Manner::Good, |_, _| {});
    let mut client = test.up();
    assert_eq!(states(&mut client), [SiteState::Ready; 2]);
    client.order(&Request::Pause { site: Some(2) }).unwrap();
    assert_eq!(states(&mut client), [SiteState::Ready, SiteState::Paused]);
    client.order(&Request::Resume { site: None }).unwrap();
    client.order(&Request::Kill { site: 1 }).unwrap();
    assert_eq!(states(&mut client), [SiteState::Killed, SiteState::Ready]);
    assert!(
        client
            .order(&Request::Pause { site: Some(1) })
            .unwrap_err()
            .what
            .contains("has ended")
    );
    assert_eq!(
        client.order(&Request::Kill { site: 9 }).unwrap_err().status,
        Status::Usage
    );
    client.order(&Request::Down).unwrap();
    let alive = Arc::clone(&test.alive);
    assert_eq!(test.end(), Ok(0));
    assert!(!alive.load(Ordering::SeqCst), "a machine was left running");
}

#[test]
fn logs_are_merged_and_followed_to_the_end() {
    let test = start(Manner::Good, |_, _| {});
    test.up();
    let mut client = test.client();
    client
        .send(
            &Request::Logs {
                site: None,
                tail: None,
                follow: true,
            },
            &[],
        )
        .unwrap();
    let Answer::Line { line } = client.receive().unwrap() else {
        panic!()
    };
    assert_eq!((line.seq, line.site, line.text.as_str()), (0, 1, "boots"));
    test.interrupt.ask();
    while client.receive().unwrap() != Answer::Done {}
    assert_eq!(test.end(), Ok(0));
}

#[test]
fn exec_takes_an_image_and_gives_output_and_status() {
    let test = start(Manner::Good, |_, _| {});
    let mut client = test.up();
    let image = std::fs::read(test._folder.path().join("nucleus")).unwrap();
    let mut exec = Exec {
        sites: vec![2],
        name: "a".into(),
        builtin: None,
        size: image.len() as u64,
        kind: Kind::User,
        priority: 1,
        args: vec!["7".into()],
        replaces: None,
        wait: true,
    };
    client.send(&Request::Exec(exec.clone()), &image).unwrap();
    let Answer::Line { line } = client.receive().unwrap() else {
        panic!()
    };
    assert_eq!(
        (line.site, line.text),
        (2, format!("{} bytes", image.len()))
    );
    let Answer::Ended { ends } = client.receive().unwrap() else {
        panic!()
    };
    assert_eq!(execute::status_of(&ends), Ok(7));
    exec.size = 3;
    client.send(&Request::Exec(exec), b"\x7fEL").unwrap();
    assert_eq!(client.receive().unwrap_err().status, Status::BadFile);
    client.order(&Request::Down).unwrap();
    drop(client);
    assert_eq!(test.end(), Ok(0));
}

#[test]
fn a_console_carries_bytes_both_ways() {
    use std::io::{Read, Write};
    let test = start(Manner::Good, |_, _| {});
    let mut client = test.up();
    assert_eq!(
        client.ask(&Request::Console { site: 1 }).unwrap(),
        Answer::Attached
    );
    let (mut stream, ahead) = client.into_stream();
    stream.write_all(b"echo\n").unwrap();
    let mut seen = ahead;
    while !String::from_utf8_lossy(&seen).contains("echo") {
        let mut bytes = [0; 256];
        let count = stream.read(&mut bytes).unwrap();
        assert!(count > 0, "the console ended");
        seen.extend_from_slice(&bytes[..count]);
    }
    drop(stream);
    test.interrupt.ask();
    assert_eq!(test.end(), Ok(0));
}

#[test]
fn a_run_ends_with_its_actors_status() {
    let ended = |arg: &str| {
        let test = start(Manner::Good, |plan, folder| {
            plan.until_ended = true;
            actor(plan, folder, arg);
        });
        test.end()
    };
    assert_eq!(ended("0"), Ok(0));
    assert_eq!(ended("42"), Ok(42));
}

#[test]
fn what_takes_too_long_is_given_up() {
    let test = start(Manner::Silent, |plan, _| plan.join_timeout = 0.2);
    let failure = test.end().unwrap_err();
    assert_eq!(failure.status, Status::Timeout);
    assert!(failure.what.contains("s1, s2"), "{failure}");
    let test = start(Manner::Good, |plan, folder| {
        plan.until_ended = true;
        plan.run_timeout = Some(0.3);
        actor(plan, folder, "never");
    });
    assert_eq!(test.end().unwrap_err().status, Status::Timeout);
}

#[test]
fn a_site_that_panics_fails_the_start_and_ctrl_c_ends_it() {
    let failure = start(Manner::Panics, |_, _| {}).end().unwrap_err();
    assert_eq!(failure.status, Status::Guest);
    assert!(failure.what.contains("panicked"), "{failure}");
    let test = start(Manner::Silent, |_, _| {});
    test.client();
    test.interrupt.ask();
    assert_eq!(test.end().unwrap_err().status, Status::Interrupted);
}

#[test]
fn nonsense_on_the_socket_harms_nobody() {
    use std::io::{Read, Write};
    let test = start(Manner::Good, |_, _| {});
    test.up();
    for bytes in [
        &b"\n"[..],
        b"{}\n",
        b"{\"chorus\":99}\n",
        b"{\"chorus\":1}\n{\"request\":\"fly\"}\n",
        &[0xff; 5000],
    ] {
        let mut stream = std::os::unix::net::UnixStream::connect(test.runtime.socket()).unwrap();
        stream.write_all(bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
    }
    assert_eq!(states(&mut test.client()), [SiteState::Ready; 2]);
    test.interrupt.ask();
    assert_eq!(test.end(), Ok(0));
}
