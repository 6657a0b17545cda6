//! The switch: who is where, and the worker that moves frames.

use super::{FRAME_MAX, FRAME_MIN, Pieces, Traffic};
use chorus_abi::GATEWAY_SITE;
use chorus_abi::machine::site_of_mac;
use chorus_abi::ui::EPOCH_MAX;
use chorus_fabric::{Fabric, Graph, Landing, Meta, Rules, To};
use chorus_transport::frame;
use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{AsRawFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use vm_memory::VolatileSlice;
use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};
use vmm_sys_util::timerfd::TimerFd;

/// Frames that are taken from a station before others have their turn.
pub const BATCH: usize = 64;
/// Frames that wait for a receiver without room.
const PENDING: usize = 256;
/// Frames that are on the way on links with delay, in all.
pub const FLYING: usize = 16_384;

/// A station on the fabric: the network device of a site, or a port of the host.
pub trait Station: Send + Sync {
    /// Gives up to `limit` frames that it wants to send; returns how many it gave.
    fn transmit(&self, limit: usize, give: &mut dyn FnMut(Pieces<'_>)) -> usize;
    /// Takes a frame; `false` when it has no room now.
    fn receive(&self, frame: Pieces<'_>) -> bool;
    /// Makes what was transmitted and received known to the station's owner.
    fn publish(&self);
    /// Rings when there is something to transmit, or room to receive again.
    fn doorbell(&self) -> &EventFd;
}

struct Seat {
    station: Arc<dyn Station>,
    pending: VecDeque<Vec<u8>>,
    traffic: Traffic,
    touched: bool,
}

/// A frame that is on its way.
pub type Kept = Arc<[u8]>;

struct State {
    seats: BTreeMap<u16, Seat>,
    /// The highest incarnation that each site ever named as its own.
    incarnations: BTreeMap<u16, u16>,
    fabric: Fabric<Kept>,
    /// When the fabric's time began.
    began: Instant,
    scratch: Vec<u8>,
}

struct Shared {
    state: Mutex<State>,
    epoll: Epoll,
    wake: EventFd,
    stop: AtomicBool,
}

/// The switch of a cluster. Dropping it ends its worker.
pub struct Switch {
    shared: Arc<Shared>,
    worker: Option<JoinHandle<()>>,
}

/// A worker that panicked has lost a frame at worst: the tables are whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const WAKE: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;

/// The fabric of a cluster over a graph: the gateway is joined with everyone.
pub fn fabric(seed: u64, graph: Graph, rules: Rules) -> Fabric<Kept> {
    Fabric::new(seed, graph, rules, [GATEWAY_SITE], FLYING)
}

impl Switch {
    /// A switch without stations that joins `sites` sites by links without faults. Errors: as [`Switch::new`].
    pub fn perfect(sites: u16) -> std::io::Result<Self> {
        Self::new(fabric(0, Graph::Full { sites }, Rules::default()))
    }

    /// A switch without stations. Errors: the process has no descriptors or threads left.
    pub fn new(fabric: Fabric<Kept>) -> std::io::Result<Self> {
        let wake = EventFd::new(EFD_NONBLOCK)?;
        let epoll = Epoll::new()?;
        let mut timer = TimerFd::new()?;
        for (descriptor, data) in [(wake.as_raw_fd(), WAKE), (timer.as_raw_fd(), TIMER)] {
            let event = EpollEvent::new(EventSet::IN, data);
            epoll.ctl(ControlOperation::Add, descriptor, event)?;
        }
        let state = State {
            seats: BTreeMap::new(),
            incarnations: BTreeMap::new(),
            fabric,
            began: Instant::now(),
            scratch: Vec::new(),
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            epoll,
            wake,
            stop: AtomicBool::new(false),
        });
        let worker = std::thread::Builder::new()
            .name("fabric".into())
            .stack_size(256 << 10)
            .spawn({
                let shared = shared.clone();
                move || {
                    // A panic in here is a defect of ours and is printed; it costs the frames of one turn, not the network.
                    let mut turn = || work(&shared, &mut timer);
                    while catch_unwind(AssertUnwindSafe(&mut turn)).is_err() {
                        // Doorbells that were read before the panic are looked after again.
                        let _ = shared.wake.write(1);
                    }
                }
            })?;
        Ok(Switch {
            shared,
            worker: Some(worker),
        })
    }

    /// Gives a site its seat; what sat there before has left.
    pub fn attach(&self, site: u16, station: Arc<dyn Station>) -> std::io::Result<()> {
        self.detach(site);
        let doorbell = station.doorbell().as_raw_fd();
        let seat = Seat {
            station,
            pending: VecDeque::new(),
            traffic: Traffic::default(),
            touched: false,
        };
        lock(&self.shared.state).seats.insert(site, seat);
        let event = EpollEvent::new(EventSet::IN, u64::from(site));
        self.shared
            .epoll
            .ctl(ControlOperation::Add, doorbell, event)?;
        // What was to be sent before the seat was taken is not forgotten.
        self.shared.wake.write(1)
    }

    /// Takes a site off the fabric.
    pub fn detach(&self, site: u16) {
        if let Some(seat) = lock(&self.shared.state).seats.remove(&site) {
            self.unwatch(seat.station.doorbell().as_raw_fd());
        }
    }

    fn unwatch(&self, doorbell: RawFd) {
        // It fails only when the descriptor is not watched.
        let _ = self
            .shared
            .epoll
            .ctl(ControlOperation::Delete, doorbell, EpollEvent::default());
    }

    /// Counters of a site's seat.
    pub fn traffic(&self, site: u16) -> Option<Traffic> {
        let state = lock(&self.shared.state);
        let seat = state.seats.get(&site)?;
        Some(Traffic {
            dropped_link: state.fabric.lost_of(site),
            ..seat.traffic
        })
    }

    /// The highest incarnation in which a site ever sent a frame; 0: it sent none. Sites count on by themselves when others held them for down, and no frame leaves a
    /// site by another way: one that is to start again with a higher number than this has none that was used before.
    pub fn incarnation(&self, site: u16) -> u16 {
        let state = lock(&self.shared.state);
        state.incarnations.get(&site).copied().unwrap_or(0)
    }

    /// Looks at the fabric, or changes what holds for its links; frames that are on their way go on under what holds then.
    pub fn fabric<T>(&self, with: impl FnOnce(&mut Fabric<Kept>) -> T) -> T {
        with(&mut lock(&self.shared.state).fabric)
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        let _ = self.shared.wake.write(1);
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}

fn work(shared: &Shared, timer: &mut TimerFd) {
    let mut events = vec![EpollEvent::default(); 64];
    let mut busy = Vec::new();
    loop {
        let mut timeout = if busy.is_empty() { -1 } else { 0 };
        if timeout < 0
            && let Some(wait) = lock(&shared.state).next_due()
        {
            // The timer counts nanoseconds, which epoll does not. Zero would turn it off.
            let wait = wait.max(Duration::from_nanos(1));
            if timer.reset(wait, None).is_err() {
                timeout = i32::try_from(wait.as_millis() + 1).unwrap_or(i32::MAX);
            }
        }
        let count = shared.epoll.wait(timeout, &mut events).unwrap_or(0);
        if shared.stop.load(Ordering::Acquire) {
            return;
        }
        let mut state = lock(&shared.state);
        for event in &events[..count] {
            match event.data() {
                WAKE => {
                    let _ = shared.wake.read();
                    busy.extend(state.seats.keys().copied());
                }
                TIMER => {
                    // It rang, so this does not wait.
                    let _ = timer.wait();
                }
                site => {
                    if let Some(seat) = state.seats.get(&(site as u16)) {
                        let _ = seat.station.doorbell().read();
                        busy.push(site as u16);
                    }
                }
            }
        }
        busy.sort_unstable();
        busy.dedup();
        state.land();
        let turn = std::mem::take(&mut busy);
        for site in turn {
            state.settle(site);
            if state.drain(site) == BATCH {
                busy.push(site);
            }
        }
        state.publish();
    }
}

impl State {
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn next_due(&self) -> Option<Duration> {
        let due = self.fabric.next_due()?;
        Some(Duration::from_nanos(due.saturating_sub(self.now())))
    }

    /// Lets the frames that are on their way come as far as they are by now.
    fn land(&mut self) {
        let now = self.now();
        let (seats, scratch) = (&mut self.seats, &mut self.scratch);
        self.fabric.advance(now, &mut |landing| {
            arrive(seats, scratch, &landing, &[]);
        });
    }

    /// Gives a station what waits for it, oldest first.
    fn settle(&mut self, site: u16) {
        let Some(seat) = self.seats.get_mut(&site) else {
            return;
        };
        while let Some(frame) = seat.pending.front_mut() {
            let size = frame.len() as u64;
            if !seat
                .station
                .receive(&[VolatileSlice::from(frame.as_mut_slice())])
            {
                break;
            }
            seat.pending.pop_front();
            seat.traffic.received += 1;
            seat.traffic.received_bytes += size;
            seat.touched = true;
        }
    }

    /// Takes a batch from a station and sends it on its ways; returns how many frames it was.
    fn drain(&mut self, site: u16) -> usize {
        let Some(station) = self.seats.get(&site).map(|seat| seat.station.clone()) else {
            return 0;
        };
        let count = station.transmit(BATCH, &mut |frame| self.route(site, frame));
        if let Some(seat) = self.seats.get_mut(&site) {
            seat.touched |= count > 0;
        }
        count
    }

    fn route(&mut self, from: u16, frame: Pieces<'_>) {
        let size: usize = frame.iter().map(VolatileSlice::len).sum();
        let mut header = [0; frame::PEEK];
        gather(frame, &mut header);
        let [mut address, mut source] = [[0; 6]; 2];
        address.copy_from_slice(&header[..6]);
        source.copy_from_slice(&header[6..12]);
        // A site speaks for itself only: what a frame says about its sender can be believed.
        let honest = site_of_mac(source) == Some(from) && (FRAME_MIN..=FRAME_MAX).contains(&size);
        let to = match address[0] & 1 {
            1 => Some(To::All),
            _ => site_of_mac(address)
                .filter(|site| *site != from && self.seats.contains_key(site))
                .map(To::Site),
        };
        let to = to.filter(|_| honest);
        if let Some(seat) = self.seats.get_mut(&from) {
            seat.traffic.sent += 1;
            seat.traffic.sent_bytes += size as u64;
            seat.traffic.dropped_address += u64::from(to.is_none());
        }
        let peek = frame::peek(&header);
        if let Some(peek) = peek.filter(|peek| honest && peek.incarnation <= EPOCH_MAX) {
            let known = self.incarnations.entry(from).or_default();
            *known = peek.incarnation.max(*known);
        }
        let Some(to) = to else { return };
        let meta = Meta {
            from,
            to,
            size,
            kind: peek.map_or(0, |peek| peek.kind),
        };
        let now = self.now();
        let (seats, scratch) = (&mut self.seats, &mut self.scratch);
        let mut keep = || Arc::from(collect(frame, Vec::new()));
        self.fabric.send(now, meta, &mut keep, &mut |landing| {
            arrive(seats, scratch, &landing, frame);
        });
    }

    fn publish(&mut self) {
        for seat in self.seats.values_mut().filter(|seat| seat.touched) {
            seat.station.publish();
            seat.touched = false;
        }
    }
}

/// A frame has come to a site, if anybody sits there: what was kept of it, or else the one at hand.
fn arrive(
    seats: &mut BTreeMap<u16, Seat>,
    scratch: &mut Vec<u8>,
    landing: &Landing<'_, Kept>,
    at_hand: Pieces<'_>,
) {
    let Some(seat) = seats.get_mut(&landing.to) else {
        return;
    };
    if landing.kept.is_none() && landing.flipped.is_empty() {
        return seat.take(scratch, at_hand);
    }
    let mut bytes = match landing.kept {
        Some(kept) => kept.to_vec(),
        None => collect(at_hand, Vec::new()),
    };
    let bits = bytes.len() as u64 * 8;
    for bit in landing.flipped.iter().map(|bit| bit % bits.max(1)) {
        if let Some(byte) = bytes.get_mut((bit / 8) as usize) {
            *byte ^= 1 << (bit % 8);
        }
    }
    seat.take(scratch, &[VolatileSlice::from(bytes.as_mut_slice())]);
}

impl Seat {
    fn take(&mut self, scratch: &mut Vec<u8>, frame: Pieces<'_>) {
        let size: usize = frame.iter().map(VolatileSlice::len).sum();
        if self.pending.is_empty() && self.station.receive(frame) {
            self.traffic.received += 1;
            self.traffic.received_bytes += size as u64;
            self.touched = true;
        } else if self.pending.len() < PENDING {
            self.pending
                .push_back(collect(frame, std::mem::take(scratch)));
        } else {
            self.traffic.dropped_full += 1;
        }
    }
}

/// Copies the beginning of a frame.
pub fn gather(frame: Pieces<'_>, bytes: &mut [u8]) -> usize {
    let mut done = 0;
    for piece in frame {
        if done == bytes.len() {
            break;
        }
        done += piece.copy_to(&mut bytes[done..]);
    }
    done
}

/// The whole frame as bytes.
pub fn collect(frame: Pieces<'_>, mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.clear();
    bytes.resize(frame.iter().map(VolatileSlice::len).sum(), 0);
    gather(frame, &mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::super::HostPort;
    use super::*;
    use chorus_abi::machine::mac_of_site;
    use chorus_fabric::{Action, Fault, Parameters, Shape};

    fn frame(to: [u8; 6], from: u16, body: &[u8]) -> Vec<u8> {
        [&to[..], &mac_of_site(from), &[0x88, 0xB5], body].concat()
    }

    fn ports(switch: &Switch, sites: u16) -> Vec<Arc<HostPort>> {
        let port = |site| {
            let port = HostPort::new(1024).unwrap();
            switch.attach(site, port.clone()).unwrap();
            port
        };
        (1..=sites).map(port).collect()
    }

    fn perfect(sites: u16) -> (Switch, Vec<Arc<HostPort>>) {
        let switch = Switch::perfect(sites).unwrap();
        let ports = ports(&switch, sites);
        (switch, ports)
    }

    const SOON: Duration = Duration::from_secs(10);
    const NOT: Duration = Duration::from_millis(50);

    #[test]
    fn unicast_reaches_one_and_broadcast_all_others() {
        let (fabric, ports) = perfect(3);
        let one = frame(mac_of_site(2), 1, b"one");
        ports[0].send(one.clone());
        assert_eq!(ports[1].receive_within(SOON), Some(one));
        let all = frame([0xff; 6], 3, b"all");
        ports[2].send(all.clone());
        assert_eq!(ports[0].receive_within(SOON), Some(all.clone()));
        assert_eq!(ports[1].receive_within(SOON), Some(all));
        assert_eq!(ports[2].receive_within(NOT), None);
        assert_eq!(fabric.traffic(1).unwrap().sent, 1);
        assert_eq!(fabric.traffic(2).unwrap().received, 2);
    }

    #[test]
    fn frames_to_nowhere_and_of_no_length_are_counted() {
        let (fabric, ports) = perfect(2);
        ports[0].send(frame(mac_of_site(77), 1, b"?"));
        ports[0].send(vec![1, 2, 3]);
        ports[0].send(vec![0; FRAME_MAX + 1]);
        ports[0].send(frame(mac_of_site(2), 3, b"not from 3"));
        ports[0].send(frame(mac_of_site(2), 1, b"end"));
        assert!(ports[1].receive_within(SOON).is_some());
        assert_eq!(fabric.traffic(1).unwrap().dropped_address, 4);
    }

    #[test]
    fn a_delayed_frame_comes_later_and_in_order() {
        let delay = Duration::from_millis(30);
        let latency = delay.as_nanos() as u64;
        let link = Parameters {
            latency,
            ..Parameters::PERFECT
        };
        let rules = Rules::new(link, []);
        let switch = Switch::new(super::fabric(1, Graph::Full { sites: 2 }, rules)).unwrap();
        let ports = ports(&switch, 2);
        let start = Instant::now();
        for number in 0..5 {
            ports[0].send(frame(mac_of_site(2), 1, &[number]));
        }
        for number in 0..5 {
            let got = ports[1].receive_within(SOON).unwrap();
            assert_eq!(got.last(), Some(&number));
        }
        assert!(start.elapsed() >= delay);
    }

    /// A station that panics at its first frame.
    struct Defect(EventFd, AtomicBool);
    impl Station for Defect {
        fn transmit(&self, _: usize, _: &mut dyn FnMut(Pieces<'_>)) -> usize {
            0
        }
        fn receive(&self, _: Pieces<'_>) -> bool {
            assert!(
                self.1.swap(true, Ordering::Relaxed),
                "a defect, for the test"
            );
            true
        }
        fn publish(&self) {}
        fn doorbell(&self) -> &EventFd {
            &self.0
        }
    }

    #[test]
    fn a_panic_of_the_worker_does_not_end_the_network() {
        let (fabric, ports) = perfect(2);
        let defect = Defect(EventFd::new(EFD_NONBLOCK).unwrap(), AtomicBool::new(false));
        fabric.attach(3, Arc::new(defect)).unwrap();
        ports[0].send(frame(mac_of_site(3), 1, b"boom"));
        let after = frame(mac_of_site(2), 1, b"after");
        ports[0].send(after.clone());
        assert_eq!(ports[1].receive_within(SOON), Some(after));
    }

    #[test]
    fn a_slow_receiver_loses_what_does_not_fit_and_nothing_else() {
        let fabric = Switch::perfect(2).unwrap();
        let (fast, slow) = (HostPort::new(1024).unwrap(), HostPort::new(4).unwrap());
        fabric.attach(1, fast.clone()).unwrap();
        fabric.attach(2, slow.clone()).unwrap();
        let sent = PENDING + 4 + 50;
        for number in 0..sent {
            fast.send(frame(mac_of_site(2), 1, &(number as u32).to_le_bytes()));
        }
        while fabric.traffic(1).unwrap().sent < sent as u64 {
            std::thread::yield_now();
        }
        for number in 0..PENDING + 4 {
            let got = slow.receive_within(SOON).unwrap();
            assert_eq!(got[14..], (number as u32).to_le_bytes());
        }
        assert_eq!(slow.receive_within(NOT), None);
        assert_eq!(fabric.traffic(2).unwrap().dropped_full, 50);
    }

    #[test]
    fn frames_go_hop_by_hop_and_a_script_turns_a_bit() {
        let graph = Shape::Line.graph(3, 1).unwrap();
        let slow = Parameters {
            latency: 5_000_000,
            ..Parameters::PERFECT
        };
        let switch = Switch::new(super::fabric(1, graph, Rules::new(slow, []))).unwrap();
        let ports = ports(&switch, 3);
        switch.fabric(|fabric| {
            fabric.script(Fault {
                from: Some(1),
                to: Some(3),
                kind: None,
                nth: 2,
                action: Action::Corrupt(14 * 8),
            });
        });
        let start = Instant::now();
        let sent = frame(mac_of_site(3), 1, b"one");
        ports[0].send(sent.clone());
        assert_eq!(ports[2].receive_within(SOON), Some(sent.clone()));
        assert!(start.elapsed() >= Duration::from_millis(10));
        ports[0].send(sent.clone());
        let mut turned = sent;
        turned[14] ^= 1;
        assert_eq!(ports[2].receive_within(SOON), Some(turned));
        assert_eq!(switch.fabric(|fabric| fabric.scripted()), (0, 1));
    }
}
