//! Calls between sites, one mishap at a time (SS-042…054).

use crate::network::Faults;
use crate::ports::Port;
use crate::world::{MS, Plan, SEC, World};
use chorus_abi::KnUniqueId;
use chorus_abi::error::{K_EFULL, K_ELINKFAILURE, K_ENOPORT};
use chorus_fabric::{Action, Fault};
use chorus_transport::{Notice, frame};

const HELLO: frame::news::Hello = frame::news::Hello {
    watched: true,
    life: 0,
    groups: 0,
};

/// Two or three sites; a port on site 1 that site 2 has called once.
fn warm(sites: u16, faults: Faults) -> (World, KnUniqueId) {
    warmed(World::new(11, sites, faults))
}

/// The same where frames go in clear, so that the test can make some.
fn warm_in_clear() -> (World, KnUniqueId) {
    warmed(World::in_clear(11, 2, Faults::NONE))
}

fn warmed(mut world: World) -> (World, KnUniqueId) {
    let port = world.open(1, 64);
    world.run(2 * SEC);
    world.call(2, port, &[], Plan::NULL);
    world.run(5 * SEC);
    (world, port)
}

fn slow(service: u64) -> Plan {
    Plan {
        service,
        ..Plan::NULL
    }
}

/// The next request sets out so much later; what comes after it does not wait.
fn late_request(by: u64) -> Fault {
    Fault {
        from: Some(2),
        to: Some(1),
        kind: Some(1),
        nth: 1,
        action: Action::Delay(by),
    }
}

#[cfg_attr(test, test)]
fn ss_042_a_server_that_takes_30_s_is_waited_for_and_runs_once() {
    for loss in [0, 100, 200] {
        let (mut world, port) = warm(2, Faults::all(loss));
        let call = world.call(2, port, b"x", slow(30 * SEC));
        world.run(40 * SEC);
        assert_eq!(
            (world.end(call).map(|end| end.0), world.executions(call)),
            (Some(0), 1),
            "loss {loss}"
        );
        assert!(world.counters(2).probes >= 25);
    }
}

#[cfg_attr(test, test)]
fn nc_187_ss_043_power_off_during_the_call_is_outcome_unknown_after_five_seconds() {
    let (mut world, port) = warm(2, Faults::NONE);
    let call = world.call(2, port, &[], slow(60 * SEC));
    world.run(10 * SEC);
    let off = world.now;
    world.crash(1);
    world.run(20 * SEC);
    let (result, end) = world.end(call).unwrap();
    assert_eq!(result, K_ELINKFAILURE);
    assert!(
        (4 * SEC..7 * SEC).contains(&(end - off)),
        "{} ms",
        (end - off) / MS
    );
    assert!(
        world
            .site(2)
            .nucleus
            .notices
            .contains(&Notice::PeerDead { site: 1 })
    );
    // From now on the truth is "surely not executed", and it comes fast.
    let begin = world.now;
    let call = world.call(2, port, &[], Plan::NULL);
    world.run(2 * SEC);
    world.assert_unknown_at_once(call, begin);
}

#[cfg_attr(test, test)]
fn nc_280_a_link_that_is_said_to_have_broken_ends_its_calls_and_later_ones_try_anew() {
    let (mut world, port) = warm(3, Faults::NONE);
    let elsewhere = world.open(3, 64);
    world.run(SEC);
    let other = world.call(2, elsewhere, &[], slow(20 * SEC));
    let calls: Vec<_> = (0..40)
        .map(|_| world.call(2, port, b"x", slow(10 * SEC)))
        .collect();
    world.run(SEC);
    let before = world.now;
    world.link_failure(2, 1);
    world.run(SEC);
    for &call in &calls {
        let (result, end) = world.end(call).unwrap();
        assert_eq!(result, K_ELINKFAILURE);
        assert!(end - before < 10 * MS);
    }
    assert_eq!(world.end(other), None, "another site is not concerned");
    let notice = Notice::LinkFailed { site: 1, reason: 7 };
    assert!(world.site(2).nucleus.notices.contains(&notice));
    let call = world.call(2, port, &[], Plan::NULL);
    world.run(30 * SEC);
    assert_eq!(world.end(call).map(|end| end.0), Some(0));
    assert_eq!(world.end(other).map(|end| end.0), Some(0));
    for call in calls {
        assert!(world.executions(call) <= 1);
    }
}

#[cfg_attr(test, test)]
fn nc_280_requests_of_that_site_lose_their_client() {
    let (mut world, port) = warm(2, Faults::NONE);
    let call = world.call(2, port, &[], slow(10 * SEC));
    world.run(SEC);
    world.link_failure(1, 2);
    world.run(30 * SEC);
    assert_eq!(world.end(call).map(|end| end.0), Some(K_ELINKFAILURE));
    assert_eq!(world.executions(call), 1);
}

#[cfg_attr(test, test)]
fn ss_044_a_server_actor_that_dies_ends_the_call_at_once() {
    let (mut world, port) = warm(2, Faults::NONE);
    let call = world.call(
        2,
        port,
        &[],
        Plan {
            queue: 60 * SEC,
            ..Plan::NULL
        },
    );
    world.run(SEC);
    let begin = world.now;
    world.close(1, port);
    world.run(SEC);
    assert!(
        world
            .end(call)
            .is_some_and(|(result, end)| result == K_ENOPORT && end - begin < 10 * MS)
    );
}

#[cfg_attr(test, test)]
fn ss_045_reboot_in_less_than_a_second_is_outcome_unknown_and_never_executed_again() {
    let (mut world, port) = warm(2, Faults::NONE);
    let call = world.call(2, port, &[], slow(60 * SEC));
    world.run(SEC);
    world.crash(1);
    world.run(100 * MS);
    let begin = world.now;
    world.restart(1);
    world
        .site(1)
        .nucleus
        .ports
        .insert(port.word(), Port::taking(64));
    world.run(10 * SEC);
    let (result, end) = world.end(call).unwrap();
    assert_eq!((result, world.executions(call)), (K_ELINKFAILURE, 1));
    assert!(end - begin < 10 * MS, "HELLO tells");
}

#[cfg_attr(test, test)]
fn ss_045_without_hello_the_refusal_tells() {
    let (mut world, port) = warm(2, Faults::NONE);
    world.crash(1);
    world.cut(1, 2);
    world.restart(1);
    world
        .site(1)
        .nucleus
        .ports
        .insert(port.word(), Port::taking(64));
    world.run(3 * SEC);
    world.heal();
    let begin = world.now;
    let call = world.call(2, port, &[], Plan::NULL);
    world.run(SEC);
    assert!(
        world
            .end(call)
            .is_some_and(|(result, end)| result == K_ELINKFAILURE && end - begin < 10 * MS)
    );
    assert_eq!(world.executions(call), 0);
}

#[cfg_attr(test, test)]
fn ss_046_a_reply_that_comes_60_s_late_is_not_taken_by_a_later_call() {
    let (mut world, port) = warm(2, Faults::NONE);
    world.script(late_request(60 * SEC));
    let late = world.call(2, port, b"old", Plan::NULL);
    world.run(SEC);
    let call = world.call(
        2,
        port,
        b"new",
        Plan {
            reply: 100,
            ..slow(90 * SEC)
        },
    );
    world.run(200 * SEC);
    assert_eq!(world.end(call).map(|end| end.0), Some(0));
    assert!(world.end(late).is_some());
    assert_eq!(world.history.check(), Ok(()));
}

#[cfg_attr(test, test)]
fn ss_047_a_client_site_that_reboots_or_vanishes_leaves_no_orphan() {
    for comes_back in [true, false] {
        let (mut world, port) = warm(2, Faults::NONE);
        let call = world.call(2, port, &[], slow(300 * SEC));
        world.run(SEC);
        assert_eq!(world.sizes(1).serving, 1);
        world.crash(2);
        if comes_back {
            world.restart(2);
            world.run(10 * MS);
        } else {
            world.run(21 * SEC);
        }
        assert_eq!(
            (world.sizes(1).serving, &world.site(1).nucleus.cancelled),
            (0, &vec![call])
        );
    }
}

#[cfg_attr(test, test)]
fn ss_048_a_client_that_leaves_is_heard_of_in_one_latency() {
    let (mut world, port) = warm(2, Faults::NONE);
    let call = world.call(2, port, &[], slow(60 * SEC));
    world.run(SEC);
    world.leave(call);
    world.run(MS);
    assert_eq!(world.site(1).nucleus.cancelled, [call]);
    assert_eq!(world.sizes(2).calls, 0);
}

#[cfg_attr(test, test)]
fn a_cancelled_request_that_was_not_delivered_never_is() {
    let (mut world, port) = warm(2, Faults::NONE);
    // The request takes a second, the cancellation overtakes it.
    world.script(late_request(SEC));
    let call = world.call(2, port, &[], Plan::NULL);
    world.leave(call);
    world.run(10 * SEC);
    assert_eq!(
        (
            world.executions(call),
            world.sizes(1).serving,
            world.sizes(2).calls
        ),
        (0, 0, 0)
    );
}

#[cfg_attr(test, test)]
fn a_cancellation_gets_through_a_lossy_link() {
    let (mut world, port) = warm(2, Faults::all(300));
    let call = world.call(2, port, &[], slow(600 * SEC));
    world.run(5 * SEC);
    assert_eq!(world.executions(call), 1);
    world.leave(call);
    world.run(5 * SEC);
    assert_eq!(world.site(1).nucleus.cancelled, [call]);
}

#[cfg_attr(test, test)]
fn ss_050_no_transaction_state_is_left_after_its_life() {
    let (mut world, port) = warm(2, Faults::NONE);
    world
        .site(1)
        .nucleus
        .ports
        .insert(port.word(), Port::taking(20_000));
    for _ in 0..10 {
        let calls: Vec<u32> = (0..1000)
            .map(|_| {
                world.call(
                    2,
                    port,
                    b"abc",
                    Plan {
                        reply: 1000,
                        ..Plan::NULL
                    },
                )
            })
            .collect();
        world.run(100 * MS);
        assert!(calls.iter().all(|call| !world.waits(*call)));
    }
    assert!(world.sizes(1).kept_bytes > 0);
    world.run(2 * SEC);
    assert_eq!(world.sizes(1).kept_bytes, 0, "acknowledged once idle");
    world.run(66 * SEC);
    assert_eq!(
        (
            world.sizes(1).server_channels,
            world.sizes(1).timers,
            world.sizes(2).timers
        ),
        (0, 0, 0)
    );
}

#[cfg_attr(test, test)]
fn an_old_request_whose_channel_was_forgotten_is_not_executed() {
    let (mut world, port) = warm_in_clear();
    // A second copy of each request comes up to 200 s later; channels are forgotten after 60 s.
    world.set_faults(Faults {
        echo: 1000,
        late: 200 * SEC,
        ..Faults::NONE
    });
    let calls: Vec<u32> = (0..30)
        .map(|_| world.call(2, port, b"once", Plan::NULL))
        .collect();
    world.set_faults(Faults::NONE);
    world.run(80 * SEC);
    let before = world.counters(2).refusals;
    world.run(320 * SEC);
    world.assert_answered_once(&calls);
    assert!(
        world.counters(2).refusals > before,
        "copies came after their channels were forgotten"
    );
}

#[cfg_attr(test, test)]
fn ss_051_calls_in_both_directions_at_once() {
    let mut world = World::new(51, 2, Faults::all(50));
    let ports = [world.open(1, 200), world.open(2, 200)];
    let plan = Plan {
        reply: 3000,
        ..slow(5 * MS)
    };
    let calls: Vec<u32> = (0..200)
        .map(|n| world.call(1 + n % 2, ports[usize::from(1 - n % 2)], &[1; 3000], plan))
        .collect();
    world.run(20 * SEC);
    assert!(
        calls
            .iter()
            .all(|call| world.end(*call).is_some_and(|end| end.0 == 0))
    );
    assert_eq!(world.history.check(), Ok(()));
}

#[cfg_attr(test, test)]
fn ss_054_the_servers_errors_arrive_as_they_are() {
    let (mut world, port) = warm(2, Faults::NONE);
    for error in chorus_abi::KError::ALL {
        let call = world.call(
            2,
            port,
            &[],
            Plan {
                result: error.code(),
                ..Plan::NULL
            },
        );
        world.run(MS);
        assert_eq!(world.end(call).map(|end| end.0), Some(error.code()));
    }
}

#[cfg_attr(test, test)]
fn ss_059_a_full_queue_delays_a_call_and_in_the_end_refuses_it_truthfully() {
    let (mut world, port) = warm(2, Faults::NONE);
    world
        .site(1)
        .nucleus
        .ports
        .insert(port.word(), Port::taking(1));
    let first = world.call(2, port, &[], slow(2 * SEC));
    world.run(MS);
    let second = world.call(2, port, &[], Plan::NULL);
    world.run(3 * SEC);
    assert_eq!(
        [world.end(first), world.end(second)].map(|end| end.unwrap().0),
        [0, 0]
    );
    let long = world.call(2, port, &[], slow(60 * SEC));
    world.run(MS);
    let refused = world.call(2, port, &[], Plan::NULL);
    world.run(70 * SEC);
    assert_eq!(
        [world.end(long), world.end(refused)].map(|end| end.unwrap().0),
        [0, K_EFULL]
    );
    assert_eq!(world.executions(refused), 0);
    assert_eq!(world.history.check(), Ok(()));
}

#[cfg_attr(test, test)]
fn ss_067_frames_of_a_dead_incarnation_change_nothing() {
    let (mut world, port) = warm_in_clear();
    world.crash(2);
    world.restart(2);
    world.run(2 * SEC);
    let before = (world.sizes(1), world.counters(1).delivered_calls);
    // A request of the first incarnation of site 2, delayed until now.
    let header = frame::Header {
        dst_site: 1,
        src_site: 2,
        dst_incarnation: 1,
        src_incarnation: 1,
        mtu: 1514,
        ..Default::default()
    };
    let txn = frame::Txn {
        channel: 0,
        seq: 1 << 40,
    };
    let piece = frame::Piece {
        index: 0,
        count: 1,
        size: 1,
        total: 0,
        bytes: &[],
    };
    let data = frame::Data {
        verb: frame::Verb::Request,
        txn,
        piece,
        annex: false,
        target: port,
        co_target: KnUniqueId::NULL,
        src_port: KnUniqueId::NULL,
        port_epoch: 0,
        actor_pi: Default::default(),
        port_pi: Default::default(),
    };
    for payload in [
        frame::Payload::Request(data),
        frame::Payload::Cancel(txn),
        frame::Payload::News(frame::News::Hello(HELLO)),
    ] {
        let mut bytes = Vec::new();
        frame::write(&header, &payload, &mut bytes);
        world.inject(1, bytes, 1);
    }
    world.run(MS);
    assert_eq!((world.sizes(1), world.counters(1).delivered_calls), before);
    assert_eq!(world.counters(1).dead_incarnation, 3);
}

#[cfg_attr(test, test)]
fn a_cut_that_heals_lets_calls_pass_again_and_a_one_way_cut_ends_calls() {
    let (mut world, port) = warm(2, Faults::NONE);
    world.cut(1, 2);
    let lost = world.call(2, port, &[], Plan::NULL);
    world.run(10 * SEC);
    assert_eq!(world.end(lost).map(|end| end.0), Some(K_ELINKFAILURE));
    world.heal();
    let call = world.call(2, port, &[], Plan::NULL);
    world.run(SEC);
    assert_eq!(world.end(call).map(|end| end.0), Some(0));
}

#[cfg_attr(test, test)]
fn own_site_number_on_another_machine_is_refused_and_reported() {
    let (mut world, _) = warm_in_clear();
    let mut bytes = Vec::new();
    let header = frame::Header {
        src_site: 1,
        src_incarnation: 9,
        ..Default::default()
    };
    frame::write(
        &header,
        &frame::Payload::News(frame::News::Hello(HELLO)),
        &mut bytes,
    );
    world.inject(1, bytes, 1);
    world.run(MS);
    assert_eq!(world.counters(1).own_site_heard, 1);
    assert!(
        world
            .site(1)
            .nucleus
            .notices
            .contains(&Notice::OwnSiteHeard { incarnation: 9 })
    );
}

/// All of them.
pub(super) const CHECKS: &[super::Check] = super::checks![
    ss_042_a_server_that_takes_30_s_is_waited_for_and_runs_once,
    nc_187_ss_043_power_off_during_the_call_is_outcome_unknown_after_five_seconds,
    nc_280_a_link_that_is_said_to_have_broken_ends_its_calls_and_later_ones_try_anew,
    nc_280_requests_of_that_site_lose_their_client,
    ss_044_a_server_actor_that_dies_ends_the_call_at_once,
    ss_045_reboot_in_less_than_a_second_is_outcome_unknown_and_never_executed_again,
    ss_045_without_hello_the_refusal_tells,
    ss_046_a_reply_that_comes_60_s_late_is_not_taken_by_a_later_call,
    ss_047_a_client_site_that_reboots_or_vanishes_leaves_no_orphan,
    ss_048_a_client_that_leaves_is_heard_of_in_one_latency,
    a_cancelled_request_that_was_not_delivered_never_is,
    a_cancellation_gets_through_a_lossy_link,
    ss_050_no_transaction_state_is_left_after_its_life,
    an_old_request_whose_channel_was_forgotten_is_not_executed,
    ss_051_calls_in_both_directions_at_once,
    ss_054_the_servers_errors_arrive_as_they_are,
    ss_059_a_full_queue_delays_a_call_and_in_the_end_refuses_it_truthfully,
    ss_067_frames_of_a_dead_incarnation_change_nothing,
    a_cut_that_heals_lets_calls_pass_again_and_a_one_way_cut_ends_calls,
    own_site_number_on_another_machine_is_refused_and_reported,
];
