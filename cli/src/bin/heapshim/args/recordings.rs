//! The words of `record`, and of the questions to what it has written.

use super::{Bundle, ListFormat, Report, Target};
use crate::values::duration;
use clap::Args as ClapArgs;
use std::path::PathBuf;
use std::time::Duration;

/// Options of `record`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Record {
    /// Which process.
    #[command(flatten)]
    pub(crate) target: Target,
    /// The file, *.heaptrace
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// How long [default: until the process ends, or Ctrl-C]
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub(crate) period: Option<Duration>,
    /// Have the process wait rather than lose an event
    #[arg(long)]
    pub(crate) lossless: bool,
    /// Record the stack of each free, too: for `diff FILE --freed-by`
    #[arg(long)]
    pub(crate) free_stacks: bool,
    /// What it takes along.
    #[command(flatten)]
    pub(crate) bundle: Bundle,
}

/// Two instants of a recording: options of what compares.
#[derive(Debug, ClapArgs)]
pub(crate) struct Instants {
    /// Of a recording: the first instant, a time from its beginning or a mark that the program took
    #[arg(long = "from", value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Of a recording: the second instant [default: its end]
    #[arg(long = "to", value_name = "TIME")]
    pub(crate) until: Option<String>,
}

/// Options of `temporary`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Temporary {
    /// How many events of its thread a block lives at most; 1: its thread's next operation frees it
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) within: u64,
    /// Of which recording, and how the report looks.
    #[command(flatten)]
    pub(crate) question: Question,
}

/// Options of `peak`, `temporary`, `lifetimes` and `sizes`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Question {
    /// The recording
    #[arg(value_name = "FILE")]
    pub(crate) trace: PathBuf,
    /// How the report looks.
    #[command(flatten)]
    pub(crate) report: Report,
}

/// Options of `timeline`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Timeline {
    /// The recording
    #[arg(value_name = "FILE")]
    pub(crate) trace: PathBuf,
    /// How many steps, all as long
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) steps: u32,
    /// How the answer looks
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    pub(crate) format: ListFormat,
    /// Write it to this file
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}
