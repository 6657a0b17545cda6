//! Writes the list of tests on the host that check assertions: `cargo run -p chorus-abi --example host_tests`.

mod scan;

use std::{fs, io};

fn main() -> io::Result<()> {
    fs::write(scan::list_file(), scan::list()?)
}
