//! A trace as folded stacks, which programs that draw flame graphs read: nanoseconds in calls, waits among them, by site, actor and call.

use super::decode::{Trace, What};
use super::text::call_name;
use std::collections::BTreeMap;
use std::fmt::Write;

struct Open {
    number: u8,
    /// Time of the calls that were made meanwhile, from inside a handler.
    inner: u64,
}

/// Writes it: a line a stack, in the order of the alphabet.
pub fn write(trace: &Trace) -> String {
    let mut stacks: BTreeMap<String, u64> = BTreeMap::new();
    let mut open: BTreeMap<_, Vec<Open>> = BTreeMap::new();
    for event in &trace.events {
        let calls = open.entry((event.site, event.thread)).or_default();
        match &event.what {
            What::Call { number, .. } => calls.push(Open {
                number: *number,
                inner: 0,
            }),
            What::Return {
                number,
                took: Some(took),
                ..
            } => {
                let Some(depth) = calls.iter().rposition(|call| call.number == *number) else {
                    continue;
                };
                calls.truncate(depth + 1);
                let site = trace.sites.get(event.site).map_or("?", |site| &site.name);
                let mut stack = format!("{site};{}", event.actor.as_deref().unwrap_or("-"));
                for call in calls.iter() {
                    let _ = write!(stack, ";{}", call_name(call.number));
                }
                let inner = calls.pop().map_or(0, |call| call.inner);
                let own = stacks.entry(stack).or_default();
                *own = own.saturating_add(took.saturating_sub(inner));
                if let Some(outer) = calls.last_mut() {
                    outer.inner = outer.inner.saturating_add(*took);
                }
            }
            _ => {}
        }
    }
    let mut out = String::new();
    for (stack, time) in stacks {
        let _ = writeln!(out, "{stack} {time}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::decode::{decode, tests::*};
    use super::*;
    use chorus_abi::trace::Kind;

    #[test]
    fn what_is_called_from_inside_a_call_is_not_its_own_time() {
        let (outer, inner) = (80, 81);
        let records = [
            record(0, 0, (Kind::Call, outer), (1, 4), [0; 6]),
            record(1, 10, (Kind::Call, inner), (1, 4), [0; 6]),
            record(2, 40, (Kind::Return, inner), (1, 4), [0; 6]),
            record(3, 100, (Kind::Return, outer), (1, 4), [0; 6]),
        ];
        let (a, b) = (call_name(outer), call_name(inner));
        let folded = write(&decode(&[recording(&records)]));
        assert_eq!(folded, format!("s1;hello;{a} 70\ns1;hello;{a};{b} 30\n"));
    }
}
