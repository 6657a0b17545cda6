//! Threads under the control of others: stops, names, registers (NC-078, NC-079).

use super::site::Site;
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::executive::thread::{Thread, local_identifier};
use crate::machine::Machine;
use chorus_abi::error::*;
use chorus_abi::*;

/// A site with a user actor and a system actor, each with a thread that runs.
fn pair() -> (Site, [Id<Actor>; 2], [Id<Thread>; 2]) {
    let mut site = Site::new(4);
    let actors = [K_USERACTOR, K_SYSTEMACTOR].map(|kind| site.actor(kind, 140));
    let threads = actors.map(|actor| site.thread(actor));
    (site, actors, threads)
}

fn made(site: &Site, li: Option<i32>) -> Id<Thread> {
    let li = li.unwrap();
    assert!(li > 0, "threadCreate: {li}");
    site.nucleus.threads.at((li & 0x1fff) as usize).unwrap()
}

#[test]
fn nc_078_and_079_registers_are_read_and_set_while_a_thread_stands_still() {
    let (mut site, [user, system], [plain, trusted]) = pair();
    let [cap, li] = site.name(system, plain);
    let vectors = site.at(system, 0x2000);
    let now = KnThreadCtx {
        fpu_area: vectors,
        ..KnThreadCtx::default()
    };
    let now = site.put(system, 0x1000, &now);
    let get = [cap, li, now, 0];
    let set = [cap, li, 0, now];
    assert_eq!(
        site.call(trusted, "threadContext", &get),
        Some(K_EINVAL),
        "NC-078"
    );
    assert_eq!(
        site.call(trusted, "threadContext", &set),
        Some(K_EINVAL),
        "NC-078"
    );
    assert_eq!(
        site.call(plain, "threadContext", &[0; 4]),
        Some(K_EINVAL),
        "itself"
    );
    let foreign = site.name(user, trusted);
    let foreign = [foreign[0], foreign[1], 0, 0];
    assert_eq!(site.call(plain, "threadContext", &foreign), Some(K_EPRIV));
    site.call(trusted, "threadSuspend", &[cap, li]);
    assert_eq!(site.call(trusted, "threadContext", &get), Some(K_OK));
    let mut read: KnThreadCtx = site.get(system, 0x1000);
    assert_eq!((read.rip, read.fpu_area), (0, vectors));
    read.rip = 0x1234;
    read.r12 = 12;
    site.put(system, 0x1000, &read);
    site.put(system, 0x2000, &[5u8; FPU_AREA_SIZE]);
    assert_eq!(
        site.call(trusted, "threadContext", &set),
        Some(K_OK),
        "NC-079"
    );
    site.put(system, 0x2000, &[0u8; FPU_AREA_SIZE]);
    assert_eq!(site.call(trusted, "threadContext", &get), Some(K_OK));
    let read: KnThreadCtx = site.get(system, 0x1000);
    assert_eq!((read.rip, read.r12), (0x1234, 12), "NC-079");
    assert_eq!(
        site.get::<[u8; FPU_AREA_SIZE]>(system, 0x2000),
        [5; FPU_AREA_SIZE]
    );
    // What no thread may have, and pointers that lead nowhere: nothing changes.
    let wrong: [fn(&mut KnThreadCtx); 3] = [
        |it| it.fs_base = 8,
        |it| it.gs_base = 8,
        |it| it.rip = u64::MAX,
    ];
    for change in wrong {
        let mut bad = read;
        change(&mut bad);
        site.put(system, 0x1000, &bad);
        assert_eq!(site.call(trusted, "threadContext", &set), Some(K_EINVAL));
    }
    for area in [0x10, u64::MAX] {
        let bad = KnThreadCtx {
            fpu_area: area,
            rip: 1,
            ..read
        };
        site.put(system, 0x1000, &bad);
        for arguments in [get, set] {
            let result = site.call(trusted, "threadContext", &arguments);
            assert_eq!(result, Some(K_EFAULT));
        }
    }
    assert_eq!(site.nucleus.machine.registers(plain.index()).rip, 0x1234);
    // Stopped and not yet activated threads stand still too.
    site.call(trusted, "threadStop", &[cap, li]);
    site.call(trusted, "threadResume", &[cap, li]);
    site.put(
        system,
        0x1000,
        &KnThreadCtx {
            fpu_area: 0,
            ..read
        },
    );
    assert_eq!(site.call(trusted, "threadContext", &set), Some(K_OK));
    site.call(trusted, "threadStart", &[cap, li]);
    let idle = site.call(plain, "threadCreate", &[0, 0, 1, 0, 0x5000, 0]);
    let idle = local_identifier(made(&site, idle)) as u64;
    assert_eq!(
        site.call(trusted, "threadContext", &[cap, idle, now, 0]),
        Some(K_OK)
    );
    assert_eq!(site.get::<KnThreadCtx>(system, 0x1000).rip, 0x5000);
    site.end();
}

#[test]
fn one_thread_is_stopped_and_started_by_trusted_callers() {
    let (mut site, [_, system], [plain, trusted]) = pair();
    let [cap, li] = site.name(system, plain);
    for call in ["threadStop", "threadStart", "threadBind"] {
        assert_eq!(
            site.call(plain, call, &[0, 0, 0, 0]),
            Some(K_EPRIV),
            "{call}"
        );
    }
    assert_eq!(
        site.call(trusted, "threadStart", &[cap, li]),
        Some(K_EINVAL)
    );
    for _ in 0..2 {
        site.call(trusted, "threadStop", &[cap, li]);
        assert_eq!(site.result(trusted), Some(K_OK));
    }
    assert!(site.cpu_of(plain).is_none());
    assert_eq!(
        site.stat(trusted, plain).state,
        THREAD_ACTIVE | THREAD_STOPPED
    );
    assert_eq!(site.call(trusted, "threadStart", &[cap, li]), Some(K_OK));
    assert!(site.cpu_of(plain).is_some());
    // What `actorStop` sets, `threadStart` clears for one thread only.
    let other = {
        let home = site.nucleus.threads.get(plain).unwrap().actor;
        site.thread(home)
    };
    site.call(trusted, "actorStop", &[cap]);
    assert_eq!(site.call(trusted, "threadStart", &[cap, li]), Some(K_OK));
    assert!(site.cpu_of(plain).is_some() && site.cpu_of(other).is_none());
    site.end();
}

#[test]
fn a_thread_that_stops_itself_comes_back_when_another_starts_it() {
    let (mut site, [_, system], [_, trusted]) = pair();
    let other = site.thread(system);
    assert_eq!(site.call(trusted, "threadStop", &[0, 0]), None);
    assert!(site.cpu_of(trusted).is_none());
    let li = local_identifier(trusted) as u64;
    assert_eq!(site.call(other, "threadStart", &[0, li]), Some(K_OK));
    assert_eq!(
        (site.cpu_of(trusted).is_some(), site.result(trusted)),
        (true, Some(K_OK))
    );
    site.end();
}

#[test]
fn a_thread_has_a_name() {
    let (mut site, [user, system], [plain, trusted]) = pair();
    let [cap, li] = site.name(system, plain);
    let new = site.put(system, 0x100, &[b'x'; 16]);
    let old = site.put(system, 0x200, &[b'y'; 16]);
    assert_eq!(
        site.call(trusted, "threadName", &[cap, li, old, new]),
        Some(K_OK)
    );
    assert_eq!(site.get::<[u8; 16]>(system, 0x200), [0; 16]);
    assert_eq!(
        site.call(trusted, "threadName", &[cap, li, old, 0]),
        Some(K_OK)
    );
    let mut cut = [b'x'; 16];
    cut[NAME_MAX] = 0;
    assert_eq!(site.get::<[u8; 16]>(system, 0x200), cut);
    assert_eq!(
        site.call(trusted, "threadName", &[cap, li, 0x10, new]),
        Some(K_EFAULT)
    );
    assert_eq!(
        site.call(trusted, "threadName", &[cap, 5, 0, 0]),
        Some(K_EINVAL)
    );
    let own = site.at(user, 0x200);
    assert_eq!(site.call(plain, "threadName", &[0, 0, own, 0]), Some(K_OK));
    assert_eq!(site.get::<[u8; 16]>(user, 0x200), cut);
    site.end();
}
