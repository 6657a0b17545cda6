//! A vCPU's thread: what it is asked to do, and its loop through `KVM_RUN`.
//!
//! The thread is running, paused or finished. Between two runs it looks at who *holds* it, and whether it is to end; while paused it carries out requests
//! on its vCPU for others, since only the thread itself may use the vCPU's descriptor without waiting for it.

use super::debugging;
use super::kick::Mark;
use crate::debug::inferior::Registers;
use kvm_bindings::{kvm_regs, kvm_sregs};
use kvm_ioctls::{VcpuExit, VcpuFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Who makes a vCPU stand still. Each ends his own hold only: it runs when nobody holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The site was made to stand before its first instruction, until a person or a debugger lets it go.
    Start = 1,
    /// A person, by `chorus pause`.
    Person = 2,
    /// A debugger.
    Debugger = 4,
}

/// What the thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// In the guest, or on the way in or out.
    Running,
    /// Standing still; requests are carried out.
    Paused,
    /// Ended: nothing will happen any more.
    Finished,
}

/// Something to be done with the vCPU by its own thread.
pub type Request = Box<dyn FnOnce(&mut VcpuFd) + Send>;

struct Inner {
    /// One bit for each [`Holder`] that holds it.
    holds: u8,
    /// It is to end; never taken back.
    finish: bool,
    state: State,
    requests: Vec<Request>,
}

/// The part of a vCPU that other threads see.
pub struct Control {
    inner: Mutex<Inner>,
    changed: Condvar,
    /// Exits by [`Reason`].
    exits: [AtomicU64; Reason::ALL.len()],
}

/// Why the guest was left; what counters are kept of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as KVM names them")]
pub enum Reason {
    PortOut,
    PortIn,
    MemoryWrite,
    MemoryRead,
    Halt,
    Debug,
    Interrupted,
    Other,
}

impl Reason {
    /// All of them, in order.
    pub const ALL: [Reason; 8] = [
        Reason::PortOut,
        Reason::PortIn,
        Reason::MemoryWrite,
        Reason::MemoryRead,
        Reason::Halt,
        Reason::Debug,
        Reason::Interrupted,
        Reason::Other,
    ];

    /// Name in lists.
    pub fn name(self) -> &'static str {
        match self {
            Reason::PortOut => "port-out",
            Reason::PortIn => "port-in",
            Reason::MemoryWrite => "mmio-write",
            Reason::MemoryRead => "mmio-read",
            Reason::Halt => "halt",
            Reason::Debug => "debug",
            Reason::Interrupted => "interrupted",
            Reason::Other => "other",
        }
    }
}

/// What comes of an exit.
pub enum Next {
    /// Run on.
    Again,
    /// The site is to end, or to stop for the debugger: look at what is asked.
    Look,
}

impl Control {
    /// A vCPU that runs when its thread starts, or stands before its first instruction (`held`).
    pub fn new(held: bool) -> Self {
        let inner = Inner {
            holds: if held { Holder::Start as u8 } else { 0 },
            finish: false,
            state: State::Running,
            requests: Vec::new(),
        };
        Control {
            inner: Mutex::new(inner),
            changed: Condvar::new(),
            exits: Default::default(),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the thread to stand still. It hears of it at its next look: kick it.
    pub fn hold(&self, holder: Holder) {
        self.inner().holds |= holder as u8;
        self.changed.notify_all();
    }

    /// Ends the hold of one, and that of the start; the thread runs on when nobody else holds it.
    pub fn release(&self, holder: Holder) {
        self.inner().holds &= !(holder as u8 | Holder::Start as u8);
        self.changed.notify_all();
    }

    /// Whether it is held by one.
    pub fn held(&self, holder: Holder) -> bool {
        self.inner().holds & holder as u8 != 0
    }

    /// Asks the thread to end, whoever holds it. It hears of it at its next look: kick it.
    pub fn finish(&self) {
        self.inner().finish = true;
        self.changed.notify_all();
    }

    /// What the thread does now.
    pub fn state(&self) -> State {
        self.inner().state
    }

    /// Waits until the thread stands still or has ended; kicks it until then. `true` when it is paused.
    pub fn wait_still(&self, kick: impl Fn()) -> bool {
        let mut inner = self.inner();
        while inner.state == State::Running {
            kick();
            let again = std::time::Duration::from_millis(20);
            inner = self
                .changed
                .wait_timeout(inner, again)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        inner.state == State::Paused
    }

    /// Has the paused thread do something with its vCPU and returns the result; `None` when it is not paused.
    pub fn ask<T: Send + 'static>(
        &self,
        what: impl FnOnce(&mut VcpuFd) -> T + Send + 'static,
    ) -> Option<T> {
        let (send, receive) = std::sync::mpsc::sync_channel(1);
        let mut inner = self.inner();
        if inner.state != State::Paused {
            return None;
        }
        inner.requests.push(Box::new(move |vcpu| {
            // Whoever asked waits, or has gone: both are well.
            let _ = send.send(what(vcpu));
        }));
        self.changed.notify_all();
        drop(inner);
        receive.recv().ok()
    }

    /// Exits for a reason.
    pub fn exits(&self, reason: Reason) -> u64 {
        self.exits[reason as usize].load(Ordering::Relaxed)
    }

    /// Exits for all reasons.
    pub fn all_exits(&self) -> u64 {
        Reason::ALL.iter().map(|&reason| self.exits(reason)).sum()
    }

    /// Does what is asked until it is to run (`true`) or to end (`false`).
    fn obey(&self, vcpu: &mut VcpuFd) -> bool {
        let mut inner = self.inner();
        loop {
            let requests = std::mem::take(&mut inner.requests);
            if !requests.is_empty() {
                drop(inner);
                requests.into_iter().for_each(|request| request(vcpu));
                inner = self.inner();
                continue;
            }
            if inner.finish {
                return false;
            }
            if inner.holds == 0 {
                inner.state = State::Running;
                return true;
            }
            inner.state = State::Paused;
            self.changed.notify_all();
            inner = self
                .changed
                .wait(inner)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The thread's life: runs the guest while nobody holds it, and gives each exit to `handle`.
    pub fn live(&self, vcpu: &mut VcpuFd, mut handle: impl FnMut(&mut VcpuFd, Exit) -> Next) {
        let _ended = Ended(self);
        let mark = Mark::new(vcpu.get_kvm_run());
        let mut last = None;
        loop {
            mark.clear();
            if !self.obey(vcpu) {
                return;
            }
            loop {
                let exit = Exit::of(vcpu, &mut last);
                self.exits[exit.reason() as usize].fetch_add(1, Ordering::Relaxed);
                if matches!(exit, Exit::Interrupted) || matches!(handle(vcpu, exit), Next::Look) {
                    break;
                }
            }
        }
    }
}

/// Says that the thread has ended, however it does.
struct Ended<'a>(&'a Control);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        let mut inner = self.0.inner();
        inner.state = State::Finished;
        inner.requests.clear();
        self.0.changed.notify_all();
    }
}

/// An exit, with its data copied out; answers to reads go back through [`answer`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// Bytes to a port.
    PortOut(u16, Vec<u8>),
    /// So many bytes from a port.
    PortIn(u16, usize),
    /// Bytes to an address without memory.
    MemoryWrite(u64, Vec<u8>),
    /// So many bytes from an address without memory.
    MemoryRead(u64, usize),
    /// The guest halted without an interrupt controller.
    Halt,
    /// A debug exit: DR6, and the exception number.
    Debug(u64, u32),
    /// Kicked.
    Interrupted,
    /// Triple fault; the registers at the exit before it, if KVM tells them.
    Shutdown(Option<Box<Registers>>),
    /// The processor refused to enter the guest.
    FailEntry(u64),
    /// KVM could not go on.
    InternalError,
    /// `KVM_RUN` itself failed.
    Failed(i32),
    /// Anything else, as KVM's bindings print it.
    Unexpected(String),
}

impl Exit {
    /// Runs the guest until the next exit. `last` keeps the registers of the exit before.
    fn of(vcpu: &mut VcpuFd, last: &mut Option<(kvm_regs, kvm_sregs)>) -> Exit {
        let exit = match vcpu.run() {
            Ok(VcpuExit::IoOut(port, data)) => Exit::PortOut(port, data.to_vec()),
            Ok(VcpuExit::IoIn(port, data)) => {
                data.fill(0xff);
                Exit::PortIn(port, data.len())
            }
            Ok(VcpuExit::MmioWrite(address, data)) => Exit::MemoryWrite(address, data.to_vec()),
            Ok(VcpuExit::MmioRead(address, data)) => {
                data.fill(0xff);
                Exit::MemoryRead(address, data.len())
            }
            Ok(VcpuExit::Hlt) => Exit::Halt,
            Ok(VcpuExit::Debug(debug)) => Exit::Debug(debug.dr6, debug.exception),
            Ok(VcpuExit::Intr) => Exit::Interrupted,
            Ok(VcpuExit::Shutdown) => {
                let last = last.as_ref();
                return Exit::Shutdown(last.map(|(r, s)| debugging::gathered(r, s).into()));
            }
            Ok(VcpuExit::FailEntry(reason, _)) => Exit::FailEntry(reason),
            Ok(VcpuExit::InternalError) => Exit::InternalError,
            Ok(other) => Exit::Unexpected(format!("{other:?}")),
            Err(error) if matches!(error.errno(), libc::EINTR | libc::EAGAIN) => Exit::Interrupted,
            Err(error) => return Exit::Failed(error.errno()),
        };
        if vcpu.get_kvm_run().kvm_valid_regs != 0 {
            let now = vcpu.sync_regs();
            *last = Some((now.regs, now.sregs));
        }
        exit
    }

    fn reason(&self) -> Reason {
        match self {
            Exit::PortOut(..) => Reason::PortOut,
            Exit::PortIn(..) => Reason::PortIn,
            Exit::MemoryWrite(..) => Reason::MemoryWrite,
            Exit::MemoryRead(..) => Reason::MemoryRead,
            Exit::Halt => Reason::Halt,
            Exit::Debug(..) => Reason::Debug,
            Exit::Interrupted => Reason::Interrupted,
            _ => Reason::Other,
        }
    }
}

/// Why KVM could not go on, after [`Exit::InternalError`]: its number, and the bytes of the instruction that it could not carry out.
pub fn internal_error(vcpu: &mut VcpuFd) -> String {
    let run = vcpu.get_kvm_run();
    // SAFETY: the exit just taken was an internal error, so this member of the union is the one that KVM wrote.
    let internal = unsafe { run.__bindgen_anon_1.internal };
    let data = internal.data;
    explain(
        internal.suberror,
        data.get(..internal.ndata as usize).unwrap_or(&data),
    )
}

/// `suberror` and its data in words (Linux, Documentation/virt/kvm/api.rst, `KVM_EXIT_INTERNAL_ERROR`).
fn explain(suberror: u32, data: &[u64]) -> String {
    let what = match suberror {
        1 => "it could not emulate an instruction",
        2 => "two exceptions at once that it could not deliver",
        3 => "it could not deliver an event",
        4 => "an exit that it did not expect",
        _ => "an error of its own",
    };
    let mut text = format!("{what} (suberror {suberror})");
    // Flag bit 0: a byte with the number of instruction bytes, then the bytes.
    if let (1, [flags, bytes @ ..]) = (suberror, data)
        && flags & 1 == 1
    {
        let bytes: Vec<u8> = bytes.iter().flat_map(|word| word.to_le_bytes()).collect();
        if let [count, bytes @ ..] = &bytes[..] {
            text += ", bytes";
            let shown = bytes.iter().take(usize::from(*count).min(15));
            shown.for_each(|byte| text += &format!(" {byte:02x}"));
        }
    }
    text
}

/// Gives the answer to the read that the vCPU has just left the guest for.
pub fn answer(vcpu: &mut VcpuFd, exit: &Exit, bytes: &[u8]) {
    let run = vcpu.get_kvm_run();
    match exit {
        Exit::MemoryRead(..) => {
            // SAFETY: the exit just taken was an MMIO one, so this member of the union is the one that KVM wrote.
            let mmio = unsafe { &mut run.__bindgen_anon_1.mmio };
            let count = bytes.len().min(mmio.data.len());
            mmio.data[..count].copy_from_slice(&bytes[..count]);
        }
        Exit::PortIn(..) => {
            // SAFETY: the exit just taken was a port one, so this member of the union is the one that KVM wrote.
            let io = unsafe { run.__bindgen_anon_1.io };
            let room = usize::from(io.size).saturating_mul(io.count as usize);
            let count = bytes.len().min(room);
            // SAFETY: KVM places the data of a port exit `data_offset` bytes into the mapped run area, `size * count` bytes long.
            unsafe {
                let data = (&raw mut *run).cast::<u8>().add(io.data_offset as usize);
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), data, count);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::explain;

    #[test]
    fn an_instruction_that_kvm_cannot_carry_out_is_shown() {
        let text = explain(
            1,
            &[1, u64::from_le_bytes([3, 0x0f, 0xb8, 0xc1, 9, 9, 9, 9]), 0],
        );
        assert!(text.ends_with("(suberror 1), bytes 0f b8 c1"), "{text}");
        for data in [&[][..], &[1], &[0, 5], &[1, u64::MAX, u64::MAX, u64::MAX]] {
            assert!(explain(1, data).contains("suberror 1"));
        }
        assert!(explain(3, &[1, 2, 3]).ends_with("(suberror 3)"));
    }
}
