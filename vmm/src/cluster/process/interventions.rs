//! Interventions in a whole cluster process, with sites that have no processor.

use super::tests::{Manner, actor, start};
use super::*;
use crate::cluster::control::{Answer, Request};
use crate::cluster::intervention::{Ends, Intervention};
use crate::cluster::topology::EventSpec;
use crate::fabric::HostPort;
use chorus_abi::KnUniqueId;
use chorus_fabric::{Chance, Change};
use chorus_transport::frame::{self, Header, Payload};

fn ask(client: &mut crate::cluster::client::Client, what: Intervention) -> Outcome<()> {
    client.order(&Request::Intervene { what })
}

#[test]
fn links_change_and_are_shown() {
    let test = start(Manner::Good, |_, _| {});
    let mut client = test.up();
    let change = Change {
        loss: Some(Chance::percent(5.0)),
        ..Change::default()
    };
    let ends = Ends::OneWay(1, 2);
    ask(&mut client, Intervention::Set { ends, change }).unwrap();
    let links = |client: &mut crate::cluster::client::Client| {
        let Ok(Answer::Links { links, every, .. }) = client.ask(&Request::Links) else {
            panic!("no links")
        };
        assert_eq!(every.loss, Chance::NEVER);
        links
    };
    let found = links(&mut client);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].from, found[0].to, found[0].parted), (1, 2, false));
    assert_eq!(found[0].parameters.loss, Chance::percent(5.0));
    let parts = vec![vec![1], vec![2]];
    ask(&mut client, Intervention::Partition { parts }).unwrap();
    assert!(links(&mut client)[0].parted);
    ask(&mut client, Intervention::Heal).unwrap();
    ask(&mut client, Intervention::Reset { ends: Ends::All }).unwrap();
    assert!(
        links(&mut client)
            .iter()
            .all(|link| !link.parted && link.parameters.loss == Chance::NEVER)
    );
    test.interrupt.ask();
    assert_eq!(test.end(), Ok(0));
}

/// State and incarnation of a site.
fn state(client: &mut crate::cluster::client::Client, site: usize) -> (SiteState, u16) {
    let Ok(Answer::Cluster { sites, .. }) = client.ask(&Request::Status) else {
        panic!("no status")
    };
    (sites[site - 1].state, sites[site - 1].incarnation)
}

#[test]
fn a_site_that_counted_on_by_itself_boots_anew_above_that() {
    let test = start(Manner::Good, |_, _| {});
    let mut client = test.up();
    let port = HostPort::new(4).unwrap();
    test.switch.attach(2, port.clone()).unwrap();
    // The others held it for down twice. What it says in another's name changes nothing, nor does a number that no site can have.
    let said = [(2, 2), (2, 3), (2, 1), (1, 9), (2, u16::MAX)];
    for (src_site, src_incarnation) in said {
        let header = Header {
            dst_site: 1,
            src_site,
            src_incarnation,
            ..Header::default()
        };
        let (ui, co_target) = (KnUniqueId::NULL, KnUniqueId::NULL);
        let payload = Payload::Locate {
            ui,
            co_target,
            nonce: 1,
        };
        let mut bytes = Vec::new();
        frame::write(&header, &payload, &mut bytes);
        assert!(port.send(bytes));
    }
    let sent = || test.switch.traffic(2).map(|traffic| traffic.sent);
    while sent() != Some(said.len() as u64) {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(state(&mut client, 2), (SiteState::Ready, 3));
    ask(&mut client, Intervention::Restart { site: 2 }).unwrap();
    assert_eq!(state(&mut client, 2), (SiteState::Ready, 4));
    assert_eq!(state(&mut client, 1), (SiteState::Ready, 1));
    test.interrupt.ask();
    assert_eq!(test.end(), Ok(0));
}

#[test]
fn a_site_boots_anew_with_its_actors() {
    let test = start(Manner::Good, |plan, folder| actor(plan, folder, "never"));
    let mut client = test.up();
    assert_eq!(state(&mut client, 2), (SiteState::Ready, 1));
    ask(&mut client, Intervention::Kill { site: 2 }).unwrap();
    assert_eq!(state(&mut client, 2), (SiteState::Killed, 1));
    assert!(ask(&mut client, Intervention::Pause { site: 2 }).is_err());
    ask(&mut client, Intervention::Restart { site: 2 }).unwrap();
    assert_eq!(state(&mut client, 2), (SiteState::Ready, 2));
    // One that runs is ended first.
    ask(&mut client, Intervention::Restart { site: 2 }).unwrap();
    assert_eq!(state(&mut client, 2), (SiteState::Ready, 3));
    assert_eq!(state(&mut client, 1), (SiteState::Ready, 1));
    assert!(ask(&mut client, Intervention::Restart { site: 9 }).is_err());
    let request = Request::Logs {
        site: Some(2),
        tail: None,
        follow: false,
    };
    client.send(&request, &[]).unwrap();
    let mut lines = Vec::new();
    while let Answer::Line { line } = client.receive().unwrap() {
        lines.push(line.text);
    }
    let booted = lines
        .iter()
        .filter(|line| line.contains("boots again"))
        .count();
    // Its actor wrote a line in each incarnation.
    let written = lines.iter().filter(|line| line.ends_with(" bytes")).count();
    assert_eq!((booted, written), (2, 3), "{lines:?}");
    test.interrupt.ask();
    assert_eq!(test.end(), Ok(0));
}

#[test]
fn events_happen_at_their_time_and_are_in_the_log() {
    let test = start(Manner::Good, |plan, _| {
        let event = |at_ms: u64, what| EventSpec {
            at_ns: at_ms * 1_000_000,
            what,
        };
        plan.topology.event = vec![
            event(
                50,
                Intervention::Partition {
                    parts: vec![vec![1], vec![2]],
                },
            ),
            event(100, Intervention::Kill { site: 9 }),
            event(150, Intervention::Heal),
        ];
    });
    let mut client = test.up();
    let request = Request::Logs {
        site: Some(GATEWAY_SITE),
        tail: None,
        follow: true,
    };
    client.send(&request, &[]).unwrap();
    let mut lines = Vec::new();
    while lines.len() < 3 {
        let Answer::Line { line } = client.receive().unwrap() else {
            panic!("{lines:?}")
        };
        lines.push(line.text);
    }
    assert_eq!(lines[0], "partition s1 s2");
    assert!(
        lines[1].starts_with("site kill 9: there is no site 9"),
        "{lines:?}"
    );
    assert_eq!(lines[2], "heal");
    test.interrupt.ask();
    assert_eq!(test.end(), Ok(0));
}
