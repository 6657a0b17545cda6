//! The trace window of a site: memory behind its RAM, which exists once somebody wants a trace, and is read without stopping the site.
//!
//! The guest may write there what it likes. Whatever is read is copied out first and believed in nothing but its size (`crate::trace` decodes it).

use super::report;
use super::site::{Shared, Site, lock};
use super::vcpu::State;
use super::{Error, memory};
use crate::trace::{Recording, Ring};
use chorus_abi::machine::{IMAGES, IMAGES_SYMBOL, KnImage, Mark};
use chorus_abi::trace::*;
use kvm_bindings::{kvm_msi, kvm_userspace_memory_region};
use kvm_ioctls::VmFd;
use std::mem::offset_of;
use std::time::{Duration, Instant};
use vm_memory::mmap::MmapRegionBuilder;
use vm_memory::{Bytes, GuestAddress, MmapRegion, VolatileMemory};
use zerocopy::{FromBytes, IntoBytes};

/// The page size that the Nucleus maps the window with.
const LARGE: u64 = 2 << 20;
/// How long the vCPUs may take to look at the window.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time between two interrupts to those that have not yet.
const AGAIN: Duration = Duration::from_millis(50);
/// Fewest records of a ring.
pub const RECORDS_LEAST: u64 = 16;

/// The window of a site.
pub(super) struct Window {
    region: MmapRegion,
    /// What it says now.
    says: KnTraceWindow,
    /// Names of actors by slot, when the trace began.
    names: Vec<(u16, String)>,
}

impl Window {
    /// Memory for rings that take so many bytes. Nothing of it is taken from the host before it is written.
    fn new(size: u64) -> Result<Window, Error> {
        let failed = |error: String| Error::Host {
            what: "memory for the trace",
            source: std::io::Error::other(error),
        };
        let length = usize::try_from(size).map_err(|error| failed(error.to_string()))?;
        let region = MmapRegionBuilder::new(length)
            .with_mmap_prot(libc::PROT_READ | libc::PROT_WRITE)
            .with_mmap_flags(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE)
            .build()
            .map_err(|error| failed(error.to_string()))?;
        Ok(Window {
            region,
            says: KnTraceWindow {
                magic: MAGIC,
                version: VERSION,
                classes: 0,
                records: 0,
                rings: 0,
            },
            names: Vec::new(),
        })
    }

    fn size(&self) -> u64 {
        self.region.size() as u64
    }

    /// Forgets all records, and gives their memory back to the host.
    fn forget(&self) {
        // SAFETY: the range is the mapping that the region owns. The guest may be writing there: then its stores land in fresh zeros.
        unsafe {
            libc::madvise(
                self.region.as_ptr().cast(),
                self.region.size(),
                libc::MADV_DONTNEED,
            )
        };
    }

    fn say(&mut self, says: KnTraceWindow) {
        self.says = says;
        let slice = self.region.as_volatile_slice();
        // Within the region, which is larger than a page.
        let _ = slice.write_slice(says.as_bytes(), 0);
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> bool {
        let slice = self.region.as_volatile_slice();
        usize::try_from(offset).is_ok_and(|at| slice.read_slice(bytes, at).is_ok())
    }

    fn ring(&self, index: usize) -> u64 {
        ring_offset(index as u64, self.says.records.into())
    }

    /// Classes that a vCPU says it writes down.
    fn heard(&self, vcpu: usize) -> Option<u32> {
        let mut word = [0; 4];
        let at = self.ring(vcpu) + offset_of!(KnTraceRing, classes) as u64;
        self.read(at, &mut word).then(|| u32::from_le_bytes(word))
    }

    fn written(&self, vcpu: usize) -> Option<u64> {
        let mut word = [0; 8];
        let at = self.ring(vcpu) + offset_of!(KnTraceRing, written) as u64;
        self.read(at, &mut word).then(|| u64::from_le_bytes(word))
    }

    /// The records of a ring, oldest first. Those that are overwritten meanwhile are among the lost ones.
    fn records(&self, vcpu: usize) -> Option<Ring> {
        let records = u64::from(self.says.records);
        let before = self.written(vcpu)?;
        let mut bytes = vec![0; usize::try_from(records * RECORD).ok()?];
        self.read(self.ring(vcpu) + RECORD, &mut bytes)
            .then_some(())?;
        let after = self.written(vcpu)?.max(before);
        // The place that is written next may be half written now.
        let oldest = match after < records {
            true => 0,
            false => after.saturating_add(1).saturating_sub(records),
        };
        let count = before.saturating_sub(oldest).min(records);
        let mut ordered = Vec::with_capacity(usize::try_from(count * RECORD).ok()?);
        for number in oldest..oldest.saturating_add(count) {
            let at = usize::try_from(number % records * RECORD).ok()?;
            ordered.extend(bytes.get(at..at + RECORD as usize)?);
        }
        Some(Ring {
            vcpu: u32::try_from(vcpu).ok()?,
            lost: before - count,
            bytes: ordered,
        })
    }
}

/// Gives the VM the window's memory, or (`None`) takes it away.
fn set_window(vm: &VmFd, slot: u32, window: Option<&Window>) -> Result<(), Error> {
    let region = kvm_userspace_memory_region {
        slot,
        guest_phys_addr: WINDOW,
        memory_size: window.map_or(0, Window::size),
        userspace_addr: window.map_or(0, |window| window.region.as_ptr() as u64),
        flags: 0,
    };
    // SAFETY: the range is a mapping that `Shared` keeps as long as any vCPU thread lives, or until the slot was taken away.
    unsafe { vm.set_user_memory_region(region) }
        .map_err(Error::host("KVM_SET_USER_MEMORY_REGION for the trace"))
}

fn wrong(shared: &Shared, what: &str) -> Error {
    Error::Shape(format!("{}: {what}", shared.name))
}

impl Site {
    /// Begins a trace of these classes, with so many records a vCPU (a power of two): what an earlier one left is forgotten.
    ///
    /// # Errors
    /// The site has not booted, or has ended; its Nucleus knows nothing of traces; the host has no memory.
    pub fn trace(&self, classes: u32, records: u64) -> Result<(), Error> {
        let shared = &self.shared;
        let rings = shared.vcpus.len() as u64;
        let size = ring_offset(rings, records).next_multiple_of(LARGE);
        if !records.is_power_of_two() || records < RECORDS_LEAST || size > WINDOW_MOST {
            let most = WINDOW_MOST / rings / 2;
            let what = format!("a ring holds from {RECORDS_LEAST} records to {most} bytes of them");
            return Err(wrong(shared, &what));
        }
        let booted = |stamp: &super::Stamp| stamp.mark >= Mark::NucleusReady as u32;
        if !self.marks().iter().any(booted) {
            return Err(wrong(shared, "it is still booting"));
        }
        let mut kept = lock(&shared.trace);
        let slot = u32::try_from(memory::regions(&shared.memory)).unwrap_or(u32::MAX);
        if let Some(window) = &mut *kept {
            self.order(window, 0)?;
        }
        match kept.take() {
            Some(window) if window.size() >= size => *kept = Some(window),
            before => {
                if before.is_some() {
                    set_window(&self.vm, slot, None)?;
                }
                let window = kept.insert(Window::new(size)?);
                set_window(&self.vm, slot, Some(window))?;
            }
        }
        let Some(window) = &mut *kept else {
            return Ok(());
        };
        window.forget();
        window.names = names(shared);
        window.says.records = records as u32;
        window.says.rings = rings as u32;
        self.order(window, classes)
    }

    /// Ends the trace; its records stay. `false`: there was none.
    ///
    /// # Errors
    /// A vCPU does not hear of it.
    pub fn trace_off(&self) -> Result<bool, Error> {
        let mut kept = lock(&self.shared.trace);
        match &mut *kept {
            Some(window) if window.says.classes != 0 => self.order(window, 0).map(|()| true),
            _ => Ok(false),
        }
    }

    /// What the trace holds now; `None`: there never was one.
    pub fn traced(&self) -> Option<Recording> {
        let kept = lock(&self.shared.trace);
        let window = kept.as_ref()?;
        let rings = 0..self.shared.vcpus.len();
        Some(Recording {
            site: self.number,
            name: self.shared.name.clone(),
            khz: self.tsc_khz,
            before: window.names.clone(),
            now: names(&self.shared),
            rings: rings.filter_map(|vcpu| window.records(vcpu)).collect(),
        })
    }

    /// Says what is wanted, and waits until every vCPU that runs has heard it.
    fn order(&self, window: &mut Window, classes: u32) -> Result<(), Error> {
        let shared = &self.shared;
        window.say(KnTraceWindow {
            classes,
            ..window.says
        });
        let end = Instant::now() + PATIENCE;
        loop {
            let deaf = |&index: &usize| {
                // One that stands still hears it when it goes on.
                let runs = shared.vcpus[index].state() == State::Running;
                runs && window.heard(index) != Some(classes)
            };
            let left: Vec<usize> = (0..shared.vcpus.len()).filter(deaf).collect();
            let Some(&first) = left.first() else {
                let all = 0..shared.vcpus.len();
                all.for_each(|index| self.interrupt_if_still(window, index, classes));
                return Ok(());
            };
            if Instant::now() > end {
                let what = format!(
                    "vCPU {first} does not hear of the trace: its Nucleus knows nothing of traces, or has no memory for the rings' page table"
                );
                return Err(wrong(shared, &what));
            }
            for index in left {
                self.interrupt(index)?;
            }
            let soon = Instant::now() + AGAIN;
            while Instant::now() < soon && (0..shared.vcpus.len()).any(|index| deaf(&index)) {
                std::thread::sleep(Duration::from_micros(100));
            }
        }
    }

    /// Leaves the interrupt with a vCPU that stands still.
    fn interrupt_if_still(&self, window: &Window, index: usize, classes: u32) {
        if window.heard(index) != Some(classes) {
            // If that fails the vCPU goes on as it was.
            let _ = self.interrupt(index);
        }
    }

    fn interrupt(&self, vcpu: usize) -> Result<(), Error> {
        let message = kvm_msi {
            address_lo: 0xfee0_0000 | (vcpu as u32) << 12,
            data: VECTOR.into(),
            ..Default::default()
        };
        self.vm
            .signal_msi(message)
            .map(|_| ())
            .map_err(Error::host("KVM_SIGNAL_MSI"))
    }
}

/// Names of the actors that have images, by slot; none where the Nucleus has no symbols.
fn names(shared: &Shared) -> Vec<(u16, String)> {
    const SLOT: usize = size_of::<KnImage>();
    const NAME: usize = offset_of!(KnImage, name);
    let table = shared.symbols().address(IMAGES_SYMBOL);
    let mut bytes = vec![0; IMAGES * SLOT];
    let read = table.and_then(report::physical).is_some_and(|at| {
        shared
            .memory
            .read_slice(&mut bytes, GuestAddress(at))
            .is_ok()
    });
    let slots = bytes.chunks_exact(SLOT).zip(0..).filter(|_| read);
    slots
        .filter(|(slot, _)| u64::read_from_prefix(slot).is_ok_and(|(base, _)| base != 0))
        .map(|(slot, index)| (index, crate::trace::name(&slot[NAME..NAME + 16])))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn window(records: u32, written: u64) -> Window {
        let mut window = Window::new(LARGE).unwrap();
        let says = KnTraceWindow {
            records,
            rings: 1,
            ..window.says
        };
        window.say(says);
        let slice = window.region.as_volatile_slice();
        slice
            .write_slice(&written.to_le_bytes(), RINGS as usize)
            .unwrap();
        for place in 0..u64::from(records) {
            // The newest record of each place.
            let rounds = written.saturating_sub(place + 1) / u64::from(records);
            let number = rounds * u64::from(records) + place;
            let at = RINGS + (place + 1) * RECORD;
            slice
                .write_slice(&number.to_le_bytes(), at as usize)
                .unwrap();
        }
        window
    }

    fn numbers(ring: &Ring) -> Vec<u64> {
        let words = ring.bytes.chunks_exact(RECORD as usize);
        words
            .map(|record| u64::read_from_prefix(record).unwrap().0)
            .collect()
    }

    #[test]
    fn records_come_oldest_first_and_the_lost_ones_are_counted() {
        let few = window(16, 5).records(0).unwrap();
        assert_eq!((few.lost, numbers(&few)), (0, (0..5).collect()));
        // The place that is written next is not read: with sixteen places fifteen are sure.
        let full = window(16, 16).records(0).unwrap();
        assert_eq!((full.lost, numbers(&full)), (1, (1..16).collect()));
        let round = window(16, 1000).records(0).unwrap();
        assert_eq!((round.lost, numbers(&round)), (985, (985..1000).collect()));
    }

    proptest! {
        #[test]
        fn whatever_a_guest_says_it_wrote_is_read_in_bounds(written: u64, shift in 4u32..12) {
            let ring = window(1 << shift, written).records(0).unwrap();
            let count = ring.bytes.len() as u64 / RECORD;
            prop_assert!(count <= 1 << shift);
            prop_assert_eq!(ring.lost.saturating_add(count), written);
        }
    }
}
