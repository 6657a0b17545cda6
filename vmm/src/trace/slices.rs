//! What takes time in a trace: calls from their beginning to their return, and threads on a vCPU from one switch to the next.

use super::decode::{Event, Trace, What};
use std::collections::BTreeMap;

/// From one event to another, by their places in the trace. Those of a thread lie one in another, or one behind another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slice {
    /// Where it begins.
    pub begin: usize,
    /// Where it ends; none: not in this trace.
    pub end: Option<usize>,
}

/// Calls, in the order in which they end; those that do not return in the trace have no end.
pub fn calls(trace: &Trace) -> Vec<Slice> {
    let mut found = Vec::new();
    let mut open: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (place, event) in trace.events.iter().enumerate() {
        let stack = open.entry((event.site, event.thread)).or_default();
        match &event.what {
            What::Call { .. } => stack.push(place),
            What::Return {
                number,
                took: Some(_),
                ..
            } => {
                while let Some(begin) = stack.pop() {
                    let end = number_of(trace, begin) == Some(*number);
                    let end = end.then_some(place);
                    found.push(Slice { begin, end });
                    if end.is_some() {
                        break;
                    }
                }
            }
            _ => {}
        }
    }
    let left = open.into_values().flatten();
    found.extend(left.map(|begin| Slice { begin, end: None }));
    found
}

fn number_of(trace: &Trace, place: usize) -> Option<u8> {
    match trace.events.get(place)?.what {
        What::Call { number, .. } => Some(number),
        _ => None,
    }
}

/// Threads on vCPUs, in the order in which they leave; the last one of each has no end.
pub fn running(trace: &Trace) -> Vec<Slice> {
    let mut found = Vec::new();
    let mut since: BTreeMap<_, usize> = BTreeMap::new();
    let idle = |place: usize| trace.events.get(place).is_none_or(|it| it.thread.is_none());
    for (place, event) in trace.events.iter().enumerate() {
        if matches!(event.what, What::Switch { .. }) {
            let begin = since.insert((event.site, event.vcpu), place);
            let end = Some(place);
            found.extend(begin.map(|begin| Slice { begin, end }));
        }
    }
    found.extend(since.into_values().map(|begin| Slice { begin, end: None }));
    found.retain(|slice| !idle(slice.begin));
    found
}

/// Who an event is of, as tracks are named.
pub fn who(event: &Event) -> String {
    let actor = event.actor.as_deref().unwrap_or("-");
    match event.thread {
        Some(thread) => format!("{actor} {thread}"),
        None => actor.to_owned(),
    }
}
