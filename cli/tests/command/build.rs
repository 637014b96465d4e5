//! The library that the command carries is the one that its sources make.
//!
//! Tried on a copy of what the library is built from, with the real build script in a package that has nothing else: the command's own
//! dependencies would take most of the time, and have no part in it.

use crate::place::{Place, said, text, workspace};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What the library is built from.
const PARTS: [&str; 4] = ["Cargo.lock", "shim", "ledger", "unwind"];

fn copy(sources: &Path) {
    fs::create_dir_all(sources.join("cli/src")).expect("made");
    let mut copy = Command::new("cp");
    copy.arg("-r")
        .args(PARTS.map(|part| workspace().join(part)));
    assert!(copy.arg(sources).status().expect("cp").success());
    let read = |name: &str| fs::read_to_string(workspace().join(name)).expect(name);
    let write = |name: &str, text: &str| fs::write(sources.join(name), text).expect(name);
    let is_members = |line: &&str| line.starts_with("members = ");
    let manifest = read("Cargo.toml");
    let members = manifest.lines().find(is_members).expect("members");
    let fewer = r#"members = ["cli", "shim", "ledger", "unwind"]"#;
    write("Cargo.toml", &manifest.replace(members, fewer));
    write("cli/build.rs", &read("cli/build.rs"));
    write("cli/src/lib.rs", "");
    let manifest = read("cli/Cargo.toml");
    let build = "[build-dependencies]";
    let build_dependencies = manifest.split_once(build).expect(build).1;
    let head = "[package]\nname = \"heapshim\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n";
    write(
        "cli/Cargo.toml",
        &format!("{head}{build}{build_dependencies}"),
    );
}

/// The library's hash, as the build script has it.
fn hash(place: &Place) -> String {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([
        "check",
        "-p",
        "heapshim",
        "--offline",
        "--message-format",
        "json",
    ]);
    cargo.current_dir(place.path("sources"));
    cargo.env("CARGO_TARGET_DIR", place.path("target"));
    let output = cargo.output().expect("cargo");
    assert!(output.status.success(), "{}", said(&output));
    let stdout = text(&output.stdout);
    let messages = stdout
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let variables = messages.flat_map(|message: Value| message["env"].as_array().cloned());
    let mut variables = variables.flatten();
    let hash = variables.find(|pair| pair[0] == "HEAPSHIM_LIBRARY_HASH");
    hash.expect("a hash")[1]
        .as_str()
        .expect("a text")
        .to_owned()
}

/// Check that an edit of the shim's source reaches the library that the command carries, with nothing else said to Cargo.
#[test]
fn edited_shim() {
    let place = Place::new("build");
    let sources = place.path("sources");
    copy(&sources);
    let before = hash(&place);
    assert_eq!(before.len(), 64, "{before}");
    let edited = sources.join("shim/src/lib.rs");
    let mut source = fs::read_to_string(&edited).expect("a source");
    source.push_str(
        "/// Exported.\n#[unsafe(no_mangle)]\npub extern \"C\" fn heapshim_edited() {}\n",
    );
    fs::write(&edited, source).expect("edited");
    assert_ne!(hash(&place), before);
}
