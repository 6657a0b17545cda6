//! The link to a site broke, says somebody on this one (`svLinkFailure`): whatever was going on with it ends now, and what comes later begins anew.

use super::client::CallState;
use super::server::State;
use super::{Endpoint, Notice, Site};
use crate::frame::Reason;
use alloc::vec::Vec;
use chorus_abi::error::K_ELINKFAILURE;

impl Endpoint {
    /// All calls to a site fail, those that look for their port there first too; its requests that are not answered lose their client.
    pub(super) fn link_failed(&mut self, number: u64, reason: i32, site: &mut dyn Site) {
        let Ok(number) = u16::try_from(number) else {
            return;
        };
        site.notice(Notice::LinkFailed {
            site: number,
            reason,
        });
        self.hints.remove_site(number);
        let concerned = self.calls.slots_where(|call| match call.state {
            CallState::Queued | CallState::Sent => call.peer == number,
            CallState::Backoff => call.peer == number,
            CallState::Searching => call.key.home() == number,
            CallState::Cancelling | CallState::Here => false,
        });
        // Those that were sent come last: the queued must not follow into their channels.
        for sent in [false, true] {
            for &slot in &concerned {
                let Some((state, key)) = self.calls.get(slot).map(|call| (call.state, call.key))
                else {
                    continue;
                };
                if sent != (state == CallState::Sent) {
                    continue;
                }
                if state == CallState::Searching {
                    self.stop_waiting(key, slot);
                }
                self.fail(slot, K_ELINKFAILURE, site);
            }
        }
        let serving = self.peers.get(&number).map(|peer| {
            let channels = peer.serving.iter();
            let busy = channels.filter(|(_, channel)| matches!(channel.state, State::Serving(_)));
            busy.map(|(&number, _)| number).collect::<Vec<_>>()
        });
        for channel in serving.unwrap_or_default() {
            self.retire(number, channel, site);
            if let Some(channel) = self.channel(number, channel) {
                channel.state = State::Gone(Reason::Forgotten);
            }
        }
    }
}
