//! Interrupts and soft interrupts (NC-275, spec 3.11, 6.3).

use super::exceptions::{ROUTINE, Scene};
use crate::supervisor::ALLOWED;
use crate::supervisor::Service;
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::machine::{irq_of, vector_of};
use chorus_abi::*;

const VECTOR: u32 = 0x3d;

fn attach(scene: &mut Scene, vector: u32, routine: u64, cookie: u64) -> (Option<i32>, u64) {
    let sup = scene.actors[0];
    let (ops, id) = (scene.site.at(sup, 0x700), scene.site.at(sup, 0x720));
    let result = scene.call(
        0,
        "svIntrAttach",
        &[vector.into(), routine, cookie, ops, id],
    );
    (result, scene.site.get(sup, 0x720))
}

/// An interrupt on the last processor, on which nothing runs: the cookies of the handlers that are called, each with this verdict, then those of soft interrupts.
fn interrupt(scene: &mut Scene, verdict: i32) -> Vec<u64> {
    let nucleus = &mut scene.site.nucleus;
    let mut called = Vec::new();
    let mut next: Option<Service> = nucleus.interrupt_handler(5, VECTOR);
    while let Some(service) = next {
        called.push(service.cookie);
        next = nucleus.interrupt_returned(5, Some(verdict));
    }
    while let Some(soft) = nucleus.soft_interrupt(5) {
        called.push(soft.cookie);
        nucleus.interrupt_returned(5, Some(0));
    }
    scene.site.settle();
    called
}

#[test]
fn vectors_and_interrupts_are_the_same_both_ways() {
    for irq in 0..48 {
        assert_eq!(irq_of(vector_of(irq)), Some(irq));
    }
    for vector in K_TRAP_FIRST - 1..=K_TRAP_LAST {
        assert_eq!(irq_of(vector), None);
    }
}

#[test]
fn nc_275_exceptions_and_the_nucleus_own_vectors_are_refused() {
    let mut scene = Scene::new();
    for vector in [0, 14, 31, 0x40, 0x41, 0x4f, 0x80, 0xf0, 0xff, 0x1_003d] {
        let (result, _) = attach(&mut scene, vector, ROUTINE, 0);
        assert_eq!(result, Some(K_EINVAL), "{vector:#x}");
    }
    assert_eq!(attach(&mut scene, VECTOR, 0x1000, 0).0, Some(K_EINVAL));
    for who in [1, 2] {
        for name in ["svIntrAttach", "svIntrDetach", "svIntrMask", "svIntrUnmask"] {
            let refused = scene.call(who, name, &[u64::from(VECTOR), ROUTINE]);
            assert_eq!(refused, Some(K_EPRIV), "{name}");
        }
    }
    let fault = scene.call(0, "svIntrAttach", &[VECTOR.into(), ROUTINE, 0, 16, 16]);
    assert_eq!(fault, Some(K_EFAULT));
    assert_eq!(scene.site.nucleus.points_left(), [0; 4]);
    scene.site.end();
}

#[test]
fn handlers_are_called_in_the_order_of_attachment_until_one_claims() {
    let mut scene = Scene::new();
    let ids: Vec<u64> = (0..3)
        .map(|cookie| attach(&mut scene, VECTOR, ROUTINE, cookie).1)
        .collect();
    assert_eq!(interrupt(&mut scene, K_INTR_UNCLAIMED), [0, 1, 2]);
    assert_eq!(interrupt(&mut scene, K_INTR_CLAIMED), [0]);
    assert_eq!(scene.call(0, "svIntrDetach", &[ids[0]]), Some(K_OK));
    assert_eq!(scene.call(0, "svIntrDetach", &[ids[0]]), Some(K_EINVAL));
    assert_eq!(interrupt(&mut scene, K_INTR_UNCLAIMED), [1, 2]);
    for name in ["svIntrDetach", "svIntrMask", "svIntrUnmask"] {
        for id in [ids[0], u64::MAX, ids[1] | 1 << 60] {
            assert_eq!(scene.call(0, name, &[id]), Some(K_EINVAL));
        }
    }
    scene.site.end();
}

#[test]
fn a_masked_interrupt_comes_when_it_is_let_through() {
    let mut scene = Scene::new();
    let (_, id) = attach(&mut scene, VECTOR, ROUTINE, 1);
    let ops: KnIntrOps = scene.site.get(scene.actors[0], 0x700);
    assert!(ops.mask != 0 && ops.unmask != ops.mask);
    assert_eq!(scene.call(0, "svIntrMask", &[id]), Some(K_OK));
    assert_eq!(interrupt(&mut scene, K_INTR_CLAIMED), []);
    assert_eq!(scene.call(0, "svIntrUnmask", &[id]), Some(K_OK));
    assert_eq!(scene.site.nucleus.machine.raised, [VECTOR]);
    assert_eq!(scene.call(0, "svIntrUnmask", &[id]), Some(K_OK));
    assert_eq!(scene.site.nucleus.machine.raised, [VECTOR], "once");
    assert_eq!(interrupt(&mut scene, K_INTR_CLAIMED), [1]);
    scene.site.end();
}

#[test]
fn a_handler_may_wake_others_and_nothing_else() {
    let mut scene = Scene::new();
    let sup = scene.actors[0];
    attach(&mut scene, VECTOR, ROUTINE, 0);
    let sem = scene.site.at(sup, 0x780);
    assert_eq!(scene.call(0, "semInit", &[sem, 0]), Some(K_OK));
    assert_eq!(scene.call(0, "semP", &[sem, 0]), None);
    let nucleus = &mut scene.site.nucleus;
    assert!(nucleus.interrupt_handler(5, VECTOR).is_some());
    for call in table::CALLS {
        if !ALLOWED.contains(&call.name) {
            let result = scene.site.call_on(5, call.number, &[0; 6]);
            assert_eq!(result, Some(K_EINVAL), "{}", call.name);
        }
    }
    let number = table::by_name("semV").unwrap().number;
    assert_eq!(scene.site.call_on(5, number, &[sem]), Some(K_OK));
    assert_eq!(scene.site.nucleus.interrupt_returned(5, Some(1)), None);
    scene.site.settle();
    assert_eq!(scene.site.result(scene.threads[0]), Some(K_OK));
    scene.site.end();
}

#[test]
fn detaching_waits_for_the_handler_to_end() {
    let mut scene = Scene::new();
    let (_, id) = attach(&mut scene, VECTOR, ROUTINE, 0);
    assert!(scene.site.nucleus.interrupt_handler(5, VECTOR).is_some());
    assert_eq!(scene.call(0, "svIntrDetach", &[id]), None);
    scene.site.nucleus.interrupt_returned(5, Some(1));
    scene.site.settle();
    assert_eq!(scene.site.result(scene.threads[0]), Some(K_OK));
    scene.site.end();
}

#[test]
fn a_handler_that_faults_ends_its_actor_and_the_next_one_runs() {
    let mut scene = Scene::new();
    let other = scene.site.actor(K_SUPACTOR, 140);
    let thread = scene.site.thread(other);
    attach(&mut scene, VECTOR, ROUTINE, 1);
    let id = scene.site.at(other, 0x720);
    let second = [VECTOR.into(), ROUTINE, 2, 0, id];
    assert_eq!(scene.site.call(thread, "svIntrAttach", &second), Some(K_OK));
    let nucleus = &mut scene.site.nucleus;
    assert!(nucleus.interrupt_handler(5, VECTOR).is_some());
    nucleus.exception(5, Default::default());
    let next = nucleus.interrupt_returned(5, None);
    assert_eq!(next.map(|next| next.cookie), Some(2));
    assert_eq!(nucleus.interrupt_returned(5, Some(1)), None);
    scene.site.settle();
    assert!(!scene.alive(scene.actors[0]) && scene.alive(other));
    assert_eq!(interrupt(&mut scene, K_INTR_UNCLAIMED), [2]);
    scene.site.end();
}

fn declare(scene: &mut Scene, cookie: u64) -> u64 {
    let soft = KnSoftIntr {
        handler: ROUTINE,
        cookie,
        id: 0,
    };
    let at = scene.site.put(scene.actors[0], 0x800 + cookie * 32, &soft);
    assert_eq!(scene.call(0, "svSoftIntrDeclare", &[at]), Some(K_OK));
    at
}

#[test]
fn soft_interrupts_run_last_in_first_out_and_once() {
    let mut scene = Scene::new();
    attach(&mut scene, VECTOR, ROUTINE, 9);
    let soft: Vec<u64> = (0..3).map(|cookie| declare(&mut scene, cookie)).collect();
    for at in [soft[0], soft[2], soft[1], soft[0]] {
        assert_eq!(scene.call(0, "svSoftIntrTrigger", &[at]), Some(K_OK));
    }
    assert_eq!(interrupt(&mut scene, K_INTR_CLAIMED), [9, 1, 2, 0]);
    assert_eq!(interrupt(&mut scene, K_INTR_CLAIMED), [9]);
    assert_eq!(scene.call(0, "svSoftIntrTrigger", &[soft[1]]), Some(K_OK));
    assert_eq!(scene.call(0, "svSoftIntrForget", &[soft[1]]), Some(K_OK));
    assert_eq!(interrupt(&mut scene, K_INTR_CLAIMED), [9]);
    for name in ["svSoftIntrTrigger", "svSoftIntrForget"] {
        assert_eq!(scene.call(0, name, &[soft[1]]), Some(K_EINVAL));
        assert_eq!(scene.call(0, name, &[16]), Some(K_EFAULT));
        assert_eq!(scene.call(1, name, &[16]), Some(K_EPRIV));
    }
    let bad = KnSoftIntr::default();
    let bad = scene.site.put(scene.actors[0], 0x780, &bad);
    assert_eq!(scene.call(0, "svSoftIntrDeclare", &[bad]), Some(K_EINVAL));
    assert_eq!(scene.call(0, "svSoftIntrTrigger", &[soft[0]]), Some(K_OK));
    scene.site.end();
}
