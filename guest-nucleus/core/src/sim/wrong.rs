//! Every call with every argument wrong in turn, made from the table: a documented error and nothing else, or it is no error after all (NC-281).
//!
//! What each call means is not known here. The arguments that are not wrong are plausible ones of their types; a call that succeeds with them is as good a
//! test as one that fails.

use super::scene::{FOREVER, NOWHERE, Party};
use super::site::{MEMORY, Site};
use crate::executive::thread::local_identifier;
use alloc::format;
use alloc::vec::Vec;
use chorus_abi::error::*;
use chorus_abi::table::{Argument, Call};
use chorus_abi::*;

/// Errors that tell of something that happened rather than of an argument: what happened may show.
const EVENTS: [i32; 2] = [K_ETIMEOUT, K_EABORT];

/// A site with a caller, and others to be named.
struct Stage {
    site: Site,
    caller: Party,
    other: Party,
    /// A port of the caller, and a group that it is in.
    port: (i32, KnUniqueId),
    group: KnCap,
    /// LI of a thread that is gone.
    stale: u64,
    /// A page that may only be read.
    read_only: u64,
}

impl Stage {
    fn new(kind: i32) -> Stage {
        let mut site = Site::new(4);
        let (caller, other) = (site.party(kind), site.party(K_USERACTOR));
        let port = site.port(caller);
        let room = site.space(caller.actor, size_of::<KnCap>());
        site.grants(caller, "grpAllocate", &[K_DYNAMIC as u64, room, 0]);
        let group: KnCap = site.peek(caller.actor, room);
        let ui = site.arg(caller.actor, &port.1);
        site.grants(caller, "grpPortInsert", &[room, ui]);
        let gone = site.fellow(caller);
        let stale = site.li(gone.thread);
        site.grants(caller, "threadDelete", &[0, stale]);
        let page = KnRgnDesc {
            size: PAGE_SIZE,
            options: K_ANYWHERE,
            ..KnRgnDesc::default()
        };
        let desc = site.arg(caller.actor, &page);
        site.grants(caller, "rgnAllocate", &[0, desc]);
        let page: KnRgnDesc = site.peek(caller.actor, desc);
        // Arguments lie on pages that are there.
        for page in 0..MEMORY.1 / PAGE_SIZE {
            site.put(caller.actor, page * PAGE_SIZE, &0u8);
        }
        Stage {
            site,
            caller,
            other,
            port,
            group,
            stale,
            read_only: page.start_addr,
        }
    }

    /// A plausible argument of a type.
    fn plausible(&mut self, argument: &Argument, variant: usize) -> u64 {
        let of = self.caller.actor;
        let cap = self.site.cap(if variant.is_multiple_of(2) {
            of
        } else {
            self.other.actor
        });
        let site = &mut self.site;
        if !argument.pointer {
            let lis = [
                0,
                self.port.0 as u64,
                site.li(self.other.thread),
                1,
                2,
                FOREVER,
            ];
            return lis[variant % lis.len()];
        }
        let inner = argument.rust.split(['<', '>']).nth(1).unwrap_or("");
        match inner.trim() {
            "KnCap" if variant.is_multiple_of(3) => 0,
            "KnCap" if variant % 5 == 4 => site.arg(of, &self.group),
            "KnCap" => site.arg(of, &cap),
            "KnUniqueId" => {
                let ui = if variant.is_multiple_of(2) {
                    self.port.1
                } else {
                    self.group.ui
                };
                site.arg(of, &ui)
            }
            "KnMsgDesc" if variant.is_multiple_of(2) => site.letter(self.caller, b"a body"),
            "KnMsgDesc" => site.room(self.caller, 64).desc,
            "KnIpcDest" => {
                let door = site.door(self.other.actor);
                site.dest(
                    self.caller,
                    if variant.is_multiple_of(3) {
                        door
                    } else {
                        self.port.1
                    },
                )
            }
            "KnTimeVal" => site.arg(of, &KnTimeVal::from_ns(variant as u64 * 1000)),
            "i32" => site.arg(of, &(self.port.0 * (variant % 2) as i32)),
            "KnRgnDesc" => {
                let desc = KnRgnDesc {
                    start_addr: if variant.is_multiple_of(2) {
                        self.read_only
                    } else {
                        0
                    },
                    size: 2 * PAGE_SIZE,
                    options: K_ANYWHERE | K_WRITABLE,
                    ..KnRgnDesc::default()
                };
                site.arg(of, &desc)
            }
            _ => site.arg(of, &[0u8; 512]),
        }
    }

    /// Wrong arguments of a kind.
    fn wrong(&mut self, argument: &Argument) -> Vec<u64> {
        let end = self.site.at(self.caller.actor, MEMORY.1);
        if argument.pointer {
            let supervisor = 0xffff_8000_0000_0000;
            let mut wrong = alloc::vec![
                0,
                1,
                0xfff,
                NOWHERE,
                end,
                end - 1,
                end - 3,
                end - 4,
                end - 8,
                self.read_only,
                supervisor,
                1 << 47,
                0x7fff_ffff_f000,
                u64::MAX,
                u64::MAX - 3,
                u64::MAX - 4095,
            ];
            wrong.extend([1, 2, 4].map(|off| self.site.at(self.caller.actor, 0x3000) + off));
            wrong
        } else {
            let foreign = self.site.nucleus.actors.get(self.other.actor);
            let foreign = foreign.and_then(|actor| actor.default_port);
            let foreign = foreign.map_or(0, |port| local_identifier(port) as u64);
            alloc::vec![
                1,
                3,
                0x7f,
                0x1fff,
                0x2000,
                i32::MAX as u64,
                i32::MIN as u32 as u64,
                u64::from(u32::MAX),
                u64::MAX,
                1 << 32,
                1 << 63,
                self.stale,
                foreign,
            ]
        }
    }

    /// Whether it can go on from here: nothing happened that could spoil the next call.
    fn fresh(&self, before: &str) -> bool {
        self.site.runs(self.caller) && self.site.picture() == before
    }
}

fn judge(call: &Call, arguments: &[u64], result: Option<i32>) {
    let Some(error) = result.filter(|&result| result < 0) else {
        return;
    };
    let known = call.errors.iter().any(|known| known.code() == error);
    // The least privilege is checked for every call, and any of them can be short of memory for a page that it touches.
    let always = error == K_EPRIV && call.privilege > table::Privilege::User;
    assert!(
        known || always,
        "{} {arguments:x?} gave {error}, which its row does not list",
        call.name
    );
}

#[test]
fn nc_281_every_argument_wrong_in_turn() {
    let mut tried = 0;
    for (variant, kind) in [K_USERACTOR, K_SYSTEMACTOR, K_SUPACTOR]
        .into_iter()
        .enumerate()
    {
        for call in table::CALLS {
            let mut stage = Stage::new(kind);
            for wrong in 0..call.arguments.len() {
                let values = stage.wrong(&call.arguments[wrong]);
                for value in values {
                    let mut arguments: Vec<u64> = call
                        .arguments
                        .iter()
                        .enumerate()
                        .map(|(at, argument)| stage.plausible(argument, variant + at))
                        .collect();
                    arguments[wrong] = value;
                    let before = stage.site.picture();
                    let result = stage.site.call(stage.caller.thread, call.name, &arguments);
                    tried += 1;
                    judge(call, &arguments, result);
                    if result.is_some_and(|result| result < 0 && !EVENTS.contains(&result)) {
                        stage
                            .site
                            .unchanged(&before, &format!("{} {arguments:x?}", call.name));
                    } else if !stage.fresh(&before) {
                        // Nothing that a call did keeps the site from ending clean.
                        stage.site.end();
                        stage = Stage::new(kind);
                    }
                }
            }
            stage.site.end();
        }
    }
    assert!(tried > 10_000, "{tried} calls were tried");
}
