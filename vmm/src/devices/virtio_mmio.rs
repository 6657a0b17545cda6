//! The virtio transport over memory-mapped registers, version 2 (Virtual I/O Device specification 1.2, section 4.2).
//!
//! Registers, feature negotiation, queue set-up and interrupt status of one device; what the device does with its queues is the device's.
//! The queues' addresses are a guest's claims: the virtio-queue crate checks them against guest memory at every use.

use virtio_queue::{Queue, QueueT};

/// Bytes of a device's register window.
pub const WINDOW: u64 = 0x1000;
/// Offset of the register that a driver writes to announce buffers.
pub const QUEUE_NOTIFY: u64 = 0x50;
/// Interrupt status bit: buffers were used.
pub const INTERRUPT_USED: u32 = 1;

/// Interrupt status bit: the configuration, or the need of a reset, changed.
pub const INTERRUPT_CHANGED: u32 = 2;

const MAGIC: u32 = 0x7472_6976;
const VERSION: u32 = 2;
/// Vendor: "CHRS".
const VENDOR: u32 = 0x5352_4843;
const STATUS_FEATURES_OK: u32 = 8;
const STATUS_DRIVER_OK: u32 = 4;
const STATUS_NEEDS_RESET: u32 = 64;
/// Feature: the device is not legacy.
pub const F_VERSION_1: u64 = 1 << 32;
/// Feature: notifications by index.
pub const F_EVENT_IDX: u64 = 1 << 29;
/// Feature: tables of descriptors.
pub const F_INDIRECT: u64 = 1 << 28;

/// Registers of a device.
pub struct Registers {
    device_id: u32,
    offered: u64,
    accepted: u64,
    offered_select: u32,
    accepted_select: u32,
    queue_select: u32,
    status: u32,
    /// Interrupt status; set by the device, acknowledged by the driver.
    pub interrupt: u32,
    /// The queues.
    pub queues: Vec<Queue>,
    config: Vec<u8>,
    /// Accesses that made no sense.
    pub nonsense: u64,
}

impl Registers {
    /// A device of this virtio id, features, configuration space and queues of at most `queue_size` (a power of two).
    pub fn new(
        device_id: u32,
        offered: u64,
        config: Vec<u8>,
        queues: usize,
        queue_size: u16,
    ) -> Self {
        // The size is ours and a power of two: a queue of it can always be made.
        let queues = (0..queues)
            .filter_map(|_| Queue::new(queue_size).ok())
            .collect();
        Registers {
            device_id,
            offered,
            accepted: 0,
            offered_select: 0,
            accepted_select: 0,
            queue_select: 0,
            status: 0,
            interrupt: 0,
            queues,
            config,
            nonsense: 0,
        }
    }

    /// Whether the driver is ready and nothing is broken: the queues may be used.
    pub fn running(&self) -> bool {
        self.status & STATUS_DRIVER_OK != 0 && self.status & STATUS_NEEDS_RESET == 0
    }

    /// Marks the device broken: the driver must reset it, and is told so by an interrupt (specification 2.1.2).
    pub fn break_down(&mut self) {
        self.status |= STATUS_NEEDS_RESET;
        self.interrupt |= INTERRUPT_CHANGED;
        self.nonsense += 1;
    }

    /// A read of the window. What is not there reads as zero.
    pub fn read(&mut self, offset: u64, bytes: &mut [u8]) {
        bytes.fill(0);
        if let Some(at) = offset.checked_sub(0x100) {
            let at = usize::try_from(at).unwrap_or(usize::MAX);
            for (index, byte) in bytes.iter_mut().enumerate() {
                *byte = self
                    .config
                    .get(at.saturating_add(index))
                    .copied()
                    .unwrap_or(0);
            }
            return;
        }
        let queue = self.queues.get(self.queue_select as usize);
        let value = match offset {
            0x00 => MAGIC,
            0x04 => VERSION,
            0x08 => self.device_id,
            0x0c => VENDOR,
            0x10 if self.offered_select < 2 => (self.offered >> (32 * self.offered_select)) as u32,
            0x10 => 0,
            0x34 => queue.map_or(0, |queue| u32::from(queue.max_size())),
            0x44 => queue.map_or(0, |queue| u32::from(queue.ready())),
            0x60 => self.interrupt,
            0x70 => self.status,
            // ConfigGeneration: the configuration never changes.
            0xfc => 0,
            _ => {
                self.nonsense += 1;
                0
            }
        };
        if bytes.len() == 4 {
            bytes.copy_from_slice(&value.to_le_bytes());
        } else {
            self.nonsense += 1;
        }
    }

    /// A write to the window.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) {
        let Ok(word) = <[u8; 4]>::try_from(bytes) else {
            self.nonsense += 1;
            return;
        };
        let value = u32::from_le_bytes(word);
        let select = self.queue_select as usize;
        match offset {
            0x14 => self.offered_select = value,
            0x20 => self.accept(value),
            0x24 => self.accepted_select = value,
            0x30 => self.queue_select = value,
            // A notification that did not take the doorbell's way: the doorbell's owner looks at the queues anyway.
            QUEUE_NOTIFY => {}
            0x64 => self.interrupt &= !value,
            0x70 => self.set_status(value),
            _ => match self
                .queues
                .get_mut(select)
                .filter(|queue| offset == 0x44 || !queue.ready())
            {
                Some(queue) => match offset {
                    0x38 => queue.set_size(value as u16),
                    0x44 => queue.set_ready(value == 1),
                    0x80 => queue.set_desc_table_address(Some(value), None),
                    0x84 => queue.set_desc_table_address(None, Some(value)),
                    0x90 => queue.set_avail_ring_address(Some(value), None),
                    0x94 => queue.set_avail_ring_address(None, Some(value)),
                    0xa0 => queue.set_used_ring_address(Some(value), None),
                    0xa4 => queue.set_used_ring_address(None, Some(value)),
                    _ => self.nonsense += 1,
                },
                None => self.nonsense += 1,
            },
        }
    }

    fn accept(&mut self, value: u32) {
        if self.status & STATUS_FEATURES_OK != 0 || self.accepted_select >= 2 {
            self.nonsense += 1;
            return;
        }
        let shift = 32 * self.accepted_select;
        self.accepted = self.accepted & !(0xffff_ffff << shift) | u64::from(value) << shift;
    }

    fn set_status(&mut self, value: u32) {
        if value == 0 {
            self.status = 0;
            self.accepted = 0;
            self.interrupt = 0;
            self.queues.iter_mut().for_each(QueueT::reset);
            return;
        }
        let mut status = value & 0xff | self.status & STATUS_NEEDS_RESET;
        let fresh = status & !self.status;
        if fresh & STATUS_FEATURES_OK != 0
            && (self.accepted & !self.offered != 0 || self.accepted & F_VERSION_1 == 0)
        {
            status &= !STATUS_FEATURES_OK;
        }
        if fresh & STATUS_DRIVER_OK != 0 {
            let event_idx = self.accepted & F_EVENT_IDX != 0;
            self.queues
                .iter_mut()
                .for_each(|queue| queue.set_event_idx(event_idx));
            if status & STATUS_FEATURES_OK == 0 {
                status &= !STATUS_DRIVER_OK;
                self.nonsense += 1;
            }
        }
        self.status = status;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn word(registers: &mut Registers, offset: u64) -> u32 {
        let mut bytes = [0; 4];
        registers.read(offset, &mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn device() -> Registers {
        Registers::new(1, F_VERSION_1 | F_EVENT_IDX, vec![1, 2, 3], 2, 256)
    }

    #[test]
    fn a_driver_finds_and_starts_it_as_the_specification_says() {
        let mut device = device();
        assert_eq!(
            (
                word(&mut device, 0),
                word(&mut device, 4),
                word(&mut device, 8)
            ),
            (MAGIC, 2, 1)
        );
        for status in [1, 3] {
            device.write(0x70, &u32::to_le_bytes(status));
        }
        device.write(0x24, &1u32.to_le_bytes());
        device.write(0x20, &1u32.to_le_bytes());
        device.write(0x70, &11u32.to_le_bytes());
        assert_eq!(word(&mut device, 0x70), 11, "features accepted");
        assert!(!device.running());
        device.write(0x70, &15u32.to_le_bytes());
        assert!(device.running());
        device.write(0x70, &0u32.to_le_bytes());
        assert!(!device.running());
    }

    #[test]
    fn features_that_were_not_offered_or_legacy_are_refused() {
        for (low, high) in [(1 << 5, 1), (0, 0), (0, 3)] {
            let mut device = device();
            device.write(0x20, &u32::to_le_bytes(low));
            device.write(0x24, &1u32.to_le_bytes());
            device.write(0x20, &u32::to_le_bytes(high));
            device.write(0x70, &15u32.to_le_bytes());
            assert_eq!(
                word(&mut device, 0x70) & (STATUS_FEATURES_OK | STATUS_DRIVER_OK),
                0
            );
        }
    }

    #[test]
    fn a_broken_device_says_so_until_it_is_reset() {
        let mut device = device();
        device.write(0x24, &1u32.to_le_bytes());
        device.write(0x20, &1u32.to_le_bytes());
        device.write(0x70, &15u32.to_le_bytes());
        device.break_down();
        assert!(!device.running());
        assert_eq!(word(&mut device, 0x60), INTERRUPT_CHANGED);
        device.write(0x70, &15u32.to_le_bytes());
        assert_eq!(
            word(&mut device, 0x70),
            15 | STATUS_NEEDS_RESET,
            "only a reset helps"
        );
        device.write(0x70, &0u32.to_le_bytes());
        assert_eq!((word(&mut device, 0x70), word(&mut device, 0x60)), (0, 0));
    }

    proptest! {
        #[test]
        fn no_access_stops_it(accesses in proptest::collection::vec((any::<bool>(), 0u64..0x300, proptest::collection::vec(any::<u8>(), 0..9)), 0..200)) {
            let mut device = device();
            for (write, offset, mut bytes) in accesses {
                if write { device.write(offset, &bytes) } else { device.read(offset, &mut bytes) }
            }
        }
    }
}
