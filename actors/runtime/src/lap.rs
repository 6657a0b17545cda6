//! Local access points: calls between the actors of a site without a message (spec 3.12).

use crate::{at, at_mut, check};
use chorus_abi::{In, K_LAP_NOBLOCK, K_LAP_SAFE, K_LAPNAMEMAX, K_MYACTOR, KError, KnLapDesc, Out};

/// What a LAP's calls run: argument and cookie.
pub type Handler = extern "C" fn(u64, u64);

/// A local access point.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lap(pub KnLapDesc);

/// A name as calls take it. Errors: `K_ENOMEM`, it is too long.
fn terminated(name: &str) -> Result<[u8; K_LAPNAMEMAX + 1], KError> {
    let mut bytes = [0; K_LAPNAMEMAX + 1];
    let place = bytes[..K_LAPNAMEMAX].get_mut(..name.len());
    place.ok_or(KError::NoMem)?.copy_from_slice(name.as_bytes());
    Ok(bytes)
}

impl Lap {
    /// `svLapCreate`: a safe LAP of this supervisor actor. Errors: `K_EPRIV`, `K_ENOMEM`.
    pub fn create(handler: Handler, cookie: u64) -> Result<Lap, KError> {
        let mut desc = KnLapDesc::default();
        // SAFETY: the descriptor lives through the call, the handler as long as the actor.
        check(unsafe {
            crate::raw::sv_lap_create(
                In::new(K_MYACTOR),
                handler as *const () as u64,
                cookie,
                K_LAP_SAFE,
                Out::new(at_mut(&mut desc)),
            )
        })?;
        Ok(Lap(desc))
    }

    /// `svLapDelete`: returns when the last call has ended. Errors: `K_EINVAL`, it was deleted.
    pub fn delete(self) -> Result<(), KError> {
        // SAFETY: the descriptor lives through the call.
        check(unsafe { crate::raw::sv_lap_delete(In::new(at(&self.0))) }).map(|_| ())
    }

    /// `lapInvoke`. Errors: `K_EINVAL`, it was deleted; `K_EABORT`, its actor ended meanwhile.
    pub fn invoke(&self, argument: u64) -> Result<(), KError> {
        // SAFETY: the descriptor lives through the call; what the argument means is the handler's affair.
        check(unsafe { crate::raw::lap_invoke(In::new(at(&self.0)), argument) }).map(|_| ())
    }

    /// `svLapBind`: gives it a name on this site. Errors: `K_EBUSY`, `K_ENOMEM`.
    pub fn bind(&self, name: &str) -> Result<(), KError> {
        let name = terminated(name)?;
        // SAFETY: descriptor and name live through the call.
        check(unsafe { crate::raw::sv_lap_bind(In::new(at(&self.0)), In::new(at(&name)), 0) })
            .map(|_| ())
    }

    /// `lapResolve`: the LAP of a name, when it has one; `wait`: waits for that. Errors: `K_EUNKNOWN`, `K_EABORT`, `K_ENOMEM`.
    pub fn resolve(name: &str, wait: bool) -> Result<Lap, KError> {
        let (name, mut desc) = (terminated(name)?, KnLapDesc::default());
        let options = if wait { 0 } else { K_LAP_NOBLOCK };
        // SAFETY: descriptor and name live through the call.
        check(unsafe {
            crate::raw::lap_resolve(Out::new(at_mut(&mut desc)), In::new(at(&name)), options)
        })?;
        Ok(Lap(desc))
    }
}
