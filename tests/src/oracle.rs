//! Two more oracles: valgrind, which replaces malloc itself, and heaptrack, which preloads as we do.
//!
//! Both run a program in the environment and the address space layout of the other runs. Of heaptrack's trace each event is read, since its report
//! is rounded. Not here: programs that copy their environment into their heap, since each oracle puts its own words there.

use crate::diff::Diff;
use crate::place::{environment, fresh_directory};
use crate::run::{feed, fix_layout};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// libstdc++'s pool for exceptions: heaptrack's library brings libstdc++ into programs that do not have it, which takes the pool when it is
/// loaded and gives it back at the end.
const EXCEPTION_POOL: i64 = 72_704;

/// The account of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Blocks allocated.
    pub allocations: i64,
    /// Bytes allocated.
    pub bytes: i64,
    /// Blocks freed.
    pub frees: i64,
    /// Bytes live at the end.
    pub live_bytes: i64,
}

impl Usage {
    /// What a report from the start to the end says.
    #[must_use]
    pub fn of(report: &Diff) -> Usage {
        let (total, growth) = (report.total(), report.growth());
        Usage {
            allocations: total.blocks,
            bytes: total.bytes,
            frees: total.blocks - growth.blocks,
            live_bytes: growth.bytes,
        }
    }

    /// What valgrind says of a command: 'total heap usage' and 'in use at exit'.
    ///
    /// # Panics
    /// Where it says nothing.
    #[must_use]
    pub fn by_valgrind(words: &[OsString], input: &[u8]) -> Usage {
        let log = fresh_directory("valgrind").join("log");
        let options = [
            "--run-libc-freeres=no",
            "--run-cxx-freeres=no",
            "--leak-check=no",
        ];
        let mut run = oracle("valgrind", &options);
        run.arg(format!("--log-file={}", log.display())).args(words);
        feed(run, input);
        let said = fs::read_to_string(&log).expect("valgrind's log");
        let numbers = |after: &str| {
            let line = said.lines().find_map(|line| line.split_once(after));
            let (_, rest) = line.unwrap_or_else(|| panic!("no {after:?} in {said}"));
            let words = rest.split_whitespace().map(|word| word.replace(',', ""));
            words
                .filter_map(|word| word.parse().ok())
                .collect::<Vec<i64>>()
        };
        let (total, live) = (numbers("total heap usage:"), numbers("in use at exit:"));
        Usage {
            allocations: total[0],
            frees: total[1],
            bytes: total[2],
            live_bytes: live[0],
        }
    }

    /// What heaptrack's trace of a command comes to, without what it brings along.
    ///
    /// # Panics
    /// Where there is none.
    #[must_use]
    pub fn by_heaptrack(words: &[OsString], input: &[u8]) -> Usage {
        let directory = fresh_directory("heaptrack");
        let mut run = oracle("heaptrack", &["-o"]);
        run.arg(directory.join("trace")).args(words);
        feed(run, input);
        let mut usage = events(&trace(&directory));
        usage.allocations -= 1;
        usage.frees -= 1;
        usage.bytes -= EXCEPTION_POOL;
        usage
    }
}

fn oracle(name: &str, options: &[&str]) -> Command {
    let mut run = Command::new(name);
    run.args(options).env_clear().envs(environment());
    fix_layout(&mut run);
    run
}

/// The one file in the directory, unpacked.
fn trace(directory: &Path) -> String {
    let entries = fs::read_dir(directory).expect("heaptrack's directory");
    let files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    let [file] = &files[..] else {
        panic!("heaptrack left {files:?}")
    };
    let unpacked = Command::new("zstd").arg("-dcq").arg(file).output();
    let unpacked = unpacked.expect("zstd starts").stdout;
    String::from_utf8_lossy(&unpacked).into_owned()
}

/// `a SIZE TRACE` numbers an allocation of that size and stack; `+ NUMBER` is one of them, `- NUMBER` a free of one.
fn events(trace: &str) -> Usage {
    let mut sizes: Vec<i64> = Vec::new();
    let mut usage = Usage {
        allocations: 0,
        bytes: 0,
        frees: 0,
        live_bytes: 0,
    };
    let number =
        |word: Option<&str>| i64::from_str_radix(word.unwrap_or_default(), 16).expect("a number");
    for line in trace.lines() {
        let mut words = line.split(' ');
        let kind = words.next();
        if !matches!(kind, Some("a" | "+" | "-")) {
            continue;
        }
        let value = number(words.next());
        if kind == Some("a") {
            sizes.push(value);
            continue;
        }
        let size = sizes[usize::try_from(value).expect("an index")];
        if kind == Some("+") {
            usage.allocations += 1;
            usage.bytes += size;
            usage.live_bytes += size;
        } else {
            usage.frees += 1;
            usage.live_bytes -= size;
        }
    }
    usage
}
