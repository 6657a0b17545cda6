//! Names against the reference: UIs, what the site recognises, and pointers that lead out of the caller's space (NC-001…013, NC-282).

use super::scene::{FOREVER, NOWHERE, Party};
use super::site::Site;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::net::*;
use chorus_abi::table::{CALLS, Privilege};
use chorus_abi::*;

#[test]
fn nc_002_a_port_s_name_says_site_and_type() {
    let mut site = Site::new(1);
    let user = site.party(K_USERACTOR);
    let (_, ui) = site.port(user);
    assert_eq!((ui.word() >> 51, ui.word() >> 48 & 7), (1, 2));
    site.end();
}

#[test]
fn nc_003_no_name_comes_twice() {
    let mut site = Site::new(1);
    let user = site.party(K_USERACTOR);
    let at = site.space(user.actor, 8);
    let mut seen = BTreeSet::new();
    for round in 0..20_000 {
        if round == 10_000 {
            // The counter's end is among the names.
            site.nucleus.stamps.skip_to(u32::MAX - 5_000);
        }
        let li = site.grants(user, "portCreate", &[0, at]);
        let ui: KnUniqueId = site.peek(user.actor, at);
        assert!(seen.insert(ui.word()), "{ui} came again");
        assert_eq!(site.grants(user, "portDelete", &[0, li as u64]), K_OK);
    }
    site.end();
}

#[test]
fn nc_004_another_incarnation_gives_other_names() {
    let names = [1, 2].map(|epoch| {
        let mut site = Site::booted(1, epoch);
        let user = site.party(K_USERACTOR);
        let (_, ui) = site.port(user);
        site.end();
        assert_eq!(ui.epoch(), epoch);
        ui
    });
    assert_ne!(names[0], names[1]);
}

#[test]
fn nc_005_ports_of_three_sites_have_names_of_their_own() {
    let mut seen = BTreeSet::new();
    for number in 1..=3 {
        let mut site = Site::new(1);
        site.nucleus.configuration.site = number;
        let user = site.party(K_USERACTOR);
        // The three counters go alike: it is the site that tells the names apart.
        for _ in 0..20 {
            let (_, ui) = site.port(user);
            assert_eq!(ui.site(), number);
            assert!(seen.insert(ui.word()), "{ui} came again");
        }
        site.end();
    }
}

#[test]
fn ss_007_a_thousand_boots_give_no_name_twice() {
    let mut seen = alloc::collections::BTreeSet::new();
    for epoch in 1..=1000 {
        let mut site = Site::booted(1, epoch);
        let user = site.party(K_USERACTOR);
        let (at, cap) = (
            site.arg(user.actor, &KnUniqueId::NULL),
            site.space(user.actor, size_of::<KnCap>()),
        );
        for _ in 0..8 {
            site.grants(user, "portCreate", &[0, at]);
            let ui: KnUniqueId = site.peek(user.actor, at);
            site.grants(user, "grpAllocate", &[K_DYNAMIC as u64, cap, 0]);
            let group: KnCap = site.peek(user.actor, cap);
            assert!(
                seen.insert(ui.word()) && seen.insert(group.ui.word()),
                "boot {epoch}"
            );
        }
        site.end();
    }
}

#[test]
fn nc_006_reserved_types_are_refused() {
    let mut site = Site::new(2);
    let (user, system) = (site.party(K_USERACTOR), site.party(K_SYSTEMACTOR));
    for kind in [0u64, 1, 4, 5, 6, 7] {
        let ui = KnUniqueId::from_word(1 << 51 | kind << 48 | 1 << 32 | 5);
        let (letter, dest) = (site.letter(user, b"x"), site.dest(user, ui));
        site.refuses(user, "ipcSend", &[letter, 0, dest], K_EINVAL);
        let room = site.room(user, 8);
        let call = [letter, 0, dest, room.desc, FOREVER];
        site.refuses(user, "ipcCall", &call, K_EINVAL);
        let name = site.arg(system.actor, &ui);
        for call in ["uiDeclare", "uiForget"].iter().filter(|_| kind != 1) {
            site.refuses(system, call, &[name], K_EINVAL);
        }
    }
    site.end();
}

#[test]
fn nc_010_a_port_s_site_is_the_local_site() {
    let mut site = Site::new(1);
    let user = site.party(K_USERACTOR);
    let at = site.arg(user.actor, &-1i32);
    assert_eq!(site.grants(user, "uiLocalSite", &[at]), K_OK);
    let (_, ui) = site.port(user);
    assert_eq!(i32::from(ui.site()), site.peek::<i32>(user.actor, at));
    site.refuses(user, "uiLocalSite", &[NOWHERE], K_EFAULT);
    site.end();
}

/// Whether the site recognises a UI.
fn is_local(site: &mut Site, by: Party, ui: KnUniqueId) -> i32 {
    let at = site.arg(by.actor, &ui);
    site.grants(by, "uiIsLocal", &[at])
}

#[test]
fn nc_011_a_port_is_local_until_it_is_deleted() {
    let mut site = Site::new(1);
    let user = site.party(K_USERACTOR);
    let (li, ui) = site.port(user);
    assert_eq!(is_local(&mut site, user, ui), 1);
    assert_eq!(site.grants(user, "portDelete", &[0, li as u64]), K_OK);
    assert_eq!(is_local(&mut site, user, ui), 0);
    site.refuses(user, "uiIsLocal", &[NOWHERE], K_EFAULT);
    site.end();
}

#[test]
fn nc_012_and_013_the_site_and_its_actors_are_local_and_others_are_not() {
    let mut site = Site::new(2);
    let (user, other) = (site.party(K_USERACTOR), site.party(K_SUPACTOR));
    let here = KnUniqueId::build(ui::K_UISITE, 1, 0).unwrap();
    assert_eq!(is_local(&mut site, user, here), 1);
    let actors = [site.door(user.actor), site.door(other.actor)];
    assert_eq!(actors.map(|ui| is_local(&mut site, user, ui)), [1, 1]);
    let strangers = [
        KnUniqueId::build(ui::K_UISITE, 2, 0).unwrap(),
        KnUniqueId::build(ui::K_UISITE, 1, 1).unwrap(),
        KnUniqueId::from_fields(2, UiType::Port, 1, actors[0].counter()),
        KnUniqueId::static_group(false, 7),
        KnUniqueId::NULL,
    ];
    assert_eq!(strangers.map(|ui| is_local(&mut site, user, ui)), [0; 5]);
    site.end();
}

#[test]
fn nc_282_pointers_into_the_nucleus_are_refused_by_every_call() {
    let mut site = Site::new(3);
    let (user, system) = (site.party(K_USERACTOR), site.party(K_SYSTEMACTOR));
    let supervisor = site.party(K_SUPACTOR);
    // What calls need to come as far as their pointers: a current message, the Network Manager's seat, an item for it.
    for party in [user, system] {
        let door = site.door(party.actor);
        assert_eq!(site.send(supervisor, door, b"now"), Some(K_OK));
        assert_eq!(
            site.take(party, K_DEFAULTPORT).as_deref(),
            Some(&b"now"[..])
        );
    }
    // There are pages at this address, and in a user space they are nobody's.
    let kernel = site.at(supervisor.actor, 0x100);
    // Once the seat is taken, that is said first.
    site.refuses(system, "nmAttach", &[u64::MAX, kernel], K_EFAULT);
    site.grants(system, "nmAttach", &[u64::MAX]);
    let far = KnUniqueId::from_fields(2, UiType::Port, 1, 77);
    assert_eq!(site.send(user, far, b"out"), Some(K_OK));
    let mut tried = 0;
    for call in CALLS
        .iter()
        .filter(|call| call.arguments.iter().any(|argument| argument.pointer))
        .filter(|call| call.name != "nmAttach")
    {
        for by in [user, system] {
            let most = match by.actor == user.actor {
                true => Privilege::User,
                false => Privilege::System,
            };
            if call.privilege > most {
                continue;
            }
            let arguments: Vec<u64> = call
                .arguments
                .iter()
                .map(|argument| match (argument.pointer, argument.name) {
                    (true, _) => kernel,
                    // A room and a size that a call takes.
                    (false, "room" | "size") => 8,
                    (false, _) => 0,
                })
                .collect();
            site.refuses(by, call.name, &arguments, K_EFAULT);
            tried += 1;
        }
    }
    assert!(tried > 80, "{tried}");
    site.end();
}

#[test]
fn nc_282_the_network_manager_s_item_and_body_are_checked_each() {
    let mut site = Site::new(1);
    let manager = site.party(K_SYSTEMACTOR);
    site.grants(manager, "nmAttach", &[u64::MAX]);
    let item = KnNetItem {
        kind: NET_SEND,
        target: site.door(manager.actor),
        body_size: 8,
        ..KnNetItem::default()
    };
    let item = site.arg(manager.actor, &item);
    for call in ["nmDeliver", "nmComplete"] {
        site.refuses(manager, call, &[item, NOWHERE], K_EFAULT);
    }
    site.end();
}
