//! `cargo xtask fuzz`: libFuzzer's main, for the target that HEAPSHIM_FUZZ names; where that is none, the names of all. The target's seeds are written
//! into the directory that HEAPSHIM_FUZZ_SEEDS names.

#![no_main]
#![allow(
    clippy::print_stdout,
    clippy::exit,
    reason = "a program for people, whose main is the fuzzer's"
)]

use heapshim_fuzz::{TARGETS, Target, target};
use std::path::Path;
use std::sync::OnceLock;

fn chosen() -> &'static Target {
    static CHOSEN: OnceLock<&Target> = OnceLock::new();
    CHOSEN.get_or_init(|| {
        let name = std::env::var("HEAPSHIM_FUZZ").unwrap_or_default();
        target(&name).unwrap_or_else(|| {
            TARGETS
                .iter()
                .for_each(|target| println!("{}", target.name));
            std::process::exit(0)
        })
    })
}

fn write_seeds() {
    let seeds = (chosen().seeds)();
    if let Some(directory) = std::env::var_os("HEAPSHIM_FUZZ_SEEDS") {
        for (number, seed) in seeds.iter().enumerate() {
            let path = Path::new(&directory).join(format!("seed-{number}"));
            std::fs::write(path, seed).expect("a seed");
        }
    }
}

libfuzzer_sys::fuzz_target!(init: write_seeds(), |bytes: &[u8]| (chosen().run)(bytes));
