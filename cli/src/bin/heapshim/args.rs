//! The words of the command line, and nothing of what they do: clap alone is known here.
//!
//! Read by `main` and `commands`. docs and scripts rely on these words: add to them, do not change them.

mod pages;
mod recordings;
mod sorts;

pub(crate) use pages::{Export, Page};
pub(crate) use recordings::{Instants, Question, Record, Temporary, Timeline};
pub(crate) use sorts::Sort;

use crate::help;
use crate::values::{address, duration, mapping, per, size};
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use heapshim_cli::catalog::Word;
use heapshim_cli::series::Per;
use heapshim_ledger::sampling::Mode;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Which source lines grew between two moments of a running program.
#[derive(Debug, Parser)]
#[command(name = "heapshim", version, max_term_width = 80, after_help = help::ALL)]
pub(crate) struct Args {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a command, traced, and print what it grew by when it ends
    #[command(after_help = help::RUN, mut_arg("sort", sorts::of_start))]
    Run(Run),
    /// Print the library's path, for LD_PRELOAD=$(heapshim lib) COMMAND
    #[command(after_help = help::LIB)]
    Lib,
    /// List the traced processes
    #[command(after_help = help::LS)]
    Ls(Ls),
    /// Look at a process while it runs: lines by growth, rates, stacks
    #[command(after_help = help::TOP)]
    Top(Top),
    /// Take a mark of a running process, and print its name
    #[command(after_help = help::MARK)]
    Mark(Mark),
    /// List the marks of a process
    #[command(after_help = help::MARKS)]
    Marks(Marks),
    /// Print what grew between two marks: source lines, greatest first
    #[command(after_help = help::DIFF)]
    Diff(Diff),
    /// Write the growth as a page for browsers: lines and flamegraph
    #[command(after_help = help::REPORT)]
    Report(Page),
    /// Write the growth for other viewers: pprof, browsers, dot, CSV
    #[command(after_help = help::EXPORT)]
    Export(Export),
    /// Record every event of a running process in a file
    #[command(after_help = help::RECORD)]
    Record(Record),
    /// Print what was alive at the highest moment of a recording
    #[command(after_help = help::PEAK, mut_arg("sort", sorts::of_one))]
    Peak(Question),
    /// Print which lines' blocks were freed at once, in a recording
    #[command(after_help = help::TEMPORARY, mut_arg("sort", sorts::of_one))]
    Temporary(Temporary),
    /// Print how long each line's blocks lived, in a recording
    #[command(after_help = help::LIFETIMES, mut_arg("sort", sorts::of_lost))]
    Lifetimes(Question),
    /// Print how large each line's blocks were, in a recording
    #[command(after_help = help::SIZES, mut_arg("sort", sorts::of_lost))]
    Sizes(Question),
    /// Print how much was alive, step by step of a recording
    #[command(after_help = help::TIMELINE)]
    Timeline(Timeline),
    /// Say which lines keep growing, by many snapshots
    #[command(after_help = help::WATCH)]
    Watch(Watch),
    /// Run a command, and fail where it grew more than it may: for CI
    #[command(after_help = help::CHECK)]
    Check(Check),
    /// Answer a monitoring system: every traced process as metrics
    #[command(after_help = help::SERVE)]
    Serve(Serve),
    /// See a leak found: a small server, traced, marked and diffed
    Demo,
    /// Say what would stop tracing a command or process, and what to do
    #[command(after_help = help::DOCTOR)]
    Doctor(Doctor),
    /// Say or switch what a running process records
    #[command(after_help = help::MODE)]
    Mode(ModeOf),
    /// Print completions for bash, elvish, fish, powershell or zsh
    #[command(after_help = help::COMPLETIONS)]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a directory: for packages
    #[command(hide = true)]
    ManPages {
        /// Where
        directory: PathBuf,
    },
    /// The program that `demo` traces
    #[command(hide = true)]
    DemoServer,
}

/// Options of `run`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Run {
    /// Keep a mark of each process of the tree in this directory: NAME-PID.heapmark
    #[arg(long, value_name = "DIR")]
    pub(crate) save: Option<PathBuf>,
    /// Keep in these marks, and the recording, what their addresses mean, and the source lines: they
    /// then read anywhere
    #[arg(long)]
    pub(crate) bundle: bool,
    /// Frames kept of a stack, at most [default: 512]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=512))]
    pub(crate) depth: Option<u32>,
    /// Record a sample, one in so many bytes on average, as 512K; `off`: nothing
    #[arg(long, value_name = "SIZE", value_parser = heapshim_cli::mode::parse_sample)]
    pub(crate) sample: Option<Mode>,
    /// One report for the whole tree: the accounts of all its processes, added up
    #[arg(long)]
    pub(crate) merge: bool,
    /// Record every event of the command in this file
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// Have the command wait rather than lose an event
    #[arg(long, requires = "record")]
    pub(crate) lossless: bool,
    /// Record the stack of each free, too: for `diff FILE --freed-by`
    #[arg(long, requires = "record")]
    pub(crate) free_stacks: bool,
    /// Print no report
    #[arg(long, conflicts_with_all = ["format", "output", "merge"])]
    pub(crate) quiet: bool,
    /// Run the command also where it cannot be traced
    #[arg(long)]
    pub(crate) anyway: bool,
    /// How the report looks.
    #[command(flatten)]
    pub(crate) report: Report,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    pub(crate) words: Vec<OsString>,
}

/// Which process.
#[derive(Debug, ClapArgs)]
pub(crate) struct Target {
    /// The process: its pid, or the name of a traced process [default: the only one]
    #[arg(short = 'p', long = "process", value_name = "TARGET")]
    pub(crate) target: Option<String>,
}

/// Options of `ls`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Ls {
    /// How the list looks
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    pub(crate) format: ListFormat,
}

/// Options of `mark`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Mark {
    /// Which process.
    #[command(flatten)]
    pub(crate) target: Target,
    /// The mark's name [default: mark-1, mark-2, …]
    pub(crate) name: Option<String>,
    /// Write the mark to this file instead of keeping it by name
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Replace a mark of the same name
    #[arg(long)]
    pub(crate) force: bool,
    /// Distinguish what is allocated afterwards from what is there, for `diff --sort survivors`: from now on each allocation costs more
    #[arg(long)]
    pub(crate) survivors: bool,
    /// What it takes along.
    #[command(flatten)]
    pub(crate) bundle: Bundle,
}

/// What a mark or a recording takes along, so that it reads elsewhere.
#[derive(Debug, ClapArgs)]
pub(crate) struct Bundle {
    /// Keep in it what its addresses mean, and the source lines: it then reads anywhere
    #[arg(long)]
    pub(crate) bundle: bool,
    /// Where to look for debug files, too
    #[arg(long, value_name = "DIR", requires = "bundle")]
    pub(crate) debug_dir: Vec<PathBuf>,
    /// Where sources lie now: paths that begin with FROM are read under TO
    #[arg(long, value_name = "FROM=TO", value_parser = mapping, requires = "bundle")]
    pub(crate) source_dir: Vec<(String, String)>,
}

/// Options of `marks`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Marks {
    /// Which process.
    #[command(flatten)]
    pub(crate) target: Target,
    /// Remove the marks of processes that ended more than 7 days ago
    #[arg(long)]
    pub(crate) prune: bool,
}

/// Options of `mode`.
#[derive(Debug, ClapArgs)]
pub(crate) struct ModeOf {
    /// Which process.
    #[command(flatten)]
    pub(crate) target: Target,
    /// exact, sample=SIZE or off [default: print the mode]
    #[arg(value_parser = heapshim_cli::mode::parse)]
    pub(crate) mode: Option<Mode>,
}

/// The marks that growth is between: words of `diff`, `report` and `export`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Compared {
    /// Which process.
    #[command(flatten)]
    pub(crate) target: Target,
    /// The first mark: start, last, peak, a name, or a file *.heapmark, *.heapledger, *.heaptrace; in such a file
    /// FILE:peak, FILE.heapledger:NAME [default: last, else start]
    #[arg(value_name = "A")]
    pub(crate) from: Option<Word>,
    /// The second mark [default: now]
    #[arg(value_name = "B")]
    pub(crate) to: Option<Word>,
}

/// Options of `diff`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Diff {
    /// Which two marks.
    #[command(flatten)]
    pub(crate) compared: Compared,
    /// Take a mark, wait this long, take the other: 500ms, 30s, 5m
    #[arg(long = "for", value_name = "TIME", value_parser = duration, conflicts_with = "from")]
    pub(crate) period: Option<Duration>,
    /// Take a mark, wait for Enter, take the other
    #[arg(long, conflicts_with_all = ["from", "period"])]
    pub(crate) wait: bool,
    /// Of a recording: when.
    #[command(flatten)]
    pub(crate) instants: Instants,
    /// Of a recording with --free-stacks: under each row, which lines freed its blocks, and which of them stopped
    #[arg(long, conflicts_with = "cumulative")]
    pub(crate) freed_by: bool,
    /// How the report looks.
    #[command(flatten)]
    pub(crate) report: Report,
}

/// Options of `doctor`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Doctor {
    /// A running process: its pid, or its name, traced or not
    #[arg(
        short = 'p',
        long = "process",
        value_name = "TARGET",
        conflicts_with = "words"
    )]
    pub(crate) target: Option<String>,
    /// Where to look for debug files, too
    #[arg(long, value_name = "DIR")]
    pub(crate) debug_dir: Vec<PathBuf>,
    /// How the answer looks
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    pub(crate) format: ListFormat,
    /// The command that is to be traced; its arguments do not matter
    #[arg(trailing_var_arg = true, value_name = "COMMAND")]
    pub(crate) words: Vec<OsString>,
}

/// Which line is charged, and where its name comes from: options of everything that has lines.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Lines {
    /// Whose line is charged: the program's own, the innermost, the innermost native, the innermost
    /// of Python [default: app]
    #[arg(long, value_enum)]
    pub(crate) blame: Option<Blame>,
    /// Pass over frames whose function, file or module matches, too
    #[arg(long, value_name = "PATTERN")]
    pub(crate) skip: Vec<String>,
    /// Never pass over frames whose function, file or module matches: the library that you work on
    #[arg(long, value_name = "PATTERN")]
    pub(crate) own: Vec<String>,
    /// Only rows whose file, function or module matches, or whose line: x.py:56, x.py:50-60
    #[arg(long, value_name = "PATTERN")]
    pub(crate) include: Vec<String>,
    /// No rows whose file, function or module matches
    #[arg(long, value_name = "PATTERN")]
    pub(crate) exclude: Vec<String>,
    /// Where to look for debug files, too
    #[arg(long, value_name = "DIR")]
    pub(crate) debug_dir: Vec<PathBuf>,
    /// Where sources lie now: paths that begin with FROM are read under TO
    #[arg(long, value_name = "FROM=TO", value_parser = mapping)]
    pub(crate) source_dir: Vec<(String, String)>,
}

/// Options of every report.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Report {
    /// Rows to print; 0: all [default: 10, in JSON all]
    #[arg(long, value_name = "N")]
    pub(crate) top: Option<usize>,
    /// What a row is
    #[arg(long, value_enum, default_value_t = By::Line)]
    pub(crate) by: By,
    /// What rows are sorted by, greatest first [default: growth]
    #[arg(long, value_enum)]
    pub(crate) sort: Option<Sort>,
    /// Charge every line of a stack, not one: what each came to with all that it called
    #[arg(long)]
    pub(crate) cumulative: bool,
    /// Whose line.
    #[command(flatten)]
    pub(crate) lines: Lines,
    /// Also rows that shrank
    #[arg(long)]
    pub(crate) all: bool,
    /// The heaviest stack under each row
    #[arg(long)]
    pub(crate) stacks: bool,
    /// No stacks, also where the form has them by itself (json, --by stack)
    #[arg(long, conflicts_with = "stacks")]
    pub(crate) no_stacks: bool,
    /// The report's form
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
    /// Write the report to this file
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Colours
    #[arg(long, value_enum, default_value_t = Color::Auto)]
    pub(crate) color: Color,
}

/// Options of `top`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Top {
    /// Which process.
    #[command(flatten)]
    pub(crate) target: Target,
    /// Time between two readings: 500ms, 10s, 5m
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "1s")]
    pub(crate) every: Duration,
    /// Whose line.
    #[command(flatten)]
    pub(crate) lines: Lines,
}

/// `--format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// For programs: schema 1, docs/JSON.md
    Json,
    /// As tracemalloc's compare_to prints it; charges Python's lines unless --blame says otherwise
    Tracemalloc,
}

/// Options of `watch`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Watch {
    /// Which process.
    #[command(flatten)]
    pub(crate) target: Target,
    /// Time between two snapshots: 500ms, 10s, 5m
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10s")]
    pub(crate) every: Duration,
    /// How long to watch [default: 10m]
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub(crate) period: Option<Duration>,
    /// Take a snapshot at each Enter, until the input ends; rates are then of a step
    #[arg(long, conflicts_with_all = ["every", "period"])]
    pub(crate) wait: bool,
    /// Divide growth by what happened meanwhile: 1000, or with its name 1000:request
    #[arg(long, value_name = "N[:NAME]", value_parser = per)]
    pub(crate) per: Option<Per>,
    /// Lines to print; 0: all
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) top: usize,
    /// Whose line.
    #[command(flatten)]
    pub(crate) lines: Lines,
    /// How it looks; in JSON, an object a line, and all lines
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    pub(crate) format: ListFormat,
    /// Write what came out to this file
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// Options of `serve`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Serve {
    /// Where to listen: PORT (of 127.0.0.1), or ADDRESS:PORT
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub(crate) metrics: SocketAddr,
    /// Only this process: its pid, or the name of a traced process [default: all of them]
    #[arg(short = 'p', long = "process", value_name = "TARGET")]
    pub(crate) target: Option<String>,
    /// Lines of a process that are series of their own: those that grew most
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(0..=1000))]
    pub(crate) top: u16,
    /// Whose line.
    #[command(flatten)]
    pub(crate) lines: Lines,
}

/// Options of `check`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Check {
    /// What all lines together may grow by: 64K, 1MiB [default: 0, unless --per-line is given]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) max_growth: Option<i64>,
    /// What each line may grow by
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) per_line: Option<i64>,
    /// Judge what grew between two marks that the command takes itself, or start and exit
    #[arg(long, num_args = 2, value_names = ["A", "B"])]
    pub(crate) between: Option<Vec<Word>>,
    /// Run it N times: only growth of every run counts. With {} in its words, the runs get 1 … N, and
    /// what each repetition adds counts
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) repeat: u32,
    /// Judge the whole tree of processes together, not the command alone
    #[arg(long, conflicts_with = "between")]
    pub(crate) merge: bool,
    /// Growth that is known: a file of leak:PATTERN (as LeakSanitizer has it) and line:FILE:LINE
    #[arg(long, value_name = "FILE")]
    pub(crate) suppressions: Option<PathBuf>,
    /// Whose line.
    #[command(flatten)]
    pub(crate) lines: Lines,
    /// How the verdict looks
    #[arg(long, value_enum, default_value_t = CheckFormat::Text)]
    pub(crate) format: CheckFormat,
    /// Write the verdict to this file
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    pub(crate) words: Vec<OsString>,
}

/// `check --format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckFormat {
    /// For people
    Text,
    /// JUnit XML, for CI systems
    Junit,
    /// Annotations of a GitHub workflow
    Github,
}

/// `export --format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// For go tool pprof and what reads its profiles
    Pprof,
    /// Folded stacks, for flamegraph.pl, inferno and speedscope
    Folded,
    /// A flamegraph for any browser: red grew, blue shrank
    Flamegraph,
    /// For www.speedscope.app
    Speedscope,
    /// For ms_print and massif-visualizer
    Massif,
    /// The growth as a graph, for Graphviz
    Dot,
    /// For spreadsheets
    Csv,
    /// For a comment on a pull request
    Markdown,
}

/// `ls --format`, `doctor --format`, `watch --format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListFormat {
    /// For people
    Table,
    /// For programs
    Json,
}

/// `--by`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    Line,
    Function,
    File,
    Module,
    Stack,
    Thread,
}

/// `--blame`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Blame {
    App,
    Innermost,
    Native,
    Python,
}

/// `--color`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// Check that clap finds no contradiction in these definitions.
    #[test]
    fn definitions() {
        Args::command().debug_assert();
    }

    /// Check that a command's own options are not taken for ours, with and without `--`.
    #[test]
    fn command_words() {
        for line in [
            &["heapshim", "run", "--", "ls", "--all"][..],
            &["heapshim", "run", "ls", "--all"],
        ] {
            let Some(Command::Run(run)) = Args::parse_from(line).command else {
                panic!("not run");
            };
            assert_eq!(run.words, ["ls", "--all"]);
            assert!(!run.report.all);
        }
    }
}
