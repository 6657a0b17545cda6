//! The boot, from the door to the first thread.
//!
//! Order matters: records are copied before memory is given out, tables are built before the direct map is used, all tables of the Nucleus are
//! allocated before the frame allocator gets the rest.

use crate::boot::{BootRecord, Range};
use crate::command_line::{self, CommandLine, Fabric, Log};
use crate::frames::Frames;
use crate::machine::X86;
use crate::paging::{self, DIRECT, KBASE, NO_EXECUTE, REGISTERS, Tables, UNCACHED, WRITE};
use crate::random::Random;
use crate::serial::{self, Serial, say};
use crate::stacks::{Stacks, USER_PAGES};
use crate::{
    apic, archive, calls, clock, context, cpu, early, panic, processor, shootdown, site, smp,
    traps, upcalls,
};
use alloc::vec;
use alloc::vec::Vec;
use chorus_abi::machine::Mark;
use chorus_abi::net::{KnNetSeat, NET_CLEAR};
use chorus_abi::{K_DEV_SERIAL, KnDevDesc};
use chorus_nucleus_core::{Configuration, Limits, Nucleus};
use core::cell::UnsafeCell;

const IO_APICS: [u64; 2] = [0xfec0_0000, 0xfec1_0000];
const VIRTIO_MAGIC: u32 = 0x7472_6976;

#[unsafe(no_mangle)]
extern "C" fn boot_processor(start_info: u64) -> ! {
    clock::start();
    Serial::prepare();
    // SAFETY: the doors' contract: low memory is mapped to itself.
    let Some(record) = (unsafe { BootRecord::copy(start_info) }) else {
        panic!("no start record at {start_info:#x}")
    };
    let line = command_line::parse(record.line());
    let image_end = paging::image().end - KBASE;
    open_early(&record, image_end, line.zeroed);
    let Some(root) = paging::build(record.memory()) else {
        panic!("too little memory for page tables")
    };
    cpu::protect();
    // SAFETY: the new tables map the image where it runs, with what each section needs; the stack is in its data.
    unsafe { cpu::set_cr3(root) };
    shootdown::KERNEL_ROOT.store(root, core::sync::atomic::Ordering::Relaxed);
    // SAFETY: `build` made the tables.
    run(&record, line, unsafe { Tables::new(root) })
}

/// Opens the RAM behind the image up to the archive, or to the end of the range.
fn open_early(record: &BootRecord, image_end: u64, zeroed: bool) {
    let Some(range) = record
        .memory()
        .iter()
        .find(|range| range.start < image_end && image_end < range.end)
    else {
        panic!("the memory map has no range for the image")
    };
    let archive = record.archive;
    let (mut start, mut end) = (image_end, range.end.min(2 << 30));
    if archive.start < archive.end && archive.end > start && archive.start < end {
        // An archive right behind the image pushes the tables behind it.
        if archive.start < start + (2 << 20) {
            start = archive.end.next_multiple_of(4096)
        } else {
            end = archive.start & !4095
        }
    }
    early::open(start, end, zeroed);
}

fn run(record: &BootRecord, line: CommandLine, kernel: Tables) -> ! {
    map_registers(kernel, &line);
    traps::prepare();
    apic::detect();
    // A machine without an IOAPIC has no 8259 either.
    if !line.msi {
        apic::mask_8259();
    }
    let limits = Limits {
        outside: line.outside,
        ..Limits::default()
    };
    assert!(
        limits.threads <= upcalls::THREADS,
        "more threads than chains"
    );
    let mut stacks = Stacks::new(limits.threads + 8 * line.vcpus);
    let mut new_stack = |pages| match stacks.take(kernel, pages, early::table_direct) {
        Some(stack) => stack,
        None => panic!("too little memory for kernel stacks"),
    };
    let idle: Vec<_> = (0..line.vcpus)
        .map(|index| {
            processor::create(index, [(); 3].map(|()| new_stack(2).top()));
            new_stack(USER_PAGES)
        })
        .collect();
    smp::set_up_own(0);
    panic::PROCESSORS_LOADED.store(true, core::sync::atomic::Ordering::Relaxed);
    let clock_source = clock::calibrate(line.tsc_khz);
    let cpus = smp::start(line.vcpus, line.direct, kernel.root, |index| {
        idle[index].top()
    });
    if line.log != Log::Quiet {
        say!(
            "chorus nucleus {}: site {} of {}, {cpus} processors, clock {} kHz ({clock_source})",
            env!("CARGO_PKG_VERSION"),
            line.site,
            line.sites,
            clock::khz()
        );
    }
    if cpus < line.vcpus {
        say!("only {cpus} of {} processors answered", line.vcpus);
    }
    if let Some(own) = processor::get(0) {
        own.idle_stack.set(context::prepare_idle(idle[0]));
    }
    let configuration = Configuration {
        site: line.site,
        sites: line.sites,
        epoch: line.epoch,
        cpus,
        secret: line.secret.unwrap_or_else(|| Random::secret(line.seed)),
        fabric: KnNetSeat {
            key: match line.fabric {
                Fabric::Key(key) => key,
                Fabric::Clear => [0; 32],
                Fabric::Untold => Random::fabric_key(line.seed),
            },
            generation: line.generation,
            flags: match line.fabric {
                Fabric::Clear => NET_CLEAR,
                Fabric::Key(_) | Fabric::Untold => 0,
            },
        },
        limits,
    };
    let machine = machine(record, &line, kernel, stacks, limits);
    let mut nucleus = Nucleus::new(machine, configuration);
    fill_frames(record, line.zeroed, &mut nucleus.machine.frames);
    if line.log == Log::Debug {
        describe(&nucleus.machine);
    }
    site::install(nucleus);
    serial::mark(Mark::NucleusReady as u32);
    load_actors(record.archive);
    release_archive(record);
    begin()
}

/// Tells what the site found and what it took.
fn describe(machine: &X86) {
    let (free, total) = machine.frames.counts();
    say!(
        "memory: {} KiB of {} KiB free, {} KiB of tables",
        free * 4,
        total * 4,
        early::used() >> 10
    );
    for device in &machine.devices {
        let sort = match device.device_id {
            K_DEV_SERIAL => "serial line",
            _ => "virtio",
        };
        say!(
            "device: {sort} {} at {:#x}, interrupt {}",
            device.device_id,
            device.base,
            device.irq
        );
    }
}

/// Leaves the boot stack for the first thread, or for idling.
fn begin() -> ! {
    let nucleus = site::enter_briefly();
    // The boot itself counts as a thread that is gone: nobody comes back to this stack.
    processor::this().current.set(usize::MAX - 1);
    let next = match nucleus.schedule(0) {
        chorus_nucleus_core::Next::Thread(thread) => thread,
        _ => processor::IDLE,
    };
    context::switch(&mut nucleus.machine, processor::this(), next, 0);
    unreachable!("the boot was resumed")
}

/// Maps what the Nucleus itself looks at of the machine: APICs and the devices' registers.
fn map_registers(kernel: Tables, line: &CommandLine) {
    let pages = [apic::PHYSICAL].into_iter().chain(IO_APICS).chain(
        line.devices[..line.device_count]
            .iter()
            .map(|device| device.base & !4095),
    );
    for (index, physical) in pages.enumerate() {
        // SAFETY: device registers, by addresses that nothing else uses.
        let done = unsafe {
            kernel.map(
                REGISTERS + index as u64 * 4096,
                physical,
                WRITE | NO_EXECUTE | UNCACHED,
                4096,
                early::table_direct,
            )
        };
        assert!(done.is_some(), "too little memory for page tables");
    }
}

/// The devices that are really there.
fn devices(line: &CommandLine) -> Vec<KnDevDesc> {
    let mut found = Vec::with_capacity(line.device_count + 1);
    for (index, device) in line.devices[..line.device_count].iter().enumerate() {
        let registers = REGISTERS + (3 + index as u64) * 4096 + device.base % 4096;
        // SAFETY: `map_registers` mapped the page; reading identification registers has no effect.
        let [magic, id] =
            [0, 8].map(|offset| unsafe { ((registers + offset) as *const u32).read_volatile() });
        if magic == VIRTIO_MAGIC && id != 0 {
            found.push(KnDevDesc {
                base: device.base,
                size: device.size,
                irq: device.irq,
                device_id: id,
            });
        }
    }
    // A line of the machine's owner is believed: a port that nobody answers at reads as ones.
    found.extend(line.serial.map(|serial| KnDevDesc {
        base: serial.base,
        size: serial.size,
        irq: serial.irq,
        device_id: K_DEV_SERIAL,
    }));
    found
}

fn machine(
    record: &BootRecord,
    line: &CommandLine,
    kernel: Tables,
    stacks: Stacks,
    limits: Limits,
) -> X86 {
    let highest = record
        .memory()
        .iter()
        .map(|range| range.end)
        .max()
        .unwrap_or(0);
    let Some(stub_page) = early::table_direct() else {
        panic!("too little memory for the stub page")
    };
    // SAFETY: a fresh page.
    unsafe { ((DIRECT + stub_page) as *mut [u8; 4096]).write(calls::stub_page()) };
    X86 {
        frames: Frames::new((highest / 4096) as usize),
        kernel,
        spaces: vec![None; limits.actors + 1],
        contexts: vec![None; limits.threads],
        stacks,
        random: Random::new(line.seed, line.site),
        devices: devices(line),
        stub_page,
        msi: line.msi,
        log: line.log,
        latest: 0,
        lately: crate::lately::Lately::new(),
        scratch: [const { UnsafeCell::new(0) }; crate::entry::MAX_CPUS],
    }
}

/// The pages of the archive.
fn archive_pages(record: &BootRecord) -> Range {
    Range {
        start: record.archive.start & !4095,
        end: record.archive.end.next_multiple_of(4096),
    }
}

/// Gives the frame allocator all RAM above 1 MiB but the image, what was allocated so far, and the archive.
fn fill_frames(record: &BootRecord, zeroed: bool, frames: &mut Frames) {
    let left = early::seal();
    let archive = archive_pages(record);
    if zeroed {
        frames.promise_zeros((left.start / 4096) as u32..(left.end / 4096) as u32);
    }
    let used = [
        Range {
            start: 0,
            end: 1 << 20,
        },
        Range {
            start: 1 << 20,
            end: paging::image().end - KBASE,
        },
        Range {
            start: early::opened(),
            end: left.start,
        },
        archive,
    ];
    for range in record.memory() {
        let mut start = range.start;
        while start < range.end {
            // The next thing in the way, or the end of the range.
            match used
                .iter()
                .filter(|other| other.start < other.end && other.end > start)
                .min_by_key(|other| other.start.max(start))
            {
                Some(other) if other.start <= start => start = other.end,
                Some(other) if other.start < range.end => {
                    frames.add((start / 4096) as u32..(other.start / 4096) as u32);
                    start = other.end;
                }
                _ => {
                    frames.add((start / 4096) as u32..(range.end / 4096) as u32);
                    break;
                }
            }
        }
    }
}

/// Gives the allocator the archive, when everything in it has been loaded. Our VMM puts it right behind the image, so that its pages are the next ones used.
fn release_archive(record: &BootRecord) {
    let archive = archive_pages(record);
    // Who made the record may say anything: only what lies wholly in RAM behind the image is one.
    let inside = |range: &Range| range.start <= archive.start && archive.end <= range.end;
    let behind = archive.start >= paging::image().end - KBASE;
    if behind && archive.start < archive.end && record.memory().iter().any(inside) {
        let nucleus = site::enter_briefly();
        let pages = (archive.start / 4096) as u32..(archive.end / 4096) as u32;
        nucleus.machine.frames.add(pages);
        site::leave();
    }
}

/// Starts what `boot.conf` lists. A line that fails is told and does not stop the boot.
fn load_actors(range: Range) {
    let size = range.end.saturating_sub(range.start) as usize;
    if size == 0 {
        say!("no boot archive: nothing to run");
        return;
    }
    // SAFETY: the archive lies in RAM that is not given out.
    let bytes = unsafe { core::slice::from_raw_parts((DIRECT + range.start) as *const u8, size) };
    let Some(text) =
        archive::find(bytes, "boot.conf").and_then(|text| core::str::from_utf8(text).ok())
    else {
        say!("the boot archive has no readable boot.conf: nothing to run");
        return;
    };
    for entry in archive::boot_lines(text) {
        let boot = match entry {
            Ok(boot) => boot,
            Err(line) => {
                say!("boot.conf: not understood: {line}");
                continue;
            }
        };
        let Some(image) = archive::find(bytes, boot.file) else {
            say!(
                "boot.conf: {}: the archive has no file {}",
                boot.name,
                boot.file
            );
            continue;
        };
        let nucleus = site::enter_briefly();
        let result = nucleus.load_boot_actor(boot.name, boot.kind, boot.priority, boot.rest, image);
        site::leave();
        if let Err(error) = result {
            say!("boot.conf: {}: not started: {error:?}", boot.name);
        }
    }
}
