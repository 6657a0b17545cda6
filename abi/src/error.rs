//! Error symbols of the Nucleus calls, with this project's numbers.
//!
//! The symbols are those of the manual pages; the numbers are our own (spec `nucleus-calls.md` 0.4). A call returns one of them
//! as a negative 32-bit integer; zero and above is success.

/// Defines [`KError`] once: value, Chorus symbol, one-line meaning.
macro_rules! errors {
    ($($variant:ident = $value:literal $symbol:ident $meaning:literal;)*) => {
        /// Why a Nucleus call failed (spec 0.4). Programs compare symbols, never numbers.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(i32)]
        pub enum KError { $(#[doc = $meaning] $variant = $value,)* }

        impl KError {
            /// Every error, in the order of the table.
            pub const ALL: &'static [KError] = &[$(KError::$variant,)*];

            /// The number that a call returns.
            pub const fn code(self) -> i32 { self as i32 }

            /// The Chorus symbol, such as `K_EINVAL`.
            pub const fn symbol(self) -> &'static str {
                match self { $(KError::$variant => stringify!($symbol),)* }
            }

            /// One line for people.
            pub const fn meaning(self) -> &'static str {
                match self { $(KError::$variant => $meaning,)* }
            }

            /// The error with this number; `None` for a number that is no error of ours.
            pub const fn from_code(code: i32) -> Option<KError> {
                match code { $($value => Some(KError::$variant),)* _ => None }
            }
        }
        $(#[doc = $meaning] pub const $symbol: i32 = $value;)*
    };
}

/// Success.
pub const K_OK: i32 = 0;

errors! {
    Inval = -1 K_EINVAL "ill-formed capability or identifier, wrong state, no current message, bad option";
    Unknown = -2 K_EUNKNOWN "well-formed name of something that cannot be found or reached; nothing was executed";
    Fault = -3 K_EFAULT "pointer outside the caller's address space";
    NoPort = -4 K_ENOPORT "the port waited on or called disappeared";
    Timeout = -5 K_ETIMEOUT "time limit reached";
    Abort = -6 K_EABORT "call left because the thread was aborted";
    Full = -7 K_EFULL "queue or table full";
    TooMuch = -8 K_ETOOMUCH "message body or request too large, too many saved messages";
    Busy = -9 K_EBUSY "already connected, already being deleted, name in use";
    NoMem = -10 K_ENOMEM "out of kernel resources or memory";
    Priv = -11 K_EPRIV "caller lacks the privilege";
    LinkFailure = -12 K_ELINKFAILURE "link with the remote site broke during a call; whether it was executed is unknown";
    Overlap = -13 K_EOVERLAP "region would overlap an existing one";
    Addr = -14 K_EADDR "address not mapped or out of the space's range";
    Round = -15 K_EROUND "address or offset not page aligned";
    Size = -16 K_ESIZE "zero or out-of-range size";
    Prot = -17 K_EPROT "protection forbids the access";
    Space = -18 K_ESPACE "no free address range of that size";
    Offset = -19 K_EOFFSET "offset outside the segment";
    Mapper = -20 K_EMAPPER "mapper unreachable, died, or answered nonsense";
    NotImp = -21 K_ENOTIMP "optional call not configured";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_spec_s_and_round_trip() {
        for (index, error) in KError::ALL.iter().enumerate() {
            assert_eq!(error.code(), -(index as i32) - 1);
            assert_eq!(KError::from_code(error.code()), Some(*error));
            assert!(error.symbol().starts_with("K_E"));
        }
        assert_eq!(KError::from_code(0), None);
    }
}
