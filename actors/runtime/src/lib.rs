//! What a Chorus actor links.
#![no_std]
