//! The network card: frames out and in over virtio-net.
//!
//! A frame that finds the transmit ring full is dropped: the protocols above repeat what is lost. Sent frames are taken back when memory for the next is
//! wanted, and no interrupt tells of them; one is asked for a frame that comes only when all that came have been looked at.

use crate::ring::{self, Ring};
use crate::slots::{FEW, FRAME, Slots};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use chorus_abi::{KnDevDesc, Out};
use chorus_runtime::{at_mut, raw};
use core::ptr::NonNull;
use virtio_drivers::transport::Transport;
use virtio_drivers::transport::mmio::{MmioTransport, VirtIOHeader};

/// Bytes before the frame: nothing offloaded, one buffer.
const HEADER: usize = 12;
/// virtio device id of a network card.
const NETWORK: u32 = 1;
/// The queues.
const RECEIVE: u16 = 0;
const TRANSMIT: u16 = 1;

bitflags::bitflags! {
    /// What this driver can do, of the features of virtio.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    struct Features: u64 {
        const EVENT_INDEX = 1 << 29;
        const VERSION_1 = 1 << 32;
    }
}

/// A frame that came: the place of its memory, and its bytes there.
pub struct Received {
    slot: usize,
    size: usize,
}

/// The card.
pub struct Card {
    transport: MmioTransport<'static>,
    receive: Ring,
    transmit: Ring,
    /// Memory of the frames to come, all of it with the device or looked at here, and of those that leave.
    incoming: Slots,
    outgoing: Slots,
    /// Slot that a descriptor was given with.
    receiving: Vec<usize>,
    sending: Vec<usize>,
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
    /// Sets the card up. Errors: in words.
    pub fn new(device: &KnDevDesc) -> Result<Card, String> {
        let mut address = 0u64;
        // SAFETY: the result lives through the call.
        let result =
            unsafe { raw::dev_map(device.base, device.size, Out::new(at_mut(&mut address))) };
        let header = NonNull::new(address as *mut VirtIOHeader)
            .filter(|_| result == 0)
            .ok_or_else(|| format!("its registers cannot be mapped ({result})"))?;
        // SAFETY: the Nucleus mapped the device's registers there, uncached, as long as this actor lives.
        let mut transport = unsafe { MmioTransport::new(header, device.size as usize) }
            .map_err(|error| format!("{error}"))?;
        let features = transport.begin_init(Features::all());
        if features != Features::all() {
            return Err(format!(
                "it lacks features: {:?}",
                Features::all() - features
            ));
        }
        let (receive, transmit) = Ring::new()
            .zip(Ring::new())
            .ok_or("no memory for its rings")?;
        for (queue, ring) in [(RECEIVE, &receive), (TRANSMIT, &transmit)] {
            let most = transport.max_queue_size(queue);
            if (most as usize) < ring::SIZE {
                return Err(format!("queue {queue} has room for {most} buffers only"));
            }
            let (descriptors, available, used) = ring.parts();
            transport.queue_set(queue, ring::SIZE as u32, descriptors, available, used);
        }
        transport.finish_init();
        let mut card = Card {
            transport,
            receive,
            transmit,
            incoming: Slots::default(),
            outgoing: Slots::default(),
            receiving: alloc::vec![0; ring::SIZE],
            sending: alloc::vec![0; ring::SIZE],
        };
        card.transmit.be_deaf();
        if card.expect_more() == 0 {
            return Err("no memory for frames".into());
        }
        Ok(card)
    }

    /// Gives the device room for more frames to come; for how many.
    fn expect_more(&mut self) -> usize {
        let mut count = 0;
        while count < FEW
            && let Some(slot) = self.incoming.take()
        {
            self.hand_out(slot);
            count += 1;
        }
        count
    }

    /// Gives a slot to the device for a frame to come.
    fn hand_out(&mut self, slot: usize) {
        let physical = self.incoming.physical(slot);
        if let Some((descriptor, tell)) = self.receive.offer(physical, FRAME, true) {
            if let Some(entry) = self.receiving.get_mut(descriptor) {
                *entry = slot;
            }
            if tell {
                self.transport.notify(RECEIVE);
            }
        }
    }

    /// Tells the device that its interrupt was seen.
    pub fn interrupted(&mut self) {
        self.transport.ack_interrupt();
    }

    /// The next frame that came.
    pub fn receive(&mut self) -> Option<Received> {
        loop {
            let (descriptor, written) = self.receive.take()?;
            if self.receive.is_used_up() {
                self.expect_more();
            }
            let slot = *self.receiving.get(descriptor)?;
            if (HEADER..=FRAME).contains(&written) {
                return Some(Received {
                    slot,
                    size: written,
                });
            }
            // Nothing that could be a frame: the memory goes back.
            self.hand_out(slot);
        }
    }

    /// The bytes of a frame that came.
    pub fn bytes(&self, frame: &Received) -> &'static [u8] {
        self.incoming
            .bytes(frame.slot)
            .get(HEADER..frame.size)
            .unwrap_or(&[])
    }

    /// The frame was looked at: its memory is for the next.
    pub fn give_back(&mut self, frame: Received) {
        self.hand_out(frame.slot);
    }

    /// Asks for an interrupt at the next frame. What came meanwhile has to be looked for once more.
    pub fn listen(&mut self) {
        self.receive.listen();
    }

    /// Sends an Ethernet frame, or drops it when the ring is full.
    pub fn transmit(&mut self, frame: &[u8]) {
        if self.outgoing.are_used_up() {
            self.reclaim();
        }
        let Some(taken) = self.outgoing.take() else {
            return;
        };
        let bytes = self.outgoing.bytes(taken);
        let end = HEADER + frame.len();
        let Some(room) = bytes.get_mut(HEADER..end) else {
            self.outgoing.give_back(taken);
            return;
        };
        room.copy_from_slice(frame);
        let physical = self.outgoing.physical(taken);
        match self.transmit.offer(physical, end, false) {
            Some((descriptor, tell)) => {
                if let Some(entry) = self.sending.get_mut(descriptor) {
                    *entry = taken;
                }
                if tell {
                    self.transport.notify(TRANSMIT);
                }
            }
            None => self.outgoing.give_back(taken),
        }
    }

    /// Takes back the memory of frames that were sent.
    fn reclaim(&mut self) {
        while let Some((descriptor, _)) = self.transmit.take() {
            if let Some(&slot) = self.sending.get(descriptor) {
                self.outgoing.give_back(slot);
            }
        }
        self.transmit.be_deaf();
    }
}
