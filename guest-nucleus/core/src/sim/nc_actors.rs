//! Actors against the reference: making and deleting them (NC-014…033).

use super::scene::{NOWHERE, Party};
use super::site::Site;
use chorus_abi::error::*;
use chorus_abi::*;

/// Makes an actor as child of the caller's own; its capability's address.
#[track_caller]
fn make(site: &mut Site, by: Party, kind: i32, status: i32) -> u64 {
    let cap = site.arg(by.actor, &KnCap::default());
    let arguments = [0, cap, kind as u64, status as u64];
    assert_eq!(site.grants(by, "actorCreate", &arguments), K_OK);
    cap
}

/// What `actorStat` says of the actor that a capability names; `None`: nothing.
pub(super) fn stat(site: &mut Site, by: Party, ui: KnUniqueId) -> Option<KnActorStat> {
    let list = site.space(by.actor, 16 * size_of::<KnActorStat>());
    let count = site.grants(by, "actorStat", &[list, 16]) as u64;
    (0..count)
        .map(|index| list + index * size_of::<KnActorStat>() as u64)
        .map(|at| site.peek::<KnActorStat>(by.actor, at))
        .find(|stat| stat.cap.ui == ui)
}

#[test]
fn nc_014_and_015_a_new_actor_has_one_port_no_thread_and_no_memory() {
    let mut site = Site::new(1);
    let user = site.party(K_USERACTOR);
    let cap = make(&mut site, user, K_USERACTOR, K_ACTIVE);
    let made: KnCap = site.peek(user.actor, cap);
    let stat = stat(&mut site, user, made.ui).expect("it is in the list");
    assert_eq!((stat.ports, stat.threads, stat.pages), (1, 0, 0));
    assert_eq!((stat.kind, stat.stopped), (K_USERACTOR, 0));
    let child = site.nucleus.port_by_ui(made.ui).unwrap();
    let child = site.nucleus.port_owner(child).unwrap();
    assert!(site.nucleus.actors.get(child).unwrap().regions.is_none());
    let list = site.space(user.actor, 64);
    assert_eq!(site.grants(user, "threadStat", &[cap, list, 1]), 0);
    site.end();
}

#[test]
fn nc_016_a_new_actor_s_name_is_its_default_port() {
    let mut site = Site::new(2);
    let (user, other) = (site.party(K_USERACTOR), site.party(K_USERACTOR));
    let door = site.door(other.actor);
    assert_eq!(site.send(user, door, b"hello"), Some(K_OK));
    assert_eq!(
        site.take(other, K_DEFAULTPORT).as_deref(),
        Some(&b"hello"[..])
    );
    site.end();
}

#[test]
fn nc_017_and_018_priority_comes_from_the_parent_and_identifier_from_the_creator() {
    let mut site = Site::new(2);
    let creator = site.party(K_SYSTEMACTOR);
    let parent = site.actor(K_USERACTOR, 171);
    let pi = KnProtId {
        uid: 3,
        gid: 4,
        did: 5,
        pad: 0,
    };
    site.nucleus.actors.get_mut(creator.actor).unwrap().pi = pi;
    let (init, cap) = (
        site.cap_for(creator, parent),
        site.arg(creator.actor, &KnCap::default()),
    );
    site.grants(creator, "actorCreate", &[init, cap, 0, 0]);
    let made: KnCap = site.peek(creator.actor, cap);
    assert_eq!(stat(&mut site, creator, made.ui).unwrap().priority, 171);
    let port = site.nucleus.port_by_ui(made.ui).unwrap();
    let child = site.nucleus.port_owner(port).unwrap();
    assert_eq!(site.nucleus.actors.get(child).unwrap().pi, pi);
    assert_eq!(site.nucleus.ipc.ports.get(port).unwrap().pi, pi);
    site.end();
}

#[test]
fn nc_019_and_020_only_trusted_callers_make_trusted_actors() {
    let mut site = Site::new(3);
    let user = site.party(K_USERACTOR);
    let cap = site.arg(user.actor, &KnCap::default());
    for kind in [K_SYSTEMACTOR, K_SUPACTOR] {
        site.refuses(user, "actorCreate", &[0, cap, kind as u64, 0], K_EPRIV);
    }
    for maker in [K_SYSTEMACTOR, K_SUPACTOR] {
        let maker = site.party(maker);
        for kind in [K_USERACTOR, K_SYSTEMACTOR, K_SUPACTOR] {
            let cap = make(&mut site, maker, kind, K_ACTIVE);
            let made: KnCap = site.peek(maker.actor, cap);
            assert_eq!(stat(&mut site, maker, made.ui).unwrap().kind, kind);
            assert_eq!(site.grants(maker, "actorDelete", &[cap]), K_OK);
        }
    }
    site.end();
}

#[test]
fn nc_021_a_wrong_key_is_refused_by_every_call_on_actors() {
    let mut site = Site::new(2);
    let (user, other) = (site.party(K_SYSTEMACTOR), site.actor(K_USERACTOR, 140));
    let mut cap = site.cap(other);
    cap.key ^= 1 << 40;
    let (wrong, out) = (
        site.arg(user.actor, &cap),
        site.arg(user.actor, &KnCap::default()),
    );
    site.refuses(user, "actorCreate", &[wrong, out, 0, 0], K_EINVAL);
    let ui = site.arg(user.actor, &KnUniqueId::NULL);
    for name in [
        "actorDelete",
        "actorStop",
        "actorStart",
        "actorPriority",
        "actorName",
        "threadActivate",
        "portCreate",
    ] {
        site.refuses(user, name, &[wrong, ui, 0], K_EINVAL);
    }
    site.refuses(user, "actorNotify", &[wrong, ui], K_EINVAL);
    // The right key beside the name of a port that is not the default one.
    let (_, port) = site.port(user);
    let cap = KnCap {
        ui: port,
        key: site.cap(user.actor).key,
    };
    let wrong = site.arg(user.actor, &cap);
    site.refuses(user, "actorStop", &[wrong], K_EINVAL);
    // Groups and nothing name no actor, nor does the supervisor space.
    for ui in [KnUniqueId::NULL, KnUniqueId::static_group(false, 1)] {
        let wrong = site.arg(user.actor, &KnCap { ui, key: 0 });
        site.refuses(user, "actorStop", &[wrong], K_EINVAL);
    }
    site.refuses(user, "actorStop", &[K_SVACTOR], K_EINVAL);
    site.end();
}

#[test]
fn nc_022_a_thread_of_an_actor_made_stopped_runs_after_its_start() {
    let mut site = Site::new(2);
    let user = site.party(K_USERACTOR);
    let cap = make(&mut site, user, K_USERACTOR, K_STOPPED);
    site.grants(user, "threadCreate", &[cap, 0, K_ACTIVE as u64, 0, 0, 0]);
    let runs = |site: &Site| site.nucleus.scheduler.processors[1].current.is_some();
    assert!(!runs(&site));
    let list = site.space(user.actor, size_of::<KnThreadStat>());
    site.grants(user, "threadStat", &[cap, list, 1]);
    let state = site.peek::<KnThreadStat>(user.actor, list).state;
    assert_eq!(state, THREAD_ACTIVE | THREAD_STOPPED);
    assert_eq!(site.grants(user, "actorStart", &[cap]), K_OK);
    site.settle();
    assert!(runs(&site));
    site.end();
}

#[test]
fn nc_023_an_actor_of_another_site_is_unknown() {
    let mut site = Site::new(1);
    let user = site.party(K_SYSTEMACTOR);
    let ui = KnUniqueId::from_fields(2, UiType::Port, 1, 7);
    let (far, out) = (
        site.arg(user.actor, &KnCap { ui, key: 5 }),
        site.arg(user.actor, &KnCap::default()),
    );
    site.refuses(user, "actorCreate", &[far, out, 0, 0], K_EUNKNOWN);
    for name in [
        "actorDelete",
        "actorStop",
        "actorStart",
        "threadDelete",
        "portDelete",
        "rgnAllocate",
    ] {
        site.refuses(user, name, &[far, out], K_EUNKNOWN);
    }
    site.end();
}

#[test]
fn nc_024_what_cannot_be_written_makes_no_actor() {
    let mut site = Site::new(1);
    let user = site.party(K_SYSTEMACTOR);
    site.refuses(user, "actorCreate", &[0, NOWHERE, 0, 0], K_EFAULT);
    site.refuses(user, "actorCreate", &[0, 0, 0, 0], K_EFAULT);
    let out = site.arg(user.actor, &KnCap::default());
    site.refuses(user, "actorCreate", &[NOWHERE, out, 0, 0], K_EFAULT);
    site.end();
}

#[test]
fn actor_create_refuses_what_is_no_kind_or_status_and_a_full_site() {
    let mut site = Site::new(1);
    let user = site.party(K_SYSTEMACTOR);
    let out = site.arg(user.actor, &KnCap::default());
    for (kind, status) in [(3, 0), (-1, 0), (0, K_INACTIVE), (0, 3), (0, -1)] {
        let arguments = [0, out, kind as u64, status as u64];
        site.refuses(user, "actorCreate", &arguments, K_EINVAL);
    }
    let mut made = 1;
    while site.nucleus.actors.len() < 16 {
        make(&mut site, user, K_USERACTOR, K_ACTIVE);
        made += 1;
    }
    assert_eq!(made, 16);
    site.refuses(user, "actorCreate", &[0, out, 0, 0], K_ENOMEM);
    site.end();
}

#[test]
fn nc_025_children_live_on() {
    let mut site = Site::new(2);
    let (parent, system) = (site.party(K_USERACTOR), site.party(K_SYSTEMACTOR));
    let cap = make(&mut site, parent, K_USERACTOR, K_ACTIVE);
    let child: KnCap = site.peek(parent.actor, cap);
    assert_eq!(site.call(parent.thread, "actorDelete", &[0]), None);
    assert!(stat(&mut site, system, child.ui).is_some());
    let cap = site.arg(system.actor, &child);
    assert_eq!(site.grants(system, "actorDelete", &[cap]), K_OK);
    site.end();
}

#[test]
fn nc_026_and_027_after_a_delete_no_thread_runs_and_the_capability_is_dead() {
    let mut site = Site::new(2);
    let (user, victim) = (site.party(K_USERACTOR), site.party(K_USERACTOR));
    let cap = site.cap_for(user, victim.actor);
    assert!(site.cpu_of(victim.thread).is_some());
    assert_eq!(site.grants(user, "actorDelete", &[cap]), K_OK);
    assert!(site.nucleus.scheduler.processors[1].current.is_none());
    assert!(site.nucleus.threads.get(victim.thread).is_none());
    for name in [
        "actorDelete",
        "actorStop",
        "actorStart",
        "actorPriority",
        "threadDelete",
    ] {
        site.refuses(user, name, &[cap, 0, 0], K_EINVAL);
    }
    site.end();
}

#[test]
fn nc_028_and_029_clients_of_a_deleted_actor_hear_of_it() {
    let mut site = Site::new(4);
    let (server, queued) = (site.party(K_USERACTOR), site.party(K_USERACTOR));
    let (held, saved) = (site.party(K_USERACTOR), site.party(K_USERACTOR));
    let door = site.door(server.actor);
    site.ask(saved, door, b"saved");
    site.take(server, K_DEFAULTPORT);
    assert!(site.grants(server, "ipcSave", &[0]) > 0);
    site.ask(held, door, b"held");
    site.take(server, K_DEFAULTPORT);
    site.ask(queued, door, b"queued");
    assert_eq!(site.call(server.thread, "actorExit", &[0]), None);
    for client in [queued, held, saved] {
        assert_eq!(site.result(client.thread), Some(K_ENOPORT));
    }
    site.end();
}

#[test]
fn nc_030_a_user_does_not_touch_trusted_actors() {
    let mut site = Site::new(4);
    let user = site.party(K_USERACTOR);
    for kind in [K_SYSTEMACTOR, K_SUPACTOR] {
        let trusted = site.party(kind);
        let cap = site.cap_for(user, trusted.actor);
        let value = site.arg(user.actor, &200i32);
        for name in ["actorDelete", "actorStop", "actorStart"] {
            site.refuses(user, name, &[cap], K_EPRIV);
        }
        site.refuses(user, "actorPriority", &[cap, 0, value], K_EPRIV);
        let name = site.arg(user.actor, &name_field("mine"));
        site.refuses(user, "actorName", &[cap, 0, name], K_EPRIV);
        let region = KnRgnDesc {
            size: 1,
            options: K_ANYWHERE,
            ..KnRgnDesc::default()
        };
        let region = site.arg(user.actor, &region);
        site.refuses(user, "rgnAllocate", &[cap, region], K_EPRIV);
        site.refuses(user, "rgnFree", &[cap, region], K_EPRIV);
    }
    site.end();
}

#[test]
fn nc_031_an_actor_that_deletes_itself_is_gone() {
    let mut site = Site::new(2);
    let (user, other) = (site.party(K_USERACTOR), site.party(K_USERACTOR));
    let door = site.door(user.actor);
    assert_eq!(site.call(user.thread, "actorDelete", &[0]), None);
    assert!(site.nucleus.threads.get(user.thread).is_none());
    assert!(site.nucleus.actors.get(user.actor).is_none());
    assert_eq!(site.send(other, door, b"x"), Some(K_EUNKNOWN));
    site.end();
}

#[test]
fn nc_032_memory_is_not_lost() {
    let mut site = Site::new(1);
    let user = site.party(K_USERACTOR);
    let desc = KnRgnDesc {
        size: 64 * PAGE_SIZE,
        options: K_WRITABLE | K_ANYWHERE | K_NODEMAND,
        ..KnRgnDesc::default()
    };
    let region = site.arg(user.actor, &desc);
    let stat = site.space(user.actor, size_of::<KnVmStat>());
    let free = |site: &mut Site| {
        site.grants(user, "vmStat", &[stat]);
        site.peek::<KnVmStat>(user.actor, stat).free
    };
    let before = free(&mut site);
    for _ in 0..100 {
        let cap = make(&mut site, user, K_USERACTOR, K_ACTIVE);
        site.poke(user.actor, region, &desc);
        assert_eq!(site.grants(user, "rgnAllocate", &[cap, region]), K_OK);
        assert_eq!(free(&mut site), before - 64 * PAGE_SIZE);
        assert_eq!(site.grants(user, "actorDelete", &[cap]), K_OK);
        assert_eq!(free(&mut site), before);
    }
    site.end();
}
