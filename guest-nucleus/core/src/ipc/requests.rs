//! Requests of the Nucleus itself: to the mappers of segments (spec 4.5).

use super::message::{Body, Client, Kept, Message};
use super::send::Way;
use crate::Id;
use crate::machine::Machine;
use crate::memory::Request;
use crate::nucleus::Nucleus;
use chorus_abi::*;

impl<M: Machine> Nucleus<M> {
    /// Sends a request whose answer memory waits for. A protection identifier of zeros says who asks.
    ///
    /// # Errors
    /// `K_EUNKNOWN` nobody is there, `K_EFULL`; the body is freed then, and the request was not sent.
    pub(crate) fn request_send(
        &mut self,
        request: Id<Request>,
        target: KnUniqueId,
        annex: [u8; 64],
        mut body: Body,
    ) -> Result<(), KError> {
        let posted = self.request_post(request, target, annex, body);
        if posted.is_err() {
            self.body_free(&mut body);
        }
        posted
    }

    /// Whether a mapper's port is here, or a member of its group. Errors: `K_EINVAL`, `K_EUNKNOWN`.
    pub(crate) fn can_request(&mut self, target: KnUniqueId) -> Result<Id<super::Port>, KError> {
        let dest = KnIpcDest {
            target,
            co_target: KnUniqueId::NULL,
        };
        match self.way(&dest)? {
            Way::Port(port) => Ok(port),
            Way::Broadcast(_) => Err(KError::Inval),
            Way::Network => Err(KError::Unknown),
        }
    }

    /// Whether a request could be sent now. Errors: `K_EINVAL`, `K_EUNKNOWN` nobody is there, `K_EFULL` later perhaps.
    pub(crate) fn can_post_request(
        &mut self,
        target: KnUniqueId,
    ) -> Result<Id<super::Port>, KError> {
        let port = self.can_request(target)?;
        let queued = self.ipc.ports.get(port).ok_or(KError::Unknown)?.queued;
        if queued >= K_CPORTQUEUE || !self.ipc.has_room() {
            return Err(KError::Full);
        }
        Ok(port)
    }

    fn request_post(
        &mut self,
        request: Id<Request>,
        target: KnUniqueId,
        annex: [u8; 64],
        body: Body,
    ) -> Result<(), KError> {
        let port = self.can_post_request(target)?;
        let kept = Kept {
            annex: Some(annex),
            body,
        };
        let kept = self.ipc.kept.insert(kept).ok_or(KError::Full)?;
        let message = Message {
            src_port: KnUniqueId::NULL,
            target,
            co_target: KnUniqueId::NULL,
            actor_pi: KnProtId::default(),
            port_pi: KnProtId::default(),
            kept: Some(kept),
            body_size: body.size,
            has_annex: true,
            unfetched: false,
            client: Client::Memory(request),
            port: None,
            holder: None,
            saver: None,
            sender: None,
            arrived: 0,
            next: None,
            remote: false,
            way: 0,
        };
        if let Some(id) = self.ipc.messages.insert(message) {
            self.enqueue(port, id);
            self.serve(port);
        }
        Ok(())
    }
}
