//! `cargo xtask soak [--write] [NAME…]`: every program of `tests/soak` that is installed, or those that are named, and what came of it.
//!
//! Prints a line each and the rows of docs/COMPATIBILITY.md, which `--write` puts there. Ends with 1 where something differed.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people"
)]

use heapshim_tests::{Outcome, Soak, soaks, workspace};
use std::fmt::Write;
use std::process::ExitCode;

const HEAD: &str = "\
# Compatibility: programs that have run under heapshim

Made by `cargo xtask soak --write`; each row is a script in [tests/soak](../tests/soak). A program does its work bare, under a preload of thirty
lines that only counts (tests/programs/count.c), and under `heapshim run`. In each row exit status, output, what is said on stderr (but for numbers and order) and the files that it leaves are those of
the bare run, and its account has as many events (allocations and frees) as the counter saw: within a thousandth, or why not.
*Nested*: events inside of a hook, charged to their innermost line only. *Cut*: stacks that could not be walked to their outer end.

| program | what it does | chosen for | processes | events | counted | nested | cut |
| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let write = words.iter().any(|word| word == "--write");
    let wanted = |soak: &Soak| {
        let mut names = words
            .iter()
            .filter(|word| !word.starts_with("--"))
            .peekable();
        names.peek().is_none() || names.any(|name| *name == soak.name)
    };
    let (mut table, mut notes) = (HEAD.to_owned(), String::new());
    let (mut done, mut failed, mut missing) = (0, 0, Vec::new());
    for soak in soaks().into_iter().filter(wanted) {
        if let Some(program) = soak.missing() {
            println!("skipped: {} ({program} is missing)", soak.name);
            missing.push(soak.name);
            continue;
        }
        let outcome = soak.run();
        println!("{}", line(&soak, &outcome));
        outcome
            .problems
            .iter()
            .for_each(|problem| println!("  {problem}"));
        done += 1;
        failed += usize::from(!outcome.problems.is_empty());
        row(&mut table, &soak, &outcome);
        for problem in &outcome.problems {
            let _written = writeln!(notes, "- {}: **differs**: {problem}.", soak.name);
        }
        for why in soak.explained() {
            let _written = writeln!(notes, "- {}: {why}.", soak.name);
        }
    }
    println!(
        "{done} programs, {failed} of them with a difference, {} not installed",
        missing.len()
    );
    let text =
        format!("{table}\n{done} programs. Where a figure is not within the usual:\n\n{notes}");
    if write {
        let path = workspace().join("docs/COMPATIBILITY.md");
        if let Err(error) = std::fs::write(&path, text) {
            eprintln!("{}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::from(u8::from(failed > 0))
}

fn line(soak: &Soak, outcome: &Outcome) -> String {
    format!(
        "{}: {} processes, {} events ({} counted), {} nested, {} cut",
        soak.name,
        outcome.processes,
        outcome.traced,
        outcome.counted,
        outcome.losses.nested_events,
        outcome.losses.truncated_stacks,
    )
}

fn row(table: &mut String, soak: &Soak, outcome: &Outcome) {
    let _written = writeln!(
        table,
        "| {} | {} | {} | {} | {} | {} | {} | {} |",
        soak.name,
        soak.what,
        soak.properties,
        outcome.processes,
        outcome.traced,
        outcome.counted,
        outcome.losses.nested_events,
        outcome.losses.truncated_stacks,
    );
}
