//! Two and three sites that seal and open: what is believed, and what is not.

use super::*;
use crate::frame::{self, Header, Payload};
use alloc::vec::Vec;
use chorus_abi::KnUniqueId;
use proptest::prelude::*;

const KEY: [u8; 32] = [7; 32];
const ALL: (u16, u16) = (0, 0);

fn sealer(own: (u16, u16), generation: u32) -> Sealer {
    Sealer::new(own, Seal::new(KEY, generation), 4)
}

/// A frame of this content from one to another.
fn frame_of(from: &mut Sealer, to: (u16, u16), nonce: u64) -> Vec<u8> {
    let header = Header {
        dst_site: to.0,
        src_site: from.own.0,
        dst_incarnation: to.1,
        src_incarnation: from.own.1,
        mtu: 1514,
        ..Header::default()
    };
    let (ui, co_target) = (KnUniqueId::from_word(5), KnUniqueId::from_word(6));
    let payload = Payload::Locate {
        ui,
        co_target,
        nonce,
    };
    let mut bytes = Vec::new();
    frame::write(&header, &payload, &mut bytes);
    from.seal(0, to, &mut bytes).expect("a frame");
    bytes
}

/// What is inside, taken if it is to be taken.
fn opens(by: &mut Sealer, bytes: &[u8]) -> Result<u64, Refusal> {
    let outer = frame::outer(bytes).expect("a header");
    let mut content = Vec::new();
    by.open(&outer, &mut content)?;
    by.take()?;
    match frame::inner(&outer, &content).expect("a payload").payload {
        Payload::Locate { nonce, .. } => Ok(nonce),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_frame_is_opened_once_by_the_site_it_is_for() {
    let (mut one, mut two, mut three) = (sealer((1, 1), 1), sealer((2, 5), 1), sealer((3, 1), 1));
    for to in [(2, 5), (2, 0), ALL] {
        let bytes = frame_of(&mut one, to, 9);
        let clear = [5u64, 6, 9].map(u64::to_le_bytes);
        for word in clear {
            assert!(!bytes.windows(8).any(|window| window == word), "in clear");
        }
        assert_eq!(opens(&mut two, &bytes), Ok(9));
        assert_eq!(opens(&mut two, &bytes), Err(Refusal::Replay));
        if to == ALL {
            assert_eq!(opens(&mut three, &bytes), Ok(9));
        }
    }
    assert_eq!((two.len(), three.len()), (1, 1));
}

#[test]
fn among_too_many_sites_what_concerns_nobody_here_leaves_no_trace() {
    let mut five = sealer((5, 1), 1);
    let heard: Vec<_> = (1..=4)
        .map(|site| frame_of(&mut sealer((site, 1), 1), ALL, 1))
        .collect();
    for bytes in &heard {
        assert_eq!(opens(&mut five, bytes), Ok(1));
    }
    let bytes = frame_of(&mut sealer((6, 1), 1), ALL, 9);
    let outer = frame::outer(&bytes).unwrap();
    for _ in 0..3 {
        assert_eq!(five.open(&outer, &mut Vec::new()), Ok(()));
    }
    // What has an effect is taken, and one of those goes that were only heard of.
    five.take().unwrap();
    assert_eq!(five.open(&outer, &mut Vec::new()), Err(Refusal::Replay));
    assert_eq!(five.len(), 4);
    assert_eq!(opens(&mut five, &heard[3]), Err(Refusal::Replay));
}

#[test]
fn a_new_incarnation_of_either_side_ends_the_old_frames() {
    let (mut one, mut two) = (sealer((1, 1), 1), sealer((2, 1), 1));
    let old: Vec<_> = [(2, 1), (2, 0), ALL]
        .map(|to| frame_of(&mut one, to, 9))
        .into();
    // The receiver starts again: what was for its old self is not read, what was for all is too old.
    let mut two_again = sealer((2, 2), 2);
    let refusals = [Refusal::Rebooted, Refusal::Generation, Refusal::Generation];
    for (bytes, refusal) in old.iter().zip(refusals) {
        assert_eq!(opens(&mut two_again, bytes), Err(refusal));
    }
    assert_eq!(two_again.len(), 0);
    // Once the sender knows of it, it is heard.
    let hello = frame_of(&mut two_again, ALL, 1);
    assert_eq!(opens(&mut one, &hello), Ok(1));
    let fresh = frame_of(&mut one, ALL, 2);
    assert_eq!(opens(&mut two_again, &fresh), Ok(2));
    // The sender starts again: its old frames are over for whoever heard of it since.
    let mut one_again = sealer((1, 2), 3);
    let bytes = frame_of(&mut one_again, (2, 1), 3);
    assert_eq!(opens(&mut two, &bytes), Ok(3));
    for bytes in &old {
        assert_eq!(opens(&mut two, bytes), Err(Refusal::Incarnation));
    }
    // Nor does anybody talk to the old one any more.
    let to_old = two.seal(0, (1, 1), &mut old[0].clone());
    assert_eq!(to_old, None);
}

#[test]
fn another_key_and_another_site_s_frames_are_noise() {
    let mut stranger = Sealer::new((1, 1), Seal::new([8; 32], 1), 4);
    let mut two = sealer((2, 1), 1);
    for to in [(2, 1), (2, 0), ALL] {
        let bytes = frame_of(&mut stranger, to, 9);
        assert_eq!(opens(&mut two, &bytes), Err(Refusal::Tag));
    }
    // A frame of site 1 with the addresses of site 3.
    let mut bytes = frame_of(&mut sealer((1, 1), 1), (2, 1), 9);
    bytes[6..12].copy_from_slice(&frame::mac(3));
    bytes[20..22].copy_from_slice(&3u16.to_le_bytes());
    assert_eq!(opens(&mut two, &bytes), Err(Refusal::Tag));
    // Another earlier self, made up.
    let mut again = sealer((2, 3), 1);
    assert_eq!(opens(&mut again, &bytes), Err(Refusal::Tag));
    assert_eq!((two.len(), again.len()), (0, 0));
}

#[test]
fn ss_073_every_flipped_bit_is_noticed() {
    let (mut one, mut two) = (sealer((1, 1), 1), sealer((2, 4), 1));
    for to in [(2, 4), (2, 0), ALL] {
        let bytes = frame_of(&mut one, to, 9);
        for bit in 0..bytes.len() * 8 {
            let mut wrong = bytes.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            let Ok(outer) = frame::outer(&wrong) else {
                continue;
            };
            let opened = two.open(&outer, &mut Vec::new());
            assert!(opened.is_err(), "bit {bit} of {to:?}");
        }
        assert_eq!(two.len(), 0);
    }
}

#[test]
fn a_full_table_refuses_newcomers_and_keeps_the_known() {
    let mut five = sealer((5, 1), 1);
    for site in 1..=4 {
        let bytes = frame_of(&mut sealer((site, 1), 1), (5, 1), 1);
        assert_eq!(opens(&mut five, &bytes), Ok(1));
    }
    for to in [(5, 1), ALL] {
        let bytes = frame_of(&mut sealer((6, 1), 1), to, 1);
        assert_eq!(opens(&mut five, &bytes), Err(Refusal::Full));
    }
    assert_eq!(five.seal(0, (6, 1), &mut alloc::vec![0; 64]), None);
    let mut room = alloc::vec![0; 64];
    assert_eq!(five.seal(0, (4, 1), &mut room), Some(false));
}

proptest! {
    /// Frames of a sender that renews its key again and again, overtaken by up to a window: each is opened once, in whatever order they come.
    #[test]
    fn ss_076_renewals_lose_nothing_that_is_a_key_late(seed: u64, count in 1usize..400, renew in 20u32..200) {
        let seal = Seal { renew_frames: renew, ..Seal::new(KEY, 1) };
        let mut one = Sealer::new((1, 1), seal, 4);
        let mut two = sealer((2, 1), 1);
        let mut frames: Vec<_> = (0..count).map(|at| frame_of(&mut one, (2, 1), at as u64)).collect();
        // Within each ten in a row any may come before any.
        let mut chance = seed;
        for ten in frames.chunks_mut(10) {
            for at in 1..ten.len() {
                chance = chance.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                ten.swap(at, (chance >> 40) as usize % (at + 1));
            }
        }
        for bytes in &frames {
            prop_assert!(opens(&mut two, bytes).is_ok());
        }
        for bytes in &frames {
            prop_assert!(matches!(opens(&mut two, bytes), Err(Refusal::Replay | Refusal::Window)));
        }
    }
}
