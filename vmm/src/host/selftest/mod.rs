//! A guest of a few hundred bytes that shows whether a KVM runs guests faithfully, and which debug events it delivers.
//!
//! What KVM says of itself does not tell: a paravirtual one has the same capabilities and runs ring 0 in ring 3. So a guest tries
//! what the Nucleus needs: speed of ring 0, `syscall` into ring 0, a page fault, a timer interrupt. The whole test runs
//! in a thread that is kicked when a step takes too long, and left to itself should even that not help.

mod guest;
mod vm;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use kvm_bindings::{
    KVM_GUESTDBG_ENABLE, KVM_GUESTDBG_SINGLESTEP, KVM_GUESTDBG_USE_HW_BP, KVM_GUESTDBG_USE_SW_BP,
};
use kvm_ioctls::Kvm;
use serde::{Deserialize, Serialize};
use vmm_sys_util::signal::{Killable, SIGRTMIN, register_signal_handler};

use guest::{Entry, port};
use vm::{Limit, Stop, Trouble, Vm};

/// Limit on one step. A step takes 0.3 s on a busy emulated host.
const STEP_LIMIT: Duration = Duration::from_secs(5);
/// How long a step that was kicked may take to end.
const KICK_LIMIT: Duration = Duration::from_secs(2);
/// Time between two kicks.
const KICK_PAUSE: Duration = Duration::from_millis(10);
/// Number of the kick among the real-time signals.
const KICK: i32 = 9;
/// Above so many nanoseconds an instruction, ring 0 is not run by the processor. Measured: 12 on the emulated host, 760 to 820 on a
/// paravirtual KVM, below 1 on hardware.
const SLOW: f64 = 200.0;

/// The debug events that KVM hands to the VMM. What is missing here, a stand-in must do (the Nucleus' own #BP handler, stepping).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DebugSupport {
    /// `int3` in the guest ends `KVM_RUN` (`KVM_GUESTDBG_USE_SW_BP`).
    pub sw_bp_exit: bool,
    /// A breakpoint register ends `KVM_RUN` before the instruction (`KVM_GUESTDBG_USE_HW_BP`).
    pub hw_bp_exit: bool,
    /// A write watchpoint ends `KVM_RUN` after the write.
    pub watch_exit: bool,
    /// `KVM_GUESTDBG_SINGLESTEP` ends `KVM_RUN` after one instruction.
    pub single_step: bool,
}

/// What is tried, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// `syscall` from ring 3 enters ring 0.
    Syscall,
    /// Ring 0 runs at the processor's speed.
    Speed,
    /// A page fault reaches the guest's own handler, which returns.
    PageFault,
    /// A one-shot timer interrupt of the local APIC arrives.
    Timer,
    /// Single steps end `KVM_RUN`.
    SingleStep,
    /// `int3` ends `KVM_RUN`.
    SoftwareBreakpoint,
    /// A breakpoint register ends `KVM_RUN`.
    HardwareBreakpoint,
    /// A watchpoint ends `KVM_RUN`.
    Watchpoint,
}

impl Step {
    /// All, in the order of the test.
    pub const ALL: [Step; 8] = [
        Step::Syscall,
        Step::Speed,
        Step::PageFault,
        Step::Timer,
        Step::SingleStep,
        Step::SoftwareBreakpoint,
        Step::HardwareBreakpoint,
        Step::Watchpoint,
    ];

    /// The stable name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Step::Syscall => "syscall",
            Step::Speed => "speed",
            Step::PageFault => "page-fault",
            Step::Timer => "timer",
            Step::SingleStep => "single-step",
            Step::SoftwareBreakpoint => "software-breakpoint",
            Step::HardwareBreakpoint => "hardware-breakpoint",
            Step::Watchpoint => "watchpoint",
        }
    }

    /// Whether a guest can run right without it.
    #[must_use]
    pub fn only_for_debugging(self) -> bool {
        matches!(
            self,
            Step::SingleStep
                | Step::SoftwareBreakpoint
                | Step::HardwareBreakpoint
                | Step::Watchpoint
        )
    }
}

/// How a step went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// As it should, with what was measured.
    Passed(String),
    /// Not as it should, with what came instead.
    Failed(String),
}

/// What the self-test saw. A step that is not in it was not run.
#[derive(Clone, Debug, Default)]
pub struct SelfTest {
    seen: Vec<(Step, Seen)>,
}

impl SelfTest {
    /// How a step went; nothing when it was not run.
    #[must_use]
    pub fn of(&self, step: Step) -> Option<&Seen> {
        self.seen
            .iter()
            .find(|(known, _)| *known == step)
            .map(|(_, seen)| seen)
    }

    fn passed(&self, step: Step) -> bool {
        matches!(self.of(step), Some(Seen::Passed(_)))
    }

    /// Whether guests can be trusted to run right: every step passed that is not only for debugging.
    #[must_use]
    pub fn faithful(&self) -> bool {
        Step::ALL
            .into_iter()
            .filter(|step| !step.only_for_debugging())
            .all(|step| self.passed(step))
    }

    /// The debug events that came.
    #[must_use]
    pub fn debug_support(&self) -> DebugSupport {
        DebugSupport {
            sw_bp_exit: self.passed(Step::SoftwareBreakpoint),
            hw_bp_exit: self.passed(Step::HardwareBreakpoint),
            watch_exit: self.passed(Step::Watchpoint),
            single_step: self.passed(Step::SingleStep),
        }
    }
}

extern "C" fn kicked(_: i32, _: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // Its arrival alone ends KVM_RUN.
}

/// Runs the self-test. Ends within seconds whatever KVM does. When the first two steps show KVM unfaithful, the
/// others are not tried: such a KVM may hang in them.
#[must_use]
pub fn run() -> SelfTest {
    let mut result = SelfTest::default();
    let kick = SIGRTMIN() + KICK;
    if register_signal_handler(kick, kicked).is_err() {
        return result;
    }
    let given_up = Arc::new(AtomicUsize::new(0));
    let (sender, seen) = channel();
    let shared = Arc::clone(&given_up);
    let thread = std::thread::spawn(move || all_steps(&sender, &shared));
    let mut started = Instant::now();
    loop {
        let overdue = started.elapsed() >= STEP_LIMIT;
        let wait = if overdue {
            KICK_PAUSE
        } else {
            STEP_LIMIT - started.elapsed()
        };
        match seen.recv_timeout(wait) {
            Ok(step) => {
                result.seen.push(step);
                started = Instant::now();
            }
            Err(RecvTimeoutError::Disconnected) => return result,
            Err(RecvTimeoutError::Timeout) => {
                given_up.store(result.seen.len() + 1, Ordering::Release);
                // Again and again: one signal can come just before KVM_RUN and be lost.
                let _ = thread.kill(kick);
                if started.elapsed() > STEP_LIMIT + KICK_LIMIT {
                    let stuck = Step::ALL.get(result.seen.len()).copied();
                    let words = "KVM_RUN does not end, even by a signal".to_string();
                    result
                        .seen
                        .extend(stuck.map(|step| (step, Seen::Failed(words))));
                    return result;
                }
            }
        }
    }
}

fn all_steps(seen: &Sender<(Step, Seen)>, given_up: &AtomicUsize) {
    let Ok(kvm) = Kvm::new() else { return };
    let mut unfaithful = false;
    for (number, step) in Step::ALL.into_iter().enumerate() {
        let limit = Limit {
            given_up,
            step: number,
        };
        let result = match one_step(&kvm, step, &limit) {
            Ok(words) => Seen::Passed(words),
            Err(Fault::Words(words)) => Seen::Failed(words),
            Err(Fault::Trouble(trouble)) => Seen::Failed(trouble.to_string()),
        };
        unfaithful |= matches!(result, Seen::Failed(_)) && !step.only_for_debugging();
        // Both of the first two are always tried: together they tell what is wrong.
        let end = unfaithful && step != Step::Syscall;
        if seen.send((step, result)).is_err() || end {
            return;
        }
    }
}

enum Fault {
    Words(String),
    Trouble(Trouble),
}

impl From<Trouble> for Fault {
    fn from(trouble: Trouble) -> Fault {
        Fault::Trouble(trouble)
    }
}

fn demand(yes: bool, words: impl FnOnce() -> String) -> Result<(), Fault> {
    if yes {
        Ok(())
    } else {
        Err(Fault::Words(words()))
    }
}

fn one_step(kvm: &Kvm, step: Step, limit: &Limit<'_>) -> Result<String, Fault> {
    match step {
        Step::Syscall => syscall(kvm, limit),
        Step::Speed => speed(kvm, limit),
        Step::PageFault => page_fault(kvm, limit),
        Step::Timer => timer(kvm, limit),
        Step::SingleStep => single_step(kvm, limit),
        Step::SoftwareBreakpoint => {
            let vm = Vm::new(kvm, Entry::Software, false)?;
            vm.debug(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP, None)?;
            let (end, at) = (port::SOFTWARE, Entry::Software.address());
            event(vm, end, limit, |vm| {
                let own = vm.memory.read(guest::BREAKPOINT_SEEN) & 1 == 1;
                format!(
                    "no exit; the guest's own #BP handler ran: {}",
                    if own { "yes" } else { "no" }
                )
            })
            .and_then(|(_, pc)| at_address(pc, at))
        }
        Step::HardwareBreakpoint => {
            let vm = Vm::new(kvm, Entry::Hardware, false)?;
            let at = Entry::HardwareAt.address();
            // DR7: breakpoint 0 global, execute.
            vm.debug(
                KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP,
                Some((at, 0x402)),
            )?;
            event(vm, port::HARDWARE, limit, |_| "no exit".into())
                .and_then(|(_, pc)| at_address(pc, at))
        }
        Step::Watchpoint => {
            let vm = Vm::new(kvm, Entry::Watch, false)?;
            // DR7: breakpoint 0 global, write of four bytes.
            vm.debug(
                KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP,
                Some((guest::WATCHED, 0xD_0402)),
            )?;
            let (vm, _) = event(vm, port::WATCH, limit, |_| "no exit".into())?;
            demand(vm.memory.read(guest::WATCHED) == 1, || {
                "an exit, but not after the write".into()
            })?;
            Ok("exit after the write".into())
        }
    }
}

/// Runs to the port that ends a test; all else is a fault.
fn to_port(vm: &mut Vm, wanted: u16, limit: &Limit<'_>) -> Result<(), Fault> {
    match vm.run(limit)? {
        Stop::Port(port) => demand(port == wanted, || {
            format!("port {port:#x} written, not {wanted:#x}")
        }),
        Stop::Debug(event) => Err(Fault::Words(format!(
            "a debug event that nobody asked for at {:#x}",
            event.pc
        ))),
    }
}

/// Runs to a debug event; the port `end` before it means that it did not come.
fn event(
    mut vm: Vm,
    end: u16,
    limit: &Limit<'_>,
    instead: impl Fn(&Vm) -> String,
) -> Result<(Vm, u64), Fault> {
    match vm.run(limit)? {
        Stop::Debug(event) => Ok((vm, event.pc)),
        Stop::Port(port) if port == end => Err(Fault::Words(instead(&vm))),
        Stop::Port(port) => Err(Fault::Words(format!("port {port:#x} written"))),
    }
}

fn at_address(pc: u64, wanted: usize) -> Result<String, Fault> {
    demand(pc == wanted as u64, || {
        format!("exit at {pc:#x} instead of {wanted:#x}")
    })?;
    Ok("exit at the instruction".into())
}

fn syscall(kvm: &Kvm, limit: &Limit<'_>) -> Result<String, Fault> {
    let mut vm = Vm::new(kvm, Entry::Syscall, false)?;
    to_port(&mut vm, port::SYSCALL, limit)?;
    let (user, kernel) = (
        vm.memory.read(guest::USER_CS),
        vm.memory.read(guest::KERNEL_CS),
    );
    let words = format!("CS was {user:#x} in ring 3 and {kernel:#x} at the system call's target");
    demand(user & 3 == 3 && kernel & 3 == 0, || {
        format!("{words}: ring {} instead of 0", kernel & 3)
    })?;
    Ok(words)
}

fn speed(kvm: &Kvm, limit: &Limit<'_>) -> Result<String, Fault> {
    // The best of three, when the first is slow: the machine may be busy with other things.
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        let mut vm = Vm::new(kvm, Entry::Speed, false)?;
        to_port(&mut vm, port::WARM, limit)?;
        let start = Instant::now();
        to_port(&mut vm, port::SPEED, limit)?;
        best = best.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(guest::TIMED_INSTRUCTIONS));
        if best < SLOW {
            break;
        }
    }
    let words = format!("{best:.1} ns an instruction in ring 0");
    demand(best < SLOW, || {
        format!("{words}; more than {SLOW} means that it is not run by the processor")
    })?;
    Ok(words)
}

fn page_fault(kvm: &Kvm, limit: &Limit<'_>) -> Result<String, Fault> {
    let mut vm = Vm::new(kvm, Entry::Fault, false)?;
    to_port(&mut vm, port::FAULT, limit)?;
    let (address, code) = (
        vm.memory.read(guest::FAULT_ADDRESS),
        vm.memory.read(guest::FAULT_CODE),
    );
    let words = format!("fault at {address:#x} with error code {code:#x}");
    demand(address == guest::UNMAPPED as u64 && code == 0, || {
        format!("{words} instead of {:#x} with 0", guest::UNMAPPED)
    })?;
    Ok(words)
}

fn timer(kvm: &Kvm, limit: &Limit<'_>) -> Result<String, Fault> {
    let mut vm = Vm::new(kvm, Entry::Timer, true)?;
    to_port(&mut vm, port::TIMER, limit)?;
    demand(vm.memory.read(guest::TIMER_SEEN) & 1 == 1, || {
        "the guest went on without the interrupt".into()
    })?;
    Ok("the interrupt arrived".into())
}

fn single_step(kvm: &Kvm, limit: &Limit<'_>) -> Result<String, Fault> {
    let mut vm = Vm::new(kvm, Entry::Step, false)?;
    vm.debug(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP, None)?;
    let start = Entry::Step.address() as u64;
    for count in 1..=3 {
        match vm.run(limit)? {
            Stop::Debug(event) => demand(event.pc == start + count, || {
                format!(
                    "step {count} ended at {:#x} instead of {:#x}",
                    event.pc,
                    start + count
                )
            })?,
            Stop::Port(port::STEP) => return Err(Fault::Words("no exit".into())),
            Stop::Port(port) => return Err(Fault::Words(format!("port {port:#x} written"))),
        }
    }
    Ok("one exit an instruction".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(failed: &[Step]) -> SelfTest {
        let judge = |step: Step| {
            if failed.contains(&step) {
                Seen::Failed(String::new())
            } else {
                Seen::Passed(String::new())
            }
        };
        SelfTest {
            seen: Step::ALL
                .into_iter()
                .map(|step| (step, judge(step)))
                .collect(),
        }
    }

    #[test]
    fn debug_events_do_not_decide_about_faithfulness_and_all_else_does() {
        assert!(!SelfTest::default().faithful());
        for step in Step::ALL {
            assert_eq!(
                with(&[step]).faithful(),
                step.only_for_debugging(),
                "{}",
                step.name()
            );
        }
        let support = with(&[Step::HardwareBreakpoint]).debug_support();
        assert_eq!(
            support,
            DebugSupport {
                sw_bp_exit: true,
                hw_bp_exit: false,
                watch_exit: true,
                single_step: true
            }
        );
    }

    #[test]
    fn it_ends_in_seconds_on_any_kvm() {
        let start = Instant::now();
        let _ = run();
        assert!(start.elapsed() < Duration::from_secs(30));
    }
}
