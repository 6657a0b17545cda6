//! Files that are no actors: each is refused by its cause, and nothing is started.

use crate::lab::Lab;
use chorus::cluster::images;

/// The program header of a type; offset in the file.
fn header(image: &[u8], kind: u32) -> usize {
    (0..usize::from(u16::from_le_bytes([image[56], image[57]])))
        .map(|index| 64 + index * 56)
        .find(|&at| image[at..at + 4] == kind.to_le_bytes())
        .unwrap()
}

fn position(image: &[u8], text: &[u8]) -> usize {
    image
        .windows(text.len())
        .position(|window| window == text)
        .unwrap()
}

#[test]
#[cfg_attr(skip_guest, ignore = "this build carries no guest")]
fn bad_images_are_refused_by_their_cause() {
    let lab = Lab::new();
    lab.chorus(&["--name", "x", "up", "-n", "1", "-d", "--wait"])
        .with(0);
    let good = images::builtin("hello").unwrap().to_vec();
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut image = good.clone();
        change(&mut image);
        image
    };
    let load = header(&good, 1);
    let second = load + 56;
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("text", b"#!/bin/sh\necho no\n".to_vec(), "not an ELF file"),
        ("machine", changed(&|image| image[18] = 183), "x86-64"),
        ("short", good[..good.len() / 2].to_vec(), "truncated"),
        (
            "writable-code",
            changed(&|image| image[load + 4] = 7),
            "writable and executable",
        ),
        (
            "overlap",
            changed(&|image| image.copy_within(load + 16..load + 24, second + 16)),
            "overlap",
        ),
        (
            "import",
            changed(&|image| {
                let at = position(image, b"actorExit\0");
                image[at] = b'x';
            }),
            "imports a call",
        ),
        (
            "version",
            changed(&|image| {
                let at = position(image, b"Chorus\0\0") + 8;
                image[at] = 99;
            }),
            "another version",
        ),
    ];
    for (name, image, cause) in cases {
        let file = lab.folder().join(name);
        std::fs::write(&file, image).unwrap();
        let file = file.to_str().unwrap();
        lab.chorus(&["--name", "x", "exec", "s1", file])
            .with(4)
            .complaining(name)
            .complaining(cause);
    }
    lab.chorus(&["--name", "x", "exec", "s1", "no-such-file"])
        .with(4);
    // Nothing was started, nothing is left, and the site is well.
    let listed = lab.chorus(&["--name", "x", "ps", "-a"]).with(0);
    assert_eq!(listed.out.matches("running").count(), 2, "{listed:#?}");
    lab.chorus(&["--name", "x", "exec", "s1", "hello"]).with(0);
    lab.chorus(&["--name", "x", "down"]).with(0);
}
