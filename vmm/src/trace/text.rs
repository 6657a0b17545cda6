//! A trace as text: one line an event, with the names of the table of calls.

use super::decode::{Event, Letter, Trace, What};
use chorus_abi::table::{self, Argument, Call};
use chorus_abi::trace::{Kind, Place};
use chorus_abi::{KError, KnUniqueId};
use std::fmt::Write;

/// Writes it: how much is there of each vCPU, then the events.
pub fn write(trace: &Trace) -> String {
    let mut out = String::new();
    for site in &trace.sites {
        for count in &site.counts {
            let _ = write!(
                out,
                "# {} vCPU {}: {} events, {} lost",
                site.name, count.vcpu, count.events, count.lost
            );
            if count.senseless > 0 {
                let _ = write!(out, ", {} records that make no sense", count.senseless);
            }
            out.push('\n');
        }
    }
    out.push_str("#        µs  SITE/VCPU  ACTOR            THREAD  EVENT\n");
    for event in &trace.events {
        line(trace, event, &mut out);
    }
    out
}

fn line(trace: &Trace, event: &Event, out: &mut String) {
    let name = trace.sites.get(event.site).map_or("?", |site| &site.name);
    let place = format!("{name}/{}", event.vcpu);
    let thread = match event.thread {
        Some(thread) => thread.to_string(),
        None => "-".to_owned(),
    };
    let actor = event.actor.as_deref().unwrap_or("-");
    let _ = write!(
        out,
        "{:>8}.{:03}  {place:<9}  {actor:<15}  {thread:>6}  ",
        event.time / 1000,
        event.time % 1000
    );
    what(event, out);
    out.push('\n');
}

/// Name of a call.
pub fn call_name(number: u8) -> String {
    match table::by_number(number.into()) {
        Some(call) => call.name.to_owned(),
        None => format!("call {number}"),
    }
}

/// A result: the symbol of an error, else the number.
pub fn result(value: i32) -> String {
    match KError::from_code(value) {
        Some(error) => error.symbol().to_owned(),
        None => value.to_string(),
    }
}

fn what(event: &Event, out: &mut String) {
    let _ = match &event.what {
        What::Call { number, arguments } => {
            let name = call_name(*number);
            write!(out, "{name}({})", said(*number, arguments))
        }
        What::Return {
            number,
            result: value,
            took,
        } => {
            let _ = write!(out, "{} = {}", call_name(*number), result(*value));
            match took {
                Some(took) => write!(out, " after {}.{:03} µs", took / 1000, took % 1000),
                None => Ok(()),
            }
        }
        What::Switch { from } if *from == event.thread => write!(out, "runs"),
        What::Switch { from: Some(from) } => write!(out, "switch from {from}"),
        What::Switch { from: None } => write!(out, "switch from idle"),
        What::Wake { result: value } => write!(out, "wake = {}", result(*value)),
        What::Message(kind, place, letter) => {
            message(*kind, *place, letter, out);
            Ok(())
        }
        What::Fault {
            vector,
            address,
            error,
            pc,
        } => write!(
            out,
            "fault {vector} address={address:#x} error={error:#x} pc={pc:#x}"
        ),
        What::Interrupt { vector, pc } => write!(out, "interrupt {vector:#x} pc={pc:#x}"),
        What::Over { vector } => write!(out, "over {vector:#x}"),
        What::Image => write!(out, "image"),
    };
}

/// The arguments of a call by their names in the table; the registers of one that is not there.
pub fn said(number: u8, arguments: &[u64; 6]) -> String {
    match table::by_number(number.into()) {
        Some(call) => named(call, arguments),
        None => format!("{arguments:#x?}").replace(['\n', ' '], ""),
    }
}

/// The name of an event that takes no time and is neither a call nor a switch.
pub fn moment(event: &Event) -> Option<String> {
    Some(match &event.what {
        What::Wake { result: value } => format!("wake = {}", result(*value)),
        What::Message(kind, place, letter) => {
            let mut name = String::new();
            message(*kind, *place, letter, &mut name);
            name
        }
        What::Fault { vector, .. } => format!("fault {vector}"),
        What::Interrupt { vector, .. } => format!("interrupt {vector:#x}"),
        _ => return None,
    })
}

fn named(call: &Call, registers: &[u64; 6]) -> String {
    let values = call.arguments.iter().zip(registers);
    let values: Vec<String> = values
        .map(|(argument, value)| format!("{}={}", argument.name, shown(argument, *value)))
        .collect();
    values.join(", ")
}

fn shown(argument: &Argument, value: u64) -> String {
    match argument.rust {
        "i32" => (value as u32).cast_signed().to_string(),
        "u32" => (value as u32).to_string(),
        "i64" => value.cast_signed().to_string(),
        _ if argument.pointer && value == 0 => "null".to_owned(),
        _ => format!("{value:#x}"),
    }
}

/// A message's number on its site.
fn message_name(word: u64) -> String {
    format!("m{}.{}", word & 0xffff, word >> 16)
}

/// A port, or a group.
fn ui(word: u64) -> String {
    match KnUniqueId::from_word(word) {
        KnUniqueId::NULL => "null".to_owned(),
        ui => ui.to_string(),
    }
}

fn message(kind: Kind, place: Place, letter: &Letter, out: &mut String) {
    let verb = match kind {
        Kind::Send => "send",
        Kind::Queue => "queue",
        Kind::Receive => "receive",
        _ => "reply",
    };
    let _ = write!(out, "{verb}");
    match place {
        Place::Here => {}
        Place::Out => out.push_str(" to another site"),
        Place::In => out.push_str(" from another site"),
    }
    if letter.message != 0 {
        let _ = write!(out, " {}", message_name(letter.message));
    }
    if letter.transaction != 0 {
        let _ = write!(out, " transaction={:#x}", letter.transaction);
    }
    if letter.source != 0 || letter.target != 0 {
        let _ = write!(out, " {} -> {}", ui(letter.source), ui(letter.target));
    }
    let _ = write!(out, " size={}", letter.size);
    let _ = match kind {
        Kind::Queue => write!(out, " queued={}", letter.last),
        Kind::Receive => write!(out, " number={}", letter.last),
        Kind::Reply => write!(out, " = {}", result((letter.last as u32).cast_signed())),
        _ => Ok(()),
    };
}

#[cfg(test)]
mod tests {
    use super::super::decode::{decode, tests::*};
    use super::*;
    use chorus_abi::table::{CALLS, number};
    use chorus_abi::trace::NOBODY;

    #[test]
    fn every_call_has_the_name_of_the_table_and_its_arguments_theirs() {
        for call in CALLS {
            let records = [
                record(0, 1, (Kind::Call, call.number as u8), (1, 4), [0; 6]),
                record(1, 2, (Kind::Return, call.number as u8), (1, NOBODY), [0; 6]),
            ];
            let text = write(&decode(&[recording(&records)]));
            let arguments: Vec<String> = call
                .arguments
                .iter()
                .map(|it| format!("{}={}", it.name, shown(it, 0)))
                .collect();
            let begins = format!("  {}({})\n", call.name, arguments.join(", "));
            assert!(text.contains(&begins), "{text}");
            assert!(
                text.ends_with(&format!("  {} = 0 after 0.001 µs\n", call.name)),
                "{text}"
            );
        }
    }

    #[test]
    fn a_line_says_when_where_who_and_what() {
        let call = (Kind::Call, number::ipc_call as u8);
        let back = (Kind::Return, number::ipc_call as u8);
        let failed = u64::from((-5i32).cast_unsigned());
        let words = [0x1000, u64::MAX, 0x2000, 0, u64::from(u32::MAX), 9];
        let records = [
            record(0, 1_000, call, (7, 4), words),
            record(1, 3_500, back, (7, NOBODY), [failed, 0, 0, 0, 0, 0]),
            record(
                2,
                4_000,
                (Kind::Switch, 0),
                (NOBODY, NOBODY),
                [7, 0, 0, 0, 0, 0],
            ),
            record(
                3,
                5_000,
                (Kind::Receive, 0),
                (8, 5),
                [0x2_0001, 0x4007, 0, 0, 12, 3],
            ),
        ];
        let text = write(&decode(&[recording(&records)]));
        let expected = "\
# s1 vCPU 0: 4 events, 0 lost
#        µs  SITE/VCPU  ACTOR            THREAD  EVENT
       0.000  s1/0       hello                 7  ipcCall(request=0x1000, src_port=-1, dest=0x2000, reply=null, delay=-1)
       2.500  s1/0       hello                 7  ipcCall = K_ETIMEOUT after 2.500 µs
       3.000  s1/0       -                     -  switch from 7
       4.000  s1/0       actor 5               8  receive m1.2 transaction=0x4007 size=12 number=3
";
        assert_eq!(text, expected);
    }
}
