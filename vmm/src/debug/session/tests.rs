//! The session over a model of a site.

use super::*;
use crate::debug::model::{Instruction::*, Model};

const FULL: Delivery = Delivery {
    breakpoint_exits: true,
    hardware_breakpoints: true,
    watchpoints: true,
};
const NONE: Delivery = Delivery {
    breakpoint_exits: false,
    hardware_breakpoints: false,
    watchpoints: false,
};

fn run(session: &mut Session<Model>) -> (usize, Stop) {
    session.resume().unwrap();
    for _ in 0..10_000 {
        if let Some(stop) = session.poll().unwrap() {
            return stop;
        }
        session.site().advance();
    }
    panic!("the model never stopped");
}

#[test]
fn a_breakpoint_stops_at_its_address_by_either_way_and_is_stepped_over() {
    for delivery in [FULL, NONE] {
        let mut session =
            Session::attach(Model::new(2, &[Nop, Nop, Nop, Jump(0)], delivery), delivery).unwrap();
        assert!(session.add_breakpoint(0, 2).unwrap());
        for round in 0..3 {
            let (vcpu, stop) = run(&mut session);
            assert_eq!(stop, Stop::Breakpoint, "round {round}");
            assert_eq!(session.registers(vcpu).unwrap().rip, 2);
        }
        let mut byte = [0];
        assert_eq!(session.read(0, 2, &mut byte), Ok(1));
        assert_eq!(byte[0], Nop.byte(), "the guest's byte is shown, not ours");
        session.detach().unwrap();
        assert_eq!(
            session.site().memory[2],
            Nop.byte(),
            "nothing is left behind"
        );
    }
}

#[test]
fn of_two_stops_at_once_each_is_heard_of_and_none_is_half_way() {
    let program = [Nop, Nop, Nop, Jump(0)];
    let mut session = Session::attach(Model::new(2, &program, NONE), NONE).unwrap();
    session.add_breakpoint(0, 2).unwrap();
    assert_eq!(run(&mut session), (0, Stop::Breakpoint));
    for vcpu in 0..2 {
        assert_eq!(session.registers(vcpu).unwrap().rip, 2, "vCPU {vcpu}");
    }
    assert_eq!(run(&mut session), (1, Stop::Breakpoint));
    // Taken away before it is heard of: no stop, and no vCPU behind the byte that was an int3.
    assert_eq!(run(&mut session), (0, Stop::Breakpoint));
    session.remove_breakpoint(0, 2).unwrap();
    session.resume().unwrap();
    assert_eq!(session.poll(), Ok(None));
    session.site().advance();
    assert_eq!(session.site().stop(), Ok(()));
    for vcpu in 0..2 {
        assert_eq!(session.registers(vcpu).unwrap().rip, 3, "vCPU {vcpu}");
    }
}

#[test]
fn a_page_that_became_something_else_is_left_alone() {
    let mut session = Session::attach(Model::new(1, &[Nop, Nop, Jump(0)], NONE), NONE).unwrap();
    session.add_breakpoint(0, 1).unwrap();
    session.site().memory[1] = 0x77;
    let mut byte = [0];
    assert_eq!(session.read(0, 1, &mut byte), Ok(1));
    assert_eq!(byte, [0x77]);
    session.detach().unwrap();
    assert_eq!(session.site().memory[1], 0x77);
}

#[test]
fn a_step_moves_one_vcpu_by_one_instruction() {
    let mut session =
        Session::attach(Model::new(2, &[Nop, Nop, Nop, Jump(0)], NONE), NONE).unwrap();
    session.set_motion(1, Motion::Step);
    session.set_motion(0, Motion::Hold);
    assert_eq!(run(&mut session), (1, Stop::Stepped));
    assert_eq!(session.registers(1).unwrap().rip, 1);
    assert_eq!(session.registers(0).unwrap().rip, 0);
}

#[test]
fn a_step_from_a_breakpoint_is_one_step() {
    let mut session = Session::attach(Model::new(1, &[Nop, Nop, Jump(0)], NONE), NONE).unwrap();
    session.add_breakpoint(0, 0).unwrap();
    session.set_motion(0, Motion::Step);
    assert_eq!(run(&mut session), (0, Stop::Stepped));
    assert_eq!(session.registers(0).unwrap().rip, 1);
    assert_eq!(session.site().memory[0], 0xCC, "it is planted again");
}

#[test]
fn an_int3_of_the_guest_s_own_is_reported_and_passed() {
    for delivery in [FULL, NONE] {
        let mut session =
            Session::attach(Model::new(1, &[Nop, Break, Jump(0)], delivery), delivery).unwrap();
        assert_eq!(run(&mut session), (0, Stop::Breakpoint));
        assert_eq!(session.registers(0).unwrap().rip, 2);
        assert_eq!(run(&mut session), (0, Stop::Breakpoint));
    }
}

#[test]
fn a_watchpoint_is_found_by_stepping_where_the_host_has_none() {
    let mut session =
        Session::attach(Model::new(1, &[Nop, Nop, Store(64), Jump(0)], NONE), NONE).unwrap();
    assert!(session.add_watch(0, 64, 1, Access::Write).unwrap());
    assert!(
        !session.add_watch(0, 65, 4, Access::Write).unwrap(),
        "unaligned"
    );
    assert!(
        !session.add_watch(0, 64, 4, Access::ReadWrite).unwrap(),
        "loads leave no trace"
    );
    assert_eq!(run(&mut session), (0, Stop::Watch(64, Access::Write)));
    assert_eq!(
        session.registers(0).unwrap().rip,
        4,
        "just behind the store of two bytes"
    );
    assert_eq!(run(&mut session), (0, Stop::Watch(64, Access::Write)));
    assert!(session.remove_watch(64, 1, Access::Write));
    assert!(!session.remove_watch(64, 1, Access::Write));
}

#[test]
fn the_site_s_end_is_reported() {
    let mut session = Session::attach(Model::new(1, &[Nop, End(7)], NONE), NONE).unwrap();
    assert_eq!(run(&mut session), (0, Stop::Ended(7)));
}

#[test]
fn memory_written_under_a_breakpoint_stays_when_it_goes() {
    let mut session = Session::attach(Model::new(1, &[Nop, Nop, Jump(0)], NONE), NONE).unwrap();
    session.add_breakpoint(0, 1).unwrap();
    session.write(0, 0, &[0x11, 0x22]).unwrap();
    assert_eq!(session.site().memory[..2], [0x11, 0xCC]);
    assert!(session.remove_breakpoint(0, 1).unwrap());
    assert_eq!(session.site().memory[..2], [0x11, 0x22]);
    assert!(!session.remove_breakpoint(0, 1).unwrap());
}

#[test]
fn debug_registers_are_encoded_as_the_manual_says() {
    let mut breakpoints = Breakpoints::default();
    assert!(breakpoints.add_execute(0x1000));
    let watch = Watch {
        address: 0x2000,
        size: 8,
        access: Access::Write,
        last: vec![0; 8],
    };
    assert!(breakpoints.add_watch(watch, FULL));
    let registers = breakpoints.debug_registers(FULL);
    assert_eq!(registers.address[..2], [0x1000, 0x2000]);
    assert_eq!(
        registers.control,
        0b1010 | 1 << 9 | 1 << 10 | (0b1001 << 20)
    );
    assert!(breakpoints.add_execute(1) && breakpoints.add_execute(2));
    assert!(!breakpoints.add_execute(3), "four registers");
}
