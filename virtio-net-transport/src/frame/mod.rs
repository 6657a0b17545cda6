//! Frame layout: Ethernet header, common header, payload.
//!
//! One typed description serves both directions: what [`write`] makes, [`parse`] takes apart, and anything else is [`Malformed`].
//! Numbers are little-endian except in the Ethernet header. The table of the layout is in `docs/protocol.md`.

pub(crate) mod bytes;
pub mod news;
mod payload;
mod verbs;

pub use news::News;
pub use payload::{Acks, Data, KIND_NAMES, Nack, Of, Payload, Piece, Place, Reason, Reply, Txn};
pub use verbs::Verb;

use alloc::vec::Vec;
use bytes::Reader;
use chorus_abi::ui::EPOCH_MAX;

/// EtherType of all frames: the one for local experiments.
pub const ETHERTYPE: u16 = 0x88B5;
/// Version of the protocol in every frame.
pub const VERSION: u8 = 1;
/// Bytes of the Ethernet header.
pub const ETHERNET: usize = 14;
/// Bytes of the common header.
pub const HEADER: usize = 28;
/// Where the fields that sealing changes stand in a frame.
pub(crate) const FLAGS_AT: usize = ETHERNET + 2;
pub(crate) const COUNTER_AT: usize = ETHERNET + 12;
pub(crate) const LENGTH_AT: usize = ETHERNET + 20;
/// Bytes of a data frame that are not content: Ethernet header, common header, header of the message.
pub const DATA_OVERHEAD: usize = ETHERNET + HEADER + payload::DATA_HEADER;
/// Largest frame in bytes: the largest message in one frame, sealed.
pub const MTU_MAX: usize = DATA_OVERHEAD + crate::seal::OVERHEAD + crate::fragments::CONTENT_MAX;

/// Flag of a REPLY: the server is short of memory and asks for an acknowledgement at once.
pub const FLAG_ACK_NOW: u16 = 1 << 0;
/// Flag of a data frame: the content begins with an annex.
pub const FLAG_ANNEX: u16 = 1 << 1;
/// Flag of a sealed frame: the payload is to be opened with the cluster's key (`crate::seal`).
pub const FLAG_SEALED: u16 = 1 << 15;
/// All flags of this version that say something about the payload. A frame with an unknown one is refused.
const FLAGS: u16 = FLAG_ACK_NOW | FLAG_ANNEX;

/// The common header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// `FLAG_…`.
    pub flags: u16,
    /// To which site; 0: to all.
    pub dst_site: u16,
    /// From which site.
    pub src_site: u16,
    /// Incarnation of the destination that the sender means; 0 where none is meant.
    pub dst_incarnation: u16,
    /// Incarnation of the sender.
    pub src_incarnation: u16,
    /// Counts the sender's frames. Of a sealed frame: number of the key above, number of the frame under it below (32 bits each).
    pub counter: u64,
    /// Largest frame that the sender takes.
    pub mtu: u32,
}

/// A frame taken apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame<'a> {
    /// Common header.
    pub header: Header,
    /// The rest.
    pub payload: Payload<'a>,
}

/// The bytes are no frame of this protocol, or its parts contradict each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

/// Ethernet address of a site; 0 stands for all sites.
pub const fn mac(site: u16) -> [u8; 6] {
    let [high, low] = site.to_be_bytes();
    if site == 0 {
        [0xFF; 6]
    } else {
        [0x02, 0x43, 0x48, 0x00, high, low]
    }
}

/// Writes a whole Ethernet frame into `out`, replacing what was there.
pub fn write(header: &Header, payload: &Payload<'_>, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&mac(header.dst_site));
    out.extend_from_slice(&mac(header.src_site));
    out.extend_from_slice(&ETHERTYPE.to_be_bytes());
    out.push(VERSION);
    out.push(payload.kind());
    for field in [
        header.flags | payload.flags(),
        header.dst_site,
        header.src_site,
        header.dst_incarnation,
        header.src_incarnation,
    ] {
        out.extend_from_slice(&field.to_le_bytes());
    }
    out.extend_from_slice(&header.counter.to_le_bytes());
    let length_at = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&header.mtu.to_le_bytes()[..4]);
    payload.write(out);
    let length = (out.len() - ETHERNET - HEADER) as u32;
    out[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
}

/// Bytes from the start of a frame that [`peek`] looks at.
pub const PEEK: usize = ETHERNET + 12;

/// What a frame says of itself before it is parsed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Peek {
    /// Its kind, index into [`KIND_NAMES`].
    pub kind: u8,
    /// The incarnation of its sender.
    pub incarnation: u16,
}

/// What is said at the start of a frame; nothing else of it is looked at. `None`: it is no frame of this protocol.
pub fn peek(frame: &[u8]) -> Option<Peek> {
    let start = frame.get(..PEEK)?;
    let ours = start[12..ETHERNET] == ETHERTYPE.to_be_bytes();
    ours.then_some(Peek {
        kind: start[ETHERNET + 1],
        incarnation: u16::from_le_bytes([start[ETHERNET + 10], start[ETHERNET + 11]]),
    })
}

/// A frame whose header was understood and whose payload was not looked at yet: it may be sealed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outer<'a> {
    /// Common header, with all flags as they came.
    pub header: Header,
    /// Kind, as it came.
    pub kind: u8,
    /// The bytes of the common header.
    pub bytes: &'a [u8],
    /// As many bytes behind it as it says.
    pub payload: &'a [u8],
}

/// Takes a whole Ethernet frame apart as far as its header goes. Bytes after the payload (padding to 60) are ignored; a sealed frame has none.
pub fn outer(frame: &[u8]) -> Result<Outer<'_>, Malformed> {
    let (ethernet, rest) = frame.split_at_checked(ETHERNET).ok_or(Malformed)?;
    if ethernet[12..] != ETHERTYPE.to_be_bytes() {
        return Err(Malformed);
    }
    let (bytes, mut payload) = rest.split_at_checked(HEADER).ok_or(Malformed)?;
    let mut reader = Reader::new(bytes);
    let (version, kind) = (reader.u8()?, reader.u8()?);
    let flags = reader.u16()?;
    let header = Header {
        flags,
        dst_site: reader.u16()?,
        src_site: reader.u16()?,
        dst_incarnation: reader.u16()?,
        src_incarnation: reader.u16()?,
        counter: reader.u64()?,
        mtu: 0,
    };
    let length = reader.u32()? as usize;
    let header = Header {
        mtu: reader.u32()?,
        ..header
    };
    let sites = 1..=chorus_abi::SITE_MAX;
    let well_formed = version == VERSION
        && flags & !(FLAGS | FLAG_SEALED) == 0
        && sites.contains(&header.src_site)
        && (header.dst_site == 0 || sites.contains(&header.dst_site))
        && (1..=EPOCH_MAX).contains(&header.src_incarnation)
        && ethernet[..6] == mac(header.dst_site)
        && ethernet[6..12] == mac(header.src_site);
    let sealed = flags & FLAG_SEALED != 0;
    if !well_formed || (sealed && length != payload.len()) {
        return Err(Malformed);
    }
    payload = payload.get(..length).ok_or(Malformed)?;
    Ok(Outer {
        header,
        kind,
        bytes,
        payload,
    })
}

/// The frame of this header with this payload: the header's own, or what was sealed in it.
pub fn inner<'a>(outer: &Outer<'_>, payload: &'a [u8]) -> Result<Frame<'a>, Malformed> {
    let header = Header {
        flags: outer.header.flags & !FLAG_SEALED,
        ..outer.header
    };
    let payload = Payload::parse(outer.kind, &header, payload)?;
    Ok(Frame {
        header: Header {
            flags: header.flags & !payload.flags(),
            ..header
        },
        payload,
    })
}

/// Takes a whole Ethernet frame that is not sealed apart.
pub fn parse(frame: &[u8]) -> Result<Frame<'_>, Malformed> {
    let outer = outer(frame)?;
    if outer.header.flags & FLAG_SEALED != 0 {
        return Err(Malformed);
    }
    inner(&outer, outer.payload)
}

#[cfg(test)]
mod tests;
