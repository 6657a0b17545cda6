//! The Network Manager's seat: who has it, waiting for work, groups, names (NC-155, NC-161).

use super::scene::{NOWHERE, Party};
use super::site::Site;
use chorus_abi::error::*;
use chorus_abi::net::*;
use chorus_abi::*;

/// A Network Manager with interrupt 5, and two users.
pub(super) fn attached() -> (Site, Party, Party, Party) {
    let mut site = Site::new(4);
    let manager = site.party(K_SYSTEMACTOR);
    assert_eq!(site.grants(manager, "nmAttach", &[5]), K_OK);
    let (item, body) = take(&mut site, manager).expect("a manager hears of the groups first");
    assert_eq!((item.kind, body.len()), (NET_GROUPS, 0));
    let users = [(); 2].map(|()| site.party(K_USERACTOR));
    (site, manager, users[0], users[1])
}

/// A port of another site.
pub(super) fn far() -> KnUniqueId {
    KnUniqueId::from_fields(2, UiType::Port, 1, 77)
}

/// Takes the next outbound item and its body; `None`: there is none.
#[track_caller]
pub(super) fn take(site: &mut Site, manager: Party) -> Option<(KnNetItem, alloc::vec::Vec<u8>)> {
    let item = site.arg(manager.actor, &KnNetItem::default());
    let body = site.space(manager.actor, 512);
    match site.call(manager.thread, "nmTake", &[item, body, 512]) {
        Some(K_ETIMEOUT) => None,
        Some(size) if size >= 0 => Some((
            site.peek(manager.actor, item),
            site.bytes(manager.actor, body, size as usize),
        )),
        other => panic!("nmTake gave {other:?}"),
    }
}

/// Hands something in; the result.
pub(super) fn hand(
    site: &mut Site,
    manager: Party,
    name: &str,
    item: KnNetItem,
    body: &[u8],
) -> i32 {
    let item = KnNetItem {
        body_size: body.len() as u32,
        ..item
    };
    let (item, body) = (
        site.arg(manager.actor, &item),
        site.arg(manager.actor, body),
    );
    site.call(manager.thread, name, &[item, body]).unwrap()
}

pub(super) fn message(kind: u32, handle: u64, target: KnUniqueId) -> KnNetItem {
    KnNetItem {
        kind,
        handle,
        target,
        src_port: far(),
        ..KnNetItem::default()
    }
}

#[test]
fn the_seat_is_for_one_trusted_actor() {
    let mut site = Site::new(4);
    let (user, manager) = (site.party(K_USERACTOR), site.party(K_SYSTEMACTOR));
    let other = site.party(K_SYSTEMACTOR);
    for name in [
        "nmAttach",
        "nmWait",
        "nmTake",
        "nmDeliver",
        "nmComplete",
        "nmQuery",
    ] {
        site.refuses(user, name, &[0, 0, 0], K_EPRIV);
        if name != "nmAttach" {
            site.refuses(other, name, &[0, 0, 0], K_EINVAL);
        }
    }
    for irq in [-2, 64, i32::MIN, i32::MAX] {
        site.refuses(manager, "nmAttach", &[irq as u64], K_EINVAL);
    }
    assert_eq!(site.grants(manager, "nmAttach", &[63]), K_OK);
    for party in [manager, other] {
        site.refuses(party, "nmAttach", &[u64::MAX], K_EBUSY);
    }
    site.call(manager.thread, "actorExit", &[0]);
    assert_eq!(site.grants(other, "nmAttach", &[u64::MAX]), K_OK);
    site.end();
}

#[test]
fn the_manager_hears_of_each_change_of_a_group_and_of_its_key() {
    let (mut site, manager, user, _) = attached();
    let own = site.arg(user.actor, &KnUniqueId::NULL);
    let li = site.grants(user, "portCreate", &[0, own]);
    let ui: KnUniqueId = site.peek(user.actor, own);
    let group = KnUniqueId::static_group(false, 9);
    let cap = site.space(user.actor, size_of::<KnCap>());
    let stamp = u64::from(group.counter());
    site.grants(user, "grpAllocate", &[K_STATUSER as u64, cap, stamp]);
    let mut keys = alloc::vec::Vec::new();
    let mut told = |site: &mut Site| {
        let (item, body) = take(site, manager)?;
        assert_eq!(item.kind, NET_GROUPS);
        keys.push(item.annex[..16].to_vec());
        Some(body)
    };
    assert_eq!(told(&mut site), None);
    let pair: alloc::vec::Vec<u8> = [group, ui]
        .iter()
        .flat_map(|ui| ui.word().to_le_bytes())
        .collect();
    site.grants(user, "grpPortInsert", &[cap, own]);
    site.grants(user, "grpPortInsert", &[cap, own]);
    assert_eq!(told(&mut site), Some(pair.clone()));
    assert_eq!(told(&mut site), None, "told once");
    site.grants(user, "grpPortRemove", &[cap, own]);
    assert_eq!(told(&mut site), Some(alloc::vec::Vec::new()));
    site.grants(user, "grpPortInsert", &[cap, own]);
    let none = site.arg(manager.actor, &KnTimeVal::from_ns(0));
    assert_eq!(site.grants(manager, "nmWait", &[none]), NM_OUTBOUND);
    let item = site.arg(manager.actor, &KnNetItem::default());
    site.refuses(manager, "nmTake", &[item, 0, 15], K_ETOOMUCH);
    site.refuses(manager, "nmTake", &[item, NOWHERE, 16], K_EFAULT);
    assert_eq!(told(&mut site), Some(pair), "refusals change nothing");
    site.grants(user, "portDelete", &[0, li as u64]);
    assert_eq!(
        told(&mut site),
        Some(alloc::vec::Vec::new()),
        "a port that dies leaves"
    );
    assert!(
        keys.iter()
            .all(|key| *key == keys[0] && key[..8] != key[8..])
    );
    site.end();
}

#[test]
fn the_cluster_s_key_is_told_to_the_manager_alone() {
    let mut site = Site::new(4);
    let (user, manager) = (site.party(K_USERACTOR), site.party(K_SYSTEMACTOR));
    let other = site.party(K_SYSTEMACTOR);
    let nothing = KnNetSeat {
        key: [0; 32],
        generation: 0,
        flags: 0,
    };
    let told = site.nucleus.configuration.fabric;
    let [seat, theirs, user_s] =
        [manager, other, user].map(|party| site.arg(party.actor, &nothing));
    site.refuses(user, "nmAttach", &[u64::MAX, user_s], K_EPRIV);
    site.refuses(manager, "nmAttach", &[64, seat], K_EINVAL);
    site.refuses(manager, "nmAttach", &[u64::MAX, NOWHERE], K_EFAULT);
    assert_eq!(site.peek::<KnNetSeat>(manager.actor, seat), nothing);
    // A pointer that is wrong leaves the seat free.
    assert_eq!(site.grants(manager, "nmAttach", &[u64::MAX, seat]), K_OK);
    assert_eq!(site.peek::<KnNetSeat>(manager.actor, seat), told);
    site.refuses(other, "nmAttach", &[u64::MAX, theirs], K_EBUSY);
    assert_eq!(site.peek::<KnNetSeat>(other.actor, theirs), nothing);
    assert_eq!(site.peek::<KnNetSeat>(user.actor, user_s), nothing);
    site.call(manager.thread, "actorExit", &[0]);
    // A key is told once in an incarnation: who comes later would seal with numbers that were used.
    site.refuses(other, "nmAttach", &[u64::MAX, theirs], K_EBUSY);
    assert_eq!(site.peek::<KnNetSeat>(other.actor, theirs), nothing);
    assert_eq!(site.grants(other, "nmAttach", &[u64::MAX]), K_OK);
    site.end();
}

#[test]
fn waiting_for_work_ends_by_items_interrupts_limits_and_aborts() {
    let (mut site, manager, user, _) = attached();
    let limit = |site: &mut Site, ns| site.arg(manager.actor, &KnTimeVal::from_ns(ns));
    let zero = limit(&mut site, 0);
    site.refuses(manager, "nmWait", &[zero], K_ETIMEOUT);
    site.refuses(manager, "nmWait", &[NOWHERE], K_EFAULT);
    let wrong = KnTimeVal {
        tm_nsec: 1_000_000_000,
        ..KnTimeVal::default()
    };
    let wrong = site.arg(manager.actor, &wrong);
    site.refuses(manager, "nmWait", &[wrong], K_EINVAL);
    let short = limit(&mut site, 1000);
    site.waits(manager, "nmWait", &[short]);
    site.pass(1000);
    assert_eq!(site.result(manager.thread), Some(K_ETIMEOUT));
    // An item.
    site.waits(manager, "nmWait", &[0]);
    assert_eq!(site.send(user, far(), b"out"), Some(K_OK));
    assert_eq!(site.result(manager.thread), Some(NM_OUTBOUND));
    assert_eq!(
        site.grants(manager, "nmWait", &[zero]),
        NM_OUTBOUND,
        "until it is taken"
    );
    assert!(take(&mut site, manager).is_some());
    // Interrupts: of the device, and of another; reported once.
    site.waits(manager, "nmWait", &[0]);
    for (irq, bits) in [(6, None), (5, Some(NM_INTERRUPT))] {
        site.nucleus.interrupt(0, irq);
        site.settle();
        assert_eq!(site.result(manager.thread), bits);
    }
    site.refuses(manager, "nmWait", &[zero], K_ETIMEOUT);
    site.nucleus.interrupt(0, 5);
    site.send(user, far(), b"out");
    let both = NM_INTERRUPT | NM_OUTBOUND;
    assert_eq!(site.grants(manager, "nmWait", &[0]), both);
    assert_eq!(site.grants(manager, "nmWait", &[0]), NM_OUTBOUND);
    take(&mut site, manager);
    let fellow = site.fellow(manager);
    site.waits(manager, "nmWait", &[0]);
    let li = site.li(manager.thread);
    site.grants(fellow, "threadAbort", &[0, li]);
    assert_eq!(site.result(manager.thread), Some(K_EABORT));
    site.end();
}

#[test]
fn nc_155_and_161_groups_reach_members_here_and_elsewhere() {
    let (mut site, manager, user, other) = attached();
    let cap = site.arg(user.actor, &KnCap::default());
    site.grants(user, "grpAllocate", &[K_STATUSER as u64, cap, 4]);
    let group = site.peek::<KnCap>(user.actor, cap).ui;
    let functional = group.with_mode(K_FUNCMODE).unwrap();
    // Without a member here everything goes out.
    assert_eq!(site.send(other, functional, b"one"), Some(K_OK));
    assert_eq!(take(&mut site, manager).unwrap().0.target, functional);
    let door = site.arg(user.actor, &site.cap(user.actor).ui);
    assert_eq!(site.grants(user, "grpPortInsert", &[cap, door]), K_OK);
    assert_eq!(take(&mut site, manager).unwrap().0.kind, NET_GROUPS);
    assert_eq!(
        site.send(other, functional, b"one"),
        Some(K_OK),
        "local first"
    );
    assert!(take(&mut site, manager).is_none());
    assert_eq!(site.drain(user, K_DEFAULTPORT), 1);
    assert_eq!(site.send(other, group, b"all"), Some(K_OK));
    assert_eq!(take(&mut site, manager).unwrap().0.target, group);
    assert_eq!(site.drain(user, K_DEFAULTPORT), 1);
    // All but this site (NC-161), the site that knows a name (NC-155).
    let (letter, here) = (
        site.letter(other, b"x"),
        KnUniqueId::build(ui::K_UISITE, 1, 0).unwrap(),
    );
    let there = KnUniqueId::build(ui::K_UISITE, 2, 0).unwrap();
    for (mode, co_target, out) in [
        (K_FUNCXMODE, here, true),
        (K_FUNCXMODE, there, false),
        (K_FUNCUMODE, there, true),
        (K_FUNCUMODE, here, false),
    ] {
        let dest = site.dest_but(other, group.with_mode(mode).unwrap(), co_target);
        assert_eq!(site.grants(other, "ipcSend", &[letter, 0, dest]), K_OK);
        assert_eq!(take(&mut site, manager).is_some(), out, "{mode}");
        assert_eq!(site.drain(user, K_DEFAULTPORT), usize::from(!out));
    }
    // From elsewhere: to the members here, and no further.
    for target in [group, functional] {
        let item = message(NET_SEND, 0, target);
        assert_eq!(hand(&mut site, manager, "nmDeliver", item, b"in"), K_OK);
        assert_eq!(site.drain(user, K_DEFAULTPORT), 1);
    }
    assert!(take(&mut site, manager).is_none());
    site.end();
}

#[test]
fn nm_query_tells_what_can_be_delivered_here() {
    let (mut site, manager, user, _) = attached();
    let cap = site.arg(user.actor, &KnCap::default());
    site.grants(user, "grpAllocate", &[K_STATUSER as u64, cap, 4]);
    let group = site.peek::<KnCap>(user.actor, cap).ui;
    let query = |site: &mut Site, ui| {
        let ui = site.arg(manager.actor, &ui);
        site.grants(manager, "nmQuery", &[ui])
    };
    assert_eq!(query(&mut site, group), 0);
    let door = site.arg(user.actor, &site.cap(user.actor).ui);
    site.grants(user, "grpPortInsert", &[cap, door]);
    let site_ui = |number| KnUniqueId::build(ui::K_UISITE, number, 0).unwrap();
    for (ui, here) in [
        (group, 1),
        (group.with_mode(K_FUNCXMODE).unwrap(), 1),
        (KnUniqueId::static_group(false, 5), 0),
        (site.door(user.actor), 1),
        (far(), 0),
        (site_ui(1), 1),
        (site_ui(2), 0),
        (KnUniqueId::NULL, 0),
    ] {
        assert_eq!(query(&mut site, ui), here, "{ui}");
    }
    site.refuses(manager, "nmQuery", &[NOWHERE], K_EFAULT);
    site.end();
}

#[test]
fn an_interrupt_of_the_last_manager_is_not_the_next_one_s() {
    let (mut site, manager, ..) = attached();
    assert_eq!(site.nucleus.machine.enabled, [5]);
    let next = site.party(K_SYSTEMACTOR);
    site.nucleus.interrupt(0, 5);
    site.call(manager.thread, "actorExit", &[0]);
    site.nucleus.interrupt(0, 5);
    assert_eq!(site.grants(next, "nmAttach", &[u64::MAX]), K_OK);
    assert_eq!(take(&mut site, next).unwrap().0.kind, NET_GROUPS);
    let zero = site.arg(next.actor, &KnTimeVal::default());
    site.refuses(next, "nmWait", &[zero], K_ETIMEOUT);
    assert_eq!(site.nucleus.machine.enabled, [5]);
    site.end();
}
