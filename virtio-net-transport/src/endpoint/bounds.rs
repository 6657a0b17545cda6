//! Whether all tables are within their bounds, at so little cost that a simulator asks after every event.

use super::Endpoint;

impl Endpoint {
    /// The first table that holds more than [`Config`](crate::Config) allows, by the name of its field there. `None`: all memory is within its bounds.
    pub fn beyond_bound(&self) -> Option<&'static str> {
        let config = &self.config;
        let tables = [
            // And one for each port that moves.
            (
                "max_calls",
                self.calls.len(),
                config.max_calls + 2 * config.max_moves,
            ),
            ("max_calls", self.handles.len(), config.max_calls),
            ("max_outbound", self.outbound, config.max_outbound),
            (
                "max_waiting_sends",
                self.waiting_sends,
                config.max_waiting_sends,
            ),
            ("max_hints", self.hints.len(), config.max_hints),
            ("max_peers", self.peers.len(), config.max_peers),
            ("max_members", self.members.len(), config.max_members),
            (
                "max_group_members",
                self.groups.entries(),
                config.max_group_members,
            ),
            ("max_serving", self.tokens.len(), config.max_serving),
            ("max_moves", self.moves.len(), 2 * config.max_moves),
            ("max_kept", self.kept, config.max_kept),
            ("max_assembly", self.assembling, config.max_assembly),
            // Each waits for a call or for a message.
            (
                "searches",
                self.searches.len(),
                config.max_calls + config.max_waiting_sends,
            ),
        ];
        let over = tables.into_iter().find(|(_, size, bound)| size > bound);
        over.map(|(name, _, _)| name)
    }
}
