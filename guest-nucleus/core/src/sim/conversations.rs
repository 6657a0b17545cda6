//! What conversations remember is what looking it up gives, whenever they would rely on it; and dormant messages are who they say they are.

use super::machine::Sim;
use crate::executive::thread::{Thread, Wait};
use crate::ipc::Remembered;
use crate::machine::Space;
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
    if remembered.repeats {
        fits(nucleus, thread.call.space, &thread.call.reply);
    }
}

/// A server's LI names the port where it waited, and its buffers are there.
fn seat(nucleus: &Nucleus<Sim>, thread: &Thread, remembered: &Remembered) {
    let Some(seat) = remembered.seat else { return };
    let port = nucleus.port_by_li(thread.actor, seat.li).ok();
    assert_eq!(port, seat.port, "the seat");
    fits(nucleus, thread.receive.space, &thread.receive.desc);
}

fn fits(nucleus: &Nucleus<Sim>, space: Space, desc: &KnMsgDesc) {
    let machine = &nucleus.machine;
    let body = desc.body_size.min(K_CMSGSIZEMAX) as u64;
    let fits = (desc.body_addr == 0 || machine.may_write(space, desc.body_addr, body))
        && (desc.annex_addr == 0 || machine.may_write(space, desc.annex_addr, 64));
    assert!(fits, "buffers that are remembered are gone: {desc:?}");
}
