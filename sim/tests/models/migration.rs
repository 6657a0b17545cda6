//! A port that moves between two sites while a client on a third one calls it.

use crate::space::{Space, check, is_large};
use crate::world::{ANSWERED, ANSWERED_THERE, Bounds, Deed, MOVED, STAYED, Script, port};

const SERVER: chorus_abi::KnUniqueId = port(2, 7);

fn moves(calls: usize, planted: bool) -> Script {
    let call = Deed::Call {
        site: 0,
        target: SERVER,
    };
    let mut deeds = vec![call; calls];
    deeds.insert(
        calls.min(1),
        Deed::Move {
            from: 1,
            to: 2,
            port: SERVER,
        },
    );
    Script {
        sites: 3,
        ports: vec![(1, SERVER)],
        deeds,
        planted,
        ..Script::default()
    }
}

fn space(calls: usize, bounds: Bounds) -> Space {
    Space {
        script: moves(calls, false),
        bounds,
        ends: false,
    }
}

/// SS-013, SS-018, SS-024: one site serves the port at every moment, and each call is executed once.
#[test]
fn one_site_serves_a_port_whatever_is_lost() {
    let large = is_large();
    let bounds = Bounds {
        losses: 1,
        doubles: u8::from(large),
        ticks: if large { 3 } else { 1 },
        crashes: 0,
    };
    check(space(usize::from(large), bounds), MOVED);
}

/// SS-022, SS-023: the same when one of the three sites dies at any moment.
#[test]
fn one_site_serves_a_port_whoever_dies() {
    let large = is_large();
    let bounds = Bounds {
        losses: u8::from(large),
        doubles: 0,
        ticks: if large { 4 } else { 1 },
        crashes: 1,
    };
    check(
        space(usize::from(large), bounds),
        MOVED | if large { STAYED } else { 0 },
    );
}

/// Without losses the move and the calls end without a timer.
#[test]
fn a_move_needs_no_timer_where_nothing_is_lost() {
    let space = Space {
        script: moves(1 + usize::from(is_large()), false),
        bounds: Bounds::default(),
        ends: true,
    };
    check(space, ANSWERED | ANSWERED_THERE | MOVED);
}

/// The checker finds a site that goes on serving a port which it gave away.
#[test]
#[should_panic(expected = "promises hold")]
fn a_port_that_is_served_at_both_places_is_found() {
    let planted = Space {
        script: moves(2, true),
        bounds: Bounds::default(),
        ends: false,
    };
    check(planted, 0);
}
