//! Readers and targets killed in the middle of a recording, at moments that a seed decides: whatever was written is readable, and whoever is left goes on.
//!
//! A moment is so many looks at a file of /proc after the target has been let go: another one on each machine and in each run, on none of which
//! anything here depends. `HEAPSHIM_KILLS=500 cargo test --release -p heapshim-tests kills::` does as many of each kind.

use heapshim_tests::{Amount, Recorded, Recording, Running, Target};

/// Kills of each kind, unless told otherwise.
const KILLS: u64 = 12;
/// Looks before a kill at most: a round of 300,000 events takes as long as some thousands of them.
const LOOKS: u64 = 4000;
/// Events of a round of events.c.
const ROUND: u64 = 300_000;

fn kills() -> u64 {
    let said = std::env::var("HEAPSHIM_KILLS").ok();
    said.and_then(|number| number.parse().ok()).unwrap_or(KILLS)
}

fn events() -> Running {
    let mut running = Target::c("events.c").opt("-O0").spawn();
    running.step(b"go");
    running
}

/// Lets a moment pass.
fn pass(seed: u64) {
    // Knuth's multiplication: neighbouring seeds are far apart.
    let looks = (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % LOOKS;
    for _ in 0..looks {
        std::fs::read("/proc/self/stat").expect("its own");
    }
}

/// Every other recording has the stacks of frees.
fn has_frees(seed: u64) -> bool {
    seed % 2 == 1
}

fn options(seed: u64) -> &'static [&'static str] {
    match has_frees(seed) {
        true => &["--free-stacks"],
        false => &[],
    }
}

/// Every question has an answer that adds up.
fn assert_readable(recorded: &Recorded, seed: u64) {
    for (question, options) in [
        ("diff", &[][..]),
        ("diff", &["--sort", "survivors"]),
        ("peak", &[]),
        ("temporary", &[]),
        ("lifetimes", &[]),
        ("diff", &["--freed-by"]),
    ] {
        if options == ["--freed-by"] && !has_frees(seed) {
            continue;
        }
        let (answer, _) = recorded.ask(question, options);
        assert!(
            answer.live_at("to").blocks >= 0,
            "{question} of seed {seed}"
        );
        answer.assert_adds_up();
    }
}

/// Check that readers that are killed one after the other leave files that are read, a target that goes on, and room for the next reader, who has every event.
#[test]
fn readers() {
    let mut running = events();
    running.mark("a");
    for seed in 0..kills() {
        let recording = Recording::of(running.pid(), options(seed));
        running.go_on(b"m");
        pass(seed);
        let killed = recording.kill();
        assert_eq!(running.listen(), "done", "seed {seed}");
        assert_readable(&killed, seed);
    }
    let recording = Recording::of(running.pid(), &["--lossless"]);
    assert_eq!(running.step(b"m"), "done");
    let recorded = recording.end();
    assert_eq!((recorded.events(), recorded.lost()), (ROUND, 0));
    assert_eq!(running.diff(&["a"]).growth(), Amount::default());
    assert!(running.finish().0.success());
}

/// Check that the recording of a target that is killed in the middle of its events has them all, but for the one that it was in.
#[test]
fn targets() {
    for seed in 0..kills() {
        let mut running = events();
        let options = [&["--lossless"], options(seed)].concat();
        let recording = Recording::of(running.pid(), &options);
        running.go_on(b"m");
        pass(seed);
        // SAFETY: kill takes two numbers; the child was not waited for, so the pid is its own.
        unsafe { libc::kill(running.pid().cast_signed(), libc::SIGKILL) };
        drop(running);
        let recorded = recording.ended();
        assert!(recorded.lost() <= 1, "seed {seed}: {}", recorded.said);
        assert!(recorded.events() <= ROUND, "seed {seed}: {}", recorded.said);
        assert_readable(&recorded, seed);
    }
}
