//! What an actor is to others: its protection identifier and its kind (`actorPi`, `actorPrivilege`).

use super::site::Site;
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::executive::thread::Thread;
use chorus_abi::error::*;
use chorus_abi::*;

/// A site with two actors of these kinds, each with a thread that runs.
fn pair(kinds: [i32; 2]) -> (Site, [Id<Actor>; 2], [Id<Thread>; 2]) {
    let mut site = Site::new(4);
    let actors = kinds.map(|kind| site.actor(kind, 140));
    let threads = actors.map(|actor| site.thread(actor));
    (site, actors, threads)
}

#[test]
fn an_actor_s_protection_identifier_is_set_by_trusted_callers_and_stamps_later_messages() {
    let (mut site, [user, system], [plain, trusted]) = pair([K_USERACTOR, K_SYSTEMACTOR]);
    let pi = KnProtId {
        uid: 1,
        gid: 2,
        did: 3,
        pad: 0,
    };
    let new = site.put(user, 0x100, &pi);
    assert_eq!(site.call(plain, "actorPi", &[0, 0, new]), Some(K_EPRIV));
    let old = site.at(user, 0x110);
    assert_eq!(site.call(plain, "actorPi", &[0, old, 0]), Some(K_OK));
    assert_eq!(site.get::<KnProtId>(user, 0x110), KnProtId::default());
    let cap = site.put_cap(user, system);
    assert_eq!(
        site.call(plain, "actorPi", &[cap, old, 0]),
        Some(K_EPRIV),
        "another's"
    );
    let new = site.put(system, 0x100, &pi);
    let cap = site.put_cap(system, user);
    assert_eq!(
        site.call(trusted, "actorPi", &[cap, 0x10, new]),
        Some(K_EFAULT)
    );
    assert_eq!(
        site.nucleus.actors.get(user).unwrap().pi,
        KnProtId::default()
    );
    assert_eq!(site.call(trusted, "actorPi", &[cap, 0, new]), Some(K_OK));
    // The actor's messages carry the new one, its ports keep theirs.
    let target = site.nucleus.actors.get(system).unwrap().cap.ui;
    let to = KnIpcDest {
        target,
        co_target: KnUniqueId::NULL,
    };
    let to = site.put(user, 0x400, &to);
    let message = site.put(user, 0x500, &KnMsgDesc::default());
    assert_eq!(site.call(plain, "ipcSend", &[message, 0, to]), Some(K_OK));
    let room = site.put(system, 0x500, &KnMsgDesc::default());
    let port = site.put(system, 0x600, &K_DEFAULTPORT);
    assert_eq!(site.call(trusted, "ipcReceive", &[room, port, 0]), Some(0));
    let head = site.at(system, 0x700);
    assert_eq!(site.call(trusted, "ipcSysInfo", &[head]), Some(K_OK));
    let head: KnMsgHead = site.get(system, 0x700);
    assert_eq!((head.actor_id, head.port_id), (pi, KnProtId::default()));
    site.end();
}

#[test]
fn an_answer_to_an_asynchronous_message_is_stamped_by_the_port_that_it_comes_from() {
    let (mut site, [user, system], [plain, trusted]) = pair([K_USERACTOR, K_SYSTEMACTOR]);
    let of_port = KnProtId {
        uid: 4,
        gid: 5,
        did: 6,
        pad: 0,
    };
    let new = site.put(system, 0x100, &of_port);
    assert_eq!(site.call(trusted, "portPi", &[0, 0, 0, new]), Some(K_OK));
    let to = KnIpcDest {
        target: site.nucleus.actors.get(system).unwrap().cap.ui,
        co_target: KnUniqueId::NULL,
    };
    let to = site.put(user, 0x400, &to);
    let [sent, room] = [user, system].map(|actor| site.put(actor, 0x500, &KnMsgDesc::default()));
    let [own, port] = [user, system].map(|actor| site.put(actor, 0x600, &K_DEFAULTPORT));
    assert_eq!(site.call(plain, "ipcSend", &[sent, 0, to]), Some(K_OK));
    assert_eq!(site.call(trusted, "ipcReceive", &[room, port, 0]), Some(0));
    assert_eq!(site.call(trusted, "ipcReply", &[room]), Some(K_OK));
    assert_eq!(site.call(plain, "ipcReceive", &[sent, own, 0]), Some(0));
    let head = site.at(user, 0x700);
    assert_eq!(site.call(plain, "ipcSysInfo", &[head]), Some(K_OK));
    let head: KnMsgHead = site.get(user, 0x700);
    assert_eq!(head.port_id, of_port);
    assert_eq!(head.actor_id, KnProtId::default());
    site.end();
}

#[test]
fn the_kind_of_an_actor_changes_between_user_and_system_only() {
    let (mut site, [user, system], [plain, trusted]) = pair([K_USERACTOR, K_SYSTEMACTOR]);
    let kernel = site.actor(K_SUPACTOR, 140);
    let kinds = [K_USERACTOR, K_SYSTEMACTOR, K_SUPACTOR, 3].map(|kind| {
        let offset = 0x100 + 8 * kind as u64;
        (
            site.put(user, offset, &kind),
            site.put(system, offset, &kind),
        )
    });
    assert_eq!(
        site.call(plain, "actorPrivilege", &[0, 0, kinds[1].0]),
        Some(K_EPRIV)
    );
    let old = site.at(user, 0x200);
    assert_eq!(site.call(plain, "actorPrivilege", &[0, old, 0]), Some(K_OK));
    assert_eq!(site.get::<i32>(user, 0x200), K_USERACTOR);
    let cap = site.put_cap(system, user);
    for bad in [kinds[2].1, kinds[3].1] {
        assert_eq!(
            site.call(trusted, "actorPrivilege", &[cap, 0, bad]),
            Some(K_EINVAL)
        );
    }
    assert_eq!(site.call(plain, "siteMark", &[9]), Some(K_EPRIV));
    assert_eq!(
        site.call(trusted, "actorPrivilege", &[cap, 0, kinds[1].1]),
        Some(K_OK)
    );
    assert_eq!(
        site.call(plain, "siteMark", &[9]),
        Some(K_OK),
        "from its next call on"
    );
    assert_eq!(
        site.call(trusted, "actorPrivilege", &[cap, 0, kinds[0].1]),
        Some(K_OK)
    );
    assert_eq!(site.call(plain, "siteMark", &[9]), Some(K_EPRIV));
    let cap = site.put_cap(system, kernel);
    assert_eq!(
        site.call(trusted, "actorPrivilege", &[cap, 0, kinds[0].1]),
        Some(K_EINVAL)
    );
    site.end();
}
