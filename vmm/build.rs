//! Builds the bare-metal side and packs it into the `chorus` binary.
//!
//! The Nucleus is linked at a fixed address in the kernel's code model, actors are static PIEs: two builds with different
//! flags, each in a target folder of its own below this crate's, by the same cargo that runs this script. The images are stripped by
//! the linker but for the Nucleus' symbols, which reports and gdb need. `CHORUS_SKIP_GUEST=1` leaves all of it out, for work on the host side alone.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "x86_64-unknown-none";
const NUCLEUS_FLAGS: &[&str] = &[
    "-Crelocation-model=static",
    "-Ccode-model=kernel",
    "-Cforce-frame-pointers=yes",
    "-Clink-arg=--no-pie",
];
const ACTOR_FLAGS: &[&str] = &["-Cforce-frame-pointers=yes"];

fn main() {
    println!("cargo::rerun-if-env-changed=CHORUS_SKIP_GUEST");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    let mut table = String::from(
        "/// Name and bytes of every image that this binary carries.\npub static ASSETS: &[(&str, &[u8])] = &[\n",
    );
    if std::env::var_os("CHORUS_SKIP_GUEST").is_none_or(|value| value.is_empty()) {
        let root = workspace();
        for room in [
            "abi",
            "guest-nucleus",
            "virtio-net-transport",
            "actors",
            "Cargo.lock",
        ] {
            println!("cargo::rerun-if-changed={}", root.join(room).display());
        }
        let mut images = vec![("nucleus".to_owned(), "chorus-nucleus".to_owned())];
        images = build(&root, &out.join("nucleus"), NUCLEUS_FLAGS, images);
        images.extend(build(
            &root,
            &out.join("actors"),
            ACTOR_FLAGS,
            actors(&root),
        ));
        for (name, path) in images {
            let _ = writeln!(table, "    ({name:?}, include_bytes!({path:?})),");
        }
    }
    table.push_str("];\n");
    if let Err(error) = std::fs::write(out.join("assets.rs"), table) {
        fail(&format!("{}: {error}", out.display()));
    }
}

fn fail(what: &str) -> ! {
    println!("cargo::error={what}");
    std::process::exit(1)
}

/// The folder that holds this crate and the rooms of the guest.
fn workspace() -> PathBuf {
    let here = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    here.parent().map(Path::to_path_buf).unwrap_or(here)
}

/// Every actor: image name and package, from the manifests below `actors/` (the runtime is a library).
fn actors(root: &Path) -> Vec<(String, String)> {
    let Ok(folders) = std::fs::read_dir(root.join("actors")) else {
        return Vec::new();
    };
    let mut actors: Vec<(String, String)> = folders
        .flatten()
        .filter(|folder| folder.path().join("src/main.rs").is_file())
        .filter_map(|folder| {
            let manifest = std::fs::read_to_string(folder.path().join("Cargo.toml")).ok()?;
            let package = manifest
                .lines()
                .find_map(|line| line.strip_prefix("name = \""))?
                .trim_end_matches('"');
            Some((folder.file_name().into_string().ok()?, package.to_owned()))
        })
        .collect();
    actors.sort();
    actors
}

/// Builds packages for the bare machine; returns image names and files.
fn build(
    root: &Path,
    target: &Path,
    flags: &[&str],
    packages: Vec<(String, String)>,
) -> Vec<(String, String)> {
    if packages.is_empty() {
        return packages;
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(root)
        .args([
            "build",
            "--release",
            "--locked",
            "--target",
            TARGET,
            "--target-dir",
        ])
        .arg(target);
    for (_, package) in &packages {
        command.args(["-p", package]);
    }
    // What the outer cargo says to its own compiler is not meant for the bare machine.
    for variable in [
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTFLAGS",
        "CARGO_BUILD_TARGET",
        "CARGO_BUILD_RUSTFLAGS",
        "RUSTC_WORKSPACE_WRAPPER",
        "CARGO_MAKEFLAGS",
        "MAKEFLAGS",
    ] {
        command.env_remove(variable);
    }
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    match command.output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr);
            if text.contains("can't find crate for `core`") {
                fail(&format!(
                    "the target {TARGET} is not installed; install it: rustup target add {TARGET} (or run scripts/setup)"
                ));
            }
            text.lines()
                .filter(|line| line.starts_with("error") || line.contains("-->"))
                .for_each(|line| println!("cargo::warning={line}"));
            fail(&format!(
                "the guest side does not build; see: cargo build --release --target {TARGET} -p {}",
                packages[0].1
            ));
        }
        Err(error) => fail(&format!("cargo: {error}")),
    }
    let folder = target.join(TARGET).join("release");
    packages
        .into_iter()
        .map(|(name, package)| (name, folder.join(package).display().to_string()))
        .collect()
}
