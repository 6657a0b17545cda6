//! Frames of the byte stream between the emulated host and the outside.
//!
//! One stream carries everything: output, status, files, and the connections to a cluster's sockets. This file only
//! turns frames into bytes and back; [`super::link`] moves them. Both ends are the same build, so there is no negotiation;
//! the mark in each header catches a stream that lost its place.

/// Bytes of a frame before its body: kind, mark, length (two, little-endian), stream (four, little-endian).
pub(super) const HEADER: usize = 8;
const MARK: u8 = 0xC5;

/// Standard input, output and error of the command inside.
pub(super) const STDIN: u32 = 1;
/// See [`STDIN`].
pub(super) const STDOUT: u32 = 2;
/// See [`STDIN`].
pub(super) const STDERR: u32 = 3;
/// Streams of carried connections count up from here.
pub(super) const CONNECTIONS: u32 = 0x100;
/// Streams of result files count up from here, in the order of the job.
pub(super) const RESULTS: u32 = 0x8000_0000;

/// What a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// The inner side is up. Body: the kernel's release.
    Hello = 1,
    /// Connect this new stream inside. Body: `u` and a socket's path, or `t` and a TCP port in digits.
    Open = 2,
    /// Bytes of a stream.
    Data = 3,
    /// No more bytes come from this side of the stream.
    Close = 4,
    /// The stream is gone in both directions.
    Reset = 5,
    /// The receiver has dealt with so many bytes (four, little-endian) of the stream.
    Credit = 6,
    /// Send this signal (four bytes) to the command.
    Signal = 7,
    /// A socket appeared inside. Body: its path.
    Appeared = 8,
    /// A socket went away inside. Body: its path.
    Vanished = 9,
    /// Still alive.
    Beat = 10,
    /// The command ended. Body: its wait status (four bytes).
    Exit = 11,
    /// Everything has been sent; the machine ends when the outside has said [`Kind::Bye`]. Without this frame it crashed.
    Done = 12,
    /// A line for people, from the inner side itself.
    Log = 13,
    /// The outside has everything up to the frame `Done`. Linux ends a write to a virtio port before QEMU has taken it, so only this tells.
    Bye = 14,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Kind> {
        const ALL: [Kind; 14] = [
            Kind::Hello,
            Kind::Open,
            Kind::Data,
            Kind::Close,
            Kind::Reset,
            Kind::Credit,
            Kind::Signal,
            Kind::Appeared,
            Kind::Vanished,
            Kind::Beat,
            Kind::Exit,
            Kind::Done,
            Kind::Log,
            Kind::Bye,
        ];
        ALL.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub kind: Kind,
    pub stream: u32,
    pub body: Vec<u8>,
}

impl Frame {
    /// The number in a body of four bytes.
    pub(super) fn number(&self) -> Option<u32> {
        Some(u32::from_le_bytes(self.body.as_slice().try_into().ok()?))
    }
}

/// Appends a frame to `out`. A body longer than 65,535 bytes is cut; senders split before.
pub(super) fn encode(kind: Kind, stream: u32, body: &[u8], out: &mut Vec<u8>) {
    let length = u16::try_from(body.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&[kind as u8, MARK]);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&stream.to_le_bytes());
    out.extend_from_slice(&body[..usize::from(length)]);
}

/// The stream does not hold frames (any more).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bytes that are no frame on the link to the emulated host (kind {kind}, mark {mark:#x})")]
pub(super) struct NotAFrame {
    kind: u8,
    mark: u8,
}

/// Cuts a byte stream into frames, however it arrives in pieces.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    pending: Vec<u8>,
    used: usize,
}

impl Decoder {
    /// Takes the next piece of the stream.
    pub(super) fn feed(&mut self, piece: &[u8]) {
        if self.used > 0 {
            self.pending.drain(..self.used);
            self.used = 0;
        }
        self.pending.extend_from_slice(piece);
    }

    /// The next whole frame, or nothing until more is fed. After an error the stream is lost.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, NotAFrame> {
        let rest = &self.pending[self.used..];
        let Some((header, rest)) = rest.split_first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let [kind, mark, l0, l1, s0, s1, s2, s3] = *header;
        let Some(known) = Kind::from_byte(kind).filter(|_| mark == MARK) else {
            return Err(NotAFrame { kind, mark });
        };
        let length = usize::from(u16::from_le_bytes([l0, l1]));
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        let frame = Frame {
            kind: known,
            stream: u32::from_le_bytes([s0, s1, s2, s3]),
            body: body.to_vec(),
        };
        self.used += HEADER + length;
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BODY_MAX: usize = u16::MAX as usize;

    fn any_frame() -> impl Strategy<Value = Frame> {
        (
            1u8..=13,
            any::<u32>(),
            proptest::collection::vec(any::<u8>(), 0..300),
        )
            .prop_map(|(kind, stream, body)| Frame {
                kind: Kind::from_byte(kind).expect("1 to 13 are kinds"),
                stream,
                body,
            })
    }

    fn drain(decoder: &mut Decoder) -> Result<Vec<Frame>, NotAFrame> {
        std::iter::from_fn(|| decoder.next().transpose()).collect()
    }

    proptest! {
        #[test]
        fn frames_survive_any_cutting(frames in proptest::collection::vec(any_frame(), 0..20), cuts in proptest::collection::vec(1usize..64, 1..50)) {
            let mut bytes = Vec::new();
            for frame in &frames {
                encode(frame.kind, frame.stream, &frame.body, &mut bytes);
            }
            let mut decoder = Decoder::default();
            let mut seen = Vec::new();
            let mut rest = bytes.as_slice();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                decoder.feed(piece);
                seen.extend(drain(&mut decoder)?);
                rest = after;
            }
            prop_assert_eq!(seen, frames);
            prop_assert_eq!(decoder.next(), Ok(None));
        }

        #[test]
        fn any_bytes_are_taken_without_panic(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..100), 0..10)) {
            let mut decoder = Decoder::default();
            for piece in pieces {
                decoder.feed(&piece);
                if drain(&mut decoder).is_err() {
                    break;
                }
            }
        }
    }

    #[test]
    fn longest_body_fits_and_a_lost_place_is_noticed() {
        let body = vec![7; BODY_MAX];
        let mut bytes = Vec::new();
        encode(Kind::Data, 9, &body, &mut bytes);
        assert_eq!(bytes.len(), HEADER + BODY_MAX);
        let mut decoder = Decoder::default();
        decoder.feed(&bytes);
        assert_eq!(
            decoder.next(),
            Ok(Some(Frame {
                kind: Kind::Data,
                stream: 9,
                body
            }))
        );
        decoder.feed(b"[    3.1] printk");
        assert!(decoder.next().is_err());
    }
}
