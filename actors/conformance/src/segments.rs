//! Segments and their mapper, which is a thread of this actor (spec 3.9, 4.5).

use crate::verdict::{OWN, Verdict, call};
use alloc::sync::Arc;
use chorus_abi::error::*;
use chorus_abi::*;
use chorus_runtime::exception::{ROOM, Report, Verdict as What, answer, report_to};
use chorus_runtime::mapper::{self, Access, Segments};
use chorus_runtime::message::Buffer;
use chorus_runtime::port::Port;
use chorus_runtime::{at, at_mut, start_info, thread};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use core::time::Duration;

const PAGE: u64 = PAGE_SIZE;
/// Keys: a segment whose pages begin with their number, one that is refused, and one whose mapper dies of it.
const GOOD: u64 = 1;
const REFUSED: u64 = 2;
const DEADLY: u64 = 3;

/// What the mapper did.
#[derive(Default)]
struct Log {
    pulls: AtomicU64,
    pushes: AtomicU64,
    accesses: AtomicU64,
    pushed: AtomicU64,
    dies: AtomicBool,
}

struct Numbers(Arc<Log>);

impl Segments for Numbers {
    fn pull_in(&mut self, key: u64, offset: u64, pages: &mut [u8]) -> Result<Access, i32> {
        self.0.pulls.fetch_add(1, SeqCst);
        match key {
            GOOD => {
                for (index, page) in pages.chunks_exact_mut(PAGE as usize).enumerate() {
                    let number = offset / PAGE + index as u64;
                    page[..8].copy_from_slice(&number.to_le_bytes());
                    page[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
                }
                Ok(Access::Read)
            }
            DEADLY => {
                self.0.dies.store(true, SeqCst);
                Ok(Access::Read)
            }
            _ => Err(-77),
        }
    }

    fn push_out(&mut self, _: u64, _: u64, bytes: &[u8]) -> Result<(), i32> {
        self.0.pushes.fetch_add(1, SeqCst);
        let word = bytes
            .first_chunk()
            .map_or(0, |word| u64::from_le_bytes(*word));
        self.0.pushed.store(word, SeqCst);
        Ok(())
    }

    fn store(&mut self, _: u64, _: u64, _: u64) -> Result<(), i32> {
        self.0.accesses.fetch_add(1, SeqCst);
        Ok(())
    }

    fn goes_on(&mut self) -> bool {
        !self.0.dies.load(SeqCst)
    }
}

fn load(address: u64) -> u64 {
    // SAFETY: the tests load from regions of theirs only.
    unsafe { (address as *const u64).read_volatile() }
}

fn store(address: u64, value: u64) {
    // SAFETY: the tests store to writable regions of theirs only.
    unsafe { (address as *mut u64).write_volatile(value) }
}

struct Part(KnObjDesc);

impl Part {
    fn of(ui: KnUniqueId, key: u64, offset: u64, size: u64) -> Part {
        Part(KnObjDesc {
            data_object: KnCap { ui, key },
            start_offset: offset,
            size,
        })
    }

    fn region(&self, copy: bool, pages: u64) -> u64 {
        let mut region = KnRgnDesc {
            size: pages * PAGE,
            options: K_WRITABLE | K_ANYWHERE,
            ..KnRgnDesc::default()
        };
        let (to, from) = (InOut::new(at_mut(&mut region)), In::new(at(&self.0)));
        let result = match copy {
            true => call!(rgn_init, OWN, to, from),
            false => call!(rgn_map, OWN, to, from),
        };
        if result == K_OK { region.start_addr } else { 0 }
    }

    fn read(&self) -> Result<u64, i32> {
        let mut word = 0u64;
        match call!(sg_read, In::new(at(&self.0)), OWN, at_mut(&mut word), 0) {
            8 => Ok(word),
            error => Err(error),
        }
    }

    fn write(&self, word: u64) -> i32 {
        call!(sg_write, OWN, at(&word), In::new(at(&self.0)), 0)
    }

    fn flush(&self, flags: u32) -> i32 {
        call!(sg_flush, In::new(at(&self.0)), flags, 0)
    }
}

/// Checks them.
pub fn check(verdict: &mut Verdict) {
    let log = Arc::new(Log::default());
    let Ok(port) = Port::create() else {
        return verdict.check("segments", false);
    };
    let ui = port.ui();
    let mut segments = Numbers(log.clone());
    let served = thread::spawn(0, move || {
        let _ = mapper::serve(&port, &mut segments);
    });
    verdict.check("segments", served.is_ok());
    let all = Part::of(ui, GOOD, 0, 0);
    let mut stat = KnLcStat::default();
    let cap = all.0.data_object;
    let mut here = || call!(sg_stat, In::new(at(&cap)), Out::new(at_mut(&mut stat)));
    verdict.check("NC-252", here() == K_EUNKNOWN);
    let [one, other] = [(); 2].map(|()| Part::of(ui, GOOD, 4 * PAGE, 0).region(false, 3));
    let none = log.pulls.load(SeqCst);
    let seen = (one != 0 && other != 0).then(|| load(one));
    verdict.check(
        "NC-242",
        (none, seen, log.pulls.load(SeqCst)) == (0, Some(4), 1),
    );
    if seen.is_none() {
        return;
    }
    verdict.check("NC-243", load(other) == 4 && log.pulls.load(SeqCst) == 1);
    store(one, 40);
    verdict.check(
        "NC-244",
        load(other) == 40 && log.accesses.load(SeqCst) == 1,
    );
    let word = Part::of(ui, GOOD, 4 * PAGE, 8);
    verdict.check("NC-245", word.read() == Ok(40));
    verdict.check("NC-246", word.write(41) == 8 && load(one) == 41);
    let clean = load(one + PAGE);
    let flushed = all.flush(0);
    let pushes = log.pushes.load(SeqCst);
    verdict.check("NC-247", flushed == K_OK && log.pushed.load(SeqCst) == 41);
    verdict.check(
        "NC-248",
        clean == 5 && pushes == 1 && all.flush(0) == K_OK && log.pushes.load(SeqCst) == 1,
    );
    let copy = Part::of(ui, GOOD, 4 * PAGE, PAGE + 8).region(true, 2);
    verdict.check(
        "NC-251",
        copy != 0 && (load(copy), load(copy + PAGE), load(copy + PAGE + 8)) == (41, 5, 0) && {
            store(copy, 9);
            store(one, 42);
            (load(copy), load(other), all.flush(0)) == (9, 42, K_OK)
                && (log.pushes.load(SeqCst), log.pushed.load(SeqCst)) == (2, 42)
        },
    );
    if start_info().kind == K_USERACTOR {
        verdict.check("NC-258 user", all.flush(K_NOACCESS) == K_EPRIV);
    } else {
        let before = log.pulls.load(SeqCst);
        let flushed = all.flush(K_NOACCESS);
        let again = load(one);
        verdict.check(
            "NC-258",
            flushed == K_OK && again == 4 && log.pulls.load(SeqCst) == before + 1,
        );
    }
    // A call whose argument is in a page that is not here.
    let before = log.pulls.load(SeqCst);
    // SAFETY: the Nucleus writes to a region of this test's.
    let told = unsafe { chorus_runtime::raw::sys_time(Out::new(one + 2 * PAGE)) };
    verdict.check(
        "a call waits for its pages",
        told == K_OK
            && log.pulls.load(SeqCst) == before + 1
            && load(one + 2 * PAGE + 8) != u64::MAX,
    );
    for (start, pages) in [(one, 3), (other, 3), (copy, 2)] {
        let region = KnRgnDesc {
            start_addr: start,
            size: pages * PAGE,
            ..KnRgnDesc::default()
        };
        call!(rgn_free, OWN, In::new(at(&region)));
    }
    // What is left to be pushed out is, by and by; then nothing is here.
    let gone = (0..250).any(|_| {
        let _ = thread::sleep(Duration::from_millis(20));
        let mut stat = KnLcStat::default();
        call!(sg_stat, In::new(at(&cap)), Out::new(at_mut(&mut stat))) == K_EUNKNOWN
    });
    verdict.check("segment left", gone);
    verdict.check(
        "NC-249 of a call",
        Part::of(ui, REFUSED, 0, 8).read() == Err(K_EMAPPER),
    );
    verdict.check(
        "NC-250 of a call",
        Part::of(ui, DEADLY, 0, 8).read() == Err(K_EMAPPER)
            && Part::of(ui, GOOD, 0, 8).read() == Err(K_EUNKNOWN),
    );
}

/// What a thread of this actor takes that touches the first page of a segment: the exception's number, if its report is about that page.
fn exception(port: &Port, ui: KnUniqueId, key: u64) -> Option<i32> {
    let place = Part::of(ui, key, 0, 0).region(false, 1);
    if place == 0 {
        return None;
    }
    let _ = thread::spawn(0, move || {
        load(place + 8);
    });
    let mut buffer = Buffer::with_room(ROOM);
    let came = port.receive(&mut buffer, Some(Duration::from_secs(5)));
    let report = came.ok().and_then(|_| Report::of(&buffer))?;
    let about = report.what.fault_addr & !(PAGE - 1) == place;
    let _ = answer(What::Delete);
    let region = KnRgnDesc {
        start_addr: place,
        size: PAGE,
        ..KnRgnDesc::default()
    };
    call!(rgn_free, OWN, In::new(at(&region)));
    about.then_some(report.what.exc_no)
}

/// Checks what a mapper that refuses, or that is deleted in the middle, does to threads that touch its pages.
pub fn faults(verdict: &mut Verdict) {
    let log = Arc::new(Log::default());
    let (Ok(reports), Ok(port)) = (Port::create(), Port::create()) else {
        return verdict.check("portCreate", false);
    };
    let mut own = KnCap::default();
    call!(actor_self, Out::new(at_mut(&mut own)));
    let ui = port.ui();
    let mut segments = Numbers(log.clone());
    let served = thread::spawn(0, move || {
        let _ = mapper::serve(&port, &mut segments);
    });
    let told = report_to(&own, Some(reports.ui()));
    verdict.check("a mapper", served.is_ok() && told.is_ok());
    let refused = exception(&reports, ui, REFUSED);
    verdict.check("NC-249", refused == Some(9) && log.pulls.load(SeqCst) == 1);
    let deleted = exception(&reports, ui, DEADLY);
    verdict.check("NC-250", deleted == Some(9) && log.dies.load(SeqCst));
    let _ = report_to(&own, None);
}
