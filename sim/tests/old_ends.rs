//! The end of an incarnation that was over long ago is told to a site that has never heard of it.

use chorus_abi::net::{KnNetItem, NET_CALL, NET_REPLY};
use chorus_abi::{KnUniqueId, UiType};
use chorus_sim::nucleus::Nucleus;
use chorus_sim::ports::Port;
use chorus_transport::frame::news::{Claim, Item, View};
use chorus_transport::frame::{self, Header, News, Payload};
use chorus_transport::{Config, Endpoint, Event, Standing};

const SERVER: KnUniqueId = KnUniqueId::from_fields(1, UiType::Port, 4, 7);

/// News from site 2 for site 1 in its incarnation 4.
fn told(item: Item) -> Vec<u8> {
    let mut items = Vec::new();
    View::push(&mut items, &item);
    let header = Header {
        dst_site: 1,
        dst_incarnation: 4,
        src_site: 2,
        src_incarnation: 1,
        mtu: 1514,
        ..Header::default()
    };
    let mut bytes = Vec::new();
    let news = News::Tell(View::new(2, 1, 0, &items));
    frame::write(&header, &Payload::News(news), &mut bytes);
    bytes
}

/// SS-041, SS-067: what was executed for the present incarnation is remembered, and a repeated request is not executed again.
#[test]
fn the_end_of_an_older_incarnation_forgets_nothing_of_the_present_one() {
    let mut now = 1;
    let mut client = (
        Endpoint::new(Config::new(3, 6)).unwrap(),
        Nucleus::default(),
    );
    let mut server = (
        Endpoint::new(Config::new(1, 4)).unwrap(),
        Nucleus::default(),
    );
    server.1.ports.insert(SERVER.word(), Port::taking(4));
    let call = KnNetItem {
        kind: NET_CALL,
        handle: 5,
        target: SERVER,
        src_port: KnUniqueId::from_fields(3, UiType::Port, 6, 9),
        ..KnNetItem::default()
    };
    client
        .0
        .on_event(now, Event::Item(&call, &[]), &mut client.1);
    // Until the request is there: finding the port comes first.
    let mut request = None;
    while server.1.new_requests.is_empty() {
        now += 1;
        for frame in std::mem::take(&mut client.1.frames) {
            server.0.on_event(now, Event::Frame(&frame), &mut server.1);
            request = Some(frame);
        }
        for frame in std::mem::take(&mut server.1.frames) {
            client.0.on_event(now, Event::Frame(&frame), &mut client.1);
        }
        assert!(now < 100, "the request does not arrive");
    }
    let request = request.unwrap();
    let token = server.1.new_requests[0];
    assert!(server.1.receive(token));
    server.1.requests.clear();
    let reply = KnNetItem {
        kind: NET_REPLY,
        handle: token,
        ..KnNetItem::default()
    };
    server
        .0
        .on_event(now, Event::Item(&reply, &[]), &mut server.1);
    // The reply is lost. Somebody tells of the end of incarnation 5, and the client asks again.
    let old = Item {
        site: 3,
        incarnation: 5,
        life: 0,
        claim: Claim::Down,
        groups: 0,
    };
    server
        .0
        .on_event(now, Event::Frame(&told(old)), &mut server.1);
    server.1.frames.clear();
    server
        .0
        .on_event(now, Event::Frame(&request), &mut server.1);
    assert_eq!(server.1.new_requests.len(), 1, "executed twice");
    assert!(!server.1.frames.is_empty(), "the kept reply goes out again");
    let known = server.0.other(3).unwrap();
    assert_eq!((known.incarnation, known.standing), (6, Standing::Greeting));
}
