//! Visits: who is inside a handler without records is seen by everybody as if there were some (SS-119, NC-223), whatever is done to it, and when.

use super::handlers::Scene;
use super::scene::{FOREVER, Party};
use super::site::MEMORY;
use crate::executive::thread::local_identifier;
use crate::machine::Machine;
use chorus_abi::error::*;
use chorus_abi::*;

pub const DEST: u64 = 0x1000;
/// Requests, and answers: empty, with an annex, with a body.
pub const LETTERS: [u64; 3] = [0x1020, 0x1040, 0x1060];
const ROOM: u64 = 0x1080;
const ANNEX: u64 = 0x1100;
const BODY: u64 = 0x1180;
pub const INTO_BODY: u64 = 0x1200;
const INTO_ANNEX: u64 = 0x1300;
pub const SCRATCH: u64 = 0x1400;

/// A scene in which everybody says the same in the same place each time.
pub struct Talk {
    pub scene: Scene,
    /// Clients, the last one in the actor of the first.
    pub clients: [Party; 3],
}

impl Talk {
    pub fn new(fast: bool) -> Talk {
        let mut scene = Scene::new();
        scene.site.nucleus.without_fast_path = !fast;
        let fellow = scene.site.fellow(scene.client);
        let clients = [scene.client, scene.other, fellow];
        for party in [scene.client, scene.other, scene.server] {
            let dest = KnIpcDest {
                target: scene.port.1,
                co_target: KnUniqueId::NULL,
            };
            let at = |offset| scene.site.at(party.actor, offset);
            let (annex, body, into) = (at(ANNEX), at(BODY), (at(INTO_BODY), at(INTO_ANNEX)));
            let said = |body_size, body_addr, annex_addr| KnMsgDesc {
                body_size,
                body_addr,
                annex_addr,
                ..KnMsgDesc::default()
            };
            let site = &mut scene.site;
            // All pages are there: what a test writes changes nothing that a way relies on.
            for page in 0..MEMORY.1 / PAGE_SIZE {
                site.put(party.actor, page * PAGE_SIZE, &0u8);
            }
            site.put(party.actor, DEST, &dest);
            site.put(party.actor, LETTERS[0], &said(0, 0, 0));
            site.put(party.actor, LETTERS[1], &said(7, 0, annex));
            site.put(party.actor, LETTERS[2], &said(20, body, annex));
            site.put(party.actor, ANNEX, &[7u8; 64]);
            site.put(party.actor, BODY, &[8u8; 64]);
            site.put(party.actor, INTO_BODY, &[0xeeu8; 64]);
            site.put(party.actor, INTO_ANNEX, &[0xeeu8; 64]);
            site.put(party.actor, SCRATCH, &[0u8; 256]);
            let room = KnMsgDesc {
                flags: K_ABORTABLE,
                ..said(64, into.0, into.1)
            };
            site.put(party.actor, ROOM, &room);
        }
        Talk { scene, clients }
    }

    /// A request of a party, from its own code or inside.
    pub fn call(&mut self, thread: Party, home: Party, kind: usize) -> Option<i32> {
        let at = |offset| self.scene.site.at(home.actor, offset);
        let arguments = [at(LETTERS[kind]), 0, at(DEST), at(ROOM), FOREVER];
        let result = self.scene.site.call(thread.thread, "ipcCall", &arguments);
        self.scene.check();
        result
    }

    fn ask(&mut self, client: usize, kind: usize) -> Option<i32> {
        let client = self.clients[client];
        self.call(client, client, kind)
    }

    /// A call from inside the handler, with an address of the server's memory.
    pub fn inside(&mut self, client: usize, name: &str, offset: u64) -> Option<i32> {
        let at = self.scene.site.at(self.scene.server.actor, offset);
        let thread = self.clients[client].thread;
        let result = self.scene.site.call(thread, name, &[at]);
        self.scene.check();
        result
    }

    /// A client that is inside without records.
    fn visitor() -> Talk {
        let mut talk = Talk::new(true);
        for _ in 0..2 {
            assert_eq!(talk.ask(0, 1), None);
            assert!(talk.visits(0));
            assert_eq!(talk.back(0), Some(0));
        }
        assert_eq!(talk.ask(0, 1), None);
        assert_eq!(talk.scene.site.visited, 2);
        talk
    }

    fn visits(&self, client: usize) -> bool {
        self.scene.site.visits(self.clients[client].thread)
    }

    fn back(&mut self, client: usize) -> Option<i32> {
        self.scene.back(self.clients[client])
    }

    /// Name of a client's thread for the other client's calls.
    fn name(&mut self) -> [u64; 2] {
        let (other, thread) = (self.scene.other.actor, self.scene.client.thread);
        self.scene.site.name(other, thread)
    }

    pub fn runs(&self, party: Party) -> bool {
        let alive = self.scene.site.nucleus.threads.get(party.thread);
        alive.is_some() && self.scene.site.runs(party)
    }
}

#[test]
fn a_request_that_is_made_again_leaves_no_records() {
    let mut talk = Talk::visitor();
    let nucleus = &talk.scene.site.nucleus;
    let records = (nucleus.ipc.messages.len(), nucleus.ipc.handlings.len());
    let affairs = nucleus.affairs();
    assert_eq!(records, (0, 0));
    assert_eq!(talk.back(0), Some(0));
    for kind in [0, 1] {
        // Another letter lies elsewhere: the way is found out anew, and changes nothing of what others rely on.
        assert_eq!(talk.ask(0, kind), None);
        assert!(talk.visits(0));
        assert_eq!(talk.inside(0, "svMsgHdlReply", LETTERS[1]), Some(K_OK));
        assert!(talk.visits(0), "to answer is no reason");
        assert_eq!(talk.back(0), Some(0));
        let into = talk.scene.site.at(talk.scene.client.actor, INTO_ANNEX);
        let bytes = talk.scene.site.bytes(talk.scene.client.actor, into, 64);
        assert_eq!(bytes, [7; 64]);
    }
    assert_eq!(talk.scene.site.nucleus.affairs(), affairs);
    assert_eq!(talk.scene.site.visited, 4, "the way and two answers");
    talk.scene.end();
}

#[test]
fn the_last_answer_of_a_visitor_counts_and_is_kept_when_records_are_made() {
    for (last, size, bytes) in [(0, 0, [0xee; 64]), (1, 0, [7; 64]), (2, 20, [7; 64])] {
        for early in [false, true] {
            let mut talk = Talk::visitor();
            for kind in [1, 0, last] {
                assert_eq!(talk.inside(0, "svMsgHdlReply", LETTERS[kind]), Some(K_OK));
            }
            if early {
                talk.scene.site.whole();
                talk.scene.check();
            }
            assert_eq!(talk.back(0), Some(size));
            let into = talk.scene.site.at(talk.scene.client.actor, INTO_ANNEX);
            let got = talk.scene.site.bytes(talk.scene.client.actor, into, 64);
            assert_eq!(got, bytes, "{last} {early}");
            talk.scene.end();
        }
    }
}

#[test]
fn what_a_visitor_answers_with_is_checked() {
    let mut talk = Talk::visitor();
    let server = talk.scene.server.actor;
    let nowhere = KnMsgDesc {
        annex_addr: 16,
        ..KnMsgDesc::default()
    };
    talk.scene.site.put(server, SCRATCH, &nowhere);
    let replied = talk.inside(0, "svMsgHdlReply", LETTERS[1]);
    assert_eq!(replied, Some(K_OK));
    let refused = talk.inside(0, "svMsgHdlReply", SCRATCH);
    assert_eq!(refused, Some(K_EFAULT));
    let thread = talk.clients[0].thread;
    let refused = talk.scene.site.call(thread, "svMsgHdlReply", &[16]);
    assert_eq!(refused, Some(K_EFAULT));
    assert_eq!(talk.back(0), Some(0), "the earlier one stays");
    let into = talk.scene.site.at(talk.scene.client.actor, INTO_ANNEX);
    let got = talk.scene.site.bytes(talk.scene.client.actor, into, 64);
    assert_eq!(got, [7; 64]);
    talk.scene.end();
}

#[test]
fn a_visitor_that_is_aborted() {
    let mut talk = Talk::visitor();
    let arguments = talk.name();
    talk.scene
        .site
        .grants(talk.scene.other, "threadAbort", &arguments);
    assert!(!talk.visits(0) && talk.scene.is_inside(talk.clients[0]));
    assert_eq!(talk.back(0), Some(K_EABORT));
    talk.scene.end();
}

#[test]
fn a_visitor_that_is_stopped_or_suspended_goes_no_further_than_out() {
    for (stop, start) in [
        ("threadStop", "threadStart"),
        ("threadSuspend", "threadResume"),
    ] {
        let mut talk = Talk::visitor();
        let (other, client) = (talk.scene.other, talk.clients[0]);
        let arguments = talk.name();
        // Who stops it waits until it is on no processor.
        talk.scene.site.call(other.thread, stop, &arguments);
        talk.scene.check();
        assert!(!talk.visits(0) && talk.scene.is_inside(client));
        assert!(talk.runs(client), "{stop}: the routine is finished first");
        talk.scene.site.back(client.thread, 0);
        talk.scene.site.settle();
        talk.scene.check();
        assert!(!talk.runs(client) && !talk.scene.is_inside(client));
        let arguments = talk.name();
        talk.scene.site.grants(other, start, &arguments);
        talk.scene.site.settle();
        assert_eq!(talk.scene.site.result(client.thread), Some(0));
        assert!(talk.runs(client));
        talk.scene.end();
    }
}

#[test]
fn a_visitor_that_is_deleted_finishes_the_routine() {
    for call in ["threadDelete", "actorDelete"] {
        let mut talk = Talk::visitor();
        let client = talk.clients[0];
        let arguments = talk.name();
        let other = talk.scene.other.thread;
        talk.scene.site.call(other, call, &arguments);
        talk.scene.site.settle();
        assert!(!talk.visits(0) && talk.scene.is_inside(client));
        talk.scene.site.back(client.thread, 0);
        talk.scene.check();
        assert!(talk.scene.site.nucleus.threads.get(client.thread).is_none());
        assert_eq!(talk.scene.site.nucleus.ipc.messages.len(), 0);
        talk.scene.end();
    }
}

#[test]
fn a_visitor_whose_source_port_is_deleted() {
    let mut talk = Talk::visitor();
    assert_eq!(talk.back(0), Some(0));
    let client = talk.clients[0];
    let (source, _) = talk.scene.site.port(client);
    let at = |offset| talk.scene.site.at(client.actor, offset);
    let call = [at(LETTERS[0]), source as u64, at(DEST), at(ROOM), FOREVER];
    for _ in 0..2 {
        assert_eq!(talk.scene.site.call(client.thread, "ipcCall", &call), None);
        assert!(talk.visits(0));
        if talk.scene.site.visited < 3 {
            assert_eq!(talk.back(0), Some(0));
        }
    }
    let fellow = talk.clients[2];
    let delete = [0, source as u64];
    talk.scene.site.grants(fellow, "portDelete", &delete);
    assert_eq!(talk.back(0), Some(K_ENOPORT));
    let again = talk.scene.site.call(client.thread, "ipcCall", &call);
    assert_eq!(again, Some(K_EINVAL), "the way is not gone again");
    talk.scene.end();
}

#[test]
fn who_ends_a_handler_waits_for_visitors() {
    let mut talk = Talk::visitor();
    let server = talk.scene.server;
    assert_eq!(talk.scene.connect(0), None);
    assert!(!talk.visits(0));
    assert_eq!(talk.back(0), Some(0));
    assert_eq!(talk.scene.site.result(server.thread), Some(K_OK));
    assert_eq!(talk.ask(0, 1), None);
    assert!(!talk.scene.is_inside(talk.clients[0]), "it is queued");
    talk.scene.end();
}

#[test]
fn visitors_of_a_port_that_is_deleted_are_answered() {
    let mut talk = Talk::visitor();
    let (server, li) = (talk.scene.server, talk.scene.port.0);
    talk.scene
        .site
        .grants(server, "portDelete", &[0, li as u64]);
    assert_eq!(talk.inside(0, "svMsgHdlReply", LETTERS[2]), Some(K_OK));
    assert_eq!(talk.back(0), Some(20), "what is held can be answered");
    assert_eq!(talk.ask(0, 1), Some(K_EUNKNOWN));
    talk.scene.end();
}

#[test]
fn visitors_are_put_out_when_the_handler_s_actor_ends() {
    for how in 0..3 {
        let mut talk = Talk::visitor();
        let (server, client) = (talk.scene.server, talk.clients[0]);
        let site = &mut talk.scene.site;
        match how {
            0 => assert_eq!(site.call(server.thread, "actorExit", &[0]), None),
            1 => assert_eq!(site.call(client.thread, "actorDelete", &[0]), None),
            _ => {
                site.exception(client.thread, 7, 0);
            }
        }
        talk.scene.site.settle();
        talk.scene.check();
        let result = talk.scene.site.result(client.thread);
        assert_eq!(result, Some(K_ENOPORT), "{how}");
        assert!(!talk.scene.is_inside(client) && talk.runs(client));
        let actors = &talk.scene.site.nucleus.actors;
        assert!(actors.get(server.actor).is_none());
        talk.scene.end();
    }
}

#[test]
fn a_visitor_that_is_preempted_comes_back_on_another_processor() {
    let mut talk = Talk::visitor();
    let client = talk.clients[0];
    let cpu = talk.scene.site.cpu_of(client.thread).unwrap();
    // A more urgent thread wants this very processor.
    let urgent = talk.scene.site.actor(K_SYSTEMACTOR, 100);
    let thread = talk.scene.site.thread(urgent);
    talk.scene.site.whole().entered = None;
    let nucleus = &mut talk.scene.site.nucleus;
    nucleus.threads.get_mut(thread).unwrap().bound = Some(cpu);
    nucleus.scheduler.bound += 1;
    nucleus.requeue(thread);
    nucleus.machine.kick(cpu);
    talk.scene.site.settle();
    talk.scene.check();
    assert!(!talk.visits(0) && talk.scene.is_inside(client));
    assert_ne!(talk.scene.site.cpu_of(client.thread), Some(cpu));
    assert_eq!(talk.inside(0, "svMsgHdlReply", LETTERS[2]), Some(K_OK));
    assert_eq!(talk.back(0), Some(20));
    // It may go in again where it is now.
    assert_eq!(talk.ask(0, 1), None);
    assert!(talk.visits(0));
    assert_eq!(talk.back(0), Some(0));
    talk.scene.end();
}

#[test]
fn what_is_told_of_a_visitor_is_told_of_who_is_inside() {
    let mut talk = Talk::visitor();
    let (other, client) = (talk.scene.other, talk.clients[0]);
    let stat = talk.scene.site.state_of(other, client);
    assert!(!talk.visits(0));
    assert_eq!(stat.li, local_identifier(client.thread));
    assert_eq!(stat.state, THREAD_ACTIVE);
    // What its routine asks is told as to any: the heading of its message, and whose actor it is in.
    assert_eq!(talk.inside(0, "ipcSysInfo", SCRATCH), Some(K_OK));
    let server = talk.scene.server.actor;
    let head: KnMsgHead = talk.scene.site.get(server, SCRATCH);
    let sender = talk.scene.site.door(client.actor);
    assert_eq!((head.src_port, head.target), (sender, talk.scene.port.1));
    assert_eq!((head.flags[0], head.body_size), (1, 0));
    assert_eq!(talk.back(0), Some(0));
    talk.scene.end();
}

#[test]
fn a_visitor_calls_from_inside_as_its_execution_actor() {
    let mut talk = Talk::visitor();
    let server = talk.scene.server;
    // The same handler, one deeper: this one has records, and so has the first then.
    assert_eq!(talk.call(talk.clients[0], server, 1), None);
    assert!(!talk.visits(0));
    assert_eq!(talk.inside(0, "svMsgHdlReply", LETTERS[2]), Some(K_OK));
    assert_eq!(talk.back(0), Some(20));
    let base = talk.scene.site.at(server.actor, INTO_BODY);
    let got = talk.scene.site.bytes(server.actor, base, 21);
    assert_eq!((got[19], got[20]), (8, 0xee));
    assert_eq!(talk.back(0), Some(0));
    talk.scene.end();
}

#[test]
fn several_processors_have_a_visitor_each() {
    let mut talk = Talk::visitor();
    assert_eq!(talk.back(0), Some(0));
    for client in [1, 2] {
        assert_eq!(talk.ask(client, 1), None);
        assert_eq!(talk.back(client), Some(0));
    }
    for client in [0, 1, 2] {
        assert_eq!(talk.ask(client, 1), None);
        assert_eq!(talk.inside(client, "svMsgHdlReply", LETTERS[1]), Some(K_OK));
    }
    assert!((0..3).all(|client| talk.visits(client)));
    assert_eq!(talk.back(1), Some(0));
    assert!(talk.visits(0) && talk.visits(2));
    talk.scene.site.whole();
    talk.scene.check();
    assert!((0..3).all(|client| !talk.visits(client)));
    assert_eq!((talk.back(2), talk.back(0)), (Some(0), Some(0)));
    talk.scene.end();
}

#[test]
fn buffers_and_letters_that_changed_are_looked_at_anew() {
    let mut talk = Talk::visitor();
    let client = talk.clients[0];
    assert_eq!(talk.back(0), Some(0));
    // Less room, at the same address.
    let room: KnMsgDesc = talk.scene.site.get(client.actor, ROOM);
    let less = KnMsgDesc {
        body_size: 4,
        ..room
    };
    talk.scene.site.put(client.actor, ROOM, &less);
    assert_eq!(talk.ask(0, 1), None);
    assert_eq!(talk.inside(0, "svMsgHdlReply", LETTERS[2]), Some(K_OK));
    assert_eq!(talk.back(0), Some(20));
    let into = talk.scene.site.at(client.actor, INTO_BODY);
    assert_eq!(
        talk.scene.site.bytes(client.actor, into, 5),
        [8, 8, 8, 8, 0xee]
    );
    // An annex that is nowhere, in a letter that had a good one.
    let letter = KnMsgDesc {
        annex_addr: 16,
        ..KnMsgDesc::default()
    };
    talk.scene.site.put(client.actor, LETTERS[1], &letter);
    assert_eq!(talk.ask(0, 1), Some(K_EFAULT));
    // Buffers that forbid stores.
    let page = talk.scene.site.at(client.actor, 0x1000);
    let space = talk
        .scene
        .site
        .nucleus
        .actors
        .get(client.actor)
        .unwrap()
        .space;
    let machine = &mut talk.scene.site.nucleus.machine;
    machine.forbid_stores(space, page, page + PAGE_SIZE);
    let before = talk.scene.site.visited;
    talk.ask(0, 0);
    assert_eq!(talk.scene.site.visited, before);
    talk.scene.end();
}
