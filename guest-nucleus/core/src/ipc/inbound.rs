//! What the Network Manager hands in: messages from other sites, ends of calls, ports that come, and its questions (docs/architecture.md).

use super::message::Client;
use super::send::{Letter, Parcel, Way};
use crate::machine::Machine;
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::net::*;
use chorus_abi::*;

impl<M: Machine> Nucleus<M> {
    fn inbound(
        &mut self,
        caller: Caller,
        item: In<KnNetItem>,
        body: In<u8>,
    ) -> Result<(KnNetItem, Parcel), KError> {
        self.manager(caller)?;
        let item: KnNetItem = self.read(caller, item)?;
        if item.body_size > K_CMSGSIZEMAX {
            return Err(KError::TooMuch);
        }
        let annex = (item.annex_size > 0).then_some(item.annex);
        let place = (caller.actor, caller.space, body.address());
        self.check_body(place, item.body_size, false)?;
        self.takes_body(item.body_size)?;
        Ok((
            item,
            Parcel {
                annex,
                body: place,
                size: item.body_size,
                moves: false,
            },
        ))
    }

    /// `nmDeliver`.
    pub fn nm_deliver(
        &mut self,
        caller: Caller,
        item: In<KnNetItem>,
        body: In<u8>,
    ) -> Result<Outcome, KError> {
        let (item, parcel) = self.inbound(caller, item, body)?;
        let client = match item.kind {
            NET_SEND => Client::None,
            NET_CALL => Client::Remote(item.handle),
            NET_CANCEL => {
                self.remote_client_left(item.handle);
                return Ok(Outcome::Done(K_OK));
            }
            NET_ARRIVE => {
                let li = self.port_arrives(caller, &item, body)?;
                return Ok(Outcome::Done(li));
            }
            NET_ACTIVATE => {
                self.port_comes(&item, true)?;
                return Ok(Outcome::Done(K_OK));
            }
            NET_ABANDON => {
                // None that comes is as good as one that does not.
                let _ = self.port_comes(&item, false);
                return Ok(Outcome::Done(K_OK));
            }
            _ => return Err(KError::Inval),
        };
        let dest = KnIpcDest {
            target: item.target,
            co_target: item.co_target,
        };
        let letter = Letter {
            src_port: item.src_port,
            actor_pi: item.actor_pi,
            port_pi: item.port_pi,
            dest,
            client,
            remote: true,
            sender: None,
        };
        // What came from the network is for here or for nobody: it does not go out again.
        let way = match dest.target.group() {
            Some(group) if group.mode != K_BROADMODE && !self.has_member(group.identity) => {
                return Err(KError::Unknown);
            }
            _ => self.way(&dest)?,
        };
        match way {
            Way::Port(port) => {
                self.post(port, &letter, &parcel)?;
            }
            Way::Broadcast(_) if item.kind == NET_CALL => return Err(KError::Inval),
            Way::Broadcast(group) => {
                self.post_to_members(group, &letter, &parcel);
            }
            Way::Network => return Err(KError::Unknown),
        }
        Ok(Outcome::Done(K_OK))
    }

    fn remote_client_left(&mut self, token: u64) {
        let found = self
            .ipc
            .messages
            .iter()
            .find(|(_, message)| message.client == Client::Remote(token));
        let Some((id, port, holder)) =
            found.map(|(id, message)| (id, message.port, message.holder))
        else {
            return;
        };
        if let Some(port) = port {
            self.unqueue(port, id);
            self.message_free(id);
            return;
        }
        if let Some(message) = self.ipc.messages.get_mut(id) {
            message.client = Client::Left;
        }
        if let Some(thread) = holder.and_then(|holder| self.threads.get_mut(holder)) {
            thread.aborted = true;
        }
    }

    /// `nmComplete`.
    pub fn nm_complete(
        &mut self,
        caller: Caller,
        item: In<KnNetItem>,
        body: In<u8>,
    ) -> Result<Outcome, KError> {
        let (item, parcel) = self.inbound(caller, item, body)?;
        match item.kind {
            NET_MIGRATE => return self.departure_ends(&item),
            NET_PASS => return self.passed(&item),
            _ => {}
        }
        // A transaction's number says in which slot its client is.
        let client = self
            .threads
            .at(Self::client_slot(item.handle))
            .filter(|&client| {
                self.awaits(client, item.handle)
                    .is_some_and(|wait| wait.request.is_none())
            })
            .ok_or(KError::Unknown)?;
        self.trace_completion(client, &item);
        match KError::from_code(item.result) {
            Some(error) => self.wake(client, error.code()),
            None => self.reply_here(client, item.handle, &parcel)?,
        }
        Ok(Outcome::Done(K_OK))
    }

    /// `nmQuery`.
    pub fn nm_query(&mut self, caller: Caller, ui: In<KnUniqueId>) -> Result<Outcome, KError> {
        self.manager(caller)?;
        let ui = self.read(caller, ui)?;
        let here = match ui.kind() {
            Some(UiType::Group) => self.has_member(ui).into(),
            // A name that was only declared here gets no messages here.
            Some(UiType::Port) => self.port_here(ui).map_or(0, |port| 1 + port.epoch as i32),
            _ => self.is_own(ui).into(),
        };
        Ok(Outcome::Done(here))
    }
}
