//! A trace in the JSON that Chrome's trace viewer and Perfetto read: a site is a process, a vCPU and a thread of the Nucleus are its tracks, messages are arrows.

use super::decode::{Event, Trace, What};
use super::flows::flows;
use super::slices::{calls, running, who};
use super::text::{call_name, moment, result, said};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Where the tracks of threads begin, behind those of vCPUs.
const THREADS: u32 = 1000;

/// Writes it.
pub fn write(trace: &Trace) -> String {
    let mut events = tracks(trace);
    for slice in calls(trace) {
        let (Some(begin), end) = (trace.events.get(slice.begin), slice.end) else {
            continue;
        };
        let What::Call { number, arguments } = &begin.what else {
            continue;
        };
        let end = end.and_then(|end| trace.events.get(end));
        let phase = if end.is_some() { "X" } else { "i" };
        let mut call = at(trace, begin, phase, &call_name(*number));
        call["args"] = json!({ "arguments": said(*number, arguments) });
        if let Some(end) = end {
            call["dur"] = json!(micros(end.time.saturating_sub(begin.time)));
            if let What::Return { result: value, .. } = &end.what {
                call["args"]["result"] = json!(result(*value));
            }
        }
        events.push(call);
    }
    for slice in running(trace) {
        let end = slice.end.and_then(|end| trace.events.get(end));
        if let (Some(begin), Some(end)) = (trace.events.get(slice.begin), end) {
            let mut run = at(trace, begin, "X", &who(begin));
            run["tid"] = json!(begin.vcpu);
            run["dur"] = json!(micros(end.time.saturating_sub(begin.time)));
            events.push(run);
        }
    }
    for event in &trace.events {
        if let Some(name) = moment(event) {
            let mut moment = at(trace, event, "i", &name);
            moment["s"] = json!("t");
            events.push(moment);
        }
    }
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

/// Nanoseconds as the format's microseconds.
fn micros(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1000.0
}

fn at(trace: &Trace, event: &Event, phase: &str, name: &str) -> Value {
    let thread = event.thread.map(|thread| THREADS + u32::from(thread));
    json!({
        "ph": phase, "name": name, "cat": "chorus", "ts": micros(event.time),
        "pid": process(trace, event.site), "tid": thread.unwrap_or(event.vcpu),
    })
}

/// Names of processes and tracks.
fn tracks(trace: &Trace) -> Vec<Value> {
    let name = |what: &str, pid: u16, tid: u32, name: String| json!({ "ph": "M", "name": what, "pid": pid, "tid": tid, "args": { "name": name } });
    let mut found = Vec::new();
    for site in &trace.sites {
        found.push(name("process_name", site.number, 0, site.name.clone()));
        for count in &site.counts {
            found.push(name(
                "thread_name",
                site.number,
                count.vcpu,
                count.to_string(),
            ));
        }
    }
    let threads: BTreeSet<_> = trace
        .events
        .iter()
        .filter_map(|event| Some((event.site, event.thread?, who(event))))
        .collect();
    for (site, thread, title) in threads {
        let tid = THREADS + u32::from(thread);
        found.push(name("thread_name", process(trace, site), tid, title));
    }
    found
}
