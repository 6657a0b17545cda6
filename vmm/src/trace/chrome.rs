//! A trace in the JSON that Chrome's trace viewer and Perfetto read: a site is a process, a vCPU and a thread of the Nucleus are its tracks, messages are arrows.

use super::decode::{Event, Trace, What};
use super::flows::flows;
use super::text::{call_name, message_name, named, result};
use chorus_abi::table;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Where the tracks of threads begin, behind those of vCPUs.
const THREADS: u32 = 1000;

/// Writes it.
pub fn write(trace: &Trace) -> String {
    let mut events = tracks(trace);
    events.extend(calls(trace));
    events.extend(running(trace));
    events.extend(trace.events.iter().filter_map(|event| moment(trace, event)));
    for (number, flow) in flows(trace).iter().enumerate() {
        for (phase, place) in [("s", flow.from), ("f", flow.to)] {
            if let Some(event) = trace.events.get(place) {
                let mut end = at(trace, event, phase, "message");
                end["id"] = json!(number);
                end["bp"] = json!("e");
                events.push(end);
            }
        }
    }
    json!({ "displayTimeUnit": "ns", "traceEvents": events }).to_string() + "\n"
}

fn process(trace: &Trace, site: usize) -> u16 {
    trace.sites.get(site).map_or(0, |site| site.number)
}

fn track(event: &Event) -> u32 {
    event
        .thread
        .map_or(event.vcpu, |thread| THREADS + u32::from(thread))
}

/// Nanoseconds as the format's microseconds.
fn micros(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1000.0
}

fn at(trace: &Trace, event: &Event, phase: &str, name: &str) -> Value {
    json!({
        "ph": phase, "name": name, "cat": "chorus", "ts": micros(event.time),
        "pid": process(trace, event.site), "tid": track(event),
    })
}

/// Names of processes and tracks.
fn tracks(trace: &Trace) -> Vec<Value> {
    let name = |what: &str, pid: u16, tid: u32, name: String| json!({ "ph": "M", "name": what, "pid": pid, "tid": tid, "args": { "name": name } });
    let mut found = Vec::new();
    for site in &trace.sites {
        found.push(name("process_name", site.number, 0, site.name.clone()));
        for count in &site.counts {
            let title = match count.lost {
                0 => format!("vCPU {}", count.vcpu),
                lost => format!("vCPU {} ({lost} events lost)", count.vcpu),
            };
            found.push(name("thread_name", site.number, count.vcpu, title));
        }
    }
    let threads: BTreeSet<_> = trace
        .events
        .iter()
        .filter_map(|event| Some((event.site, event.thread?, event.actor.as_deref()?)))
        .collect();
    for (site, thread, actor) in threads {
        let tid = THREADS + u32::from(thread);
        found.push(name(
            "thread_name",
            process(trace, site),
            tid,
            format!("{actor} {thread}"),
        ));
    }
    found
}

/// Calls with their returns; one that does not return in the trace is a moment.
fn calls(trace: &Trace) -> Vec<Value> {
    let mut found = Vec::new();
    let mut open: BTreeMap<_, Vec<&Event>> = BTreeMap::new();
    let begun = |event: &Event, phase: &str| {
        let What::Call { number, arguments } = &event.what else {
            return Value::Null;
        };
        let mut slice = at(trace, event, phase, &call_name(*number));
        let row = table::by_number((*number).into());
        let said = row.map_or_else(String::new, |call| named(call, arguments));
        slice["args"] = json!({ "arguments": said });
        slice
    };
    for event in &trace.events {
        let stack = open.entry((event.site, event.thread)).or_default();
        match &event.what {
            What::Call { .. } => stack.push(event),
            What::Return {
                number,
                result: value,
                took: Some(took),
            } => {
                let is = |event: &&Event| matches!(&event.what, What::Call { number: it, .. } if it == number);
                while let Some(call) = stack.pop() {
                    if !is(&call) {
                        found.push(begun(call, "i"));
                        continue;
                    }
                    let mut slice = begun(call, "X");
                    slice["dur"] = json!(micros(*took));
                    slice["args"]["result"] = json!(result(*value));
                    found.push(slice);
                    break;
                }
            }
            _ => {}
        }
    }
    found.extend(open.into_values().flatten().map(|call| begun(call, "i")));
    found
}

/// Which thread each vCPU runs, from one switch to the next.
fn running(trace: &Trace) -> Vec<Value> {
    let mut found = Vec::new();
    let mut since: BTreeMap<_, &Event> = BTreeMap::new();
    for event in &trace.events {
        if !matches!(event.what, What::Switch { .. }) {
            continue;
        }
        let before = since.insert((event.site, event.vcpu), event);
        let Some(before) = before.filter(|before| before.thread.is_some()) else {
            continue;
        };
        let thread = before.thread.unwrap_or(0);
        let name = format!("{} {thread}", before.actor.as_deref().unwrap_or("-"));
        let mut slice = at(trace, before, "X", &name);
        slice["tid"] = json!(before.vcpu);
        slice["dur"] = json!(micros(event.time.saturating_sub(before.time)));
        found.push(slice);
    }
    found
}

/// What takes no time.
fn moment(trace: &Trace, event: &Event) -> Option<Value> {
    let name = match &event.what {
        What::Wake { result: value } => format!("wake = {}", result(*value)),
        What::Message(kind, _, letter) => {
            format!("{kind:?} {}", message_name(letter.message)).to_lowercase()
        }
        What::Fault { vector, .. } => format!("fault {vector}"),
        What::Interrupt { vector, .. } => format!("interrupt {vector:#x}"),
        _ => return None,
    };
    let mut moment = at(trace, event, "i", &name);
    moment["s"] = json!("t");
    Some(moment)
}
