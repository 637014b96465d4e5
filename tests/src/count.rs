//! The second oracle, read back: what programs/count.c saw of each process.
//!
//! Both runs of a program have the same environment, to the length of each value: many programs copy it into their heap. So the
//! counting run gets every variable that `heapshim run` sets for its command, and a preload path that is as long as the shim's.

use crate::command::{command, library};
use crate::compile::shared_library;
use crate::diff::Diff;
use crate::place::{copy_program, fresh_directory};
use crate::run::{feed, fix_layout};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Leaves Python's objects to the interpreter: an oracle that is preloaded sees what malloc sees. (gdb runs Python, too.)
pub const OBJECTS_LEFT_OUT: (&str, &str) = ("HEAPSHIM_PYTHON", "off");

/// The account of one process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Counts {
    /// The executable.
    pub exe: String,
    /// Blocks allocated.
    pub allocations: i64,
    /// Blocks freed.
    pub frees: i64,
    /// Bytes live at the end.
    pub live_bytes: i64,
}

/// Reads what the counting preload left in its directory, smallest account first within an executable. Of a process that executed another
/// program the last image counts, as in the account: its file's name is `PID.N` with the greatest N.
///
/// # Panics
/// Where a file is not what count.c writes.
#[must_use]
pub fn counts_in(directory: &Path) -> Vec<Counts> {
    let entries = fs::read_dir(directory).expect("the counting directory");
    let mut last: BTreeMap<u32, (u32, PathBuf)> = BTreeMap::new();
    for entry in entries.flatten() {
        let name = entry.file_name().into_string().expect("PID.N");
        let (pid, image) = name.split_once('.').expect("PID.N");
        let [pid, image] = [pid, image].map(|number| number.parse().expect("PID.N"));
        let place = last.entry(pid).or_insert_with(|| (image, entry.path()));
        if image > place.0 {
            *place = (image, entry.path());
        }
    }
    let files = last.values().map(|(_, path)| path);
    let mut all: Vec<Counts> = files
        .map(|path| read(&fs::read(path).expect("a count")))
        .collect();
    all.sort();
    all
}

fn read(bytes: &[u8]) -> Counts {
    let word = |index: usize| {
        let bytes = bytes[8 * index..8 * index + 8].try_into().expect("8 bytes");
        i64::from_le_bytes(bytes)
    };
    let exe = bytes[32..].split(|byte| *byte == 0).next().expect("a name");
    Counts {
        exe: String::from_utf8_lossy(exe).into_owned(),
        allocations: word(0),
        frees: word(1),
        live_bytes: word(2) - word(3),
    }
}

/// The same account, as a report from a process's start to its end has it.
#[must_use]
pub fn total_of(account: &Diff) -> Counts {
    let exe = account.json()["target"]["exe"].as_str().unwrap_or_default();
    let (total, growth) = (account.total(), account.growth());
    Counts {
        exe: exe.to_string(),
        allocations: total.blocks,
        frees: total.blocks - growth.blocks,
        live_bytes: growth.bytes,
    }
}

/// Runs a command under the counting preload; gives the account of each process.
#[must_use]
pub fn counted(words: &[OsString], input: &[u8]) -> Vec<Counts> {
    static PRELOAD: OnceLock<PathBuf> = OnceLock::new();
    let directory = fresh_directory("count");
    // A program that drops root counts, too.
    let all = fs::Permissions::from_mode(0o1777);
    fs::set_permissions(&directory, all).expect("our own directory");
    let mut run = Command::new(&words[0]);
    run.args(&words[1..]).env_clear();
    for (name, value) in environment_under_run() {
        run.env(name, value);
    }
    run.env("LD_PRELOAD", PRELOAD.get_or_init(|| counting_preload(&[])));
    run.env("COUNT_DIR", &directory);
    run.env(OBJECTS_LEFT_OUT.0, OBJECTS_LEFT_OUT.1);
    fix_layout(&mut run);
    feed(run, input);
    counts_in(&directory)
}

/// What a command's environment is under `heapshim run`, as `env` prints it.
fn environment_under_run() -> Vec<(OsString, OsString)> {
    let output = command(&["run", "--quiet", "--", "env", "-0"]).output();
    let output = output.expect("env runs under the shim");
    let text = String::from_utf8(output.stdout).expect("the suite's environment is UTF-8");
    let variables = text.split_terminator('\0');
    variables
        .filter_map(|variable| variable.split_once('='))
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

/// The counting preload, built with these options, under a path that is as long as the shim's.
#[must_use]
pub fn counting_preload(options: &[&str]) -> PathBuf {
    as_long_as_ours(&shared_library("count.c", &[&["-O2"], options].concat()))
}

/// A copy of a library or program that is loaded beside ours or in its place, under a path that is as long as the shim's. Threads look for their stack in `/proc/self/maps`
/// (Rust's main thread does), and how often libc makes more room for a line of that depends on the longest: a count of allocations must not.
///
/// # Panics
/// Where the shim's path is shorter than that of a new directory.
#[must_use]
pub fn as_long_as_ours(file: &Path) -> PathBuf {
    let directory = fresh_directory("long");
    let around = directory.as_os_str().len() + "/".len();
    let missing = library().as_os_str().len().checked_sub(around);
    let path = directory.join("x".repeat(missing.expect("a short directory")));
    copy_program(file, &path);
    path
}
