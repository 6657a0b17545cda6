//! The referee of a site without a cluster: it waits for the end of the actor under test, and ends the site with its verdict.
//!
//! An actor that may not end the site, a user actor say, is tested this way too.

use crate::verdict::call;
use alloc::vec;
use chorus_abi::services::{ACTOR_ENDED, EndNotice};
use chorus_abi::*;
use chorus_runtime::message::Buffer;
use chorus_runtime::port::Port;
use chorus_runtime::{at, at_mut, println, thread};
use core::time::Duration;

/// Capability of the actor with a name, once there is one.
fn find(name: &str) -> KnCap {
    let wanted = name_field(name);
    loop {
        let mut list = vec![KnActorStat::default(); 64];
        let count = call!(actor_stat, Out::new(at_mut(list.as_mut_slice())), 64);
        list.truncate(count.max(0) as usize);
        if let Some(found) = list.iter().find(|actor| actor.name == wanted) {
            return found.cap;
        }
        let _ = thread::sleep(Duration::from_millis(1));
    }
}

/// Ends the site when the actor of this name has ended: with 0 if it passed, else with 1.
pub fn wait(name: &str) -> i32 {
    let port = Port::own();
    let actor = find(name);
    call!(actor_notify, In::new(at(&actor)), In::new(at(&port.ui())));
    let mut buffer = Buffer::with_room(0);
    let notice = loop {
        let came = port.receive(&mut buffer, None).is_ok();
        let notice = EndNotice::from_annex(&buffer.annex);
        if came && notice.service == ACTOR_ENDED {
            break notice;
        }
    };
    let passed = notice.reason == 0 && notice.status == 0;
    if notice.reason != 0 {
        println!("conformance: {name} ended by exception {}", notice.reason);
    }
    call!(site_halt, i32::from(!passed))
}
