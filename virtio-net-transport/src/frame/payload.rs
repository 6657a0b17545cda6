//! The messages between endpoints.
//!
//! A payload is fully checked here: whoever gets one may index by its fields.

use super::bytes::Reader;
use super::news::{self, News};
use super::{FLAG_ACK_NOW, FLAG_ANNEX, Header, Malformed, Verb};
use crate::fragments::{CONTENT_MAX, PIECES_MAX, count};
use alloc::vec::Vec;
use chorus_abi::{K_CMSGANNEXSIZE, KnProtId, KnUniqueId};

/// Bytes of a REQUEST's or SEND's own header.
pub(super) const DATA_HEADER: usize = TXN + PIECE + 3 * 8 + 4 + 12;
const TXN: usize = 2 + 8;
const PIECE: usize = 1 + 1 + 4 + 4;

/// Names of the kinds, index = number, for people.
pub const KIND_NAMES: [&str; 28] = [
    "",
    "REQUEST",
    "SEND",
    "REPLY",
    "ACK",
    "PROGRESS",
    "PROBE",
    "MISSING",
    "NACK",
    "CANCEL",
    "CANCELLED",
    "LOCATE",
    "HERE",
    "NOT-HERE",
    "HELLO",
    "PING",
    "PONG",
    "RELAY",
    "NEWS",
    "GROUPS",
    "GROUPS-ASK",
    "PREPARE",
    "ACTIVATE",
    "ASK",
    "HAVE",
    "PASS",
    "PASS-SEND",
    "MOVED",
];

/// Names a transaction, together with the client's site and incarnation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Txn {
    /// The client's channel to this server site.
    pub channel: u16,
    /// Number of the attempt; grows over all channels to the site, never used twice.
    pub seq: u64,
}

/// A piece of a message's content.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Piece<'a> {
    /// Which piece, below `count`.
    pub index: u8,
    /// How many pieces, 1…64.
    pub count: u8,
    /// Bytes of all pieces but the last.
    pub size: u32,
    /// Bytes of the content.
    pub total: u32,
    /// The bytes; exactly those of this piece.
    pub bytes: &'a [u8],
}

/// A piece of a request or of an asynchronous message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Data<'a> {
    /// What it is for; of an asynchronous message without meaning.
    pub verb: Verb,
    /// The transaction; of an asynchronous message the channel is 0 and the number counts messages.
    pub txn: Txn,
    /// Piece of the content.
    pub piece: Piece<'a>,
    /// Whether the content begins with an annex.
    pub annex: bool,
    /// Target as the client gave it.
    pub target: KnUniqueId,
    /// Co-target.
    pub co_target: KnUniqueId,
    /// Source port.
    pub src_port: KnUniqueId,
    /// Moves of the port between sites that the sender knows of; of a move, its number.
    pub port_epoch: u32,
    /// Protection identifier of the actor.
    pub actor_pi: KnProtId,
    /// Protection identifier of the source port.
    pub port_pi: KnProtId,
}

/// A piece of a reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reply<'a> {
    /// The transaction.
    pub txn: Txn,
    /// Piece of the content.
    pub piece: Piece<'a>,
    /// Whether the content begins with an annex.
    pub annex: bool,
    /// The server asks for an ACK at once.
    pub ack_now: bool,
    /// 0, or the error with which the request ended.
    pub result: i32,
}

/// Whose message a MISSING or NACK is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Of {
    /// A request.
    Request = 0,
    /// A reply.
    Reply = 1,
    /// An asynchronous message.
    Send = 2,
}

/// Why a message was refused. All are final for the number that they name: it is never executed afterwards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Reason {
    /// The port or a member of the group is not here. Not executed.
    NotHere = 1,
    /// The co-target is here, but no member of the group. Not executed.
    NoMember = 2,
    /// Queue or table full; try again with a new number. Not executed.
    Busy = 3,
    /// Meant for an earlier incarnation of this site. Whether that executed it is unknown.
    Rebooted = 4,
    /// The server remembers nothing of the number any more. Outcome unknown.
    Forgotten = 5,
    /// The Nucleus refused it for good, with `result`. Not executed.
    Error = 6,
}

/// A refusal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Nack {
    /// The refused attempt (or number of the asynchronous message).
    pub txn: Txn,
    /// What was refused.
    pub of: Of,
    /// Why.
    pub reason: Reason,
    /// The Nucleus' error for [`Reason::Error`].
    pub result: i32,
    /// Target of what was refused.
    pub target: KnUniqueId,
    /// Its co-target.
    pub co_target: KnUniqueId,
    /// Where it may be instead.
    pub hint: Place,
}

/// Where a port is: site, incarnation, how often it moved. Zeros: nothing is known.
pub type Place = (u16, u16, u32);

/// Transactions whose replies arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Acks<'a> {
    bytes: &'a [u8],
}

impl<'a> Acks<'a> {
    /// From the bytes that [`Acks::push`] made.
    pub fn new(bytes: &'a [u8]) -> Self {
        Acks {
            bytes: &bytes[..bytes.len() - bytes.len() % TXN],
        }
    }

    /// Appends one transaction to a list under construction.
    pub fn push(list: &mut Vec<u8>, txn: Txn) {
        txn.write(list);
    }

    /// The transactions.
    pub fn iter(self) -> impl Iterator<Item = Txn> + 'a {
        self.bytes
            .chunks_exact(TXN)
            .filter_map(|bytes| Txn::parse(&mut Reader::new(bytes)).ok())
    }
}

/// What a frame says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(
    missing_docs,
    reason = "the fields are named by what they carry; docs/protocol.md has the table"
)]
pub enum Payload<'a> {
    /// A piece of a request.
    Request(Data<'a>),
    /// A piece of an asynchronous message.
    Send(Data<'a>),
    /// A piece of a reply.
    Reply(Reply<'a>),
    /// Client to server: these replies arrived.
    Ack(Acks<'a>),
    /// Server to client: the request is in service.
    Progress(Txn),
    /// Client to server: what of this transaction?
    Probe(Txn),
    /// These pieces are there (bits), send the others.
    Missing { txn: Txn, of: Of, received: u64 },
    /// A refusal.
    Nack(Nack),
    /// Client to server: the client left.
    Cancel(Txn),
    /// Server to client: it is not and will not be executed any more, or its end is of no interest.
    Cancelled(Txn),
    /// Who has this name?
    Locate {
        ui: KnUniqueId,
        co_target: KnUniqueId,
        nonce: u64,
    },
    /// The sender has it.
    Here {
        ui: KnUniqueId,
        co_target: KnUniqueId,
        nonce: u64,
        port_epoch: u32,
    },
    /// The sender, who was asked alone, has it not.
    NotHere {
        ui: KnUniqueId,
        co_target: KnUniqueId,
        nonce: u64,
    },
    /// The port is there: the answer of a site that was asked alone, or (nonce 0) a report to the site that made it.
    Moved {
        ui: KnUniqueId,
        nonce: u64,
        hint: Place,
    },
    /// Of sites, about sites.
    News(News<'a>),
}

impl Txn {
    fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.channel.to_le_bytes());
        out.extend_from_slice(&self.seq.to_le_bytes());
    }

    fn parse(reader: &mut Reader<'_>) -> Result<Txn, Malformed> {
        let txn = Txn {
            channel: reader.u16()?,
            seq: reader.u64()?,
        };
        // Numbers start at 1, so that 0 can mean "none yet" in every table.
        if txn.seq == 0 {
            Err(Malformed)
        } else {
            Ok(txn)
        }
    }
}

impl<'a> Piece<'a> {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.index);
        out.push(self.count);
        out.extend_from_slice(&self.size.to_le_bytes());
        out.extend_from_slice(&self.total.to_le_bytes());
    }

    /// Reads the four numbers; the bytes are the rest of the frame, given to [`Piece::with_bytes`].
    fn parse(reader: &mut Reader<'_>) -> Result<Piece<'a>, Malformed> {
        Ok(Piece {
            index: reader.u8()?,
            count: reader.u8()?,
            size: reader.u32()?,
            total: reader.u32()?,
            bytes: &[],
        })
    }

    fn with_bytes(self, annex: bool, bytes: &'a [u8]) -> Result<Piece<'a>, Malformed> {
        let (total, size, index) = (self.total as usize, self.size as usize, self.index as usize);
        let consistent = total <= CONTENT_MAX
            && (1..=total.max(1)).contains(&size)
            && (!annex || total >= K_CMSGANNEXSIZE)
            && (1..=PIECES_MAX).contains(&(self.count as usize))
            && self.count as usize == count(total, size)
            && index < self.count as usize
            && bytes.len() == (total - index * size).min(size);
        if consistent {
            Ok(Piece { bytes, ..self })
        } else {
            Err(Malformed)
        }
    }
}

fn write_ui(ui: KnUniqueId, out: &mut Vec<u8>) {
    out.extend_from_slice(&ui.word().to_le_bytes());
}

fn parse_ui(reader: &mut Reader<'_>) -> Result<KnUniqueId, Malformed> {
    Ok(KnUniqueId::from_word(reader.u64()?))
}

fn write_place(place: Place, out: &mut Vec<u8>) {
    out.extend_from_slice(&place.0.to_le_bytes());
    out.extend_from_slice(&place.1.to_le_bytes());
    out.extend_from_slice(&place.2.to_le_bytes());
}

fn parse_place(reader: &mut Reader<'_>) -> Result<Place, Malformed> {
    Ok((reader.u16()?, reader.u16()?, reader.u32()?))
}

fn parse_pi(reader: &mut Reader<'_>) -> Result<KnProtId, Malformed> {
    Ok(KnProtId {
        uid: reader.u16()?,
        gid: reader.u16()?,
        did: reader.u16()?,
        pad: 0,
    })
}

fn parse_of(reader: &mut Reader<'_>) -> Result<Of, Malformed> {
    match reader.u8()? {
        0 => Ok(Of::Request),
        1 => Ok(Of::Reply),
        2 => Ok(Of::Send),
        _ => Err(Malformed),
    }
}

fn parse_reason(reader: &mut Reader<'_>) -> Result<Reason, Malformed> {
    match reader.u8()? {
        1 => Ok(Reason::NotHere),
        2 => Ok(Reason::NoMember),
        3 => Ok(Reason::Busy),
        4 => Ok(Reason::Rebooted),
        5 => Ok(Reason::Forgotten),
        6 => Ok(Reason::Error),
        _ => Err(Malformed),
    }
}

impl<'a> Data<'a> {
    fn write(&self, out: &mut Vec<u8>) {
        self.txn.write(out);
        self.piece.write(out);
        for ui in [self.target, self.co_target, self.src_port] {
            write_ui(ui, out);
        }
        out.extend_from_slice(&self.port_epoch.to_le_bytes());
        for pi in [self.actor_pi, self.port_pi] {
            for field in [pi.uid, pi.gid, pi.did] {
                out.extend_from_slice(&field.to_le_bytes());
            }
        }
        out.extend_from_slice(self.piece.bytes);
    }

    fn parse(kind: u8, reader: &mut Reader<'a>, annex: bool) -> Result<Data<'a>, Malformed> {
        let (txn, piece) = (Txn::parse(reader)?, Piece::parse(reader)?);
        let target = parse_ui(reader)?;
        Ok(Data {
            verb: Verb::of(kind, target)?,
            txn,
            annex,
            target,
            co_target: parse_ui(reader)?,
            src_port: parse_ui(reader)?,
            port_epoch: reader.u32()?,
            actor_pi: parse_pi(reader)?,
            port_pi: parse_pi(reader)?,
            piece: piece.with_bytes(annex, reader.rest())?,
        })
    }
}

impl<'a> Payload<'a> {
    /// Whether it is about sites, not of their messages.
    pub fn is_news(&self) -> bool {
        matches!(self, Payload::News(_))
    }

    /// What its sender says of all sites, if it does.
    pub fn view(&self) -> Option<news::View<'a>> {
        match self {
            Payload::News(News::Ping(ping)) => Some(ping.view),
            Payload::News(News::Pong(pong)) => Some(pong.view),
            Payload::News(News::Tell(view)) => Some(*view),
            _ => None,
        }
    }

    /// Number of the kind in the frame.
    pub fn kind(&self) -> u8 {
        match self {
            Payload::Request(data) => data.verb as u8,
            Payload::Send(_) => 2,
            Payload::Reply(_) => 3,
            Payload::Ack(_) => 4,
            Payload::Progress(_) => 5,
            Payload::Probe(_) => 6,
            Payload::Missing { .. } => 7,
            Payload::Nack(_) => 8,
            Payload::Cancel(_) => 9,
            Payload::Cancelled(_) => 10,
            Payload::Locate { .. } => 11,
            Payload::Here { .. } => 12,
            Payload::NotHere { .. } => 13,
            Payload::Moved { .. } => 27,
            Payload::News(news) => news.kind(),
        }
    }

    /// The flags in the common header that belong to the payload.
    pub(super) fn flags(&self) -> u16 {
        match self {
            Payload::Request(data) | Payload::Send(data) => u16::from(data.annex) * FLAG_ANNEX,
            Payload::Reply(reply) => {
                (u16::from(reply.annex) * FLAG_ANNEX) | (u16::from(reply.ack_now) * FLAG_ACK_NOW)
            }
            _ => 0,
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Payload::Request(data) | Payload::Send(data) => data.write(out),
            Payload::Reply(reply) => {
                reply.txn.write(out);
                reply.piece.write(out);
                out.extend_from_slice(&reply.result.to_le_bytes());
                out.extend_from_slice(reply.piece.bytes);
            }
            Payload::Ack(acks) => out.extend_from_slice(acks.bytes),
            Payload::Progress(txn)
            | Payload::Probe(txn)
            | Payload::Cancel(txn)
            | Payload::Cancelled(txn) => txn.write(out),
            Payload::Missing { txn, of, received } => {
                txn.write(out);
                out.push(*of as u8);
                out.extend_from_slice(&received.to_le_bytes());
            }
            Payload::Nack(nack) => {
                nack.txn.write(out);
                out.push(nack.of as u8);
                out.push(nack.reason as u8);
                out.extend_from_slice(&nack.result.to_le_bytes());
                write_ui(nack.target, out);
                write_ui(nack.co_target, out);
                write_place(nack.hint, out);
            }
            Payload::Locate {
                ui,
                co_target,
                nonce,
            }
            | Payload::Here {
                ui,
                co_target,
                nonce,
                ..
            }
            | Payload::NotHere {
                ui,
                co_target,
                nonce,
            } => {
                write_ui(*ui, out);
                write_ui(*co_target, out);
                out.extend_from_slice(&nonce.to_le_bytes());
                if let Payload::Here { port_epoch, .. } = self {
                    out.extend_from_slice(&port_epoch.to_le_bytes());
                }
            }
            Payload::Moved { ui, nonce, hint } => {
                write_ui(*ui, out);
                out.extend_from_slice(&nonce.to_le_bytes());
                write_place(*hint, out);
            }
            Payload::News(news) => news.write(out),
        }
    }

    pub(super) fn parse(
        kind: u8,
        header: &Header,
        bytes: &'a [u8],
    ) -> Result<Payload<'a>, Malformed> {
        let annex = header.flags & FLAG_ANNEX != 0;
        let reader = &mut Reader::new(bytes);
        let payload = match kind {
            1 | 21..=26 => Payload::Request(Data::parse(kind, reader, annex)?),
            2 => Payload::Send(Data::parse(1, reader, annex)?),
            3 => {
                let (txn, piece, result) = (
                    Txn::parse(reader)?,
                    Piece::parse(reader)?,
                    reader.u32()? as i32,
                );
                let ack_now = header.flags & FLAG_ACK_NOW != 0;
                Payload::Reply(Reply {
                    txn,
                    annex,
                    ack_now,
                    result,
                    piece: piece.with_bytes(annex, reader.rest())?,
                })
            }
            4 if bytes.len().is_multiple_of(TXN) => Payload::Ack(Acks {
                bytes: reader.rest(),
            }),
            5 => Payload::Progress(Txn::parse(reader)?),
            6 => Payload::Probe(Txn::parse(reader)?),
            7 => Payload::Missing {
                txn: Txn::parse(reader)?,
                of: parse_of(reader)?,
                received: reader.u64()?,
            },
            8 => Payload::Nack(Nack {
                txn: Txn::parse(reader)?,
                of: parse_of(reader)?,
                reason: parse_reason(reader)?,
                result: reader.u32()? as i32,
                target: parse_ui(reader)?,
                co_target: parse_ui(reader)?,
                hint: parse_place(reader)?,
            }),
            9 => Payload::Cancel(Txn::parse(reader)?),
            10 => Payload::Cancelled(Txn::parse(reader)?),
            11..=13 => {
                let (ui, co_target, nonce) = (parse_ui(reader)?, parse_ui(reader)?, reader.u64()?);
                match kind {
                    11 => Payload::Locate {
                        ui,
                        co_target,
                        nonce,
                    },
                    12 => Payload::Here {
                        ui,
                        co_target,
                        nonce,
                        port_epoch: reader.u32()?,
                    },
                    _ => Payload::NotHere {
                        ui,
                        co_target,
                        nonce,
                    },
                }
            }
            27 => Payload::Moved {
                ui: parse_ui(reader)?,
                nonce: reader.u64()?,
                hint: parse_place(reader)?,
            },
            kind if news::KINDS.contains(&kind) => Payload::News(News::parse(kind, reader)?),
            _ => return Err(Malformed),
        };
        if !reader.is_empty() || header.flags != payload.flags() {
            return Err(Malformed);
        }
        Ok(payload)
    }
}
