//! What fuzzing has kept, and some thousand mutations of it: seconds, on every machine, without a fuzzer.

#![allow(missing_docs, reason = "a test binary has no readers of its interface")]

use heapshim_fuzz::{Mutator, TARGETS};
use std::fs;
use std::path::Path;

/// Mutations of each target: about a second for the slowest in a debug build.
const MUTATIONS: usize = 3000;

fn kept(name: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(name);
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
        .iter()
        .map(|path| fs::read(path).expect("a kept input"))
        .collect()
}

/// Check that every reader keeps its promises for each kept input, each seed, and mutations of both.
#[test]
fn all() {
    for target in TARGETS {
        let mut inputs = kept(target.name);
        inputs.extend((target.seeds)());
        inputs.iter().for_each(|input| (target.run)(input));
        let mut mutator = Mutator::new(0x5eed);
        for _ in 0..MUTATIONS {
            (target.run)(&mutator.next(&inputs));
        }
    }
}
