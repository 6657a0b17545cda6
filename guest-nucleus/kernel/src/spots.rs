//! What the fast paths of messages need of memory: where something is in the direct map, so that it is looked up once, and what goes from one actor to another.

use crate::machine::X86;
use chorus_abi::K_CMSGANNEXSIZE;
use chorus_nucleus_core::machine::{Delivery, Space, Spot};
use zerocopy::{FromBytes, Immutable, IntoBytes};

type Annex = [u64; K_CMSGANNEXSIZE / 8];

impl X86 {
    /// As `Machine::spot`: a spot is an address in the direct map.
    #[inline(always)]
    pub(crate) fn spot_of(
        &self,
        space: Space,
        address: u64,
        size: usize,
        write: bool,
    ) -> Option<Spot> {
        self.within(space, address, size, write).map(Spot)
    }

    /// As `Machine::peek`.
    #[inline(always)]
    pub(crate) fn peek_at<T: FromBytes>(&self, spot: Spot) -> T {
        // SAFETY: `within` gave RAM for it, which no mapping lost since: so `Spot` promises. Any bytes are a value of the type. Actors may write there meanwhile,
        // so it is read once.
        unsafe { (spot.0 as *const T).read_unaligned() }
    }

    /// As `Machine::poke`.
    #[inline(always)]
    pub(crate) fn poke_at<T: IntoBytes + Immutable>(&mut self, spot: Spot, value: &T) {
        // SAFETY: as `peek_at`, and it was asked for to be written.
        unsafe {
            (spot.0 as *mut T).write_unaligned((&raw const *value).read());
        }
    }

    /// As `Machine::copy_spot`.
    #[inline(always)]
    pub(crate) fn copy_between(&mut self, from: Spot, to: Spot, size: usize) {
        // SAFETY: as `poke_at`.
        unsafe { (from.0 as *const u8).copy_to(to.0 as *mut u8, size) };
    }

    /// As `Machine::deliver`.
    #[inline(always)]
    pub(crate) fn deliver_within_pages(&mut self, delivery: &Delivery) -> bool {
        let (from, to) = (delivery.from, delivery.to);
        // Places of what is there; of what is not, some address that is never used.
        let (mut sequence_to, mut port_to) = (0, 0);
        let (mut annex_from, mut annex_to, mut body_from, mut body_to) = (0, 0, 0, 0);
        macro_rules! place {
            ($place:ident = $space:ident $address:expr, $size:expr, $write:expr) => {
                match self.within($space, $address, $size, $write) {
                    Some(direct) => $place = direct,
                    None => return false,
                }
            };
        }
        if let Some((at, _)) = delivery.sequence {
            place!(sequence_to = to at, 4, true);
        }
        if let Some((at, _)) = delivery.port {
            place!(port_to = to at, 4, true);
        }
        if let Some((source, target)) = delivery.annex {
            place!(annex_from = from source, K_CMSGANNEXSIZE, false);
            place!(annex_to = to target, K_CMSGANNEXSIZE, true);
        }
        if let Some((source, target, size)) = delivery.body {
            place!(body_from = from source, size, false);
            place!(body_to = to target, size, true);
        }
        // SAFETY: `within` gave RAM for so many bytes each, and nothing was unmapped since. Pieces may overlap: each is read whole, or as `copy` does, before
        // it is written.
        unsafe {
            if delivery.annex.is_some() {
                let annex = (annex_from as *const Annex).read_unaligned();
                (annex_to as *mut Annex).write_unaligned(annex);
            }
            if let Some((_, _, size)) = delivery.body {
                (body_from as *const u8).copy_to(body_to as *mut u8, size);
            }
            if let Some((_, sequence)) = delivery.sequence {
                (sequence_to as *mut u32).write_unaligned(sequence);
            }
            if let Some((_, li)) = delivery.port {
                (port_to as *mut i32).write_unaligned(li);
            }
        }
        true
    }
}
