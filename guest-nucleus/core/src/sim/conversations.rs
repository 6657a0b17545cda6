//! What conversations remember is what looking it up gives, whenever they would rely on it; and dormant messages are who they say they are.

use super::machine::Sim;
use crate::executive::thread::{Thread, Wait};
use crate::ipc::{Annex, Remembered};
use crate::machine::{Space, Spot};
use crate::nucleus::Nucleus;
use chorus_abi::*;

/// Panics with the first thing that is remembered and not so.
#[track_caller]
pub fn check(nucleus: &Nucleus<Sim>) {
    let mut dormant = 0;
    for (id, thread) in nucleus.threads.iter() {
        let remembered = nucleus.remembered(thread);
        if remembered.dormant {
            dormant += 1;
            assert_eq!(thread.wait, Wait::Receive, "{id:?} has a dormant message");
            let asleep = nucleus.is_asleep(thread);
            assert!(asleep, "the dormant message of {id:?} has a client");
            let timed = nucleus.timeouts.is_set(id.index());
            assert!(!timed && thread.cpu.is_none(), "{id:?} waits otherwise");
        }
        if let Some(level) = remembered.level {
            assert_eq!(Some(level), nucleus.level_if_steady(thread), "{id:?}");
            assert_eq!(level, nucleus.absolute(id), "the priority of {id:?}");
        }
        way(nucleus, thread, &remembered);
        seat(nucleus, thread, &remembered);
    }
    assert_eq!(dormant, nucleus.ipc.dormant(), "dormant messages");
    for processor in &nucleus.scheduler.processors {
        // Who passes a processor on to an equal leaves its slice as it is.
        let thread = processor.current.and_then(|id| nucleus.threads.get(id));
        if let Some(level) = thread.and_then(|thread| nucleus.level_if_steady(thread)) {
            let sliced = level >= K_SLICED_FIRST;
            assert_eq!(
                processor.slice_end.is_some(),
                sliced,
                "the slice at level {level}"
            );
        }
    }
}

/// The way of a call leads where its names lead, and its message would say the same.
fn way(nucleus: &Nucleus<Sim>, thread: &Thread, remembered: &Remembered) {
    let Some(way) = remembered.way else { return };
    let dest = way.dest.target;
    let port = match dest.kind() {
        Some(UiType::Port) => nucleus.port_by_ui(dest),
        _ => nucleus.ipc.groups.only(dest.identity()),
    };
    assert_eq!(port.map(|port| port.index()), Some(way.port), "the way");
    let actor = nucleus.actors.get(thread.actor).expect("no home");
    let source = nucleus
        .port_by_li(thread.actor, way.src_li)
        .expect("no source");
    let source = nucleus.ipc.ports.get(source).expect("no source");
    let heading = (source.ui, source.pi, actor.pi, Some(thread.actor));
    let kept = (way.src_port, way.port_pi, way.actor_pi, way.sender);
    assert_eq!(kept, heading, "the sender of a way");
    assert_eq!(
        Some(way.level),
        nucleus.level_if_steady(thread),
        "the level of a way"
    );
    let request = thread
        .call
        .request
        .and_then(|id| nucleus.ipc.messages.get(id));
    if let (Wait::Call, Some(message)) = (thread.wait, request) {
        assert!(
            message.kept.is_none(),
            "something is kept of a request that went a way"
        );
    }
    are_there(nucleus, thread.space, &way.at, &way.spots);
    has_annex(nucleus, thread.space, &way.annex);
    let (space, reply) = (thread.call.space, &thread.call.reply);
    fits(nucleus, space, reply);
    takes_annex(nucleus, space, reply.annex_addr, way.room);
}

/// A server's LI names the port where it waited, and its buffers are there.
fn seat(nucleus: &Nucleus<Sim>, thread: &Thread, remembered: &Remembered) {
    let Some(seat) = remembered.seat else { return };
    if seat.li != K_ANYENABLED {
        let port = nucleus.port_by_li(thread.actor, seat.li).ok();
        assert_eq!(port.map(|port| port.index()), Some(seat.port), "the seat");
        assert_eq!(port, thread.receive.port, "where it waited");
    }
    assert_eq!(
        Some(seat.level),
        nucleus.level_if_steady(thread),
        "the level of a seat"
    );
    if thread.wait == Wait::Receive {
        assert!(
            remembered.dormant,
            "who waits at a seat has no dormant message"
        );
    }
    are_there(nucleus, thread.space, &seat.at, &seat.spots);
    has_annex(nucleus, thread.space, &seat.annex);
    let (space, msg) = (thread.receive.space, &thread.receive.desc);
    assert_eq!(
        (space, thread.receive.desc_addr),
        (thread.space, seat.at[1])
    );
    assert_eq!(thread.receive.port_li_addr, seat.at[2]);
    fits(nucleus, space, msg);
    takes_annex(nucleus, space, msg.annex_addr, seat.room);
}

fn are_there(nucleus: &Nucleus<Sim>, space: Space, at: &[u64; 3], spots: &[Spot; 3]) {
    for (&address, &spot) in at.iter().zip(spots) {
        let there = nucleus.machine.whereabouts(space, address);
        assert_eq!(there, Some(spot), "what is said at {address:#x}");
    }
}

fn has_annex(nucleus: &Nucleus<Sim>, space: Space, annex: &Annex) {
    takes_annex(nucleus, space, annex.address, annex.spot);
}

fn takes_annex(nucleus: &Nucleus<Sim>, space: Space, address: u64, spot: Spot) {
    let there = match address {
        0 => Some(Spot::NONE),
        _ => nucleus.machine.whereabouts(space, address),
    };
    assert_eq!(there, Some(spot), "the annex at {address:#x}");
}

fn fits(nucleus: &Nucleus<Sim>, space: Space, desc: &KnMsgDesc) {
    let machine = &nucleus.machine;
    let body = desc.body_size.min(K_CMSGSIZEMAX) as u64;
    let fits = (desc.body_addr == 0 || machine.may_write(space, desc.body_addr, body))
        && (desc.annex_addr == 0 || machine.may_write(space, desc.annex_addr, 64));
    assert!(fits, "buffers that are remembered are gone: {desc:?}");
}
