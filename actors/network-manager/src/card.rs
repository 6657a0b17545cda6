//! The network card: frames out and in over virtio-net.
//!
//! The rings are the driver crate's (virtio-drivers), the frames' memory is ours. A frame that finds the transmit ring full is dropped and counted: the protocols
//! above repeat what is lost. Sent frames are taken back in batches, so that the device has no reason to interrupt for each.

use crate::memory::{self, DeviceMemory};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use chorus_abi::{KnDevDesc, Out};
use chorus_runtime::{at_mut, raw};
use core::ptr::NonNull;
use virtio_drivers::device::net::VirtIONetRaw;
use virtio_drivers::transport::mmio::{MmioTransport, VirtIOHeader};

/// Descriptors of each ring.
pub const RING: usize = 128;
/// Bytes of a frame's memory: virtio header, Ethernet frame, and what the driver asks for at least.
const FRAME: usize = 2048;
/// virtio device id of a network card.
const NETWORK: u32 = 1;

type Buffer = &'static mut [u8];

/// A frame that came, with the memory it lies in.
pub struct Received {
    buffer: Buffer,
    start: usize,
    end: usize,
}

impl Received {
    /// The Ethernet frame.
    pub fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or(&[])
    }
}

/// The card.
pub struct Card {
    driver: VirtIONetRaw<DeviceMemory, MmioTransport<'static>, RING>,
    /// Memory of frames that the device has, by token.
    receiving: Vec<Option<Buffer>>,
    sending: Vec<Option<(Buffer, usize)>>,
    free: Vec<Buffer>,
    dropped: u64,
}

/// A place for every descriptor of a ring; not on the stack, which is small.
fn empty<T>() -> Vec<Option<T>> {
    (0..RING).map(|_| None).collect()
}

/// The first network card of the machine and its interrupt.
pub fn find() -> Option<(KnDevDesc, u32)> {
    for index in 0.. {
        let mut device = KnDevDesc::default();
        // SAFETY: the descriptor lives through the call.
        if unsafe { raw::dev_get(index, Out::new(at_mut(&mut device))) } != 0 {
            return None;
        }
        if device.device_id == NETWORK {
            return Some((device, device.irq));
        }
    }
    None
}

impl Card {
    /// Sets the card up with all memory for receiving given to it. Errors: in words.
    pub fn new(device: &KnDevDesc) -> Result<Card, String> {
        let mut address = 0u64;
        // SAFETY: the result lives through the call.
        let result =
            unsafe { raw::dev_map(device.base, device.size, Out::new(at_mut(&mut address))) };
        let header = NonNull::new(address as *mut VirtIOHeader)
            .filter(|_| result == 0)
            .ok_or_else(|| format!("its registers cannot be mapped ({result})"))?;
        // SAFETY: the Nucleus mapped the device's registers there, uncached, as long as this actor lives.
        let transport = unsafe { MmioTransport::new(header, device.size as usize) }
            .map_err(|error| format!("{error}"))?;
        let driver = VirtIONetRaw::new(transport).map_err(|error| format!("{error}"))?;
        let frames = memory::frames(2 * RING, FRAME).ok_or("no memory for frames")?;
        let mut card = Card {
            driver,
            receiving: empty(),
            sending: empty(),
            free: frames.collect(),
            dropped: 0,
        };
        for _ in 0..RING {
            if let Some(buffer) = card.free.pop() {
                card.listen(buffer);
            }
        }
        Ok(card)
    }

    /// Gives memory to the device for a frame to come.
    fn listen(&mut self, buffer: Buffer) {
        // SAFETY: the buffer is kept in `receiving` and touched by nobody until the device gives it back.
        match unsafe { self.driver.receive_begin(buffer) } {
            Ok(token) => match self.receiving.get_mut(usize::from(token)) {
                Some(place) => *place = Some(buffer),
                None => self.free.push(buffer),
            },
            Err(_) => self.free.push(buffer),
        }
    }

    /// Tells the device that its interrupt was seen.
    pub fn interrupted(&mut self) {
        self.driver.ack_interrupt();
    }

    /// The next frame that came.
    pub fn receive(&mut self) -> Option<Received> {
        loop {
            let token = self.driver.poll_receive()?;
            let buffer = self.receiving.get_mut(usize::from(token))?.take()?;
            // SAFETY: the buffer that was given with this token.
            match unsafe { self.driver.receive_complete(token, buffer) } {
                Ok((start, size)) => {
                    return Some(Received {
                        buffer,
                        start,
                        end: start + size,
                    });
                }
                // Nothing that could be a frame: the memory goes back.
                Err(_) => self.listen(buffer),
            }
        }
    }

    /// The frame was looked at: its memory is for the next.
    pub fn give_back(&mut self, frame: Received) {
        self.listen(frame.buffer);
    }

    /// Sends an Ethernet frame, or drops it when the ring is full.
    pub fn transmit(&mut self, frame: &[u8]) {
        if self.free.len() < RING / 2 {
            self.reclaim();
        }
        let Some(buffer) = self.free.pop() else {
            self.dropped += 1;
            return;
        };
        let sent = self
            .driver
            .fill_buffer_header(buffer)
            .ok()
            .and_then(|start| {
                let end = start + frame.len();
                buffer.get_mut(start..end)?.copy_from_slice(frame);
                // SAFETY: the buffer is kept in `sending` and touched by nobody until the device gives it back.
                let token = unsafe { self.driver.transmit_begin(buffer.get(..end)?) }.ok()?;
                Some((usize::from(token), end))
            });
        match sent {
            Some((token, end)) => {
                if let Some(place) = self.sending.get_mut(token) {
                    *place = Some((buffer, end));
                }
            }
            None => {
                self.dropped += 1;
                self.free.push(buffer);
            }
        }
    }

    /// Takes back the memory of frames that were sent.
    fn reclaim(&mut self) {
        while let Some(token) = self.driver.poll_transmit() {
            let Some((buffer, end)) = self
                .sending
                .get_mut(usize::from(token))
                .and_then(Option::take)
            else {
                return;
            };
            // SAFETY: the bytes that were given with this token.
            let _ = unsafe {
                self.driver
                    .transmit_complete(token, buffer.get(..end).unwrap_or(&[]))
            };
            self.free.push(buffer);
        }
    }
}
