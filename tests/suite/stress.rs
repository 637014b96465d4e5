//! Everything at once: threads, forks, plugins, signals, coroutines and marks, and totals that are exact to the byte.

use heapshim_tests::stress;

fn seeds(seeds: impl Iterator<Item = u32>) {
    for seed in seeds {
        stress(seed, 4, 200).unwrap_or_else(|problem| panic!("{problem}"));
    }
}

/// Check three seeds; `cargo xtask stress --for 1h` takes as many as there is time for.
#[test]
fn three_seeds() {
    seeds(1..4);
}
