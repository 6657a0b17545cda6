//! What the site tells the cluster: that it has joined, that an actor was started, that one has ended.
//!
//! All are calls to the gateway's control port, so that what was told arrived. Where there is no gateway (a bare machine), nobody is told.

use chorus_abi::machine::Mark;
use chorus_abi::services::{
    Answer, CONTROL_ENDED, CONTROL_JOINED, CONTROL_STARTED, ControlNotice, EndNotice,
};
use chorus_abi::{GATEWAY_SITE, KError, KnUniqueId, STAMP_CONTROL};
use chorus_runtime::message::{Message, call_annex};
use chorus_runtime::{check, raw, site, site_log, thread};
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;

const CONTROL: KnUniqueId = KnUniqueId::well_known_port(GATEWAY_SITE, STAMP_CONTROL);
/// How long one notice may take.
const LIMIT: Duration = Duration::from_secs(20);
/// How often joining is tried, and the pause between.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(250);

static JOINED: AtomicBool = AtomicBool::new(false);

fn tell(notice: &ControlNotice, text: &[u8]) -> Result<(), KError> {
    let annex = notice.to_annex();
    let message = Message {
        annex: Some(&annex),
        body: text,
    };
    let mut reply = [0; 64];
    call_annex(CONTROL, message, &mut reply, Some(LIMIT))?;
    check(Answer::from_annex(&reply).result).map(|_| ())
}

fn own(service: u32) -> ControlNotice {
    ControlNotice {
        service,
        site: site::number().into(),
        ..ControlNotice::default()
    }
}

/// Tells the gateway that the site answers, until it hears.
pub fn join() {
    let mut last = KError::Unknown;
    for _ in 0..TRIES {
        match tell(&own(CONTROL_JOINED), &[]) {
            Ok(()) => {
                JOINED.store(true, Ordering::Relaxed);
                // SAFETY: no pointers.
                unsafe { raw::site_mark(Mark::SiteJoined as u32) };
                return;
            }
            Err(error) => last = error,
        }
        let _ = thread::sleep(PAUSE);
    }
    site_log!(
        "site-manager: no gateway answers ({}); the site works without one",
        last.symbol()
    );
}

/// An actor was started for somebody.
pub fn started(actor: KnUniqueId, name: [u8; 16]) {
    let notice = ControlNotice {
        actor,
        name,
        ..own(CONTROL_STARTED)
    };
    // Who asked for it gets the answer; this is for the record.
    let _ = tell(&notice, &[]);
}

/// An actor has ended.
pub fn ended(end: &EndNotice) {
    let notice = ControlNotice {
        actor: end.actor,
        name: end.name,
        reason: end.reason,
        status: end.status,
        pc: end.pc,
        address: end.address,
        ..own(CONTROL_ENDED)
    };
    let text = if end.reason == 0 {
        alloc::string::String::new()
    } else {
        alloc::format!("thread {:#x}", end.thread)
    };
    if let Err(error) = tell(&notice, text.as_bytes())
        && JOINED.load(Ordering::Relaxed)
    {
        site_log!(
            "site-manager: the end of actor {} was not told: {}",
            end.actor,
            error.symbol()
        );
    }
}
