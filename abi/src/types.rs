//! Plain structures that calls read and write, laid out as in C.
//!
//! All are `repr(C)` without hidden padding and can be looked at as bytes (`zerocopy`), which is how the Nucleus copies them between
//! address spaces without unsafe code.

use crate::args::CName;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A structure for the C header: name, size in bytes, fields with their names, types and offsets.
pub type Structure = (
    &'static str,
    usize,
    &'static [(&'static str, &'static str, usize)],
);

/// Declares plain structures with the derives that the byte views need, and their C names.
macro_rules! plain {
    ($($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident : $type:ty,)* })*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
        #[repr(C)]
        pub struct $name { $($(#[$fdoc])* pub $field: $type,)* }
        impl CName for $name { const NAME: &'static str = stringify!($name); }
        impl $name {
            /// Field names, C types and offsets in bytes, for the header and its test.
            pub const LAYOUT: &'static [(&'static str, &'static str, usize)] =
                &[$((stringify!($field), stringify!($type), core::mem::offset_of!($name, $field)),)*];
        }
    )*

    /// Every plain structure: C name, size in bytes, fields.
    pub const STRUCTURES: &[Structure] =
        &[$((stringify!($name), core::mem::size_of::<$name>(), $name::LAYOUT),)*];
    };
}

plain! {
    /// Unique identifier, 64 bits (spec 1.1).
    KnUniqueId {
        /// Bits 63..32: site, type, epoch.
        ui_head: u32,
        /// Bits 31..0: counter or stamp.
        ui_tail: u32,
    }
    /// Capability: UI and 64-bit key (spec 1.2, NC-001).
    KnCap {
        /// Name of the object, or of its manager's port.
        ui: KnUniqueId,
        /// Key that cannot be guessed.
        key: u64,
    }
    /// Protection identifier: user, group, domain (spec 1.4).
    KnProtId {
        /// User.
        uid: u16,
        /// Group.
        gid: u16,
        /// Domain.
        did: u16,
        /// Padding, zero.
        pad: u16,
    }
    /// Time interval (spec 0.3).
    KnTimeVal {
        /// Seconds.
        tm_sec: u64,
        /// Nanoseconds, 0..999999999.
        tm_nsec: u32,
        /// Padding, zero.
        pad: u32,
    }
    /// Message descriptor (spec 2.6).
    KnMsgDesc {
        /// `K_ABORTABLE`, `K_MOVE`.
        flags: u32,
        /// Bytes to send, or room for receiving.
        body_size: u32,
        /// Null: no body to send, or fetch it later with `ipcGetData`.
        body_addr: u64,
        /// Null: no annex to send, or drop it.
        annex_addr: u64,
        /// Out, on receive: sequence number of the message at its port.
        seq_num: u32,
        /// Padding, zero.
        pad: u32,
    }
    /// Destination of a message (spec 2.6).
    KnIpcDest {
        /// Port UI, or group UI with its addressing mode.
        target: KnUniqueId,
        /// Only for `K_FUNCUMODE` and `K_FUNCXMODE`.
        co_target: KnUniqueId,
    }
    /// What the Nucleus knows about the current message (`ipcSysInfo`).
    KnMsgHead {
        /// Bytes of the body as sent.
        body_size: u32,
        /// Byte 0: 1 when a reply is awaited; byte 1: 1 when there is an annex; byte 2: 1 when it came from another site.
        flags: [u8; 4],
        /// Port that the sender named as its source.
        src_port: KnUniqueId,
        /// Target as sent: the group UI for messages to a group (NC-217).
        target: KnUniqueId,
        /// Co-target as sent.
        co_target: KnUniqueId,
        /// Null for asynchronous messages.
        trans_id: u64,
        /// Protection identifier of the sending actor.
        actor_id: KnProtId,
        /// Protection identifier of the source port.
        port_id: KnProtId,
    }
    /// Region descriptor (spec 4.1).
    KnRgnDesc {
        /// Start, in and out.
        start_addr: u64,
        /// Bytes, rounded up to pages.
        size: u64,
        /// `K_WRITABLE`…
        options: u32,
        /// Padding, zero.
        pad: u32,
        /// Upper bound, only with `K_RESTRICTIVE`.
        end_addr: u64,
        /// Kept for the user.
        opaque1: u64,
        /// Kept for the user.
        opaque2: u64,
    }
    /// One range of equal attributes in `rgnStat`'s list.
    KnRgnStat {
        /// First address.
        start_addr: u64,
        /// Bytes.
        size: u64,
        /// `K_WRITABLE`…
        options: u32,
        /// Padding, zero.
        pad: u32,
        /// The user's own.
        opaque1: u64,
        /// The user's own.
        opaque2: u64,
        /// Bytes of its own that are in memory. What a copy still shares with its source is not its own.
        resident: u64,
        /// Bytes of them that stay there.
        fixed: u64,
        /// Segment that it shows, null for none; the key is zero for unprivileged callers.
        segment: KnCap,
        /// Byte of the segment that it begins with.
        offset: u64,
    }
    /// A part of a segment, or of the local cache of one (spec 4.1).
    KnObjDesc {
        /// Capability of the segment or of the cache.
        data_object: KnCap,
        /// First byte.
        start_offset: u64,
        /// Bytes.
        size: u64,
    }
    /// The local cache of a segment (`sgStat`).
    KnLcStat {
        /// The segment.
        segment: KnCap,
        /// The cache itself; the key is zero for unprivileged callers.
        cache: KnCap,
        /// Bytes in memory here.
        allocated: u64,
        /// Bytes of them that are locked.
        fixed: u64,
        /// Bytes of them that the mapper does not have.
        dirty: u64,
    }
    /// Annex of a request of the Nucleus to a mapper (spec 4.5).
    KnMpRequest {
        /// `KN_MPPULLIN`…
        service: i32,
        /// Access that is needed: `K_READABLE`, or with `K_WRITABLE`.
        access: u32,
        /// Key of the segment.
        seg_key: u64,
        /// The cache that asks.
        lc_cap: KnCap,
        /// First byte that is wanted, or sent.
        offset: u64,
        /// Bytes that are wanted, or sent in the body: whole pages.
        size: u64,
        /// First byte of the page that is needed.
        required_offset: u64,
        /// Number of the request at this site.
        id: u64,
    }
    /// Annex of a mapper's answer. Zeros grant nothing and mean that all went well.
    KnMpReply {
        /// 0, or why it failed: negative.
        diag: i32,
        /// Access that is granted: `K_READABLE`, or with `K_WRITABLE`.
        access: u32,
        /// First byte of the body's range.
        offset: u64,
        /// Bytes of the range, whole pages; where the body ends before, zeros. None at all: the page that is needed is zeros.
        size: u64,
        /// Pages that should be asked for at once; 0: no change.
        in_cluster: u32,
        /// 1: the mapper wants to hear when the cache goes (`KN_MPRELEASE`).
        release: u32,
        /// Not used, zero.
        pad: [u64; 4],
    }
    /// Annex of the default mapper's answer to `KN_MPCREATE`.
    KnMpCreateReply {
        /// 0, or why it failed: negative.
        diag: i32,
        /// Zero.
        options: u32,
        /// The temporary segment: a port of the same mapper, and a key.
        seg_cap: KnCap,
        /// Not used, zero.
        pad: [u64; 5],
    }
    /// Mutex in the user's memory (spec 2.8). All zero is a free mutex.
    KnMutex {
        /// 0 free, 1 locked.
        locked: u32,
        /// Threads that wait; the Nucleus' business.
        waiters: u32,
    }
    /// Semaphore in the user's memory (spec 2.8).
    KnSem {
        /// Units; negative: threads that wait.
        count: i32,
        /// Padding, zero.
        pad: u32,
    }
    /// Semaphore of one thread in the user's memory (spec 3.3).
    KnThSem {
        /// LI of the thread that may wait on it.
        owner: i32,
        /// 1 when posted.
        posted: u32,
    }
    /// Set of 32 event flags in the user's memory (spec 3.3). All zero: none is posted.
    KnEventSet {
        /// Flags that are posted.
        flags: u32,
        /// Padding, zero.
        pad: u32,
    }
    /// Real-time mutex in the user's memory (spec 3.3). All zero is a free one.
    KnRtMutex {
        /// LI of the thread that has it; 0: it is free.
        owner: i32,
        /// Padding, zero.
        pad: u32,
        /// By which the Nucleus knows that it wrote the owner itself.
        seal: u64,
    }
    /// Pool of threads that wait for timers, in the user's memory (spec 3.10).
    KnThreadPool {
        /// Tells a pool that was prepared.
        mark: u32,
        /// Padding, zero.
        pad: u32,
    }
    /// Setting of a timer (spec 3.10).
    KnITimer {
        /// From one expiry to the next; zero: it expires once.
        it_interval: KnTimeVal,
        /// Until the first expiry; zero: it is not armed.
        it_value: KnTimeVal,
    }
    /// Scheduling class of a thread and its parameters (spec 5.3).
    KnThParms {
        /// `CLASS_DEFAULT`…
        th_class: i32,
        /// Relative to the actor's, -255…255; of `CLASS_RT` 100…159, where larger is more urgent.
        th_priority: i32,
        /// Time slice of `CLASS_RT`; zero: it has none. Of other classes as it is, and not looked at.
        th_quantum: KnTimeVal,
    }
    /// Registers of a thread (spec 3.2, `threadContext`).
    KnThreadCtx {
        /// General register.
        rax: u64,
        /// General register.
        rbx: u64,
        /// General register.
        rcx: u64,
        /// General register.
        rdx: u64,
        /// General register.
        rsi: u64,
        /// General register.
        rdi: u64,
        /// General register.
        rbp: u64,
        /// Stack pointer.
        rsp: u64,
        /// General register.
        r8: u64,
        /// General register.
        r9: u64,
        /// General register.
        r10: u64,
        /// General register.
        r11: u64,
        /// General register.
        r12: u64,
        /// General register.
        r13: u64,
        /// General register.
        r14: u64,
        /// General register.
        r15: u64,
        /// Instruction pointer.
        rip: u64,
        /// Flags; only the arithmetic ones, direction and trap can be set.
        rflags: u64,
        /// Base of the FS segment: zero.
        fs_base: u64,
        /// Base of the GS segment: zero.
        gs_base: u64,
        /// Address of 512 bytes in the caller's memory for x87 and SSE, laid out as by FXSAVE, in both directions; null: not them.
        fpu_area: u64,
        /// Out: 1 when the thread is inside a call, and only `rip`, `rsp`, `rflags` and the registers of its arguments are known.
        in_call: u64,
    }
    /// One actor in `actorStat`'s list.
    KnActorStat {
        /// Capability; the key is zero for unprivileged callers.
        cap: KnCap,
        /// `K_USERACTOR`…
        kind: i32,
        /// 1 when stopped.
        stopped: i32,
        /// Actor priority.
        priority: i32,
        /// Threads.
        threads: u32,
        /// Ports.
        ports: u32,
        /// Pages of memory that it owns.
        pages: u32,
        /// Name, zero padded.
        name: [u8; 16],
        /// Address that its image was loaded at, for debuggers; 0: none was loaded.
        base: u64,
    }
    /// One thread in `threadStat`'s list.
    KnThreadStat {
        /// LI in its actor.
        li: i32,
        /// `K_USERTHREAD` or `K_SUPTHREAD`.
        privilege: i32,
        /// State bits, see `THREAD_*`.
        state: u32,
        /// Suspend counter.
        suspended: u32,
        /// Relative priority.
        relative: i32,
        /// Absolute priority after cutting to 0..255, with what it inherits by real-time mutexes.
        absolute: i32,
        /// Processor it runs on or ran last.
        cpu: u32,
        /// Padding, zero.
        pad: u32,
        /// Processor time in nanoseconds.
        cpu_time_ns: u64,
    }
    /// Memory of the site (`vmStat`), in bytes.
    KnVmStat {
        /// All memory that the Nucleus manages.
        total: u64,
        /// Free now.
        free: u64,
        /// Fixed: kernel tables and fixed regions.
        fixed: u64,
        /// In temporary segments of the default mapper, and not in memory.
        outside: u64,
        /// Temporary segments that there are.
        segments: u64,
        /// Pages that left memory since the site began.
        pages_out: u64,
        /// Pages that came back.
        pages_in: u64,
    }
    /// What is to be loaded (`actorLoad`).
    KnLoadDesc {
        /// Address of the ELF image in the caller's memory.
        image: u64,
        /// Bytes of the image, at most 16 MiB.
        image_size: u64,
        /// Address of the arguments: zero-terminated strings one after another.
        args: u64,
        /// Bytes of the arguments, at most 3 KiB.
        args_size: u32,
        /// Relative priority of the first thread.
        priority: i32,
        /// Bytes of the first thread's stack (0: 64 KiB), user and system actors only.
        stack_size: u32,
        /// Out: why the image was refused, an [`crate::image::LoadDiag`] number; 0 otherwise.
        diag: u32,
        /// Out: a detail of the diagnosis (an address, a number).
        detail: u64,
        /// Out: address that the image was loaded at.
        base: u64,
    }
    /// A device of the machine (`devGet`).
    KnDevDesc {
        /// Physical address of its registers, or its first I/O port.
        base: u64,
        /// Bytes of its registers.
        size: u64,
        /// Interrupt number of the machine.
        irq: u32,
        /// virtio device id (1 = network); from `K_DEV_PORTS` up a device with I/O ports.
        device_id: u32,
    }
    /// What an exception is: the annex of a report to an exception port, and what a handler's `info` points at (spec 6.2).
    KnExcReport {
        /// `K_EXC_REPORT`.
        service: i32,
        /// Number of the exception.
        exc_no: i32,
        /// The thread's home actor, with its key: the receiver may act on it.
        actor_cap: KnCap,
        /// The thread.
        thread_li: i32,
        /// `K_EXC_WRITE`, `K_EXC_FETCH`.
        flags: i32,
        /// Instruction pointer.
        pc: u64,
        /// Address that could not be accessed.
        fault_addr: u64,
        /// Diagnosis of a mapper, or 0.
        diag: i32,
        /// Padding, zero.
        pad: i32,
    }
    /// Beginning of the annex of the answer to a report.
    KnExcVerdict {
        /// `K_EXC_CONTINUE`…
        verdict: i32,
    }
    /// Local access point: its name on this site. Nobody can make one up.
    KnLapDesc {
        /// Which one.
        lap: u64,
        /// Key that cannot be guessed.
        key: u64,
    }
    /// What a LAP gets that is connected to a trap.
    KnSysTrapDesc {
        /// Address of the thread's registers, a `KnThreadCtx`.
        thread_ctx: u64,
        /// Number of the trap.
        trap_number: u32,
        /// Padding, zero.
        pad: u32,
    }
    /// What a LAP gets that is connected to exceptions of an actor.
    KnExcDesc {
        /// Address of the thread's registers, a `KnThreadCtx`.
        thread_ctx: u64,
        /// Address of a `KnExcReport`.
        info: u64,
        /// Number of the exception.
        exc_no: i32,
        /// Out: 0 when it was treated; negative (as it is found) when not.
        result: i32,
    }
    /// Services for an attached interrupt (`svIntrAttach`): addresses of functions that take its identifier.
    KnIntrOps {
        /// `svIntrMask`.
        mask: u64,
        /// `svIntrUnmask`.
        unmask: u64,
    }
    /// A soft interrupt (`svSoftIntrDeclare`).
    KnSoftIntr {
        /// Address of the handler: `void handler(void *cookie)`.
        handler: u64,
        /// What it gets.
        cookie: u64,
        /// Out: its name, the Nucleus' business.
        id: u64,
    }
    /// A system timeout (`svSysTimeoutSet`).
    KnTimeout {
        /// Its name while it is set, the Nucleus' business.
        id: u64,
    }
    /// Counters of the site (`siteStat`).
    KnSiteStat {
        /// Site number.
        site: u32,
        /// Incarnation.
        epoch: u32,
        /// Processors that run.
        cpus: u32,
        /// Actors alive.
        actors: u32,
        /// Threads alive.
        threads: u32,
        /// Ports alive.
        ports: u32,
        /// Nucleus calls made.
        calls: u64,
        /// Thread switches.
        switches: u64,
        /// Messages delivered on this site.
        messages: u64,
        /// Page faults resolved.
        faults: u64,
        /// Actors ended by an exception.
        exceptions: u64,
        /// Interrupts between `sti` and `hlt` that the idle fix-up met.
        idle_fixups: u64,
        /// Interrupts that an emulated processor delivered twice, and that were dropped.
        delivered_twice: u64,
        /// Timer interrupts.
        timer_interrupts: u64,
        /// Interprocessor interrupts sent.
        ipis: u64,
        /// Nanoseconds since boot.
        uptime_ns: u64,
        /// Bytes that the Nucleus copied: bodies of messages but those that the fast path delivers, `vmCopy`, pages of copies.
        copied: u64,
        /// The longest time that a processor heard no interrupts, since it was in the Nucleus or waited for another there. Calls that are short by construction (the null call,
        /// a request or reply that goes on with a conversation) and the boot are not looked at.
        longest_ns: u64,
        /// What that was in: the number of a call, or an interrupt's or exception's vector with bit 16 set.
        longest_in: u32,
        /// Padding, zero.
        pad: u32,
    }
}

impl KnProtId {
    /// Nobody's: what is seen of an identifier that a site claims without being allowed to speak for its domain.
    pub const NOBODY: KnProtId = KnProtId {
        uid: u16::MAX,
        gid: u16::MAX,
        did: u16::MAX,
        pad: 0,
    };
}

/// Thread state bit: logically able to run (spec 2.3).
pub const THREAD_ACTIVE: u32 = 1 << 0;
/// Thread state bit: suspend counter above zero.
pub const THREAD_SUSPENDED: u32 = 1 << 1;
/// Thread state bit: its actor, or it, was stopped.
pub const THREAD_STOPPED: u32 = 1 << 2;
/// Thread state bit: waits for an event.
pub const THREAD_WAITING: u32 = 1 << 3;
/// Thread state bit: an abort is not yet consumed.
pub const THREAD_ABORTED: u32 = 1 << 4;

impl KnTimeVal {
    /// Interval of this many nanoseconds.
    pub const fn from_ns(ns: u64) -> Self {
        KnTimeVal {
            tm_sec: ns / 1_000_000_000,
            tm_nsec: (ns % 1_000_000_000) as u32,
            pad: 0,
        }
    }

    /// The interval in nanoseconds, saturating; `None` when the nanoseconds field is out of range (spec 0.3).
    pub const fn to_ns(self) -> Option<u64> {
        if self.tm_nsec > 999_999_999 {
            return None;
        }
        Some(
            self.tm_sec
                .saturating_mul(1_000_000_000)
                .saturating_add(self.tm_nsec as u64),
        )
    }
}

/// A name as a zero-padded field; longer names are cut to 15 bytes.
pub fn name_field(name: &str) -> [u8; 16] {
    let mut field = [0; 16];
    let length = name.len().min(crate::NAME_MAX);
    field[..length].copy_from_slice(&name.as_bytes()[..length]);
    field
}

/// The text in a zero-padded field; bytes that are not UTF-8 end it.
pub fn name_text(field: &[u8; 16]) -> &str {
    let length = field
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(field.len());
    match core::str::from_utf8(&field[..length]) {
        Ok(text) => text,
        Err(error) => core::str::from_utf8(&field[..error.valid_up_to()]).unwrap_or(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nc_001_sizes() {
        assert_eq!(size_of::<KnUniqueId>(), 8);
        assert_eq!(size_of::<KnCap>(), 16);
        assert_eq!(core::mem::offset_of!(KnCap, key), 8);
    }

    #[test]
    fn names_are_cut_and_read_back() {
        assert_eq!(
            name_text(&name_field("network-manager-x")),
            "network-manager"
        );
        assert_eq!(name_text(&[0xff; 16]), "");
    }
}
