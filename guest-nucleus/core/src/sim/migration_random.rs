//! A port that goes back and forth between two sites at any time, while messages and requests are sent from both, clients and movers leave, and what the managers carry is late: each message is received
//! once, each request is answered or known not to have been executed, and nothing is left.

use super::nc_network;
use super::two_sites::Two;
use crate::executive::thread::local_identifier;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::net::*;
use chorus_abi::*;
use proptest::prelude::*;

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The second user of a site sends the next number.
    Send(usize),
    /// It asks with the next number, and perhaps only for a while.
    Ask(usize, bool),
    /// The first user of the site receives from the port, if that is there, and answers.
    Serve(usize),
    /// It moves the port away.
    Move(usize, bool),
    /// The next item of a site is carried; of a move also half way, or not at all.
    Carry(usize, u8),
    /// Time passes.
    Time,
}

fn step() -> impl Strategy<Value = Step> {
    let at = || 0usize..2;
    prop_oneof![
        3 => at().prop_map(Step::Send),
        3 => (at(), any::<bool>()).prop_map(|(at, brief)| Step::Ask(at, brief)),
        4 => at().prop_map(Step::Serve),
        2 => (at(), any::<bool>()).prop_map(|(at, drop)| Step::Move(at, drop)),
        8 => (at(), 0u8..8).prop_map(|(at, how)| Step::Carry(at, how)),
        1 => Just(Step::Time),
    ]
}

/// What happened so far.
struct Run {
    two: Two,
    port: KnUniqueId,
    number: u8,
    /// What was received, once each.
    received: BTreeSet<u8>,
    /// Numbers of messages that were sent, and may not be lost.
    sent: BTreeSet<u8>,
    /// The number that the second user of each site asks with.
    asks: [Option<u8>; 2],
    /// A move dropped what was queued.
    dropped: bool,
}

impl Run {
    fn new() -> Run {
        let mut two = Two::new();
        let port = two.sites[0].port(two.users[0][0]).1;
        Run {
            two,
            port,
            number: 0,
            received: BTreeSet::new(),
            sent: BTreeSet::new(),
            asks: [None; 2],
            dropped: false,
        }
    }

    fn li(&self, at: usize) -> Option<i32> {
        self.two.sites[at]
            .nucleus
            .port_by_ui(self.port)
            .map(local_identifier)
    }

    fn free(&self, at: usize, user: usize) -> bool {
        self.two.sites[at].runs(self.two.users[at][user])
    }

    fn next_number(&mut self) -> u8 {
        self.number += 1;
        self.number
    }

    fn serve(&mut self, at: usize) -> bool {
        let user = self.two.users[at][0];
        let Some(li) = self.li(at).filter(|_| self.free(at, 0)) else {
            return false;
        };
        // An abort that a client passed on is not for the next message.
        self.two.sites[at].grants(user, "threadAborted", &[]);
        let Some(body) = self.two.sites[at].take(user, li) else {
            return false;
        };
        assert!(self.received.insert(body[0]), "{} came twice", body[0]);
        let answered = self.two.sites[at].answer(user, &body);
        assert!(matches!(answered, Some(K_OK | K_EUNKNOWN | K_EFULL)));
        true
    }

    /// A request that is over was executed as its end says.
    fn judge(&mut self, at: usize) {
        let Some(number) = self.asks[at] else {
            return;
        };
        let Some(result) = self.two.result(at, 1) else {
            return;
        };
        self.asks[at] = None;
        match result {
            K_ETIMEOUT => {}
            K_ENOPORT => {
                assert!(self.dropped, "nothing was dropped");
                assert!(!self.received.contains(&number), "it was executed");
            }
            1 => assert!(self.received.contains(&number), "it was not executed"),
            error => panic!("a request ended with {error}"),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Send(at) if self.free(at, 1) => {
                let number = self.next_number();
                let by = self.two.users[at][1];
                let sent = self.two.sites[at].send(by, self.port, &[number]);
                if sent == Some(K_OK) {
                    self.sent.insert(number);
                }
            }
            Step::Ask(at, brief) if self.free(at, 1) => {
                let number = self.next_number();
                let by = self.two.users[at][1];
                let site = &mut self.two.sites[at];
                let (letter, dest) = (site.letter(by, &[number]), site.dest(by, self.port));
                let room = site.room(by, 8).desc;
                let limit = if brief { 5 } else { super::scene::FOREVER };
                match site.call(by.thread, "ipcCall", &[letter, 0, dest, room, limit]) {
                    None => self.asks[at] = Some(number),
                    other => assert!(matches!(other, Some(K_EUNKNOWN | K_EFULL)), "{other:?}"),
                }
            }
            Step::Serve(at) => {
                self.serve(at);
            }
            Step::Move(at, drop) if self.free(at, 0) => {
                if let Some(li) = self.li(at) {
                    let options = if drop { K_DROPMSG } else { K_MIGRATEMSG };
                    self.dropped |= drop;
                    let arguments = self.two.wish(at, 0, li, options);
                    let by = self.two.users[at][0].thread;
                    let moves = self.two.sites[at].call(by, "portMigrate", &arguments);
                    assert!(matches!(moves, None | Some(K_EBUSY)), "{moves:?}");
                }
            }
            Step::Carry(at, how) => self.carry(at, how),
            Step::Time => self
                .two
                .sites
                .iter_mut()
                .for_each(|site| site.pass(5_000_000)),
            _ => {}
        }
        self.two.check();
        let live = [0, 1].map(|at| {
            let port = self.two.sites[at].nucleus.port_by_ui(self.port);
            let port = port.and_then(|id| self.two.sites[at].nucleus.ipc.ports.get(id));
            port.is_some_and(|port| !port.moves())
        });
        assert_ne!(live, [true; 2], "two sites have the port");
        (0..2).for_each(|at| self.judge(at));
    }

    /// Carries the next item. A move may be refused at the other site, and what was prepared there may be left behind.
    fn carry(&mut self, at: usize, how: u8) {
        let next = self.two.sites[at].nucleus.ipc.moves.untold();
        let moves = &self.two.sites[at].nucleus.ipc.moves;
        let departs = next.is_some_and(|it| moves.is_named(it.port()));
        if !departs || how > 2 {
            self.two.carry(at);
            return;
        }
        let Some((item, record)) = self.two.next(at) else {
            return;
        };
        assert_eq!(item.kind, NET_MIGRATE);
        let epoch = item.result as u64 + 1;
        if how > 0 {
            assert!(self.two.deliver(1 - at, NET_ARRIVE, epoch, &item, &record) > 0);
        }
        if how > 1 {
            assert_eq!(
                self.two.deliver(1 - at, NET_ABANDON, epoch, &item, b""),
                K_OK
            );
        }
        assert_eq!(self.two.ends(at, &item, K_ELINKFAILURE), K_OK);
    }

    /// Everything comes to its end.
    fn end(mut self) {
        loop {
            self.two.settle();
            (0..2).for_each(|at| self.judge(at));
            if !(self.serve(0) | self.serve(1)) {
                break;
            }
        }
        assert_eq!(self.asks, [None; 2], "a request has no end");
        let here = [0, 1].map(|at| self.li(at).is_some());
        assert!(here[0] != here[1], "the port is at one site: {here:?}");
        if !self.dropped {
            let lost: Vec<_> = self.sent.difference(&self.received).collect();
            assert!(lost.is_empty(), "lost: {lost:?}");
        }
        for at in 0..2 {
            // What was left behind half way does not come.
            let item = nc_network::message(NET_ABANDON, 0, self.port);
            for epoch in 0..300 {
                self.two.deliver(at, NET_ABANDON, epoch, &item, b"");
            }
            assert_eq!(
                self.two.sites[at].nucleus.ipc.moves.len(),
                0,
                "a move is left"
            );
        }
        self.two.end();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn ss_013_a_port_that_goes_back_and_forth_loses_and_doubles_nothing(
        steps in proptest::collection::vec(step(), 0..120),
    ) {
        let mut run = Run::new();
        for step in steps {
            run.step(step);
        }
        run.end();
    }
}
