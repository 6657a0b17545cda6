//! What page-out leaves in memory, who gets frames at once, and limits of actors.

use super::pageout::{BASE, PAGE, Short};
use super::site::Site;
use crate::machine::Machine;
use crate::memory::Fault;
use chorus_abi::error::*;
use chorus_abi::*;

#[test]
fn locked_pages_and_buffers_of_those_who_wait_stay() {
    let mut short = Short::new(70);
    let other = short.other;
    assert_eq!(short.region(other, BASE, 4, K_WRITABLE), K_OK);
    for page in 0..4 {
        let done = short.access(other, BASE + page * PAGE, Some(page));
        assert_eq!(done.map(|_| ()), Ok(()));
    }
    let lock = [0, BASE, PAGE, u64::from(K_WRITABLE)];
    assert_eq!(short.site.call(other.1, "vmLock", &lock), Some(K_OK));
    let desc = KnMsgDesc {
        body_size: PAGE as u32 + 8,
        body_addr: BASE + PAGE,
        ..KnMsgDesc::default()
    };
    let desc = short.site.put(other.0, 0x200, &desc);
    let port = short.site.put(other.0, 0x300, &K_DEFAULTPORT);
    let waits = short
        .site
        .call(other.1, "ipcReceive", &[desc, port, u64::MAX]);
    assert_eq!(waits, None);
    short.fill(120);
    let space = short.site.nucleus.actors.get(other.0).unwrap().space;
    let machine = &mut short.site.nucleus.machine;
    let here = [0, 1, 2, 3].map(|page| machine.translate(space, BASE + page * PAGE).is_some());
    assert_eq!(
        here,
        [true, true, true, false],
        "locked, buffer, buffer, neither"
    );
    // The message arrives without anybody waiting for the mapper.
    let dest = KnIpcDest {
        target: short.site.nucleus.actors.get(other.0).unwrap().cap.ui,
        co_target: KnUniqueId::NULL,
    };
    let dest = short.site.put(short.eater.0, 0x700, &dest);
    let body = KnMsgDesc {
        body_size: 100,
        body_addr: short.site.at(short.eater.0, 0x100),
        ..KnMsgDesc::default()
    };
    let body = short.site.put(short.eater.0, 0x780, &body);
    let sent = short.site.call(short.eater.1, "ipcSend", &[body, 0, dest]);
    assert_eq!(sent, Some(K_OK));
    assert_eq!(short.site.result(other.1), Some(100));
    short.finish();
}

#[test]
fn regions_without_demand_get_their_frames_or_an_error() {
    let mut short = Short::new(80);
    short.fill(70);
    let other = short.other;
    let options = K_WRITABLE | K_NODEMAND;
    assert_eq!(short.region(other, BASE, 40, options), K_OK);
    short.site.nucleus.check_memory();
    assert_eq!(
        short.region(other, BASE + 100 * PAGE, 90, options),
        K_ENOMEM
    );
    assert_eq!(
        short.region(other, BASE + 100 * PAGE, 4000, options),
        K_ENOMEM
    );
    for page in 0..70 {
        assert_eq!(short.get(page), Ok(page + 1000));
    }
    for page in 0..40 {
        assert_eq!(short.access(other, BASE + page * PAGE, None), Ok(0));
    }
    short.finish();
}

#[test]
fn a_limit_holds_for_an_actor_and_those_it_makes() {
    let mut short = Short::new(200);
    let trusted = short.mapper.thread;
    let user = short.eater;
    let cap = short.site.put_cap(short.mapper.actor, user.0);
    let limit = short.site.put(short.mapper.actor, 0x8c00, &20u32);
    let old = short.site.at(short.mapper.actor, 0x8c10);
    assert_eq!(
        short.site.call(trusted, "actorLimit", &[cap, old, limit]),
        Some(K_OK)
    );
    assert_eq!(short.site.get::<u32>(short.mapper.actor, 0x8c10), 0);
    assert_eq!(
        short.site.call(trusted, "actorLimit", &[cap, old, 0]),
        Some(K_OK)
    );
    assert_eq!(short.site.get::<u32>(short.mapper.actor, 0x8c10), 20);
    // Its own business to read, not to set.
    let mine = short.site.put(user.0, 0x600, &100u32);
    assert_eq!(
        short.site.call(user.1, "actorLimit", &[0, 0, mine]),
        Some(K_EPRIV)
    );
    assert_eq!(
        short.site.call(user.1, "actorLimit", &[0, mine, 0]),
        Some(K_OK)
    );
    assert_eq!(short.site.get::<u32>(user.0, 0x600), 20);
    assert_eq!(short.region(user, BASE, 100, K_WRITABLE), K_OK);
    let has = short.site.nucleus.actors.get(user.0).unwrap().pages;
    let made = (0..100)
        .take_while(|&page| short.put(page, page).is_ok())
        .count() as u32;
    assert_eq!(made + has, 20);
    let options = K_WRITABLE | K_NODEMAND;
    let limited = short.region(user, BASE + 200 * PAGE, 1, options);
    assert_eq!(limited, K_ENOMEM);
    // Others are not concerned; its child is.
    let other = short.other;
    assert_eq!(short.region(other, BASE, 40, options), K_OK);
    let cap = short.site.at(user.0, 0x800);
    let arguments = [0, cap, K_USERACTOR as u64, K_ACTIVE as u64];
    assert_eq!(
        short.site.call(user.1, "actorCreate", &arguments),
        Some(K_OK)
    );
    assert_eq!(
        short.site.call(user.1, "actorLimit", &[cap, mine, 0]),
        Some(K_OK)
    );
    assert_eq!(short.site.get::<u32>(user.0, 0x600), 20);
    for (arguments, wanted) in [([0, 1, 0], K_EFAULT), ([1, 0, 0], K_EFAULT)] {
        assert_eq!(
            short.site.call(user.1, "actorLimit", &arguments),
            Some(wanted)
        );
    }
    let nobody = short.site.put(user.0, 0x900, &KnCap::default());
    assert_eq!(
        short.site.call(user.1, "actorLimit", &[nobody, 0, 0]),
        Some(K_EINVAL)
    );
    short.finish();
}

/// SS-101: pages of segments leave too: clean ones at once, changed ones to their own mapper, and each change once.
#[test]
fn ss_101_pages_of_segments_leave_and_changes_reach_their_mapper() {
    use super::mapper_lab::{FINE, Lab};
    let mut lab = Lab::on(Site::with_outside(4, 1, 100));
    assert_eq!(lab.map(0, BASE, 8, 0), K_OK);
    for page in 0..8 {
        assert_eq!(lab.touch(0, BASE + page * PAGE, page == 3), Fault::Waits);
        lab.give(page + 1000);
        assert_eq!(lab.touch(0, BASE + page * PAGE, page == 3), Fault::Resolved);
    }
    lab.store(0, BASE + 3 * PAGE, 77);
    let hoard = lab.site.hoard(6);
    let space = lab.site.nucleus.actors.get(lab.users[0]).unwrap().space;
    let mut pushed = 0;
    for _ in 0..60 {
        lab.site.nucleus.relieve();
        if let Some((request, word)) = lab.request() {
            assert_eq!(
                (request.service, request.offset, word),
                (KN_MPPUSHOUT, 3 * PAGE, 77)
            );
            lab.answer(FINE, &[]);
            pushed += 1;
        }
    }
    assert_eq!(pushed, 1, "a change is written once");
    let machine = &mut lab.site.nucleus.machine;
    let left = (0..8).filter(|page| machine.translate(space, BASE + page * PAGE).is_none());
    assert!(left.count() >= 7);
    lab.site.give_back(hoard);
    assert_eq!(lab.touch(0, BASE + 3 * PAGE, false), Fault::Waits);
    lab.give(77);
    assert_eq!(lab.load(0, BASE + 3 * PAGE), 77);
    lab.site.nucleus.check_memory();
    assert_eq!(lab.free(0, BASE, 8), K_OK);
    lab.finish();
}
