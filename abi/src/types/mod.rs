//! Plain structures that calls read and write, laid out as in C.
//!
//! All are `repr(C)` without hidden padding and can be looked at as bytes (`zerocopy`), which is how the Nucleus copies them between
//! address spaces without unsafe code.

/// A structure for the C header: name, size in bytes, fields with their names, types and offsets.
pub type Structure = (
    &'static str,
    usize,
    &'static [(&'static str, &'static str, usize)],
);

/// Declares plain structures with the derives that the byte views need, and their C names.
macro_rules! plain {
    ($($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident : $type:ty,)* })*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
        #[repr(C)]
        pub struct $name { $($(#[$fdoc])* pub $field: $type,)* }
        impl CName for $name { const NAME: &'static str = stringify!($name); }
        impl $name {
            /// Field names, C types and offsets in bytes, for the header and its test.
            pub const LAYOUT: &'static [(&'static str, &'static str, usize)] =
                &[$((stringify!($field), stringify!($type), core::mem::offset_of!($name, $field)),)*];
        }
    )*

    /// The structures of this subject: C name, size in bytes, fields.
    pub(super) const STRUCTURES: &[Structure] =
        &[$((stringify!($name), core::mem::size_of::<$name>(), $name::LAYOUT),)*];
    };
}

mod images;
mod memory;
mod messages;
mod names;
mod site;
mod statistics;
mod supervisor;
mod synchronisation;
mod threads;

pub use images::*;
pub use memory::*;
pub use messages::*;
pub use names::*;
pub use site::*;
pub use statistics::*;
pub use supervisor::*;
pub use synchronisation::*;
pub use threads::*;

/// Every plain structure, subject by subject: C name, size in bytes, fields. One that holds another stands behind it.
pub const STRUCTURES: [&[Structure]; 9] = [
    names::STRUCTURES,
    messages::STRUCTURES,
    memory::STRUCTURES,
    synchronisation::STRUCTURES,
    threads::STRUCTURES,
    statistics::STRUCTURES,
    images::STRUCTURES,
    supervisor::STRUCTURES,
    site::STRUCTURES,
];
