//! The Network Manager: carries messages between sites.
//!
//! It owns the site's network device and drives the protocols of `chorus-transport`, which know neither device nor Nucleus: frames and the Nucleus'
//! outbound items go in as events, frames and deliveries come out. One thread, because the protocols are one state machine; it sleeps in `nmWait`
//! until there is an item, an interrupt, or a deadline. The same file runs as supervisor actor (the default) and as system actor.
#![no_std]
#![no_main]

extern crate alloc;

mod card;
mod memory;
mod nucleus;
mod ring;

use card::Card;
use chorus_abi::net::{KnNetItem, NET_CLEAR, NM_OUTBOUND};
use chorus_abi::{K_CMSGSIZEMAX, KError, KnUniqueId};
use chorus_runtime::{args, site, site_log, start_info, time};
use chorus_transport::{Config, Endpoint, Event, Notice, Seal, Site, Trust};

chorus_runtime::entry!(main);

/// Outbound items taken before frames are looked at again.
const ITEMS: usize = 16;

/// The site around the endpoint: its Nucleus and its card.
struct Here {
    card: Card,
}

impl Site for Here {
    fn transmit(&mut self, frame: &[u8]) {
        self.card.transmit(frame);
    }

    fn deliver(&mut self, item: &KnNetItem, body: &[u8]) -> i32 {
        nucleus::deliver(item, body)
    }

    fn complete(&mut self, item: &KnNetItem, body: &[u8]) {
        nucleus::complete(item, body);
    }

    fn query(&mut self, ui: KnUniqueId) -> bool {
        nucleus::query(ui)
    }

    fn recognises(&mut self, ui: KnUniqueId) -> bool {
        nucleus::recognises(ui)
    }

    fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::OwnSiteHeard { incarnation } => {
                site_log!(
                    "network-manager: another machine uses this site's number {} (incarnation {incarnation}); its frames are refused",
                    site::number()
                );
            }
            Notice::PeerDead { site } => {
                site_log!("network-manager: site {site} does not answer; calls to it fail");
            }
            Notice::LinkFailed { site, reason } => {
                site_log!(
                    "network-manager: the link to site {site} is said to have broken (reason {reason}); calls to it fail"
                );
            }
            Notice::PeerRebooted { site, incarnation } => {
                site_log!("network-manager: site {site} came back (incarnation {incarnation})");
            }
        }
    }
}

fn now() -> u64 {
    u64::try_from(time::now().as_nanos()).unwrap_or(u64::MAX)
}

fn main() -> Result<(), KError> {
    let Some((device, irq)) = card::find() else {
        site_log!("network-manager: this machine has no network device; the site stays alone");
        return Ok(());
    };
    let card = match Card::new(&device) {
        Ok(card) => card,
        Err(why) => {
            site_log!("network-manager: the network device cannot be used: {why}");
            return Err(KError::Inval);
        }
    };
    let seat = nucleus::attach(irq)?;
    let mut config = Config::new(site::number(), start_info().epoch as u16);
    config.seal = (seat.flags & NET_CLEAR == 0).then(|| Seal::new(seat.key, seat.generation));
    // A key of the Nucleus: 64 bits that nobody can guess, repeatable where the site's are.
    config.seed = chorus_runtime::port::new_group()?.key;
    // Whose protection identifiers are believed: the one argument that there may be (`Trust`).
    if let Some(text) = args().nth(1) {
        config.trust = match Trust::parse(text) {
            Ok(trust) => trust,
            Err(_) => {
                site_log!("network-manager: not a list of sites and domains: {text}");
                return Err(KError::Inval);
            }
        };
    }
    let mut endpoint = match Endpoint::new(config) {
        Ok(endpoint) => endpoint,
        Err(why) => {
            site_log!("network-manager: {why}");
            return Err(KError::Inval);
        }
    };
    let mut here = Here { card };
    let mut body = alloc::vec![0; K_CMSGSIZEMAX as usize];
    endpoint.on_event(now(), Event::Start, &mut here);
    loop {
        let limit = endpoint
            .next_deadline()
            .map(|due| due.saturating_sub(now()));
        let bits = match nucleus::wait(limit) {
            Ok(bits) => bits,
            Err(KError::Timeout) => {
                endpoint.on_event(now(), Event::Timer, &mut here);
                0
            }
            Err(KError::Abort) => 0,
            Err(error) => return Err(error),
        };
        if bits as i32 & !NM_OUTBOUND != 0 {
            here.card.interrupted();
        }
        // Whatever woke us, the ring says by itself whether there are frames. Only when there is nothing more to do is an interrupt asked for.
        loop {
            while frames(&mut endpoint, &mut here) | items(&mut endpoint, &mut here, &mut body)? {}
            here.card.listen();
            if !frames(&mut endpoint, &mut here) {
                break;
            }
        }
    }
}

/// Takes frames that came, at most a ring of them; whether there were any.
fn frames(endpoint: &mut Endpoint, here: &mut Here) -> bool {
    for count in 0..ring::SIZE {
        let Some(frame) = here.card.receive() else {
            return count > 0;
        };
        let bytes = here.card.bytes(&frame);
        endpoint.on_event(now(), Event::Frame(bytes), here);
        here.card.give_back(frame);
    }
    true
}

/// Takes outbound items of the Nucleus, some at a time; whether there were any. Errors: those of `nmTake`.
fn items(endpoint: &mut Endpoint, here: &mut Here, body: &mut [u8]) -> Result<bool, KError> {
    for count in 0..ITEMS {
        let Some(item) = nucleus::take(body)? else {
            return Ok(count > 0);
        };
        let size = item.body_size as usize;
        endpoint.on_event(
            now(),
            Event::Item(&item, body.get(..size).unwrap_or(&[])),
            here,
        );
    }
    Ok(true)
}
