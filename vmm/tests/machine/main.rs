//! The machine on real KVM, with guests of a few instructions: what comes out, how each kind of end is told, pause and kill, the network.
//!
//! Where KVM is not faithful the program boots the emulated host and runs itself there, once for all tests. `CHORUS_TEST_KVM=1` runs them on the
//! KVM of this machine instead. Where neither can be, the tests count as skipped; with `CHORUS_EXPECT_EMULATED` set they fail then.

mod guests;

use chorus::debug::inferior::{Cause, DebugRegisters, Inferior, Motion};
use chorus::fabric::Switch;
use chorus::host::{self, emulated};
use chorus::machine::boot::{Parameters, TRUE_SPEED};
use chorus::machine::{self, Ending, Event, Site, SiteConfig};
use kvm_ioctls::Kvm;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

type Outcome = Result<(), Box<dyn std::error::Error>>;
type Test = (&'static str, fn(&Kvm) -> Outcome);

macro_rules! tests {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), $name)),*] };
}

const TESTS: &[Test] = tests![
    console_mark_and_exit_code_come_out,
    every_vcpu_starts_by_the_contract,
    a_triple_fault_ends_the_site_with_a_report,
    code_without_memory_ends_the_site_with_a_report,
    nothing_there_reads_as_ones_and_is_told_once,
    a_panic_is_reported_with_what_the_guest_left,
    a_wild_panic_report_is_survived,
    the_console_takes_input,
    a_spinning_site_pauses_resumes_and_dies,
    a_sleeping_site_pauses_and_dies,
    a_pause_falls_between_instructions,
    each_ends_only_the_hold_that_is_his_own,
    a_debugger_steps_and_gets_breakpoints,
    one_end_leaves_the_others_alone,
    two_sites_talk_by_interrupts,
    all_sites_have_one_clock,
    impossible_sites_are_refused,
    many_sites_come_and_go,
];

fn main() -> ExitCode {
    if emulated::is_inner() {
        emulated::inner::main();
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| word == "--list") {
        TESTS.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    if host::inside() || std::env::var_os("CHORUS_TEST_KVM").is_some() {
        return all(&words);
    }
    let missing = emulated::missing();
    if !missing.is_empty() {
        missing
            .iter()
            .for_each(|lack| eprintln!("missing: {}\n  install: {}", lack.what, lack.install));
        println!(
            "test result: ok. 0 passed; 0 failed; {} ignored; no emulated host",
            TESTS.len()
        );
        return ExitCode::from(u8::from(
            std::env::var_os("CHORUS_EXPECT_EMULATED").is_some(),
        ));
    }
    let limit = Some(Duration::from_secs(400));
    match emulated::Launch::new(words).timeout(limit).run() {
        Ok(status) => ExitCode::from(emulated::exit_code(status)),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn all(words: &[String]) -> ExitCode {
    let kvm = match Kvm::new() {
        Ok(kvm) => kvm,
        Err(error) => {
            eprintln!("/dev/kvm cannot be opened: {error}");
            return ExitCode::FAILURE;
        }
    };
    let filters: Vec<&String> = words.iter().filter(|word| !word.starts_with('-')).collect();
    let chosen =
        |name: &str| filters.is_empty() || filters.iter().any(|part| name.contains(part.as_str()));
    let (mut passed, mut failed) = (0, 0);
    for (name, test) in TESTS.iter().filter(|(name, _)| chosen(name)) {
        let start = Instant::now();
        let result = test(&kvm);
        let word = if result.is_ok() { "ok" } else { "FAILED" };
        println!(
            "test {name} ... {word} ({:.1} s)",
            start.elapsed().as_secs_f64()
        );
        match result {
            Ok(()) => passed += 1,
            Err(error) => {
                println!("{error}");
                failed += 1;
            }
        }
    }
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!("test result: {word}. {passed} passed; {failed} failed; 0 ignored");
    ExitCode::from(u8::from(failed > 0))
}

/// Long enough for an emulator that shares its processor.
const LONG: Duration = Duration::from_secs(30);

struct Running {
    site: Site,
    events: Receiver<Event>,
}

fn config(number: u16, vcpus: u32, image: Vec<u8>) -> SiteConfig {
    SiteConfig {
        name: format!("s{number}"),
        parameters: Parameters {
            site: number,
            sites: 2,
            vcpus,
            epoch: 1,
            seed: 1,
            tsc_khz: None,
            clock: TRUE_SPEED,
            extra: String::new(),
        },
        mem: 8 << 20,
        nucleus: image.into(),
        archive: Arc::from(&b""[..]),
        held: false,
    }
}

fn start_on(
    kvm: &Kvm,
    fabric: &Arc<Switch>,
    config: SiteConfig,
) -> Result<Running, machine::Error> {
    let (send, events) = channel();
    let send = Mutex::new(send);
    let told = Arc::new(move |event| {
        if let Ok(send) = send.lock() {
            let _ = send.send(event);
        }
    });
    let site = Site::start(kvm, config, fabric.clone(), told)?;
    Ok(Running { site, events })
}

fn start(kvm: &Kvm, vcpus: u32, image: Vec<u8>) -> Result<Running, Box<dyn std::error::Error>> {
    let fabric = Arc::new(Switch::perfect(64)?);
    Ok(start_on(kvm, &fabric, config(1, vcpus, image))?)
}

impl Running {
    fn next(&self) -> Result<Event, Box<dyn std::error::Error>> {
        Ok(self
            .events
            .recv_timeout(LONG)
            .map_err(|_| "nothing more came")?)
    }

    fn mark(&self) -> Result<u32, Box<dyn std::error::Error>> {
        match self.next()? {
            Event::Mark(mark) => Ok(mark),
            other => Err(format!("{other:?} instead of a mark").into()),
        }
    }

    /// Everything until the end, and the end.
    fn end(&self) -> Result<(Vec<Event>, Ending), Box<dyn std::error::Error>> {
        let mut events = Vec::new();
        loop {
            match self.next()? {
                Event::Ended(ending) => return Ok((events, ending)),
                event => events.push(event),
            }
        }
    }
}

fn check(yes: bool, what: impl std::fmt::Debug) -> Outcome {
    if yes {
        Ok(())
    } else {
        Err(format!("  seen: {what:?}").into())
    }
}

fn console_mark_and_exit_code_come_out(kvm: &Kvm) -> Outcome {
    let running = start(kvm, 1, guests::image(guests::hello(), &[]))?;
    let seen = running.end()?;
    let expected = vec![Event::Output(b"hi\n".to_vec()), Event::Mark(2)];
    check(seen == (expected, Ending::Exited(7)), seen)?;
    let marks = running.site.marks();
    check(
        matches!(&marks[..], [stamp] if (stamp.mark, stamp.vcpu) == (2, 0) && !stamp.processor.is_zero()),
        &marks,
    )?;
    // Three bytes, a mark, a breakpoint that nobody waits for, the end.
    let exits = running.site.exits_of(0);
    check(exits.contains(&("port-out", 6)), exits)
}

fn every_vcpu_starts_by_the_contract(kvm: &Kvm) -> Outcome {
    for vcpus in [1u8, 2, 4] {
        let image = guests::image(guests::count(), &[0, 0, 0, 0, vcpus, 0, 0, 0]);
        let (_, ending) = start(kvm, u32::from(vcpus), image)?.end()?;
        check(ending == Ending::Exited(vcpus), (vcpus, ending))?;
    }
    Ok(())
}

/// The end must be a failure whose report holds all of these.
fn failed_with(ending: &Ending, words: &[&str]) -> Outcome {
    match ending {
        Ending::Failed(text) if words.iter().all(|word| text.contains(word)) => Ok(()),
        _ => check(false, ending),
    }
}

fn a_triple_fault_ends_the_site_with_a_report(kvm: &Kvm) -> Outcome {
    let (_, ending) = start(kvm, 2, guests::image(guests::triple_fault(), &[]))?.end()?;
    // The registers are those of the last exit before: the mark.
    failed_with(
        &ending,
        &[
            "s1, vCPU",
            "triple fault",
            "1234567890",
            "cr3 9000",
            "at 0x00000000001000",
        ],
    )
}

fn code_without_memory_ends_the_site_with_a_report(kvm: &Kvm) -> Outcome {
    let (_, ending) = start(kvm, 1, guests::image(guests::lost(), &[]))?.end()?;
    failed_with(&ending, &["s1, vCPU 0", "rip"])
}

fn nothing_there_reads_as_ones_and_is_told_once(kvm: &Kvm) -> Outcome {
    let running = start(kvm, 1, guests::image(guests::nothing_there(), &[]))?;
    let (events, ending) = running.end()?;
    check(ending == Ending::Exited(0), &ending)?;
    check(
        matches!(&events[..], [Event::Output(text)] if text.starts_with(b"chorus: s1, vCPU 0: read of")),
        &events,
    )
}

fn a_panic_is_reported_with_what_the_guest_left(kvm: &Kvm) -> Outcome {
    let image = guests::image(guests::panic(), &guests::panic_data());
    let (_, ending) = start(kvm, 1, image)?.end()?;
    match &ending {
        Ending::Panicked(text) if text.contains("no reason") && text.contains("exception 14") => {
            Ok(())
        }
        _ => check(false, ending),
    }
}

fn a_wild_panic_report_is_survived(kvm: &Kvm) -> Outcome {
    let (_, ending) = start(kvm, 1, guests::image(guests::wild_panic(), &[]))?.end()?;
    check(
        matches!(&ending, Ending::Panicked(text) if text.contains("no readable report")),
        ending,
    )
}

fn the_console_takes_input(kvm: &Kvm) -> Outcome {
    let running = start(kvm, 1, guests::image(guests::read_console(), &[]))?;
    running.mark()?;
    check(running.site.type_in(b"A") == 1, "no room")?;
    let (_, ending) = running.end()?;
    check(ending == Ending::Exited(b'A'), ending)
}

/// What each vCPU has counted.
fn counts(running: &Running) -> Result<[u64; 2], Box<dyn std::error::Error>> {
    let mut bytes = [0; 16];
    running
        .site
        .debuggee()
        .read_physical(guests::DATA, &mut bytes)?;
    let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|index| bytes[at + index]));
    Ok([word(0), word(8)])
}

fn a_spinning_site_pauses_resumes_and_dies(kvm: &Kvm) -> Outcome {
    let running = start(kvm, 2, guests::image(guests::spin(), &[]))?;
    running.mark()?;
    running.mark()?;
    for round in 0..100 {
        check(running.site.pause(), ("not paused", round))?;
        let before = counts(&running)?;
        std::thread::sleep(Duration::from_millis(2));
        check(before == counts(&running)?, ("runs while paused", round))?;
        check(running.site.resume(), ("not resumed", round))?;
        let end = Instant::now() + LONG;
        while counts(&running)?
            .iter()
            .zip(before)
            .any(|(now, then)| *now == then)
        {
            check(Instant::now() < end, ("does not run on", round))?;
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    running.site.kill();
    let (_, ending) = running.end()?;
    check(ending == Ending::Killed, ending)?;
    check(
        !running.site.pause() && !running.site.resume(),
        "a dead site obeys",
    )
}

fn a_sleeping_site_pauses_and_dies(kvm: &Kvm) -> Outcome {
    let running = start(kvm, 2, guests::image(guests::sleep(), &[]))?;
    running.mark()?;
    running.mark()?;
    for round in 0..20 {
        check(running.site.pause() && running.site.resume(), round)?;
    }
    check(running.site.pause(), "not paused")?;
    // Killed while it stands still.
    running.site.kill();
    let (_, ending) = running.end()?;
    check(ending == Ending::Killed, ending)
}

fn a_pause_falls_between_instructions(kvm: &Kvm) -> Outcome {
    let running = start(kvm, 1, guests::image(guests::busy_port(), &[]))?;
    running.mark()?;
    let mut debuggee = running.site.debuggee();
    for round in 0..50 {
        debuggee.stop()?;
        // Never in the middle of a port's read: the answer would be lost. Registers can be set and are kept.
        let mut registers = debuggee.registers(0)?;
        check(
            (guests::CODE..guests::CODE + 64).contains(&registers.rip),
            registers.rip,
        )?;
        registers.general[8] = 0xfeed + round;
        debuggee.set_registers(0, &registers)?;
        check(
            debuggee.registers(0)? == registers,
            "registers were not kept",
        )?;
        debuggee.resume(&[Motion::Continue], DebugRegisters::default(), false)?;
    }
    Ok(())
}

fn each_ends_only_the_hold_that_is_his_own(kvm: &Kvm) -> Outcome {
    let fabric = Arc::new(Switch::perfect(64)?);
    let held = SiteConfig {
        held: true,
        ..config(1, 2, guests::image(guests::spin(), &[]))
    };
    let running = start_on(kvm, &fabric, held)?;
    let stands = |why: &str| {
        let before = counts(&running)?;
        std::thread::sleep(Duration::from_millis(100));
        check(before == counts(&running)?, why)
    };
    stands("runs although it was held from the start")?;
    check(counts(&running)? == [0, 0], "it ran before it was held")?;
    let mut debuggee = running.site.debuggee();
    debuggee.stop()?;
    check(running.site.resume(), "ended")?;
    stands("a person lets go what a debugger holds")?;
    check(running.site.pause(), "ended")?;
    debuggee.resume(&[Motion::Continue; 2], DebugRegisters::default(), false)?;
    stands("a debugger lets go what a person holds")?;
    check(counts(&running)? == [0, 0], "it ran meanwhile")?;
    check(running.site.resume(), "ended")?;
    running.mark()?;
    running.mark()?;
    running.site.kill();
    Ok(())
}

/// The next stop of a site.
fn stopped(debuggee: &mut impl Inferior) -> Result<(usize, Cause), Box<dyn std::error::Error>> {
    let end = Instant::now() + LONG;
    loop {
        if let Some(stop) = debuggee.poll()? {
            return Ok(stop);
        }
        check(Instant::now() < end, "no stop")?;
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn a_debugger_steps_and_gets_breakpoints(kvm: &Kvm) -> Outcome {
    let running = start(kvm, 2, guests::image(guests::breakpoints(), &[]))?;
    let mut debuggee = running.site.debuggee();
    // Both vCPUs report breakpoints for ever; each stop stops both.
    for round in 0..20 {
        let (vcpu, cause) = stopped(&mut debuggee)?;
        check(cause == Cause::BreakpointPort, (round, cause))?;
        let there = debuggee.registers(vcpu)?;
        check(there.general[0] == 0xb00 + vcpu as u64, there.general[0])?;
        // The other may have stopped at the same time: that stop is told too, before anything runs.
        while let Some((_, cause)) = debuggee.poll()? {
            check(cause == Cause::BreakpointPort, (round, cause))?;
        }
        for _ in 0..5 {
            let before = debuggee.registers(0)?;
            debuggee.resume(
                &[Motion::Step, Motion::Hold],
                DebugRegisters::default(),
                false,
            )?;
            let (vcpu, cause) = stopped(&mut debuggee)?;
            let after = debuggee.registers(0)?;
            check(
                vcpu == 0 && matches!(cause, Cause::Step | Cause::BreakpointPort),
                (vcpu, cause),
            )?;
            // A vCPU that reports a breakpoint still stands at its `out`: KVM completes that when it runs again.
            let moved = after.rip != before.rip;
            check(moved == (cause == Cause::Step), (round, cause, after.rip))?;
        }
        debuggee.resume(&[Motion::Continue; 2], DebugRegisters::default(), false)?;
    }
    running.site.kill();
    Ok(())
}

fn one_end_leaves_the_others_alone(kvm: &Kvm) -> Outcome {
    let fabric = Arc::new(Switch::perfect(64)?);
    let stays = start_on(
        kvm,
        &fabric,
        config(1, 1, guests::image(guests::read_console(), &[])),
    )?;
    stays.mark()?;
    let ends = start_on(
        kvm,
        &fabric,
        config(2, 2, guests::image(guests::triple_fault(), &[])),
    )?;
    failed_with(&ends.end()?.1, &["s2"])?;
    drop(ends);
    stays.site.type_in(b"B");
    let (_, ending) = stays.end()?;
    check(ending == Ending::Exited(b'B'), ending)
}

fn two_sites_talk_by_interrupts(kvm: &Kvm) -> Outcome {
    let fabric = Arc::new(Switch::perfect(64)?);
    let network = |site, peer, starts, say, hear| {
        let data = guests::network_data(site, peer, starts, say, hear);
        start_on(
            kvm,
            &fabric,
            config(site, 1, guests::image(guests::network(), &data)),
        )
    };
    for round in 0..10 {
        let asked = network(2, 1, false, *b"pong", *b"ping")?;
        let asks = network(1, 2, true, *b"ping", *b"pong")?;
        for running in [&asks, &asked] {
            let (_, ending) = running.end()?;
            // The frame can be there before the guest sleeps for it: then its interrupt is still to come.
            check(matches!(ending, Ending::Exited(0 | 1)), (round, &ending))?;
        }
        let traffic = [fabric.traffic(1), fabric.traffic(2)].map(Option::unwrap_or_default);
        check(
            traffic.iter().all(|t| (t.sent, t.received) == (1, 1)),
            traffic,
        )?;
        check(asks.site.net_counters() == (1, 0), asks.site.net_counters())?;
    }
    Ok(())
}

/// The host's time stamp counter in the unit of the guest `clock`.
fn now() -> u32 {
    // SAFETY: every x86-64 processor has RDTSC.
    (unsafe { std::arch::x86_64::_rdtsc() } >> 16) as u32
}

fn all_sites_have_one_clock(kvm: &Kvm) -> Outcome {
    let fabric = Arc::new(Switch::perfect(64)?);
    let mut last = now();
    for number in 1..=3 {
        let running = start_on(
            kvm,
            &fabric,
            config(number, 1, guests::image(guests::clock(), &[])),
        )?;
        let told = running.mark()?;
        let after = now();
        check(
            told.wrapping_sub(last) <= after.wrapping_sub(last),
            (number, last, told, after),
        )?;
        last = told;
    }
    Ok(())
}

fn impossible_sites_are_refused(kvm: &Kvm) -> Outcome {
    let fabric = Arc::new(Switch::perfect(64)?);
    let image = || guests::image(guests::hello(), &[]);
    let mut no_room = config(1, 1, image());
    no_room.archive = vec![0; 9 << 20].into();
    let mut broken = config(1, 1, image());
    broken.nucleus = Arc::from(&b"no image"[..]);
    for (config, why) in [
        (config(1, 0, image()), "vCPU"),
        (config(1, 10_000, image()), "vCPU"),
        (no_room, "too little"),
        (broken, "not an ELF"),
    ] {
        match start_on(kvm, &fabric, config) {
            Err(error) => check(error.to_string().contains(why), error.to_string())?,
            Ok(_) => check(false, why)?,
        }
    }
    check(
        fabric.traffic(1).is_none(),
        "a refused site sits on the fabric",
    )
}

fn many_sites_come_and_go(kvm: &Kvm) -> Outcome {
    let fabric = Arc::new(Switch::perfect(64)?);
    let descriptors = || std::fs::read_dir("/proc/self/fd").map(Iterator::count);
    let before = descriptors()?;
    for _ in 0..3 {
        let sites = (1..=8)
            .map(|number| {
                start_on(
                    kvm,
                    &fabric,
                    config(number, 2, guests::image(guests::spin(), &[])),
                )
            })
            .collect::<Result<Vec<_>, _>>()?;
        for running in &sites {
            running.mark()?;
        }
    }
    check(descriptors()? == before, (before, descriptors()?))
}
