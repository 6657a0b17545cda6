//! A site's machine: memory, devices, vCPU threads, and how it ends.

use super::boot::{self, Parameters};
use super::image::Image;
use super::marks::{Marks, Stamp};
use super::report;
use super::symbols::Symbols;
use super::tracing::Window;
use super::vcpu::{self, Control, Exit, Holder, Next, Reason, State};
use super::wiring::{prepare_vcpu, route, set_memory};
use super::{Error, debugging, kick, memory};
use crate::debug::inferior::Registers;
use crate::devices::console::Console;
use crate::devices::net::NetDevice;
use crate::devices::virtio_mmio::{QUEUE_NOTIFY, WINDOW};
use crate::fabric::Switch;
use chorus_abi::machine::*;
use kvm_bindings::{KVM_CAP_SPLIT_IRQCHIP, kvm_enable_cap};
use kvm_ioctls::{Cap, IoEventAddress, Kvm, NoDatamatch, SyncReg, VcpuFd, VmFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use vm_memory::GuestMemoryMmap;
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

/// Stack of a vCPU's thread in bytes: it calls little.
const STACK: usize = 256 << 10;

/// Most vCPUs of a site: their numbers are the 8-bit APIC ids, of which one means all.
pub const VCPUS_MOST: u32 = 254;

/// What a site is made of.
#[derive(Clone)]
pub struct SiteConfig {
    /// Name, for people.
    pub name: String,
    /// What the Nucleus is told.
    pub parameters: Parameters,
    /// Bytes of memory.
    pub mem: u64,
    /// Nucleus image.
    pub nucleus: Arc<[u8]>,
    /// Boot archive.
    pub archive: Arc<[u8]>,
    /// Its vCPUs stand before their first instruction until it is resumed or a debugger lets them go.
    pub held: bool,
}

/// How a site ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By itself, with this exit code.
    Exited(u8),
    /// The Nucleus panicked; its report.
    Panicked(String),
    /// The machine could not go on; the report.
    Failed(String),
    /// It was killed.
    Killed,
}

/// What a site tells; called from its threads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Bytes of its console.
    Output(Vec<u8>),
    /// A mark.
    Mark(u32),
    /// It has ended; nothing follows.
    Ended(Ending),
}

/// Where events go.
pub type Events = Arc<dyn Fn(Event) + Send + Sync>;

/// What the vCPUs of a site share.
pub(super) struct Shared {
    pub(super) name: String,
    pub(super) memory: GuestMemoryMmap,
    pub(super) vcpus: Vec<Control>,
    pub(super) threads: Mutex<Vec<JoinHandle<()>>>,
    pub(super) debugger: debugging::Stops,
    console: Console,
    net: Arc<NetDevice>,
    nucleus: Arc<[u8]>,
    symbols: OnceLock<Symbols>,
    ending: Mutex<Option<Ending>>,
    report: Mutex<Option<String>>,
    unknown_told: AtomicBool,
    pub(super) trace: Mutex<Option<Window>>,
    alive: AtomicUsize,
    marks: Marks,
    events: Events,
}

/// A site that runs, or has run. Dropping it ends it.
pub struct Site {
    pub(super) shared: Arc<Shared>,
    fabric: Arc<Switch>,
    pub(super) number: u16,
    /// Rate of its time stamp counter; 0: unknown.
    pub(super) tsc_khz: u64,
    /// Kept open as long as the vCPUs run.
    pub(super) vm: Arc<VmFd>,
}

/// A thread that panicked has left a whole table: every update here is one assignment.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Site {
    /// Makes a machine and lets it run, on the fabric under its number.
    ///
    /// # Errors
    /// The image is no Nucleus; the site has too little memory for what it is given; KVM or the process refused something.
    pub fn start(
        kvm: &Kvm,
        config: SiteConfig,
        fabric: Arc<Switch>,
        events: Events,
    ) -> Result<Site, Error> {
        kick::prepare().map_err(Error::host("the signal handler"))?;
        let image = Image::parse(&config.nucleus)?;
        let count = config.parameters.vcpus;
        if !(1..=VCPUS_MOST).contains(&count) {
            return Err(Error::Shape(format!(
                "a site has 1 to {VCPUS_MOST} vCPUs, not {count}"
            )));
        }
        let memory = memory::create(config.mem)?;
        image.load(&config.nucleus, &memory)?;
        let vm = Arc::new(kvm.create_vm().map_err(Error::host("KVM_CREATE_VM"))?);
        set_memory(&vm, &memory)?;
        let cap = kvm_enable_cap {
            cap: KVM_CAP_SPLIT_IRQCHIP,
            args: [24, 0, 0, 0],
            ..Default::default()
        };
        vm.enable_cap(&cap)
            .map_err(Error::host("KVM_CAP_SPLIT_IRQCHIP"))?;
        let event = || EventFd::new(EFD_NONBLOCK).map_err(Error::host("an event descriptor"));
        let (console_interrupt, net_interrupt, doorbell) = (event()?, event()?, event()?);
        route(
            &vm,
            &[
                (IRQ_CONSOLE, &console_interrupt),
                (VIRTIO_MMIO_IRQ, &net_interrupt),
            ],
        )?;
        let notify = IoEventAddress::Mmio(VIRTIO_MMIO_BASE + QUEUE_NOTIFY);
        vm.register_ioevent(&doorbell, &notify, NoDatamatch)
            .map_err(Error::host("KVM_IOEVENTFD"))?;

        let cpuid = kvm
            .get_supported_cpuid(kvm_bindings::KVM_MAX_CPUID_ENTRIES)
            .map_err(Error::host("KVM_GET_SUPPORTED_CPUID"))?;
        let mut vcpus = Vec::new();
        let mut parameters = config.parameters.clone();
        for index in 0..count {
            let mut vcpu = vm
                .create_vcpu(u64::from(index))
                .map_err(Error::host("KVM_CREATE_VCPU"))?;
            if kvm.check_extension(Cap::SyncRegs) {
                // A triple fault resets the registers: those of the exit before it are all that is left.
                vcpu.set_sync_valid_reg(SyncReg::Register);
                vcpu.set_sync_valid_reg(SyncReg::SystemRegister);
            }
            if index == 0 && parameters.tsc_khz.is_none() {
                parameters.tsc_khz = vcpu.get_tsc_khz().ok();
                parameters.set_clock()?;
            }
            prepare_vcpu(&vcpu, cpuid.clone(), index, &parameters, image.entry)?;
            vcpus.push(vcpu);
        }
        boot::prepare(&memory, &parameters, &config.archive, image.end)?;

        let output = {
            let events = events.clone();
            Arc::new(move |bytes: &[u8]| events(Event::Output(bytes.to_vec())))
        };
        let net = Arc::new(NetDevice::new(
            parameters.site,
            memory.clone(),
            doorbell,
            net_interrupt,
        ));
        let shared = Arc::new(Shared {
            name: config.name,
            memory,
            vcpus: (0..count).map(|_| Control::new(config.held)).collect(),
            threads: Mutex::default(),
            debugger: debugging::Stops::new().map_err(Error::host("an event descriptor"))?,
            console: Console::new(console_interrupt, output),
            net: net.clone(),
            nucleus: config.nucleus,
            symbols: OnceLock::new(),
            ending: Mutex::default(),
            report: Mutex::default(),
            unknown_told: AtomicBool::new(false),
            trace: Mutex::default(),
            alive: AtomicUsize::new(vcpus.len()),
            marks: Marks::default(),
            events,
        });
        fabric
            .attach(parameters.site, net)
            .map_err(Error::host("a seat on the fabric"))?;
        let site = Site {
            shared: shared.clone(),
            fabric,
            number: parameters.site,
            tsc_khz: parameters.tsc_khz.unwrap_or(0).into(),
            vm,
        };
        for (index, vcpu) in vcpus.into_iter().enumerate() {
            let shared = shared.clone();
            let thread = std::thread::Builder::new()
                .name(format!("{}/{index}", shared.name))
                .stack_size(STACK)
                .spawn(move || live(&shared, index, vcpu))
                .map_err(Error::host("a thread"))?;
            lock(&site.shared.threads).push(thread);
        }
        Ok(site)
    }

    /// Stops the vCPUs for a person; returns when they stand. `false`: the site has ended.
    pub fn pause(&self) -> bool {
        self.shared.hold(Holder::Person)
    }

    /// Lets the vCPUs run, as far as the person is concerned: what a debugger holds stays. `false`: the site has ended.
    pub fn resume(&self) -> bool {
        self.shared
            .vcpus
            .iter()
            .for_each(|vcpu| vcpu.release(Holder::Person));
        lock(&self.shared.ending).is_none()
    }

    /// Ends the site; returns when its vCPUs are no more. One that has ended stays as it ended.
    pub fn kill(&self) {
        self.shared.end(Ending::Killed);
        self.shared.finish();
        self.fabric.detach(self.number);
    }

    /// Bytes for the console's receiver; returns how many it had room for.
    pub fn type_in(&self, bytes: &[u8]) -> usize {
        self.shared.console.type_in(bytes)
    }

    /// The marks that the site has made, with their times.
    pub fn marks(&self) -> Vec<Stamp> {
        self.shared.marks.all()
    }

    /// Exits of one vCPU by reason; zero for one that is not there.
    pub fn exits_of(&self, vcpu: usize) -> Vec<(&'static str, u64)> {
        let count = |reason| {
            self.shared
                .vcpus
                .get(vcpu)
                .map_or(0, |vcpu| vcpu.exits(reason))
        };
        Reason::ALL
            .iter()
            .map(|&reason| (reason.name(), count(reason)))
            .collect()
    }

    /// Exits of all vCPUs by reason.
    pub fn exits(&self) -> Vec<(&'static str, u64)> {
        let sum = |reason| {
            self.shared
                .vcpus
                .iter()
                .map(|vcpu| vcpu.exits(reason))
                .sum()
        };
        Reason::ALL
            .iter()
            .map(|&reason| (reason.name(), sum(reason)))
            .collect()
    }

    /// Bytes of the guest's memory that the host has given.
    pub fn touched(&self) -> u64 {
        super::memory::touched(&self.shared.memory)
    }

    /// Exits of all vCPUs.
    pub fn all_exits(&self) -> u64 {
        self.shared.vcpus.iter().map(Control::all_exits).sum()
    }

    /// Interrupts injected by the network device, and what it was asked that made no sense.
    pub fn net_counters(&self) -> (u64, u64) {
        self.shared.net.counters()
    }

    /// The site for a debugger.
    pub fn debuggee(&self) -> debugging::Debuggee {
        debugging::Debuggee::new(self.shared.clone())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A vCPU thread's whole life. A panic in here ends the site with a report, never the process.
fn live(shared: &Arc<Shared>, index: usize, mut vcpu: VcpuFd) {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        shared.vcpus[index].live(&mut vcpu, |vcpu, exit| shared.handle(index, vcpu, exit));
    }));
    if outcome.is_err() {
        shared.end(Ending::Failed(format!(
            "{}: the thread of vCPU {index} panicked: a defect of chorus itself\n",
            shared.name
        )));
    }
    if shared.alive.fetch_sub(1, Ordering::AcqRel) == 1 {
        shared.console.flush();
        let ending = lock(&shared.ending).clone().unwrap_or(Ending::Killed);
        shared.debugger.ended(match ending {
            Ending::Exited(code) => code,
            Ending::Panicked(_) => EXIT_PANIC,
            Ending::Failed(_) | Ending::Killed => 1,
        });
        (shared.events)(Event::Ended(ending));
    }
}

impl Shared {
    pub(super) fn symbols(&self) -> &Symbols {
        self.symbols.get_or_init(|| Symbols::of(&self.nucleus))
    }

    /// Kicks the thread of a vCPU.
    pub(super) fn kick(&self, index: usize) {
        if let Some(thread) = lock(&self.threads).get(index) {
            kick::kick(thread);
        }
    }

    /// Makes every vCPU stand for one; returns when they stand. `false`: one has ended.
    pub(super) fn hold(&self, holder: Holder) -> bool {
        self.vcpus.iter().for_each(|vcpu| vcpu.hold(holder));
        // Each is waited for, also when one has ended.
        let paused = (0..self.vcpus.len())
            .filter(|&index| self.vcpus[index].wait_still(|| self.kick(index)))
            .count();
        paused == self.vcpus.len()
    }

    /// Says how the site ends, unless that was said before, and asks every vCPU to finish.
    fn end(&self, ending: Ending) {
        lock(&self.ending).get_or_insert(ending);
        for (index, vcpu) in self.vcpus.iter().enumerate() {
            vcpu.finish();
            self.kick(index);
        }
    }

    /// Waits until every vCPU thread has ended.
    fn finish(&self) {
        for (index, vcpu) in self.vcpus.iter().enumerate() {
            if lock(&self.threads).get(index).is_some() {
                vcpu.wait_still(|| self.kick(index));
            }
        }
        let me = std::thread::current().id();
        let threads = std::mem::take(&mut *lock(&self.threads));
        for thread in threads
            .into_iter()
            .filter(|thread| thread.thread().id() != me)
        {
            let _ = thread.join();
        }
    }

    fn fail(&self, index: usize, vcpu: &VcpuFd, what: &str) -> Next {
        let mut text = format!("{}, vCPU {index}: {what}\n", self.name);
        if let Ok(registers) = debugging::registers_of(vcpu) {
            text += &self.place(&registers);
        }
        self.end(Ending::Failed(text));
        Next::Look
    }

    fn triple_fault(&self, index: usize, last: Option<&Registers>) -> Next {
        let mut text = format!("{}, vCPU {index}: triple fault\n", self.name);
        match last {
            Some(last) => {
                text += "  at its last exit before, for the processor has been reset since:\n";
                text += &self.place(last);
            }
            None => text += "  the processor has been reset, and its registers are lost\n",
        }
        self.end(Ending::Failed(text));
        Next::Look
    }

    /// Registers and backtrace.
    fn place(&self, registers: &Registers) -> String {
        let (rip, rbp) = (registers.rip, registers.general[6]);
        report::registers(registers)
            + &report::backtrace(&self.memory, self.symbols(), registers.cr3, rip, rbp)
    }

    fn handle(&self, index: usize, vcpu: &mut VcpuFd, exit: Exit) -> Next {
        match &exit {
            Exit::PortOut(port, data) => return self.port_out(index, *port, data),
            Exit::PortIn(port, size) => {
                if (PORT_CONSOLE..PORT_CONSOLE + 8).contains(port) {
                    let value = self.console.read((port - PORT_CONSOLE) as u8);
                    vcpu::answer(vcpu, &exit, &vec![value; *size]);
                } else {
                    self.unknown(index, format_args!("read of port {port:#x}"));
                }
            }
            Exit::MemoryRead(address, size) => match window(*address) {
                Some(offset) => {
                    let mut bytes = [0; 8];
                    let bytes = &mut bytes[..(*size).min(8)];
                    self.net.read(offset, bytes);
                    vcpu::answer(vcpu, &exit, bytes);
                }
                None => self.unknown(index, format_args!("read of {size} bytes at {address:#x}")),
            },
            Exit::MemoryWrite(address, data) => match window(*address) {
                Some(offset) => self.net.write(offset, data),
                None => self.unknown(
                    index,
                    format_args!("write of {} bytes at {address:#x}", data.len()),
                ),
            },
            Exit::Debug(dr6, _) => {
                self.debugger.stop(self, index, debugging::cause(*dr6));
                return Next::Look;
            }
            Exit::Halt => {
                return self.fail(
                    index,
                    vcpu,
                    "halted for ever (HLT without an interrupt controller)",
                );
            }
            Exit::Shutdown(last) => return self.triple_fault(index, last.as_deref()),
            Exit::FailEntry(reason) => {
                return self.fail(
                    index,
                    vcpu,
                    &format!("the processor refused the guest's state ({reason:#x})"),
                );
            }
            Exit::InternalError => {
                let what = format!("KVM could not go on: {}", vcpu::internal_error(vcpu));
                return self.fail(index, vcpu, &what);
            }
            Exit::Failed(errno) => {
                let error = std::io::Error::from_raw_os_error(*errno);
                return self.fail(index, vcpu, &format!("KVM_RUN failed: {error}"));
            }
            Exit::Unexpected(what) => {
                return self.fail(
                    index,
                    vcpu,
                    &format!("an exit that this machine does not know: {what}"),
                );
            }
            Exit::Interrupted => return Next::Look,
        }
        Next::Again
    }

    fn port_out(&self, index: usize, port: u16, data: &[u8]) -> Next {
        let byte = data.last().copied().unwrap_or(0);
        let word = || <[u8; 4]>::try_from(data).map(u32::from_le_bytes);
        match port {
            PORT_CONSOLE..0x400 => data
                .iter()
                .for_each(|&byte| self.console.write((port - PORT_CONSOLE) as u8, byte)),
            PORT_EXIT => {
                let panic = lock(&self.report).take();
                self.end(match panic {
                    Some(report) => Ending::Panicked(report),
                    None => Ending::Exited(byte),
                });
                return Next::Look;
            }
            PORT_MARK => {
                if let Ok(mark) = word() {
                    self.marks.keep(mark, index);
                    (self.events)(Event::Mark(mark));
                }
            }
            PORT_REPORT => {
                let report = word()
                    .ok()
                    .and_then(|at| report::panic(&self.memory, self.symbols(), u64::from(at)));
                let nonsense = || {
                    format!(
                        "{}, vCPU {index}: the Nucleus panicked and left no readable report\n",
                        self.name
                    )
                };
                lock(&self.report).get_or_insert_with(|| report.unwrap_or_else(nonsense));
            }
            PORT_BREAKPOINT => {
                if self
                    .debugger
                    .stop(self, index, crate::debug::inferior::Cause::BreakpointPort)
                {
                    return Next::Look;
                }
            }
            _ => self.unknown(index, format_args!("write to port {port:#x}")),
        }
        Next::Again
    }

    /// Something that no device answers to: told once a site, counted by KVM's exits.
    fn unknown(&self, index: usize, what: std::fmt::Arguments<'_>) {
        if !self.unknown_told.swap(true, Ordering::Relaxed) {
            let text = format!(
                "chorus: {}, vCPU {index}: {what}, where nothing is; further ones are not told\n",
                self.name
            );
            (self.events)(Event::Output(text.into_bytes()));
        }
    }
}

/// Offset in the network device's window.
fn window(address: u64) -> Option<u64> {
    address
        .checked_sub(VIRTIO_MMIO_BASE)
        .filter(|&offset| offset < WINDOW)
}

/// Whether a thread of the site is still running its vCPU.
pub(super) fn any_running(shared: &Shared) -> bool {
    shared
        .vcpus
        .iter()
        .any(|vcpu| vcpu.state() == State::Running)
}
