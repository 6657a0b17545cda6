//! Messages of one thread to itself (spec 3.6).

use crate::verdict::{DEFAULT, Verdict, call, message};
use chorus_abi::error::*;
use chorus_abi::*;
use chorus_runtime::{at, at_mut};

/// Checks them; `own` is the default port.
pub fn check(verdict: &mut Verdict, own: KnUniqueId) {
    let dest = KnIpcDest {
        target: own,
        ..KnIpcDest::default()
    };
    let send = |desc: &KnMsgDesc| call!(ipc_send, In::new(at(desc)), DEFAULT, In::new(at(&dest)));
    let receive = |desc: &mut KnMsgDesc, delay: i32| {
        let mut li = DEFAULT;
        call!(
            ipc_receive,
            InOut::new(at_mut(desc)),
            InOut::new(at_mut(&mut li)),
            delay
        )
    };
    let mut annex = [0u8; 64];
    let mut buffer = [0u8; 300];
    let mut room = KnMsgDesc {
        body_size: 300,
        body_addr: buffer.as_mut_ptr() as u64,
        annex_addr: at_mut(&mut annex),
        ..KnMsgDesc::default()
    };
    verdict.check("NC-195", receive(&mut room, 0) == K_ETIMEOUT);
    let sent = [7u8; 64];
    let body = [5u8; 200];
    verdict.check("NC-169", send(&message(&body, Some(&sent))) == K_OK);
    let got = receive(&mut room, 0);
    verdict.check(
        "NC-167",
        got == 200 && annex == sent && buffer[..200] == body && buffer[200] == 0,
    );
    let mut head = KnMsgHead::default();
    verdict.check(
        "NC-176",
        call!(ipc_sys_info, Out::new(at_mut(&mut head))) == K_OK && head.src_port == own,
    );
    let first = room.seq_num;
    let too_much = KnMsgDesc {
        body_size: K_CMSGSIZEMAX + 1,
        body_addr: at(&body),
        ..KnMsgDesc::default()
    };
    verdict.check("NC-166", send(&too_much) == K_ETOOMUCH);
    let unmapped = KnMsgDesc {
        body_size: 8,
        body_addr: 16,
        ..KnMsgDesc::default()
    };
    verdict.check(
        "NC-174",
        send(&unmapped) == K_EFAULT && receive(&mut room, 0) == K_ETIMEOUT,
    );
    let filled = (0..K_CPORTQUEUE).all(|_| send(&message(&[], None)) == K_OK);
    verdict.check("NC-173", filled && send(&message(&[], None)) == K_EFULL);
    let drained = (0..K_CPORTQUEUE).all(|_| receive(&mut room, 0) == 0);
    verdict.check(
        "NC-204",
        drained && room.seq_num == first + K_CPORTQUEUE as u32,
    );
    send(&message(&body, None));
    let mut small = KnMsgDesc {
        body_size: 10,
        ..room
    };
    buffer = [0; 300];
    verdict.check(
        "NC-200",
        receive(&mut small, 0) == 200 && buffer[..10] == body[..10] && buffer[10] == 0,
    );
    let empty = message(&[], None);
    call!(ipc_reply, In::new(at(&empty)));
    verdict.check("NC-208", receive(&mut room, 0) == 0);
    verdict.check(
        "NC-206",
        call!(ipc_reply, In::new(at(&empty))) == K_OK
            && call!(ipc_reply, In::new(at(&empty))) == K_EINVAL,
    );
}
