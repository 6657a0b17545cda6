//! From the bytes of rings to events in the order of time.
//!
//! Total: any bytes give events and counts. A record whose number is not that of its place was overwritten while it was read, or never written by the Nucleus.

use super::Recording;
use chorus_abi::trace::{Kind, KnTraceRecord, NOBODY, Place, RECORD};
use std::collections::HashMap;
use std::rc::Rc;
use zerocopy::FromBytes;

/// What a message is known by, as the Nucleus wrote it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Letter {
    /// Number on its site; 0: it is on none, or on its way to another.
    pub message: u64,
    /// Transaction that it is the request of; 0: none.
    pub transaction: u64,
    /// Source port, as a word.
    pub source: u64,
    /// Target, as a word.
    pub target: u64,
    /// Bytes of the body.
    pub size: u64,
    /// What the kind has last.
    pub last: u64,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    /// A call begins.
    Call {
        /// Its number.
        number: u8,
        /// Its registers.
        arguments: [u64; 6],
    },
    /// It is over.
    Return {
        /// Its number.
        number: u8,
        /// Its result.
        result: i32,
        /// Nanoseconds that it took; none: its beginning is not there.
        took: Option<u64>,
    },
    /// The vCPU runs the thread from now on.
    Switch {
        /// The one before; none: it was idle.
        from: Option<u16>,
    },
    /// A wait is over.
    Wake {
        /// Its result.
        result: i32,
    },
    /// Something becomes of a message.
    Message(Kind, Place, Letter),
    /// An exception.
    Fault {
        /// Its vector.
        vector: u8,
        /// The address of a page fault.
        address: u64,
        /// Its error code.
        error: u64,
        /// The instruction.
        pc: u64,
    },
    /// An interrupt.
    Interrupt {
        /// Its vector.
        vector: u8,
        /// The interrupted instruction.
        pc: u64,
    },
    /// The end of one of both.
    Over {
        /// Its vector.
        vector: u8,
    },
    /// An actor was given an image.
    Image,
}

/// An event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// Nanoseconds since the first event of the trace.
    pub time: u64,
    /// Place of the site in [`Trace::sites`].
    pub site: usize,
    /// vCPU.
    pub vcpu: u32,
    /// Slot of the thread.
    pub thread: Option<u16>,
    /// Name of the actor that it works for, or its slot.
    pub actor: Option<Rc<str>>,
    /// What happened.
    pub what: What,
}

/// What is known of a vCPU's records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Count {
    /// vCPU.
    pub vcpu: u32,
    /// Events that are there.
    pub events: u64,
    /// Records that were overwritten.
    pub lost: u64,
    /// Records that make no sense.
    pub senseless: u64,
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "vCPU {}", self.vcpu)?;
        match self.lost {
            0 => Ok(()),
            lost => write!(f, " ({lost} events lost)"),
        }
    }
}

/// A site of the trace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Site {
    /// Its number.
    pub number: u16,
    /// Its name.
    pub name: String,
    /// Its vCPUs.
    pub counts: Vec<Count>,
}

/// A decoded trace.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Trace {
    /// The sites.
    pub sites: Vec<Site>,
    /// The events of all of them, by time.
    pub events: Vec<Event>,
}

/// Decodes what was recorded of sites.
pub fn decode(recordings: &[Recording]) -> Trace {
    let mut trace = Trace::default();
    for recording in recordings {
        let site = trace.sites.len();
        let mut raw = Vec::new();
        let mut counts = Vec::new();
        for ring in &recording.rings {
            let mut count = Count {
                vcpu: ring.vcpu,
                events: 0,
                lost: ring.lost,
                senseless: 0,
            };
            for (place, bytes) in (0..).zip(ring.bytes.chunks_exact(RECORD as usize)) {
                let number = ring.lost.wrapping_add(place);
                match KnTraceRecord::read_from_bytes(bytes) {
                    Ok(record) if record.number == number as u16 && understood(&record) => {
                        raw.push((record, ring.vcpu));
                        count.events += 1;
                    }
                    _ => count.senseless += 1,
                }
            }
            counts.push(count);
        }
        raw.sort_by_key(|(record, _)| record.time);
        events(recording, site, &raw, &mut trace.events);
        trace.sites.push(Site {
            number: recording.site,
            name: recording.name.clone(),
            counts,
        });
    }
    trace.events.sort_by_key(|event| event.time);
    let first = trace.events.first().map_or(0, |event| event.time);
    for event in &mut trace.events {
        event.time -= first;
    }
    trace
}

fn understood(record: &KnTraceRecord) -> bool {
    Kind::from_number(record.kind).is_some()
        && (Place::from_number(record.code).is_some()
            || !matches!(
                Kind::from_number(record.kind),
                Some(Kind::Send | Kind::Queue | Kind::Receive | Kind::Reply)
            ))
}

/// Ticks in nanoseconds; a rate that nobody knows counts as 1 GHz.
fn nanoseconds(ticks: u64, khz: u64) -> u64 {
    let khz = if khz == 0 { 1_000_000 } else { khz };
    u64::try_from(u128::from(ticks) * 1_000_000 / u128::from(khz)).unwrap_or(u64::MAX)
}

/// Slots that are somebody's.
fn somebody(slot: u16) -> Option<u16> {
    (slot != NOBODY).then_some(slot)
}

fn word(value: u64) -> i32 {
    (value as u32).cast_signed()
}

/// The events of a site, whose records are in the order of time.
fn events(recording: &Recording, site: usize, raw: &[(KnTraceRecord, u32)], into: &mut Vec<Event>) {
    let named = |list: &[(u16, String)]| -> HashMap<u16, Rc<str>> {
        let names = list.iter();
        names
            .map(|(slot, name)| (*slot, name.as_str().into()))
            .collect()
    };
    let (mut names, now) = (named(&recording.before), named(&recording.now));
    // The actors of threads that run without a word of it until later: what is said first of a thread held before, too.
    let mut actors: HashMap<u16, u16> = HashMap::new();
    for (record, _) in raw.iter().rev() {
        if let (Some(thread), Some(actor)) = (somebody(record.thread), somebody(record.actor)) {
            actors.insert(thread, actor);
        }
    }
    let mut begun: HashMap<u16, Vec<(u8, u64)>> = HashMap::new();
    for (record, vcpu) in raw {
        let time = nanoseconds(record.time, recording.khz);
        let thread = somebody(record.thread);
        if let (Some(thread), Some(actor)) = (thread, somebody(record.actor)) {
            actors.insert(thread, actor);
        }
        let what = match Kind::from_number(record.kind) {
            Some(Kind::Call) => {
                if let Some(thread) = thread {
                    begun.entry(thread).or_default().push((record.code, time));
                }
                What::Call {
                    number: record.code,
                    arguments: record.words,
                }
            }
            Some(Kind::Return) => {
                let open = thread.and_then(|thread| begun.get_mut(&thread));
                What::Return {
                    number: record.code,
                    result: word(record.words[0]),
                    took: open.and_then(|open| took(open, record.code, time)),
                }
            }
            Some(Kind::Switch) => What::Switch {
                from: u16::try_from(record.words[0]).ok().and_then(somebody),
            },
            Some(Kind::Wake) => What::Wake {
                result: word(record.words[0]),
            },
            Some(kind @ (Kind::Send | Kind::Queue | Kind::Receive | Kind::Reply)) => {
                let [message, transaction, source, target, size, last] = record.words;
                let place = Place::from_number(record.code).unwrap_or(Place::Here);
                let letter = Letter {
                    message,
                    transaction,
                    source,
                    target,
                    size,
                    last,
                };
                What::Message(kind, place, letter)
            }
            Some(Kind::Fault) => What::Fault {
                vector: record.code,
                address: record.words[0],
                error: record.words[1],
                pc: record.words[2],
            },
            Some(Kind::Interrupt) => What::Interrupt {
                vector: record.code,
                pc: record.words[2],
            },
            Some(Kind::Over) => What::Over {
                vector: record.code,
            },
            Some(Kind::Image) => {
                let bytes: Vec<u8> = record.words[..2]
                    .iter()
                    .flat_map(|word| word.to_le_bytes())
                    .collect();
                names.insert(record.actor, super::name(&bytes).into());
                What::Image
            }
            None => continue,
        };
        let slot = somebody(record.actor).or_else(|| actors.get(&thread?).copied());
        let actor = slot.map(|slot| {
            let known = names.get(&slot).or_else(|| now.get(&slot));
            known
                .cloned()
                .unwrap_or_else(|| format!("actor {slot}").into())
        });
        into.push(Event {
            time,
            site,
            vcpu: *vcpu,
            thread,
            actor,
            what,
        });
    }
}

/// Takes the innermost call of this number from those that a thread has begun, and what it called meanwhile and was thrown out of.
fn took(open: &mut Vec<(u8, u64)>, number: u8, now: u64) -> Option<u64> {
    let at = open.iter().rposition(|(begun, _)| *begun == number)?;
    let (_, began) = open[at];
    open.truncate(at);
    Some(now.saturating_sub(began))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::trace::Ring;
    use proptest::prelude::*;
    use zerocopy::IntoBytes;

    pub(crate) fn record(
        number: u16,
        time: u64,
        (kind, code): (Kind, u8),
        whose: (u16, u16),
        words: [u64; 6],
    ) -> KnTraceRecord {
        KnTraceRecord {
            time,
            kind: kind as u8,
            code,
            number,
            thread: whose.0,
            actor: whose.1,
            words,
        }
    }

    pub(crate) fn recording(records: &[KnTraceRecord]) -> Recording {
        Recording {
            site: 1,
            name: "s1".into(),
            khz: 1_000_000,
            before: vec![(4, "hello".into())],
            now: vec![],
            rings: vec![Ring {
                vcpu: 0,
                lost: 0,
                bytes: records.as_bytes().to_vec(),
            }],
        }
    }

    #[test]
    fn a_call_is_matched_with_its_return_and_its_actor_known_from_either() {
        let null = (Kind::Call, 0);
        let back = (Kind::Return, 0);
        let records = [
            record(0, 100, back, (7, NOBODY), [0; 6]),
            record(1, 200, null, (7, 4), [0; 6]),
            record(2, 250, (Kind::Call, 56), (7, 4), [1; 6]),
            record(3, 300, back, (7, NOBODY), [u64::from(u32::MAX); 6]),
            // Of another round of the ring.
            record(99, 300, back, (7, NOBODY), [0; 6]),
        ];
        let trace = decode(&[recording(&records)]);
        assert_eq!(trace.events.len(), 4);
        assert_eq!(trace.sites[0].counts[0].senseless, 1);
        let returns: Vec<_> = trace
            .events
            .iter()
            .filter_map(|event| match event.what {
                What::Return { result, took, .. } => Some((event.time, result, took)),
                _ => None,
            })
            .collect();
        assert_eq!(returns, [(0, 0, None), (200, -1, Some(100))]);
        assert!(
            trace
                .events
                .iter()
                .all(|event| event.actor.as_deref() == Some("hello"))
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded(bytes in proptest::collection::vec(any::<u8>(), 0..4000), lost: u64, khz: u64) {
            let mut recording = recording(&[]);
            recording.khz = khz;
            recording.rings[0].lost = lost | if khz & 1 == 0 { !7 } else { 0 };
            recording.rings[0].bytes = bytes.clone();
            let trace = decode(&[recording]);
            let count = trace.sites[0].counts[0];
            prop_assert_eq!(count.events + count.senseless, bytes.len() as u64 / RECORD);
            prop_assert_eq!(count.events, trace.events.len() as u64);
        }

        #[test]
        fn any_records_are_decoded_and_written(
            fields in proptest::collection::vec((any::<u64>(), 0u8..14, any::<u8>(), any::<u16>(), any::<u16>(), any::<[u64; 6]>()), 0..60)
        ) {
            let records: Vec<KnTraceRecord> = fields
                .into_iter()
                .zip(0..)
                .map(|((time, kind, code, thread, actor, words), number)| KnTraceRecord {
                    time, kind, code: code % 8, number, thread: thread % 4, actor: actor % 4, words,
                })
                .collect();
            let trace = decode(&[recording(&records)]);
            let lines = crate::trace::text::write(&trace);
            prop_assert!(lines.lines().count() > trace.events.len());
            let chrome: serde_json::Value = serde_json::from_str(&crate::trace::chrome::write(&trace)).unwrap();
            prop_assert!(chrome["traceEvents"].is_array());
            let _ = crate::trace::folded::write(&trace);
            crate::trace::perfetto::tests::read(&crate::trace::perfetto::write(&trace));
        }
    }
}
