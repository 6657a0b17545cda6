//! Predefined names and limits (spec 1.5 and 1.6). Values without a source there are this project's own.

/// Version of the whole interface: an image built for another major version is refused.
pub const ABI_VERSION: u32 = 2;

/// `K_MYACTOR`: null capability pointer, the caller's current actor.
pub const K_MYACTOR: u64 = 0;
/// `K_SVACTOR`: all-ones capability pointer, the supervisor address space.
pub const K_SVACTOR: u64 = u64::MAX;
/// `K_MYSELF`: LI of the calling thread.
pub const K_MYSELF: i32 = 0;
/// `K_DEFAULTPORT`: LI of the default port of the current actor.
pub const K_DEFAULTPORT: i32 = 0;
/// `K_ANYENABLED`: any enabled port of the current actor.
pub const K_ANYENABLED: i32 = -1;
/// `K_NONEPORT`: no port, the reserved argument of `ipcSave`.
pub const K_NONEPORT: i32 = -2;
/// `K_NOTIMEOUT` of the IPC calls: a negative delay waits without limit.
pub const K_NODELAY_LIMIT: i32 = -1;

/// Actor kinds.
pub const K_USERACTOR: i32 = 0;
/// A trusted actor in user mode.
pub const K_SYSTEMACTOR: i32 = 1;
/// An actor in the Nucleus' address space.
pub const K_SUPACTOR: i32 = 2;

/// Thread privileges.
pub const K_USERTHREAD: i32 = 0;
/// A thread that runs in supervisor mode.
pub const K_SUPTHREAD: i32 = 1;

/// Initial status: may run at once.
pub const K_ACTIVE: i32 = 0;
/// Initial status of a thread: runs after `threadActivate`.
pub const K_INACTIVE: i32 = 1;
/// Initial status of an actor: stopped until `actorStart`.
pub const K_STOPPED: i32 = 2;

/// Group addressing: every member, unreliably (the default).
pub const K_BROADMODE: i32 = 0;
/// Group addressing: one arbitrary member.
pub const K_FUNCMODE: i32 = 1;
/// Group addressing: one member on the site that recognises `coTarget`.
pub const K_FUNCUMODE: i32 = 2;
/// Group addressing: one member that is not `coTarget`, nor on its site.
pub const K_FUNCXMODE: i32 = 3;

/// `grpAllocate`: a new group.
pub const K_DYNAMIC: i32 = 0;
/// `grpAllocate`: well-known group of the user class.
pub const K_STATUSER: i32 = 1;
/// `grpAllocate`: well-known group of the system class.
pub const K_STATSYS: i32 = 2;

/// `portMigrate`: queued messages follow the port.
pub const K_MIGRATEMSG: i32 = 0;
/// `portMigrate`: queued messages are lost, and queued requests aborted, before the port moves.
pub const K_DROPMSG: i32 = 1;
/// Names that one actor may have declared with `uiDeclare` at a time.
pub const K_CUIDECLARED: u32 = 1024;

/// Bytes of the fixed message part (seed: 64).
pub const K_CMSGANNEXSIZE: usize = 64;
/// Largest body in bytes, inclusive (seed: 64 kilobytes).
pub const K_CMSGSIZEMAX: u32 = 65536;
/// Messages that a port queue holds.
pub const K_CPORTQUEUE: usize = 64;
/// Saved messages of one actor.
pub const K_CMSGSAVEDMAX: usize = 64;

/// Message flag: the wait can be left by `threadAbort`.
pub const K_ABORTABLE: u32 = 1 << 0;
/// Message flag: the sender gives the pages away.
pub const K_MOVE: u32 = 1 << 1;

/// Time slice in nanoseconds (100 ms).
pub const K_RR_QUANTUM_NS: u64 = 100_000_000;
/// First absolute priority of the time-sliced band (spec 5.2).
pub const K_SLICED_FIRST: i32 = 128;
/// Most urgent absolute priority that an unprivileged caller may use (spec 5.1).
pub const K_USER_CEILING: i32 = 100;

/// Scheduling class: time-sliced or not by the band of its priority (spec 5.2).
pub const CLASS_DEFAULT: i32 = 0;
/// Scheduling class: never time-sliced.
pub const CLASS_FIFO: i32 = 1;
/// Scheduling class: always time-sliced.
pub const CLASS_RR: i32 = 2;
/// Scheduling class: an absolute priority, whatever the actor's, and a time slice of its own.
pub const CLASS_RT: i32 = 3;
/// Most urgent priority of `CLASS_RT`.
pub const K_RT_PRIOMAX: i32 = 159;
/// Least urgent priority of `CLASS_RT`.
pub const K_RT_PRIOMIN: i32 = 100;

/// Bytes of the x87 and SSE registers of `threadContext`.
pub const FPU_AREA_SIZE: usize = 512;

/// `eventWait`: one of the flags is enough.
pub const K_EVENT_OR: i32 = 0;
/// `eventWait`: all of the flags.
pub const K_EVENT_AND: i32 = 1;

/// `timerCreate`: the clock of `sysTime`.
pub const K_CLOCK_REALTIME: i32 = 0;
/// `timerSet`: the value is a time of `sysTime`, not an interval from now.
pub const K_TIMER_ABSOLUTE: i32 = 1;
/// `threadBind`: no processor in particular.
pub const K_ANYCPU: i32 = -1;

/// Region options (spec 4.2).
pub const K_WRITABLE: u32 = 1 << 0;
/// Instruction fetch allowed.
pub const K_EXECUTABLE: u32 = 1 << 1;
/// Only supervisor mode may touch it.
pub const K_SUPERVISOR: u32 = 1 << 2;
/// Content starts as zeros (always so here).
pub const K_FILLZERO: u32 = 1 << 3;
/// The Nucleus picks the address.
pub const K_ANYWHERE: u32 = 1 << 4;
/// The Nucleus picks an address between `startAddr` and `endAddr`.
pub const K_RESTRICTIVE: u32 = 1 << 5;
/// Takes addresses only; touching them faults.
pub const K_RESERVED: u32 = 1 << 6;
/// Pages allocated and fixed at once.
pub const K_NODEMAND: u32 = 1 << 7;
/// Fail with `K_ENOMEM` instead of waiting for free pages.
pub const K_NOWAITFORMEMORY: u32 = 1 << 8;
/// A duplicate of the actor's memory has a private copy of the region.
pub const K_INHERITCOPY: u32 = 1 << 9;
/// A duplicate of the actor's memory shares the region.
pub const K_INHERITSHARE: u32 = 1 << 10;

/// Flush flag and access: reading. A flush keeps what was pushed out, for reading only.
pub const K_READABLE: u32 = 1 << 11;
/// Flush flag: what was pushed out is dropped.
pub const K_NOACCESS: u32 = 1 << 12;
/// Flush flag: the range is dropped without pushing it out.
pub const K_DISCARD: u32 = 1 << 13;
/// Flush flag: the answers of the mapper are not waited for.
pub const K_ASYNC: u32 = 1 << 14;
/// Flush flag: an order number that is not larger than the last is passed over.
pub const K_ORDERED: u32 = 1 << 15;
/// Flag of `lcPushData`: a fault waits for the data.
pub const K_PAGEFAULT: u32 = 1 << 16;

/// Service of the default mapper: a temporary segment is needed.
pub const KN_MPCREATE: i32 = 1;
/// Service of a mapper: a cache of one of its segments has gone.
pub const KN_MPRELEASE: i32 = 2;
/// Service of a mapper: pages of a segment are needed.
pub const KN_MPPULLIN: i32 = 3;
/// Service of a mapper: pages of a segment are to be kept.
pub const KN_MPPUSHOUT: i32 = 4;
/// Service of a mapper: pages that a cache has are to be written.
pub const KN_MPGETACCESS: i32 = 5;

/// Largest site number (13 bits; 0 means "no hint").
pub const SITE_MAX: u16 = 8191;
/// The host gateway's site number.
pub const GATEWAY_SITE: u16 = 8191;
/// Largest stamp that `uiBuild` takes (ChorusOS 5).
pub const UI_STAMP_MAX: u32 = 0x07FF_FFFF;

/// Stamp of the static system group of default mappers: a system actor that inserts a port in it gets the pages of the site that leave memory.
pub const STAMP_DEFAULT_MAPPER: u32 = 1;
/// Static port stamps: console of actors, at the gateway.
pub const STAMP_CONSOLE: u32 = 1;
/// Static port stamps: host files, at the gateway.
pub const STAMP_FILES: u32 = 2;
/// Static port stamps: cluster control (joins, exits), at the gateway.
pub const STAMP_CONTROL: u32 = 3;
/// Static port stamps: pages of sites that left their memory, at the gateway.
pub const STAMP_PAGES: u32 = 4;
/// Static port stamps: the site manager, on every guest site.
pub const STAMP_SITE_MANAGER: u32 = 16;
/// Static port stamps: the Network Manager, on every guest site, for requests of other sites.
pub const STAMP_NETWORK_MANAGER: u32 = 17;

/// Bytes of a page.
pub const PAGE_SIZE: u64 = 4096;
/// Characters of an actor's or thread's name.
pub const NAME_MAX: usize = 15;

/// `KnExcReport::service`.
pub const K_EXC_REPORT: i32 = 1;
/// `KnExcReport::flags`: the access was a store.
pub const K_EXC_WRITE: i32 = 1 << 0;
/// `KnExcReport::flags`: the access was an instruction fetch.
pub const K_EXC_FETCH: i32 = 1 << 1;
/// Verdict: the thread goes on, with the registers in the answer's body if it has one.
pub const K_EXC_CONTINUE: i32 = 0;
/// Verdict: not treated; the default follows.
pub const K_EXC_NOTHANDLED: i32 = 1;
/// Verdict: the thread is deleted.
pub const K_EXC_DELETE: i32 = 2;
/// Number of the exception "bad trap or trap index".
pub const K_EXC_BADTRAP: u32 = 6;
/// Exception handlers of an actor beside the one of `svExcHandler`.
pub const K_ACTOR_EXCVECT_MAX: usize = 4;
/// Abort handlers of an actor beside the one of `svAbortHandler`.
pub const K_ACTOR_ABORTVECT_MAX: usize = 4;
/// First trap that a subsystem may take.
pub const K_TRAP_FIRST: u32 = 0x41;
/// Last trap that a subsystem may take.
pub const K_TRAP_LAST: u32 = 0x4f;
/// Handlers in the table of a trap.
pub const K_TRAP_TABLE: usize = 512;
/// LAP option: can be called from user mode, and is deleted when the last call has ended.
pub const K_LAP_SAFE: u32 = 1 << 0;
/// LAP option: its name is hidden from user actors.
pub const K_LAP_PROTECTED: u32 = 1 << 1;
/// LAP option: do not wait for the name.
pub const K_LAP_NOBLOCK: u32 = 1 << 2;
/// Characters of a LAP's name.
pub const K_LAPNAMEMAX: usize = 7;
/// Null pointer to a LAP: the one that is connected.
pub const K_CONNECTED_LAP: u64 = 0;
/// Verdict of an interrupt handler: not for it.
pub const K_INTR_UNCLAIMED: i32 = 0;
/// Verdict of an interrupt handler: for it.
pub const K_INTR_CLAIMED: i32 = 1;
/// Device identifiers from here up are of devices whose registers are I/O ports (`devIn`, `devOut`); below they are virtio's.
pub const K_DEV_PORTS: u32 = 0x1_0000;
/// A 16550 serial line.
pub const K_DEV_SERIAL: u32 = 0x1_0001;
