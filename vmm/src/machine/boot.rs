//! What a guest finds at its first instruction (docs/contracts.md, "Boot: VMM → Nucleus").
//!
//! Descriptor table, page tables, `hvm_start_info` with memory map and module list, command line, boot archive; and the registers that each vCPU
//! starts with, all of them in 64-bit mode at the image's entry.

use super::{Error, memory};
use chorus_abi::machine::{VIRTIO_MMIO_BASE, VIRTIO_MMIO_IRQ};
use kvm_bindings::{kvm_dtable, kvm_regs, kvm_segment, kvm_sregs};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

const GDT: u64 = 0x500;
const START_INFO: u64 = 0x6000;
const MODULES: u64 = 0x6040;
const MEMORY_MAP: u64 = 0x6080;
const COMMAND_LINE: u64 = 0x7000;
const TABLES: u64 = 0x9000;
const COMMAND_LINE_MAX: usize = 4095;
const START_MAGIC: u32 = 0x336e_c578;

/// Flat segments: null, code (64-bit), data.
const DESCRIPTORS: [u64; 3] = [0, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff];

/// Speed of a clock that is right, in millionths.
pub const TRUE_SPEED: u32 = 1_000_000;

/// What a site is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Number of the site.
    pub site: u16,
    /// Sites configured.
    pub sites: u16,
    /// vCPUs.
    pub vcpus: u32,
    /// Incarnation.
    pub epoch: u16,
    /// Seed of the site's random source.
    pub seed: u64,
    /// Clock of the time-stamp counter, if known.
    pub tsc_khz: Option<u32>,
    /// How fast the site's clock is to go, in millionths of the true speed.
    pub clock: u32,
    /// Further words.
    pub extra: String,
}

impl Parameters {
    /// Makes the clock go at the speed that was asked for: the site is told a frequency by which it counts a second too late, or too early. Errors: the frequency is
    /// not known, and the clock is to be another than the true one.
    pub fn set_clock(&mut self) -> Result<(), Error> {
        if self.clock == TRUE_SPEED {
            return Ok(());
        }
        let told = self.tsc_khz.and_then(|khz| {
            let khz = u64::from(khz) * u64::from(TRUE_SPEED) / u64::from(self.clock.max(1));
            u32::try_from(khz).ok()
        });
        if told.is_none() {
            return Err(Error::Shape(
                "its clock cannot be another than the true one: this KVM does not tell the frequency of the time-stamp counter".into(),
            ));
        }
        self.tsc_khz = told;
        Ok(())
    }

    /// The command line. Errors: it is too long.
    pub fn command_line(&self) -> Result<String, Error> {
        let mut line = format!(
            "chorus.site={} chorus.sites={} chorus.vcpus={} chorus.epoch={} chorus.seed={:x} chorus.direct chorus.msi chorus.zeroed virtio_mmio.device=4K@{VIRTIO_MMIO_BASE:#x}:{VIRTIO_MMIO_IRQ}",
            self.site, self.sites, self.vcpus, self.epoch, self.seed
        );
        if let Some(khz) = self.tsc_khz {
            line += &format!(" chorus.tsc_khz={khz}");
        }
        if !self.extra.is_empty() {
            line = line + " " + &self.extra;
        }
        if line.len() > COMMAND_LINE_MAX {
            return Err(Error::Shape(format!(
                "the command line of {} bytes is longer than {COMMAND_LINE_MAX}",
                line.len()
            )));
        }
        Ok(line)
    }
}

/// Writes all of it. `image_end` is one past the image's last byte. Errors: memory is too small.
pub fn prepare(
    memory: &GuestMemoryMmap,
    parameters: &Parameters,
    archive: &[u8],
    image_end: u64,
) -> Result<(), Error> {
    let size = memory::size(memory);
    let room = (archive.len() as u64).next_multiple_of(4096);
    // Right behind the image: the Nucleus gives its pages to actors when it has loaded what is in it, and takes the lowest first.
    let archive_at = image_end.next_multiple_of(4096);
    if archive_at.checked_add(room).is_none_or(|end| end > size) {
        return Err(Error::Shape(format!(
            "{} MiB are too little for the Nucleus and a boot archive of {} KiB",
            size >> 20,
            room >> 10
        )));
    }
    let mut writer = Writer {
        memory,
        sound: true,
    };
    for (index, descriptor) in DESCRIPTORS.iter().enumerate() {
        writer.words64(GDT + index as u64 * 8, &[*descriptor]);
    }
    writer.page_tables();
    let line = parameters.command_line()?;
    writer.bytes(COMMAND_LINE, line.as_bytes());
    writer.bytes(archive_at, archive);
    writer.words32(START_INFO, &[START_MAGIC, 1, 0, 1]);
    writer.words64(START_INFO + 16, &[MODULES, COMMAND_LINE, 0, MEMORY_MAP]);
    writer.words32(START_INFO + 48, &[1, 0]);
    writer.words64(MODULES, &[archive_at, archive.len() as u64, 0, 0]);
    writer.words64(MEMORY_MAP, &[0, size]);
    writer.words32(MEMORY_MAP + 16, &[1, 0]);
    if writer.sound {
        Ok(())
    } else {
        Err(Error::Shape(
            "the boot records do not fit into memory".to_owned(),
        ))
    }
}

struct Writer<'a> {
    memory: &'a GuestMemoryMmap,
    sound: bool,
}

impl Writer<'_> {
    fn bytes(&mut self, at: u64, bytes: &[u8]) {
        self.sound &= self.memory.write_slice(bytes, GuestAddress(at)).is_ok();
    }
    fn words32(&mut self, at: u64, words: &[u32]) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.bytes(at, &bytes);
    }
    fn words64(&mut self, at: u64, words: &[u64]) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.bytes(at, &bytes);
    }

    /// Identity for 4 GiB, and the top 2 GiB on the first 2 GiB, by pages of 2 MiB. One directory-pointer table serves both.
    fn page_tables(&mut self) {
        const TABLE: u64 = 0x3;
        const PAGE: u64 = 0x83;
        let pointers = TABLES + 0x1000;
        let directory = |index: u64| TABLES + 0x2000 + index * 0x1000;
        self.words64(TABLES, &[pointers | TABLE]);
        self.words64(TABLES + 511 * 8, &[pointers | TABLE]);
        for index in 0..4 {
            self.words64(pointers + index * 8, &[directory(index) | TABLE]);
            let pages: Vec<u64> = (0..512)
                .map(|page| (index * 512 + page) << 21 | PAGE)
                .collect();
            self.words64(directory(index), &pages);
        }
        for index in 0..2 {
            self.words64(pointers + (510 + index) * 8, &[directory(index) | TABLE]);
        }
    }
}

/// General registers of a vCPU at its start.
pub fn registers(entry: u64, vcpu: u32) -> kvm_regs {
    kvm_regs {
        rip: entry,
        rdi: START_INFO,
        rsi: u64::from(vcpu),
        rflags: 2,
        ..Default::default()
    }
}

/// Changes the system registers that KVM gave a vCPU to those of the contract.
pub fn system_registers(registers: &mut kvm_sregs) {
    let segment = |selector: u16, code: bool| kvm_segment {
        base: 0,
        limit: 0xffff_ffff,
        selector,
        type_: if code { 11 } else { 3 },
        present: 1,
        dpl: 0,
        db: u8::from(!code),
        s: 1,
        l: u8::from(code),
        g: 1,
        ..Default::default()
    };
    registers.cs = segment(8, true);
    let data = segment(16, false);
    (
        registers.ds,
        registers.es,
        registers.fs,
        registers.gs,
        registers.ss,
    ) = (data, data, data, data, data);
    registers.gdt = kvm_dtable {
        base: GDT,
        limit: DESCRIPTORS.len() as u16 * 8 - 1,
        ..Default::default()
    };
    registers.idt = kvm_dtable::default();
    registers.cr0 = 0x8001_0033;
    registers.cr3 = TABLES;
    registers.cr4 = 0x620;
    registers.efer = 0xd00;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters() -> Parameters {
        Parameters {
            site: 3,
            sites: 8,
            vcpus: 2,
            epoch: 7,
            seed: 0xabc,
            tsc_khz: Some(2_445_000),
            clock: TRUE_SPEED,
            extra: String::new(),
        }
    }

    #[test]
    fn a_slow_clock_counts_more_ticks_a_second() {
        let told = |clock, tsc_khz| {
            let mut parameters = Parameters {
                clock,
                tsc_khz,
                ..parameters()
            };
            parameters.set_clock().map(|()| parameters.tsc_khz)
        };
        assert_eq!(told(TRUE_SPEED, Some(1000)).unwrap(), Some(1000));
        assert_eq!(told(TRUE_SPEED / 2, Some(1000)).unwrap(), Some(2000));
        assert_eq!(told(TRUE_SPEED * 4, Some(1000)).unwrap(), Some(250));
        assert_eq!(told(TRUE_SPEED, None).unwrap(), None);
        assert!(told(900_000, None).is_err());
    }

    #[test]
    fn the_records_are_where_the_contract_says() {
        let memory = memory::create(16 << 20).unwrap();
        prepare(&memory, &parameters(), b"archive", 2 << 20).unwrap();
        let word = |at: u64| memory.read_obj::<u64>(GuestAddress(at)).unwrap();
        assert_eq!(word(START_INFO) as u32, START_MAGIC);
        let (module, size) = (word(MODULES), word(MODULES + 8));
        assert_eq!((module, size), (2 << 20, 7));
        assert_eq!(word(MEMORY_MAP + 8), 16 << 20);
        let mut line = [0; 27];
        memory
            .read_slice(&mut line, GuestAddress(COMMAND_LINE))
            .unwrap();
        assert_eq!(&line, b"chorus.site=3 chorus.sites=");
        // 0xffffffff80200000 and 0x200000 are the same page.
        let walk = |address: u64| {
            let pointers = word(TABLES + (address >> 39 & 511) * 8) & !0xfff;
            let directory = word(pointers + (address >> 30 & 511) * 8) & !0xfff;
            word(directory + (address >> 21 & 511) * 8) & !0xfff
        };
        assert_eq!(
            (
                walk(0xffff_ffff_8020_0000),
                walk(0x20_0000),
                walk(0xffe0_0000)
            ),
            (0x20_0000, 0x20_0000, 0xffe0_0000)
        );
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let memory = memory::create(8 << 20).unwrap();
        assert!(prepare(&memory, &parameters(), &vec![0; 7 << 20], 2 << 20).is_err());
        let long = Parameters {
            extra: "x".repeat(5000),
            ..parameters()
        };
        assert!(prepare(&memory, &long, b"", 2 << 20).is_err());
        assert!(
            memory::create(4096).is_err()
                && memory::create(4 << 30).is_err()
                && memory::create((8 << 20) + 1).is_err()
        );
    }
}
