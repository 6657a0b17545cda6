//! Pointers that are not the caller's (NC-282), made from the table of calls so that none is left out.

use crate::verdict::Verdict;
use chorus_abi::error::*;
use chorus_abi::net::{KnNetItem, KnNetSeat};
use chorus_abi::*;
use chorus_runtime::{println, raw};

macro_rules! table {
    ($($(#[doc = $doc:literal])* $number:literal $name:literal $rust:ident $privilege:ident $blocks:ident
        ($($arg:ident : $type:ty),*) [$($error:ident),*];)*) => {
        /// Every call by its number, with its registers.
        const STUBS: &[(u16, fn(u64, u64) -> i32)] = &[$(($number, |pointer, plain| {
            let _ = (pointer, plain);
            // SAFETY: an address of the Nucleus, which no call may follow: that is what is tested.
            unsafe { raw::$rust($(<$type as Arg>::from_register(if <$type as Arg>::POINTER { pointer } else { plain })),*) }
        })),*];
    };
}
chorus_calls!(table);

/// An address of the Nucleus: the beginning of its direct map.
const NUCLEUS: u64 = 0xffff_8000_0000_0000;

/// Checks every call that has a pointer.
pub fn check(verdict: &mut Verdict) {
    let mut wrong = 0;
    for &(number, stub) in STUBS {
        let Some(call) = table::by_number(number) else {
            continue;
        };
        if !call.arguments.iter().any(|argument| argument.pointer) {
            continue;
        }
        // Text of no bytes, and a list without room, are not looked at.
        let plain = u64::from(matches!(call.name, "sysLog" | "actorStat"));
        let result = stub(NUCLEUS, plain);
        let fine = match call.name {
            // Without a current message, outside of handlers, without the seat of the Network Manager, or when that is taken, that is said first.
            "ipcReply" | "ipcReplyReceive" | "ipcSysInfo" => {
                matches!(result, K_EINVAL | K_EFAULT)
            }
            "svMsgHdlReply" => matches!(result, K_EINVAL | K_EPRIV),
            "nmAttach" => matches!(result, K_EBUSY | K_EFAULT | K_EPRIV),
            name if name.starts_with("nm") => result == K_EINVAL || result == K_EPRIV,
            // An index, a range or a size that is refused first.
            "devGet" | "devMap" | "devMemory" => {
                matches!(result, K_EINVAL | K_ESIZE | K_EFAULT | K_EPRIV)
            }
            _ => result == K_EFAULT || result == K_EPRIV,
        };
        if !fine {
            wrong += 1;
            println!(
                "{} with a pointer into the Nucleus returns {result}",
                call.name
            );
        }
    }
    verdict.check("NC-282", wrong == 0);
}
