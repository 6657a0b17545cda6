//! Calls between two sites.

use crate::space::{Space, check, is_large};
use crate::world::{ANSWERED, Bounds, Deed, NOT_EXECUTED, Script, UNKNOWN, port};

const SERVER: chorus_abi::KnUniqueId = port(2, 7);

fn calls(count: usize) -> Script {
    Script {
        sites: 2,
        ports: vec![(1, SERVER)],
        deeds: vec![
            Deed::Call {
                site: 0,
                target: SERVER,
            };
            count
        ],
        ..Script::default()
    }
}

/// I1 to I5 of the specification (1.6), for all ways in which two calls can go.
#[test]
fn calls_are_executed_once_whatever_is_lost_doubled_or_late() {
    let large = is_large();
    let bounds = Bounds {
        losses: 1 + u8::from(large),
        doubles: 1,
        ticks: if large { 5 } else { 2 },
        crashes: 0,
    };
    let space = Space {
        script: calls(if large { 2 } else { 1 }),
        bounds,
        ends: false,
    };
    check(space, ANSWERED | if large { UNKNOWN } else { 0 });
}

/// Both ends lose their power at every moment (SS-043, SS-045, SS-047, SS-052).
#[test]
fn calls_end_truthfully_whoever_dies_when() {
    let large = is_large();
    let bounds = Bounds {
        losses: u8::from(large),
        doubles: u8::from(large),
        ticks: if large { 5 } else { 3 },
        crashes: 1,
    };
    let space = Space {
        script: calls(1 + usize::from(large)),
        bounds,
        ends: false,
    };
    check(space, ANSWERED | UNKNOWN | NOT_EXECUTED);
}

/// Where nothing goes wrong no timer is needed, in whatever order frames arrive.
#[test]
fn calls_need_no_timer_where_nothing_is_lost() {
    let space = Space {
        script: calls(2 + usize::from(is_large())),
        bounds: Bounds::default(),
        ends: true,
    };
    check(space, ANSWERED);
}
