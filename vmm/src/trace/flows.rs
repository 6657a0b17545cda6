//! Which events of a trace are the two ends of something that goes from one thread to another: requests and answers, on one site and between two.
//!
//! On a site a message is known by its number and a request by its transaction. Between sites there is no number that both know: what left one for a port and what
//! came to the other from the same source are paired in their order, so that one of two threads that call the same port from the same source at once may get the other's arrow.

use super::decode::{Event, Trace, What};
use chorus_abi::trace::{Kind, Place};
use std::collections::{HashMap, VecDeque};

/// From one event to another, by their places in the trace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flow {
    /// Where it begins.
    pub from: usize,
    /// Where it arrives.
    pub to: usize,
}

/// Site and number on it.
type Key = (usize, u64);

#[derive(Default)]
struct Matching {
    flows: Vec<Flow>,
    /// Messages that were sent, and not received.
    sent: HashMap<Key, usize>,
    /// Requests and messages on their way to another site, by source and target; with their transaction.
    out: HashMap<(u64, u64), VecDeque<(usize, Key)>>,
    /// By the server's site and token: the client's site and transaction.
    partners: HashMap<Key, Key>,
    /// By transaction: the client's thread.
    clients: HashMap<Key, Option<u16>>,
    /// Answers on their way to another site, by the client's transaction.
    answers: HashMap<Key, usize>,
    /// By thread: an answer that its call returns with.
    back: HashMap<(usize, u16), usize>,
}

/// Finds them, in the order in which they arrive.
pub fn flows(trace: &Trace) -> Vec<Flow> {
    let mut matching = Matching::default();
    for (place, event) in trace.events.iter().enumerate() {
        matching.look(place, event);
    }
    matching.flows
}

impl Matching {
    fn arrive(&mut self, from: Option<usize>, to: usize) {
        self.flows.extend(from.map(|from| Flow { from, to }));
    }

    fn look(&mut self, at: usize, event: &Event) {
        let site = event.site;
        let (kind, place, letter) = match &event.what {
            What::Message(kind, place, letter) => (*kind, *place, letter),
            What::Return { .. } => {
                let answer = event
                    .thread
                    .and_then(|thread| self.back.remove(&(site, thread)));
                return self.arrive(answer, at);
            }
            _ => return,
        };
        let transaction = (site, letter.transaction);
        match (kind, place) {
            (Kind::Send, Place::Out) => {
                self.clients.insert(transaction, event.thread);
                let way = self.out.entry((letter.source, letter.target));
                way.or_default().push_back((at, transaction));
            }
            (Kind::Send, _) => {
                if place == Place::In {
                    let way = self.out.get_mut(&(letter.source, letter.target));
                    if let Some((from, client)) = way.and_then(VecDeque::pop_front) {
                        self.partners.insert(transaction, client);
                        self.arrive(Some(from), at);
                    }
                } else {
                    self.clients.insert(transaction, event.thread);
                }
                self.sent.insert((site, letter.message), at);
            }
            (Kind::Receive, _) => {
                let from = self.sent.remove(&(site, letter.message));
                self.arrive(from, at);
            }
            (Kind::Reply, Place::Out) => {
                if let Some(client) = self.partners.remove(&transaction) {
                    self.answers.insert(client, at);
                }
            }
            (Kind::Reply, Place::In) => {
                let from = self.answers.remove(&transaction);
                self.arrive(from, at);
                self.returns(event.thread, site, at);
            }
            (Kind::Reply, Place::Here) => {
                let client = self.clients.remove(&transaction).flatten();
                self.returns(client, site, at);
            }
            _ => {}
        }
    }

    /// The next return of this thread is that of the call that was answered.
    fn returns(&mut self, client: Option<u16>, site: usize, at: usize) {
        if let Some(client) = client {
            self.back.insert((site, client), at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::decode::{decode, tests::*};
    use super::*;
    use crate::trace::Recording;
    use chorus_abi::table::number;

    /// A remote call: the client on one site, the server on the other, whose clocks are one.
    #[test]
    fn a_remote_call_is_followed_there_and_back() {
        let call = number::ipc_call as u8;
        let (source, target) = (0x11, 0x22);
        let words = |message, transaction, last| [message, transaction, source, target, 0, last];
        let client = [
            record(0, 10, (Kind::Call, call), (1, 4), [0; 6]),
            record(1, 20, (Kind::Send, 1), (1, 4), words(0, 77, 1)),
            record(2, 90, (Kind::Reply, 2), (1, 4), [0, 77, 0, 0, 0, 0]),
            record(3, 99, (Kind::Return, call), (1, 4), [0; 6]),
        ];
        let server = [
            record(0, 40, (Kind::Send, 2), (9, 2), words(5, 3, 1)),
            record(1, 41, (Kind::Queue, 0), (9, 2), words(5, 3, 1)),
            record(2, 50, (Kind::Receive, 0), (6, 5), words(5, 3, 1)),
            record(3, 60, (Kind::Reply, 1), (6, 5), words(5, 3, 0)),
        ];
        let second = Recording {
            site: 2,
            ..recording(&server)
        };
        let trace = decode(&[recording(&client), second]);
        let steps: Vec<(u64, u64)> = flows(&trace)
            .iter()
            .map(|flow| {
                (
                    trace.events[flow.from].time + 10,
                    trace.events[flow.to].time + 10,
                )
            })
            .collect();
        assert_eq!(steps, [(20, 40), (40, 50), (60, 90), (90, 99)]);
    }
}
