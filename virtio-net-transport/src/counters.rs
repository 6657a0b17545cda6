//! What an endpoint counts, and how full its tables are.
//!
//! Counters only grow. [`Sizes`] is a view of the present: a test compares it with that of a fresh endpoint to find leaks.

/// Defines a plain structure of `u64` counters with the list of its fields.
macro_rules! counters {
    ($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
        pub struct $name { $($(#[$fdoc])* pub $field: u64,)* }

        impl $name {
            /// Name and value of every field, in order of declaration.
            pub fn list(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($field), self.$field),)*].into_iter()
            }

            /// How many there are.
            pub const FIELDS: usize = [$(stringify!($field)),*].len();

            /// Reads the value of every field, in order of declaration. `None`: `next` had no more.
            pub(crate) fn read(mut next: impl FnMut() -> Option<u64>) -> Option<$name> {
                Some($name { $($field: next()?,)* })
            }

            /// Adds those of another site.
            pub fn add(&mut self, other: &$name) {
                $(self.$field += other.$field;)*
            }
        }
    };
}

counters! {
    /// Events since the endpoint was made.
    Counters {
        /// Frames transmitted.
        frames_out,
        /// Bytes transmitted.
        bytes_out,
        /// Frames that came, of any content.
        frames_in,
        /// Frames that are no frames of this protocol or whose parts contradict each other.
        malformed,
        /// Frames for another site.
        misdirected,
        /// Frames that carry this site's own number as their source.
        own_site_heard,
        /// Frames of incarnations that are over, and to incarnations of this site that are over.
        dead_incarnation,
        /// Frames sealed.
        sealed,
        /// Frames opened.
        opened,
        /// Keys of this site's frames that were renewed.
        keys_renewed,
        /// Frames in clear where they are to be sealed.
        refused_clear,
        /// Sealed frames where there is no key.
        refused_no_key,
        /// Sealed frames that no holder of the key made so.
        refused_tag,
        /// Sealed frames that were opened before.
        refused_replay,
        /// Sealed frames that are too old to tell whether they were opened before.
        refused_window,
        /// Sealed frames from incarnations that are over, and to incarnations of this site that are over.
        refused_incarnation,
        /// Sealed frames to all that may have been sent before this site started.
        refused_generation,
        /// Protection identifiers that their site may not speak for.
        refused_identities,
        /// Frames refused because a table or a memory bound was reached, and frames not sent because of it.
        over_bound,
        /// Frames that repeat what is known or concern what has ended.
        duplicates,
        /// Broadcast searches sent.
        locate_broadcasts,
        /// Unicast searches sent.
        locate_unicasts,
        /// Searches answered for others (yes or no).
        locate_answers,
        /// Searches that ended without an answer.
        locate_failures,
        /// Calls taken from local clients.
        calls,
        /// Calls completed with a reply (or the server's error).
        calls_replied,
        /// Calls that failed surely without effect.
        calls_not_executed,
        /// Calls that failed with unknown outcome.
        calls_unknown,
        /// Calls that their client left.
        calls_cancelled,
        /// Requests and their pieces sent again.
        retransmissions,
        /// Probes sent.
        probes,
        /// Refusals received (NACK), full queues included.
        refusals,
        /// Requests delivered here.
        delivered_calls,
        /// Requests in service here that were cancelled.
        delivered_cancels,
        /// Asynchronous messages sent to other sites.
        sends,
        /// Asynchronous messages delivered here.
        delivered_sends,
        /// Asynchronous messages lost at this site: not found, queue full, bound reached, refused.
        lost_sends,
        /// Kept replies given up because of the memory bound.
        forgotten_replies,
        /// Sites that gave no answer while calls waited.
        peers_dead,
        /// Incarnations of sites that were found or said to be over.
        peers_down,
        /// Sites that this one suspected.
        suspicions,
        /// Suspicions of this site that it refuted.
        refutations,
        /// Probes of sites sent, also for others.
        pings,
        /// Others asked to probe a site.
        relays,
        /// Jumps of this site's clock.
        clock_jumps,
        /// Incarnations of this site that were over for others.
        own_ends,
        /// Lists of members without proof of the key.
        refused_lists,
        /// Peers seen in a new incarnation.
        peers_rebooted,
        /// Ports that moved from here to another site.
        moved_away,
        /// Ports that came here from another site.
        moved_here,
        /// Moves that failed; the port stayed.
        moves_failed,
        /// Queued messages that followed their port.
        passed,
        /// Asynchronous messages sent on to where their port went.
        sent_on,
    }
}

counters! {
    /// How full the tables are now.
    Sizes {
        /// Calls of local clients, cancellations on their way included.
        calls,
        /// Bytes kept of local messages.
        outbound_bytes,
        /// Searches.
        searches,
        /// Asynchronous messages that wait for searches.
        waiting_sends,
        /// Locations.
        hints,
        /// Sites with state.
        peers,
        /// Sites known.
        members,
        /// Members of groups on other sites.
        group_members,
        /// Server channels over all peers.
        server_channels,
        /// Requests in service here.
        serving,
        /// Ports that are leaving, and that arrive or have arrived unconfirmed.
        moves,
        /// Bytes of kept replies.
        kept_bytes,
        /// Bytes of incomplete messages.
        assembly_bytes,
        /// Sites with keys and replay windows.
        sessions,
        /// Armed timers.
        timers,
    }
}
