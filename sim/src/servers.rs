//! What servers on the sites do: ports, groups, answers.

use super::history::Happening;
use super::nucleus::{Nucleus, annex, digest};
use super::ports::{OWN, Port};
use super::site::Plan;
use super::world::{World, pattern};
use chorus_abi::net::{KnNetItem, NET_GROUPS, NET_REPLY};
use chorus_abi::{KnUniqueId, UiType};
use chorus_transport::Event;

/// What all sites of a simulated cluster prove their lists of members with.
pub const GROUP_KEY: (u64, u64) = (0x5EC2E7, 0x0FA11);

impl Nucleus {
    /// The item that tells the manager who is in which group, and its body.
    pub fn members_item(&self) -> (KnNetItem, Vec<u8>) {
        let mut body = Vec::new();
        for (group, members) in &self.groups {
            for port in members {
                body.extend_from_slice(&group.to_le_bytes());
                body.extend_from_slice(&port.word().to_le_bytes());
            }
        }
        let mut item = KnNetItem {
            kind: NET_GROUPS,
            body_size: body.len() as u32,
            annex_size: 64,
            ..KnNetItem::default()
        };
        let (low, high) = GROUP_KEY;
        item.annex[..8].copy_from_slice(&low.to_le_bytes());
        item.annex[8..16].copy_from_slice(&high.to_le_bytes());
        (item, body)
    }
}

impl World {
    /// A new port that takes `capacity` requests at once.
    pub fn open(&mut self, number: u16, capacity: usize) -> KnUniqueId {
        let site = self.site(number);
        let ui = KnUniqueId::from_fields(number, UiType::Port, site.incarnation, site.next_port);
        site.next_port += 1;
        site.nucleus.ports.insert(ui.word(), Port::taking(capacity));
        ui
    }

    /// Deletes a port: requests in its queue end with `K_ENOPORT`; those in service go on.
    pub fn close(&mut self, number: u16, port: KnUniqueId) {
        let nucleus = &mut self.site(number).nucleus;
        nucleus.ports.remove(&port.word());
        nucleus.places.push((port.word(), false));
        nucleus
            .groups
            .values_mut()
            .for_each(|members| members.retain(|member| *member != port));
        let queued = nucleus
            .requests
            .values()
            .filter(|request| request.port == port && !request.executing);
        let tokens: Vec<u64> = queued.map(|request| request.token).collect();
        self.members_changed(number);
        for token in tokens {
            self.site(number).nucleus.requests.remove(&token);
            if token & OWN != 0 {
                let end = (token & !OWN, chorus_abi::error::K_ENOPORT, 0);
                self.site(number).nucleus.ended.push(end);
                self.after(number);
                continue;
            }
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
        let groups = &mut self.site(number).nucleus.groups;
        let members = groups.entry(group.identity().word()).or_default();
        members.push(port);
        self.members_changed(number);
    }

    /// Takes a port out of a group.
    pub fn part(&mut self, number: u16, group: KnUniqueId, port: KnUniqueId) {
        let groups = &mut self.site(number).nucleus.groups;
        if let Some(members) = groups.get_mut(&group.identity().word()) {
            members.retain(|member| *member != port);
        }
        self.members_changed(number);
    }

    /// The Nucleus tells its manager who is in which group.
    pub fn members_changed(&mut self, number: u16) {
        let (item, body) = self.site(number).nucleus.members_item();
        self.event(number, Event::Item(&item, &body));
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
        let answered = Happening::Answered(digest(annex(&item), &body));
        self.happened(number, request.call, answered);
        if token & OWN != 0 {
            let end = (token & !OWN, item.result, digest(annex(&item), &body));
            self.site(number).nucleus.ended.push(end);
            return self.after(number);
        }
        self.event(number, Event::Item(&item, &body));
    }
}
