//! Builds libheapshim.so and embeds it: one file to install, and never a command with another version's library.
//!
//! Run by Cargo before this package. The library is built by a nested `cargo build` into OUT_DIR: as a plain dependency, a
//! cdylib has no artifact that a stable Cargo would hand over, and its profile must be release also in a debug build of the
//! command. What the outer build set for itself (flags, wrappers such as clippy's, package variables) is kept out, so that
//! every kind of outer build embeds the same library.

use sha2::{Digest, Sha256};
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the library is made of, relative to the workspace. Cargo looks through directories itself.
const INPUTS: [&str; 8] = [
    "shim/src",
    "shim/Cargo.toml",
    "ledger/src",
    "ledger/Cargo.toml",
    "unwind/src",
    "unwind/Cargo.toml",
    "Cargo.toml",
    "Cargo.lock",
];

/// Cargo's own variables that the nested build needs: where things are, how to reach them, and the outer build's job tokens.
const KEPT: [&str; 8] = [
    "CARGO_HOME",
    "CARGO_NET_",
    "CARGO_HTTP_",
    "CARGO_REGISTRIES_",
    "CARGO_REGISTRY_",
    "CARGO_SOURCE_",
    "CARGO_TERM_",
    "CARGO_MAKEFLAGS",
];

fn main() {
    let workspace = variable("CARGO_MANIFEST_DIR").join("..");
    for input in INPUTS {
        println!(
            "cargo::rerun-if-changed={}",
            workspace.join(input).display()
        );
    }
    println!("cargo::rerun-if-changed=build.rs");
    let library = build(&workspace);
    let bytes = fs::read(&library)
        .unwrap_or_else(|error| panic!("{}: not read: {error}", library.display()));
    let hash: String = Sha256::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    println!("cargo::rustc-env=HEAPSHIM_LIBRARY={}", library.display());
    println!("cargo::rustc-env=HEAPSHIM_LIBRARY_HASH={hash}");
}

/// Runs the nested build and says where the library is.
fn build(workspace: &Path) -> PathBuf {
    let (target, output) = (env::var("TARGET").expect("TARGET"), variable("OUT_DIR"));
    let directory = output.join("shim");
    let mut cargo = Command::new(variable("CARGO"));
    for (name, _) in env::vars_os().filter(|(name, _)| leaks(name)) {
        cargo.env_remove(name);
    }
    cargo
        .current_dir(workspace)
        .args(["build", "--profile", "shim", "--locked", "--lib"])
        .args(["--features", "freestanding"])
        .args(["--manifest-path", "shim/Cargo.toml"])
        .args(["--target", &target])
        .arg("--target-dir")
        .arg(&directory);
    let status = cargo.status().expect("cargo was not started");
    assert!(status.success(), "libheapshim.so was not built: {cargo:?}");
    directory.join(target).join("shim").join("libheapshim.so")
}

/// True for a variable of the outer build that would change what the nested one makes.
fn leaks(name: &OsString) -> bool {
    let text = name.to_string_lossy();
    let flags = [
        "RUSTFLAGS",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "CLIPPY_ARGS",
    ];
    let cargo = text.starts_with("CARGO_") && !KEPT.iter().any(|kept| text.starts_with(kept));
    cargo || flags.contains(&text.as_ref())
}

fn variable(name: &str) -> PathBuf {
    env::var_os(OsStr::new(name)).map_or_else(|| panic!("{name} is not set"), PathBuf::from)
}
