//! A station of the host: gives and takes frames as bytes. The gateway site sits on one.

use super::switch::{Station, collect};
use super::{FRAME_MAX, Pieces};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use vm_memory::VolatileSlice;
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

/// Frames that wait to be sent; a sender that is faster loses the newest.
const OUTBOUND: usize = 4096;

#[derive(Default)]
struct Queues {
    outbound: VecDeque<Vec<u8>>,
    inbound: VecDeque<Vec<u8>>,
}

/// A port of the host on the fabric.
pub struct HostPort {
    queues: Mutex<Queues>,
    arrived: Condvar,
    doorbell: EventFd,
    room: usize,
}

impl HostPort {
    /// A port that keeps at most `room` frames until they are received. Errors: the process has no descriptors left.
    pub fn new(room: usize) -> std::io::Result<Arc<Self>> {
        let doorbell = EventFd::new(EFD_NONBLOCK)?;
        Ok(Arc::new(HostPort {
            queues: Mutex::default(),
            arrived: Condvar::new(),
            doorbell,
            room,
        }))
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a frame; `false` when too many wait already, and it is lost.
    pub fn send(&self, frame: Vec<u8>) -> bool {
        let mut queues = self.queues();
        if queues.outbound.len() >= OUTBOUND {
            return false;
        }
        queues.outbound.push_back(frame);
        drop(queues);
        self.doorbell.write(1).is_ok()
    }

    /// The next frame that came, waiting for it at most so long.
    pub fn receive_within(&self, limit: Duration) -> Option<Vec<u8>> {
        let end = Instant::now() + limit;
        let mut queues = self.queues();
        while queues.inbound.is_empty() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            queues = self
                .arrived
                .wait_timeout(queues, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        let was_full = queues.inbound.len() >= self.room;
        let frame = queues.inbound.pop_front();
        drop(queues);
        if was_full {
            // There is room again for what the fabric keeps.
            let _ = self.doorbell.write(1);
        }
        frame
    }

    /// Wakes whoever waits in [`HostPort::receive_within`], with an empty frame that is no frame.
    pub fn wake(&self) {
        self.queues().inbound.push_back(Vec::new());
        self.arrived.notify_all();
    }
}

impl Station for HostPort {
    fn transmit(&self, limit: usize, give: &mut dyn FnMut(Pieces<'_>)) -> usize {
        let mut count = 0;
        while count < limit {
            let Some(mut frame) = self.queues().outbound.pop_front() else {
                break;
            };
            give(&[VolatileSlice::from(frame.as_mut_slice())]);
            count += 1;
        }
        count
    }

    fn receive(&self, frame: Pieces<'_>) -> bool {
        let mut queues = self.queues();
        if queues.inbound.len() >= self.room {
            return false;
        }
        debug_assert!(frame.iter().map(VolatileSlice::len).sum::<usize>() <= FRAME_MAX);
        queues.inbound.push_back(collect(frame, Vec::new()));
        true
    }

    fn publish(&self) {
        self.arrived.notify_all();
    }

    fn doorbell(&self) -> &EventFd {
        &self.doorbell
    }
}
