//! What an endpoint tells people of itself: counters, tables, other sites, calls, locations.
//!
//! A [`View`] is a copy, made on demand ([`Endpoint::view`](crate::Endpoint::view)); `chorus net` asks a site's Network Manager for its bytes ([`NET_VIEW`](chorus_abi::services::NET_VIEW)).
//! Tables are bounded: a view says how many rows there are and has the first of them, so that it always fits a message. The reader believes nothing: any bytes are a view or none.

use crate::counters::{Counters, Sizes};
use crate::frame::bytes::Reader;
use crate::members::Standing;
use alloc::vec::Vec;

/// First bytes of a view; another number is another layout.
const LAYOUT: u32 = 0x3156_4E43;
/// Most rows of each table.
pub const ROWS: usize = 384;

/// Numbers that make a row, in order.
trait Row: Sized {
    fn put(&self, out: &mut Vec<u8>);
    fn read(from: &mut Reader<'_>) -> Option<Self>;
}

/// Rows of a table, as many as there is room for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Table<T> {
    /// Rows that there are.
    pub total: u32,
    /// The first of them.
    pub rows: Vec<T>,
}

impl<T> Table<T> {
    /// The table of `all`, of which the first are made into rows.
    pub(crate) fn of<A>(all: impl Iterator<Item = A>, row: impl Fn(A) -> T) -> Table<T> {
        let mut table = Table {
            total: 0,
            rows: Vec::new(),
        };
        for item in all {
            table.total += 1;
            if table.rows.len() < ROWS {
                table.rows.push(row(item));
            }
        }
        table
    }
}

fn put<T: Row>(table: &Table<T>, out: &mut Vec<u8>) {
    out.extend_from_slice(&table.total.to_le_bytes());
    out.extend_from_slice(&(table.rows.len() as u32).to_le_bytes());
    table.rows.iter().for_each(|row| row.put(out));
}

fn read<T: Row>(from: &mut Reader<'_>) -> Option<Table<T>> {
    let total = from.u32().ok()?;
    let count = from.u32().ok()? as usize;
    if count > ROWS {
        return None;
    }
    let rows = (0..count).map(|_| T::read(from)).collect::<Option<_>>()?;
    Some(Table { total, rows })
}

macro_rules! rows {
    ($($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident: $type:ident,)* })*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub struct $name { $($(#[$fdoc])* pub $field: $type,)* }

        impl Row for $name {
            fn put(&self, out: &mut Vec<u8>) {
                $(out.extend_from_slice(&self.$field.to_le_bytes());)*
            }

            fn read(from: &mut Reader<'_>) -> Option<Self> {
                Some($name { $($field: from.$type().ok()?,)* })
            }
        }
    )* };
}

rows! {
    /// Another site. Times are nanoseconds before the view was made, `u64::MAX` for never.
    Peer {
        /// Its number.
        site: u16,
        /// Its incarnation.
        incarnation: u16,
        /// What it is for this site: see [`standing_of`].
        standing: u8,
        /// 1: reached by way of others only; 2: takes part in the watch.
        flags: u8,
        /// Largest frame that it takes, in bytes; 0: not heard of.
        mtu: u32,
        /// Calls to it that are under way.
        calls: u32,
        /// Calls to it that wait for a channel.
        queued: u32,
        /// Requests of it that are in service here.
        serving: u32,
        /// Replies kept for it.
        kept: u32,
        /// When it last answered.
        heard: u64,
    }
    /// A call of a client of this site.
    Call {
        /// The port or group that is called.
        target: u64,
        /// Where it stands: an index into [`CALL_STATES`].
        state: u8,
        /// The site that it was sent to; 0: none yet.
        site: u16,
        /// Times that it was refused and sent elsewhere.
        redirections: u8,
        /// Bytes of the request.
        bytes: u32,
        /// When the server last said something of it.
        heard: u64,
    }
    /// A request of another site that is in service here.
    Service {
        /// Site of the client; this one: its port came here while it called, and `seq` is the slot of the call.
        site: u16,
        /// Channel of that site.
        channel: u16,
        /// Number of the request on the channel.
        seq: u64,
        /// When the client last asked for it.
        asked: u64,
    }
    /// Where a name was last found.
    Location {
        /// The name.
        ui: u64,
        /// The co-target that it was looked for with; 0: none.
        co_target: u64,
        /// The site.
        site: u16,
        /// Its incarnation.
        incarnation: u16,
        /// How often the port has moved.
        port_epoch: u32,
    }
}

/// Words for where a call stands.
pub const CALL_STATES: [&str; 7] = [
    "searching",
    "queued",
    "sent",
    "served",
    "refused",
    "cancelling",
    "here",
];

/// A row's word for a standing; 0 is a site of which nothing but traffic is known.
pub(crate) const fn number_of(standing: Option<Standing>) -> u8 {
    match standing {
        None => 0,
        Some(Standing::Greeting) => 1,
        Some(Standing::Up) => 2,
        Some(Standing::Suspect) => 3,
        Some(Standing::Down) => 4,
    }
}

/// The word for the standing in a row.
pub const fn standing_of(number: u8) -> &'static str {
    match number {
        0 => "unwatched",
        1 => "greeting",
        2 => "up",
        3 => "suspect",
        4 => "down",
        _ => "?",
    }
}

/// An endpoint, as it is at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct View {
    /// This site.
    pub site: u16,
    /// Its incarnation.
    pub incarnation: u16,
    /// Frames are sealed.
    pub sealed: bool,
    /// Time of the endpoint's clock, in nanoseconds.
    pub now: u64,
    /// Events since it was made.
    pub counters: Counters,
    /// How full its tables are.
    pub sizes: Sizes,
    /// Other sites, in order.
    pub peers: Table<Peer>,
    /// Calls of this site's clients.
    pub calls: Table<Call>,
    /// Requests in service here.
    pub services: Table<Service>,
    /// Locations.
    pub locations: Table<Location>,
}

impl View {
    /// Its bytes: less than a message's body has.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(4096);
        out.extend_from_slice(&LAYOUT.to_le_bytes());
        out.extend_from_slice(&self.site.to_le_bytes());
        out.extend_from_slice(&self.incarnation.to_le_bytes());
        out.push(u8::from(self.sealed));
        out.extend_from_slice(&self.now.to_le_bytes());
        let numbers = |out: &mut Vec<u8>, count: usize, values: &mut dyn Iterator<Item = u64>| {
            out.extend_from_slice(&(count as u16).to_le_bytes());
            values.for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
        };
        let values = &mut self.counters.list().map(|(_, value)| value);
        numbers(&mut out, Counters::FIELDS, values);
        let values = &mut self.sizes.list().map(|(_, value)| value);
        numbers(&mut out, Sizes::FIELDS, values);
        put(&self.peers, &mut out);
        put(&self.calls, &mut out);
        put(&self.services, &mut out);
        put(&self.locations, &mut out);
        out
    }

    /// Reads what [`View::to_bytes`] wrote. `None`: these bytes are no view of this layout.
    pub fn read(bytes: &[u8]) -> Option<View> {
        let from = &mut Reader::new(bytes);
        if from.u32().ok()? != LAYOUT {
            return None;
        }
        let site = from.u16().ok()?;
        let incarnation = from.u16().ok()?;
        let sealed = from.u8().ok()? != 0;
        let now = from.u64().ok()?;
        if usize::from(from.u16().ok()?) != Counters::FIELDS {
            return None;
        }
        let counters = Counters::read(|| from.u64().ok())?;
        if usize::from(from.u16().ok()?) != Sizes::FIELDS {
            return None;
        }
        let sizes = Sizes::read(|| from.u64().ok())?;
        let view = View {
            site,
            incarnation,
            sealed,
            now,
            counters,
            sizes,
            peers: read(from)?,
            calls: read(from)?,
            services: read(from)?,
            locations: read(from)?,
        };
        from.is_empty().then_some(view)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chorus_abi::K_CMSGSIZEMAX;
    use proptest::prelude::*;

    /// A view with `rows` rows in each table, all different.
    fn view(rows: u64) -> View {
        let mut next = 0;
        let counters = Counters::read(|| {
            next += 1;
            Some(next)
        });
        let sizes = Sizes::read(|| {
            next += 1;
            Some(next)
        });
        View {
            site: 3,
            incarnation: 7,
            sealed: true,
            now: 5,
            counters: counters.unwrap(),
            sizes: sizes.unwrap(),
            peers: Table::of(0..rows, |n| Peer {
                site: n as u16,
                incarnation: 2,
                standing: 4,
                flags: 1,
                mtu: 1514,
                calls: 9,
                queued: 8,
                serving: 7,
                kept: 6,
                heard: n,
            }),
            calls: Table::of(0..rows, |n| Call {
                target: n,
                state: 3,
                site: 4,
                redirections: 5,
                bytes: 6,
                heard: u64::MAX,
            }),
            services: Table::of(0..rows, |n| Service {
                site: 1,
                channel: 2,
                seq: n,
                asked: 4,
            }),
            locations: Table::of(0..rows, |n| Location {
                ui: n,
                co_target: 1,
                site: 2,
                incarnation: 3,
                port_epoch: 4,
            }),
        }
    }

    #[test]
    fn a_view_is_read_as_it_was_and_a_full_one_fits_a_message() {
        for rows in [0, 1, 5, ROWS as u64, ROWS as u64 + 900] {
            let view = view(rows);
            let bytes = view.to_bytes();
            assert!(bytes.len() <= K_CMSGSIZEMAX as usize, "{}", bytes.len());
            assert_eq!(View::read(&bytes), Some(view.clone()));
            assert_eq!(u64::from(view.peers.total), rows);
        }
    }

    #[test]
    fn half_a_view_and_one_with_something_behind_it_are_none() {
        let mut bytes = view(2).to_bytes();
        for length in 0..bytes.len() {
            assert_eq!(View::read(&bytes[..length]), None, "{length}");
        }
        bytes.push(0);
        assert_eq!(View::read(&bytes), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_view_or_none(at in 0usize..2000, byte: u8, cut in 0usize..2000) {
            let mut bytes = view(4).to_bytes();
            let length = bytes.len();
            bytes[at % length] = byte;
            bytes.truncate(length - cut % 8);
            if let Some(read) = View::read(&bytes) {
                prop_assert_eq!(read.to_bytes(), bytes);
            }
        }
    }
}
