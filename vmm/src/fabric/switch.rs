//! The switch: who is where, and the worker that moves frames.

use super::link::{Links, Verdict};
use super::{FRAME_MAX, FRAME_MIN, Pieces, Traffic};
use chorus_abi::machine::site_of_mac;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::os::fd::{AsRawFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use vm_memory::VolatileSlice;
use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

/// Frames that are taken from a station before others have their turn.
pub const BATCH: usize = 64;
/// Frames that wait for a receiver without room.
const PENDING: usize = 256;
/// Frames that are on the way on links with delay, in all.
const FLYING: usize = 16_384;

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

/// A frame on a link with delay. The earliest is the greatest.
struct Flying {
    due: Instant,
    number: u64,
    to: u16,
    frame: Vec<u8>,
}
impl PartialEq for Flying {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}
impl Eq for Flying {}
impl PartialOrd for Flying {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Flying {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.due, other.number).cmp(&(self.due, self.number))
    }
}

struct State {
    seats: BTreeMap<u16, Seat>,
    links: Links,
    flying: BinaryHeap<Flying>,
    launched: u64,
    scratch: Vec<u8>,
}

struct Shared {
    state: Mutex<State>,
    epoll: Epoll,
    wake: EventFd,
    stop: AtomicBool,
}

/// The fabric of a cluster. Dropping it ends its worker.
pub struct Fabric {
    shared: Arc<Shared>,
    worker: Option<JoinHandle<()>>,
}

/// A worker that panicked has lost a frame at worst: the tables are whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const WAKE: u64 = u64::MAX;

impl Fabric {
    /// A fabric without stations. Errors: the process has no descriptors or threads left.
    pub fn new(links: Links) -> std::io::Result<Self> {
        let wake = EventFd::new(EFD_NONBLOCK)?;
        let epoll = Epoll::new()?;
        epoll.ctl(
            ControlOperation::Add,
            wake.as_raw_fd(),
            EpollEvent::new(EventSet::IN, WAKE),
        )?;
        let state = State {
            seats: BTreeMap::new(),
            links,
            flying: BinaryHeap::new(),
            launched: 0,
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
                    let turn = || work(&shared);
                    while catch_unwind(AssertUnwindSafe(turn)).is_err() {
                        // Doorbells that were read before the panic are looked after again.
                        let _ = shared.wake.write(1);
                    }
                }
            })?;
        Ok(Fabric {
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
        lock(&self.shared.state)
            .seats
            .get(&site)
            .map(|seat| seat.traffic)
    }
}

impl Drop for Fabric {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        let _ = self.shared.wake.write(1);
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}

fn work(shared: &Shared) {
    let mut events = vec![EpollEvent::default(); 64];
    let mut busy = Vec::new();
    loop {
        let timeout = match (busy.is_empty(), lock(&shared.state).next_due()) {
            (false, _) => 0,
            (true, None) => -1,
            (true, Some(wait)) => {
                i32::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(i32::MAX)
            }
        };
        let count = shared.epoll.wait(timeout, &mut events).unwrap_or(0);
        if shared.stop.load(Ordering::Acquire) {
            return;
        }
        let mut state = lock(&shared.state);
        for event in &events[..count] {
            if event.data() == WAKE {
                let _ = shared.wake.read();
                busy.extend(state.seats.keys().copied());
            } else if let Some(seat) = u16::try_from(event.data())
                .ok()
                .and_then(|site| state.seats.get(&site))
            {
                let _ = seat.station.doorbell().read();
                busy.push(event.data() as u16);
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
    fn next_due(&self) -> Option<Duration> {
        self.flying
            .peek()
            .map(|flying| flying.due.saturating_duration_since(Instant::now()))
    }

    /// Delivers the frames whose time on the link is over.
    fn land(&mut self) {
        let now = Instant::now();
        while self.flying.peek().is_some_and(|flying| flying.due <= now) {
            let Some(mut flying) = self.flying.pop() else {
                break;
            };
            self.arrive(
                flying.to,
                &[VolatileSlice::from(flying.frame.as_mut_slice())],
            );
        }
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
        let mut header = [0; 12];
        gather(frame, &mut header);
        let [mut address, mut source] = [[0; 6]; 2];
        address.copy_from_slice(&header[..6]);
        source.copy_from_slice(&header[6..]);
        // A site speaks for itself only: what a frame says about its sender can be believed.
        let honest = site_of_mac(source) == Some(from);
        let targets: Vec<u16> = if !honest || !(FRAME_MIN..=FRAME_MAX).contains(&size) {
            Vec::new()
        } else if address[0] & 1 == 1 {
            self.seats
                .keys()
                .copied()
                .filter(|&site| site != from)
                .collect()
        } else {
            site_of_mac(address)
                .filter(|site| *site != from && self.seats.contains_key(site))
                .into_iter()
                .collect()
        };
        if let Some(seat) = self.seats.get_mut(&from) {
            seat.traffic.sent += 1;
            seat.traffic.sent_bytes += size as u64;
            seat.traffic.dropped_address += u64::from(targets.is_empty());
        }
        for to in targets {
            match self.links.judge(from, to) {
                Verdict::Arrives(times, Duration::ZERO) => {
                    (0..times).for_each(|_| self.arrive(to, frame))
                }
                Verdict::Arrives(times, delay) => {
                    (0..times).for_each(|_| self.launch(to, frame, delay))
                }
                Verdict::Lost => self.count(from, |traffic| traffic.dropped_link += 1),
                Verdict::NoLink => self.count(from, |traffic| traffic.dropped_address += 1),
            }
        }
    }

    fn count(&mut self, site: u16, count: impl FnOnce(&mut Traffic)) {
        if let Some(seat) = self.seats.get_mut(&site) {
            count(&mut seat.traffic);
        }
    }

    fn launch(&mut self, to: u16, frame: Pieces<'_>, delay: Duration) {
        if self.flying.len() >= FLYING {
            return self.count(to, |traffic| traffic.dropped_full += 1);
        }
        self.launched += 1;
        let frame = collect(frame, Vec::new());
        self.flying.push(Flying {
            due: Instant::now() + delay,
            number: self.launched,
            to,
            frame,
        });
    }

    fn arrive(&mut self, to: u16, frame: Pieces<'_>) {
        let Some(seat) = self.seats.get_mut(&to) else {
            return;
        };
        let size: usize = frame.iter().map(VolatileSlice::len).sum();
        if seat.pending.is_empty() && seat.station.receive(frame) {
            seat.traffic.received += 1;
            seat.traffic.received_bytes += size as u64;
            seat.touched = true;
        } else if seat.pending.len() < PENDING {
            let frame = collect(frame, std::mem::take(&mut self.scratch));
            seat.pending.push_back(frame);
        } else {
            seat.traffic.dropped_full += 1;
        }
    }

    fn publish(&mut self) {
        for seat in self.seats.values_mut().filter(|seat| seat.touched) {
            seat.station.publish();
            seat.touched = false;
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
    use super::super::{HostPort, Link};
    use super::*;
    use chorus_abi::machine::mac_of_site;

    fn frame(to: [u8; 6], from: u16, body: &[u8]) -> Vec<u8> {
        [&to[..], &mac_of_site(from), &[0x88, 0xB5], body].concat()
    }

    fn fabric(links: Links, sites: &[u16]) -> (Fabric, Vec<Arc<HostPort>>) {
        let fabric = Fabric::new(links).unwrap();
        let ports: Vec<_> = sites.iter().map(|_| HostPort::new(1024).unwrap()).collect();
        for (site, port) in sites.iter().zip(&ports) {
            fabric.attach(*site, port.clone()).unwrap();
        }
        (fabric, ports)
    }

    const SOON: Duration = Duration::from_secs(10);
    const NOT: Duration = Duration::from_millis(50);

    #[test]
    fn unicast_reaches_one_and_broadcast_all_others() {
        let (fabric, ports) = fabric(Links::default(), &[1, 2, 3]);
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
        let (fabric, ports) = fabric(Links::default(), &[1, 2]);
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
        let (_fabric, ports) = fabric(
            Links::full(
                1,
                Link {
                    delay,
                    ..Link::default()
                },
            ),
            &[1, 2],
        );
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
        let (fabric, ports) = fabric(Links::default(), &[1, 2]);
        let defect = Defect(EventFd::new(EFD_NONBLOCK).unwrap(), AtomicBool::new(false));
        fabric.attach(3, Arc::new(defect)).unwrap();
        ports[0].send(frame(mac_of_site(3), 1, b"boom"));
        let after = frame(mac_of_site(2), 1, b"after");
        ports[0].send(after.clone());
        assert_eq!(ports[1].receive_within(SOON), Some(after));
    }

    #[test]
    fn a_slow_receiver_loses_what_does_not_fit_and_nothing_else() {
        let fabric = Fabric::new(Links::default()).unwrap();
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
}
