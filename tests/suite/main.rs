//! The suite: real programs under the shim that users get, and their known answers.
//!
//! Run by `cargo test --workspace`; `tests/run` installs what it needs first. Each module is one promise of the tool. Programs lie in
//! `programs/`, what a test may say in the harness (`src/`).

#![allow(missing_docs, reason = "a test binary has no readers of its interface")]

mod allocators;
mod behind;
mod blame;
mod born;
mod bundles;
mod by_thread;
mod cgroups;
mod checks;
mod counts;
mod daemons;
mod damage;
mod deploy;
mod descriptors;
mod ends;
mod examples;
mod exports;
mod forbidden;
mod foreign;
mod forks;
mod freed;
mod gates;
mod heaptrack;
mod inside;
mod kept_ledgers;
mod kills;
mod known_answer;
mod left_stacks;
mod lifetimes;
mod limits;
mod loading;
mod locked;
mod made_code;
mod made_stacks;
mod modes;
mod namespaces;
mod nested;
mod newcomer;
mod old_glibc;
mod onward;
mod oracles;
mod orphans;
mod overflows;
mod pages;
mod passing_through;
mod peaks;
mod plugins;
mod privacy;
mod python_agreement;
mod python_frames;
mod python_leak;
mod python_objects;
mod python_signals;
mod recordings;
mod rss;
mod sampled;
mod serves;
mod shortage;
mod soak;
mod stack_use;
mod stress;
mod table;
mod temporaries;
mod threads;
mod tops;
mod tracemalloc_format;
mod walks;
mod walkthroughs;
mod watches;
mod words;
