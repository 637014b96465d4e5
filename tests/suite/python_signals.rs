//! C handlers that allocate while Python code runs, on every CPython of this machine.
//!
//! What a handler has interrupted may be the interpreter in the middle of linking a frame, and then its structures are not to be trusted. So one signal comes where it is known
//! (programs/python_signals.py sends it to itself), and one after each instruction that the interpreter makes of a stretch of Python: calls, returns, generators,
//! exceptions, objects, callbacks from C; no moment between is left out, and no clock decides. The interpreter has said which stacks that stretch has.

use crate::python_frames::{Stack, Stacks, frames_of, program, run};
use heapshim_cli::model::Snapshot;
use heapshim_tests::{Python, builds, shared_library, skip};
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

/// What the handlers ask for.
const SENT: u64 = 7001;
const STEPPED: u64 = 8011;

/// Blocks and bytes of all blocks of a size, by the Python frames of their stacks.
fn of_size(snapshot: &Snapshot, size: u64) -> Stacks {
    let mut stacks = Stacks::new();
    for site in &snapshot.sites {
        let counters = site.counters;
        let blocks = counters.allocated_blocks;
        if blocks > 0 && counters.allocated_bytes == blocks * size {
            let (stack, _, _) = frames_of(snapshot, site.frame);
            let entry = stacks.entry(stack).or_default();
            entry.0 += blocks;
            entry.1 += counters.allocated_bytes;
        }
    }
    stacks
}

fn has_ctypes(python: &Python) -> bool {
    let words = ["-c", "import ctypes"];
    let output = Command::new(&python.path).args(words).output();
    let has = output.is_ok_and(|output| output.status.success());
    if !has {
        skip(&format!("ctypes of {}", python.path.display()));
    }
    has
}

/// What the program says: how often each handler came, the stack that sends, the stacks that begin a line, and all others.
type Said = (u64, u64, Stack, BTreeSet<Stack>, BTreeSet<Stack>);

/// True where one frame is the other; an instruction may have no line.
fn is_frame(one: &(String, u64, String), known: &(String, u64, String)) -> bool {
    (&one.0, &one.2) == (&known.0, &known.2) && (one.1 == 0 || one.1 == known.1)
}

/// How many frames outside of a stack are missing; None where no stack that the stretch has begins so.
fn missing(stack: &Stack, said: &Said) -> Option<usize> {
    let (_, _, _, lines, others) = said;
    let like = lines.iter().chain(others).filter(|known| {
        let mut frames = stack.iter().zip(*known);
        known.len() >= stack.len() && frames.all(|(one, known)| is_frame(one, known))
    });
    like.map(|known| known.len() - stack.len()).min()
}

/// Moments of a hundred, at most, in which the interpreter's own chain of frames lacks outer ones: from 3.11 on it names a frame before that is linked.
const UNLINKED: u64 = 1;

/// Each block of the handler that comes after each instruction stands in a stack that the stretch has, and each line of it has some. Those that came inside a
/// hook have the innermost frame, which is not Python's.
fn assert_stepped(what: &str, snapshot: &Snapshot, said: &Said) {
    let (_, stepped, _, lines, _) = said;
    let found = of_size(snapshot, STEPPED);
    let blocks: u64 = found.values().map(|(blocks, _)| blocks).sum();
    assert_eq!(blocks, *stepped, "{what}");
    let nested = snapshot.losses.nested_events / 2; // each block is freed at once
    let mut unlinked = 0;
    for (stack, (blocks, _)) in &found {
        let missing = missing(stack, said);
        assert!(missing.is_some(), "{what}: {stack:?}");
        unlinked += missing.map_or(0, |missing| blocks * u64::from(missing > 0));
    }
    let unlinked = unlinked.checked_sub(nested).expect("no frame of Python");
    assert!(
        unlinked * 100 <= UNLINKED * stepped,
        "{what}: {unlinked} of {stepped}"
    );
    for stack in lines {
        assert!(found.contains_key(stack), "{what}: none at {stack:?}");
    }
}

/// Check lines, blocks and bytes of what handlers allocate.
#[test]
fn handlers() {
    let library = shared_library("python_signals.c", &["-O2"]);
    for python in builds().iter().filter(|python| has_ctypes(python)) {
        let words = [
            &program("python_signals.py")[..],
            library.to_str().expect("UTF-8"),
        ];
        let (snapshot, file) = run(python, &words, &[]);
        let text = fs::read_to_string(file).expect("the program's notes");
        let said: Said = serde_json::from_str(&text).expect("JSON as it says");
        let what = format!("{python:?}");
        let sent = Stacks::from([(said.2.clone(), (said.0, said.0 * SENT))]);
        assert_eq!(of_size(&snapshot, SENT), sent, "{what}");
        assert_stepped(&what, &snapshot, &said);
    }
}
