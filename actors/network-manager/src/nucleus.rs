//! The Nucleus' side of the Network Manager: the calls `nm…`, typed.

use chorus_abi::net::{KnNetItem, KnNetSeat};
use chorus_abi::{In, KError, KnTimeVal, KnUniqueId, Out};
use chorus_runtime::{at, at_mut, check, raw};

/// Makes this actor the Network Manager, woken by interrupt `irq`; what the cluster told the site. Errors: `K_EBUSY`, there is one already.
pub fn attach(irq: u32) -> Result<KnNetSeat, KError> {
    let mut seat = KnNetSeat {
        key: [0; 32],
        generation: 0,
        flags: 0,
    };
    // SAFETY: the result lives through the call.
    check(unsafe { raw::nm_attach(irq as i32, Out::new(at_mut(&mut seat))) })?;
    Ok(seat)
}

/// Waits for an item or an interrupt, at most `limit` nanoseconds; the bits of `nmWait`. Errors: `K_ETIMEOUT`, `K_EABORT`.
pub fn wait(limit: Option<u64>) -> Result<u32, KError> {
    let limit = limit.map(KnTimeVal::from_ns);
    let address = limit.as_ref().map_or(0, at);
    // SAFETY: the interval lives through the call.
    check(unsafe { raw::nm_wait(In::new(address)) })
}

/// The next outbound item; its body is at the beginning of `body`. Errors: those of `nmTake`, without that there is none.
pub fn take(body: &mut [u8]) -> Result<Option<KnNetItem>, KError> {
    let mut item = KnNetItem::default();
    // SAFETY: item and room live through the call, and the room has that many bytes.
    let taken = check(unsafe {
        raw::nm_take(
            Out::new(at_mut(&mut item)),
            Out::new(at_mut(body)),
            body.len() as u32,
        )
    });
    match taken {
        Ok(_) => Ok(Some(item)),
        Err(KError::Timeout) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Hands in a message: 0 or an error's number.
pub fn deliver(item: &KnNetItem, body: &[u8]) -> i32 {
    // SAFETY: item and body live through the call, and the body has the bytes that the item says: the transport made them together.
    unsafe { raw::nm_deliver(In::new(at(item)), In::new(at(body))) }
}

/// Ends a local client's call. A client that has left is no error.
pub fn complete(item: &KnNetItem, body: &[u8]) {
    // SAFETY: as in `deliver`.
    unsafe { raw::nm_complete(In::new(at(item)), In::new(at(body))) };
}

/// Whether messages to the name can be delivered here; of a port how often it moved between sites.
pub fn query(ui: KnUniqueId) -> Option<u32> {
    // SAFETY: the identifier lives through the call.
    let told = unsafe { raw::nm_query(In::new(at(&ui))) };
    u32::try_from(told).ok()?.checked_sub(1)
}

/// Whether the site recognises the name.
pub fn recognises(ui: KnUniqueId) -> bool {
    // SAFETY: the identifier lives through the call.
    unsafe { raw::ui_is_local(In::new(at(&ui))) == 1 }
}
