//! What sites say of one another: probes, answers, news, and who is in which group.
//!
//! News travels on every probe and answer, and alone when something changed. The proof of a list of members is checked by `endpoint/groups`, not here.

use super::Malformed;
use super::bytes::Reader;
use alloc::vec::Vec;

/// Flag of a PING: this incarnation of the one who is asked is down for the sender.
pub const PING_OVER: u8 = 1;
/// Flag of a PING: the sender suspects the one who is asked.
pub const PING_SUSPECT: u8 = 2;
/// Flag of a PING: the sender has lately heard an answer of the one who is asked.
pub const PING_HEARD: u8 = 4;
const PING_FLAGS: u8 = PING_OVER | PING_SUSPECT | PING_HEARD;

/// What is said of a site.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Claim {
    /// It is there.
    Alive = 0,
    /// It does not answer.
    Suspect = 1,
    /// This incarnation is over.
    Down = 2,
}

/// One piece of news.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Item {
    /// The site.
    pub site: u16,
    /// Its incarnation.
    pub incarnation: u16,
    /// How often it refuted a suspicion in this incarnation: what is said of a lower number is old.
    pub life: u32,
    /// What is said.
    pub claim: Claim,
    /// Version of its list of members.
    pub groups: u32,
}

/// Bytes of an [`Item`].
pub const ITEM: usize = 13;
/// Items of a frame at most: they fit into the smallest.
pub const ITEMS_MAX: usize = 70;

/// What a site knows, in short, with some news.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct View<'a> {
    /// Sites that are there for the sender, itself included.
    pub live: u16,
    /// The lowest of them.
    pub lowest: u16,
    /// All of them with their incarnations and versions, as one number.
    pub digest: u64,
    items: &'a [u8],
}

impl<'a> View<'a> {
    /// A view with the items that [`View::push`] put into a list.
    pub fn new(live: u16, lowest: u16, digest: u64, items: &'a [u8]) -> View<'a> {
        View {
            live,
            lowest,
            digest,
            items,
        }
    }

    /// Appends one item to a list under construction.
    pub fn push(list: &mut Vec<u8>, item: &Item) {
        list.extend_from_slice(&item.site.to_le_bytes());
        list.extend_from_slice(&item.incarnation.to_le_bytes());
        list.extend_from_slice(&item.life.to_le_bytes());
        list.push(item.claim as u8);
        list.extend_from_slice(&item.groups.to_le_bytes());
    }

    /// The items.
    pub fn items(self) -> impl Iterator<Item = Item> + 'a {
        self.items
            .chunks_exact(ITEM)
            .filter_map(|bytes| Item::parse(&mut Reader::new(bytes)).ok())
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.live.to_le_bytes());
        out.extend_from_slice(&self.lowest.to_le_bytes());
        out.extend_from_slice(&self.digest.to_le_bytes());
        out.extend_from_slice(self.items);
    }

    fn parse(reader: &mut Reader<'a>) -> Result<View<'a>, Malformed> {
        let view = View {
            live: reader.u16()?,
            lowest: reader.u16()?,
            digest: reader.u64()?,
            items: reader.rest(),
        };
        let whole = view.items.len() / ITEM;
        if !view.items.len().is_multiple_of(ITEM) || view.items().count() != whole {
            return Err(Malformed);
        }
        Ok(view)
    }
}

impl Item {
    fn parse(reader: &mut Reader<'_>) -> Result<Item, Malformed> {
        let (site, incarnation, life) = (reader.u16()?, reader.u16()?, reader.u32()?);
        let claim = match reader.u8()? {
            0 => Claim::Alive,
            1 => Claim::Suspect,
            2 => Claim::Down,
            _ => return Err(Malformed),
        };
        let groups = reader.u32()?;
        let incarnations = 1..=chorus_abi::ui::EPOCH_MAX;
        if !(1..=chorus_abi::SITE_MAX).contains(&site) || !incarnations.contains(&incarnation) {
            return Err(Malformed);
        }
        Ok(Item {
            site,
            incarnation,
            life,
            claim,
            groups,
        })
    }
}

/// A site's word about itself when it comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hello {
    /// It answers probes and wants to be watched.
    pub watched: bool,
    /// As in [`Item`].
    pub life: u32,
    /// As in [`Item`].
    pub groups: u32,
}

/// Are you there?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ping<'a> {
    /// Comes back with the answer.
    pub nonce: u32,
    /// For whom the sender asks; 0: for itself.
    pub origin: u16,
    /// `PING_…`.
    pub flags: u8,
    /// News.
    pub view: View<'a>,
}

/// Yes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pong<'a> {
    /// Of the PING.
    pub nonce: u32,
    /// Who wanted to know; 0: the receiver.
    pub origin: u16,
    /// Who is there.
    pub subject: u16,
    /// In which incarnation.
    pub incarnation: u16,
    /// News.
    pub view: View<'a>,
}

/// Ask that one for me.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Relay {
    /// For the PING.
    pub nonce: u32,
    /// Whom to ask.
    pub subject: u16,
    /// In which incarnation.
    pub incarnation: u16,
}

/// A port is in a group, or is no longer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Membership {
    /// The group, without mode.
    pub group: u64,
    /// The port.
    pub port: u64,
}

/// Bytes of a membership in a frame, with whether it begins or ends.
const ENTRY: usize = 17;
/// Memberships of a frame at most.
pub const ENTRIES_MAX: usize = 58;

/// The members of groups on the sender's site: all of them, or what changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Groups<'a> {
    /// A part of the whole list; otherwise what changed after `base`.
    pub whole: bool,
    /// The version that the changes begin with.
    pub base: u32,
    /// The version that this is, or leads to.
    pub version: u32,
    /// Which part, below `count`.
    pub index: u8,
    /// Parts of the list.
    pub count: u8,
    /// Made of all this with the key of the cluster's groups.
    pub proof: u64,
    entries: &'a [u8],
}

impl<'a> Groups<'a> {
    /// A frame without entries and proof.
    pub fn new(whole: bool, base: u32, version: u32, index: u8, count: u8) -> Groups<'a> {
        Groups {
            whole,
            base,
            version,
            index,
            count,
            proof: 0,
            entries: &[],
        }
    }

    /// Appends an entry to a list under construction.
    pub fn push(list: &mut Vec<u8>, joins: bool, member: &Membership) {
        list.push(joins.into());
        list.extend_from_slice(&member.group.to_le_bytes());
        list.extend_from_slice(&member.port.to_le_bytes());
    }

    /// The frame with these entries.
    pub fn with(self, entries: &'a [u8]) -> Groups<'a> {
        Groups { entries, ..self }
    }

    /// The memberships, and whether each begins.
    pub fn entries(self) -> impl Iterator<Item = (bool, Membership)> + 'a {
        self.entries
            .chunks_exact(ENTRY)
            .filter_map(|bytes| parse_entry(bytes).ok())
    }

    /// All that the proof is made of, as words.
    pub fn words(self, site: u16, incarnation: u16) -> impl Iterator<Item = u64> + 'a {
        let shape =
            u64::from(self.whole) << 16 | u64::from(self.index) << 8 | u64::from(self.count);
        let head = [
            u64::from(site) << 16 | u64::from(incarnation),
            u64::from(self.base) << 32 | u64::from(self.version),
            shape,
        ];
        let entries = self.entries();
        head.into_iter()
            .chain(entries.flat_map(|(joins, member)| [joins.into(), member.group, member.port]))
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.whole.into());
        out.extend_from_slice(&self.base.to_le_bytes());
        out.extend_from_slice(&self.version.to_le_bytes());
        out.extend_from_slice(&[self.index, self.count]);
        out.extend_from_slice(&self.proof.to_le_bytes());
        out.extend_from_slice(self.entries);
    }

    fn parse(reader: &mut Reader<'a>) -> Result<Groups<'a>, Malformed> {
        let groups = Groups {
            whole: parse_flag(reader)?,
            base: reader.u32()?,
            version: reader.u32()?,
            index: reader.u8()?,
            count: reader.u8()?,
            proof: reader.u64()?,
            entries: reader.rest(),
        };
        let whole = groups.entries.len() / ENTRY;
        let well = groups.entries.len().is_multiple_of(ENTRY)
            && groups.index < groups.count
            && groups.entries().count() == whole;
        if well { Ok(groups) } else { Err(Malformed) }
    }
}

fn parse_flag(reader: &mut Reader<'_>) -> Result<bool, Malformed> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Malformed),
    }
}

fn parse_entry(bytes: &[u8]) -> Result<(bool, Membership), Malformed> {
    let reader = &mut Reader::new(bytes);
    let joins = parse_flag(reader)?;
    let (group, port) = (reader.u64()?, reader.u64()?);
    Ok((joins, Membership { group, port }))
}

/// What a frame of these kinds says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum News<'a> {
    /// The sender exists, in the incarnation of the header.
    Hello(Hello),
    /// Are you there?
    Ping(Ping<'a>),
    /// Yes, or: yes, that one is.
    Pong(Pong<'a>),
    /// Ask that one for me.
    Relay(Relay),
    /// News alone.
    Tell(View<'a>),
    /// Members of groups on the sender's site.
    Groups(Groups<'a>),
    /// The receiver's list is wanted; the sender has this version.
    GroupsAsk(u32),
}

/// The first and the last kind of these frames.
pub(super) const KINDS: core::ops::RangeInclusive<u8> = 14..=20;

impl<'a> News<'a> {
    pub(super) fn kind(&self) -> u8 {
        match self {
            News::Hello(_) => 14,
            News::Ping(_) => 15,
            News::Pong(_) => 16,
            News::Relay(_) => 17,
            News::Tell(_) => 18,
            News::Groups(_) => 19,
            News::GroupsAsk(_) => 20,
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            News::Hello(hello) => {
                out.push(hello.watched.into());
                out.extend_from_slice(&hello.life.to_le_bytes());
                out.extend_from_slice(&hello.groups.to_le_bytes());
            }
            News::Ping(ping) => {
                out.extend_from_slice(&ping.nonce.to_le_bytes());
                out.extend_from_slice(&ping.origin.to_le_bytes());
                out.push(ping.flags);
                ping.view.write(out);
            }
            News::Pong(pong) => {
                out.extend_from_slice(&pong.nonce.to_le_bytes());
                for number in [pong.origin, pong.subject, pong.incarnation] {
                    out.extend_from_slice(&number.to_le_bytes());
                }
                pong.view.write(out);
            }
            News::Relay(relay) => {
                out.extend_from_slice(&relay.nonce.to_le_bytes());
                out.extend_from_slice(&relay.subject.to_le_bytes());
                out.extend_from_slice(&relay.incarnation.to_le_bytes());
            }
            News::Tell(view) => view.write(out),
            News::Groups(groups) => groups.write(out),
            News::GroupsAsk(version) => out.extend_from_slice(&version.to_le_bytes()),
        }
    }

    pub(super) fn parse(kind: u8, reader: &mut Reader<'a>) -> Result<News<'a>, Malformed> {
        Ok(match kind {
            14 => News::Hello(Hello {
                watched: parse_flag(reader)?,
                life: reader.u32()?,
                groups: reader.u32()?,
            }),
            15 => {
                let (nonce, origin, flags) = (reader.u32()?, reader.u16()?, reader.u8()?);
                if flags & !PING_FLAGS != 0 {
                    return Err(Malformed);
                }
                let view = View::parse(reader)?;
                News::Ping(Ping {
                    nonce,
                    origin,
                    flags,
                    view,
                })
            }
            16 => News::Pong(Pong {
                nonce: reader.u32()?,
                origin: reader.u16()?,
                subject: reader.u16()?,
                incarnation: reader.u16()?,
                view: View::parse(reader)?,
            }),
            17 => News::Relay(Relay {
                nonce: reader.u32()?,
                subject: reader.u16()?,
                incarnation: reader.u16()?,
            }),
            18 => News::Tell(View::parse(reader)?),
            19 => News::Groups(Groups::parse(reader)?),
            20 => News::GroupsAsk(reader.u32()?),
            _ => return Err(Malformed),
        })
    }
}
