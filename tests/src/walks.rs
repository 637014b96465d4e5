//! The third oracle, read back: the stacks that programs/oracle.c saw, and what each allocated.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

/// A stack, innermost frame first: module (a path; empty for the executable as the loader names it) and address in it.
pub type Stack = Vec<(String, u64)>;

/// Allocations and bytes by stack.
pub type Stacks = BTreeMap<Stack, (u64, u64)>;

/// Reads one file of the oracle; frames of modules for which `ours` holds are taken off the inner end.
///
/// # Panics
/// Where the file is not what oracle.c writes.
#[must_use]
pub fn walks_in(file: &Path, ours: impl Fn(&str) -> bool) -> Stacks {
    let text = fs::read_to_string(file).expect("the oracle's file");
    let mut modules: HashMap<&str, &str> = HashMap::from([("-1", "?")]);
    let mut stacks = Stacks::new();
    for line in text.lines() {
        let (kind, rest) = line.split_once(' ').expect("two words");
        if kind == "m" {
            let (number, path) = rest.split_once(' ').expect("a number and a path");
            modules.insert(number, path);
            continue;
        }
        let mut words = rest.split(' ');
        let size: u64 = words
            .next()
            .and_then(|size| size.parse().ok())
            .expect("a size");
        let frames = words.map(|word| {
            let (number, offset) = word.split_once(':').expect("module:offset");
            let offset = u64::from_str_radix(offset, 16).expect("an offset");
            (modules[number].to_string(), offset)
        });
        let stack: Stack = frames.skip_while(|(module, _)| ours(module)).collect();
        let entry = stacks.entry(stack).or_default();
        entry.0 += 1;
        entry.1 += size;
    }
    stacks
}

/// Asserts that two accounts by stack are the same, what was found and what an oracle saw; says of how many stacks they are not, and shows the first
/// ones as `show` writes them.
///
/// # Panics
/// Where they differ.
pub fn assert_same_stacks<S: Ord>(
    what: &str,
    found: &BTreeMap<S, (u64, u64)>,
    expected: &BTreeMap<S, (u64, u64)>,
    show: impl Fn(&S) -> String,
) {
    type Account<S> = BTreeMap<S, (u64, u64)>;
    let only = |one: &Account<S>, other: &Account<S>| -> Vec<String> {
        let lines = one.iter();
        let lines = lines.filter(|(stack, amount)| other.get(*stack) != Some(amount));
        lines
            .map(|(stack, amount)| format!("{amount:?} {}", show(stack)))
            .collect()
    };
    let (extra, missing) = (only(found, expected), only(expected, found));
    let first = |lines: &[String]| {
        lines
            .iter()
            .take(3)
            .cloned()
            .collect::<Vec<_>>()
            .join("\n  ")
    };
    assert!(
        extra.is_empty() && missing.is_empty(),
        "{what}: {} of {} stacks differ from the oracle's {} of {}\nfound\n  {}\noracle\n  {}",
        extra.len(),
        found.len(),
        missing.len(),
        expected.len(),
        first(&extra),
        first(&missing)
    );
}
