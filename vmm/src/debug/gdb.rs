//! gdb's remote protocol over a [`Session`]: the site's vCPUs are the threads of gdb's one process, see [`threads`].
//!
//! The protocol itself is the gdbstub crate's; this file only says what its questions mean for a site. Errors of a question are told to gdb
//! and end nothing: a debugger that asks for memory that is not there must not lose its session.

use super::breakpoints::Access;
use super::images::{Known, library};
use super::inferior::{Inferior, Motion};
use super::session::{Session, Stop};
use super::threads::{self, Threads};
use super::{paging, registers};
use gdbstub::common::{Signal, Tid};
use gdbstub::stub::MultiThreadStopReason;
use gdbstub::target::ext::base::BaseOps;
use gdbstub::target::ext::base::multithread::{
    MultiThreadBase, MultiThreadResume, MultiThreadResumeOps, MultiThreadSchedulerLocking,
    MultiThreadSchedulerLockingOps, MultiThreadSingleStep, MultiThreadSingleStepOps,
};
use gdbstub::target::ext::breakpoints::{
    Breakpoints, BreakpointsOps, HwBreakpoint, HwBreakpointOps, HwWatchpoint, HwWatchpointOps,
    SwBreakpoint, SwBreakpointOps, WatchKind,
};
use gdbstub::target::ext::libraries::{Libraries, LibrariesOps};
use gdbstub::target::ext::monitor_cmd::{ConsoleOutput, MonitorCmd, MonitorCmdOps, outputln};
use gdbstub::target::ext::thread_extra_info::{ThreadExtraInfo, ThreadExtraInfoOps};
use gdbstub::target::{Target, TargetError, TargetResult};
use gdbstub_arch::x86::X86_64_SSE;
use gdbstub_arch::x86::reg::X86_64CoreRegs;
use std::fmt::Write;

/// A site as gdb sees it.
pub struct GdbSite<I: Inferior> {
    session: Session<I>,
    name: String,
    /// What `info threads` shows behind each thread; made when the site stops.
    descriptions: Vec<String>,
    /// Whether vCPUs without an action of their own hold (gdb's scheduler locking).
    locked: bool,
    actions: Vec<(usize, Motion)>,
    /// Images whose files have names.
    known: Vec<Known>,
    threads: Threads,
}

/// gdb's name of a thread.
fn tid(thread: usize) -> Tid {
    Tid::new(thread + 1).unwrap_or(Tid::MIN)
}

impl<I: Inferior> GdbSite<I> {
    /// gdb's view of a session; `name` is the site's, for people; `known` names the files of images.
    pub fn new(session: Session<I>, name: &str, known: Vec<Known>) -> Self {
        let mut site = GdbSite {
            threads: Threads::new(session.vcpus()),
            session,
            name: name.to_owned(),
            descriptions: Vec::new(),
            locked: false,
            actions: Vec::new(),
            known,
        };
        site.describe();
        site
    }

    /// The session below.
    pub fn session(&mut self) -> &mut Session<I> {
        &mut self.session
    }

    /// vCPU of gdb's thread.
    fn vcpu(&self, tid: Tid) -> usize {
        self.threads.vcpu(tid.get() - 1)
    }

    /// gdb's thread of a vCPU that stopped by itself.
    fn stopped(&mut self, vcpu: usize) -> Tid {
        let running = threads::in_user_mode(self.session.site(), vcpu);
        tid(self.threads.stopped(vcpu, running.unwrap_or(None)))
    }

    fn describe(&mut self) {
        self.descriptions = (0..self.session.vcpus())
            .map(|vcpu| match self.session.registers(vcpu) {
                Ok(registers) => {
                    let ring = registers.privilege();
                    let root = registers.cr3 & paging::ADDRESS;
                    // A supervisor actor runs in whatever space was in force before it.
                    let images = self.session.images();
                    let runs = images.iter().find(|image| image.holds(registers.rip));
                    let space = runs.or_else(|| {
                        let mut users = images.iter().filter(|image| !is_upper(image.base));
                        users.find(|image| image.root == root)
                    });
                    let space =
                        space.map_or_else(String::new, |image| format!(", actor {}", image.name));
                    format!("{} vCPU {vcpu}, ring {ring}{space}", self.name)
                }
                Err(_) => format!("{} vCPU {vcpu}", self.name),
            })
            .collect();
    }

    /// The stop in gdb's words.
    pub fn reason(&mut self, (vcpu, stop): (usize, Stop)) -> MultiThreadStopReason<u64> {
        if !matches!(stop, Stop::Ended(_)) {
            self.describe();
        }
        let tid = match stop {
            Stop::Stepped | Stop::Breakpoint | Stop::Hardware | Stop::Watch(..) => {
                self.stopped(vcpu)
            }
            Stop::Interrupted | Stop::Images | Stop::Ended(_) => tid(self.threads.of(vcpu)),
        };
        match stop {
            Stop::Interrupted => MultiThreadStopReason::SignalWithThread {
                tid,
                signal: Signal::SIGINT,
            },
            Stop::Stepped => MultiThreadStopReason::SignalWithThread {
                tid,
                signal: Signal::SIGTRAP,
            },
            Stop::Breakpoint => MultiThreadStopReason::SwBreak(tid),
            Stop::Hardware => MultiThreadStopReason::HwBreak(tid),
            Stop::Watch(addr, access) => {
                let kind = if access == Access::Write {
                    WatchKind::Write
                } else {
                    WatchKind::ReadWrite
                };
                MultiThreadStopReason::Watch { tid, kind, addr }
            }
            Stop::Images => MultiThreadStopReason::Library(tid),
            Stop::Ended(code) => MultiThreadStopReason::Exited(code),
        }
    }

    /// The list of libraries in gdb's format: every actor's image whose file can be told.
    fn libraries(&self) -> String {
        let mut text = String::from("<library-list version=\"1.0\">");
        for image in self.session.images() {
            if let Some(file) = library(image, &self.known) {
                let base = image.base;
                let _ = write!(
                    text,
                    "<library name=\"{file}\"><segment address=\"{base:#x}\"/></library>"
                );
            }
        }
        text + "</library-list>"
    }

    fn actors(&self, out: &mut ConsoleOutput<'_>) {
        for image in self.session.images() {
            let file = library(image, &self.known)
                .unwrap_or_else(|| "linked without a build identity".to_owned());
            outputln!(
                out,
                "{:#018x} {:#09x} {:16} {file}",
                image.base,
                image.extent,
                image.name
            );
        }
    }

    fn status(&mut self, out: &mut ConsoleOutput<'_>) {
        let delivery = self.session.delivery();
        let way = |delivered: bool, exit: &'static str, stand_in: &'static str| {
            if delivered { exit } else { stand_in }
        };
        outputln!(
            out,
            "{}: {} vCPUs, stopped",
            self.name,
            self.session.vcpus()
        );
        if self.session.site().held_by_person() {
            outputln!(out, "paused by a person too: chorus resume lets it run");
        }
        outputln!(
            out,
            "software breakpoints: {}",
            way(
                delivery.breakpoint_exits,
                "reported by KVM",
                "reported by the Nucleus' #BP handler (KVM delivers no exit)"
            )
        );
        outputln!(
            out,
            "hardware breakpoints: {}",
            way(
                delivery.hardware_breakpoints,
                "debug registers",
                "planted as int3 (KVM delivers no debug-register exits)"
            )
        );
        outputln!(
            out,
            "watchpoints: {}",
            way(
                delivery.watchpoints,
                "debug registers",
                "by stepping and comparing, stores only (KVM delivers no debug-register exits)"
            )
        );
    }
}

impl<I: Inferior> Target for GdbSite<I> {
    type Arch = X86_64_SSE;
    type Error = String;

    fn base_ops(&mut self) -> BaseOps<'_, Self::Arch, Self::Error> {
        BaseOps::MultiThread(self)
    }
    fn support_breakpoints(&mut self) -> Option<BreakpointsOps<'_, Self>> {
        Some(self)
    }
    fn support_libraries(&mut self) -> Option<LibrariesOps<'_, Self>> {
        Some(self)
    }
    fn support_monitor_cmd(&mut self) -> Option<MonitorCmdOps<'_, Self>> {
        Some(self)
    }
}

impl<I: Inferior> MultiThreadBase for GdbSite<I> {
    fn read_registers(&mut self, regs: &mut X86_64CoreRegs, tid: Tid) -> TargetResult<(), Self> {
        let vcpu = self.vcpu(tid);
        let from = self
            .session
            .registers(vcpu)
            .map_err(|_| TargetError::NonFatal)?;
        let floating = self
            .session
            .site()
            .floating(vcpu)
            .map_err(|_| TargetError::NonFatal)?;
        *regs = registers::to_gdb(&from, &floating);
        Ok(())
    }

    fn write_registers(&mut self, regs: &X86_64CoreRegs, tid: Tid) -> TargetResult<(), Self> {
        let vcpu = self.vcpu(tid);
        let write = |session: &mut Session<I>| {
            let old = session.registers(vcpu)?;
            let old_floating = session.site().floating(vcpu)?;
            let (new, floating) = registers::from_gdb(regs, &old);
            // gdb writes all of them to change one.
            if new != old {
                session.set_registers(vcpu, &new)?;
            }
            if floating != old_floating {
                session.site().set_floating(vcpu, &floating)?;
            }
            Ok(())
        };
        write(&mut self.session).map_err(|_: String| TargetError::NonFatal)
    }

    fn read_addrs(&mut self, start: u64, data: &mut [u8], tid: Tid) -> TargetResult<usize, Self> {
        let vcpu = self.vcpu(tid);
        match self.session.read(vcpu, start, data) {
            Ok(0) if !data.is_empty() => Err(TargetError::NonFatal),
            Ok(read) => Ok(read),
            Err(_) => Err(TargetError::NonFatal),
        }
    }

    fn write_addrs(&mut self, start: u64, data: &[u8], tid: Tid) -> TargetResult<(), Self> {
        let vcpu = self.vcpu(tid);
        self.session
            .write(vcpu, start, data)
            .map_err(|_| TargetError::NonFatal)
    }

    fn list_active_threads(&mut self, active: &mut dyn FnMut(Tid)) -> Result<(), Self::Error> {
        (0..self.session.vcpus()).for_each(|vcpu| active(tid(vcpu)));
        Ok(())
    }

    fn support_resume(&mut self) -> Option<MultiThreadResumeOps<'_, Self>> {
        Some(self)
    }
    fn support_thread_extra_info(&mut self) -> Option<ThreadExtraInfoOps<'_, Self>> {
        Some(self)
    }
}

impl<I: Inferior> Libraries for GdbSite<I> {
    fn get_libraries(
        &self,
        offset: u64,
        length: usize,
        buf: &mut [u8],
    ) -> TargetResult<usize, Self> {
        let text = self.libraries();
        let rest = usize::try_from(offset)
            .ok()
            .and_then(|offset| text.as_bytes().get(offset..))
            .unwrap_or(&[]);
        let size = rest.len().min(length).min(buf.len());
        buf[..size].copy_from_slice(&rest[..size]);
        Ok(size)
    }
}

/// Whether an address is in the half that all spaces share.
fn is_upper(address: u64) -> bool {
    address >> 63 != 0
}

impl<I: Inferior> ThreadExtraInfo for GdbSite<I> {
    fn thread_extra_info(&self, tid: Tid, buf: &mut [u8]) -> Result<usize, Self::Error> {
        let text = self
            .descriptions
            .get(self.vcpu(tid))
            .map_or("", String::as_str)
            .as_bytes();
        let size = text.len().min(buf.len());
        buf[..size].copy_from_slice(&text[..size]);
        Ok(size)
    }
}

impl<I: Inferior> MultiThreadResume for GdbSite<I> {
    fn resume(&mut self) -> Result<(), Self::Error> {
        let rest = if self.locked {
            Motion::Hold
        } else {
            Motion::Continue
        };
        for vcpu in 0..self.session.vcpus() {
            self.session.set_motion(vcpu, rest);
        }
        for (vcpu, motion) in std::mem::take(&mut self.actions) {
            self.session.set_motion(vcpu, motion);
        }
        self.session.resume()
    }
    fn clear_resume_actions(&mut self) -> Result<(), Self::Error> {
        self.actions.clear();
        self.locked = false;
        Ok(())
    }
    fn set_resume_action_continue(
        &mut self,
        tid: Tid,
        _: Option<Signal>,
    ) -> Result<(), Self::Error> {
        self.actions.push((self.vcpu(tid), Motion::Continue));
        Ok(())
    }
    fn support_single_step(&mut self) -> Option<MultiThreadSingleStepOps<'_, Self>> {
        Some(self)
    }
    fn support_scheduler_locking(&mut self) -> Option<MultiThreadSchedulerLockingOps<'_, Self>> {
        Some(self)
    }
}

impl<I: Inferior> MultiThreadSingleStep for GdbSite<I> {
    fn set_resume_action_step(&mut self, tid: Tid, _: Option<Signal>) -> Result<(), Self::Error> {
        let vcpu = self.vcpu(tid);
        let running = threads::in_user_mode(self.session.site(), vcpu)?;
        self.threads.steps(vcpu, running);
        self.actions.push((vcpu, Motion::Step));
        Ok(())
    }
}

impl<I: Inferior> MultiThreadSchedulerLocking for GdbSite<I> {
    fn set_resume_action_scheduler_lock(&mut self) -> Result<(), Self::Error> {
        self.locked = true;
        Ok(())
    }
}

impl<I: Inferior> Breakpoints for GdbSite<I> {
    fn support_sw_breakpoint(&mut self) -> Option<SwBreakpointOps<'_, Self>> {
        Some(self)
    }
    fn support_hw_breakpoint(&mut self) -> Option<HwBreakpointOps<'_, Self>> {
        Some(self)
    }
    fn support_hw_watchpoint(&mut self) -> Option<HwWatchpointOps<'_, Self>> {
        Some(self)
    }
}

/// gdb names no thread with a breakpoint: the first vCPU in whose address space the address is mapped is meant.
fn somewhere<I: Inferior>(
    session: &mut Session<I>,
    mut attempt: impl FnMut(&mut Session<I>, usize) -> Result<bool, String>,
) -> TargetResult<bool, GdbSite<I>> {
    for vcpu in 0..session.vcpus() {
        if attempt(session, vcpu).map_err(|_| TargetError::NonFatal)? {
            return Ok(true);
        }
    }
    Ok(false)
}

impl<I: Inferior> SwBreakpoint for GdbSite<I> {
    fn add_sw_breakpoint(&mut self, addr: u64, _: usize) -> TargetResult<bool, Self> {
        somewhere(&mut self.session, |session, vcpu| {
            session.add_breakpoint(vcpu, addr)
        })
    }
    fn remove_sw_breakpoint(&mut self, addr: u64, _: usize) -> TargetResult<bool, Self> {
        somewhere(&mut self.session, |session, vcpu| {
            session.remove_breakpoint(vcpu, addr)
        })
    }
}

impl<I: Inferior> HwBreakpoint for GdbSite<I> {
    fn add_hw_breakpoint(&mut self, addr: u64, _: usize) -> TargetResult<bool, Self> {
        somewhere(&mut self.session, |session, vcpu| {
            session.add_hardware(vcpu, addr)
        })
    }
    fn remove_hw_breakpoint(&mut self, addr: u64, _: usize) -> TargetResult<bool, Self> {
        somewhere(&mut self.session, |session, vcpu| {
            session.remove_hardware(vcpu, addr)
        })
    }
}

/// x86 has no match for loads alone: a watch for loads is one for both.
fn access(kind: WatchKind) -> Access {
    if kind == WatchKind::Write {
        Access::Write
    } else {
        Access::ReadWrite
    }
}

impl<I: Inferior> HwWatchpoint for GdbSite<I> {
    fn add_hw_watchpoint(
        &mut self,
        addr: u64,
        len: u64,
        kind: WatchKind,
    ) -> TargetResult<bool, Self> {
        let Ok(size) = u8::try_from(len) else {
            return Ok(false);
        };
        somewhere(&mut self.session, |session, vcpu| {
            session.add_watch(vcpu, addr, size, access(kind))
        })
    }
    fn remove_hw_watchpoint(
        &mut self,
        addr: u64,
        len: u64,
        kind: WatchKind,
    ) -> TargetResult<bool, Self> {
        let Ok(size) = u8::try_from(len) else {
            return Ok(false);
        };
        Ok(self.session.remove_watch(addr, size, access(kind)))
    }
}

impl<I: Inferior> MonitorCmd for GdbSite<I> {
    fn handle_monitor_cmd(
        &mut self,
        cmd: &[u8],
        mut out: ConsoleOutput<'_>,
    ) -> Result<(), Self::Error> {
        match std::str::from_utf8(cmd).map(str::trim) {
            Ok("status") => self.status(&mut out),
            Ok("actors") => self.actors(&mut out),
            Ok("" | "help") => outputln!(
                out,
                "monitor status: how this site is debugged\nmonitor actors: images of actors: address, size, actor, file"
            ),
            _ => outputln!(out, "unknown; try: monitor help"),
        }
        Ok(())
    }
}
