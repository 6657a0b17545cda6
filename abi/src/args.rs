//! Types of call arguments as they travel in registers.
//!
//! Every argument is one 64-bit register. A pointer argument says what it points at and in which direction data go; it is only
//! an *allegation* until the Nucleus has checked the range (the idea of Hubris' `USlice`). The names for C come from here too.

use core::marker::PhantomData;

/// A value that can be an argument of a Nucleus call.
pub trait Arg: Copy {
    /// The type in C, as the header writes it.
    const C: &'static str;
    /// Whether the argument is a pointer into the caller's memory (what NC-282 is generated from).
    const POINTER: bool = false;
    /// Makes the argument from the register's content.
    fn from_register(value: u64) -> Self;
    /// The register's content for the argument.
    fn to_register(self) -> u64;
}

macro_rules! integer_args {
    ($($rust:ty = $c:literal,)*) => { $(impl Arg for $rust {
        const C: &'static str = $c;
        fn from_register(value: u64) -> Self { value as $rust }
        fn to_register(self) -> u64 { self as u64 }
    })* };
}
integer_args! { i32 = "int", u32 = "unsigned int", u64 = "unsigned long", i64 = "long", }

/// C name of a structure that calls point at.
pub trait CName {
    /// Name as the C header writes it.
    const NAME: &'static str;
}
macro_rules! c_names { ($($rust:ty = $c:expr,)*) => { $(impl CName for $rust { const NAME: &'static str = $c; })* }; }
c_names! { u8 = "void", i32 = "int", u32 = "unsigned int", u64 = "unsigned long", }

macro_rules! pointer_args {
    ($($(#[$doc:meta])* $name:ident $c_open:literal;)*) => { $(
        $(#[$doc])*
        pub struct $name<T>(pub u64, PhantomData<fn() -> T>);
        impl<T> $name<T> {
            /// A pointer with this address; zero is the null pointer.
            pub const fn new(address: u64) -> Self { Self(address, PhantomData) }
            /// Address in the caller's space.
            pub const fn address(self) -> u64 { self.0 }
            /// Whether it is the null pointer.
            pub const fn is_null(self) -> bool { self.0 == 0 }
        }
        impl<T> Clone for $name<T> { fn clone(&self) -> Self { *self } }
        impl<T> Copy for $name<T> {}
        impl<T: CName> Arg for $name<T> {
            const C: &'static str = T::NAME;
            const POINTER: bool = true;
            fn from_register(value: u64) -> Self { Self::new(value) }
            fn to_register(self) -> u64 { self.0 }
        }
    )* };
}
pointer_args! {
    /// Pointer to something that the Nucleus reads.
    In "const";
    /// Pointer to something that the Nucleus writes.
    Out "";
    /// Pointer to something that the Nucleus reads and writes back.
    InOut "";
}

pub(crate) use c_names;
