//! Words that make no sense: one line on stderr, with the nearest right word, and status 2.
//!
//! clap finds what is wrong; here it is said as every other error is: object, problem, next step, and what was meant. An option in the
//! wrong case is found, and a program where a command was expected.

use crate::args::Args;
use crate::commands::output::say;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use clap::{Command, CommandFactory};
use heapshim_cli::launch;
use heapshim_cli::nearest::nearest;
use heapshim_cli::shell;
use std::ffi::OsStr;
use std::process::ExitCode;

/// Prints help and version where they were asked for, else what is wrong.
pub(crate) fn answer(error: &Error) -> ExitCode {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        // A reader who has gone is no failure.
        let _closed = error.print();
        return ExitCode::SUCCESS;
    }
    say(&format!("heapshim: {}", line(error)));
    ExitCode::from(2)
}

fn line(error: &Error) -> String {
    match error.kind() {
        ErrorKind::InvalidSubcommand => no_command(error),
        ErrorKind::UnknownArgument => no_option(error),
        ErrorKind::InvalidValue => no_value(error),
        ErrorKind::ValueValidation => not_valid(error),
        ErrorKind::MissingRequiredArgument => {
            let missing = bare(&text(error, ContextKind::InvalidArg));
            let command = subcommand().unwrap_or_default();
            format!("{command}: {missing} is missing; {}", help())
        }
        ErrorKind::ArgumentConflict => {
            let both = [ContextKind::InvalidArg, ContextKind::PriorArg]
                .map(|kind| bare(&text(error, kind)));
            format!(
                "{}: it cannot be used with {}; {}",
                both[0],
                both[1],
                help()
            )
        }
        _ => first_line(error),
    }
}

fn no_command(error: &Error) -> String {
    let word = text(error, ContextKind::InvalidSubcommand);
    let all = Args::command();
    let known = all.get_subcommands().filter(|one| !one.is_hide_set());
    let next = match nearest(&word, known.map(Command::get_name)) {
        Some(near) => did_you_mean(near),
        None if launch::check(OsStr::new(&word)).is_ok() => {
            format!("to trace it: heapshim run -- {}", shell::word(&word))
        }
        None => "`heapshim --help` lists them all".to_owned(),
    };
    format!("{word}: no such command; {next}")
}

fn no_option(error: &Error) -> String {
    let word = text(error, ContextKind::InvalidArg);
    let near = long_option(&word).or_else(|| other_case(&word));
    let next = near.map_or_else(help, |option| did_you_mean(&option));
    let what = match word.starts_with('-') {
        true => "no such option",
        false => "one word too many",
    };
    format!("{word}: {what} of `{}`; {next}", command())
}

fn no_value(error: &Error) -> String {
    let (option, value) = (option(error), text(error, ContextKind::InvalidValue));
    if value.is_empty() {
        return format!("{option}: it takes a value; {}", help());
    }
    let known = text(error, ContextKind::ValidValue);
    let next = nearest(&value, known.split(", ")).map_or_else(help, did_you_mean);
    format!(
        "{option} {}: it takes one of {known}; {next}",
        shell::word(&value)
    )
}

/// A value that its own rule refuses.
fn not_valid(error: &Error) -> String {
    let source = std::error::Error::source(error);
    let why = match source {
        Some(source) if source.is::<std::num::ParseIntError>() => "it takes a number".to_owned(),
        Some(source) => in_words(&source.to_string()),
        None => "it makes no sense".to_owned(),
    };
    let value = shell::word(&text(error, ContextKind::InvalidValue));
    format!("{} {value}: {why}; {}", option(error), help())
}

/// clap says `0 is not in 1..=1000`.
fn in_words(why: &str) -> String {
    let range = why.split_once(" is not in ").map(|(_, range)| range);
    match range.and_then(|range| range.split_once("..=")) {
        Some((least, most)) => format!("it takes a number from {least} to {most}"),
        None => why.to_owned(),
    }
}

/// The option without the placeholder of its value, or the placeholder.
fn option(error: &Error) -> String {
    bare(&text(error, ContextKind::InvalidArg))
}

/// `--for` of `--for <TIME>`, `A` of `[A]`, `COMMAND` of `<COMMAND>...`.
fn bare(argument: &str) -> String {
    let word = argument.split(" <").next().unwrap_or_default();
    word.trim_end_matches("...")
        .trim_matches(['<', '>', '[', ']'])
        .to_owned()
}

fn did_you_mean(near: &str) -> String {
    format!("did you mean {near}?")
}

/// The option of the command that is nearest to `--word`.
fn long_option(word: &str) -> Option<String> {
    let name = word.strip_prefix("--")?;
    let all = Args::command();
    let command = subcommand().and_then(|name| all.find_subcommand(name));
    let options = command.unwrap_or(&all).get_arguments();
    let known = options.filter_map(|option| option.get_long());
    nearest(name, known).map(|near| format!("--{near}"))
}

/// `-p` for `-P`, where the command has one of the two.
fn other_case(word: &str) -> Option<String> {
    let mut letters = word.strip_prefix('-')?.chars();
    let letter = letters.next().filter(|_| letters.next().is_none())?;
    let turned = match letter.is_ascii_lowercase() {
        true => letter.to_ascii_uppercase(),
        false => letter.to_ascii_lowercase(),
    };
    let all = Args::command();
    let name = subcommand()?;
    let mut options = all.find_subcommand(name)?.get_arguments();
    let known = options.any(|option| option.get_short() == Some(turned));
    known.then(|| format!("-{turned}"))
}

/// The command that was called, as far as it was said.
fn command() -> String {
    subcommand().map_or_else(|| "heapshim".to_owned(), |name| format!("heapshim {name}"))
}

fn subcommand() -> Option<String> {
    let word = std::env::args().nth(1)?;
    Args::command().find_subcommand(&word)?;
    Some(word)
}

fn help() -> String {
    format!("`{} --help` says more", command())
}

/// A part of what clap knows, lists joined by commas.
fn text(error: &Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(", "),
        _ => String::new(),
    }
}

/// What clap says of any other kind.
fn first_line(error: &Error) -> String {
    let all = error.to_string();
    let first = all.lines().next().unwrap_or_default();
    format!("{}; {}", first.trim_start_matches("error: "), help())
}
