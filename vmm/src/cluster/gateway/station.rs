//! The gateway's end of the network: an endpoint of the transport on a port of the fabric.
//!
//! One thread owns the state machine. It is told of frames, of calls that this process makes, and of the time; requests of other sites go to
//! [`Services`] as they come, and their answers go back in the same turn or later by [`Calls::reply`].

use super::{Annex, Calls, Request, Services};
use crate::cluster::failure::{Failure, Outcome};
use crate::fabric::HostPort;
use chorus_abi::error::K_OK;
use chorus_abi::machine::site_of_mac;
use chorus_abi::net::{KnNetItem, NET_CALL, NET_CANCEL, NET_REPLY, NET_SEND};
use chorus_abi::{
    GATEWAY_SITE, KError, KnUniqueId, STAMP_CONSOLE, STAMP_CONTROL, STAMP_FILES, STAMP_PAGES,
};
use chorus_transport::{Config, Endpoint, Event, Seal, Site, Trust};
use std::collections::{HashMap, VecDeque};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Waits of the thread when nothing has a time.
const IDLE: Duration = Duration::from_secs(3600);
/// Frames that wait for the thread.
const ROOM: usize = 4096;
/// Calls of this process at once.
const CALLS: usize = 1024;

type Reply = Result<(Annex, Vec<u8>), KError>;

#[derive(Default)]
struct Desk {
    /// Items for the endpoint, oldest first.
    items: VecDeque<(KnNetItem, Vec<u8>)>,
    /// Who waits for the call of a handle.
    waiting: HashMap<u64, SyncSender<Reply>>,
    next_handle: u64,
    stop: bool,
}

/// The gateway on the fabric.
pub struct Station {
    desk: Mutex<Desk>,
    port: Arc<HostPort>,
}

/// A table whose every change is one insertion or removal is whole after a panic too.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Station {
    /// The port to be attached to the fabric under [`GATEWAY_SITE`]. Errors: no descriptors left.
    pub fn new() -> Outcome<Arc<Station>> {
        let port = HostPort::new(ROOM)
            .map_err(|error| Failure::host(format!("a port on the fabric: {error}")))?;
        let desk = Desk {
            next_handle: 1,
            ..Desk::default()
        };
        Ok(Arc::new(Station {
            desk: Mutex::new(desk),
            port,
        }))
    }

    /// Its port.
    pub fn port(&self) -> Arc<HostPort> {
        self.port.clone()
    }

    /// Starts the thread that serves, with the key of the cluster's frames, if they are sealed, and what the sites may speak for. Errors: no thread could be made.
    pub fn start(
        self: &Arc<Self>,
        services: Arc<Services>,
        seed: u64,
        key: Option<[u8; 32]>,
        domains: &str,
    ) -> Outcome<()> {
        let mut config = Config::new(GATEWAY_SITE, 1);
        config.seed = seed;
        // Whoever runs the machines knows which of them run; it believes what the sites say of each other.
        config.period = 0;
        config.seal = key.map(|key| Seal::new(key, 1));
        config.trust = Trust::parse(domains)
            .map_err(|_| Failure::failed(format!("not a list of sites and domains: {domains}")))?;
        let endpoint = Endpoint::new(config)
            .map_err(|error| Failure::failed(format!("the gateway's endpoint: {error:?}")))?;
        let station = self.clone();
        std::thread::Builder::new()
            .name("gateway".into())
            .spawn(move || station.serve(endpoint, &services))
            .map_err(|error| Failure::host(format!("a thread for the gateway: {error}")))?;
        Ok(())
    }

    /// Ends the thread; calls that wait fail.
    pub fn stop(&self) {
        lock(&self.desk).stop = true;
        self.port.wake();
    }

    fn serve(&self, mut endpoint: Endpoint, services: &Services) {
        let start = Instant::now();
        let now = || u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let mut turn = Turn {
            station: self,
            services,
            from: 0,
        };
        endpoint.on_event(now(), Event::Start, &mut turn);
        loop {
            let limit = endpoint
                .next_deadline()
                .map_or(IDLE, |due| Duration::from_nanos(due.saturating_sub(now())));
            let frame = self.port.receive_within(limit);
            if lock(&self.desk).stop {
                lock(&self.desk).waiting.clear();
                return;
            }
            match frame.filter(|frame| !frame.is_empty()) {
                Some(frame) => {
                    turn.from = sender(&frame);
                    endpoint.on_event(now(), Event::Frame(&frame), &mut turn);
                }
                None => endpoint.on_event(now(), Event::Timer, &mut turn),
            }
            if let Some(above) = endpoint.is_over()
                && endpoint.renew(now(), above + 1, &mut turn).is_err()
            {
                // All numbers are used up: nothing that it says is heard any more.
                lock(&self.desk).waiting.clear();
                return;
            }
            loop {
                let next = lock(&self.desk).items.pop_front();
                let Some((item, body)) = next else { break };
                endpoint.on_event(now(), Event::Item(&item, &body), &mut turn);
            }
        }
    }

    fn hand_over(&self, item: KnNetItem, body: &[u8]) {
        lock(&self.desk).items.push_back((item, body.to_vec()));
    }
}

/// Site that a frame comes from; the fabric lets no frame pass that names another.
fn sender(frame: &[u8]) -> u16 {
    frame
        .get(6..12)
        .and_then(|mac| mac.try_into().ok())
        .and_then(site_of_mac)
        .unwrap_or(0)
}

/// What the endpoint acts on while it handles one event.
struct Turn<'a> {
    station: &'a Station,
    services: &'a Services,
    from: u16,
}

impl Site for Turn<'_> {
    fn transmit(&mut self, frame: &[u8]) {
        self.station.port.send(frame.to_vec());
    }

    fn deliver(&mut self, item: &KnNetItem, body: &[u8]) -> i32 {
        match item.kind {
            NET_CANCEL => self.services.cancel(item.handle),
            NET_SEND | NET_CALL if self.query(item.target).is_some() => {
                let (site, stamp) = (self.from, item.target.counter());
                let request = Request {
                    site,
                    stamp,
                    annex: &item.annex,
                    body,
                    token: item.handle,
                };
                let answer = self.services.serve(request);
                if let (NET_CALL, Some((annex, body))) = (item.kind, answer) {
                    self.station
                        .hand_over(reply(item.handle, &annex, &body), &body);
                }
            }
            _ => return KError::Unknown.code(),
        }
        K_OK
    }

    fn complete(&mut self, item: &KnNetItem, body: &[u8]) {
        // A client whose time was over has left.
        if let Some(client) = lock(&self.station.desk).waiting.remove(&item.handle) {
            let outcome = match KError::from_code(item.result) {
                Some(error) => Err(error),
                None => Ok((item.annex, body.to_vec())),
            };
            let _ = client.try_send(outcome);
        }
    }

    fn query(&mut self, ui: KnUniqueId) -> Option<u32> {
        [STAMP_CONSOLE, STAMP_FILES, STAMP_CONTROL, STAMP_PAGES]
            .iter()
            .any(|&stamp| ui == KnUniqueId::well_known_port(GATEWAY_SITE, stamp))
            .then_some(0)
    }
}

fn reply(token: u64, annex: &Annex, body: &[u8]) -> KnNetItem {
    KnNetItem {
        kind: NET_REPLY,
        handle: token,
        body_size: body.len() as u32,
        annex_size: annex.len() as u32,
        annex: *annex,
        ..KnNetItem::default()
    }
}

impl Calls for Station {
    fn call(&self, target: KnUniqueId, annex: &Annex, body: &[u8], limit: Duration) -> Reply {
        let (client, answer) = sync_channel(1);
        let handle = {
            let mut desk = lock(&self.desk);
            if desk.stop || desk.waiting.len() >= CALLS {
                return Err(KError::Full);
            }
            let handle = desk.next_handle;
            desk.next_handle += 1;
            desk.waiting.insert(handle, client);
            let item = KnNetItem {
                kind: NET_CALL,
                handle,
                target,
                src_port: KnUniqueId::well_known_port(GATEWAY_SITE, STAMP_CONTROL),
                body_size: body.len() as u32,
                annex_size: annex.len() as u32,
                annex: *annex,
                ..KnNetItem::default()
            };
            desk.items.push_back((item, body.to_vec()));
            handle
        };
        self.port.wake();
        match answer.recv_timeout(limit) {
            Ok(outcome) => outcome,
            Err(RecvTimeoutError::Disconnected) => Err(KError::Abort),
            Err(RecvTimeoutError::Timeout) => {
                lock(&self.desk).waiting.remove(&handle);
                self.hand_over(
                    KnNetItem {
                        kind: NET_CANCEL,
                        handle,
                        ..KnNetItem::default()
                    },
                    &[],
                );
                self.port.wake();
                Err(KError::Timeout)
            }
        }
    }

    fn reply(&self, token: u64, annex: &Annex, body: &[u8]) {
        self.hand_over(reply(token, annex, body), body);
        self.port.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::gateway::Listener;
    use crate::cluster::log::Log;
    use crate::fabric::Switch;
    use chorus_abi::services::{Answer, CONTROL_JOINED, ControlNotice};

    struct Joined(SyncSender<u16>);
    impl Listener for Joined {
        fn joined(&self, site: u16) {
            let _ = self.0.try_send(site);
        }
    }

    /// A site with one port that answers with the request's body reversed, and that calls the gateway once.
    struct Guest {
        port: Arc<HostPort>,
        items: Vec<(KnNetItem, Vec<u8>)>,
        done: Option<(i32, Answer)>,
    }
    const SERVER: KnUniqueId = KnUniqueId::well_known_port(1, 16);

    impl Site for Guest {
        fn transmit(&mut self, frame: &[u8]) {
            self.port.send(frame.to_vec());
        }
        fn deliver(&mut self, item: &KnNetItem, body: &[u8]) -> i32 {
            if item.kind == NET_CALL {
                let body: Vec<u8> = body.iter().rev().copied().collect();
                self.items
                    .push((reply(item.handle, &item.annex, &body), body));
            }
            K_OK
        }
        fn complete(&mut self, item: &KnNetItem, _: &[u8]) {
            self.done = Some((item.result, Answer::from_annex(&item.annex)));
        }
        fn query(&mut self, ui: KnUniqueId) -> Option<u32> {
            (ui == SERVER).then_some(0)
        }
    }

    fn guest(port: Arc<HostPort>, rounds: usize) -> Option<(i32, Answer)> {
        let mut config = Config::new(1, 1);
        config.seal = Some(Seal::new([5; 32], 1));
        let mut endpoint = Endpoint::new(config).unwrap();
        let mut guest = Guest {
            port,
            items: Vec::new(),
            done: None,
        };
        let start = Instant::now();
        let now = || start.elapsed().as_nanos() as u64;
        endpoint.on_event(now(), Event::Start, &mut guest);
        let notice = ControlNotice {
            service: CONTROL_JOINED,
            site: 77,
            ..ControlNotice::default()
        };
        let call = KnNetItem {
            kind: NET_CALL,
            handle: 5,
            target: KnUniqueId::well_known_port(GATEWAY_SITE, STAMP_CONTROL),
            src_port: SERVER,
            annex_size: 64,
            annex: notice.to_annex(),
            ..KnNetItem::default()
        };
        endpoint.on_event(now(), Event::Item(&call, &[]), &mut guest);
        let mut replied = 0;
        while start.elapsed() < Duration::from_secs(20)
            && (guest.done.is_none() || replied < rounds)
        {
            let frame = guest.port.receive_within(Duration::from_millis(5));
            match &frame {
                Some(frame) => endpoint.on_event(now(), Event::Frame(frame), &mut guest),
                None => endpoint.on_event(now(), Event::Timer, &mut guest),
            }
            for (item, body) in std::mem::take(&mut guest.items) {
                replied += 1;
                endpoint.on_event(now(), Event::Item(&item, &body), &mut guest);
            }
        }
        // The last replies may have to be sent again.
        let end = Instant::now() + Duration::from_secs(2);
        while Instant::now() < end {
            match guest.port.receive_within(Duration::from_millis(5)) {
                Some(frame) => endpoint.on_event(now(), Event::Frame(&frame), &mut guest),
                None => endpoint.on_event(now(), Event::Timer, &mut guest),
            }
        }
        guest.done
    }

    #[test]
    fn calls_go_both_ways_over_the_fabric() {
        let (joined, heard) = sync_channel(4);
        let services = Arc::new(Services::new(
            Arc::new(Log::new(Default::default(), None)),
            Box::new(Joined(joined)),
        ));
        let fabric = Switch::perfect(2).unwrap();
        let station = Station::new().unwrap();
        fabric.attach(GATEWAY_SITE, station.port()).unwrap();
        station.start(services, 1, Some([5; 32]), "").unwrap();
        let port = HostPort::new(1024).unwrap();
        fabric.attach(1, port.clone()).unwrap();
        let site = std::thread::spawn(move || guest(port, 3));
        for size in [0, 100, 65_536] {
            let body: Vec<u8> = (0..size).map(|index| index as u8).collect();
            let (annex, answer) = station
                .call(SERVER, &[9; 64], &body, Duration::from_secs(10))
                .unwrap();
            assert_eq!((annex, answer.len()), ([9; 64], size));
            assert!(answer.iter().rev().eq(body.iter()));
        }
        let nowhere = KnUniqueId::well_known_port(2, 16);
        assert_eq!(
            station.call(nowhere, &[0; 64], &[], Duration::from_secs(10)),
            Err(KError::Unknown)
        );
        let (result, _) = site.join().unwrap().unwrap();
        assert_eq!(result, K_OK);
        assert_eq!(
            heard.recv_timeout(Duration::from_secs(5)),
            Ok(1),
            "the frame's site is believed, not the message's"
        );
        station.stop();
    }
}
