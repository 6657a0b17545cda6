//! What takes memory in large pieces: deferred copies of regions, and messages of 64 KiB.

use crate::samples::{repeat, report};
use alloc::format;
use chorus_abi::{
    In, InOut, K_ANYWHERE, K_CMSGSIZEMAX, K_DEFAULTPORT, K_FILLZERO, K_MOVE, K_MYACTOR,
    K_NODELAY_LIMIT, K_NODEMAND, K_WRITABLE, KError, KnIpcDest, KnMsgDesc, KnRgnDesc, KnSiteStat,
    KnUniqueId, KnVmStat, Out, PAGE_SIZE,
};
use chorus_runtime::port::Port;
use chorus_runtime::{at, at_mut, check, raw, thread};

/// A region of this actor's.
pub struct Region(KnRgnDesc);

impl Region {
    /// So many bytes, each page touched.
    pub fn new(size: u64) -> Result<Region, KError> {
        let made = Region::fresh(size)?;
        made.touch(size);
        Ok(made)
    }

    /// Its first address.
    pub fn start(&self) -> u64 {
        self.0.start_addr
    }

    /// Stores into each page of so many bytes.
    pub fn touch(&self, size: u64) {
        for page in (0..size.min(self.0.size)).step_by(PAGE_SIZE as usize) {
            // SAFETY: a page of the region, which is nobody else's.
            unsafe { ((self.0.start_addr + page) as *mut u8).write_volatile(1) };
        }
    }

    /// So many bytes, no page touched.
    pub fn fresh(size: u64) -> Result<Region, KError> {
        let mut region = KnRgnDesc {
            size,
            options: K_WRITABLE | K_FILLZERO | K_ANYWHERE,
            ..KnRgnDesc::default()
        };
        // SAFETY: the descriptor lives through the call.
        check(unsafe { raw::rgn_allocate(In::new(K_MYACTOR), InOut::new(at_mut(&mut region))) })?;
        Ok(Region(region))
    }

    /// A copy of it, of which nothing is touched.
    pub fn copy(&self) -> Result<Region, KError> {
        self.copied(0)
    }

    /// A copy of it, all of which is there.
    pub fn copy_whole(&self) -> Result<Region, KError> {
        self.copied(K_NODEMAND)
    }

    fn copied(&self, options: u32) -> Result<Region, KError> {
        let mut copy = KnRgnDesc {
            size: self.0.size,
            options: K_WRITABLE | K_ANYWHERE | options,
            ..KnRgnDesc::default()
        };
        // SAFETY: the descriptors live through the call.
        check(unsafe {
            raw::rgn_init_from_actor(
                In::new(K_MYACTOR),
                InOut::new(at_mut(&mut copy)),
                In::new(K_MYACTOR),
                In::new(at(&self.0)),
            )
        })?;
        Ok(Region(copy))
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: nothing of the region is used any more.
        let _ = unsafe { raw::rgn_free(In::new(K_MYACTOR), In::new(at(&self.0))) };
    }
}

/// Deferred copies of a small and a large region, until they are touched.
pub fn copies(count: usize) -> Result<(), KError> {
    for megabytes in [1, 64] {
        if free()? < (megabytes + 16) << 20 {
            continue;
        }
        let source = Region::new(megabytes << 20)?;
        let mut kept = None;
        let mut failed = false;
        let mut samples = alloc::vec::Vec::new();
        for _ in 0..count {
            drop(kept.take());
            // Stores were allowed again: forbidding them is part of a copy.
            for page in (0..source.0.size).step_by(64 * PAGE_SIZE as usize) {
                // SAFETY: a page of the source.
                unsafe { ((source.0.start_addr + page) as *mut u8).write_volatile(2) };
            }
            samples.extend(crate::samples::once(|| kept = source.copy().ok()));
            failed |= kept.is_none();
        }
        if failed {
            return Err(KError::NoMem);
        }
        let name = format!("copy-{megabytes}-MiB");
        report("memory", &name, "ticks", &mut samples);
    }
    Ok(())
}

/// Bytes of memory that nobody has.
pub fn free() -> Result<u64, KError> {
    let mut stat = KnVmStat::default();
    // SAFETY: the structure lives through the call.
    check(unsafe { raw::vm_stat(Out::new(at_mut(&mut stat))) })?;
    Ok(stat.free)
}

fn copied() -> Result<u64, KError> {
    let mut stat = KnSiteStat::default();
    // SAFETY: the structure lives through the call.
    check(unsafe { raw::site_stat(Out::new(at_mut(&mut stat))) })?;
    Ok(stat.copied)
}

/// What the annex of a request says: flags of the reply, and whether it has the request's body.
type Wish = [u32; 2];

/// Answers, with the body that it got if that is wished, until an empty message comes; the pages go with it if they came so.
pub fn echo(port: &Port, buffer: u64) -> Result<(), KError> {
    let mut room = KnMsgDesc {
        body_addr: buffer,
        body_size: K_CMSGSIZEMAX,
        ..KnMsgDesc::default()
    };
    let mut annex = [0u8; 64];
    room.annex_addr = at_mut(&mut annex);
    let mut li = port.li();
    // SAFETY: the descriptors, the annex, the buffer and the LI live through the calls.
    unsafe {
        let mut size = check(raw::ipc_receive(
            InOut::new(at_mut(&mut room)),
            InOut::new(at_mut(&mut li)),
            K_NODELAY_LIMIT,
        ))?;
        loop {
            let [flags, answers] = (room.annex_addr as *const Wish).read_volatile();
            let reply = KnMsgDesc {
                flags,
                body_addr: buffer,
                body_size: if answers != 0 { size } else { 0 },
                ..KnMsgDesc::default()
            };
            if size == 0 {
                return check(raw::ipc_reply(In::new(at(&reply)))).map(|_| ());
            }
            size = check(raw::ipc_reply_receive(
                In::new(at(&reply)),
                InOut::new(at_mut(&mut room)),
                InOut::new(at_mut(&mut li)),
                K_NODELAY_LIMIT,
            ))?;
        }
    }
}

/// What is done with a large body.
#[derive(Clone, Copy)]
pub enum Large {
    /// There and back, at places that do not agree about where in a page they are.
    Copied,
    /// There and back with `K_MOVE`.
    Moved,
    /// There, from two buffers in turn, which nobody stores into.
    Lent,
    /// There and back, and nobody stores into it.
    LentBack,
    /// There, after a store into each page of it.
    Stored,
}

const LARGE: [(&str, Large); 5] = [
    ("64-KiB-copied", Large::Copied),
    ("64-KiB-moved", Large::Moved),
    ("64-KiB-lent", Large::Lent),
    ("64-KiB-lent-back", Large::LentBack),
    ("64-KiB-lent-stored", Large::Stored),
];

/// Sends a body of so many bytes at an address, and waits for the answer.
pub fn call(dest: &KnIpcDest, body_addr: u64, size: u32, what: Large) -> Result<u32, KError> {
    let mut annex = [0u32; 16];
    let flags = if let Large::Moved = what { K_MOVE } else { 0 };
    let answers = !matches!(what, Large::Lent | Large::Stored);
    annex[..2].copy_from_slice(&[flags, answers.into()]);
    let request = KnMsgDesc {
        flags,
        body_addr,
        body_size: size,
        annex_addr: at(&annex),
        ..KnMsgDesc::default()
    };
    let mut reply = KnMsgDesc {
        flags: 0,
        annex_addr: 0,
        ..request
    };
    // SAFETY: all that the call points at lives through it.
    check(unsafe {
        raw::ipc_call(
            In::new(at(&request)),
            K_DEFAULTPORT,
            In::new(at(dest)),
            InOut::new(at_mut(&mut reply)),
            K_NODELAY_LIMIT,
        )
    })
}

/// Round trips with 64 KiB, copied, moved and lent, and the bytes that each copies.
pub fn large_messages(count: usize) -> Result<(), KError> {
    let size = u64::from(K_CMSGSIZEMAX);
    let (mine, other, theirs) = (
        Region::new(size + PAGE_SIZE)?,
        Region::new(size)?,
        Region::new(size)?,
    );
    let port = Port::create()?;
    let dest = KnIpcDest {
        target: port.ui(),
        co_target: KnUniqueId::NULL,
    };
    let server = thread::spawn(0, move || {
        let _ = echo(&port, theirs.0.start_addr);
        drop(theirs);
    });
    server?;
    let mut turn = false;
    let mut once = |what: Large| {
        let start = mine.0.start_addr;
        turn = !turn;
        let body = match what {
            Large::Copied => start + 64,
            Large::Lent if turn => other.0.start_addr,
            _ => start,
        };
        if let Large::Stored = what {
            for page in (start..start + size).step_by(PAGE_SIZE as usize) {
                // SAFETY: a page of this side's buffer, which nobody else uses between the calls.
                unsafe { (page as *mut u8).write_volatile(3) };
            }
        }
        call(&dest, body, K_CMSGSIZEMAX, what).err()
    };
    for (name, what) in LARGE {
        let mut failure = None;
        let mut samples = repeat(count, || failure = once(what).or(failure));
        let mut bytes = repeat_counted(count, || failure = once(what).or(failure))?;
        if let Some(error) = failure {
            return Err(error);
        }
        report("ipc", name, "ticks", &mut samples);
        report("ipc", &format!("{name}-bytes"), "bytes", &mut bytes);
    }
    call(&dest, mine.0.start_addr, 0, Large::Copied).map(|_| ())
}

/// The bytes that each run of an operation has the Nucleus copy.
fn repeat_counted(
    count: usize,
    mut operation: impl FnMut(),
) -> Result<alloc::vec::Vec<u64>, KError> {
    let mut all = alloc::vec::Vec::new();
    for _ in 0..count {
        let before = copied()?;
        operation();
        all.push(copied()? - before);
    }
    Ok(all)
}
