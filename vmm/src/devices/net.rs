//! The network device of a site: virtio-net on the fabric (virtio specification 1.2, section 5.1).
//!
//! Two queues, split rings, notifications by index both ways. As a [`Station`] of the fabric it lends its transmit descriptors as pieces of guest
//! memory, and copies what comes straight into its receive descriptors.

use super::virtio_mmio::{F_EVENT_IDX, F_INDIRECT, F_VERSION_1, INTERRUPT_USED, Registers};
use crate::fabric::{FRAME_MAX, Pieces, Station};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use virtio_queue::{DescriptorChain, Queue, QueueT};
use vm_memory::{GuestMemoryBackend, GuestMemoryMmap, VolatileSlice};
use vmm_sys_util::eventfd::EventFd;

const RECEIVE: usize = 0;
const TRANSMIT: usize = 1;
/// Entries of a queue at most.
const QUEUE_SIZE: u16 = 256;
/// Bytes of `virtio_net_hdr` in version 1.
const HEADER: usize = 12;
const F_MTU: u64 = 1 << 3;
const F_MAC: u64 = 1 << 5;
/// Largest frame without its Ethernet header, as the driver is told.
const MTU: u16 = 65_000;
const DEVICE_ID: u32 = 1;

/// The network device.
pub struct NetDevice {
    registers: Mutex<Registers>,
    memory: GuestMemoryMmap,
    doorbell: EventFd,
    interrupt: EventFd,
    interrupts: AtomicU64,
    malformed: AtomicU64,
}

impl NetDevice {
    /// The device of a site. `doorbell` rings for QueueNotify writes; `interrupt` is injected as the device's interrupt.
    pub fn new(site: u16, memory: GuestMemoryMmap, doorbell: EventFd, interrupt: EventFd) -> Self {
        let mut config = chorus_abi::machine::mac_of_site(site).to_vec();
        config.extend([0; 4]);
        config.extend(MTU.to_le_bytes());
        let features = F_VERSION_1 | F_EVENT_IDX | F_INDIRECT | F_MTU | F_MAC;
        NetDevice {
            registers: Mutex::new(Registers::new(DEVICE_ID, features, config, 2, QUEUE_SIZE)),
            memory,
            doorbell,
            interrupt,
            interrupts: AtomicU64::new(0),
            malformed: AtomicU64::new(0),
        }
    }

    fn registers(&self) -> MutexGuard<'_, Registers> {
        self.registers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// A read of the register window.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) {
        self.registers().read(offset, bytes);
    }

    /// A write to the register window.
    pub fn write(&self, offset: u64, bytes: &[u8]) {
        self.registers().write(offset, bytes);
        if offset == super::virtio_mmio::QUEUE_NOTIFY {
            let _ = self.doorbell.write(1);
        }
    }

    /// Interrupts injected, and descriptor chains or register accesses that made no sense.
    pub fn counters(&self) -> (u64, u64) {
        let nonsense = self.registers().nonsense;
        (
            self.interrupts.load(Ordering::Relaxed),
            self.malformed.load(Ordering::Relaxed) + nonsense,
        )
    }

    fn break_down(&self, registers: &mut Registers) {
        registers.break_down();
        self.inject();
    }

    fn inject(&self) {
        self.interrupts.fetch_add(1, Ordering::Relaxed);
        // The other end is KVM: there is nothing that a failure could be told to.
        let _ = self.interrupt.write(1);
    }

    fn malformed(&self) {
        self.malformed.fetch_add(1, Ordering::Relaxed);
    }
}

/// A queue whose rings cannot be what a driver wrote.
struct Nonsense;

/// The next chain that the driver offers. When there is none, it will ring for the next one: a driver that adds a buffer just now either
/// sees that it must ring, or we see its buffer. An index that promises buffers and holds none is nonsense, and must not be waited on.
fn next_chain<'a>(
    queue: &mut Queue,
    memory: &'a GuestMemoryMmap,
) -> Result<Option<DescriptorChain<&'a GuestMemoryMmap>>, Nonsense> {
    if !queue.is_valid(memory) {
        return Err(Nonsense);
    }
    if let Some(chain) = queue.pop_descriptor_chain(memory) {
        return Ok(Some(chain));
    }
    if !queue.enable_notification(memory).map_err(|_| Nonsense)? {
        return Ok(None);
    }
    queue.pop_descriptor_chain(memory).map(Some).ok_or(Nonsense)
}

/// Drops the first `skip` bytes of a row of slices; `false` when there are not so many.
fn skip<'a>(slices: &mut Vec<VolatileSlice<'a>>, mut skip: usize) -> bool {
    while skip > 0 {
        let Some(first) = slices.first_mut() else {
            return false;
        };
        if first.len() <= skip {
            skip -= first.len();
            slices.remove(0);
        } else {
            let Ok(rest) = first.offset(skip) else {
                return false;
            };
            *first = rest;
            skip = 0;
        }
    }
    true
}

/// Copies pieces one after another into slices; `false` when they do not fit.
fn copy(from: Pieces<'_>, into: &mut Vec<VolatileSlice<'_>>) -> bool {
    for piece in from {
        let mut done = 0;
        while done < piece.len() {
            let (Some(target), Ok(rest)) = (into.first(), piece.offset(done)) else {
                return false;
            };
            let count = rest.len().min(target.len());
            let Ok(part) = rest.subslice(0, count) else {
                return false;
            };
            part.copy_to_volatile_slice(*target);
            done += count;
            if !skip(into, count) {
                return false;
            }
        }
    }
    true
}

impl Station for NetDevice {
    fn transmit(&self, limit: usize, give: &mut dyn FnMut(Pieces<'_>)) -> usize {
        let mut registers = self.registers();
        if !registers.running() || !registers.queues[TRANSMIT].ready() {
            return 0;
        }
        let mut count = 0;
        while count < limit {
            let chain = match next_chain(&mut registers.queues[TRANSMIT], &self.memory) {
                Ok(Some(chain)) => chain,
                Ok(None) => break,
                Err(Nonsense) => {
                    self.break_down(&mut registers);
                    break;
                }
            };
            let head = chain.head_index();
            let mut slices = Vec::with_capacity(4);
            let sound = chain.clone().all(|descriptor| {
                let slice = self
                    .memory
                    .get_slice(descriptor.addr(), descriptor.len() as usize);
                let fits = !descriptor.is_write_only() && slices.len() < usize::from(QUEUE_SIZE);
                slice.map(|slice| slices.push(slice)).is_ok() && fits
            });
            let total: usize = slices.iter().map(VolatileSlice::len).sum();
            if sound && total <= HEADER + FRAME_MAX && skip(&mut slices, HEADER) {
                give(&slices);
            } else {
                self.malformed();
            }
            count += 1;
            let used = registers.queues[TRANSMIT].add_used(&self.memory, head, 0);
            if used.is_err() {
                self.break_down(&mut registers);
                break;
            }
        }
        count
    }

    fn receive(&self, frame: Pieces<'_>) -> bool {
        let mut registers = self.registers();
        if !registers.running() || !registers.queues[RECEIVE].ready() {
            return false;
        }
        let chain = match next_chain(&mut registers.queues[RECEIVE], &self.memory) {
            Ok(Some(chain)) => chain,
            Ok(None) => return false,
            Err(Nonsense) => {
                self.break_down(&mut registers);
                return false;
            }
        };
        let head = chain.head_index();
        let mut slices = Vec::with_capacity(4);
        let sound = chain.clone().all(|descriptor| {
            let slice = self
                .memory
                .get_slice(descriptor.addr(), descriptor.len() as usize);
            let fits = descriptor.is_write_only() && slices.len() < usize::from(QUEUE_SIZE);
            slice.map(|slice| slices.push(slice)).is_ok() && fits
        });
        // The header: nothing offloaded, one buffer.
        let mut header = [0u8; HEADER];
        header[10] = 1;
        let size: usize = frame.iter().map(VolatileSlice::len).sum();
        let room: usize = slices.iter().map(VolatileSlice::len).sum();
        let written = if sound
            && room >= HEADER + size
            && copy(&[VolatileSlice::from(header.as_mut_slice())], &mut slices)
            && copy(frame, &mut slices)
        {
            (HEADER + size) as u32
        } else {
            // The buffer is too small or no buffer at all: the frame is lost, the driver gets its buffer back.
            self.malformed();
            0
        };
        let used = registers.queues[RECEIVE].add_used(&self.memory, head, written);
        if used.is_err() {
            self.break_down(&mut registers);
        }
        true
    }

    fn publish(&self) {
        let mut registers = self.registers();
        if !registers.running() {
            return;
        }
        let wanted = registers
            .queues
            .iter_mut()
            .filter(|queue| queue.ready())
            .fold(false, |wanted, queue| {
                queue.needs_notification(&self.memory).unwrap_or(false) | wanted
            });
        if wanted {
            registers.interrupt |= INTERRUPT_USED;
            self.inject();
        }
    }

    fn doorbell(&self) -> &EventFd {
        &self.doorbell
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use vm_memory::{Bytes, GuestAddress};
    use vmm_sys_util::eventfd::EFD_NONBLOCK;

    const TABLE: u64 = 0x1000;
    const AVAILABLE: u64 = 0x3000;
    const USED: u64 = 0x4000;
    const BUFFER: u64 = 0x8000;

    fn device() -> NetDevice {
        let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 0x40000)]).unwrap();
        let fd = || EventFd::new(EFD_NONBLOCK).unwrap();
        let device = NetDevice::new(3, memory, fd(), fd());
        let set = |offset, value: u32| device.write(offset, &value.to_le_bytes());
        set(0x24, 1);
        set(0x20, 1);
        set(0x70, 11);
        for queue in 0..2u32 {
            let base = u64::from(queue) * 0x10000;
            set(0x30, queue);
            set(0x38, 16);
            for (offset, at) in [(0x80, TABLE), (0x90, AVAILABLE), (0xa0, USED)] {
                set(offset, (base + at) as u32);
            }
            set(0x44, 1);
        }
        set(0x70, 15);
        device
    }

    /// Puts one chain of descriptors `(address, size, flags)` in a queue.
    fn offer(device: &NetDevice, queue: u64, chain: &[(u64, u32, u16)]) {
        let base = queue * 0x10000;
        for (index, (address, size, flags)) in chain.iter().enumerate() {
            let at = GuestAddress(base + TABLE + index as u64 * 16);
            let next = if index + 1 < chain.len() { 1 } else { 0 };
            device.memory.write_obj(*address, at).unwrap();
            device
                .memory
                .write_obj(*size, GuestAddress(at.0 + 8))
                .unwrap();
            device
                .memory
                .write_obj(*flags | next, GuestAddress(at.0 + 12))
                .unwrap();
            device
                .memory
                .write_obj(index as u16 + 1, GuestAddress(at.0 + 14))
                .unwrap();
        }
        let index: u16 = device
            .memory
            .read_obj(GuestAddress(base + AVAILABLE + 2))
            .unwrap();
        device
            .memory
            .write_obj(
                0u16,
                GuestAddress(base + AVAILABLE + 4 + u64::from(index % 16) * 2),
            )
            .unwrap();
        device
            .memory
            .write_obj(index.wrapping_add(1), GuestAddress(base + AVAILABLE + 2))
            .unwrap();
    }

    fn sent(device: &NetDevice) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        device.transmit(64, &mut |frame| {
            frames.push(crate::fabric::switch::collect(frame, Vec::new()))
        });
        frames
    }

    #[test]
    fn a_frame_in_several_descriptors_leaves_whole_and_without_the_header() {
        let device = device();
        device
            .memory
            .write_slice(&[7; 40], GuestAddress(BUFFER))
            .unwrap();
        device
            .memory
            .write_slice(b"hello", GuestAddress(BUFFER + 100))
            .unwrap();
        offer(&device, 1, &[(BUFFER, 20, 0), (BUFFER + 100, 5, 0)]);
        assert_eq!(sent(&device), [[&[7; 8][..], b"hello"].concat()]);
        assert_eq!(
            device
                .memory
                .read_obj::<u16>(GuestAddress(0x10000 + USED + 2))
                .unwrap(),
            1
        );
    }

    #[test]
    fn a_frame_is_spread_over_receive_descriptors_behind_the_header() {
        let device = device();
        let mut frame = b"0123456789".to_vec();
        let mut pieces = || device.receive(&[VolatileSlice::from(frame.as_mut_slice())]);
        assert!(!pieces(), "no buffer, no frame");
        offer(&device, 0, &[(BUFFER, 14, 2), (BUFFER + 64, 100, 2)]);
        assert!(pieces());
        let mut got = [0; 14];
        device
            .memory
            .read_slice(&mut got, GuestAddress(BUFFER))
            .unwrap();
        assert_eq!(got, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, b'0', b'1']);
        let mut rest = [0; 8];
        device
            .memory
            .read_slice(&mut rest, GuestAddress(BUFFER + 64))
            .unwrap();
        assert_eq!(&rest, b"23456789");
        assert_eq!(
            device
                .memory
                .read_obj::<u32>(GuestAddress(USED + 8))
                .unwrap(),
            22
        );
        device.publish();
        assert_eq!(device.counters(), (1, 0));
    }

    #[test]
    fn chains_that_make_no_sense_are_counted_and_given_back() {
        for chain in [
            [(BUFFER, 20, 2)].as_slice(),
            &[(BUFFER, 5, 0)],
            &[(0x3fff0, 0x100, 0)],
            &[(u64::MAX - 4, 20, 0)],
            &[(BUFFER, u32::MAX, 0)],
        ] {
            let device = device();
            offer(&device, 1, chain);
            assert!(sent(&device).is_empty());
            assert_eq!(device.counters().1, 1, "{chain:?}");
        }
        let device = device();
        offer(&device, 0, &[(BUFFER, 13, 2)]);
        assert!(
            device.receive(&[VolatileSlice::from([0u8; 14].as_mut_slice())]),
            "taken, and lost"
        );
        assert_eq!(device.counters().1, 1);
    }

    proptest! {
        #[test]
        fn no_ring_content_stops_it(rings in proptest::collection::vec(any::<u8>(), 0x3800), index: u16) {
            let device = device();
            for base in [0, 0x10000u64] {
                device.memory.write_slice(&rings, GuestAddress(base + TABLE)).unwrap();
                device.memory.write_obj(index, GuestAddress(base + AVAILABLE + 2)).unwrap();
            }
            let _ = sent(&device);
            let mut frame = [0u8; 60];
            for _ in 0..20 {
                device.receive(&[VolatileSlice::from(frame.as_mut_slice())]);
            }
            device.publish();
        }
    }
}
