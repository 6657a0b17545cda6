//! Builds the bare-metal side and packs it into the `chorus` binary.
//!
//! The Nucleus is linked at a fixed address in the kernel's code model, actors are static PIEs: two builds with different
//! flags, each in a target folder of its own below this crate's, by the same cargo that runs this script. The Nucleus keeps its symbols, which reports
//! and gdb need and which never reach a guest. An actor's whole file lies in the memory of every site that starts it, so of an actor only what is loaded
//! is packed: about a hundredth. `CHORUS_SKIP_GUEST=1` leaves all of it out, for work on the host side alone.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "x86_64-unknown-none";
const NUCLEUS_FLAGS: &[&str] = &[
    "-Crelocation-model=static",
    "-Ccode-model=kernel",
    "-Cforce-frame-pointers=yes",
    "-Clink-arg=--no-pie",
    // With the usual threshold the image is a sixth larger and no call is shorter: what has to be inlined says so.
    "-Cllvm-args=-inline-threshold=30",
];
// By the build identity a debugger tells which image it finds in memory.
const ACTOR_FLAGS: &[&str] = &[
    "-Cforce-frame-pointers=yes",
    "-Clink-arg=--build-id=sha1",
    // Supervisor actors have no SSE registers (.cargo/config.toml says the same to other builds).
    "--cfg=chacha20_backend=\"soft\"",
    "--cfg=poly1305_backend=\"soft\"",
];

/// Actors of every site: their pages and instructions are counted. The others are built as people build theirs, so that a debugger finds their lines.
const MANAGERS: [&str; 2] = ["network-manager", "site-manager"];
/// What is theirs beside the flags of all actors: a remote call takes fewer instructions so, not more.
const MANAGER_FLAG: &str = "-Cllvm-args=-inline-threshold=60";

fn main() {
    println!("cargo::rerun-if-env-changed=CHORUS_SKIP_GUEST");
    println!("cargo::rustc-check-cfg=cfg(skip_guest)");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    let mut table = String::from(
        "/// Name and bytes of every image that this binary carries.\npub static ASSETS: &[(&str, &[u8])] = &[\n",
    );
    let mut symbols = String::from(
        "/// Name and compressed (raw deflate) ELF file, symbols and all, of every actor that this binary carries.\npub static SYMBOLS: &[(&str, &[u8])] = &[\n",
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
        let manager_flags = [ACTOR_FLAGS, &[MANAGER_FLAG]].concat();
        let (managers, others): (Vec<_>, Vec<_>) = actors(&root)
            .into_iter()
            .partition(|(name, _)| MANAGERS.contains(&name.as_str()));
        let mut actors = build(&root, &out.join("managers"), &manager_flags, managers);
        actors.extend(build(&root, &out.join("actors"), ACTOR_FLAGS, others));
        actors.sort();
        images.extend(actors.iter().map(|(name, path)| {
            (
                name.clone(),
                pack(path, &out.join(format!("{name}.packed"))),
            )
        }));
        for (name, path) in images {
            let _ = writeln!(table, "    ({name:?}, include_bytes!({path:?})),");
        }
        for (name, path) in actors {
            let path = squeeze(&path, &out.join(format!("{name}.symbols")));
            let _ = writeln!(symbols, "    ({name:?}, include_bytes!({path:?})),");
        }
    } else {
        // Tests that boot guests are counted as ignored then.
        println!("cargo::rustc-cfg=skip_guest");
    }
    table.push_str("];\n");
    symbols.push_str("];\n");
    table.push_str(&symbols);
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

/// Writes what a loader looks at of an ELF file to another; returns its name.
fn pack(from: &str, to: &Path) -> String {
    let packed = match std::fs::read(from) {
        Ok(file) => loaded(&file),
        Err(error) => fail(&format!("{from}: {error}")),
    };
    let Some(packed) = packed else {
        fail(&format!("{from}: not the ELF file that a linker makes"))
    };
    if let Err(error) = std::fs::write(to, packed) {
        fail(&format!("{}: {error}", to.display()));
    }
    to.display().to_string()
}

/// Writes a file compressed to another; returns its name.
fn squeeze(from: &str, to: &Path) -> String {
    let squeezed = match std::fs::read(from) {
        Ok(file) => miniz_oxide::deflate::compress_to_vec(&file, 9),
        Err(error) => fail(&format!("{from}: {error}")),
    };
    if let Err(error) = std::fs::write(to, squeezed) {
        fail(&format!("{}: {error}", to.display()));
    }
    to.display().to_string()
}

/// A 64-bit ELF file up to the end of its last segment, without sections: symbols and debug information lie behind.
fn loaded(file: &[u8]) -> Option<Vec<u8>> {
    let half = |at: usize| Some(u16::from_le_bytes(file.get(at..at + 2)?.try_into().ok()?));
    let word = |at: usize| {
        let bytes = file.get(at..at.checked_add(8)?)?;
        usize::try_from(u64::from_le_bytes(bytes.try_into().ok()?)).ok()
    };
    if file.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let (headers, size, count) = (word(32)?, usize::from(half(54)?), usize::from(half(56)?));
    let mut end = headers.checked_add(size * count)?;
    for index in 0..count {
        let header = headers + index * size;
        end = end.max(word(header + 8)?.checked_add(word(header + 32)?)?);
    }
    let mut packed = file.get(..end)?.to_vec();
    // No section headers: their offset, count, and the index of their names.
    packed[40..48].fill(0);
    packed[60..64].fill(0);
    Some(packed)
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
    // Reports and gdb need symbols and lines; what a site loads is packed without.
    command.env("CARGO_PROFILE_RELEASE_DEBUG", "line-tables-only");
    command.env("CARGO_PROFILE_RELEASE_STRIP", "none");
    if flags != ACTOR_FLAGS {
        // Instructions of every call and every page of an idle site are counted: optimised as a whole.
        command.env("CARGO_PROFILE_RELEASE_LTO", "fat");
        command.env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1");
        command.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "2");
    }
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
