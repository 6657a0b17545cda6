//! Prints the C header: `cargo run -p chorus-abi --example header > actors/runtime/include/chorus.h`.

fn main() {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = chorus_abi::header::write(&mut text);
    print!("{text}");
}
