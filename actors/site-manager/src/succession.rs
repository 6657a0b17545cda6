//! Actors that replace others: who replaces whom, and the port that changes its actor.
//!
//! The one that is replaced gives its port away itself, in a request (`SITE_HAND`): only then is it sure that nothing is executed twice. This room moves it, because an actor of one
//! kind may not change those of another. Whom a message is from is told by the Nucleus.

use crate::{actors, refusal};
use alloc::vec::Vec;
use chorus_abi::services::Answer;
use chorus_abi::{In, K_MIGRATEMSG, KError, KnCap, KnUniqueId, Out};
use chorus_runtime::sync::Mutex;
use chorus_runtime::{at, check, raw};

/// An actor and the one that replaces it, by their default ports.
#[derive(Clone, Copy)]
struct Pair {
    old: KnUniqueId,
    new: KnUniqueId,
}

static PAIRS: Mutex<Vec<Pair>> = Mutex::new(Vec::new());

/// A new actor is to replace another. Errors: `K_EUNKNOWN`, that is not here; `K_EBUSY`, it is being replaced.
pub fn begin(old: KnUniqueId, new: KnUniqueId) -> Result<(), KError> {
    actors::find(old)?;
    let mut pairs = PAIRS.lock();
    if pairs.iter().any(|pair| pair.old == old) {
        return Err(KError::Busy);
    }
    pairs.push(Pair { old, new });
    Ok(())
}

/// An actor has ended: it replaces nobody, and nobody replaces it.
pub fn ended(actor: KnUniqueId) {
    PAIRS
        .lock()
        .retain(|pair| pair.old != actor && pair.new != actor);
}

/// `SITE_SUCCEED`.
pub fn predecessor(of: KnUniqueId) -> Answer {
    let pairs = PAIRS.lock();
    let found = pairs.iter().find(|pair| pair.new == of);
    let ui = found.map_or(KnUniqueId::NULL, |pair| pair.old);
    Answer {
        cap: KnCap { ui, key: 0 },
        ..Answer::default()
    }
}

/// `SITE_HAND`.
pub fn hand(from: KnUniqueId, li: u32, to: KnUniqueId) -> Answer {
    let known = PAIRS
        .lock()
        .iter()
        .any(|pair| pair.old == from && pair.new == to);
    let moved = if known {
        migrate(from, li, to)
    } else {
        Err(KError::Priv)
    };
    match moved {
        Ok(li) => {
            ended(from);
            Answer {
                value: li.into(),
                ..Answer::default()
            }
        }
        Err(error) => refusal(error),
    }
}

fn migrate(from: KnUniqueId, li: u32, to: KnUniqueId) -> Result<u32, KError> {
    let (source, destination) = (actors::find(from)?, actors::find(to)?);
    // SAFETY: both capabilities live through the call.
    check(unsafe {
        raw::port_migrate(
            K_MIGRATEMSG,
            In::new(at(&source)),
            li as i32,
            In::new(at(&destination)),
            Out::new(0),
        )
    })
}
