//! From values to registers and back: addresses of arguments, results of calls.

use chorus_abi::KError;

/// Address of a value, for a call that reads it.
pub fn at<T: ?Sized>(value: &T) -> u64 {
    core::ptr::from_ref(value).cast::<u8>() as u64
}

/// Address of a value, for a call that writes it.
pub fn at_mut<T: ?Sized>(value: &mut T) -> u64 {
    core::ptr::from_mut(value).cast::<u8>() as u64
}

/// What a call returned: a number from 0 up, or an error. A number that is no error of ours counts as `K_EINVAL`.
pub fn check(result: i32) -> Result<u32, KError> {
    u32::try_from(result).map_err(|_| KError::from_code(result).unwrap_or(KError::Inval))
}
