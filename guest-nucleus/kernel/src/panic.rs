//! The end of a Nucleus that went wrong: a line on the console, a report for the machine, exit.
//!
//! Nothing here allocates or takes a lock. The first processor that comes here reports; all others are stopped by NMI.

use crate::paging::KBASE;
use crate::{apic, cpu, processor, serial::say};
use chorus_abi::machine::{EXIT_PANIC, KnPanicReport, PANIC_MAGIC, PORT_REPORT};
use core::cell::UnsafeCell;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

struct Report(UnsafeCell<KnPanicReport>);
// SAFETY: only the processor in `PANICKING` touches it.
unsafe impl Sync for Report {}

static REPORT: Report = Report(UnsafeCell::new(KnPanicReport {
    magic: 0,
    cpu: 0,
    vector: u32::MAX,
    error_code: 0,
    rip: 0,
    rsp: 0,
    rbp: 0,
    cr2: 0,
    cr3: 0,
    actor: 0,
    thread: 0,
    text_size: 0,
    text: [0; 256],
}));
/// The processor that reports; [`NOBODY`] while all is well.
static PANICKING: AtomicUsize = AtomicUsize::new(NOBODY);
const NOBODY: usize = usize::MAX;
/// Whether GS points at processor records yet.
pub static PROCESSORS_LOADED: AtomicBool = AtomicBool::new(false);

/// Registers at the place of the fault.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Exception vector; `u32::MAX` for a panic of the code itself.
    pub vector: u32,
    /// Its error code.
    pub error_code: u64,
    /// Instruction pointer.
    pub rip: u64,
    /// Stack pointer.
    pub rsp: u64,
    /// Frame pointer.
    pub rbp: u64,
}

/// Whether a panic is under way: what an NMI means.
pub fn under_way() -> bool {
    PANICKING.load(Ordering::Relaxed) != NOBODY
}

struct Text<'a>(&'a mut KnPanicReport);
impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let used = self.0.text_size as usize;
        let count = text.len().min(self.0.text.len() - used);
        self.0.text[used..used + count].copy_from_slice(&text.as_bytes()[..count]);
        self.0.text_size += count as u32;
        Ok(())
    }
}

/// Reports and ends the site.
pub fn die(place: Place, what: fmt::Arguments) -> ! {
    // GS may be what went wrong: a report that trusted it would fault for ever.
    let loaded = PROCESSORS_LOADED.load(Ordering::Relaxed);
    let record = if loaded { processor::recover() } else { None };
    let own = record.map_or(0, |record| record.index);
    match PANICKING.compare_exchange(NOBODY, own, Ordering::SeqCst, Ordering::SeqCst) {
        Ok(_) => {}
        // The report itself went wrong: what is in it already has to do.
        Err(first) if first == own => send(),
        Err(_) => cpu::stop(),
    }
    if record.is_some() {
        for index in (0..crate::entry::MAX_CPUS).filter(|&index| index != own) {
            if let Some(other) = processor::get(index) {
                apic::send(other.apic.get(), apic::NMI);
            }
        }
    }
    // SAFETY: `PANICKING` lets one processor through, once.
    let report = unsafe { &mut *REPORT.0.get() };
    *report = KnPanicReport {
        magic: PANIC_MAGIC,
        cpu: own as u32,
        vector: place.vector,
        error_code: place.error_code,
        rip: place.rip,
        rsp: place.rsp,
        rbp: place.rbp,
        cr2: cpu::cr2(),
        cr3: cpu::cr3(),
        actor: 0,
        thread: 0,
        text_size: 0,
        text: [0; 256],
    };
    let _ = Text(report).write_fmt(what);
    let text = core::str::from_utf8(&report.text[..report.text_size as usize])
        .unwrap_or("(text cut inside a character)");
    say!("nucleus panic on processor {}: {text}", report.cpu);
    say!(
        "  vector {:#x} error {:#x} rip {:#x} rsp {:#x} rbp {:#x} cr2 {:#x} cr3 {:#x}",
        report.vector,
        report.error_code,
        report.rip,
        report.rsp,
        report.rbp,
        report.cr2,
        report.cr3
    );
    let slot = record.map_or(processor::IDLE, |record| record.current.get());
    if slot != processor::IDLE
        // SAFETY: the slot's thread runs here, and the others were sent an NMI above.
        && let Some((actor, thread)) = unsafe { crate::site::identity(slot) }
    {
        (report.actor, report.thread) = (actor, thread);
        say!("  in thread {thread} of actor {actor:#018x}");
    }
    send()
}

/// Hands the report to the machine and ends the site.
fn send() -> ! {
    cpu::out32(PORT_REPORT, (REPORT.0.get() as u64 - KBASE) as u32);
    crate::serial::exit(EXIT_PANIC)
}

/// A panic of the Nucleus' own code.
#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    let (rsp, rbp): (u64, u64);
    // SAFETY: reads two registers.
    unsafe {
        core::arch::asm!("mov {}, rsp", "mov {}, rbp", out(reg) rsp, out(reg) rbp, options(nomem, nostack))
    };
    die(
        Place {
            vector: u32::MAX,
            error_code: 0,
            rip: panic as *const () as u64,
            rsp,
            rbp,
        },
        format_args!("{info}"),
    )
}
