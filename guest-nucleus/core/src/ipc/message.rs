//! Messages that the Nucleus holds: queued, current, saved, or on the way to the Network Manager.

use super::port::Port;
use super::send::{Letter, Parcel};
use crate::arena::{Id, Working};
use crate::executive::actor::Actor;
use crate::executive::thread::Thread;
use crate::machine::{Frame, Machine, Space};
use crate::memory::Request;
use crate::nucleus::Nucleus;
use chorus_abi::*;

/// Most pages that a body is in: one more than its own if it does not begin with the first.
pub(crate) const PIECES: usize = (K_CMSGSIZEMAX as u64 / PAGE_SIZE) as usize + 1;

/// What of a body lies in one page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Piece {
    /// Place in the page.
    pub into: usize,
    /// Place in the body.
    pub offset: usize,
    /// Bytes.
    pub count: usize,
}

/// The pieces of a body that begins at a place in its first page.
pub(crate) fn pieces(lead: u32, size: u32) -> impl Iterator<Item = Piece> {
    let page = PAGE_SIZE as usize;
    let (mut into, mut offset, size) = (lead as usize % page, 0, size as usize);
    core::iter::from_fn(move || {
        let count = (page - into).min(size - offset);
        let piece = Piece {
            into,
            offset,
            count,
        };
        (into, offset) = (0, offset + count);
        (count > 0).then_some(piece)
    })
}

/// A body kept in frames, some of which actors may have as pages (`memory/sharing.rs`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Body {
    /// Bytes.
    pub size: u32,
    /// Place of the first byte in the first frame; the other frames begin with bytes.
    pub lead: u32,
    frames: [Option<Frame>; PIECES],
}

impl Body {
    /// No bytes.
    pub const EMPTY: Body = Body {
        size: 0,
        lead: 0,
        frames: [None; PIECES],
    };

    /// So many bytes that begin at a place in the first frame; the frames are to be put in.
    pub(crate) fn begins(lead: u32, size: u32) -> Body {
        Body {
            size,
            lead,
            ..Body::EMPTY
        }
    }

    /// The frame with a page of it.
    pub(crate) fn frame(&self, page: usize) -> Option<Frame> {
        self.frames.get(page).copied().flatten()
    }

    /// Puts a frame where none is. `false`: one is there, or there is no such place.
    pub(crate) fn put(&mut self, page: usize, frame: Frame) -> bool {
        match self.frames.get_mut(page) {
            Some(entry @ None) => {
                *entry = Some(frame);
                true
            }
            _ => false,
        }
    }

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

/// Nobody relies on anything in a message.
impl Working for Message {
    type Progress = Message;
    #[inline(always)]
    fn progress(&mut self) -> &mut Message {
        self
    }
}

impl Message {
    /// A message of a letter that is nowhere yet.
    pub(super) fn of(letter: &Letter, parcel: &Parcel, kept: Option<Id<Kept>>) -> Message {
        Message {
            src_port: letter.src_port,
            target: letter.dest.target,
            co_target: letter.dest.co_target,
            actor_pi: letter.actor_pi,
            port_pi: letter.port_pi,
            kept,
            has_annex: parcel.annex.is_some(),
            body_size: parcel.size,
            unfetched: false,
            client: letter.client,
            port: None,
            holder: None,
            saver: None,
            sender: letter.sender,
            arrived: 0,
            next: None,
            remote: letter.remote,
            way: 0,
        }
    }
}

/// Where bytes are.
pub type Place = (Id<Actor>, Space, u64);

impl<M: Machine> Nucleus<M> {
    /// The bodies that messages have in frames.
    #[cfg(test)]
    pub(crate) fn bodies(&self) -> impl Iterator<Item = Body> {
        let kept = self.ipc.kept.iter().map(|(_, kept)| kept.body);
        kept.chain(self.ipc.network.bodies())
    }

    /// Copies a body into frames. Errors: `K_EFAULT`, `K_ENOMEM`; then nothing is kept.
    pub(crate) fn body_keep(&mut self, from: Place, size: u32) -> Result<Body, KError> {
        let mut body = Body::begins(0, size);
        if !self.room_for_body(from.0, u64::from(size).div_ceil(PAGE_SIZE)) {
            return Err(KError::NoMem);
        }
        for piece in pieces(0, size) {
            let at = (from.0, from.1, from.2 + piece.offset as u64);
            if let Err(error) = self.piece_keep(at, &mut body, piece) {
                self.body_free(&mut body);
                return Err(error);
            }
        }
        Ok(body)
    }

    /// Copies a piece of a body into a new frame. Errors: `K_EFAULT`, `K_ENOMEM`; then the frame is in the body if there is one.
    pub(crate) fn piece_keep(
        &mut self,
        from: Place,
        body: &mut Body,
        piece: Piece,
    ) -> Result<(), KError> {
        let index = (body.lead as usize + piece.offset) / PAGE_SIZE as usize;
        let frame = self.frame_get(M::frame_allocate).ok_or(KError::NoMem)?;
        if !body.put(index, frame) {
            self.machine.frame_free(frame);
            return Err(KError::Fault);
        }
        self.copy_in(from, frame, piece.into, piece.count)
    }

    /// Copies the beginning of a body to an actor, where pages of it cannot become the actor's. Errors: `K_EFAULT`.
    pub(crate) fn body_give(
        &mut self,
        body: &mut Body,
        to: Place,
        room: u32,
    ) -> Result<u32, KError> {
        let whole = self.body_fill(body, to, room)?;
        self.body_land(body, to, whole);
        Ok(body.size.min(room))
    }

    /// Gives the frames of a body back.
    pub(crate) fn body_free(&mut self, body: &mut Body) {
        for frame in body.frames.iter_mut().filter_map(Option::take) {
            self.frame_release(frame);
        }
        body.size = 0;
    }

    /// Keeps annex and body of a message for later. Errors: as [`Nucleus::body_keep`].
    pub(crate) fn keep(
        &mut self,
        annex: Option<[u8; 64]>,
        from: Place,
        size: u32,
        moves: bool,
    ) -> Result<Id<Kept>, KError> {
        let mut body = match moves {
            true => self.body_lift(from, size, false)?,
            false => self.body_lend(from, size)?,
        };
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

    /// Lets go of what was kept, of which a receiver takes some pages.
    pub(crate) fn kept_lands(&mut self, kept: Option<Id<Kept>>, to: Place, whole: u32) {
        if let Some(mut kept) = kept.and_then(|kept| self.ipc.kept.remove(kept)) {
            self.body_land(&mut kept.body, to, whole);
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
                } else if let Some(handling) = self.handled(thread, transaction) {
                    self.handling_fails(handling, error);
                }
            }
            Client::Remote(token) => self.network_reply(token, error.code(), None, Body::EMPTY),
            Client::Memory(request) => self.mapper_failed(request, error),
        }
    }
}
