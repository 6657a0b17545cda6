//! The other sites of the checks that take more than one: `conformance partner`, a system actor on each of them.
//!
//! It does what the leader ([`crate::sites`]) asks in requests to a well-known port, and answers with what came of it.

use crate::actors::make;
use crate::verdict::{OWN, call};
use alloc::sync::Arc;
use alloc::vec::Vec;
use chorus_abi::*;
use chorus_runtime::message::{Buffer, Message, reply, reply_awaited};
use chorus_runtime::port::{Port, Queued, well_known_group};
use chorus_runtime::{at, at_mut, println, site, thread};
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Stamp of the port that the leader asks at.
pub const STAMP: u32 = 0x7f_1000;

/// A port, served by a thread that counts what comes and answers requests with the number of its site.
pub const SERVED: u32 = 1;
/// A port that nobody serves, of an actor without threads; it can be taken over once.
pub const LEFT: u32 = 2;
/// Takes the port of `LEFT` over, and serves it.
pub const TAKE_OVER: u32 = 3;
/// Deletes a served port.
pub const DELETE: u32 = 4;
/// Makes a port a member of the group.
pub const JOIN: u32 = 5;
/// Ends that.
pub const LEAVE: u32 = 6;
/// How many messages a served port got.
pub const COUNT: u32 = 7;
/// `uiDeclare`.
pub const DECLARE: u32 = 8;
/// `uiForget`.
pub const FORGET: u32 = 9;
/// The capability of the well-known group 7.
pub const GROUP: u32 = 10;
/// The capability of this actor.
pub const SELF: u32 = 11;
/// Sends a message to a port, from one whose protection identifier is 77, 78, 79.
pub const STAMPED: u32 = 12;
/// No more is asked.
pub const END: u32 = 13;
/// A port whose requests are kept a minute before they are answered.
pub const HELD: u32 = 14;
/// Gives the port of `LEFT` to an actor, of whichever site; its LI there.
pub const GIVE: u32 = 15;
/// Serves the port whose LI in this actor is the capability's key: one that another site gave.
pub const RECEIVED: u32 = 16;

/// A question, and its answer.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Order {
    /// `SERVED`…
    pub what: u32,
    /// Out: an error, or a number.
    pub result: i32,
    /// A port or another name.
    pub ui: KnUniqueId,
    /// A capability.
    pub cap: KnCap,
}

impl Order {
    /// As the annex of a message.
    pub fn annex(&self) -> [u8; 64] {
        let mut annex = [0; 64];
        annex[..size_of::<Order>()].copy_from_slice(self.as_bytes());
        annex
    }

    /// The one in an annex.
    pub fn of(annex: &[u8; 64]) -> Order {
        Order::read_from_prefix(&annex[..]).map_or_else(|_| Order::default(), |(order, _)| order)
    }
}

/// A port and how many messages it got.
pub struct Served {
    /// Its name.
    pub ui: KnUniqueId,
    li: i32,
    count: Arc<AtomicU32>,
}

impl Served {
    /// Makes one, with its thread. Errors: `K_ENOMEM`.
    pub fn start() -> Result<Served, KError> {
        Served::over(Port::create()?)
    }

    /// Serves a port. Errors: `K_ENOMEM`.
    fn over(port: Port) -> Result<Served, KError> {
        Served::after(port, Duration::ZERO)
    }

    /// Serves a port, answering after a time.
    fn after(port: Port, time: Duration) -> Result<Served, KError> {
        let (ui, li) = (port.ui(), port.li());
        let count = Arc::new(AtomicU32::new(0));
        let counted = count.clone();
        thread::spawn(0, move || {
            let mut buffer = Buffer::with_room(0);
            while port.receive(&mut buffer, None).is_ok() {
                counted.fetch_add(1, Ordering::AcqRel);
                if !time.is_zero() {
                    let _ = thread::sleep(time);
                }
                if reply_awaited() {
                    let annex = [site::number() as u8; 64];
                    let _ = reply(Message {
                        annex: Some(&annex),
                        body: &[],
                    });
                }
            }
        })?;
        Ok(Served { ui, li, count })
    }

    /// Messages so far.
    pub fn count(&self) -> u32 {
        self.count.load(Ordering::Acquire)
    }
}

/// What the partner has made.
#[derive(Default)]
struct Made {
    served: Vec<Served>,
    left: Option<(KnCap, i32)>,
}

impl Made {
    fn carry_out(&mut self, order: &mut Order) -> Result<u32, KError> {
        let ui = order.ui;
        let served = |made: &Made| made.served.iter().position(|served| served.ui == ui);
        let code = |result: i32| chorus_runtime::check(result);
        match order.what {
            SERVED => {
                let served = Served::start()?;
                order.ui = served.ui;
                self.served.push(served);
                Ok(0)
            }
            HELD => {
                let served = Served::after(Port::create()?, Duration::from_secs(60))?;
                order.ui = served.ui;
                self.served.push(served);
                Ok(0)
            }
            LEFT => {
                let (made, child) = make(K_USERACTOR, K_ACTIVE);
                code(made)?;
                let li = call!(
                    port_create,
                    In::new(at(&child)),
                    Out::new(at_mut(&mut order.ui))
                );
                self.left = Some((child, code(li)? as i32));
                Ok(0)
            }
            TAKE_OVER => {
                let (child, li) = self.left.take().ok_or(KError::Inval)?;
                let port = Port::take_over(&child, li, Queued::Follow)?;
                // Not by this thread: it holds the leader's request.
                self.served.push(Served::over(port)?);
                Ok(0)
            }
            GIVE => {
                let (child, li) = self.left.take().ok_or(KError::Inval)?;
                code(call!(
                    port_migrate,
                    K_MIGRATEMSG,
                    In::new(at(&child)),
                    li,
                    In::new(at(&order.cap)),
                    Out::new(0)
                ))
            }
            RECEIVED => {
                let mut own = KnCap::default();
                code(call!(actor_self, Out::new(at_mut(&mut own))))?;
                let port = Port::take_over(&own, order.cap.key as i32, Queued::Follow)?;
                self.served.push(Served::over(port)?);
                Ok(0)
            }
            DELETE => {
                let index = served(self).ok_or(KError::Inval)?;
                let gone = self.served.swap_remove(index);
                code(call!(port_delete, OWN, gone.li))
            }
            JOIN => code(call!(
                grp_port_insert,
                In::new(at(&order.cap)),
                In::new(at(&ui))
            )),
            LEAVE => code(call!(
                grp_port_remove,
                In::new(at(&order.cap)),
                In::new(at(&ui))
            )),
            COUNT => {
                let index = served(self).ok_or(KError::Inval)?;
                Ok(self.served[index].count())
            }
            DECLARE => site::declare(ui).map(|()| 0),
            FORGET => site::forget(ui).map(|()| 0),
            GROUP => {
                order.cap = well_known_group(7)?;
                Ok(0)
            }
            SELF => code(call!(actor_self, Out::new(at_mut(&mut order.cap)))),
            STAMPED => {
                let port = Port::create()?;
                port.set_pi(KnProtId {
                    uid: 77,
                    gid: 78,
                    did: 79,
                    pad: 0,
                })?;
                let dest = KnIpcDest {
                    target: ui,
                    co_target: KnUniqueId::NULL,
                };
                let empty = KnMsgDesc::default();
                code(call!(
                    ipc_send,
                    In::new(at(&empty)),
                    port.li(),
                    In::new(at(&dest))
                ))
            }
            END => Ok(0),
            _ => Err(KError::Inval),
        }
    }
}

/// Serves until it is told that no more is asked.
pub fn serve() -> i32 {
    let port = match Port::declare(KnUniqueId::well_known_port(site::number(), STAMP)) {
        Ok(port) => port,
        Err(error) => {
            println!("conformance: the partner has no port: {error:?}");
            return 1;
        }
    };
    let mut made = Made::default();
    let mut buffer = Buffer::with_room(0);
    loop {
        if port.receive(&mut buffer, None).is_err() {
            continue;
        }
        let mut order = Order::of(&buffer.annex);
        let result = made.carry_out(&mut order);
        order.result = result.map_or_else(KError::code, |number| number as i32);
        let _ = reply(Message {
            annex: Some(&order.annex()),
            body: &[],
        });
        if order.what == END {
            return 0;
        }
    }
}
