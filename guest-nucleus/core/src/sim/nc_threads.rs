//! Threads against the reference: making, deleting, suspending, listing them (NC-053…068).

use super::scene::{NOWHERE, Party};
use super::site::Site;
use crate::arena::Id;
use crate::executive::thread::{Thread, local_identifier};
use crate::nucleus::Outcome;
use chorus_abi::error::*;
use chorus_abi::*;

/// Makes a thread in the caller's actor.
#[track_caller]
fn make(site: &mut Site, by: Party, status: i32) -> Party {
    let li = site.grants(by, "threadCreate", &[0, 0, status as u64, 0, 0x40, 0x80]);
    site.settle();
    Party {
        thread: find(site, li),
        ..by
    }
}

/// The thread of a LI.
fn find(site: &Site, li: i32) -> Id<Thread> {
    let mut threads = site.nucleus.threads.iter().map(|(id, _)| id);
    threads
        .find(|&id| local_identifier(id) == li)
        .expect("no thread has this LI")
}

#[test]
fn nc_053_the_li_is_what_the_thread_finds_itself() {
    let mut site = Site::new(2);
    let user = site.party(K_USERACTOR);
    let li = site.grants(user, "threadCreate", &[0, 0, K_ACTIVE as u64, 0, 0, 0]);
    assert!(li > 0);
    site.settle();
    let made = Party {
        thread: find(&site, li),
        ..user
    };
    assert_eq!(site.grants(made, "threadSelf", &[]), li);
    assert_ne!(site.grants(user, "threadSelf", &[]), li);
    site.end();
}

#[test]
fn nc_054_and_055_entry_and_stack_reach_the_machine() {
    let mut site = Site::new(3);
    let (user, supervisor) = (site.party(K_USERACTOR), site.party(K_SUPACTOR));
    for (party, privilege) in [(user, K_USERTHREAD), (supervisor, K_SUPTHREAD)] {
        let arguments = [0, privilege as u64, K_INACTIVE as u64, 0, 0x1240, 0x5680];
        let li = site.grants(party, "threadCreate", &arguments);
        let start = site.nucleus.machine.starts[find(&site, li).index()].unwrap();
        let space = site.nucleus.actors.get(party.actor).unwrap().space;
        assert_eq!((start.entry, start.argument), (0x1240, 0x5680));
        assert_eq!((start.stack, start.space), (0x5680, space));
        assert_eq!(start.supervisor, privilege == K_SUPTHREAD);
    }
    site.end();
}

#[test]
fn nc_056_and_057_privilege_of_a_thread_fits_its_actor_and_its_maker() {
    let mut site = Site::new(4);
    let (user, system) = (site.party(K_USERACTOR), site.party(K_SYSTEMACTOR));
    let supervisor = site.party(K_SUPACTOR);
    let arguments = |cap, privilege: i32| [cap, privilege as u64, K_INACTIVE as u64, 0, 0, 0];
    let (by_user, by_system) = (
        site.cap_for(user, supervisor.actor),
        site.cap_for(system, supervisor.actor),
    );
    let wrong = arguments(by_system, K_USERTHREAD);
    site.refuses(system, "threadCreate", &wrong, K_EINVAL);
    let wrong = arguments(by_user, K_SUPTHREAD);
    site.refuses(user, "threadCreate", &wrong, K_EPRIV);
    let wrong = arguments(0, K_SUPTHREAD);
    site.refuses(user, "threadCreate", &wrong, K_EPRIV);
    let trusted = site.cap_for(user, system.actor);
    let wrong = arguments(trusted, K_USERTHREAD);
    site.refuses(user, "threadCreate", &wrong, K_EPRIV);
    let right = arguments(by_system, K_SUPTHREAD);
    assert!(site.grants(system, "threadCreate", &right) > 0);
    site.end();
}

#[test]
fn thread_create_refuses_what_is_no_privilege_status_or_priority_and_a_full_site() {
    let mut site = Site::new(1);
    let user = site.party(K_USERACTOR);
    let good = [0, 0, K_INACTIVE as u64, 0, 0, 0];
    let with = |at: usize, value: i32| {
        let mut arguments = good;
        arguments[at] = value as u64;
        arguments
    };
    for (at, value, error) in [
        (1, 2, K_EINVAL),
        (1, -1, K_EINVAL),
        (2, 2, K_EINVAL),
        (3, 256, K_EINVAL),
        (3, -256, K_EINVAL),
        (3, -41, K_EPRIV),
    ] {
        site.refuses(user, "threadCreate", &with(at, value), error);
    }
    let wrong = [NOWHERE, 0, 0, 0, 0, 0];
    site.refuses(user, "threadCreate", &wrong, K_EFAULT);
    assert!(site.grants(user, "threadCreate", &with(3, -40)) > 0);
    while site.nucleus.threads.len() < 32 {
        site.grants(user, "threadCreate", &good);
    }
    site.refuses(user, "threadCreate", &good, K_ENOMEM);
    site.end();
}

#[test]
fn nc_058_an_inactive_thread_runs_when_it_is_activated() {
    let mut site = Site::new(2);
    let user = site.party(K_USERACTOR);
    let made = make(&mut site, user, K_INACTIVE);
    assert_eq!(site.state_of(user, made).state, 0);
    assert!(!site.runs(made));
    let li = site.li(made.thread);
    for _ in 0..2 {
        assert_eq!(site.grants(user, "threadActivate", &[0, li]), K_OK);
        assert!(site.runs(made));
        assert_eq!(site.state_of(user, made).state, THREAD_ACTIVE);
    }
    site.refuses(user, "threadActivate", &[0, li + 1], K_EINVAL);
    site.refuses(user, "threadActivate", &[NOWHERE, li], K_EFAULT);
    site.end();
}

const ON_THREADS: [&str; 6] = [
    "threadDelete",
    "threadActivate",
    "threadSuspend",
    "threadResume",
    "threadAbort",
    "threadPriority",
];

#[test]
fn nc_059_a_li_names_nothing_in_another_actor() {
    let mut site = Site::new(2);
    let (system, other) = (site.party(K_SYSTEMACTOR), site.party(K_USERACTOR));
    let (own, li) = (site.cap_for(system, system.actor), site.li(other.thread));
    for name in ON_THREADS {
        site.refuses(system, name, &[own, li, 0, 0], K_EINVAL);
        site.refuses(system, name, &[own, u64::MAX, 0, 0], K_EINVAL);
        // K_MYSELF is a name in the caller's own actor only.
        let cap = site.cap_for(system, other.actor);
        site.refuses(system, name, &[cap, 0, 0, 0], K_EINVAL);
        site.refuses(system, name, &[NOWHERE, li, 0, 0], K_EFAULT);
    }
    site.end();
}

#[test]
fn nc_060_no_message_is_lost_with_a_deleted_receiver() {
    let mut site = Site::new(3);
    let (user, other) = (site.party(K_USERACTOR), site.party(K_USERACTOR));
    let fellow = site.fellow(other);
    site.listen(fellow, K_DEFAULTPORT);
    let li = site.li(fellow.thread);
    assert_eq!(site.grants(other, "threadDelete", &[0, li]), K_OK);
    let door = site.door(other.actor);
    assert_eq!(site.send(user, door, b"kept"), Some(K_OK));
    assert_eq!(
        site.take(other, K_DEFAULTPORT).as_deref(),
        Some(&b"kept"[..])
    );
    site.end();
}

#[test]
fn nc_061_the_client_of_a_deleted_thread_hears_of_it() {
    let mut site = Site::new(4);
    let (client, server) = (site.party(K_USERACTOR), site.party(K_USERACTOR));
    let (fellow, saved) = (site.fellow(server), site.party(K_USERACTOR));
    let door = site.door(server.actor);
    site.ask(saved, door, b"saved");
    site.take(fellow, K_DEFAULTPORT);
    let id = site.grants(fellow, "ipcSave", &[0]);
    site.ask(client, door, b"held");
    site.take(fellow, K_DEFAULTPORT);
    let li = site.li(fellow.thread);
    assert_eq!(site.grants(server, "threadDelete", &[0, li]), K_OK);
    assert_eq!(site.result(client.thread), Some(K_ENOPORT));
    // What it had saved stays with the actor.
    assert_eq!(site.result(saved.thread), None);
    assert_eq!(site.grants(server, "ipcRestore", &[id as u64]), K_OK);
    assert_eq!(site.answer(server, b"yes"), Some(K_OK));
    assert_eq!(site.result(saved.thread), Some(3));
    site.end();
}

#[test]
fn nc_062_a_user_does_not_touch_supervisor_threads() {
    let mut site = Site::new(2);
    let (user, supervisor) = (site.party(K_USERACTOR), site.party(K_SUPACTOR));
    let (cap, li) = (
        site.cap_for(user, supervisor.actor),
        site.li(supervisor.thread),
    );
    for name in ON_THREADS {
        site.refuses(user, name, &[cap, li, 0, 0], K_EPRIV);
    }
    site.end();
}

#[test]
fn nc_063_a_thread_is_deleted_once() {
    let mut site = Site::new(3);
    let user = site.party(K_USERACTOR);
    let (fellow, idle) = (site.fellow(user), make(&mut site, user, K_INACTIVE));
    for victim in [fellow, idle] {
        let li = site.li(victim.thread);
        assert_eq!(site.grants(user, "threadDelete", &[0, li]), K_OK);
        site.refuses(user, "threadDelete", &[0, li], K_EINVAL);
    }
    assert_eq!(site.nucleus.threads.len(), 1);
    site.call(user.thread, "threadDelete", &[0, 0]);
    assert_eq!(site.nucleus.threads.len(), 0);
    assert_eq!(site.nucleus.actors.len(), 1, "the actor stays");
    site.end();
}

#[test]
fn of_two_who_delete_a_thread_at_once_the_second_is_told() {
    let mut site = Site::new(3);
    let user = site.party(K_USERACTOR);
    let (second, victim) = (site.fellow(user), site.fellow(user));
    let number = table::by_name("threadDelete").unwrap().number as usize;
    let arguments = [0, site.li(victim.thread), 0, 0, 0, 0];
    let cpus = [user, second].map(|party| site.cpu_of(party.thread).unwrap());
    // The victim has not left its processor yet.
    let first = site.nucleus.call(cpus[0], number, &arguments);
    assert_eq!(first, Outcome::Blocked);
    let other = site.nucleus.call(cpus[1], number, &arguments);
    assert_eq!(other, Outcome::Done(K_EBUSY));
    assert_eq!(site.result(user.thread), None, "it waits");
    site.settle();
    assert_eq!(site.result(user.thread), Some(K_OK));
    assert!(site.nucleus.threads.get(victim.thread).is_none());
    site.end();
}

#[test]
fn a_thread_that_is_being_deleted_makes_no_call_any_more() {
    let mut site = Site::new(2);
    let user = site.party(K_USERACTOR);
    let fellow = site.fellow(user);
    let (cpu, at) = (
        site.cpu_of(fellow.thread).unwrap(),
        site.space(user.actor, 16),
    );
    // Its processor was kicked, and enters the Nucleus by a call before the kick arrives.
    site.nucleus.entered = Some(1 - cpu);
    site.nucleus.kill_actor(user.actor, Default::default());
    for (name, arguments) in [
        ("portCreate", [0, at, 0, 0, 0, 0]),
        ("threadCreate", [0; 6]),
        ("actorDelete", [0; 6]),
        ("threadDelay", [0; 6]),
    ] {
        let number = table::by_name(name).unwrap().number as usize;
        let outcome = site.nucleus.call(cpu, number, &arguments);
        assert_eq!(outcome, Outcome::Blocked, "{name}");
    }
    site.end();
}

#[test]
fn nc_064_065_and_066_suspending_counts_and_resuming_stops_at_zero() {
    let mut site = Site::new(2);
    let user = site.party(K_USERACTOR);
    let fellow = site.fellow(user);
    let li = site.li(fellow.thread);
    assert_eq!(site.grants(user, "threadResume", &[0, li]), K_OK);
    for count in 1..=2 {
        assert_eq!(site.grants(user, "threadSuspend", &[0, li]), K_OK);
        assert!(!site.runs(fellow));
        assert_eq!(site.state_of(user, fellow).suspended, count);
    }
    assert_eq!(site.grants(user, "threadResume", &[0, li]), K_OK);
    assert!(!site.runs(fellow));
    assert_eq!(site.grants(user, "threadResume", &[0, li]), K_OK);
    assert!(site.runs(fellow));
    assert_eq!(site.state_of(user, fellow).suspended, 0);
    site.end();
}

#[test]
fn nc_067_a_suspended_thread_takes_its_message() {
    let mut site = Site::new(3);
    let (user, other) = (site.party(K_SYSTEMACTOR), site.party(K_USERACTOR));
    let room = site.listen(other, K_DEFAULTPORT);
    let (cap, li) = (site.cap_for(user, other.actor), site.li(other.thread));
    site.grants(user, "threadSuspend", &[cap, li]);
    let state = site.state_of(user, other).state;
    assert_eq!(state, THREAD_ACTIVE | THREAD_SUSPENDED | THREAD_WAITING);
    let door = site.door(other.actor);
    assert_eq!(site.send(user, door, b"now"), Some(K_OK));
    let port = site.nucleus.port_by_ui(door).unwrap();
    assert_eq!(site.nucleus.ipc.ports.get(port).unwrap().queued, 0);
    let state = site.state_of(user, other).state;
    assert_eq!(state, THREAD_ACTIVE | THREAD_SUSPENDED);
    site.grants(user, "threadResume", &[cap, li]);
    assert_eq!(site.result(other.thread), Some(3));
    assert_eq!(site.bytes(other.actor, room.body, 3), b"now");
    site.end();
}

#[test]
fn nc_068_a_thread_that_suspended_itself_is_resumed_by_another() {
    let mut site = Site::new(2);
    let user = site.party(K_USERACTOR);
    let fellow = site.fellow(user);
    // Its last wait ended with an error, which is not the result of this one.
    let limit = site.arg(user.actor, &KnTimeVal::from_ns(1));
    site.waits(fellow, "threadDelay", &[limit]);
    site.pass(1);
    assert_eq!(site.result(fellow.thread), Some(K_ETIMEOUT));
    assert_eq!(site.call(fellow.thread, "threadSuspend", &[0, 0]), None);
    assert!(!site.runs(fellow));
    let li = site.li(fellow.thread);
    assert_eq!(site.grants(user, "threadResume", &[0, li]), K_OK);
    assert!(site.runs(fellow));
    assert_eq!(site.result(fellow.thread), Some(K_OK));
    site.end();
}

#[test]
fn thread_stat_counts_all_and_fills_the_room() {
    let mut site = Site::new(2);
    let user = site.party(K_USERACTOR);
    let fellow = site.fellow(user);
    let size = size_of::<KnThreadStat>();
    let list = site.arg(user.actor, &[[7u8; size_of::<KnThreadStat>()]; 2]);
    assert_eq!(site.grants(user, "threadStat", &[0, list, 1]), 2);
    let untouched = site.bytes(user.actor, list + size as u64, size);
    assert!(untouched.iter().all(|&byte| byte == 7));
    assert_eq!(site.grants(user, "threadStat", &[0, list, 2]), 2);
    let second: KnThreadStat = site.peek(user.actor, list + size as u64);
    assert_eq!(u64::from(second.li.cast_unsigned()), site.li(fellow.thread));
    assert_eq!((second.privilege, second.absolute), (K_USERTHREAD, 140));
    site.refuses(user, "threadStat", &[0, list, u64::MAX], K_EINVAL);
    let end = site.at(user.actor, 16 * PAGE_SIZE) - size as u64;
    site.refuses(user, "threadStat", &[0, end, 2], K_EFAULT);
    site.end();
}

#[test]
fn who_stops_a_thread_waits_until_it_has_left_its_processor() {
    for name in ["threadSuspend", "threadDelete", "actorStop", "actorDelete"] {
        let mut site = Site::new(2);
        let (user, other) = (site.party(K_USERACTOR), site.party(K_USERACTOR));
        let (cap, li) = (site.cap_for(user, other.actor), site.li(other.thread));
        let number = table::by_name(name).unwrap().number as usize;
        let cpu = site.cpu_of(user.thread).unwrap();
        let outcome = site.nucleus.call(cpu, number, &[cap, li, 0, 0, 0, 0]);
        assert_eq!(outcome, Outcome::Blocked, "{name}");
        assert_eq!(site.result(user.thread), None, "{name}");
        assert!(site.runs(other));
        site.settle();
        assert_eq!(site.result(user.thread), Some(K_OK), "{name}");
        assert_eq!(site.cpu_of(other.thread), None, "{name}");
        site.end();
    }
}

#[test]
fn the_time_of_a_running_thread_is_told_up_to_now() {
    let mut site = Site::new(2);
    let (user, other) = (site.party(K_USERACTOR), site.party(K_USERACTOR));
    let before = site.state_of(user, other).cpu_time_ns;
    // It makes no call and is not preempted.
    site.pass(5_000_000);
    assert!(site.runs(other));
    let after = site.state_of(user, other).cpu_time_ns;
    assert_eq!(after - before, 5_000_000);
    site.waits(other, "threadDelay", &[0]);
    site.pass(5_000_000);
    assert_eq!(site.state_of(user, other).cpu_time_ns, after);
    site.end();
}
