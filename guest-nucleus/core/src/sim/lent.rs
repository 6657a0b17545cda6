//! Supervisor threads of user and system actors (spec 2.2 "made from outside", 3.2 `threadCreate`).

use super::scene::{FOREVER, Party};
use super::site::Site;
use crate::arena::Id;
use crate::executive::thread::Thread;
use crate::machine::Space;
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::*;

/// A system actor that makes threads, a supervisor actor with a page of code, and a user actor.
fn three() -> (Site, Party, Party, Party, u64) {
    let mut site = Site::new(4);
    let kinds = [K_SYSTEMACTOR, K_SUPACTOR, K_USERACTOR];
    let [maker, owner, home] = kinds.map(|kind| site.party(kind));
    let made = site
        .nucleus
        .region_make(owner.actor, None, None, PAGE_SIZE, K_EXECUTABLE, (0, 0));
    (site, maker, owner, home, made.unwrap())
}

fn make(site: &mut Site, maker: Party, home: Party, entry: u64) -> Id<Thread> {
    let cap = site.cap_for(maker, home.actor);
    let arguments = [cap, K_SUPTHREAD as u64, K_ACTIVE as u64, 0, entry, 77];
    let li = site.grants(maker, "threadCreate", &arguments);
    site.nucleus.threads.at((li & 0x1fff) as usize).unwrap()
}

#[test]
fn nc_055_a_user_actor_has_a_supervisor_thread_that_runs_a_supervisor_actor_s_code() {
    let (mut site, maker, owner, home, code) = three();
    let thread = make(&mut site, maker, home, code + 16);
    let start = site.nucleus.machine.starts[thread.index()].unwrap();
    assert_eq!((start.entry, start.argument), (code + 16, 77));
    assert_eq!((start.supervisor, start.space), (true, Space::SUPERVISOR));
    let lent = Party { thread, ..home };
    let stat = site.state_of(maker, lent);
    assert_eq!(stat.privilege, K_SUPTHREAD);
    // Its calls are made in the name and with the memory of whose code it runs.
    let cap = site.arg(owner.actor, &KnCap::default());
    assert_eq!(site.call(thread, "actorSelf", &[cap]), Some(K_OK));
    assert_eq!(site.peek::<KnCap>(owner.actor, cap), site.cap(owner.actor));
    // It stops with its home.
    let cap = site.cap_for(maker, home.actor);
    site.call(maker.thread, "actorStop", &[cap]);
    assert!(site.cpu_of(thread).is_none());
    site.call(maker.thread, "actorStart", &[cap]);
    assert!(site.cpu_of(thread).is_some());
    site.end();
}

#[test]
fn nc_057_who_may_not_and_where_no_code_is() {
    let (mut site, maker, owner, home, code) = three();
    let data = site.at(owner.actor, 0);
    let cap = site.cap_for(maker, home.actor);
    let arguments = |cap, entry| [cap, K_SUPTHREAD as u64, K_ACTIVE as u64, 0, entry, 0];
    for entry in [0, 0x10_0000, data, code + PAGE_SIZE] {
        site.refuses(maker, "threadCreate", &arguments(cap, entry), K_EINVAL);
    }
    site.refuses(home, "threadCreate", &arguments(0, code), K_EPRIV);
    let own = arguments(0, code);
    assert!(
        site.grants(maker, "threadCreate", &own) > 0,
        "a system actor's own"
    );
    site.end();
}

#[test]
fn who_owns_the_code_takes_the_thread_along_and_leaves_its_home() {
    for waits in [false, true] {
        let (mut site, maker, owner, home, code) = three();
        let threads: Vec<_> = (0..2).map(|_| make(&mut site, maker, home, code)).collect();
        if waits {
            let sem = site.arg(owner.actor, &KnSem::default());
            assert_eq!(site.call(threads[0], "semP", &[sem, 0]), None);
        }
        let cap = site.cap_for(maker, owner.actor);
        site.call(maker.thread, "actorDelete", &[cap]);
        assert_eq!(site.result(maker.thread), Some(K_OK));
        assert!(
            threads
                .iter()
                .all(|&thread| site.nucleus.threads.get(thread).is_none())
        );
        assert!(site.nucleus.actors.get(owner.actor).is_none());
        assert!(site.nucleus.actors.get(home.actor).is_some());
        site.end();
    }
}

#[test]
fn its_home_takes_the_thread_along_and_leaves_who_owns_the_code() {
    let (mut site, maker, owner, home, code) = three();
    let thread = make(&mut site, maker, home, code);
    let li = site.arg(owner.actor, &K_DEFAULTPORT);
    let room = site.room(owner, 16);
    let waits = site.call(thread, "ipcReceive", &[room.desc, li, FOREVER]);
    assert_eq!(waits, None, "the default port is the code's owner's");
    let cap = site.cap_for(maker, home.actor);
    site.call(maker.thread, "actorDelete", &[cap]);
    assert!(site.nucleus.threads.get(thread).is_none());
    assert!(site.nucleus.actors.get(home.actor).is_none());
    let owner = site.nucleus.actors.get(owner.actor).unwrap();
    assert_eq!(owner.guests, 0);
    site.end();
}

#[test]
fn its_messages_come_from_and_to_the_ports_of_whose_code_it_runs() {
    for fast in [false, true] {
        let (mut site, maker, owner, home, code) = three();
        site.nucleus.without_fast_path = !fast;
        let lent = Party {
            thread: make(&mut site, maker, home, code),
            ..owner
        };
        // As a client of a server that waits, twice: the second time what is known of the first may be used.
        let head = site.arg(maker.actor, &KnMsgHead::default());
        for _ in 0..2 {
            site.listen(maker, K_DEFAULTPORT);
            let to = site.door(maker.actor);
            site.ask(lent, to, &[1]);
            assert_eq!(site.call(maker.thread, "ipcSysInfo", &[head]), Some(K_OK));
            let found: KnMsgHead = site.peek(maker.actor, head);
            assert_eq!(found.src_port, site.door(owner.actor), "fast: {fast}");
            assert_eq!(site.answer(maker, &[2]), Some(K_OK));
            assert_eq!(site.result(lent.thread), Some(1));
        }
        // As a server that answers and waits again.
        let li = site.arg(owner.actor, &K_DEFAULTPORT);
        let room = site.room(lent, 16);
        let wait = [room.desc, li, FOREVER];
        assert_eq!(site.call(lent.thread, "ipcReceive", &wait), None);
        for _ in 0..3 {
            let to = site.door(owner.actor);
            site.ask(maker, to, &[3]);
            assert_eq!(site.result(lent.thread), Some(1), "fast: {fast}");
            let answer = site.letter(lent, &[4]);
            let again = [answer, room.desc, li, FOREVER];
            assert_eq!(site.call(lent.thread, "ipcReplyReceive", &again), None);
            assert_eq!(site.result(maker.thread), Some(1));
        }
        site.end();
    }
}
