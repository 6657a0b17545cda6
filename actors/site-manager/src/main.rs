//! The site manager: joins the site to its cluster; starts, lists and deletes actors for those who ask.
//!
//! It answers at a well-known port (`STAMP_SITE_MANAGER`), to plain `ipcCall`s of any site (`chorus_abi::services`); the `chorus` command asks through the
//! host's gateway site. One thread serves; a second one tells the gateway that the site has joined, and ends. Its own text goes to the site's log.
#![no_std]
#![no_main]

extern crate alloc;

mod actors;
mod control;
mod image;
mod list;
mod succession;

use chorus_abi::services::{
    ACTOR_ENDED, Answer, EndNotice, SITE_HAND, SITE_KILL, SITE_LIST, SITE_PING, SITE_START,
    SITE_SUCCEED, SiteRequest, StartRequest,
};
use chorus_abi::{K_CMSGSIZEMAX, KError, KnUniqueId, STAMP_SITE_MANAGER};
use chorus_runtime::message::{Buffer, Message, current, reply};
use chorus_runtime::port::{Port, receive_any};
use chorus_runtime::{site, site_log, start_info, thread};

chorus_runtime::entry!(main);

/// An answer without more to say than an error.
pub fn refusal(error: KError) -> Answer {
    Answer {
        result: error.code(),
        ..Answer::default()
    }
}

fn main() -> Result<(), KError> {
    let port = Port::declare(KnUniqueId::well_known_port(
        site::number(),
        STAMP_SITE_MANAGER,
    ))?;
    port.enable(10)?;
    // Ends of actors come to the default port, which nobody else is told of.
    Port::own().enable(5)?;
    actors::watch_all()?;
    thread::spawn(0, control::join)?;
    let mut request = Buffer::with_room(K_CMSGSIZEMAX as usize);
    loop {
        request.annex = [0; 64];
        match receive_any(&mut request, None) {
            Ok(_) => {}
            Err(KError::Abort) => continue,
            Err(error) => return Err(error),
        }
        let Ok(head) = current() else { continue };
        if head.flags[0] == 0 {
            ended(&request, head.src_port);
            continue;
        }
        let (answer, body) = serve(&request, head.src_port);
        let message = Message {
            annex: Some(&answer.to_annex()),
            body: &body,
        };
        if let Err(error) = reply(message) {
            site_log!("site-manager: an answer was not sent: {}", error.symbol());
        }
    }
}

/// An asynchronous message: the Nucleus' notice that an actor has ended. Only the Nucleus sends without a source port.
fn ended(notice: &Buffer, from: KnUniqueId) {
    let notice = EndNotice::from_annex(&notice.annex);
    if notice.service == ACTOR_ENDED && !from.is_valid() {
        succession::ended(notice.actor);
        control::ended(&notice);
    }
}

fn serve(request: &Buffer, from: KnUniqueId) -> (Answer, alloc::vec::Vec<u8>) {
    let asked = SiteRequest::from_annex(&request.annex);
    let none = alloc::vec::Vec::new();
    match asked.service {
        SITE_PING => (
            Answer {
                value: start_info().epoch.into(),
                ..Answer::default()
            },
            none,
        ),
        SITE_LIST => list::list(&asked),
        SITE_START => (
            actors::start(&StartRequest::from_annex(&request.annex), request.body()),
            none,
        ),
        SITE_SUCCEED => (succession::predecessor(from), none),
        SITE_HAND => (succession::hand(from, asked.what, asked.ui), none),
        SITE_KILL => (actors::delete(asked.ui), none),
        _ => (refusal(KError::Inval), none),
    }
}
