use super::*;
use crate::{Chance, Jitter, Shape};
use std::sync::{Arc, Mutex};

const GATEWAY: Site = 8191;

fn fabric(shape: &str, sites: Site, default: Parameters) -> Fabric<u32> {
    let graph = Shape::parse(shape).unwrap().graph(sites, 1).unwrap();
    Fabric::new(11, graph, Rules::new(default, []), [GATEWAY], 100_000)
}

fn meta(from: Site, to: To) -> Meta {
    Meta {
        from,
        to,
        size: 100,
        kind: 0,
    }
}

/// What landed: where, which frame (0: the one in the sender's hands), and how many bits were turned.
type Landed = Vec<(Site, u32, usize)>;

fn send(fabric: &mut Fabric<u32>, now: u64, meta: Meta, number: u32) -> Landed {
    let mut landed = Vec::new();
    fabric.send(now, meta, &mut || number, &mut |landing| {
        landed.push((
            landing.to,
            landing.kept.copied().unwrap_or(0),
            landing.flipped.len(),
        ));
    });
    landed
}

fn advance(fabric: &mut Fabric<u32>, now: u64) -> Landed {
    let mut landed = Vec::new();
    fabric.advance(now, &mut |landing| {
        landed.push((
            landing.to,
            landing.kept.copied().unwrap_or(0),
            landing.flipped.len(),
        ));
    });
    landed
}

const SLOW: Parameters = Parameters {
    latency: 1000,
    ..Parameters::PERFECT
};

#[test]
fn a_frame_without_delay_is_there_at_once_and_never_kept() {
    let mut fabric = fabric("torus,4,4", 16, Parameters::PERFECT);
    let landed = send(&mut fabric, 0, meta(1, To::Site(11)), 5);
    assert_eq!(landed, [(11, 0, 0)]);
    assert_eq!(fabric.flights(), 0);
    assert_eq!(fabric.hops(1, 11), Some(4));
    let all = send(&mut fabric, 0, meta(1, To::All), 5);
    let mut sites: Vec<Site> = all.iter().map(|landing| landing.0).collect();
    sites.sort_unstable();
    assert_eq!(sites, (2..=16).chain([GATEWAY]).collect::<Vec<_>>());
}

#[test]
fn each_link_takes_its_time() {
    let mut fabric = fabric("line", 4, SLOW);
    assert!(send(&mut fabric, 0, meta(1, To::Site(4)), 7).is_empty());
    for hop in 1..3 {
        assert_eq!(fabric.next_due(), Some(1000 * hop));
        assert!(advance(&mut fabric, 1000 * hop).is_empty());
    }
    assert_eq!(advance(&mut fabric, 3000), [(4, 7, 0)]);
    // Whoever comes late finds the frame at the end of its way, not a link further.
    send(&mut fabric, 10_000, meta(4, To::Site(1)), 8);
    assert_eq!(advance(&mut fabric, 99_000), [(1, 8, 0)]);
    let all = send(&mut fabric, 100_000, meta(2, To::All), 9);
    assert_eq!(all, [(GATEWAY, 0, 0)]);
    assert_eq!(advance(&mut fabric, 101_000), [(1, 9, 0), (3, 9, 0)]);
    assert_eq!(advance(&mut fabric, 102_000), [(4, 9, 0)]);
}

#[test]
fn the_gateway_reaches_everyone_over_no_link() {
    let mut lossy = SLOW;
    lossy.loss = Chance::ALWAYS;
    let mut fabric = fabric("ring", 3, lossy);
    assert_eq!(
        send(&mut fabric, 0, meta(GATEWAY, To::Site(2)), 1),
        [(2, 0, 0)]
    );
    assert_eq!(
        send(&mut fabric, 0, meta(2, To::Site(GATEWAY)), 1),
        [(GATEWAY, 0, 0)]
    );
    assert_eq!(send(&mut fabric, 0, meta(GATEWAY, To::All), 1).len(), 3);
    assert!(send(&mut fabric, 0, meta(GATEWAY, To::Site(4)), 1).is_empty());
    assert!(send(&mut fabric, 0, meta(1, To::Site(77)), 1).is_empty());
    assert_eq!(fabric.lost(Cause::NoWay), 2);
    assert_eq!(fabric.flights(), 0);
}

#[test]
fn cuts_are_gone_around_in_a_ring_and_not_in_a_full_network() {
    let cut = Change {
        cut: Some(true),
        ..Change::default()
    };
    let mut ring = fabric("ring", 4, Parameters::PERFECT);
    ring.change(1, 2, &cut);
    assert_eq!(ring.hops(1, 2), Some(3));
    assert_eq!(send(&mut ring, 0, meta(1, To::Site(2)), 1), [(2, 0, 0)]);
    ring.change(1, 4, &cut);
    assert_eq!(ring.hops(1, 2), None);
    assert!(send(&mut ring, 0, meta(1, To::Site(2)), 1).is_empty());
    assert_eq!(ring.lost(Cause::NoWay), 1);
    let mut full = fabric("full", 4, Parameters::PERFECT);
    full.change(1, 2, &cut);
    assert!(send(&mut full, 0, meta(1, To::Site(2)), 1).is_empty());
    assert_eq!(full.lost(Cause::Cut), 1);
    assert_eq!(send(&mut full, 0, meta(1, To::Site(3)), 1), [(3, 0, 0)]);
    full.rule(|rules| rules.split(&[vec![1, 2], vec![3, 4]]));
    assert!(send(&mut full, 0, meta(1, To::Site(3)), 1).is_empty());
    full.rule(Rules::heal);
    assert_eq!(send(&mut full, 0, meta(1, To::Site(3)), 1), [(3, 0, 0)]);
}

#[test]
fn scripts_meet_their_frames() {
    let mut fabric = fabric("full", 3, Parameters::PERFECT);
    for (nth, action) in [
        (1, Action::Drop),
        (2, Action::Duplicate),
        (3, Action::Corrupt(4)),
        (4, Action::Delay(50)),
    ] {
        fabric.script(Fault {
            from: Some(1),
            to: Some(2),
            kind: None,
            nth,
            action,
        });
    }
    let frame = meta(1, To::Site(2));
    assert!(send(&mut fabric, 0, frame, 1).is_empty());
    assert_eq!(send(&mut fabric, 0, frame, 1), [(2, 0, 0), (2, 0, 0)]);
    assert_eq!(send(&mut fabric, 0, frame, 1), [(2, 0, 1)]);
    assert!(send(&mut fabric, 0, frame, 6).is_empty());
    assert_eq!(advance(&mut fabric, 50), [(2, 6, 0)]);
    assert_eq!(fabric.scripted(), (0, 4));
    assert_eq!(fabric.lost(Cause::Script), 1);
}

#[test]
fn what_is_on_its_way_is_bounded() {
    let graph = Shape::Full.graph(2, 1).unwrap();
    let mut fabric = Fabric::new(1, graph, Rules::new(SLOW, []), [], 10);
    for number in 0..15 {
        send(&mut fabric, 0, meta(1, To::Site(2)), number);
    }
    assert_eq!((fabric.flights(), fabric.lost(Cause::Flights)), (10, 5));
}

/// SS-138: the same seed, the same log.
#[test]
fn ss_138_the_seed_decides_the_log() {
    let log = |seed| {
        let parameters = Parameters {
            latency: 1000,
            jitter: Jitter::Normal(300),
            bandwidth: 100_000_000,
            loss: Chance::percent(3.0),
            duplicate: Chance::percent(3.0),
            reorder: Chance::percent(3.0),
            corrupt: Chance::percent(3.0),
            ..Parameters::PERFECT
        };
        let graph = Shape::Random(3).graph(12, 1).unwrap();
        let mut fabric = Fabric::new(seed, graph, Rules::new(parameters, []), [], 10_000);
        let records = Arc::new(Mutex::new(Vec::new()));
        let sink = records.clone();
        fabric.observe(Some(Box::new(move |record| {
            sink.lock().unwrap().push(format!("{record:?}"));
        })));
        for number in 0..5_000u32 {
            let from = (number % 12) as Site + 1;
            let to = match number % 7 {
                0 => To::All,
                _ => To::Site((number / 12 % 12) as Site + 1),
            };
            send(&mut fabric, u64::from(number) * 700, meta(from, to), number);
            advance(&mut fabric, u64::from(number) * 700);
        }
        while let Some(due) = fabric.next_due() {
            advance(&mut fabric, due);
        }
        drop(fabric);
        Arc::into_inner(records).unwrap().into_inner().unwrap()
    };
    assert_eq!(log(3), log(3));
    assert_ne!(log(3), log(4));
}
