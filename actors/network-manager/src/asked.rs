//! What other sites ask the Network Manager itself: how it stands (`chorus net`).
//!
//! There is no port for that. A request for its well-known name is taken out of those that would go to the Nucleus, and answered as if a server had: so it costs a site nothing
//! that nobody asks.

use crate::{Here, now};
use alloc::vec::Vec;
use chorus_abi::net::{KnNetItem, NET_CALL, NET_CANCEL, NET_REPLY};
use chorus_abi::services::{Answer, NET_VIEW, SiteRequest};
use chorus_abi::{K_OK, KError, KnUniqueId, STAMP_NETWORK_MANAGER};
use chorus_runtime::site;
use chorus_transport::{Endpoint, Event};

/// Requests that wait for an answer in the same turn; more are told to come later.
const MOST: usize = 16;

/// Requests that came.
#[derive(Default)]
pub struct Asked(Vec<(u64, u32)>);

/// Whether a name is the Network Manager's own.
pub fn is_here(ui: KnUniqueId) -> bool {
    ui == KnUniqueId::well_known_port(site::number(), STAMP_NETWORK_MANAGER)
}

impl Asked {
    /// Takes an item for the Network Manager; what became of it. `None`: it is for somebody else.
    pub fn deliver(&mut self, item: &KnNetItem) -> Option<i32> {
        if item.kind == NET_CANCEL {
            let before = self.0.len();
            self.0.retain(|(handle, _)| *handle != item.handle);
            return (self.0.len() < before).then_some(K_OK);
        }
        if !is_here(item.target) {
            return None;
        }
        // Messages that ask nothing are taken and forgotten, as by a server that does not understand.
        if item.kind == NET_CALL {
            if self.0.len() >= MOST {
                return Some(KError::Full.code());
            }
            let service = SiteRequest::from_annex(&item.annex).service;
            self.0.push((item.handle, service));
        }
        Some(K_OK)
    }
}

/// Answers what was asked.
pub fn answer(endpoint: &mut Endpoint, here: &mut Here) {
    while let Some((handle, service)) = here.asked.0.pop() {
        let (answer, body) = if service == NET_VIEW {
            (Answer::default(), endpoint.view().to_bytes())
        } else {
            let refused = Answer {
                result: KError::Inval.code(),
                ..Answer::default()
            };
            (refused, Vec::new())
        };
        let annex = answer.to_annex();
        let item = KnNetItem {
            kind: NET_REPLY,
            handle,
            body_size: body.len() as u32,
            annex_size: annex.len() as u32,
            annex,
            ..KnNetItem::default()
        };
        endpoint.on_event(now(), Event::Item(&item, &body), here);
    }
}
