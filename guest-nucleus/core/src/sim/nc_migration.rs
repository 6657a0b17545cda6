//! Ports that go to another site: what is refused, who waits, what holds meanwhile, how it ends (NC-128, SS-013…022).

use super::scene::{FOREVER, NOWHERE};
use super::two_sites::Two;
use chorus_abi::error::*;
use chorus_abi::net::*;
use chorus_abi::*;

#[test]
fn nc_128_a_port_goes_to_another_site_and_is_reached_there() {
    let mut two = Two::new();
    let [old, client] = two.users[0];
    let (li, ui) = two.sites[0].port(old);
    let (cap, group) = {
        let site = &mut two.sites[0];
        let cap = site.arg(old.actor, &KnCap::default());
        site.grants(old, "grpAllocate", &[K_STATUSER as u64, cap, 4]);
        let door = site.arg(old.actor, &ui);
        site.grants(old, "grpPortInsert", &[cap, door]);
        let group = site.peek::<KnCap>(old.actor, cap).ui;
        (cap, group)
    };
    for body in [b"one", b"two"] {
        two.sites[0].send(client, ui, body);
    }
    assert!(two.sites[0].take(old, li).is_some());
    assert_eq!(two.query(0, ui), 1);
    let arguments = two.wish(0, 0, li, K_MIGRATEMSG);
    two.sites[0].waits(old, "portMigrate", &arguments);
    // Nobody at all, and a member of its group, at either place.
    let (item, record) = two.next(0).expect("the manager is asked");
    assert_eq!((item.kind, item.target, item.result), (NET_MIGRATE, ui, 0));
    assert_eq!(item.co_target, two.sites[1].door(two.users[1][0].actor));
    assert_eq!((two.query(0, ui), two.query(1, ui)), (1, 0));
    let there = two.deliver(1, NET_ARRIVE, 1, &item, &record);
    assert!(there > 0, "{there}");
    assert_eq!((two.query(1, ui), two.query(1, group)), (0, 0));
    assert_eq!(two.deliver(1, NET_ACTIVATE, 1, &item, b""), K_OK);
    assert_eq!((two.query(1, ui), two.query(1, group)), (2, 1));
    assert_eq!(two.ends(0, &item, there), K_OK);
    assert_eq!((two.query(0, ui), two.query(0, group)), (0, 0));
    // The mover waits for what was queued.
    assert_eq!(two.result(0, 0), None);
    two.settle();
    assert_eq!(two.result(0, 0), Some(there));
    assert_eq!(
        two.sites[0].peek::<u32>(old.actor, arguments[4]),
        2,
        "NC-122"
    );
    // It is disabled, with a count of nothing; what comes finds it, from where it was too.
    let new = two.users[1][0];
    two.sites[0].send(client, ui, b"three");
    two.settle();
    let site = &mut two.sites[1];
    let any = site.take(new, K_ANYENABLED);
    assert_eq!(any, None, "NC-119");
    let number = site.space(new.actor, 4);
    site.grants(new, "portGetSeqNum", &[0, there as u64, number]);
    assert_eq!(site.peek::<u32>(new.actor, number), 0, "NC-122");
    for body in [&b"two"[..], b"three"] {
        assert_eq!(site.take(new, there).as_deref(), Some(body));
    }
    // The old LI names nothing.
    let arguments = [0, li as u64, 0];
    two.sites[0].refuses(old, "portEnable", &arguments, K_EINVAL);
    // A member there, it leaves like any other.
    let key = two.sites[0].peek::<KnCap>(old.actor, cap);
    let site = &mut two.sites[1];
    let (cap, door) = (site.arg(new.actor, &key), site.arg(new.actor, &ui));
    assert_eq!(site.grants(new, "grpPortRemove", &[cap, door]), K_OK);
    assert_eq!(two.query(1, group), 0);
    two.end();
}

#[test]
fn it_comes_home_again_and_its_epoch_tells_how_often_it_moved() {
    let mut two = Two::new();
    let (mut li, ui) = two.sites[0].port(two.users[0][0]);
    for turn in 0..6 {
        let (at, other) = (turn % 2, 1 - turn % 2);
        two.sites[at].send(two.users[at][1], ui, b"here");
        two.sites[other].send(two.users[other][1], ui, b"elsewhere");
        two.settle();
        two.departs(at, 0, li, K_MIGRATEMSG);
        two.settle();
        li = two.result(at, 0).unwrap();
        assert!(li > 0);
        assert_eq!(two.query(other, ui), turn as i32 + 2);
        assert_eq!(two.query(at, ui), 0);
        assert_eq!(two.sites[other].drain(two.users[other][0], li), 2);
    }
    two.end();
}

#[test]
fn nc_124_and_125_what_may_not_move_is_refused_before_anything_happens() {
    let mut two = Two::new();
    let [old, _] = two.users[0];
    let (li, _) = two.sites[0].port(old);
    let fixed = KnUniqueId::well_known_port(1, 99);
    let trusted = two.managers[0];
    let at = two.sites[0].arg(trusted.actor, &fixed);
    let of = two.sites[0].cap_for(trusted, old.actor);
    let fixed = two.sites[0].grants(trusted, "portDeclare", &[of, at]);
    let good = two.wish(0, 0, li, K_MIGRATEMSG);
    let wrong = |place: usize, value: u64| {
        let mut arguments = good;
        arguments[place] = value;
        arguments
    };
    for (place, value, error) in [
        (0, 2, K_EINVAL),
        (2, K_DEFAULTPORT as u64, K_EINVAL),
        (2, fixed as u64, K_EINVAL),
        (2, li as u64 + 1, K_EINVAL),
        (4, NOWHERE, K_EFAULT),
        (3, NOWHERE, K_EFAULT),
        // A port of another site has an actor there, which is not asked.
        (1, good[3], K_EUNKNOWN),
    ] {
        two.sites[0].refuses(old, "portMigrate", &wrong(place, value), error);
    }
    // Of a trusted actor only who is trusted moves it.
    let (theirs, _) = two.sites[0].port(trusted);
    let from = two.sites[0].cap_for(old, trusted.actor);
    let arguments = [0, from, theirs as u64, good[3], 0];
    two.sites[0].refuses(old, "portMigrate", &arguments, K_EPRIV);
    // An abort from before ends the call before it begins.
    two.sites[0].nucleus.abort(old.thread);
    let aborted = two.sites[0].call(old.thread, "portMigrate", &good);
    assert_eq!(aborted, Some(K_EABORT));
    assert!(two.next(0).is_none(), "nobody was asked");
    // Without a Network Manager there is no other site.
    let manager = two.managers[0].thread;
    two.sites[0].call(manager, "actorExit", &[0]);
    two.sites[0].refuses(old, "portMigrate", &good, K_EUNKNOWN);
    two.end();
}

#[test]
fn while_it_departs_nobody_receives_and_everything_else_is_busy() {
    let mut two = Two::new();
    let [old, client] = two.users[0];
    let fellow = two.sites[0].fellow(old);
    let (li, ui) = two.sites[0].port(old);
    two.departs(0, 0, li, K_MIGRATEMSG);
    let site = &mut two.sites[0];
    assert_eq!(site.send(client, ui, b"held"), Some(K_OK));
    // What is there is not received, at once or by waiting.
    assert_eq!(site.take(fellow, li), None);
    assert_eq!(site.grants(fellow, "portEnable", &[0, li as u64, 1]), K_OK);
    assert_eq!(site.take(fellow, K_ANYENABLED), None);
    let ui_at = site.arg(old.actor, &ui);
    let pi = site.arg(client.actor, &KnProtId::default());
    let cap = site.arg(old.actor, &KnCap::default());
    site.grants(fellow, "grpAllocate", &[K_STATUSER as u64, cap, 4]);
    for (name, arguments) in [
        ("portDelete", &[0, li as u64][..]),
        ("grpPortInsert", &[cap, ui_at]),
        ("grpPortRemove", &[cap, ui_at]),
        ("portMigrate", &[0, 0, li as u64, 0, 0]),
    ] {
        two.sites[0].refuses(fellow, name, arguments, K_EBUSY);
    }
    let again = two.wish(0, 0, li, K_MIGRATEMSG);
    two.sites[0].refuses(fellow, "portMigrate", &again, K_EBUSY);
    // Its protection identifier is told, and not set.
    let manager = two.managers[0];
    let site = &mut two.sites[0];
    let of = site.cap_for(manager, old.actor);
    let pi_at = site.arg(manager.actor, &KnProtId::default());
    site.refuses(manager, "portPi", &[of, li as u64, 0, pi_at], K_EBUSY);
    assert_eq!(
        site.grants(manager, "portPi", &[of, li as u64, pi_at, 0]),
        K_OK
    );
    let _ = pi;
    // From a name it is found all the same: it is still here.
    assert_eq!(two.query(0, ui), 1);
    two.end();
}

#[test]
fn a_move_that_fails_leaves_everything_as_it_was_but_the_epoch() {
    let mut two = Two::new();
    let [old, client] = two.users[0];
    let fellow = two.sites[0].fellow(old);
    let (li, ui) = two.sites[0].port(old);
    for options in [K_MIGRATEMSG, K_DROPMSG] {
        for body in [b"one", b"two"] {
            two.sites[0].send(client, ui, body);
        }
        two.departs(0, 0, li, options);
        two.sites[0].send(client, ui, b"late");
        let (item, _) = two.next(0).unwrap();
        assert_eq!(two.ends(0, &item, K_EFULL), K_OK);
        assert_eq!(two.result(0, 0), Some(K_EFULL));
        for body in [&b"one"[..], b"two", b"late"] {
            assert_eq!(two.sites[0].take(old, li).as_deref(), Some(body));
        }
        // It is over: a second end is nobody's.
        for result in [K_EFULL, 5] {
            assert_eq!(two.ends(0, &item, result), K_EUNKNOWN);
        }
    }
    assert_eq!(two.query(0, ui), 5);
    // Threads that wait, for it and for any, are served when it is sure that it stays.
    for explicit in [true, false] {
        two.sites[0].grants(old, "portEnable", &[0, li as u64, 3]);
        let of = if explicit { li } else { K_ANYENABLED };
        let room = two.sites[0].listen(fellow, of);
        two.departs(0, 0, li, K_MIGRATEMSG);
        two.sites[0].send(client, ui, b"held");
        assert_eq!(two.sites[0].result(fellow.thread), None);
        let (item, _) = two.next(0).unwrap();
        two.ends(0, &item, K_ELINKFAILURE);
        assert_eq!(two.sites[0].result(fellow.thread), Some(4));
        assert_eq!(two.sites[0].bytes(fellow.actor, room.body, 4), b"held");
        assert_eq!(two.result(0, 0), Some(K_ELINKFAILURE));
    }
    two.end();
}

#[test]
fn nc_121_who_waits_on_a_port_that_goes_leaves_and_who_waits_on_any_stays() {
    let mut two = Two::new();
    let [old, client] = two.users[0];
    let (li, ui) = two.sites[0].port(old);
    let (kept, other) = two.sites[0].port(old);
    for port in [li, kept] {
        two.sites[0].grants(old, "portEnable", &[0, port as u64, 1]);
    }
    let [explicit, any] = [li, K_ANYENABLED].map(|port| {
        let fellow = two.sites[0].fellow(old);
        two.sites[0].listen(fellow, port);
        fellow
    });
    two.departs(0, 0, li, K_MIGRATEMSG);
    for waits in [explicit, any] {
        assert_eq!(two.sites[0].result(waits.thread), None);
    }
    two.settle();
    assert_eq!(two.sites[0].result(explicit.thread), Some(K_ENOPORT));
    assert_eq!(two.sites[0].result(any.thread), None);
    two.sites[0].send(client, ui, b"elsewhere");
    two.sites[0].send(client, other, b"here");
    assert_eq!(two.sites[0].result(any.thread), Some(4));
    two.settle();
    two.end();
}

#[test]
fn ss_017_who_holds_a_request_answers_it_after_the_port_has_gone() {
    let mut two = Two::new();
    let [old, client] = two.users[0];
    let fellow = two.sites[0].fellow(old);
    let (li, ui) = two.sites[0].port(old);
    let room = two.sites[0].ask(client, ui, b"held");
    assert_eq!(two.sites[0].take(fellow, li).as_deref(), Some(&b"held"[..]));
    two.departs(0, 0, li, K_MIGRATEMSG);
    two.settle();
    assert!(two.result(0, 0).unwrap() > 0);
    assert_eq!(two.sites[0].answer(fellow, b"kept"), Some(K_OK));
    assert_eq!(two.result(0, 1), Some(4));
    assert_eq!(two.sites[0].bytes(client.actor, room.body, 4), b"kept");
    two.end();
}

#[test]
fn the_end_of_the_mover_or_its_abort_does_not_end_the_move() {
    for abort in [true, false] {
        let mut two = Two::new();
        let [old, client] = two.users[0];
        let fellow = two.sites[0].fellow(old);
        let (li, ui) = two.sites[0].port(old);
        two.sites[0].send(client, ui, b"follows");
        two.departs(0, 0, li, K_MIGRATEMSG);
        let mover = two.sites[0].li(old.thread);
        let call = if abort { "threadAbort" } else { "threadDelete" };
        assert_eq!(two.sites[0].grants(fellow, call, &[0, mover]), K_OK);
        if abort {
            assert_eq!(two.result(0, 0), Some(K_EABORT));
        }
        two.settle();
        assert_eq!((two.query(0, ui), two.query(1, ui)), (0, 2));
        let new = two.users[1][0];
        let li = two.sites[1].nucleus.port_by_ui(ui).unwrap();
        let li = crate::executive::thread::local_identifier(li);
        assert_eq!(two.sites[1].take(new, li).as_deref(), Some(&b"follows"[..]));
        two.end();
    }
}

#[test]
fn the_end_of_the_old_actor_does_not_end_the_move_and_without_it_the_port_does_not_stay() {
    // What the manager says, how the client's request ends, who has the port.
    for succeeds in [true, false] {
        for early in [true, false] {
            let mut two = Two::new();
            let [old, client] = two.users[0];
            let (li, ui) = two.sites[0].port(old);
            two.sites[0].ask(client, ui, b"queued");
            two.departs(0, 0, li, K_MIGRATEMSG);
            let taken = if early { None } else { two.next(0) };
            let manager = two.managers[0];
            let cap = two.sites[0].cap_for(manager, old.actor);
            assert_eq!(two.sites[0].grants(manager, "actorDelete", &[cap]), K_OK);
            two.check();
            // It is still known, and queues what comes.
            assert_eq!(two.query(0, ui), 1);
            let (item, record) = taken.or_else(|| two.next(0)).unwrap();
            assert_eq!(two.result(0, 1), None);
            if !succeeds {
                two.ends(0, &item, K_EUNKNOWN);
                assert_eq!(two.result(0, 1), Some(K_ENOPORT));
                assert_eq!((two.query(0, ui), two.query(1, ui)), (0, 0));
                two.end();
                continue;
            }
            let there = two.deliver(1, NET_ARRIVE, 1, &item, &record);
            two.deliver(1, NET_ACTIVATE, 1, &item, b"");
            two.ends(0, &item, there);
            two.settle();
            let new = two.users[1][0];
            assert_eq!(
                two.sites[1].take(new, there).as_deref(),
                Some(&b"queued"[..])
            );
            assert_eq!(two.sites[1].answer(new, b"served"), Some(K_OK));
            two.settle();
            assert_eq!(two.result(0, 1), Some(6));
            two.end();
        }
    }
}

#[test]
fn the_end_of_the_manager_in_the_middle_leaves_no_port_at_two_places() {
    // Nobody was told: it stays. The manager was told: it is gone. It has gone: what is left of the queue ends.
    for stage in 0..3 {
        let mut two = Two::new();
        let [old, client] = two.users[0];
        let other = two.sites[0].party(K_USERACTOR);
        let (li, ui) = two.sites[0].port(old);
        two.departs(0, 0, li, K_MIGRATEMSG);
        two.sites[0].ask(client, ui, b"queued");
        two.sites[0].ask(other, ui, b"behind");
        if stage > 0 {
            let (item, _) = two.next(0).unwrap();
            if stage > 1 {
                two.ends(0, &item, 77);
                assert_eq!(two.next(0).unwrap().0.result, PASS_OWN);
            }
        }
        let manager = two.managers[0].thread;
        two.sites[0].call(manager, "actorExit", &[0]);
        two.check();
        assert_eq!(two.result(0, 0), Some(K_ELINKFAILURE));
        let (first, second) = (two.result(0, 1), two.sites[0].result(other.thread));
        let here = two.sites[0].nucleus.port_by_ui(ui).is_some();
        let expected = match stage {
            0 => (None, None, true),
            1 => (Some(K_ENOPORT), Some(K_ENOPORT), false),
            // Whether the one that was given out was executed, nobody knows.
            _ => (Some(K_ELINKFAILURE), Some(K_ENOPORT), false),
        };
        assert_eq!((first, second, here), expected, "{stage}");
        if here {
            assert_eq!(two.sites[0].take(old, li).as_deref(), Some(&b"queued"[..]));
        }
        two.end();
    }
}

#[test]
fn as_many_ports_move_as_the_table_holds_and_a_port_of_many_groups_does_not() {
    let mut two = Two::new();
    let [old, _] = two.users[0];
    let mut ports = alloc::vec::Vec::new();
    for _ in 0..4 {
        let (li, _) = two.sites[0].port(old);
        let fellow = two.sites[0].fellow(old);
        let arguments = two.wish(0, 0, li, K_MIGRATEMSG);
        two.sites[0].waits(fellow, "portMigrate", &arguments);
        ports.push(fellow);
    }
    let (li, _) = two.sites[0].port(old);
    let more = two.wish(0, 0, li, K_MIGRATEMSG);
    two.sites[0].refuses(old, "portMigrate", &more, K_ENOMEM);
    two.settle();
    for fellow in ports {
        assert!(two.sites[0].result(fellow.thread).unwrap() > 0);
    }
    let port = two.sites[0].nucleus.port_by_li(old.actor, li).unwrap();
    let groups = |two: &mut Two, count| {
        two.sites[0].nucleus.ipc.ports.get_mut(port).unwrap().groups = count;
    };
    groups(&mut two, 1023);
    let before = two.sites[0].picture();
    let refused = two.sites[0].call(old.thread, "portMigrate", &more);
    assert_eq!(refused, Some(K_ETOOMUCH));
    two.sites[0].unchanged(&before, "portMigrate");
    groups(&mut two, 0);
    let room = two.sites[0].room(old, 8).desc;
    let li_at = two.sites[0].arg(old.actor, &li);
    two.sites[0].waits(old, "ipcReceive", &[room, li_at, FOREVER]);
    two.end();
}
