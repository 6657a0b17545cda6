//! Example: prints every line that people type at `chorus console` of its site, until one says `bye`.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use chorus_runtime::abi::KError;
use chorus_runtime::{console, println};

chorus_runtime::entry!(main);

fn main() -> Result<(), KError> {
    println!("echo: type at chorus console; bye ends it");
    let mut line = Vec::new();
    loop {
        let typed = console::read(256)?;
        if typed.body().is_empty() {
            return Ok(());
        }
        for &byte in typed.body() {
            // A terminal ends a line by a carriage return.
            if byte != b'\n' && byte != b'\r' {
                line.push(byte);
                continue;
            }
            let text = core::str::from_utf8(&line).unwrap_or("(not UTF-8)");
            if text == "bye" {
                return Ok(());
            }
            if !text.is_empty() {
                println!("echo: {text}");
            }
            line.clear();
        }
    }
}
