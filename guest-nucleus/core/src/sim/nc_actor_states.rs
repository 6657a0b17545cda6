//! Actors against the reference: stopped and started, named, listed, and their end told (NC-034…040).

use super::nc_actors::stat;
use super::scene::{FOREVER, NOWHERE};
use super::site::Site;
use crate::supervisor::Trouble;
use chorus_abi::error::*;
use chorus_abi::services::{ACTOR_ENDED, EndNotice};
use chorus_abi::*;

#[test]
fn nc_034_and_039_a_stopped_actor_stands_still_until_one_start() {
    let mut site = Site::new(2);
    let (user, other) = (site.party(K_USERACTOR), site.party(K_USERACTOR));
    let cap = site.cap_for(user, other.actor);
    for _ in 0..2 {
        assert_eq!(site.grants(user, "actorStop", &[cap]), K_OK);
        assert_eq!(site.cpu_of(other.thread), None);
    }
    site.pass(1_000_000_000);
    assert_eq!(site.cpu_of(other.thread), None);
    for _ in 0..2 {
        assert_eq!(site.grants(user, "actorStart", &[cap]), K_OK);
        assert!(site.cpu_of(other.thread).is_some());
    }
    for name in ["actorStop", "actorStart"] {
        site.refuses(user, name, &[NOWHERE], K_EFAULT);
    }
    site.end();
}

#[test]
fn nc_035_and_037_suspended_and_stopped_are_two_things() {
    let mut site = Site::new(2);
    let (user, other) = (site.party(K_USERACTOR), site.party(K_USERACTOR));
    let (cap, li) = (site.cap_for(user, other.actor), site.li(other.thread));
    for first in [0, 1] {
        site.grants(user, "actorStop", &[cap]);
        assert_eq!(
            site.state_of(user, other).state,
            THREAD_ACTIVE | THREAD_STOPPED
        );
        site.grants(user, "threadSuspend", &[cap, li]);
        let state = site.state_of(user, other).state;
        assert_eq!(state, THREAD_ACTIVE | THREAD_STOPPED | THREAD_SUSPENDED);
        for step in [first, 1 - first] {
            assert_eq!(site.cpu_of(other.thread), None);
            match step {
                0 => site.grants(user, "threadResume", &[cap, li]),
                _ => site.grants(user, "actorStart", &[cap]),
            };
        }
        assert!(site.cpu_of(other.thread).is_some());
    }
    site.end();
}

#[test]
fn nc_036_and_038_a_stopped_actor_still_gets_its_messages() {
    let mut site = Site::new(2);
    let (user, other) = (site.party(K_USERACTOR), site.party(K_USERACTOR));
    let cap = site.cap_for(user, other.actor);
    let room = site.listen(other, K_DEFAULTPORT);
    site.grants(user, "actorStop", &[cap]);
    let state = site.state_of(user, other).state;
    assert_eq!(state, THREAD_ACTIVE | THREAD_STOPPED | THREAD_WAITING);
    let door = site.door(other.actor);
    assert_eq!(site.send(user, door, b"one"), Some(K_OK));
    assert_eq!(site.send(user, door, b"two"), Some(K_OK));
    assert_eq!(site.cpu_of(other.thread), None);
    assert_eq!(
        site.state_of(user, other).state,
        THREAD_ACTIVE | THREAD_STOPPED
    );
    site.grants(user, "actorStart", &[cap]);
    assert_eq!(site.result(other.thread), Some(3));
    assert_eq!(site.bytes(other.actor, room.body, 3), b"one");
    assert_eq!(
        site.take(other, K_DEFAULTPORT).as_deref(),
        Some(&b"two"[..])
    );
    site.end();
}

#[test]
fn nc_040_time_limits_go_on_while_the_actor_is_stopped() {
    let mut site = Site::new(2);
    let (user, other) = (site.party(K_USERACTOR), site.party(K_USERACTOR));
    let cap = site.cap_for(user, other.actor);
    let (room, li) = (site.room(other, 8), site.arg(other.actor, &K_DEFAULTPORT));
    site.waits(other, "ipcReceive", &[room.desc, li, 100]);
    site.grants(user, "actorStop", &[cap]);
    site.pass(101_000_000);
    assert_eq!(site.cpu_of(other.thread), None);
    site.grants(user, "actorStart", &[cap]);
    assert!(site.cpu_of(other.thread).is_some());
    assert_eq!(site.result(other.thread), Some(K_ETIMEOUT));
    site.end();
}

#[test]
fn an_actor_that_stops_itself_stays_inside_the_call() {
    let mut site = Site::new(2);
    let (user, other) = (site.party(K_USERACTOR), site.party(K_USERACTOR));
    let fellow = site.fellow(other);
    assert_eq!(site.call(other.thread, "actorStop", &[0]), None);
    assert_eq!(
        [other, fellow].map(|party| site.cpu_of(party.thread)),
        [None, None]
    );
    let cap = site.cap_for(user, other.actor);
    site.grants(user, "actorStart", &[cap]);
    assert_eq!(site.result(other.thread), Some(K_OK));
    assert!(site.cpu_of(other.thread).is_some());
    site.end();
}

#[test]
fn actor_self_is_the_caller_s_own() {
    let mut site = Site::new(2);
    let (user, other) = (site.party(K_USERACTOR), site.party(K_SUPACTOR));
    for party in [user, other] {
        let at = site.arg(party.actor, &KnCap::default());
        assert_eq!(site.grants(party, "actorSelf", &[at]), K_OK);
        assert_eq!(site.peek::<KnCap>(party.actor, at), site.cap(party.actor));
        site.refuses(party, "actorSelf", &[NOWHERE], K_EFAULT);
    }
    site.end();
}

#[test]
fn actor_name_reads_and_sets_fifteen_bytes() {
    let mut site = Site::new(2);
    let (user, other) = (site.party(K_USERACTOR), site.party(K_SYSTEMACTOR));
    let (new, old) = (
        site.arg(user.actor, &[b'n'; 16]),
        site.arg(user.actor, &[1u8; 16]),
    );
    assert_eq!(site.grants(user, "actorName", &[0, old, new]), K_OK);
    assert_eq!(site.peek::<[u8; 16]>(user.actor, old), [0; 16]);
    assert_eq!(site.grants(user, "actorName", &[0, old, 0]), K_OK);
    assert_eq!(
        site.peek::<[u8; 16]>(user.actor, old),
        name_field("nnnnnnnnnnnnnnn")
    );
    let (cap, name) = (
        site.cap_for(other, user.actor),
        site.arg(other.actor, &name_field("shell")),
    );
    assert_eq!(site.grants(other, "actorName", &[cap, 0, name]), K_OK);
    let ui = site.door(user.actor);
    assert_eq!(stat(&mut site, user, ui).unwrap().name, name_field("shell"));
    site.refuses(user, "actorName", &[0, NOWHERE, new], K_EFAULT);
    site.refuses(user, "actorName", &[0, old, NOWHERE], K_EFAULT);
    site.end();
}

#[test]
fn a_user_actor_names_only_itself() {
    let mut site = Site::new(2);
    let (user, other) = (site.party(K_USERACTOR), site.party(K_USERACTOR));
    let (cap, name) = (
        site.cap_for(user, other.actor),
        site.arg(user.actor, &name_field("mine")),
    );
    site.refuses(user, "actorName", &[cap, 0, name], K_EPRIV);
    site.end();
}

#[test]
fn actor_stat_shows_keys_to_the_trusted_and_counts_all() {
    let mut site = Site::new(2);
    let (user, system) = (site.party(K_USERACTOR), site.party(K_SYSTEMACTOR));
    let (ui, cap) = (site.door(user.actor), site.cap(user.actor));
    assert_eq!(stat(&mut site, user, ui).unwrap().cap, KnCap { ui, key: 0 });
    assert_eq!(stat(&mut site, system, ui).unwrap().cap, cap);
    let list = site.arg(user.actor, &[[7u8; size_of::<KnActorStat>()]; 2]);
    assert_eq!(site.grants(user, "actorStat", &[list, 1]), 2);
    let second = site.bytes(user.actor, list + size_of::<KnActorStat>() as u64, 8);
    assert_eq!(second, [7; 8], "beyond the room nothing is written");
    assert_eq!(site.grants(user, "actorStat", &[0, 0]), 2);
    site.refuses(user, "actorStat", &[list, u64::MAX], K_EINVAL);
    // The first entry fits before the end of the memory, the second does not.
    let end = site.at(user.actor, 16 * PAGE_SIZE) - size_of::<KnActorStat>() as u64;
    site.refuses(user, "actorStat", &[end, 2], K_EFAULT);
    site.end();
}

#[test]
fn an_actor_s_end_is_told_to_the_port_that_was_named() {
    let mut site = Site::new(4);
    let (manager, user) = (site.party(K_SYSTEMACTOR), site.party(K_USERACTOR));
    let (cap, door) = (site.cap_for(manager, user.actor), site.door(manager.actor));
    let port = site.arg(manager.actor, &door);
    assert_eq!(site.grants(manager, "actorNotify", &[cap, port]), K_OK);
    for wrong in [
        KnUniqueId::static_group(false, 1),
        KnUniqueId::build(ui::K_UISITE, 1, 0).unwrap(),
    ] {
        let wrong = site.arg(manager.actor, &wrong);
        site.refuses(manager, "actorNotify", &[cap, wrong], K_EINVAL);
    }
    site.refuses(manager, "actorNotify", &[cap, NOWHERE], K_EFAULT);
    site.refuses(user, "actorNotify", &[0, 0], K_EPRIV);
    let room = site.listen(manager, K_DEFAULTPORT);
    let ui = site.door(user.actor);
    site.call(user.thread, "actorExit", &[42]);
    assert_eq!(site.result(manager.thread), Some(0));
    let notice: EndNotice = site.peek(manager.actor, room.annex);
    assert_eq!(
        (notice.service, notice.reason, notice.status),
        (ACTOR_ENDED, 0, 42)
    );
    assert_eq!(notice.actor, ui);
    // Deleted by another, and by an exception; without a name nothing is told.
    for end in 0..3 {
        let user = site.party(K_USERACTOR);
        let cap = site.cap_for(manager, user.actor);
        site.grants(manager, "actorNotify", &[cap, port]);
        match end {
            0 => drop(site.grants(manager, "actorDelete", &[cap])),
            1 => {
                let cpu = site.cpu_of(user.thread).unwrap();
                site.nucleus.exception(
                    cpu,
                    Trouble {
                        number: 7,
                        pc: 0x1234,
                        address: 0x5678,
                        ..Trouble::default()
                    },
                );
                site.settle();
            }
            _ => {
                let none = site.arg(manager.actor, &KnUniqueId::NULL);
                site.grants(manager, "actorNotify", &[cap, none]);
                site.call(user.thread, "actorExit", &[1]);
                assert_eq!(site.take(manager, K_DEFAULTPORT), None);
                break;
            }
        }
        let (room, li) = (
            site.room(manager, 8),
            site.arg(manager.actor, &K_DEFAULTPORT),
        );
        assert_eq!(
            site.grants(manager, "ipcReceive", &[room.desc, li, FOREVER]),
            0
        );
        let notice: EndNotice = site.peek(manager.actor, room.annex);
        assert_eq!(notice.status, i32::MIN);
        let pc = if end == 0 {
            (0, 0, 0)
        } else {
            (7, 0x1234, 0x5678)
        };
        assert_eq!((notice.reason, notice.pc, notice.address), pc, "NC-051");
    }
    site.end();
}
