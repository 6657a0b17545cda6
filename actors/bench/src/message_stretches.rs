//! The longest time that a processor hears no interrupts in messages of 64 KiB, where the pages of both ends have to be made first.

use crate::memory::{Large, Region, call, echo, free};
use crate::stretches::during;
use chorus_abi::{
    In, InOut, K_CMSGSIZEMAX, K_DEFAULTPORT, K_MOVE, K_NODELAY_LIMIT, KError, KnIpcDest, KnMsgDesc,
    KnUniqueId, PAGE_SIZE,
};
use chorus_runtime::port::Port;
use chorus_runtime::{at, at_mut, check, raw, thread};

/// Bytes of each end: a body may begin within its first page.
const SIZE: u64 = K_CMSGSIZEMAX as u64 + PAGE_SIZE;

/// What the pages of both ends are before.
#[derive(Clone, Copy)]
enum Pages {
    /// Not there.
    Fresh,
    /// Those of a deferred copy, which are its source's.
    OfACopy,
    /// Those of which there is a deferred copy.
    Copied,
    /// There.
    There,
}

/// Such pages, and what has to live as long.
fn made(pages: Pages) -> Result<(Region, Option<Region>), KError> {
    if let Pages::Fresh = pages {
        return Ok((Region::fresh(SIZE)?, None));
    }
    let source = Region::new(SIZE)?;
    if let Pages::There = pages {
        return Ok((source, None));
    }
    let copy = source.copy()?;
    Ok(match pages {
        Pages::OfACopy => (copy, Some(source)),
        _ => (source, Some(copy)),
    })
}

const CASES: [(&str, Large, Pages); 9] = [
    ("message-between-fresh-pages", Large::Copied, Pages::Fresh),
    ("message-between-copies", Large::Copied, Pages::OfACopy),
    ("message-between-copied", Large::Copied, Pages::Copied),
    ("moved-between-fresh-pages", Large::Moved, Pages::Fresh),
    ("moved-between-copies", Large::Moved, Pages::OfACopy),
    ("moved-between-copied", Large::Moved, Pages::Copied),
    ("lent-between-copies", Large::LentBack, Pages::OfACopy),
    ("lent-between-copied", Large::LentBack, Pages::Copied),
    ("lent-and-stored", Large::Stored, Pages::There),
];

/// A call with 64 KiB, and the answer with as many.
fn round_trip(name: &str, what: Large, pages: Pages) -> Result<(), KError> {
    let (mine, _kept) = made(pages)?;
    let (theirs, kept) = made(pages)?;
    let port = Port::create()?;
    let dest = KnIpcDest {
        target: port.ui(),
        co_target: KnUniqueId::NULL,
    };
    let server = thread::spawn(0, move || {
        let _ = echo(&port, theirs.start());
        drop((theirs, kept));
    });
    server?;
    let body = mine.start() + if let Large::Copied = what { 64 } else { 0 };
    let times = if let Large::Stored = what { 8 } else { 1 };
    during(name, || {
        for _ in 0..times {
            if let Large::Stored = what {
                mine.touch(SIZE);
            }
            call(&dest, body, K_CMSGSIZEMAX, what)?;
        }
        Ok(())
    })?;
    call(&dest, body, 0, Large::Copied).map(|_| ())
}

/// A message that waits in a queue, and is received.
fn queued(name: &str, flags: u32, offset: u64, pages: Pages) -> Result<(), KError> {
    let (mine, _kept) = made(pages)?;
    let (theirs, _kept_too) = made(pages)?;
    let port = Port::create()?;
    let dest = KnIpcDest {
        target: port.ui(),
        co_target: KnUniqueId::NULL,
    };
    let message = KnMsgDesc {
        flags,
        body_addr: mine.start() + offset,
        body_size: K_CMSGSIZEMAX,
        ..KnMsgDesc::default()
    };
    let mut room = KnMsgDesc {
        body_addr: theirs.start(),
        body_size: K_CMSGSIZEMAX,
        ..KnMsgDesc::default()
    };
    let mut li = port.li();
    during(name, || {
        // SAFETY: message, body and destination live through the call.
        check(unsafe { raw::ipc_send(In::new(at(&message)), K_DEFAULTPORT, In::new(at(&dest))) })?;
        // SAFETY: the descriptor, the buffer and the LI live through the call.
        check(unsafe {
            raw::ipc_receive(
                InOut::new(at_mut(&mut room)),
                InOut::new(at_mut(&mut li)),
                K_NODELAY_LIMIT,
            )
        })
        .map(|_| ())
    })
}

/// The longest in messages of each kind.
pub fn of_messages() -> Result<(), KError> {
    if free()? < 4 << 20 {
        return Ok(());
    }
    for (name, what, pages) in CASES {
        round_trip(name, what, pages)?;
    }
    queued("queued-between-fresh-pages", 0, 64, Pages::Fresh)?;
    queued("queued-between-copies", 0, 64, Pages::OfACopy)?;
    queued("queued-between-copied", 0, 0, Pages::Copied)?;
    queued("queued-and-moved-between-copies", K_MOVE, 0, Pages::OfACopy)?;
    queued("queued-and-moved-between-copied", K_MOVE, 0, Pages::Copied)
}
