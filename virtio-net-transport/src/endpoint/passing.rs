//! What was queued at a port follows it, in order; and messages for a port that came to this very site while they were on their way.
//!
//! A queued request becomes a call of this site to the new place: its reply comes back here and goes to the client, which notices nothing. The Nucleus hands out the next message of
//! a port when this one is *through*: queued there, or ended.

use super::client::{CallState, Ending, REDIRECTIONS_MAX};
use super::link::To;
use super::locate::Waiter;
use super::server::State;
use super::{Endpoint, Site, split_content};
use crate::frame::{Reason, Txn, Verb};
use crate::hints::Key;
use chorus_abi::error::{K_EFULL, K_EINVAL, K_ELINKFAILURE, K_ENOMEM, K_EUNKNOWN};
use chorus_abi::net::{
    KnNetItem, NET_CALL, NET_CANCEL, NET_PASS, NET_SEND, PASS_OTHER, PASS_OWN, PASS_SEND,
};
use chorus_abi::{KnUniqueId, UiType};

/// Marks the token of a request of another site among the handles of clients.
pub(super) const PASSED: u64 = 1 << 63;

/// Who waits for the end of a request in service here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Owner {
    /// A channel of another site.
    Channel(u16, u16),
    /// The call in this slot: its port came here.
    Here(u32),
}

/// How a call between managers, or one that is passed on, ended: result, whether there is an annex, content; or the error.
pub(super) type Outcome<'a> = Result<(i32, bool, &'a [u8]), i32>;

impl Endpoint {
    /// PASS from the Nucleus: a message that was queued at a port which went elsewhere.
    pub(super) fn take_pass(&mut self, item: &KnNetItem, body: &[u8], site: &mut dyn Site) {
        let key = Key::of(item.target, KnUniqueId::NULL);
        let (verb, handle) = match item.result {
            PASS_SEND => (Verb::PassSend, None),
            PASS_OWN => (Verb::Pass, Some(item.handle)),
            PASS_OTHER => (Verb::Pass, Some(item.handle | PASSED)),
            _ => return self.through(item.target, K_EINVAL, site),
        };
        let given_up = item.result == PASS_OTHER && !self.tokens.contains_key(&item.handle);
        if given_up || item.target.kind() != Some(UiType::Port) {
            // Its client left meanwhile.
            return self.through(item.target, 0, site);
        }
        let ending = Ending {
            verb,
            handle: handle.unwrap_or(0),
            target: item.target,
            port_epoch: 0,
            whose: item.result,
            through: false,
            peer: 0,
        };
        if handle.is_some_and(|handle| self.handles.contains_key(&handle)) {
            return self.end_between(&ending, Err(K_EINVAL), site);
        }
        if !self.has_room(body) {
            return self.end_between(&ending, Err(K_EFULL), site);
        }
        let item = KnNetItem {
            handle: ending.handle,
            ..*item
        };
        let slot = self.begin(&item, verb, key, 0, body);
        if let Some(handle) = handle {
            self.handles.insert(handle, slot);
        }
        self.link.counters.passed += 1;
        self.resolve(slot, site);
    }

    /// The Nucleus may hand out the next message of a port.
    fn through(&mut self, port: KnUniqueId, result: i32, site: &mut dyn Site) {
        let item = KnNetItem {
            kind: NET_PASS,
            target: port,
            result,
            ..KnNetItem::default()
        };
        site.complete(&item, &[]);
    }

    /// A message that is passed on is queued at the new place, or is over: the Nucleus is told once.
    pub(super) fn tell_through(&mut self, slot: u32, site: &mut dyn Site) {
        let Some(call) = self.calls.get_mut(slot) else {
            return;
        };
        if matches!(call.verb, Verb::Pass | Verb::PassSend)
            && !core::mem::replace(&mut call.through, true)
        {
            let port = call.item.target;
            self.through(port, 0, site);
        }
    }

    /// The end of a call that is not simply a client's.
    pub(super) fn end_between(
        &mut self,
        ending: &Ending,
        outcome: Outcome<'_>,
        site: &mut dyn Site,
    ) {
        match ending.verb {
            Verb::Pass if ending.whose == PASS_OTHER => {
                self.answer_for(ending, outcome, site);
            }
            Verb::Pass => {
                let (result, annex, content) = outcome.unwrap_or_else(|error| (error, false, &[]));
                self.complete(ending.handle, result, annex, content, site);
            }
            Verb::PassSend => {
                self.link.counters.lost_sends += u64::from(outcome.is_err());
            }
            _ => return self.move_on(ending, outcome, site),
        }
        if !ending.through {
            self.through(ending.target, 0, site);
        }
    }

    /// A request of another site that was passed on has ended: its client is told.
    fn answer_for(&mut self, ending: &Ending, outcome: Outcome<'_>, site: &mut dyn Site) {
        let token = ending.handle & !PASSED;
        let error = match outcome {
            Ok((result, annex, content)) => {
                let mut item = KnNetItem {
                    result,
                    handle: token,
                    ..KnNetItem::default()
                };
                let body = split_content(&mut item, annex, content);
                return self.take_reply(&item, body, site);
            }
            Err(error) => error,
        };
        let (number, channel_number) = match self.tokens.remove(&token) {
            Some(Owner::Channel(number, channel)) => (number, channel),
            Some(Owner::Here(slot)) => return self.fail(slot, error, site),
            None => return,
        };
        let Some(incarnation) = self.peers.get(&number).map(|peer| peer.incarnation) else {
            return;
        };
        let Some(channel) = self.channel(number, channel_number) else {
            return;
        };
        let refused = |reason| State::Refused(reason, error, ending.target, KnUniqueId::NULL);
        channel.state = match error {
            K_ELINKFAILURE => State::Gone(Reason::Forgotten),
            K_EUNKNOWN => refused(Reason::NotHere),
            K_EFULL => refused(Reason::Busy),
            _ => refused(Reason::Error),
        };
        let txn = Txn {
            channel: channel_number,
            seq: channel.last,
        };
        let to = To {
            site: number,
            incarnation,
        };
        self.answer_again(to, txn, None, site);
    }

    /// Delivers a call to a port of this site: it came here while the call was on its way.
    pub(super) fn deliver_here(&mut self, slot: u32, site: &mut dyn Site) {
        let token = self.next_token;
        let room = self.tokens.len() < self.config.max_serving;
        let Some(call) = self.calls.get_mut(slot) else {
            return;
        };
        let (key, verb) = (call.key, call.verb);
        let mut item = KnNetItem {
            kind: NET_CALL,
            handle: token,
            result: 0,
            ..call.item
        };
        if verb == Verb::PassSend {
            (item.kind, item.handle) = (NET_SEND, 0);
        }
        let body = split_content(&mut item, call.item.annex_size != 0, &call.content);
        let result = if room {
            site.deliver(&item, body)
        } else {
            K_EFULL
        };
        match result {
            0 if verb == Verb::PassSend => self.end_here(slot, 0, false, &[], site),
            0 => {
                self.next_token += 1;
                (call.state, call.peer, call.seq) = (CallState::Here, 0, token);
                self.tokens.insert(token, Owner::Here(slot));
                self.tell_through(slot, site);
            }
            K_EUNKNOWN => {
                call.redirections += 1;
                let given_up = call.redirections > REDIRECTIONS_MAX;
                self.hints.remove(key, self.config.site);
                if given_up {
                    return self.fail(slot, K_EUNKNOWN, site);
                }
                self.search(key, false, Waiter::Call(slot), site);
            }
            K_EFULL | K_ENOMEM => self.wait_for_room(slot, site),
            error => self.fail(slot, error, site),
        }
    }

    /// REPLY from the Nucleus to a call that was delivered on this site.
    pub(super) fn replied_here(
        &mut self,
        slot: u32,
        item: &KnNetItem,
        body: &[u8],
        site: &mut dyn Site,
    ) {
        let content = self.content(item, body);
        self.end_here(
            slot,
            item.result.min(0),
            item.annex_size != 0,
            &content,
            site,
        );
        self.recycle(content);
    }

    fn end_here(
        &mut self,
        slot: u32,
        result: i32,
        annex: bool,
        content: &[u8],
        site: &mut dyn Site,
    ) {
        if let Some(ending) = self.calls.get(slot).map(Ending::of) {
            self.drop_call(slot);
            self.ended(&ending, result, annex, content, site);
        }
    }

    /// The client of a call that was delivered on this site left.
    pub(super) fn cancel_here(&mut self, token: u64, site: &mut dyn Site) {
        self.tokens.remove(&token);
        let item = KnNetItem {
            kind: NET_CANCEL,
            handle: token,
            ..KnNetItem::default()
        };
        site.deliver(&item, &[]);
        self.take_cancel(token | PASSED, site);
    }
}
