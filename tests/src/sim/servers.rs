//! What servers on the sites do: ports, groups, answers.

use super::history::Happening;
use super::nucleus::{annex, digest};
use super::site::Plan;
use super::world::{World, pattern};
use chorus_abi::net::{KnNetItem, NET_REPLY};
use chorus_abi::{KnUniqueId, UiType};
use chorus_transport::Event;

impl World {
    /// A new port that takes `capacity` requests at once.
    pub fn open(&mut self, number: u16, capacity: usize) -> KnUniqueId {
        let site = self.site(number);
        let ui = KnUniqueId::from_fields(number, UiType::Port, site.incarnation, site.next_port);
        site.next_port += 1;
        site.nucleus.ports.insert(ui.word(), capacity);
        ui
    }

    /// Deletes a port: requests in its queue end with `K_ENOPORT`; those in service go on.
    pub fn close(&mut self, number: u16, port: KnUniqueId) {
        let nucleus = &mut self.site(number).nucleus;
        nucleus.ports.remove(&port.word());
        nucleus
            .groups
            .values_mut()
            .for_each(|members| members.retain(|member| *member != port));
        let queued = nucleus
            .requests
            .values()
            .filter(|request| request.port == port && !request.executing);
        let tokens: Vec<u64> = queued.map(|request| request.token).collect();
        for token in tokens {
            self.site(number).nucleus.requests.remove(&token);
            let item = KnNetItem {
                kind: NET_REPLY,
                handle: token,
                result: chorus_abi::error::K_ENOPORT,
                ..Default::default()
            };
            self.event(number, Event::Item(&item, &[]));
        }
    }

    /// Puts a port into a group.
    pub fn join(&mut self, number: u16, group: KnUniqueId, port: KnUniqueId) {
        self.site(number)
            .nucleus
            .groups
            .entry(group.identity().word())
            .or_default()
            .push(port);
    }

    pub(super) fn answer(&mut self, number: u16, token: u64) {
        let Some(request) = self.site(number).nucleus.requests.remove(&token) else {
            return;
        };
        let plan = self
            .plans
            .get(request.call as usize)
            .copied()
            .unwrap_or(Plan::NULL);
        let body = pattern(u64::from(request.call) ^ 0xA5, plan.reply);
        let mut item = self.item(
            NET_REPLY,
            number,
            KnUniqueId::NULL,
            KnUniqueId::NULL,
            request.call,
            &body,
            plan.annex,
        );
        item.handle = token;
        item.result = plan.result;
        self.history.push(
            self.now,
            request.call,
            Happening::Answered(digest(annex(&item), &body)),
        );
        self.event(number, Event::Item(&item, &body));
    }
}
