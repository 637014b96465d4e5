//! A glibc older than 2.35, whose loader has no lock-free question for what lies at an address: Debian 11, Ubuntu 20.04, RHEL 8.
//!
//! Its place is taken by a copy of this machine's libc in which that one function has another name. Programs that are linked to
//! it find the function missing, as they would there, and so does the shim: it asks dl_iterate_phdr, which takes the loader's lock, and
//! in a forked child, where nobody may ever give that lock back, the list that the loader keeps for debuggers.

use crate::forks::lines_of;
use heapshim_tests::{
    Amount, Diff, Run, Target, expected_in, fresh_directory, heapshim, library, programs,
    shared_library, stress_by,
};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// What the function is called, and what in the copy.
const NAMES: [&[u8]; 2] = [b"\0_dl_find_object\0", b"\0_dl_lost_object\0"];
/// The newest glibc of which the library may need anything.
const NEWEST: [u32; 2] = [2, 14];
/// The same of the command: what starts a program, and the functions of libpthread and libdl, have that version wherever they are linked since.
const NEWEST_OF_THE_COMMAND: [u32; 2] = [2, 34];

/// The word for the linker that has a program find the copy.
fn old_libc() -> &'static str {
    static OPTION: OnceLock<String> = OnceLock::new();
    OPTION.get_or_init(|| {
        let maps = fs::read_to_string("/proc/self/maps").expect("maps");
        let mut paths = maps.lines().filter_map(|line| line.split(' ').next_back());
        let libc = paths.find(|path| path.ends_with("/libc.so.6"));
        let directory = changed(Path::new(libc.expect("a libc")));
        format!("-Wl,-rpath,{}", directory.display())
    })
}

/// The directory of a copy of libc without the function.
fn changed(libc: &Path) -> PathBuf {
    let mut bytes = fs::read(libc).expect("libc");
    let len = NAMES[0].len();
    let found = bytes.windows(len).position(|bytes| bytes == NAMES[0]);
    if let Some(at) = found {
        bytes[at..at + len].copy_from_slice(NAMES[1]);
    }
    let directory = fresh_directory("old-libc");
    fs::write(directory.join("libc.so.6"), bytes).expect("the copy");
    directory
}

fn c(source: &str) -> Target {
    Target::c(source).opt(old_libc())
}

/// Check that the function is really missing there: all other tests here depend on it.
#[test]
fn the_function_is_missing() {
    assert_eq!(c("find_object.c").spawn().said(), "absent");
}

/// Check known answers: threads, hand-made stacks, a program that forbids itself system calls.
#[test]
fn known_answers() {
    for source in ["leak.c", "family.c", "sandbox.c"] {
        crate::allocators::check(c(source).opt("-O1"));
    }
    let mut running = c("coroutines.c").spawn();
    running.mark("warm");
    assert_eq!(running.step(b"go"), "done");
    let diff = running.diff(&["warm", "now"]);
    diff.assert_rows(&running.expected());
}

/// Check libraries that come and go, each where another lay.
#[test]
fn plugins() {
    crate::plugins::check_one_after_the_other(c("plugins.c"));
}

/// Check forks of a process whose other threads allocate meanwhile.
#[test]
fn forked_while_threads_run() {
    crate::forks::check_while_threads_run(c("forks_threads.c"));
}

/// Check children that load and unload libraries in some threads and allocate in others: nobody waits for a lock whose holder is not
/// there, nobody reads what was unloaded, and each child's account is exact.
#[test]
fn loading_in_forked_children() {
    check_loading(&c("forks_loads.c"));
}

/// Check the same with this machine's own libc.
#[test]
fn loading_in_forked_children_now() {
    check_loading(&Target::c("forks_loads.c"));
}

fn check_loading(target: &Target) {
    let plugin = |name, size| shared_library("plugin.c", &["-O1", "-DLEAK", size, name]);
    let mut words = target.words();
    let plugins = [plugin("-DONE", "-DSIZE=37"), plugin("-DTWO", "-DSIZE=41")];
    words.extend(plugins.map(Into::into));
    let finished = Run::new(&words).quiet().finish();
    assert!(finished.status.success(), "{finished:?}");
    let accounts: Vec<Diff> = finished.marks.iter().map(|mark| lines_of(mark)).collect();
    let leak = expected_in(&programs().join("plugin.c"))[0].line;
    let children = accounts
        .iter()
        .filter(|diff| diff.find("plugin.c", leak).is_some());
    let mut count = 0;
    for child in children {
        for expected in expected_in(&programs().join("forks_loads.c")) {
            child.row(&expected.file, expected.line).assert(&expected);
        }
        let row = child.row("plugin.c", leak);
        let leaked = Amount {
            bytes: 150 * (37 + 41),
            blocks: 300,
        };
        assert_eq!(row.growth(), leaked, "{}", row.brief());
        child.assert_adds_up();
        count += 1;
    }
    assert_eq!(count, 4, "{} accounts", accounts.len());
}

/// Check two seeds of everything at once: threads, forks, plugins, signals, coroutines and marks.
#[test]
fn stressed() {
    for seed in 1..3 {
        let options = ["-O1", "-g", old_libc()];
        stress_by(&options, seed, 4, 200).unwrap_or_else(|problem| panic!("{problem}"));
    }
}

/// Check that the library needs nothing of a glibc later than docs/ARCHITECTURE.md says, and the command, where it is built for this machine's,
/// nothing later than docs/PACKAGES.md says: no new function comes in unseen.
#[test]
fn newest_symbol() {
    assert_eq!(needed(library()).into_iter().max(), Some(NEWEST));
    let command = needed(heapshim()).into_iter().max();
    assert!(
        command.is_some_and(|newest| newest <= NEWEST_OF_THE_COMMAND),
        "{command:?}"
    );
}

/// The versions of glibc that a file's functions are of; weak ones are used where they are there.
fn needed(file: &Path) -> Vec<[u32; 2]> {
    let output = Command::new("objdump").arg("-T").arg(file).output();
    let table = String::from_utf8(output.expect("objdump").stdout).expect("UTF-8");
    let needed = table.lines().filter(|line| !line.contains("  w   "));
    let versions = needed
        .filter_map(|line| line.split_once("GLIBC_"))
        .map(|(_, rest)| {
            let word = rest.split([')', ' ']).next().expect("a version");
            let mut numbers = word.split('.').map(|number| number.parse().expect(word));
            [numbers.next(), numbers.next()].map(|number: Option<u32>| number.expect("two numbers"))
        });
    versions.collect()
}
