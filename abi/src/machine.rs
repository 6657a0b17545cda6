//! The virtual machine's side: ports, marks and the panic report that the VMM reads from guest memory.
//!
//! See `docs/architecture.md`, "Boot", for the whole contract.

/// Console, a 16550.
pub const PORT_CONSOLE: u16 = 0x3f8;
/// Interrupt of the console's receiver.
pub const IRQ_CONSOLE: u32 = 4;
/// One byte out: the site ends with this code (QEMU's isa-debug-exit sits there too).
pub const PORT_EXIT: u16 = 0xf4;
/// Four bytes out: a mark, one of [`Mark`] or a number of an actor's own from 1000 up.
pub const PORT_MARK: u16 = 0xf8;
/// One byte out by the supervisor #BP handler: a breakpoint that no one else handles; registers are those at the `int3`.
pub const PORT_BREAKPOINT: u16 = 0xfa;
/// Four bytes out: physical address of a [`KnPanicReport`].
pub const PORT_REPORT: u16 = 0xfc;

/// Exit code by which a Nucleus panic ends the site.
pub const EXIT_PANIC: u8 = 0x7f;

/// First vector of device interrupts where there is no IOAPIC (`chorus.msi`).
pub const MSI_VECTOR_BASE: u8 = 0x30;
/// Vector of a device interrupt: `0x30 + irq`; those from 16 up, whose places the Nucleus' call and the traps have, begin at `0x70` again.
pub const fn vector_of(irq: u32) -> u32 {
    match irq {
        16..32 => 0x60 + irq,
        _ => MSI_VECTOR_BASE as u32 + irq,
    }
}

/// The device interrupt behind a vector.
pub const fn irq_of(vector: u32) -> Option<u32> {
    match vector {
        0x30..0x40 | 0x50..0x70 => Some(vector - MSI_VECTOR_BASE as u32),
        0x70..0x80 => Some(vector - 0x60),
        _ => None,
    }
}

/// First guest physical address of virtio-mmio devices in our VMM, 4 KiB apart.
pub const VIRTIO_MMIO_BASE: u64 = 0xd000_0000;
/// Interrupt of the first virtio-mmio device; the next ones follow.
pub const VIRTIO_MMIO_IRQ: u32 = 5;
/// EtherType of Chorus frames (local experimental).
pub const ETHERTYPE: u16 = 0x88B5;

/// Boot marks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u32)]
pub enum Mark {
    /// First instruction of the Nucleus.
    FirstInstruction = 1,
    /// All processors run, the Nucleus takes calls.
    NucleusReady = 2,
    /// The first user instruction is next.
    FirstUserInstruction = 3,
    /// The site manager answers: the site has joined.
    SiteJoined = 4,
}

/// MAC address of a site.
pub const fn mac_of_site(site: u16) -> [u8; 6] {
    [0x02, 0x43, 0x48, 0x00, (site >> 8) as u8, site as u8]
}

/// The site behind a MAC address of ours; `None` for any other address.
pub const fn site_of_mac(mac: [u8; 6]) -> Option<u16> {
    if mac[0] != 0x02 || mac[1] != 0x43 || mac[2] != 0x48 || mac[3] != 0 {
        return None;
    }
    let site = (mac[4] as u16) << 8 | mac[5] as u16;
    if site == 0 || site > crate::SITE_MAX {
        None
    } else {
        Some(site)
    }
}

/// The page of every user space through which calls go in: [`STUB_SIZE`] bytes for each number of a call.
pub const STUB_PAGE: u64 = 0x7fff_fff0_0000;
/// Bytes of a call's stub there.
pub const STUB_SIZE: u64 = 16;
/// Symbol of the Nucleus' 256 entries of exceptions and interrupts, each of [`ENTRY_SIZE`] bytes.
pub const ENTRIES_SYMBOL: &str = "trap_entries";
/// Bytes of an entry.
pub const ENTRY_SIZE: u64 = 16;

/// Symbol of the Nucleus' table of [`IMAGES`] [`KnImage`]s, for debuggers.
pub const IMAGES_SYMBOL: &str = "CHORUS_IMAGES";
/// Symbol of the function that the Nucleus calls after each change of that table.
pub const IMAGES_CHANGED_SYMBOL: &str = "chorus_images_changed";
/// Slots of the table.
pub const IMAGES: usize = 256;

/// Symbol of the Nucleus' table of pointers to its records of processors, by index, for debuggers; null for one that does not run.
pub const PROCESSORS_SYMBOL: &str = "CHORUS_PROCESSORS";
/// Offset of the word in such a record that says which thread runs: its slot, or `u64::MAX` for none.
pub const PROCESSOR_THREAD: u64 = 16;

/// Where an actor's image lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct KnImage {
    /// Address that it was loaded at; 0: the slot is free.
    pub base: u64,
    /// Bytes of address space.
    pub extent: u64,
    /// Physical address of its space's top page table.
    pub root: u64,
    /// Name that the actor had when it was loaded, zero padded.
    pub name: [u8; 16],
}

impl KnImage {
    /// A free slot.
    pub const NONE: KnImage = KnImage {
        base: 0,
        extent: 0,
        root: 0,
        name: [0; 16],
    };
}

/// `KnPanicReport::magic`.
pub const PANIC_MAGIC: u64 = 0x4b50_414e_4943_3031;

/// What a panicking Nucleus leaves in its memory for the VMM.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct KnPanicReport {
    /// [`PANIC_MAGIC`].
    pub magic: u64,
    /// Processor that panicked.
    pub cpu: u32,
    /// x86 exception vector, or `u32::MAX` for a panic of the code itself.
    pub vector: u32,
    /// Error code of the exception.
    pub error_code: u64,
    /// Instruction pointer.
    pub rip: u64,
    /// Stack pointer.
    pub rsp: u64,
    /// Frame pointer, for the backtrace.
    pub rbp: u64,
    /// Faulting address.
    pub cr2: u64,
    /// Page table in force.
    pub cr3: u64,
    /// UI of the actor that ran, as a word; 0 for none.
    pub actor: u64,
    /// LI of the thread that ran; 0 for none.
    pub thread: u32,
    /// Bytes of the text that are used.
    pub text_size: u32,
    /// What happened, UTF-8.
    pub text: [u8; 256],
}
