//! Names: unique ones, those that the site recognises, and those that actors declare (NC-002…013).

use super::site::Site;
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::executive::thread::Thread;
use alloc::collections::BTreeMap;
use chorus_abi::error::*;
use chorus_abi::*;
use proptest::prelude::*;

fn alone(kind: i32) -> (Site, Id<Actor>, Id<Thread>) {
    let mut site = Site::new(1);
    let actor = site.actor(kind, 140);
    let thread = site.thread(actor);
    (site, actor, thread)
}

/// A call whose one argument is a UI.
fn with(
    site: &mut Site,
    (actor, thread): (Id<Actor>, Id<Thread>),
    name: &str,
    ui: KnUniqueId,
) -> i32 {
    let at = site.put(actor, 0x100, &ui);
    site.call(thread, name, &[at]).unwrap()
}

fn dynamic(counter: u32) -> KnUniqueId {
    KnUniqueId::from_fields(5, UiType::Port, 1, counter)
}

#[test]
fn a_declared_name_is_recognised_until_it_is_forgotten() {
    let (mut site, actor, thread) = alone(K_USERACTOR);
    let me = (actor, thread);
    let name = dynamic(9);
    assert_eq!(with(&mut site, me, "uiForget", name), K_EINVAL);
    for _ in 0..2 {
        assert_eq!(with(&mut site, me, "uiDeclare", name), K_OK);
    }
    assert_eq!(with(&mut site, me, "uiIsLocal", name), 1);
    assert_eq!(with(&mut site, me, "uiForget", name), K_OK);
    assert_eq!(with(&mut site, me, "uiIsLocal", name), 1, "declared twice");
    assert_eq!(with(&mut site, me, "uiForget", name), K_OK);
    assert_eq!(with(&mut site, me, "uiIsLocal", name), 0);
    // Built-in names cannot be removed, and outlive a declaration of theirs.
    let own = site.nucleus.actors.get(actor).unwrap().cap.ui;
    assert_eq!(with(&mut site, me, "uiForget", own), K_EINVAL);
    assert_eq!(with(&mut site, me, "uiDeclare", own), K_OK);
    assert_eq!(with(&mut site, me, "uiForget", own), K_OK);
    assert_eq!(with(&mut site, me, "uiIsLocal", own), 1);
    for call in ["uiDeclare", "uiForget"] {
        assert_eq!(site.call(thread, call, &[0x10]), Some(K_EFAULT));
    }
    site.end();
}

#[test]
fn a_declared_name_decides_selective_sends_and_attracts_no_messages() {
    let (mut site, actor, thread) = alone(K_USERACTOR);
    let me = (actor, thread);
    let name = dynamic(9);
    let [group, port] = [0x400, 0x440].map(|offset| site.at(actor, offset));
    assert_eq!(site.call(thread, "grpAllocate", &[0, group, 0]), Some(K_OK));
    assert!(site.call(thread, "portCreate", &[0, port]).unwrap() > 0);
    assert_eq!(
        site.call(thread, "grpPortInsert", &[group, port]),
        Some(K_OK)
    );
    let cap: KnCap = site.get(actor, 0x400);
    let send = |site: &mut Site, target, co_target| {
        let dest = site.put(actor, 0x300, &KnIpcDest { target, co_target });
        let message = site.put(actor, 0x200, &KnMsgDesc::default());
        site.call(thread, "ipcSend", &[message, 0, dest]).unwrap()
    };
    let selective = cap.ui.with_mode(K_FUNCUMODE).unwrap();
    assert_eq!(send(&mut site, selective, name), K_EUNKNOWN);
    assert_eq!(with(&mut site, me, "uiDeclare", name), K_OK);
    assert_eq!(send(&mut site, selective, name), K_OK);
    assert_eq!(send(&mut site, name, KnUniqueId::NULL), K_EUNKNOWN);
    assert_eq!(with(&mut site, me, "uiForget", name), K_OK);
    assert_eq!(send(&mut site, selective, name), K_EUNKNOWN);
    site.end();
}

#[test]
fn names_that_anybody_can_compute_take_system_privilege() {
    let fixed = [
        KnUniqueId::of_site(2).unwrap(),
        KnUniqueId::well_known_port(2, 1),
        KnUniqueId::static_group(false, 7),
        KnUniqueId::static_group(true, 7),
    ];
    for (kind, result) in [(K_USERACTOR, K_EPRIV), (K_SYSTEMACTOR, K_OK)] {
        let (mut site, actor, thread) = alone(kind);
        for ui in fixed {
            let declared = with(&mut site, (actor, thread), "uiDeclare", ui);
            assert_eq!(declared, result);
            let known = with(&mut site, (actor, thread), "uiIsLocal", ui);
            assert_eq!(known == 1, result == K_OK);
        }
        site.end();
    }
}

#[test]
fn an_actor_s_names_are_limited_and_the_site_s() {
    let mut site = Site::new(2);
    let actors = [0; 2].map(|_| site.actor(K_USERACTOR, 140));
    let [first, second] = actors.map(|actor| (actor, site.thread(actor)));
    for number in 0..K_CUIDECLARED {
        assert_eq!(with(&mut site, first, "uiDeclare", dynamic(number)), K_OK);
    }
    let more = dynamic(K_CUIDECLARED);
    assert_eq!(with(&mut site, first, "uiDeclare", more), K_EFULL);
    assert_eq!(
        with(&mut site, first, "uiDeclare", dynamic(0)),
        K_OK,
        "one that it has takes no room"
    );
    // The site of the tests has room for 1100.
    for number in 0..1100 - K_CUIDECLARED {
        assert_eq!(with(&mut site, second, "uiDeclare", dynamic(number)), K_OK);
    }
    assert_eq!(with(&mut site, second, "uiDeclare", more), K_EFULL);
    // With the first actor its names go; what the other declared too stays.
    assert_eq!(site.call(first.1, "actorExit", &[0]), None);
    assert_eq!(with(&mut site, second, "uiIsLocal", dynamic(0)), 1);
    assert_eq!(with(&mut site, second, "uiIsLocal", dynamic(500)), 0);
    assert_eq!(with(&mut site, second, "uiDeclare", more), K_OK);
    site.end();
}

proptest! {
    /// Declarations of two actors against a model: a count by name and actor.
    #[test]
    fn declarations_are_counted(steps in proptest::collection::vec((0usize..2, any::<bool>(), 0u32..6), 0..150)) {
        let mut site = Site::new(2);
        let actors = [0; 2].map(|_| site.actor(K_USERACTOR, 140));
        let callers = actors.map(|actor| (actor, site.thread(actor)));
        let mut model: BTreeMap<(u32, usize), u32> = BTreeMap::new();
        for (who, declare, number) in steps {
            let count = model.entry((number, who)).or_default();
            let name = if declare { "uiDeclare" } else { "uiForget" };
            let expected = if declare || *count > 0 { K_OK } else { K_EINVAL };
            prop_assert_eq!(with(&mut site, callers[who], name, dynamic(number)), expected);
            match (declare, expected) {
                (true, _) => *count += 1,
                (false, K_OK) => *count -= 1,
                _ => {}
            }
            for number in 0..6 {
                let known = (0..2).any(|who| model.get(&(number, who)).is_some_and(|&count| count > 0));
                prop_assert_eq!(with(&mut site, callers[who], "uiIsLocal", dynamic(number)), i32::from(known));
            }
        }
        site.end();
    }
}
