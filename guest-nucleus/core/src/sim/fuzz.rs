//! Any calls with any arguments, from threads of every kind: nothing panics, nothing is lost (NC-281).

use super::site::Site;
use crate::machine::Machine;
use chorus_abi::*;
use proptest::prelude::*;

/// One step: a processor, a call, and what its arguments are drawn from.
type Step = (usize, usize, [u8; 6], u64);

/// An argument: small numbers, addresses in and out of the actor's memory, anything.
fn argument(kind: u8, memory: u64, more: u64) -> u64 {
    match kind % 8 {
        0 => 0,
        1 => u64::from(kind >> 3),
        2 => (-i64::from(kind >> 5)).cast_unsigned(),
        3 | 4 => memory + u64::from(kind >> 3) * 16,
        5 => memory + u64::from(kind) * 250,
        6 => more,
        _ => K_SVACTOR,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn nc_281_no_calls_break_the_nucleus(
        cpus in 1usize..=4,
        attached: bool,
        effort in prop_oneof![Just((8u32, 24u32)), (0u32..2, 1u32..3)],
        steps in proptest::collection::vec((0usize..4, 0usize..table::CALLS.len(), any::<[u8; 6]>(), any::<u64>()), 0..250),
    ) {
        let mut site = Site::new(cpus);
        (site.nucleus.memory.going.at_once, site.nucleus.memory.going.in_step) = effort;
        let kinds = [K_USERACTOR, K_SYSTEMACTOR, K_SUPACTOR, K_USERACTOR];
        let actors = kinds.map(|kind| site.actor(kind, 140));
        // Access points of the supervisor actor, whose descriptors everybody has.
        let maker = site.thread(actors[2]);
        let place = site.at(actors[2], 0x900);
        let create = [0, super::exceptions::ROUTINE, 0, 1, place];
        let made = site.call(maker, "svLapCreate", &create);
        prop_assert_eq!(made, Some(K_OK));
        // Its default port has a handler.
        let connect = [0, 0, super::exceptions::ROUTINE, 0, 0];
        let made = site.call(maker, "svMsgHandler", &connect);
        prop_assert_eq!(made, Some(K_OK));
        let lap: KnLapDesc = site.get(actors[2], 0x900);
        for actor in actors {
            site.put(actor, 0x180, &[lap; 8]);
            for _ in 0..2 {
                site.thread(actor);
            }
            // Names and capabilities of the others lie about in its memory, and small numbers.
            let mut offset = 0;
            for other in actors {
                let cap = site.nucleus.actors.get(other).unwrap().cap;
                site.put(actor, offset, &cap);
                site.put(actor, offset + 16, &[cap.ui, KnUniqueId::NULL]);
                offset += 32;
            }
            let group = KnUniqueId::static_group(false, 7);
            site.put(actor, offset, &[group, group.with_mode(K_FUNCMODE).unwrap()]);
            let body = site.at(actor, 0x1000);
            let desc = KnMsgDesc { body_size: 300, body_addr: body, annex_addr: body + 64, ..KnMsgDesc::default() };
            site.put(actor, offset + 16, &desc);
            // An actor of another site.
            site.put(actor, 256, &KnCap { ui: KnUniqueId::from_fields(2, UiType::Port, 1, 77), key: 5 });
            let cap = site.nucleus.actors.get(actors[1]).unwrap().cap;
            site.put(actor, offset + 192, &KnObjDesc { data_object: cap, start_offset: 0, size: 5000 });
            site.put(actor, offset + 64, &KnRgnDesc { start_addr: 0x80_0000, size: 0x3000, options: K_WRITABLE, ..KnRgnDesc::default() });
        }
        if attached {
            let manager = site.thread(actors[1]);
            if site.cpu_of(manager).is_some() {
                site.call(manager, "nmAttach", &[u64::MAX, 0]);
            }
        }
        let all: &[Step] = &steps;
        for &(cpu, call, kinds, more) in all {
            let cpu = cpu % cpus;
            // What takes steps may be left in the middle while others call.
            site.steps = (effort.0 < 2).then_some(more % 3);
            let Some(thread) = site.nucleus.on_processor(cpu) else {
                // Everybody waits: time ends some of the waits.
                site.pass(50_000_000);
                continue;
            };
            // Now and then a routine that a thread is in is over.
            if more % 8 == 0 && site.is_inside(thread) {
                site.back(thread, 0);
                continue;
            }
            let home = site.works_in(thread).unwrap();
            let memory = site.nucleus.actors.get(home).map_or(0, |actor| actor.base);
            let arguments = kinds.map(|kind| argument(kind, memory, more));
            site.call_on(cpu, table::CALLS[call].number, &arguments);
            super::invariants::check(&site.nucleus);
            site.nucleus.check_memory();
        }
        site.end();
        let (free, total) = site.nucleus.machine.frames();
        prop_assert_eq!(free, total, "frames are lost");
    }
}
