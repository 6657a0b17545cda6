//! Sending against the reference (NC-165…176, NC-215, NC-284).

use super::scene::{FOREVER, NOWHERE, Party};
use super::site::Site;
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::*;

/// Two users, each on a processor.
pub(super) fn pair() -> (Site, Party, Party) {
    let mut site = Site::new(4);
    let (sender, receiver) = (site.party(K_USERACTOR), site.party(K_USERACTOR));
    (site, sender, receiver)
}

/// Fresh memory of so many bytes.
#[track_caller]
pub(super) fn memory(site: &mut Site, of: Party, size: u64) -> u64 {
    let desc = KnRgnDesc {
        size,
        options: K_ANYWHERE | K_WRITABLE,
        ..KnRgnDesc::default()
    };
    let region = site.arg(of.actor, &desc);
    assert_eq!(site.grants(of, "rgnAllocate", &[0, region]), K_OK);
    site.peek::<KnRgnDesc>(of.actor, region).start_addr
}

pub(super) fn desc(site: &mut Site, of: Party, body: (u64, u32), annex_addr: u64) -> u64 {
    let desc = KnMsgDesc {
        body_addr: body.0,
        body_size: body.1,
        annex_addr,
        ..KnMsgDesc::default()
    };
    site.arg(of.actor, &desc)
}

/// What `ipcSysInfo` says.
#[track_caller]
pub(super) fn head(site: &mut Site, of: Party) -> KnMsgHead {
    let at = site.arg(of.actor, &[0u8; size_of::<KnMsgHead>()]);
    assert_eq!(site.grants(of, "ipcSysInfo", &[at]), K_OK);
    site.peek(of.actor, at)
}

#[test]
fn nc_165_170_and_171_the_largest_body_comes_as_it_was_sent() {
    for waiting in [false, true] {
        let (mut site, sender, receiver) = pair();
        let size = K_CMSGSIZEMAX;
        let from = memory(&mut site, sender, size.into());
        let to = memory(&mut site, receiver, u64::from(size) + 1);
        let body: Vec<u8> = (0..size).map(|at| (at * 7 + at / 4096) as u8).collect();
        site.poke(sender.actor, from, &body[..]);
        let message = desc(&mut site, sender, (from, size), 0);
        let room = desc(&mut site, receiver, (to, size), 0);
        let (door, li) = (
            site.door(receiver.actor),
            site.arg(receiver.actor, &K_DEFAULTPORT),
        );
        let dest = site.dest(sender, door);
        if waiting {
            site.waits(receiver, "ipcReceive", &[room, li, FOREVER]);
        }
        assert_eq!(site.grants(sender, "ipcSend", &[message, 0, dest]), K_OK);
        // Whole pages are lent: nothing is copied before somebody stores.
        assert_eq!(site.held(), 0);
        site.poke(sender.actor, from, &[0xffu8; 0x10000][..]);
        assert_eq!(site.held(), if waiting { 0 } else { 16 });
        match waiting {
            true => assert_eq!(site.result(receiver.thread), Some(size as i32)),
            false => {
                let got = site.grants(receiver, "ipcReceive", &[room, li, 0]);
                assert_eq!(got, size as i32);
            }
        }
        assert!(site.bytes(receiver.actor, to, size as usize) == body);
        assert_eq!(site.held(), 0, "the body's frames are free again");
        site.end();
    }
}

#[test]
fn nc_166_a_body_that_is_too_large_is_refused() {
    let (mut site, sender, receiver) = pair();
    let from = memory(&mut site, sender, u64::from(K_CMSGSIZEMAX) + 1);
    let (door, room) = (site.door(receiver.actor), site.room(sender, 8));
    let dest = site.dest(sender, door);
    for size in [K_CMSGSIZEMAX + 1, u32::MAX] {
        let message = desc(&mut site, sender, (from, size), 0);
        site.refuses(sender, "ipcSend", &[message, 0, dest], K_ETOOMUCH);
        let call = [message, 0, dest, room.desc, FOREVER];
        site.refuses(sender, "ipcCall", &call, K_ETOOMUCH);
    }
    site.end();
}

#[test]
fn nc_167_168_and_169_annex_and_body_come_each_by_itself_or_not_at_all() {
    let (mut site, sender, receiver) = pair();
    let annex = site.arg(sender.actor, &[0x5au8; K_CMSGANNEXSIZE]);
    let door = site.door(receiver.actor);
    let dest = site.dest(sender, door);
    for (annex, flag) in [(annex, 1), (0, 0)] {
        // A size without an address is no body.
        let message = desc(&mut site, sender, (0, 99), annex);
        assert_eq!(site.grants(sender, "ipcSend", &[message, 0, dest]), K_OK);
        let (room, li) = (
            site.room(receiver, 8),
            site.arg(receiver.actor, &K_DEFAULTPORT),
        );
        assert_eq!(site.grants(receiver, "ipcReceive", &[room.desc, li, 0]), 0);
        let byte = if flag == 1 { 0x5a } else { 0xee };
        assert_eq!(
            site.peek::<[u8; 64]>(receiver.actor, room.annex),
            [byte; 64]
        );
        let head = head(&mut site, receiver);
        assert_eq!((head.body_size, head.flags), (0, [0, flag, 0, 0]));
    }
    site.end();
}

#[test]
fn nc_172_a_thousand_messages_come_in_order() {
    let (mut site, sender, receiver) = pair();
    let door = site.door(receiver.actor);
    let (at, dest) = (site.arg(sender.actor, &0u32), site.dest(sender, door));
    let message = desc(&mut site, sender, (at, 4), 0);
    let (room, li) = (
        site.room(receiver, 4),
        site.arg(receiver.actor, &K_DEFAULTPORT),
    );
    let mut next = 0;
    for number in 0..1000u32 {
        site.poke(sender.actor, at, &number);
        assert_eq!(site.grants(sender, "ipcSend", &[message, 0, dest]), K_OK);
        // The queue grows and shrinks.
        while next <= number && (number - next >= number % 50 || number == 999) {
            site.grants(receiver, "ipcReceive", &[room.desc, li, 0]);
            assert_eq!(site.peek::<u32>(receiver.actor, room.body), next);
            next += 1;
        }
    }
    assert_eq!(next, 1000);
    site.end();
}

#[test]
fn nc_174_what_cannot_be_read_is_not_delivered() {
    let (mut site, sender, receiver) = pair();
    let room = site.listen(receiver, K_DEFAULTPORT);
    let (good, door) = (site.letter(sender, b"good"), site.door(receiver.actor));
    let dest = site.dest(sender, door);
    let end = site.at(sender.actor, 16 * PAGE_SIZE);
    for (body, annex) in [
        ((NOWHERE, 8), 0),
        ((end - 4, 8), 0),
        ((0, 0), NOWHERE),
        ((0, 0), end - 60),
    ] {
        let message = desc(&mut site, sender, body, annex);
        site.refuses(sender, "ipcSend", &[message, 0, dest], K_EFAULT);
        let reply = site.room(sender, 8);
        let call = [message, 0, dest, reply.desc, FOREVER];
        site.refuses(sender, "ipcCall", &call, K_EFAULT);
    }
    site.refuses(sender, "ipcSend", &[NOWHERE, 0, dest], K_EFAULT);
    site.refuses(sender, "ipcSend", &[good, 0, NOWHERE], K_EFAULT);
    assert_eq!(site.result(receiver.thread), None);
    assert_eq!(site.grants(sender, "ipcSend", &[good, 0, dest]), K_OK);
    assert_eq!(site.result(receiver.thread), Some(4));
    assert_eq!(site.bytes(receiver.actor, room.body, 4), b"good");
    site.end();
}

#[test]
fn a_site_without_memory_keeps_no_body_and_without_messages_none_at_all() {
    let (mut site, _, receiver) = pair();
    // A user actor would have had its share first.
    let sender = site.party(K_SYSTEMACTOR);
    let door = site.door(receiver.actor);
    let (body, empty) = (site.letter(sender, b"body"), site.letter(sender, b""));
    let (dest, reply) = (site.dest(sender, door), site.room(sender, 8));
    let taken = site.hoard(0);
    site.refuses(sender, "ipcSend", &[body, 0, dest], K_ENOMEM);
    let call = [body, 0, dest, reply.desc, FOREVER];
    site.refuses(sender, "ipcCall", &call, K_ENOMEM);
    assert_eq!(site.grants(sender, "ipcSend", &[empty, 0, dest]), K_OK);
    site.give_back(taken);
    let ports = [(); 4].map(|()| site.port(receiver).1);
    for ui in ports {
        assert_eq!(site.fill(sender, ui), Some(K_EFULL));
    }
    assert_eq!(site.nucleus.ipc.messages.len(), 256);
    site.refuses(sender, "ipcSend", &[empty, 0, dest], K_EFULL);
    let call = [empty, 0, dest, reply.desc, FOREVER];
    site.refuses(sender, "ipcCall", &call, K_EFULL);
    site.end();
}

#[test]
fn nc_284_who_fills_its_own_queues_stops_nobody_else() {
    let (mut site, sender, receiver) = pair();
    let greedy = site.party(K_USERACTOR);
    for _ in 0..16 {
        let (_, ui) = site.port(greedy);
        site.fill(greedy, ui);
    }
    let door = site.door(receiver.actor);
    assert_eq!(site.send(sender, door, b"through"), Some(K_OK));
    assert_eq!(
        site.take(receiver, K_DEFAULTPORT).as_deref(),
        Some(&b"through"[..])
    );
    site.end();
}

#[test]
fn nc_176_and_215_the_receiver_sees_who_sent_as_it_was_then() {
    let (mut site, sender, receiver) = pair();
    let pi = |uid| KnProtId {
        uid,
        gid: 2,
        did: 3,
        pad: 0,
    };
    let (li, ui) = site.port(sender);
    site.nucleus.actors.get_mut(sender.actor).unwrap().pi = pi(1);
    let port = site.nucleus.port_by_ui(ui).unwrap();
    site.nucleus.port_set_pi(port, pi(9));
    let door = site.door(receiver.actor);
    let (letter, dest) = (site.letter(sender, b"12345"), site.dest(sender, door));
    site.grants(sender, "ipcSend", &[letter, li as u64, dest]);
    site.nucleus.actors.get_mut(sender.actor).unwrap().pi = pi(7);
    site.nucleus.port_set_pi(port, pi(7));
    site.take(receiver, K_DEFAULTPORT);
    let head = head(&mut site, receiver);
    assert_eq!((head.actor_id, head.port_id), (pi(1), pi(9)));
    assert_eq!((head.src_port, head.target), (ui, door));
    assert_eq!((head.body_size, head.trans_id), (5, 0));
    assert_eq!(head.co_target, KnUniqueId::NULL);
    assert_eq!(site.send(receiver, head.src_port, b"back"), Some(K_OK));
    assert_eq!(site.take(sender, li).as_deref(), Some(&b"back"[..]));
    site.refuses(receiver, "ipcSysInfo", &[NOWHERE], K_EFAULT);
    site.refuses(sender, "ipcSysInfo", &[NOWHERE], K_EFAULT);
    site.end();
}

#[test]
fn nc_216_a_user_is_seen_as_nobody_but_itself() {
    let (mut site, sender, receiver) = pair();
    let own = KnProtId {
        uid: 4,
        gid: 5,
        did: 6,
        pad: 0,
    };
    site.nucleus.actors.get_mut(sender.actor).unwrap().pi = own;
    let (li, _) = site.port(sender);
    let other = site.arg(sender.actor, &KnProtId { uid: 0, ..own });
    site.refuses(sender, "actorPi", &[0, 0, other], K_EPRIV);
    site.refuses(sender, "portPi", &[0, li as u64, 0, other], K_EPRIV);
    let door = site.door(receiver.actor);
    let (letter, dest) = (site.letter(sender, b"it is I"), site.dest(sender, door));
    // Another actor's port is no source either.
    let (foreign, _) = site.port(receiver);
    let by_other = [letter, foreign as u64, dest];
    site.refuses(sender, "ipcSend", &by_other, K_EINVAL);
    site.grants(sender, "ipcSend", &[letter, li as u64, dest]);
    site.take(receiver, K_DEFAULTPORT);
    let head = head(&mut site, receiver);
    assert_eq!((head.actor_id, head.port_id), (own, own));
    site.end();
}
