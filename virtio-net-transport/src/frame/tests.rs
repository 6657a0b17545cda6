//! Round trips, and bytes that are no frames.

use super::news::{Claim, Groups, Hello, Item, Membership, Ping, Pong, Relay, View};
use super::*;
use crate::fragments;
use chorus_abi::{KnProtId, KnUniqueId};
use proptest::prelude::*;

prop_compose! {
    fn any_header()(dst in 0u16..=8191, src in 1u16..=8191, dst_inc: u16, src_inc in 1u16..=EPOCH_MAX, counter: u64, mtu: u32) -> Header {
        Header { flags: 0, dst_site: dst, src_site: src, dst_incarnation: dst_inc, src_incarnation: src_inc, counter, mtu }
    }
}

prop_compose! {
    fn any_txn()(channel: u16, seq in 1u64..) -> Txn {
        Txn { channel, seq }
    }
}

fn round_trip(header: &Header, payload: &Payload<'_>) -> Result<(), TestCaseError> {
    let mut out = Vec::new();
    write(header, payload, &mut out);
    prop_assert_eq!(
        parse(&out),
        Ok(Frame {
            header: *header,
            payload: *payload
        })
    );
    // A frame padded to the Ethernet minimum says the same; a frame cut short says nothing.
    let whole = out.len();
    prop_assert_eq!(parse(&out[..whole - 1]), Err(Malformed));
    out.resize(whole + 20, 0);
    prop_assert_eq!(
        parse(&out),
        Ok(Frame {
            header: *header,
            payload: *payload
        })
    );
    Ok(())
}

proptest! {
    #[test]
    fn data_frames_round_trip(
        header in any_header(), txn in any_txn(), words: [u64; 3], port_epoch: u32, pi: [u16; 6], annex: bool, is_send: bool, result: i32,
        ack_now: bool, content in proptest::collection::vec(any::<u8>(), 64..4000), size in 70usize..1500, index: u8,
    ) {
        let count = fragments::count(content.len(), size) as u8;
        let piece = fragments::piece(&content, size, index % count).unwrap();
        let [target, co_target, src_port] = words.map(KnUniqueId::from_word);
        let data = Data {
            verb: Verb::Request, txn, piece, annex, target, co_target, src_port, port_epoch,
            actor_pi: KnProtId { uid: pi[0], gid: pi[1], did: pi[2], pad: 0 },
            port_pi: KnProtId { uid: pi[3], gid: pi[4], did: pi[5], pad: 0 },
        };
        round_trip(&header, &if is_send { Payload::Send(data) } else { Payload::Request(data) })?;
        let of_port = KnUniqueId::from_fields(target.site(), chorus_abi::UiType::Port, target.epoch(), target.counter());
        for verb in Verb::MOVES {
            round_trip(&header, &Payload::Request(Data { verb, target: of_port, ..data }))?;
        }
        round_trip(&header, &Payload::Reply(Reply { txn, piece, annex, ack_now, result }))?;
    }

    #[test]
    fn other_frames_round_trip(
        header in any_header(), txn in any_txn(), received: u64, words: [u64; 2], nonce: u64, port_epoch: u32,
        hint: (u16, u16, u32), result: i32, acks in proptest::collection::vec(any_txn(), 0..20),
    ) {
        let [ui, co_target] = words.map(KnUniqueId::from_word);
        let mut list = Vec::new();
        acks.iter().for_each(|ack| Acks::push(&mut list, *ack));
        prop_assert!(Acks::new(&list).iter().eq(acks.iter().copied()));
        if !acks.is_empty() {
            round_trip(&header, &Payload::Ack(Acks::new(&list)))?;
        }
        for of in [Of::Request, Of::Reply, Of::Send] {
            round_trip(&header, &Payload::Missing { txn, of, received })?;
            for reason in [Reason::NotHere, Reason::NoMember, Reason::Busy, Reason::Rebooted, Reason::Forgotten, Reason::Error] {
                round_trip(&header, &Payload::Nack(Nack { txn, of, reason, result, target: ui, co_target, hint }))?;
            }
        }
        for payload in [
            Payload::Progress(txn), Payload::Probe(txn), Payload::Cancel(txn), Payload::Cancelled(txn),
            Payload::Locate { ui, co_target, nonce }, Payload::Here { ui, co_target, nonce, port_epoch },
            Payload::NotHere { ui, co_target, nonce }, Payload::Moved { ui, nonce, hint },
        ] {
            round_trip(&header, &payload)?;
        }
    }

    #[test]
    fn news_frames_round_trip(
        header in any_header(), numbers: [u32; 3], sites: [u16; 3], flags in 0u8..8, digest: u64, whole: bool, part in 0u8..63,
        items in proptest::collection::vec((1u16..=8191, 1u16..=0x3FFD, any::<u32>(), 0u8..3, any::<u32>()), 0..70),
        entries in proptest::collection::vec((any::<bool>(), any::<u64>(), any::<u64>()), 0..58),
    ) {
        let [nonce, life, groups] = numbers;
        let [origin, subject, incarnation] = sites;
        let claims = [Claim::Alive, Claim::Suspect, Claim::Down];
        let items: Vec<Item> = items
            .into_iter()
            .map(|(site, incarnation, life, claim, groups)| Item { site, incarnation, life, claim: claims[usize::from(claim)], groups })
            .collect();
        let mut list = Vec::new();
        items.iter().for_each(|item| View::push(&mut list, item));
        let view = View::new(origin, subject, digest, &list);
        prop_assert!(view.items().eq(items.iter().copied()));
        let mut members = Vec::new();
        entries.iter().for_each(|&(joins, group, port)| Groups::push(&mut members, joins, &Membership { group, port }));
        let mut lists = Groups::new(whole, life, groups, part, 63).with(&members);
        lists.proof = digest;
        prop_assert!(lists.entries().map(|(joins, member)| (joins, member.group, member.port)).eq(entries.iter().copied()));
        for news in [
            News::Hello(Hello { watched: whole, life, groups }),
            News::Ping(Ping { nonce, origin, flags, view }),
            News::Pong(Pong { nonce, origin, subject, incarnation, view }),
            News::Relay(Relay { nonce, subject, incarnation }),
            News::Tell(view),
            News::Groups(lists),
            News::GroupsAsk(life),
        ] {
            let mut out = Vec::new();
            write(&header, &Payload::News(news), &mut out);
            prop_assert_eq!(parse(&out), Ok(Frame { header, payload: Payload::News(news) }));
            prop_assert!(out.len() <= crate::config::MTU_MIN);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_what_parses_writes_the_same(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), kind in 0u8..29, src in 1u16..8192, dst in 0u16..8192) {
        let _ = parse(&bytes);
        // The same with a header that leads to the payload.
        if bytes.len() >= ETHERNET + HEADER {
            let length = (bytes.len() - ETHERNET - HEADER) as u32;
            bytes[..6].copy_from_slice(&mac(dst));
            bytes[6..12].copy_from_slice(&mac(src));
            bytes[12..14].copy_from_slice(&ETHERTYPE.to_be_bytes());
            bytes[14] = VERSION;
            bytes[15] = kind;
            bytes[16] &= 3;
            bytes[17] = 0;
            bytes[18..20].copy_from_slice(&dst.to_le_bytes());
            bytes[20..22].copy_from_slice(&src.to_le_bytes());
            bytes[34..38].copy_from_slice(&length.to_le_bytes());
            if let Ok(frame) = parse(&bytes) {
                let mut out = Vec::new();
                write(&frame.header, &frame.payload, &mut out);
                prop_assert_eq!(out, bytes);
            }
        }
    }
}

#[test]
fn sizes_are_as_documented() {
    assert_eq!((HEADER, DATA_OVERHEAD), (28, 102));
    assert_eq!(
        fragments::count(fragments::CONTENT_MAX, 1514 - DATA_OVERHEAD),
        47
    );
    assert_eq!(mac(8191), [0x02, 0x43, 0x48, 0x00, 0x1F, 0xFF]);
}
