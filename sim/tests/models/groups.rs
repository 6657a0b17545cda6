//! Members of a group come and go on two sites while a client on a third one calls the group.

use crate::space::{Space, check, is_large};
use crate::world::{ANSWERED, Bounds, Deed, Script, port};
use chorus_abi::{K_FUNCMODE, KnUniqueId, UiType};

const OLD: KnUniqueId = port(2, 7);
const NEW: KnUniqueId = port(3, 8);

fn group() -> KnUniqueId {
    let group = KnUniqueId::from_fields(1, UiType::Group, 1, 5);
    group.with_mode(K_FUNCMODE).unwrap_or(group)
}

fn replacement(calls: usize) -> Script {
    let call = Deed::Call {
        site: 0,
        target: group(),
    };
    let change = |site, port, joins| Deed::Join {
        site,
        group: group(),
        port,
        joins,
    };
    let mut deeds = vec![change(2, NEW, true)];
    deeds.extend(vec![call; calls]);
    deeds.push(change(1, OLD, false));
    Script {
        sites: 3,
        ports: vec![(1, OLD), (2, NEW)],
        members: vec![(1, group(), OLD)],
        deeds,
        ..Script::default()
    }
}

/// SS-029: while a server is replaced each call is executed once, by one of the two.
#[test]
fn calls_to_a_group_are_executed_once_while_a_member_is_replaced() {
    let large = is_large();
    let bounds = Bounds {
        losses: u8::from(large),
        doubles: u8::from(large),
        ticks: u8::from(large),
        crashes: 0,
    };
    let space = Space {
        script: replacement(1),
        bounds,
        ends: false,
    };
    check(space, ANSWERED);
}
