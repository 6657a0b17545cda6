//! Timers and bounds of an endpoint, with their defaults.
//!
//! All times are nanoseconds. The defaults are those of `nucleus-calls.md` 3.13 where it names one; the others are chosen so that
//! a search ends within one second and every table has a bound that a guest of 32 MiB can afford.

use crate::fragments::{CONTENT_MAX, PIECES_MAX};
use crate::frame::{DATA_OVERHEAD, MTU_MAX};
use crate::seal::{OVERHEAD, Seal};
use crate::trust::Trust;
use chorus_abi::{SITE_MAX, ui::EPOCH_MAX};

/// One millisecond in the unit of all times here.
pub const MILLISECOND: u64 = 1_000_000;
/// One second in the unit of all times here.
pub const SECOND: u64 = 1000 * MILLISECOND;

/// Smallest usable frame, Ethernet header included: a message of full size must fit into [`PIECES_MAX`] pieces.
pub const MTU_MIN: usize = DATA_OVERHEAD + OVERHEAD + CONTENT_MAX.div_ceil(PIECES_MAX);

/// What an endpoint is told at its birth.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Number of this site, 1…8191.
    pub site: u16,
    /// Incarnation of this site, 1…0x3FFD, never used before by this site number (`chorus.epoch`).
    pub incarnation: u16,
    /// Largest frame that this site takes and makes, in bytes with the Ethernet header; [`MTU_MIN`]…[`MTU_MAX`].
    pub mtu: usize,
    /// Makes the nonces of searches; any value.
    pub seed: u64,
    /// How frames are sealed; `None`: not at all, and sealed ones are not understood.
    pub seal: Option<Seal>,
    /// Whose protection identifiers are believed.
    pub trust: Trust,

    /// Waits after each unicast search at the creation site.
    pub locate_unicast: [u64; 4],
    /// Waits after each broadcast search: at most three broadcasts (SS-004).
    pub locate_broadcast: [u64; 3],
    /// Broadcast searches a second, over all names; as many may go at once after a quiet second.
    pub locate_rate: u32,
    /// First repetition of an unanswered request.
    pub retransmit: u64,
    /// Longest gap between repetitions (they double up to it).
    pub retransmit_max: u64,
    /// Gap between probes of a server that works.
    pub probe: u64,
    /// Gap between probes after one that was not answered.
    pub probe_again: u64,
    /// A peer that gave no answer for so long while a call waits is dead.
    pub dead: u64,
    /// A call that had no answer of its own for so long fails though the peer answers others.
    pub unanswered: u64,
    /// A site asks the next one in the ring once in this time whether it is there; 0: it watches nobody and is watched by nobody, but believes what others say.
    pub period: u64,
    /// Above so many sites the period grows with their number, so that all together ask no more often.
    pub period_sites: u16,
    /// The longest that it grows to.
    pub period_max: u64,
    /// Gap between the two questions to a site alone, and wait after the second.
    pub ping_again: u64,
    /// Sites by way of which it is asked then.
    pub relays: u32,
    /// Wait for answers by way of others; then the site is suspected.
    pub relay_wait: u64,
    /// Time of a suspect to refute; then its incarnation is down.
    pub suspicion: u64,
    /// A deadline that is missed by so much says that this site was not running.
    pub clock_jump: u64,
    /// In every so-many-th period one of a shuffled list is asked beside the next in the ring.
    pub shuffle: u32,
    /// A functional group with members on several sites: each call chooses anew, instead of using one until it refuses.
    pub spread: bool,
    /// After the last piece came, wait so long for the missing ones before asking.
    pub gap: u64,
    /// A message whose pieces do not come together in this time is dropped.
    pub assembly_age: u64,
    /// An idle client acknowledges its last replies after this time.
    pub ack_idle: u64,
    /// First wait after a full queue was reported; doubles up to `busy_max`.
    pub busy: u64,
    /// Longest wait after a full queue was reported.
    pub busy_max: u64,
    /// A call whose target stays full for so long fails with `K_EFULL`.
    pub busy_patience: u64,
    /// A server's memory of an ended transaction.
    pub remember: u64,
    /// A request in service whose client site said nothing for so long is cancelled.
    pub orphan: u64,

    /// Calls of local clients at once.
    pub max_calls: usize,
    /// Bytes of local messages kept for calls and searches.
    pub max_outbound: usize,
    /// Asynchronous messages that wait for searches.
    pub max_waiting_sends: usize,
    /// Locations kept (`nucleus-calls.md` 3.13: 4096).
    pub max_hints: usize,
    /// Sites with which there is state.
    pub max_peers: usize,
    /// Sites known of (64 bytes each).
    pub max_members: usize,
    /// Members of groups on other sites that are known.
    pub max_group_members: usize,
    /// Calls at once to one site; more wait here. At most [`CHANNELS_MAX`].
    pub max_channels: u16,
    /// Requests in service here at once.
    pub max_serving: usize,
    /// Ports that leave this site at once, and as many that arrive.
    pub max_moves: usize,
    /// Bytes of replies kept for repetition.
    pub max_kept: usize,
    /// Bytes of incomplete messages from one site.
    pub max_assembly_peer: usize,
    /// Bytes of incomplete messages.
    pub max_assembly: usize,
    /// Incomplete asynchronous messages from one site.
    pub max_send_assemblies: usize,
}

/// Channels that a server keeps for one client site; frames that name others are refused.
pub const CHANNELS_MAX: u16 = 1024;

/// Which field of a [`Config`] cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConfigError {
    /// `site` is 0 or above 8191.
    Site,
    /// `incarnation` is 0 or above 0x3FFD.
    Incarnation,
    /// `mtu` is outside [`MTU_MIN`]…[`MTU_MAX`].
    Mtu,
    /// `max_channels` is 0 or above [`CHANNELS_MAX`].
    Channels,
}

impl core::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            ConfigError::Site => write!(f, "site number outside 1…{SITE_MAX}"),
            ConfigError::Incarnation => write!(f, "incarnation outside 1…{EPOCH_MAX:#x}"),
            ConfigError::Mtu => write!(f, "frame size outside {MTU_MIN}…{MTU_MAX} bytes"),
            ConfigError::Channels => write!(f, "channels to one site outside 1…{CHANNELS_MAX}"),
        }
    }
}

impl core::error::Error for ConfigError {}

impl Config {
    /// The defaults for this site and incarnation; frames of 1514 bytes.
    pub const fn new(site: u16, incarnation: u16) -> Config {
        Config {
            site,
            incarnation,
            mtu: 1514,
            seed: 0,
            seal: None,
            trust: Trust::new(),
            locate_unicast: [
                40 * MILLISECOND,
                60 * MILLISECOND,
                80 * MILLISECOND,
                100 * MILLISECOND,
            ],
            locate_broadcast: [150 * MILLISECOND, 200 * MILLISECOND, 250 * MILLISECOND],
            locate_rate: 256,
            retransmit: 200 * MILLISECOND,
            retransmit_max: 400 * MILLISECOND,
            probe: SECOND,
            probe_again: 250 * MILLISECOND,
            dead: 5 * SECOND,
            unanswered: 30 * SECOND,
            period: 500 * MILLISECOND,
            period_sites: 16,
            period_max: 4 * SECOND,
            ping_again: 100 * MILLISECOND,
            relays: 3,
            relay_wait: 200 * MILLISECOND,
            suspicion: 500 * MILLISECOND,
            clock_jump: SECOND,
            shuffle: 4,
            spread: false,
            gap: 10 * MILLISECOND,
            assembly_age: 2 * SECOND,
            ack_idle: SECOND,
            busy: 2 * MILLISECOND,
            busy_max: 100 * MILLISECOND,
            busy_patience: 5 * SECOND,
            remember: 60 * SECOND,
            orphan: 15 * SECOND,
            max_calls: 4096,
            max_outbound: 16 << 20,
            max_waiting_sends: 1024,
            max_hints: 4096,
            max_peers: 1024,
            max_members: 8191,
            max_group_members: 4096,
            max_channels: 256,
            max_serving: 4096,
            max_moves: 64,
            max_kept: 4 << 20,
            max_assembly_peer: 1 << 20,
            max_assembly: 8 << 20,
            max_send_assemblies: 16,
        }
    }

    /// Finds sites to be down within this time after their last word, in nanoseconds, and takes all that this is made of in proportion. Where a second is little
    /// (an emulated machine, whose processors stand still most of the time) the default holds sites for down that only wait for their turn.
    pub fn detect_within(&mut self, limit: u64) {
        let whole = self.period + 2 * self.ping_again + self.relay_wait + self.suspicion;
        let times = [
            &mut self.period,
            &mut self.period_max,
            &mut self.ping_again,
            &mut self.relay_wait,
            &mut self.suspicion,
            &mut self.clock_jump,
        ];
        for time in times {
            let scaled = u128::from(*time) * u128::from(limit) / u128::from(whole.max(1));
            *time = u64::try_from(scaled).unwrap_or(u64::MAX);
        }
    }

    /// Whether an endpoint can be made of it.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.site == 0 || self.site > SITE_MAX {
            return Err(ConfigError::Site);
        }
        if self.incarnation == 0 || self.incarnation > EPOCH_MAX {
            return Err(ConfigError::Incarnation);
        }
        if !(MTU_MIN..=MTU_MAX).contains(&self.mtu) {
            return Err(ConfigError::Mtu);
        }
        if self.max_channels == 0 || self.max_channels > CHANNELS_MAX {
            return Err(ConfigError::Channels);
        }
        Ok(())
    }
}
