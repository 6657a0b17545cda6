//! What takes memory in large pieces: deferred copies of regions, and messages of 64 KiB.

use crate::samples::{repeat, report};
use alloc::format;
use chorus_abi::{
    In, InOut, K_ANYWHERE, K_CMSGSIZEMAX, K_DEFAULTPORT, K_FILLZERO, K_MOVE, K_MYACTOR,
    K_NODELAY_LIMIT, K_WRITABLE, KError, KnIpcDest, KnMsgDesc, KnRgnDesc, KnSiteStat, KnUniqueId,
    KnVmStat, Out, PAGE_SIZE,
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
    pub fn copy(&self) -> Region {
        let mut copy = KnRgnDesc {
            size: self.0.size,
            options: K_WRITABLE | K_ANYWHERE,
            ..KnRgnDesc::default()
        };
        // SAFETY: the descriptors live through the call. A copy that is not made has size 0, which its end tells.
        let made = unsafe {
            raw::rgn_init_from_actor(
                In::new(K_MYACTOR),
                InOut::new(at_mut(&mut copy)),
                In::new(K_MYACTOR),
                In::new(at(&self.0)),
            )
        };
        if check(made).is_err() {
            copy.size = 0;
        }
        Region(copy)
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        if self.0.size > 0 {
            // SAFETY: nothing of the region is used any more.
            let _ = unsafe { raw::rgn_free(In::new(K_MYACTOR), In::new(at(&self.0))) };
        }
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
            samples.extend(crate::samples::once(|| kept = Some(source.copy())));
            failed |= kept.as_ref().is_none_or(|copy: &Region| copy.0.size == 0);
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

/// Answers with the body that it got until an empty message comes; the pages go with it if they came so.
fn echo(port: &Port, buffer: u64) -> Result<(), KError> {
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
            let reply = KnMsgDesc {
                flags: (room.annex_addr as *const u32).read_volatile(),
                body_addr: buffer,
                body_size: size,
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

/// Round trips with 64 KiB there and back, copied and moved, and the bytes that each copies.
pub fn large_messages(count: usize) -> Result<(), KError> {
    let (mine, theirs) = (
        Region::new(K_CMSGSIZEMAX.into())?,
        Region::new(K_CMSGSIZEMAX.into())?,
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
    let call = |flags: u32, size: u32| {
        let mut annex = [0u8; 64];
        annex[..4].copy_from_slice(&flags.to_le_bytes());
        let request = KnMsgDesc {
            flags,
            body_addr: mine.0.start_addr,
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
                In::new(at(&dest)),
                InOut::new(at_mut(&mut reply)),
                K_NODELAY_LIMIT,
            )
        })
    };
    for (name, flags) in [("64-KiB-copied", 0), ("64-KiB-moved", K_MOVE)] {
        let mut failure = None;
        let mut bytes = repeat_counted(count, || {
            failure = call(flags, K_CMSGSIZEMAX).err().or(failure);
        })?;
        let mut samples = repeat(count, || {
            failure = call(flags, K_CMSGSIZEMAX).err().or(failure);
        });
        if let Some(error) = failure {
            return Err(error);
        }
        report("ipc", name, "ticks", &mut samples);
        report("ipc", &format!("{name}-bytes"), "bytes", &mut bytes);
    }
    call(0, 0).map(|_| ())
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
