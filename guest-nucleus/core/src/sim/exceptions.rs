//! Exceptions: handlers, ports, the default; aborts (NC-048…052, NC-270, NC-271, spec 6.2).

use super::site::Site;
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::executive::thread::{Thread, Wait, local_identifier};
use crate::supervisor::{Call, Then, Trouble};
use chorus_abi::error::*;
use chorus_abi::*;

const FOREVER: u64 = u64::MAX;
/// Where a handler is: an address of supervisor space.
pub const ROUTINE: u64 = 0xffff_c000_0000_1000;

/// A supervisor actor, a user actor and a system actor, with a thread each.
pub struct Scene {
    pub site: Site,
    pub actors: [Id<Actor>; 3],
    pub threads: [Id<Thread>; 3],
    /// In whose memory registers are.
    pub stacks: Id<Actor>,
    /// Where registers are.
    pub context: u64,
}

impl Scene {
    pub fn new() -> Scene {
        let mut site = Site::new(6);
        let actors = [K_SUPACTOR, K_USERACTOR, K_SYSTEMACTOR].map(|kind| site.actor(kind, 140));
        let threads = actors.map(|actor| site.thread(actor));
        let registers = KnThreadCtx {
            rax: 7,
            ..KnThreadCtx::default()
        };
        // Stands for the kernel stacks, which no actor's end takes away.
        let stacks = site.actor(K_SUPACTOR, 140);
        let context = site.put(stacks, 0, &registers);
        site.put(stacks, size_of::<KnThreadCtx>() as u64, &[0u8; 64]);
        Scene {
            site,
            actors,
            threads,
            stacks,
            context,
        }
    }

    pub fn cap(&self, actor: Id<Actor>) -> KnCap {
        self.site.nucleus.actors.get(actor).unwrap().cap
    }

    /// A capability in another actor's memory.
    pub fn cap_for(&mut self, reader: Id<Actor>, actor: Id<Actor>) -> u64 {
        let cap = self.cap(actor);
        self.site.put(reader, 0x500, &cap)
    }

    pub fn call(&mut self, who: usize, name: &str, arguments: &[u64]) -> Option<i32> {
        self.site.call(self.threads[who], name, arguments)
    }

    pub fn alive(&self, actor: Id<Actor>) -> bool {
        self.site.nucleus.actors.get(actor).is_some()
    }
}

/// The system actor waits for reports about the user actor; the user actor's thread takes an exception.
fn reported() -> (Scene, Trouble) {
    let mut scene = Scene::new();
    let [_, user, system] = scene.actors;
    let cap = scene.cap_for(system, user);
    let port = scene.cap(system).ui;
    let new = scene.site.put(system, 0x520, &port);
    assert_eq!(scene.call(2, "actorExcept", &[cap, 0, new]), Some(K_OK));
    receive(&mut scene);
    let then = scene.site.exception(scene.threads[1], 1, scene.context);
    let Then::Report(trouble) = then else {
        panic!("{then:?}")
    };
    (scene, trouble)
}

fn receive(scene: &mut Scene) {
    let system = scene.actors[2];
    let room = KnMsgDesc {
        body_addr: scene.site.at(system, 0x600),
        body_size: 512,
        annex_addr: scene.site.at(system, 0x240),
        ..KnMsgDesc::default()
    };
    let room = scene.site.put(system, 0x200, &room);
    let port = scene.site.put(system, 0x300, &K_DEFAULTPORT);
    let waits = scene.call(2, "ipcReceive", &[room, port, FOREVER]);
    assert_eq!(waits, None);
}

/// The answer: a verdict, and registers.
fn answer(scene: &mut Scene, verdict: i32, registers: Option<KnThreadCtx>) {
    let system = scene.actors[2];
    let mut annex = [0u8; 64];
    annex[..4].copy_from_slice(&verdict.to_le_bytes());
    scene.site.put(system, 0x240, &annex);
    scene
        .site
        .put(system, 0x600, &registers.unwrap_or_default());
    let reply = KnMsgDesc {
        body_addr: scene.site.at(system, 0x600),
        body_size: registers.map_or(0, |_| size_of::<KnThreadCtx>() as u32),
        annex_addr: scene.site.at(system, 0x240),
        ..KnMsgDesc::default()
    };
    let reply = scene.site.put(system, 0x200, &reply);
    assert_eq!(scene.call(2, "ipcReply", &[reply]), Some(K_OK));
}

#[test]
fn nc_048_and_049_the_report_says_which_exception_of_which_thread_where() {
    let (mut scene, trouble) = reported();
    let [_, user, system] = scene.actors;
    let size = size_of::<KnThreadCtx>() as i32;
    assert_eq!(scene.site.result(scene.threads[2]), Some(size));
    let report: KnExcReport = scene.site.get(system, 0x240);
    let expected = KnExcReport {
        service: K_EXC_REPORT,
        exc_no: 1,
        actor_cap: scene.cap(user),
        thread_li: local_identifier(scene.threads[1]),
        pc: 0x1234,
        fault_addr: 0x5678,
        ..KnExcReport::default()
    };
    assert_eq!(report, expected);
    assert_eq!(scene.site.get::<KnThreadCtx>(system, 0x600).rax, 7);
    answer(&mut scene, K_EXC_CONTINUE, None);
    let then = scene.site.reported(scene.threads[1], &trouble);
    assert_eq!(then, Then::Resume { changed: false });
    assert!(scene.alive(user));
    scene.site.end();
}

#[test]
fn nc_050_the_thread_goes_on_with_the_registers_of_the_answer() {
    let (mut scene, trouble) = reported();
    let registers = KnThreadCtx {
        rip: 0x9999,
        ..KnThreadCtx::default()
    };
    answer(&mut scene, K_EXC_CONTINUE, Some(registers));
    let then = scene.site.reported(scene.threads[1], &trouble);
    assert_eq!(then, Then::Resume { changed: true });
    let stacks = scene.stacks;
    assert_eq!(scene.site.get::<KnThreadCtx>(stacks, 0), registers);
    scene.site.end();
}

#[test]
fn a_verdict_can_end_the_thread_or_leave_the_exception_to_the_default() {
    let (mut scene, trouble) = reported();
    answer(&mut scene, K_EXC_DELETE, None);
    scene.site.reported(scene.threads[1], &trouble);
    assert!(scene.site.nucleus.threads.get(scene.threads[1]).is_none());
    assert!(scene.alive(scene.actors[1]));
    scene.site.end();
    let (mut scene, trouble) = reported();
    answer(&mut scene, K_EXC_NOTHANDLED, None);
    scene.site.reported(scene.threads[1], &trouble);
    assert!(!scene.alive(scene.actors[1]));
    scene.site.end();
}

#[test]
fn an_answer_without_a_verdict_and_the_end_of_the_port_treat_nothing() {
    let (mut scene, trouble) = reported();
    let system = scene.actors[2];
    let empty = scene.site.put(system, 0x200, &KnMsgDesc::default());
    assert_eq!(scene.call(2, "ipcReply", &[empty]), Some(K_OK));
    scene.site.reported(scene.threads[1], &trouble);
    assert!(!scene.alive(scene.actors[1]));
    scene.site.end();
    let (mut scene, trouble) = reported();
    assert_eq!(scene.call(2, "actorExit", &[0]), None);
    scene.site.reported(scene.threads[1], &trouble);
    assert!(!scene.alive(scene.actors[1]));
    scene.site.end();
}

#[test]
fn no_abort_ends_a_report_and_a_thread_that_is_deleted_leaves_it() {
    let (mut scene, trouble) = reported();
    let [_, user, system] = scene.actors;
    let (cap, li) = (
        scene.cap_for(system, user),
        local_identifier(scene.threads[1]) as u64,
    );
    assert_eq!(scene.call(2, "threadAbort", &[cap, li]), Some(K_OK));
    assert_eq!(scene.site.result(scene.threads[1]), None);
    answer(&mut scene, K_EXC_CONTINUE, None);
    scene.site.reported(scene.threads[1], &trouble);
    assert_eq!(scene.call(1, "threadAborted", &[]), Some(1));
    receive(&mut scene);
    scene.site.exception(scene.threads[1], 4, scene.context);
    let cap = scene.cap_for(system, user);
    assert_eq!(scene.call(2, "threadDelete", &[cap, li]), Some(K_OK));
    assert!(scene.site.nucleus.threads.get(scene.threads[1]).is_none());
    answer(&mut scene, K_EXC_CONTINUE, None);
    scene.site.end();
}

#[test]
fn nc_051_with_no_handler_and_no_port_the_actor_ends_and_others_go_on() {
    let mut scene = Scene::new();
    let then = scene.site.exception(scene.threads[1], 1, scene.context);
    assert_eq!(then, Then::Resume { changed: false });
    assert!(!scene.alive(scene.actors[1]) && scene.alive(scene.actors[2]));
    assert!(scene.site.nucleus.machine.log[0].contains("division error"));
    assert_eq!(scene.call(2, "sysNull", &[]), Some(K_OK));
    scene.site.end();
}

#[test]
fn nc_052_a_null_pointer_reads_without_changing() {
    let mut scene = Scene::new();
    let user = scene.actors[1];
    let port = scene.cap(scene.actors[2]).ui;
    let (old, new) = (
        scene.site.at(user, 0x540),
        scene.site.put(user, 0x520, &port),
    );
    assert_eq!(scene.call(1, "actorExcept", &[0, old, new]), Some(K_OK));
    assert_eq!(scene.site.get::<KnUniqueId>(user, 0x540), KnUniqueId::NULL);
    for _ in 0..2 {
        assert_eq!(scene.call(1, "actorExcept", &[0, old, 0]), Some(K_OK));
        assert_eq!(scene.site.get::<KnUniqueId>(user, 0x540), port);
    }
    let null = scene.site.put(user, 0x520, &KnUniqueId::NULL);
    assert_eq!(scene.call(1, "actorExcept", &[0, 0, null]), Some(K_OK));
    assert_eq!(scene.call(1, "actorExcept", &[0, old, 0]), Some(K_OK));
    assert_eq!(scene.site.get::<KnUniqueId>(user, 0x540), KnUniqueId::NULL);
    scene.site.end();
}

#[test]
fn what_actor_except_refuses() {
    let mut scene = Scene::new();
    let [_, user, system] = scene.actors;
    let other = scene.cap_for(user, system);
    let old = scene.site.at(user, 0x540);
    let refused = scene.call(1, "actorExcept", &[other, old, 0]);
    assert_eq!(refused, Some(K_EPRIV));
    let site = KnUniqueId::from_fields(1, UiType::Site, 1, 1);
    let site = scene.site.put(user, 0x520, &site);
    assert_eq!(
        scene.call(1, "actorExcept", &[0, old, site]),
        Some(K_EINVAL)
    );
    assert_eq!(scene.call(1, "actorExcept", &[0, 16, 0]), Some(K_EFAULT));
    assert_eq!(scene.call(1, "actorExcept", &[16, 0, 0]), Some(K_EFAULT));
    let far = KnCap {
        ui: KnUniqueId::from_fields(7, UiType::Port, 1, 1),
        key: 1,
    };
    let far = scene.site.put(system, 0x520, &far);
    assert_eq!(scene.call(2, "actorExcept", &[far, 0, 0]), Some(K_EUNKNOWN));
    scene.site.end();
}

fn routine_of(then: Then) -> u64 {
    match then {
        Then::Invoke(upcall) => upcall.routine,
        other => panic!("{other:?}"),
    }
}

#[test]
fn nc_270_a_handler_that_returns_0_lets_the_thread_go_on() {
    let mut scene = Scene::new();
    let [sup, user, _] = scene.actors;
    let cap = scene.cap_for(sup, user);
    assert_eq!(scene.call(0, "svExcHandler", &[cap, ROUTINE]), Some(K_OK));
    let then = scene.site.exception(scene.threads[1], 4, scene.context);
    let Then::Invoke(upcall) = then else {
        panic!("{then:?}")
    };
    assert!(matches!(upcall.what, Call::Exception(trouble) if trouble.number == 4));
    assert_eq!((upcall.routine, upcall.lap), (ROUTINE, false));
    // Inside, the thread works for the handler's actor, with its privilege and its memory.
    let place = scene.site.at(sup, 0x700);
    assert_eq!(scene.call(1, "actorSelf", &[place]), Some(K_OK));
    assert_eq!(scene.site.get::<KnCap>(sup, 0x700), scene.cap(sup));
    let then = scene.site.back(scene.threads[1], 0);
    assert_eq!(then, Then::Resume { changed: true });
    assert!(scene.alive(user));
    assert_eq!(scene.call(0, "svExcHandler", &[cap, 0]), Some(K_OK));
    scene.site.exception(scene.threads[1], 4, scene.context);
    assert!(!scene.alive(user));
    scene.site.end();
}

#[test]
fn handlers_are_tried_in_the_order_of_the_vector_then_the_single_one_then_the_port() {
    let mut scene = Scene::new();
    let [sup, user, system] = scene.actors;
    let cap = scene.cap_for(sup, user);
    let single = ROUTINE + 0x100;
    assert_eq!(scene.call(0, "svExcHandler", &[cap, single]), Some(K_OK));
    for index in [3u64, 0] {
        let lap = scene.site.at(sup, 0x800 + index * 16);
        let made = scene.call(0, "svLapCreate", &[0, ROUTINE + index, 9, 0, lap]);
        assert_eq!(made, Some(K_OK));
        let connect = [cap, index, lap];
        let connected = scene.call(0, "svActorExcHandlerConnect", &connect);
        assert_eq!(connected, Some(K_OK));
        let again = scene.call(0, "svActorExcHandlerConnect", &connect);
        assert_eq!(again, Some(K_EBUSY));
    }
    let port = scene.cap(system).ui;
    let new = scene.site.put(sup, 0x520, &port);
    assert_eq!(scene.call(0, "actorExcept", &[cap, 0, new]), Some(K_OK));
    let thread = scene.threads[1];
    let first = scene.site.exception(thread, 4, scene.context);
    assert!(matches!(first, Then::Invoke(upcall) if upcall.lap && upcall.cookie == 9));
    let second = scene.site.back(thread, -1);
    let third = scene.site.back(thread, -1);
    let routines = [first, second, third].map(routine_of);
    assert_eq!(routines, [ROUTINE, ROUTINE + 3, single]);
    let then = scene.site.back(thread, 1);
    assert!(matches!(then, Then::Report(_)), "{then:?}");
    // Disconnecting takes the one that is connected, or whichever it is.
    let wrong = scene.site.at(sup, 0x800);
    let other = scene.call(0, "svActorExcHandlerDisconnect", &[cap, 3, wrong]);
    assert_eq!(other, Some(K_EINVAL));
    let any = scene.call(0, "svActorExcHandlerDisconnect", &[cap, 3, K_CONNECTED_LAP]);
    assert_eq!(any, Some(K_OK));
    let none = scene.call(0, "svActorExcHandlerDisconnect", &[cap, 3, K_CONNECTED_LAP]);
    assert_eq!(none, Some(K_EINVAL));
    let outside = scene.call(0, "svActorExcHandlerConnect", &[cap, 4, wrong]);
    assert_eq!(outside, Some(K_EINVAL));
    scene.site.end();
}

#[test]
fn nc_271_a_child_has_its_parent_s_handlers_and_port() {
    let mut scene = Scene::new();
    let [sup, user, system] = scene.actors;
    let cap = scene.cap_for(sup, user);
    assert_eq!(scene.call(0, "svExcHandler", &[cap, ROUTINE]), Some(K_OK));
    let lap = scene.site.at(sup, 0x800);
    scene.call(0, "svLapCreate", &[0, ROUTINE + 1, 0, 0, lap]);
    scene.call(0, "svActorExcHandlerConnect", &[cap, 2, lap]);
    let port = scene.cap(system).ui;
    let new = scene.site.put(sup, 0x520, &port);
    scene.call(0, "actorExcept", &[cap, 0, new]);
    for kind in [K_USERACTOR, K_SUPACTOR] {
        let place = scene.site.at(sup, 0x900);
        let made = scene.call(0, "actorCreate", &[cap, place, kind as u64, 0]);
        assert_eq!(made, Some(K_OK));
        let (read, old) = (scene.site.at(sup, 0x920), scene.site.at(sup, 0x940));
        let got = scene.call(0, "svActorExcHandlerGetConnected", &[place, 2, read]);
        assert_eq!(got, Some(K_OK));
        let same = scene.site.get::<KnLapDesc>(sup, 0x920);
        assert_eq!(same, scene.site.get::<KnLapDesc>(sup, 0x800));
        scene.call(0, "actorExcept", &[place, old, 0]);
        // Whoever has the registers of supervisor code can do anything.
        let inherits = kind == K_USERACTOR;
        let found = scene.site.get::<KnUniqueId>(sup, 0x940);
        assert_eq!(found == port, inherits);
    }
    // The parent's end takes the handlers from nobody else.
    let child = scene.site.nucleus.actors.iter().last().unwrap().0;
    scene.call(0, "actorDelete", &[cap]);
    assert!(!scene.alive(user) && scene.alive(child));
    assert_eq!(scene.site.nucleus.points_left()[0], 2);
    scene.site.end();
}

#[test]
fn a_handler_that_faults_ends_its_actor_and_the_exception_goes_on() {
    let mut scene = Scene::new();
    let [sup, user, _] = scene.actors;
    let cap = scene.cap_for(sup, user);
    assert_eq!(scene.call(0, "svExcHandler", &[cap, ROUTINE]), Some(K_OK));
    scene.site.exception(scene.threads[1], 4, scene.context);
    // Its own handler would be itself: nobody treats that.
    scene.site.exception(scene.threads[1], 7, scene.context);
    assert!(!scene.alive(sup), "the handler's actor ends");
    assert_eq!(scene.site.put_out, Some(Then::Resume { changed: false }));
    assert!(!scene.alive(user), "nobody treated the first exception");
    scene.site.end();
}

#[test]
fn abort_handlers_run_when_the_thread_goes_home_all_of_them() {
    let mut scene = Scene::new();
    let [sup, user, _] = scene.actors;
    let (cap, thread) = (scene.cap_for(sup, user), scene.threads[1]);
    let lap = scene.site.at(sup, 0x800);
    scene.call(0, "svLapCreate", &[0, ROUTINE + 1, 5, 0, lap]);
    let connected = scene.call(0, "svActorAbortHandlerConnect", &[cap, 0, lap]);
    assert_eq!(connected, Some(K_OK));
    assert_eq!(scene.call(0, "svAbortHandler", &[cap, ROUTINE]), Some(K_OK));
    assert_eq!(scene.call(1, "threadDelay", &[0]), None);
    let li = local_identifier(thread) as u64;
    assert_eq!(scene.call(0, "threadAbort", &[cap, li]), Some(K_OK));
    assert_eq!(scene.site.result(thread), Some(K_EABORT));
    let cpu = scene.site.cpu_of(thread).unwrap();
    let first = scene.site.nucleus.homecoming(cpu).unwrap();
    assert_eq!((first.routine, first.what), (ROUTINE + 1, Call::Abort));
    assert_eq!(scene.site.nucleus.homecoming(cpu), None, "it is inside");
    let second = scene.site.back(thread, 0);
    assert_eq!(routine_of(second), ROUTINE);
    let then = scene.site.back(thread, 0);
    assert_eq!(then, Then::Resume { changed: true });
    assert_eq!(
        scene.site.nucleus.homecoming(cpu),
        None,
        "the mark is used up"
    );
    assert_eq!(scene.call(1, "threadAborted", &[]), Some(0));
    let read = scene.site.at(sup, 0x920);
    let got = scene.call(0, "svActorAbortHandlerGetConnected", &[cap, 0, read]);
    assert_eq!(got, Some(K_OK));
    let gone = scene.call(0, "svActorAbortHandlerDisconnect", &[cap, 0, lap]);
    assert_eq!(gone, Some(K_OK));
    let got = scene.call(0, "svActorAbortHandlerGetConnected", &[cap, 0, read]);
    assert_eq!(got, Some(K_EINVAL));
    scene.site.end();
}

#[test]
fn what_the_calls_for_handlers_refuse() {
    let mut scene = Scene::new();
    let sup = scene.actors[0];
    for who in [1, 2] {
        for name in ["svExcHandler", "svAbortHandler", "svActorExcHandlerConnect"] {
            let refused = scene.call(who, name, &[0, ROUTINE, 0]);
            assert_eq!(refused, Some(K_EPRIV), "{name}");
        }
    }
    for name in ["svExcHandler", "svAbortHandler"] {
        assert_eq!(scene.call(0, name, &[0, 0x1000]), Some(K_EINVAL));
        assert_eq!(scene.call(0, name, &[16, ROUTINE]), Some(K_EFAULT));
    }
    let far = KnCap {
        ui: KnUniqueId::from_fields(7, UiType::Port, 1, 1),
        key: 1,
    };
    let far = scene.site.put(sup, 0x520, &far);
    let unknown = scene.call(0, "svExcHandler", &[far, ROUTINE]);
    assert_eq!(unknown, Some(K_EUNKNOWN));
    let forged = scene.site.put(sup, 0x800, &KnLapDesc { lap: 1, key: 1 });
    let refused = scene.call(0, "svActorExcHandlerConnect", &[0, 0, forged]);
    assert_eq!(refused, Some(K_EINVAL));
    assert!(matches!(
        scene
            .site
            .nucleus
            .threads
            .get(scene.threads[0])
            .unwrap()
            .wait,
        Wait::None
    ));
    scene.site.end();
}
