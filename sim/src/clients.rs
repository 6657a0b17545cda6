//! What clients on the sites do: calls, messages, leaving; and how their calls ended.

use super::history::Happening;
use super::nucleus::{annex, digest};
use super::ports::OWN;
use super::site::Plan;
use super::world::World;
use chorus_abi::net::{KnNetItem, NET_CALL, NET_CANCEL, NET_LINKFAILURE, NET_SEND};
use chorus_abi::{KnUniqueId, UiType};
use chorus_transport::{Event, Site};

impl World {
    /// A client on site `from` calls; the number of the call.
    pub fn call(&mut self, from: u16, target: KnUniqueId, body: &[u8], plan: Plan) -> u32 {
        self.call_beside(from, target, KnUniqueId::NULL, body, plan)
    }

    /// The same with a co-target.
    pub fn call_beside(
        &mut self,
        from: u16,
        target: KnUniqueId,
        co_target: KnUniqueId,
        body: &[u8],
        plan: Plan,
    ) -> u32 {
        let call = self.plans.len() as u32;
        self.plans.push(plan);
        self.clients.push(from);
        let item = self.item(NET_CALL, from, target, co_target, call, body, plan.annex);
        self.waiting += 1;
        let issued = Happening::Issued(digest(annex(&item), body));
        self.happened(from, call, issued);
        if !self.stays(from, &item, body) {
            self.event(from, Event::Item(&item, body));
        }
        call
    }

    /// Whether a message is for a port of its own site: the Nucleus needs no manager then.
    fn stays(&mut self, from: u16, item: &KnNetItem, body: &[u8]) -> bool {
        let nucleus = &mut self.site(from).nucleus;
        if item.target.kind() != Some(UiType::Port) || !nucleus.is_here(item.target) {
            return false;
        }
        let mut here = *item;
        if item.kind == NET_CALL {
            here.handle |= OWN;
        }
        let result = nucleus.deliver(&here, body);
        if result != 0 && item.kind == NET_CALL {
            nucleus.ended.push((item.handle, result, 0));
        }
        self.after(from);
        true
    }

    /// Somebody on a site says that the link to another broke, for reason 7.
    pub fn link_failure(&mut self, on: u16, to: u16) {
        let item = KnNetItem {
            kind: NET_LINKFAILURE,
            handle: to.into(),
            result: 7,
            ..KnNetItem::default()
        };
        self.event(on, Event::Item(&item, &[]));
    }

    /// An asynchronous message; its number and digest.
    pub fn send(
        &mut self,
        from: u16,
        target: KnUniqueId,
        body: &[u8],
        with_annex: bool,
    ) -> (u32, u64) {
        let message = self.messages;
        self.messages += 1;
        let item = self.item(
            NET_SEND,
            from,
            target,
            KnUniqueId::NULL,
            message,
            body,
            with_annex,
        );
        let digest = digest(annex(&item), body);
        self.judge.sent(digest);
        if !self.stays(from, &item, body) {
            self.event(from, Event::Item(&item, body));
        }
        (message, digest)
    }

    /// The client of a call leaves.
    pub fn leave(&mut self, call: u32) {
        let from = std::mem::take(&mut self.clients[call as usize]);
        if from != 0 {
            self.waiting -= 1;
            self.happened(from, call, Happening::Left);
            let key = u64::from(call) | OWN;
            if self.site(from).nucleus.requests.remove(&key).is_some() {
                return;
            }
            let item = KnNetItem {
                kind: NET_CANCEL,
                handle: u64::from(call),
                ..Default::default()
            };
            self.event(from, Event::Item(&item, &[]));
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of one item")]
    pub(super) fn item(
        &self,
        kind: u32,
        from: u16,
        target: KnUniqueId,
        co_target: KnUniqueId,
        number: u32,
        body: &[u8],
        with_annex: bool,
    ) -> KnNetItem {
        KnNetItem {
            kind,
            handle: u64::from(number),
            target,
            co_target,
            src_port: KnUniqueId::from_fields(from, UiType::Port, 1, number),
            body_size: body.len() as u32,
            annex_size: if with_annex { 64 } else { 0 },
            annex: [number as u8; 64],
            actor_pi: self.identities.0,
            port_pi: self.identities.1,
            ..KnNetItem::default()
        }
    }

    /// Whether the client of a call is on a site that is paused.
    pub fn is_paused(&self, call: u32) -> bool {
        let site = self.clients.get(call as usize).copied().unwrap_or(0);
        let site = self.sites.get(usize::from(site).wrapping_sub(1));
        site.is_some_and(|site| site.paused.is_some())
    }

    /// Whether the call's client still waits.
    pub fn waits(&self, call: u32) -> bool {
        self.clients[call as usize] != 0
    }

    /// How a call ended and when; `None` while it has not.
    pub fn end(&self, call: u32) -> Option<(i32, u64)> {
        self.history
            .events
            .iter()
            .rev()
            .find_map(|(time, of, happening)| match happening {
                Happening::Ended(result, _) if *of == call => Some((*result, *time)),
                _ => None,
            })
    }

    /// How often a call was executed.
    pub fn executions(&self, call: u32) -> usize {
        self.history
            .of(call)
            .iter()
            .filter(|(_, happening)| matches!(happening, Happening::Executed(_)))
            .count()
    }
}
