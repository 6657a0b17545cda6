//! Example: a token goes around all sites, so many times (`ring [ROUNDS]`), one instance a site.
//!
//! Every instance is found by a well-known group whose stamp holds its site's number; none knows where the others' ports are. Each hop is an
//! `ipcCall` that is answered at once, then the token goes on. Site 1 puts the token in, checks that it saw every hop, and prints.
#![no_std]
#![no_main]

use chorus_abi::KError;
use chorus_runtime::message::{Buffer, Destination, Message, call_annex, reply};
use chorus_runtime::port::{Port, well_known_group};
use chorus_runtime::{args, eprintln, println, site, thread, time};
use core::time::Duration;

chorus_runtime::entry!(main);

/// Stamp of the group of site 0's instance; those of the sites follow.
const STAMP: u32 = 0x52_0000;
/// Rounds when none are asked for.
const ROUNDS: u32 = 50;

/// The token: hops so far, and those after which it is taken out.
#[derive(Clone, Copy)]
struct Token {
    hops: u32,
    last: u32,
}

impl Token {
    fn to_annex(self) -> [u8; 64] {
        let mut annex = [0; 64];
        annex[..4].copy_from_slice(&self.hops.to_le_bytes());
        annex[4..8].copy_from_slice(&self.last.to_le_bytes());
        annex
    }

    fn from_annex(annex: &[u8; 64]) -> Token {
        let word = |at: usize| {
            u32::from_le_bytes([annex[at], annex[at + 1], annex[at + 2], annex[at + 3]])
        };
        Token {
            hops: word(0),
            last: word(4),
        }
    }
}

/// Gives the token to the next site. Its instance may not have started yet: then its group has no member, and we try again.
fn pass(token: Token) -> Result<(), KError> {
    let next = site::number() % site::count() + 1;
    let group = well_known_group(STAMP + u32::from(next))?;
    let to = Destination::one_of(group.ui)?;
    let annex = token.to_annex();
    let message = Message {
        annex: Some(&annex),
        body: &[],
    };
    for _ in 0..200 {
        match call_annex(to, message, &mut [0; 64], Some(Duration::from_secs(60))) {
            Err(KError::Unknown) => thread::sleep(Duration::from_millis(50))?,
            other => return other,
        }
    }
    Err(KError::Unknown)
}

fn main() -> Result<i32, KError> {
    let rounds = match args().nth(1).map(str::parse) {
        None => ROUNDS,
        Some(Ok(rounds)) if (1..=1_000_000).contains(&rounds) => rounds,
        Some(_) => {
            eprintln!("usage: ring [ROUNDS], 1 to 1000000");
            return Ok(2);
        }
    };
    let sites = u32::from(site::count());
    let first = site::number() == 1;
    let port = Port::own();
    port.join(&well_known_group(STAMP + u32::from(site::number()))?)?;
    let start = time::now();
    if first {
        pass(Token {
            hops: 1,
            last: rounds * sites,
        })?;
    }
    let mut buffer = Buffer::with_room(0);
    let mut seen = 0;
    loop {
        port.receive(&mut buffer, None)?;
        let token = Token::from_annex(&buffer.annex);
        reply(Message::default())?;
        seen += 1;
        if token.hops < token.last {
            pass(Token {
                hops: token.hops + 1,
                ..token
            })?;
        }
        if seen == rounds {
            if first {
                let time = time::now() - start;
                println!(
                    "ring: {sites} sites, {rounds} rounds, {} hops: the token is back",
                    token.hops
                );
                eprintln!(
                    "ring: {} us in all, {} us a hop",
                    time.as_micros(),
                    time.as_micros() / u128::from(token.hops)
                );
            }
            return Ok(0);
        }
    }
}
