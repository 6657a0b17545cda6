//! A call that the Nucleus makes in the name of a thread: the report of its exception.

use super::CallWait;
use super::message::Client;
use super::send::{Letter, Parcel, Way};
use crate::executive::thread::Wait;
use crate::machine::{Machine, Space};
use crate::nucleus::{Caller, Nucleus};
use chorus_abi::net::NET_CALL;
use chorus_abi::*;

impl<M: Machine> Nucleus<M> {
    /// Sends an annex with the body that `answer` points at to a port, from the default port of the caller's home actor; the thread waits for the answer,
    /// which goes where the request came from. Errors: those of `ipcCall`; then the thread does not wait.
    pub(crate) fn ask(
        &mut self,
        caller: Caller,
        target: KnUniqueId,
        annex: [u8; K_CMSGANNEXSIZE],
        answer: KnMsgDesc,
    ) -> Result<(), KError> {
        let letter = self.letter_by_default(caller, target)?;
        let transaction = self.next_transaction(caller.thread);
        let letter = Letter {
            client: Client::Thread(caller.thread, transaction),
            ..letter
        };
        let parcel = Parcel {
            annex: Some(annex),
            body: (caller.actor, Space::SUPERVISOR, answer.body_addr),
            size: answer.body_size,
            moves: false,
        };
        let mut wait = CallWait {
            space: Space::SUPERVISOR,
            reply: answer,
            transaction,
            src_port: letter.src_port,
            request: None,
        };
        match self.way(&letter.dest)? {
            Way::Port(port) => wait.request = Some(self.post(port, &letter, &parcel)?),
            Way::Broadcast(_) => return Err(KError::Inval),
            Way::Network => {
                let item = self.item(NET_CALL, transaction, &letter, &parcel);
                self.network_put(item, Some((parcel.body, false)))?;
            }
        }
        if let Some(thread) = self.threads.progress(caller.thread) {
            thread.calls(wait);
        }
        self.block(caller.thread, Wait::Call, None);
        Ok(())
    }
}
