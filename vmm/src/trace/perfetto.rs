//! A trace in Perfetto's own format, `TrackEvent`s in protocol buffers: a site is a process, its vCPUs and threads are tracks below it, messages are flows.
//!
//! Of the format only what is written here is known here: messages are fields with a number and a length, numbers are variable in length (protobuf's wire types 0, 1 and 2). The numbers are those of
//! Perfetto's `trace_packet.proto`, `track_event.proto` and `track_descriptor.proto`.

use super::decode::{Event, Trace, What};
use super::flows::flows;
use super::slices::{Slice, calls, running, who};
use super::text::{call_name, moment, result, said};
use std::collections::{BTreeMap, HashMap};

/// Fields of a message under way.
#[derive(Default)]
struct Fields(Vec<u8>);

impl Fields {
    fn variable(&mut self, mut value: u64) {
        while value > 0x7f {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn number(mut self, field: u64, value: u64) -> Self {
        self.variable(field << 3);
        self.variable(value);
        self
    }

    fn fixed(mut self, field: u64, value: u64) -> Self {
        self.variable(field << 3 | 1);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        self.variable(field << 3 | 2);
        self.variable(bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    fn text(self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    fn message(self, field: u64, message: Fields) -> Self {
        self.bytes(field, &message.0)
    }
}

const PACKET: u64 = 1;
const TIMESTAMP: u64 = 8;
const SEQUENCE: u64 = 10;
const TRACK_EVENT: u64 = 11;
const TRACK_DESCRIPTOR: u64 = 60;

const DESCRIPTOR_UUID: u64 = 1;
const DESCRIPTOR_NAME: u64 = 2;
const DESCRIPTOR_PROCESS: u64 = 3;
const DESCRIPTOR_PARENT: u64 = 5;
const PROCESS_PID: u64 = 1;
const PROCESS_NAME: u64 = 6;

const EVENT_ANNOTATION: u64 = 4;
const EVENT_TYPE: u64 = 9;
const EVENT_TRACK: u64 = 11;
const EVENT_CATEGORY: u64 = 22;
const EVENT_NAME: u64 = 23;
const EVENT_FLOW: u64 = 47;
const EVENT_FLOW_ENDS: u64 = 48;
const ANNOTATION_TEXT: u64 = 6;
const ANNOTATION_NAME: u64 = 10;

const BEGIN: u64 = 1;
const END: u64 = 2;
const INSTANT: u64 = 3;

/// What a track is of, on a site.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Of {
    Site,
    Vcpu(u32),
    Thread(String),
}

struct Writer<'a> {
    trace: &'a Trace,
    out: Fields,
    tracks: BTreeMap<(usize, Of), u64>,
    /// By event: flows that begin there, and that end there.
    begins: HashMap<usize, Vec<u64>>,
    ends: HashMap<usize, Vec<u64>>,
}

/// Writes it.
pub fn write(trace: &Trace) -> Vec<u8> {
    let mut writer = Writer {
        trace,
        out: Fields::default(),
        tracks: BTreeMap::new(),
        begins: HashMap::new(),
        ends: HashMap::new(),
    };
    for (number, flow) in (1..).zip(flows(trace)) {
        writer.begins.entry(flow.from).or_default().push(number);
        writer.ends.entry(flow.to).or_default().push(number);
    }
    for site in 0..trace.sites.len() {
        writer.track(site, Of::Site);
        for count in &trace.sites[site].counts {
            writer.track(site, Of::Vcpu(count.vcpu));
        }
    }
    let at = |slices: Vec<Slice>| -> (HashMap<usize, Slice>, HashMap<usize, usize>) {
        let ends = slices.iter().filter_map(|it| Some((it.end?, it.begin)));
        let ends = ends.collect();
        let begins = slices.into_iter().map(|slice| (slice.begin, slice));
        (begins.collect(), ends)
    };
    let (calls, returns) = at(calls(trace));
    let (comes, leaves) = at(running(trace));
    for (place, event) in trace.events.iter().enumerate() {
        writer.calls(place, event, calls.get(&place), returns.get(&place));
        if let Some(begin) = leaves
            .get(&place)
            .and_then(|begin| trace.events.get(*begin))
        {
            let track = writer.track(begin.site, Of::Vcpu(begin.vcpu));
            writer.event(event.time, Writer::kind(END, track));
        }
        if comes.contains_key(&place) {
            let track = writer.track(event.site, Of::Vcpu(event.vcpu));
            let come = Writer::kind(BEGIN, track).text(EVENT_NAME, &who(event));
            writer.event(event.time, come);
        }
        if let Some(name) = moment(event) {
            writer.moment(place, event, &name);
        }
    }
    writer.out.0
}

impl Writer<'_> {
    fn packet(&mut self, packet: Fields) {
        let out = std::mem::take(&mut self.out);
        self.out = out.message(PACKET, packet.number(SEQUENCE, 1));
    }

    /// The identifier of a track, which is described when it is first used.
    fn track(&mut self, site: usize, of: Of) -> u64 {
        if let Some(known) = self.tracks.get(&(site, of.clone())) {
            return *known;
        }
        let uuid = self.tracks.len() as u64 + 1;
        self.tracks.insert((site, of.clone()), uuid);
        let found = self.trace.sites.get(site);
        let descriptor = Fields::default().number(DESCRIPTOR_UUID, uuid);
        let name = match &of {
            Of::Site => {
                let name = found.map_or("?", |site| &site.name);
                let pid = found.map_or(0, |site| site.number);
                let process = Fields::default()
                    .number(PROCESS_PID, pid.into())
                    .text(PROCESS_NAME, name);
                let descriptor = descriptor.message(DESCRIPTOR_PROCESS, process);
                self.packet(Fields::default().message(TRACK_DESCRIPTOR, descriptor));
                return uuid;
            }
            Of::Vcpu(vcpu) => {
                let counts = found.map_or(&[][..], |site| &site.counts);
                let count = counts.iter().find(|count| count.vcpu == *vcpu);
                count.map_or_else(|| format!("vCPU {vcpu}"), ToString::to_string)
            }
            Of::Thread(name) => name.clone(),
        };
        let parent = self.track(site, Of::Site);
        let descriptor = descriptor
            .text(DESCRIPTOR_NAME, &name)
            .number(DESCRIPTOR_PARENT, parent);
        self.packet(Fields::default().message(TRACK_DESCRIPTOR, descriptor));
        uuid
    }

    /// The track of what an event is of.
    fn track_of(&mut self, event: &Event) -> u64 {
        let of = match event.thread {
            Some(_) => Of::Thread(who(event)),
            None => Of::Vcpu(event.vcpu),
        };
        self.track(event.site, of)
    }

    fn kind(kind: u64, track: u64) -> Fields {
        Fields::default()
            .number(EVENT_TYPE, kind)
            .number(EVENT_TRACK, track)
            .text(EVENT_CATEGORY, "chorus")
    }

    fn event(&mut self, time: u64, event: Fields) {
        let packet = Fields::default().number(TIMESTAMP, time);
        self.packet(packet.message(TRACK_EVENT, event));
    }

    /// A call begins or ends here.
    fn calls(&mut self, place: usize, event: &Event, call: Option<&Slice>, begun: Option<&usize>) {
        let note = |name: &str, text: &str| {
            Fields::default()
                .text(ANNOTATION_TEXT, text)
                .text(ANNOTATION_NAME, name)
        };
        match (&event.what, call, begun) {
            (What::Call { number, arguments }, Some(slice), _) => {
                let kind = if slice.end.is_some() { BEGIN } else { INSTANT };
                let track = self.track_of(event);
                let call = Self::kind(kind, track)
                    .text(EVENT_NAME, &call_name(*number))
                    .message(
                        EVENT_ANNOTATION,
                        note("arguments", &said(*number, arguments)),
                    );
                self.event(event.time, call);
            }
            (What::Return { result: value, .. }, _, begin) => {
                if self.ends.contains_key(&place) {
                    self.moment(place, event, "answered");
                }
                // On the track that it began on, whoever the thread works for by now.
                let trace = self.trace;
                let Some(begun) = begin.and_then(|begin| trace.events.get(*begin)) else {
                    return;
                };
                let track = self.track_of(begun);
                let over = Self::kind(END, track);
                let over = over.message(EVENT_ANNOTATION, note("result", &result(*value)));
                self.event(event.time, over);
            }
            _ => {}
        }
    }

    /// Something that takes no time, with the flows that begin and end there.
    fn moment(&mut self, place: usize, event: &Event, name: &str) {
        let track = self.track_of(event);
        let mut moment = Self::kind(INSTANT, track).text(EVENT_NAME, name);
        for flow in self.begins.remove(&place).unwrap_or_default() {
            moment = moment.fixed(EVENT_FLOW, flow);
        }
        for flow in self.ends.remove(&place).unwrap_or_default() {
            moment = moment.fixed(EVENT_FLOW_ENDS, flow);
        }
        self.event(event.time, moment);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::decode::{decode, tests::*};
    use super::*;
    use chorus_abi::trace::Kind;

    /// A field as it stands on the wire.
    #[derive(Debug, PartialEq)]
    enum Value<'a> {
        Number(u64),
        Fixed(u64),
        Bytes(&'a [u8]),
    }

    /// Reads all fields of a message, by the rules of the format and nothing of the writer.
    fn fields(mut bytes: &[u8]) -> Vec<(u64, Value<'_>)> {
        fn variable(bytes: &mut &[u8]) -> u64 {
            let mut value = 0u128;
            for shift in (0..70).step_by(7) {
                let (first, rest) = bytes.split_first().expect("a number ends early");
                *bytes = rest;
                value |= u128::from(first & 0x7f) << shift;
                if first & 0x80 == 0 {
                    return u64::try_from(value).expect("a number is too long");
                }
            }
            panic!("a number does not end");
        }
        fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
            let (taken, rest) = bytes.split_at(count);
            *bytes = rest;
            taken
        }
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let key = variable(&mut bytes);
            let value = match key & 7 {
                0 => Value::Number(variable(&mut bytes)),
                1 => Value::Fixed(u64::from_le_bytes(take(&mut bytes, 8).try_into().unwrap())),
                2 => {
                    let count = variable(&mut bytes) as usize;
                    Value::Bytes(take(&mut bytes, count))
                }
                other => panic!("wire type {other}"),
            };
            found.push((key >> 3, value));
        }
        found
    }

    fn number(fields: &[(u64, Value<'_>)], field: u64) -> Option<u64> {
        fields.iter().find_map(|(key, value)| match value {
            Value::Number(number) if *key == field => Some(*number),
            _ => None,
        })
    }

    fn bytes<'a>(fields: &[(u64, Value<'a>)], field: u64) -> Option<&'a [u8]> {
        fields.iter().find_map(|(key, value)| match value {
            Value::Bytes(bytes) if *key == field => Some(*bytes),
            _ => None,
        })
    }

    /// What an independent reader finds: names of tracks with their parents, and names of events by kind.
    #[derive(Default)]
    pub(crate) struct Found {
        pub(crate) tracks: Vec<(String, Option<String>)>,
        pub(crate) events: Vec<(u64, u64, String, String)>,
        pub(crate) flows: usize,
    }

    /// Reads a whole file and checks what every reader relies on: tracks are described before they are used, slices nest, time does not go back, and each
    /// flow has one end and one beginning before it.
    pub(crate) fn read(file: &[u8]) -> Found {
        let mut found = Found::default();
        let mut names: HashMap<u64, String> = HashMap::new();
        let mut depth: HashMap<u64, usize> = HashMap::new();
        let mut flows: HashMap<u64, usize> = HashMap::new();
        let mut last = 0;
        for (field, packet) in fields(file) {
            let Value::Bytes(packet) = packet else {
                panic!("no packet: {packet:?}")
            };
            assert_eq!(field, 1);
            let packet = fields(packet);
            assert_eq!(number(&packet, 10), Some(1));
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            if let Some(descriptor) = bytes(&packet, 60) {
                let descriptor = fields(descriptor);
                let uuid = number(&descriptor, 1).unwrap();
                let process = bytes(&descriptor, 3).map(fields);
                let name = match &process {
                    Some(process) => bytes(process, 6),
                    None => bytes(&descriptor, 2),
                };
                let name = text(name.unwrap());
                let parent = number(&descriptor, 5).map(|parent| names[&parent].clone());
                found.tracks.push((name.clone(), parent));
                assert!(names.insert(uuid, name).is_none(), "a track twice");
                continue;
            }
            let time = number(&packet, 8).unwrap();
            assert!(time >= last);
            last = time;
            let event = fields(bytes(&packet, 11).unwrap());
            let (kind, track) = (number(&event, 9).unwrap(), number(&event, 11).unwrap());
            let open = depth.entry(track).or_default();
            match kind {
                1 => *open += 1,
                2 => *open = open.checked_sub(1).expect("an end without a beginning"),
                3 => {}
                other => panic!("an event of type {other}"),
            }
            for (field, value) in &event {
                match (field, value) {
                    (47, Value::Fixed(flow)) => {
                        assert!(flows.insert(*flow, 1).is_none(), "a flow begins twice");
                    }
                    (48, Value::Fixed(flow)) => {
                        assert_eq!(flows.insert(*flow, 2), Some(1), "a flow ends first");
                    }
                    _ => {}
                }
            }
            let name = bytes(&event, 23).map_or_else(String::new, text);
            found.events.push((time, kind, names[&track].clone(), name));
        }
        found.flows = flows.values().filter(|state| **state == 2).count();
        assert_eq!(found.flows, flows.len(), "a flow does not end");
        found
    }

    #[test]
    fn a_call_is_a_slice_on_its_thread_s_track_and_its_message_a_flow() {
        let letter = |last| [9, 0x2003, 1, 2, 0, last];
        let call = chorus_abi::table::number::ipc_call as u8;
        let records = [
            record(0, 5, (Kind::Switch, 0), (3, 4), [8, 0, 0, 0, 0, 0]),
            record(1, 10, (Kind::Call, call), (3, 4), [0; 6]),
            record(2, 20, (Kind::Send, 0), (3, 4), letter(1)),
            record(3, 30, (Kind::Receive, 0), (8, 5), letter(1)),
            record(4, 35, (Kind::Switch, 0), (8, 5), [3, 0, 0, 0, 0, 0]),
            record(5, 40, (Kind::Reply, 0), (8, 5), letter(0)),
            record(6, 50, (Kind::Return, call), (3, 4), [0; 6]),
        ];
        let found = read(&write(&decode(&[recording(&records)])));
        let tracks = ["s1", "vCPU 0", "hello 3", "actor 5 8"];
        let names: Vec<&str> = found.tracks.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, tracks);
        let below = found.tracks[1..].iter();
        assert!(
            below
                .clone()
                .all(|(_, parent)| parent.as_deref() == Some("s1"))
        );
        let slices: Vec<_> = found
            .events
            .iter()
            .filter(|(_, kind, ..)| *kind != INSTANT)
            .map(|(time, kind, track, name)| (*time, *kind, track.as_str(), name.as_str()))
            .collect();
        let expected = [
            (0, BEGIN, "vCPU 0", "hello 3"),
            (5, BEGIN, "hello 3", "ipcCall"),
            (30, END, "vCPU 0", ""),
            (30, BEGIN, "vCPU 0", "actor 5 8"),
            (45, END, "hello 3", ""),
        ];
        assert_eq!(slices, expected);
        assert_eq!(found.flows, 2, "to the server, and back");
    }
}
