//! Messages that the Nucleus holds: queued, current, saved, or on the way to the Network Manager.

use super::port::Port;
use crate::arena::Id;
use crate::executive::actor::Actor;
use crate::executive::thread::Thread;
use crate::machine::{Frame, Machine, Space};
use crate::memory::Request;
use crate::nucleus::Nucleus;
use chorus_abi::*;

const FRAMES: usize = (K_CMSGSIZEMAX as u64 / PAGE_SIZE) as usize;

/// A body kept in frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Body {
    /// Bytes.
    pub size: u32,
    frames: [Option<Frame>; FRAMES],
}

impl Body {
    /// No bytes.
    pub const EMPTY: Body = Body {
        size: 0,
        frames: [None; FRAMES],
    };

    /// All bytes of a frame.
    pub(crate) fn of_frame(frame: Frame) -> Body {
        let mut body = Body {
            size: PAGE_SIZE as u32,
            ..Body::EMPTY
        };
        if let Some(first) = body.frames.first_mut() {
            *first = Some(frame);
        }
        body
    }

    /// Takes the frame with a page of it out.
    pub(crate) fn take(&mut self, page: usize) -> Option<Frame> {
        self.frames.get_mut(page)?.take()
    }
}

/// What a message carries, kept while it is queued or its body is to be fetched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kept {
    /// The annex.
    pub annex: Option<[u8; 64]>,
    /// The body.
    pub body: Body,
}

/// Who waits for the reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Client {
    /// Nobody: an asynchronous message.
    None,
    /// The client has left: whatever is replied is dropped.
    Left,
    /// A thread of this site, in this transaction.
    Thread(Id<Thread>, u64),
    /// A client of another site, by the Network Manager's token.
    Remote(u64),
    /// The Nucleus itself, for a segment.
    Memory(Id<Request>),
}

/// A message.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// Source port as named by the sender.
    pub src_port: KnUniqueId,
    /// Target as sent.
    pub target: KnUniqueId,
    /// Co-target as sent.
    pub co_target: KnUniqueId,
    /// Protection identifiers at the time of sending.
    pub actor_pi: KnProtId,
    /// The same of the source port.
    pub port_pi: KnProtId,
    /// Annex and body, as long as the Nucleus holds them for it.
    pub kept: Option<Id<Kept>>,
    /// Bytes of the body as sent.
    pub body_size: u32,
    /// It has an annex.
    pub has_annex: bool,
    /// The body can be fetched with `ipcGetData`.
    pub unfetched: bool,
    /// Who waits.
    pub client: Client,
    /// Actor of this site that sent it.
    pub sender: Option<Id<Actor>>,
    /// Port that it is queued at.
    pub port: Option<Id<Port>>,
    /// When it was queued.
    pub arrived: u64,
    /// Thread that serves it, when it is current.
    pub holder: Option<Id<Thread>>,
    /// Actor that saved it.
    pub saver: Option<Id<Actor>>,
    /// Next in its queue.
    pub next: Option<Id<Message>>,
    /// It came from another site.
    pub remote: bool,
    /// Number of the way that it went, if its heading is that way's; 0: none.
    pub way: u64,
}

/// Where bytes are.
pub type Place = (Id<Actor>, Space, u64);

impl<M: Machine> Nucleus<M> {
    /// Copies a body into frames. Errors: `K_EFAULT`, `K_ENOMEM`; then nothing is kept.
    pub(crate) fn body_keep(&mut self, from: Place, size: u32) -> Result<Body, KError> {
        let mut body = Body {
            size,
            ..Body::EMPTY
        };
        let (pages, size) = (PAGE_SIZE as usize, size as usize);
        if !self.room_for_body(from.0, size.div_ceil(pages) as u64) {
            return Err(KError::NoMem);
        }
        for (index, offset) in (0..size).step_by(pages).enumerate() {
            let count = (size - offset).min(pages);
            let outcome = match self.machine.frame_allocate() {
                None => Err(KError::NoMem),
                Some(frame) => {
                    if let Some(entry) = body.frames.get_mut(index) {
                        *entry = Some(frame);
                    }
                    self.copy_in((from.0, from.1, from.2 + offset as u64), frame, 0, count)
                }
            };
            if let Err(error) = outcome {
                self.body_free(&mut body);
                return Err(error);
            }
        }
        Ok(body)
    }

    /// Copies the beginning of a body to an actor. Errors: `K_EFAULT`.
    pub(crate) fn body_give(&mut self, body: &Body, to: Place, room: u32) -> Result<u32, KError> {
        let size = body.size.min(room) as usize;
        for (index, offset) in (0..size).step_by(PAGE_SIZE as usize).enumerate() {
            let count = (size - offset).min(PAGE_SIZE as usize);
            if let Some(Some(frame)) = body.frames.get(index) {
                self.copy_out(*frame, 0, (to.0, to.1, to.2 + offset as u64), count)?;
            }
        }
        Ok(size as u32)
    }

    /// Gives the frames of a body back.
    pub(crate) fn body_free(&mut self, body: &mut Body) {
        for frame in body.frames.iter_mut().filter_map(Option::take) {
            self.machine.frame_free(frame);
        }
        body.size = 0;
    }

    /// Keeps annex and body of a message for later. Errors: as [`Nucleus::body_keep`].
    pub(crate) fn keep(
        &mut self,
        annex: Option<[u8; 64]>,
        from: Place,
        size: u32,
    ) -> Result<Id<Kept>, KError> {
        let mut body = self.body_keep(from, size)?;
        // There are as many as messages, of which each has at most one.
        self.ipc.kept.insert(Kept { annex, body }).ok_or_else(|| {
            self.body_free(&mut body);
            KError::Full
        })
    }

    /// Lets go of what was kept.
    pub(crate) fn let_go(&mut self, kept: Option<Id<Kept>>) {
        if let Some(mut kept) = kept.and_then(|kept| self.ipc.kept.remove(kept)) {
            self.body_free(&mut kept.body);
        }
    }

    /// Frees a message; who waited for its reply.
    pub(crate) fn message_free(&mut self, id: Id<Message>) -> Option<Client> {
        let message = self.ipc.messages.remove(id)?;
        if message.kept.is_some() {
            self.let_go(message.kept);
        }
        Some(message.client)
    }

    /// Ends a request without a reply: its client gets an error. The message is freed.
    pub(crate) fn message_fail(&mut self, id: Id<Message>, error: KError) {
        if let Some(client) = self.message_free(id) {
            self.client_fails(client, error);
        }
    }

    /// A client's call fails.
    pub(crate) fn client_fails(&mut self, client: Client, error: KError) {
        match client {
            Client::None | Client::Left => {}
            Client::Thread(thread, transaction) => {
                if self.awaits(thread, transaction).is_some() {
                    self.wake(thread, error.code());
                }
            }
            Client::Remote(token) => self.network_reply(token, error.code(), None, Body::EMPTY),
            Client::Memory(request) => self.mapper_failed(request, error),
        }
    }
}
