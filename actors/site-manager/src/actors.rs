//! Actors that are started and deleted for others.

use crate::{control, image, list, refusal, succession};
use chorus_abi::image::ARGS_MAX;
use chorus_abi::services::{Answer, StartRequest};
use chorus_abi::{
    In, InOut, K_ACTIVE, K_MYACTOR, KError, KnCap, KnLoadDesc, KnUniqueId, Out, name_field,
};
use chorus_runtime::{at, at_mut, check, raw, site};

/// The capability of an actor by its name. Errors: `K_EUNKNOWN`, it is not on this site (any more).
pub fn find(actor: KnUniqueId) -> Result<KnCap, KError> {
    list::actors()?
        .iter()
        .find(|found| found.cap.ui == actor)
        .map(|found| found.cap)
        .ok_or(KError::Unknown)
}

fn watch(actor: &KnCap) -> Result<(), KError> {
    let port = site::own_port();
    // SAFETY: both live through the call.
    check(unsafe { raw::actor_notify(In::new(at(actor)), In::new(at(&port))) }).map(|_| ())
}

/// Asks to be told of the ends of all actors that the boot started.
pub fn watch_all() -> Result<(), KError> {
    for actor in list::actors()? {
        // One that has ended meanwhile needs no watching.
        let _ = watch(&actor.cap);
    }
    Ok(())
}

/// `SITE_START`: fetches the image, makes the actor, loads it.
pub fn start(order: &StartRequest, args: &[u8]) -> Answer {
    let bytes = match image::fetch(&order.image, order.size) {
        Ok(bytes) => bytes,
        Err(error) => return refusal(error),
    };
    if args.len() > ARGS_MAX {
        return refusal(KError::Size);
    }
    let cap = match make(order, args) {
        Ok(cap) => cap,
        Err(error) => return refusal(error),
    };
    if order.replaces.is_valid()
        && let Err(error) = succession::begin(order.replaces, cap.ui)
    {
        forget(&cap);
        return refusal(error);
    }
    let mut load = KnLoadDesc {
        image: at(bytes.as_slice()),
        image_size: bytes.len() as u64,
        args: at(args),
        args_size: args.len() as u32,
        ..KnLoadDesc::default()
    };
    // SAFETY: capability, descriptor, image and arguments live through the call.
    let loaded =
        check(unsafe { raw::actor_load(In::new(at(&cap)), InOut::new(at_mut(&mut load))) });
    match loaded {
        Ok(_) => {
            control::started(cap.ui, name_of(args));
            Answer {
                cap: KnCap { ui: cap.ui, key: 0 },
                value: load.base,
                ..Answer::default()
            }
        }
        Err(error) => {
            succession::ended(cap.ui);
            forget(&cap);
            Answer {
                diag: load.diag,
                detail: load.detail,
                ..refusal(error)
            }
        }
    }
}

/// The first argument.
fn name_of(args: &[u8]) -> [u8; 16] {
    let first = args.split(|&byte| byte == 0).next().unwrap_or(&[]);
    name_field(core::str::from_utf8(first).unwrap_or("?"))
}

/// An empty actor with name and priority, watched.
fn make(order: &StartRequest, args: &[u8]) -> Result<KnCap, KError> {
    let mut cap = KnCap::default();
    // SAFETY: the capability lives through the call.
    check(unsafe {
        raw::actor_create(
            In::new(K_MYACTOR),
            Out::new(at_mut(&mut cap)),
            order.kind,
            K_ACTIVE,
        )
    })?;
    let name = name_of(args);
    // SAFETY: all that the calls point at lives through them.
    let set = unsafe {
        check(raw::actor_name(
            In::new(at(&cap)),
            Out::new(0),
            In::new(at(&name)),
        ))
        .and_then(|_| {
            check(raw::actor_priority(
                In::new(at(&cap)),
                Out::new(0),
                In::new(at(&order.priority)),
            ))
        })
    };
    if let Err(error) = set.and_then(|_| watch(&cap)) {
        forget(&cap);
        return Err(error);
    }
    Ok(cap)
}

/// Deletes an actor that never ran, without a notice.
fn forget(cap: &KnCap) {
    let nobody = KnUniqueId::NULL;
    // SAFETY: both live through the calls.
    unsafe {
        raw::actor_notify(In::new(at(cap)), In::new(at(&nobody)));
        raw::actor_delete(In::new(at(cap)));
    }
}

/// `SITE_KILL`.
pub fn delete(actor: KnUniqueId) -> Answer {
    if actor == site::own_port() {
        return refusal(KError::Priv);
    }
    let deleted = find(actor).and_then(|cap| {
        // SAFETY: the capability lives through the call.
        check(unsafe { raw::actor_delete(In::new(at(&cap))) })
    });
    match deleted {
        Ok(_) => Answer::default(),
        Err(error) => refusal(error),
    }
}
