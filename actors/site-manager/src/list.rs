//! Lists of what the site holds: actors, threads, counters.

use crate::refusal;
use alloc::vec::Vec;
use chorus_abi::services::{Answer, SiteRequest};
use chorus_abi::{In, K_CMSGSIZEMAX, KError, KnActorStat, KnCap, KnSiteStat, KnThreadStat, Out};
use chorus_runtime::{at, at_mut, check, raw};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Entries that fit a reply.
const fn most<T>() -> usize {
    K_CMSGSIZEMAX as usize / size_of::<T>()
}

/// Asks for a list with growing room until all of it fits. Errors: those of `ask`; what does not fit a message is left out.
fn gather<T: Clone + Default>(
    ask: impl Fn(&mut [T]) -> Result<u32, KError>,
) -> Result<(Vec<T>, u32), KError> {
    let mut room = 32;
    loop {
        let mut list = alloc::vec![T::default(); room];
        let count = ask(&mut list)?;
        if count as usize <= room || room == most::<T>() {
            list.truncate(count as usize);
            return Ok((list, count));
        }
        room = (count as usize + 8).min(most::<T>());
    }
}

/// All actors of the site.
pub fn actors() -> Result<Vec<KnActorStat>, KError> {
    let ask = |list: &mut [KnActorStat]| {
        // SAFETY: the list lives through the call and has that many entries.
        check(unsafe { raw::actor_stat(Out::new(at_mut(list)), list.len() as i32) })
    };
    gather(ask).map(|(list, _)| list)
}

fn threads(actor: &KnCap) -> Result<(Vec<KnThreadStat>, u32), KError> {
    gather(|list: &mut [KnThreadStat]| {
        // SAFETY: capability and list live through the call, and the list has that many entries.
        check(unsafe {
            raw::thread_stat(
                In::new(at(actor)),
                Out::new(at_mut(list)),
                list.len() as i32,
            )
        })
    })
}

fn site() -> Result<KnSiteStat, KError> {
    let mut stat = KnSiteStat::default();
    // SAFETY: the structure lives through the call.
    check(unsafe { raw::site_stat(Out::new(at_mut(&mut stat))) })?;
    Ok(stat)
}

/// Keys stay here: whoever asks from elsewhere gets names.
fn without_keys(mut list: Vec<KnActorStat>) -> Vec<KnActorStat> {
    for actor in &mut list {
        actor.cap.key = 0;
    }
    list
}

fn bytes<T: IntoBytes + Immutable + FromBytes>(list: &[T], count: u32) -> (Answer, Vec<u8>) {
    let answer = Answer {
        value: count.into(),
        ..Answer::default()
    };
    (answer, list.as_bytes().to_vec())
}

/// `SITE_LIST`.
pub fn list(asked: &SiteRequest) -> (Answer, Vec<u8>) {
    let listed = match asked.what {
        0 => actors().map(|list| {
            let count = list.len() as u32;
            bytes(&without_keys(list), count)
        }),
        1 => crate::actors::find(asked.ui)
            .and_then(|cap| threads(&cap))
            .map(|(list, count)| bytes(&list, count)),
        2 => site().map(|stat| bytes(&[stat], 1)),
        _ => Err(KError::Inval),
    };
    listed.unwrap_or_else(|error| (refusal(error), Vec::new()))
}
