//! Loading images: the same one in both rings, and what is refused (NC-194).

use super::scene::{NOWHERE, Party};
use super::site::Site;
use crate::machine::Machine;
use crate::memory::Fault;
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::image::*;
use chorus_abi::*;

/// Places in the image; offsets in the file are the addresses.
const NOTE: usize = 0x200;
const RELOCATION: usize = 0x300;
const DYNAMIC: usize = 0x340;
const ENTRY: u64 = 0x400;
const DATA: usize = 0x1000;
const WORD: u64 = 0x1040;
const SIZE: usize = 0x1080;

/// A small image: code, and data with one import and one word to relocate.
pub(super) fn image() -> Vec<u8> {
    let mut image = alloc::vec![0x90u8; SIZE];
    let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &[0; 64 + 4 * 56]);
    put(0, b"\x7fELF\x02\x01\x01");
    put(16, &[3, 0, 62, 0, 1, 0, 0, 0]);
    put(24, &ENTRY.to_le_bytes());
    put(32, &64u64.to_le_bytes());
    put(54, &[56, 0, 4, 0]);
    // Kind, flags, place, bytes in the file, bytes in memory.
    for (index, (kind, flags, at, file, memory)) in [
        (1u32, 5u32, 0, DATA as u64, DATA as u64),
        (1, 6, DATA as u64, 0x80, 0x2000),
        (4, 4, NOTE as u64, 0x34, 0x34),
        (2, 6, DYNAMIC as u64, 48, 48),
    ]
    .into_iter()
    .enumerate()
    {
        let header = 64 + index * 56;
        put(header, &kind.to_le_bytes());
        put(header + 4, &flags.to_le_bytes());
        for (field, value) in [(8, at), (16, at), (32, file), (40, memory)] {
            put(header + field, &u64::to_le_bytes(value));
        }
    }
    put(NOTE, &[8, 0, 0, 0, 32, 0, 0, 0, 1, 0, 0, 0]);
    put(NOTE + 12, NOTE_OWNER);
    put(NOTE + 20, &[0; 32]);
    put(NOTE + 20, &ABI_VERSION.to_le_bytes());
    let field = (NOTE + 36) as i32;
    put(NOTE + 36, &(DATA as i32 - field).to_le_bytes());
    put(
        NOTE + 40,
        &((DATA + size_of::<Import>()) as i32 - (field + 4)).to_le_bytes(),
    );
    for (at, value) in [(0, WORD), (8, 8), (16, 0x123)] {
        put(RELOCATION + at, &value.to_le_bytes());
    }
    for (at, value) in [7, RELOCATION as u64, 8, 24, 0, 0].into_iter().enumerate() {
        put(DYNAMIC + at * 8, &u64::to_le_bytes(value));
    }
    put(DATA, &[0; 0x80]);
    put(DATA, b"ipcReceive");
    image
}

/// A loader, with an image and arguments in its memory.
pub(super) fn loader(image: &[u8]) -> (Site, Party, KnLoadDesc) {
    let mut site = Site::new(4);
    let loader = site.party(K_SYSTEMACTOR);
    let desc = KnLoadDesc {
        image: site.arg(loader.actor, image),
        image_size: image.len() as u64,
        args: site.arg(loader.actor, b"name\0one\0"),
        args_size: 9,
        diag: 99,
        ..KnLoadDesc::default()
    };
    (site, loader, desc)
}

/// An empty actor; its capability's address.
fn empty(site: &mut Site, by: Party, kind: i32) -> u64 {
    let cap = site.arg(by.actor, &KnCap::default());
    site.grants(by, "actorCreate", &[0, cap, kind as u64, 0]);
    cap
}

#[test]
fn nc_194_the_same_image_is_loaded_into_either_ring() {
    for kind in [K_USERACTOR, K_SYSTEMACTOR, K_SUPACTOR] {
        let (mut site, loader, desc) = loader(&image());
        let cap = empty(&mut site, loader, kind);
        let load = site.arg(loader.actor, &desc);
        let li = site.grants(loader, "actorLoad", &[cap, load]);
        site.settle();
        let done: KnLoadDesc = site.peek(loader.actor, load);
        assert_eq!((done.diag, done.base % PAGE_SIZE), (0, 0));
        let child: KnCap = site.peek(loader.actor, cap);
        let port = site.nucleus.port_by_ui(child.ui).unwrap();
        let child = site.nucleus.port_owner(port).unwrap();
        let thread = site
            .nucleus
            .threads
            .iter()
            .find(|(_, thread)| thread.actor == child);
        let thread = thread.unwrap().0;
        assert_eq!(site.li(thread), li as u64);
        assert!(site.cpu_of(thread).is_some());
        let start = site.nucleus.machine.starts[thread.index()].unwrap();
        let supervisor = kind == K_SUPACTOR;
        assert_eq!(
            (start.entry, start.supervisor),
            (done.base + ENTRY, supervisor)
        );
        assert_eq!(start.stack != 0, !supervisor);
        // Its data: relocated, its slot filled for its ring, the rest zero.
        assert_eq!(site.peek::<u64>(child, done.base + WORD), done.base + 0x123);
        let number = table::by_name("ipcReceive").unwrap().number;
        let stub = site.nucleus.machine.call_address(supervisor, number);
        assert_eq!(
            site.peek::<u64>(
                child,
                done.base + (DATA + core::mem::offset_of!(Import, slot)) as u64
            ),
            stub
        );
        assert_eq!(site.peek::<u64>(child, done.base + 0x2ff8), 0);
        // What it is told.
        let info = site.bytes(child, start.argument, 64);
        let word = |at: usize| u32::from_le_bytes(info[at..at + 4].try_into().unwrap());
        assert_eq!((word(0), word(4), word(8)), (ABI_VERSION, kind as u32, 1));
        let args = u64::from_le_bytes(info[16..24].try_into().unwrap());
        assert_eq!(site.bytes(child, args, 9), b"name\0one\0");
        // Code is not written, data not executed, and there is a stack.
        let cpu = site.cpu_of(thread).unwrap();
        let mut touch =
            |address, write, fetch| site.nucleus.fault(cpu, address, write, fetch, !supervisor);
        assert_eq!(touch(done.base + ENTRY, false, true), Fault::Resolved);
        assert_eq!(touch(done.base + ENTRY, true, false), Fault::Exception(8));
        assert_eq!(touch(done.base + WORD, false, true), Fault::Exception(8));
        assert_eq!(touch(done.base + WORD, true, false), Fault::Resolved);
        if !supervisor {
            assert_eq!(touch(start.stack - 8, true, false), Fault::Resolved);
        }
        site.refuses(loader, "actorLoad", &[cap, load], K_EBUSY);
        site.end();
    }
}

#[test]
fn a_load_is_refused_before_anything_is_made() {
    let (mut site, loader, good) = loader(&image());
    let cap = empty(&mut site, loader, K_USERACTOR);
    for (desc, error) in [
        (
            KnLoadDesc {
                image_size: IMAGE_MAX + 1,
                ..good
            },
            K_ESIZE,
        ),
        (
            KnLoadDesc {
                args_size: ARGS_MAX as u32 + 1,
                ..good
            },
            K_ESIZE,
        ),
        (
            KnLoadDesc {
                stack_size: (16 << 20) + 1,
                ..good
            },
            K_ESIZE,
        ),
        (
            KnLoadDesc {
                priority: 256,
                ..good
            },
            K_EINVAL,
        ),
        (
            KnLoadDesc {
                priority: -256,
                ..good
            },
            K_EINVAL,
        ),
        (
            KnLoadDesc {
                image: NOWHERE,
                ..good
            },
            K_EFAULT,
        ),
        (
            KnLoadDesc {
                args: NOWHERE,
                ..good
            },
            K_EFAULT,
        ),
    ] {
        let load = site.arg(loader.actor, &desc);
        site.refuses(loader, "actorLoad", &[cap, load], error);
    }
    let load = site.arg(loader.actor, &good);
    site.refuses(loader, "actorLoad", &[cap, NOWHERE], K_EFAULT);
    site.refuses(loader, "actorLoad", &[NOWHERE, load], K_EFAULT);
    site.refuses(loader, "actorLoad", &[0, load], K_EBUSY);
    site.end();
}

#[test]
fn an_image_that_is_refused_leaves_the_actor_empty_and_says_why() {
    let changed = |at: usize, byte: u8| {
        let mut image = image();
        image[at] = byte;
        image
    };
    let images = [
        (changed(0, 0), LoadDiag::NotElf),
        (changed(18, 183), LoadDiag::WrongMachine),
        (changed(16, 2), LoadDiag::NotPie),
        (changed(64 + 4, 7), LoadDiag::WriteExecute),
        (changed(25, 0x20), LoadDiag::BadEntry),
        (changed(NOTE + 12, b'X'), LoadDiag::NoNote),
        (changed(NOTE + 20, 200), LoadDiag::WrongAbi),
        (changed(DATA, b'X'), LoadDiag::UnknownImport),
        (changed(RELOCATION + 8, 7), LoadDiag::BadRelocation),
        (changed(RELOCATION + 4, 1), LoadDiag::BadRelocation),
        (changed(DYNAMIC, 1), LoadDiag::DynamicLinking),
        (image()[..0x1020].into(), LoadDiag::Truncated),
    ];
    for (bad, diag) in images {
        let (mut site, loader, desc) = loader(&bad);
        let cap = empty(&mut site, loader, K_USERACTOR);
        let load = site.arg(loader.actor, &desc);
        let regions = site.nucleus.memory.regions.len();
        let result = site.call(loader.thread, "actorLoad", &[cap, load]);
        assert_eq!(result, Some(K_EINVAL), "{diag:?}");
        let told: KnLoadDesc = site.peek(loader.actor, load);
        assert_eq!(LoadDiag::from_number(told.diag), Some(diag));
        assert_eq!(site.nucleus.memory.regions.len(), regions);
        assert_eq!((site.nucleus.threads.len(), site.held()), (1, 0));
        // The next image finds it empty.
        let good = site.arg(loader.actor, &image()[..]);
        let desc = KnLoadDesc {
            image: good,
            image_size: SIZE as u64,
            ..desc
        };
        site.poke(loader.actor, load, &desc);
        assert!(site.grants(loader, "actorLoad", &[cap, load]) > 0);
        site.end();
    }
}

#[test]
fn an_image_for_which_there_is_no_memory_leaves_the_actor_empty() {
    for leave in 0..4 {
        let (mut site, loader, desc) = loader(&image());
        let cap = empty(&mut site, loader, K_USERACTOR);
        let load = site.arg(loader.actor, &desc);
        let regions = site.nucleus.memory.regions.len();
        let taken = site.hoard(leave);
        let result = site.call(loader.thread, "actorLoad", &[cap, load]);
        let enough = leave == 3;
        assert_eq!(result == Some(K_ENOMEM), !enough, "{leave}");
        site.give_back(taken);
        if !enough {
            assert_eq!(site.nucleus.memory.regions.len(), regions);
            let told: KnLoadDesc = site.peek(loader.actor, load);
            assert_eq!(LoadDiag::from_number(told.diag), Some(LoadDiag::NoMemory));
            site.poke(loader.actor, load, &desc);
            assert!(site.grants(loader, "actorLoad", &[cap, load]) > 0);
        }
        site.end();
    }
    // No thread, no region.
    let (mut site, loader, desc) = loader(&image());
    let cap = empty(&mut site, loader, K_USERACTOR);
    let load = site.arg(loader.actor, &desc);
    while site.nucleus.threads.len() < 32 {
        site.grants(loader, "threadCreate", &[0, 0, K_INACTIVE as u64, 0, 0, 0]);
    }
    let result = site.call(loader.thread, "actorLoad", &[cap, load]);
    assert_eq!(result, Some(K_ENOMEM));
    assert_eq!(site.nucleus.memory.regions.len(), 1);
    site.end();
}
