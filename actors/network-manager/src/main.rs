//! The Network Manager: carries messages between sites.
//!
//! It owns the site's network device and drives the protocols of `chorus-transport`, which know neither device nor Nucleus: frames and the Nucleus'
//! outbound items go in as events, frames and deliveries come out. One thread, because the protocols are one state machine; it sleeps in `nmWait`
//! until there is an item, an interrupt, or a deadline. The same file runs as supervisor actor (the default) and as system actor.
#![no_std]
#![no_main]

extern crate alloc;

mod asked;
mod card;
mod memory;
mod nucleus;
mod ring;
mod slots;

use alloc::vec::Vec;
use asked::Asked;
use card::Card;
use chorus_abi::net::{KnNetItem, NET_CLEAR, NM_OUTBOUND};
use chorus_abi::{K_CMSGSIZEMAX, KError, KnUniqueId};
use chorus_runtime::{args, site, site_log, start_info, time};
use chorus_transport::{Config, Endpoint, Event, Notice, Seal, Site, Trust};

chorus_runtime::entry!(main);

/// Outbound items taken before frames are looked at again.
const ITEMS: usize = 16;
/// Bytes of the room for bodies until a larger one comes.
const BODY: usize = 4096;

/// The site around the endpoint: its Nucleus and its card.
struct Here {
    card: Card,
    asked: Asked,
}

impl Site for Here {
    fn transmit(&mut self, frame: &[u8]) {
        self.card.transmit(frame);
    }

    fn deliver(&mut self, item: &KnNetItem, body: &[u8]) -> i32 {
        match self.asked.deliver(item) {
            Some(result) => result,
            None => nucleus::deliver(item, body),
        }
    }

    fn complete(&mut self, item: &KnNetItem, body: &[u8]) {
        nucleus::complete(item, body);
    }

    fn query(&mut self, ui: KnUniqueId) -> Option<u32> {
        if asked::is_here(ui) {
            return Some(0);
        }
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
            Notice::PeerDown { site, incarnation } => {
                site_log!("network-manager: site {site} is down (incarnation {incarnation})");
            }
            Notice::IncarnationOver { above } => {
                site_log!(
                    "network-manager: the others held this site for down (incarnation {above}); it takes a new incarnation"
                );
            }
            // On a link that loses frames these come and go.
            Notice::LinkLost { .. } | Notice::LinkBack { .. } => {}
            Notice::PeerUp { .. } | Notice::PeerSuspect { .. } => {}
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
    for word in args().skip(1) {
        if told(&mut config, word).is_none() {
            site_log!("network-manager: not understood: {word}");
            return Err(KError::Inval);
        }
    }
    let mut endpoint = match Endpoint::new(config) {
        Ok(endpoint) => endpoint,
        Err(why) => {
            site_log!("network-manager: {why}");
            return Err(KError::Inval);
        }
    };
    let mut here = Here {
        card,
        asked: Asked::default(),
    };
    let mut body = alloc::vec![0; BODY];
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
        renew(&mut endpoint, &mut here)?;
        // Whatever woke us, the ring says by itself whether there are frames. Only when there is nothing more to do is an interrupt asked for.
        loop {
            while frames(&mut endpoint, &mut here) | items(&mut endpoint, &mut here, &mut body)? {
                renew(&mut endpoint, &mut here)?;
                asked::answer(&mut endpoint, &mut here);
            }
            here.card.listen();
            if !frames(&mut endpoint, &mut here) {
                break;
            }
        }
    }
}

/// Takes an argument: `detect=MS`, `domains=` and whose protection identifiers are believed (`Trust`). `None`: it is none of these.
fn told(config: &mut Config, word: &str) -> Option<()> {
    match word.split_once('=')? {
        ("detect", text) => {
            config.detect_within(u64::from(text.parse::<u32>().ok()?) * 1_000_000);
        }
        ("domains", text) => config.trust = Trust::parse(text).ok()?,
        _ => return None,
    }
    Some(())
}

/// Takes a new incarnation if the present one is over for the others. Nobody else counts them while this site runs; the loader's next count must be higher, and a site
/// that is told a number which it had learns of that from the others. Errors: all numbers were used.
fn renew(endpoint: &mut Endpoint, here: &mut Here) -> Result<(), KError> {
    let Some(above) = endpoint.is_over() else {
        return Ok(());
    };
    endpoint.renew(now(), above + 1, here).map_err(|why| {
        site_log!("network-manager: no incarnation is left: {why}");
        KError::Full
    })
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
fn items(endpoint: &mut Endpoint, here: &mut Here, body: &mut Vec<u8>) -> Result<bool, KError> {
    for count in 0..ITEMS {
        let taken = match nucleus::take(body) {
            Err(KError::TooMuch) if body.len() < K_CMSGSIZEMAX as usize => {
                body.resize(K_CMSGSIZEMAX as usize, 0);
                nucleus::take(body)?
            }
            taken => taken?,
        };
        let Some(item) = taken else {
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
