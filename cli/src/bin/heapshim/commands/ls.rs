//! `heapshim ls`: every traced process that this user may read.

use super::output::{print, say};
use crate::args::{ListFormat, Ls as Args};
use heapshim_cli::error::Error;
use heapshim_cli::mode;
use heapshim_cli::overview::{self, Overview};
use heapshim_cli::render::{escape, size};
use heapshim_cli::session;
use heapshim_ledger::sampling::Mode;
use serde_json::{Value, json};
use std::time::Duration;

/// Lists them.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let list = overview::read(&session::all());
    if args.format == ListFormat::Json {
        let processes: Vec<Value> = list.iter().map(value).collect();
        return print(&format!(
            "{:#}\n",
            json!({"schema": 1, "processes": processes})
        ));
    }
    if list.is_empty() {
        say("no process is traced; start one with `heapshim run -- COMMAND`");
        return Ok(());
    }
    let head = ["pid", "name", "age", "live", "blocks", "alloc/s", "mode"];
    let rows: String = list.iter().map(row).collect();
    let [pid, name, age, live, blocks, rate, mode] = head;
    let head =
        format!("{pid:>8}  {name:<16}  {age:>8}  {live:>10}  {blocks:>12}  {rate:>11}  {mode}\n");
    print(&(head + &rows))
}

fn row(one: &Overview) -> String {
    let (pid, name) = (one.process.pid, escape(&one.process.name));
    let (age, live) = (
        age(Duration::from_nanos(one.age_ns)),
        size(one.counters.live_bytes()),
    );
    let (blocks, rate) = (one.counters.live_blocks(), one.allocations_per_second);
    let lacks = match one.lacks() {
        lacks if lacks.is_empty() => lacks,
        lacks => format!("   {lacks}"),
    };
    let mode = mode(one);
    format!(
        "{pid:>8}  {name:<16}  {age:>8}  {live:>10}  {blocks:>12}  {rate:>11.0}  {mode}{lacks}\n"
    )
}

fn mode(one: &Overview) -> String {
    mode::word(one.mode)
}

fn age(age: Duration) -> String {
    match age.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min", seconds / 60),
        seconds @ 3600..86400 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86400),
    }
}

fn value(one: &Overview) -> Value {
    json!({
        "pid": one.process.pid,
        "name": one.process.name,
        "exe": one.process.exe,
        "cmdline": one.process.cmdline,
        "age_seconds": Duration::from_nanos(one.age_ns).as_secs_f64(),
        "mode": match one.mode {
            Mode::Exact => "exact",
            Mode::Sample(_) => "sample",
            Mode::Off => "off",
        },
        "sample_bytes": match one.mode {
            Mode::Sample(mean) => Some(mean),
            Mode::Exact | Mode::Off => None,
        },
        "live_bytes": one.counters.live_bytes(),
        "live_blocks": one.counters.live_blocks(),
        "peak_bytes": one.peak_bytes,
        "total_bytes": one.counters.allocated_bytes,
        "total_blocks": one.counters.allocated_blocks,
        "allocations_per_second": one.allocations_per_second,
        "sites": one.sites,
        "frames": one.frames,
        "walks": one.losses.walks,
        "memo_hits": one.losses.memo_hits,
        "memo_misses": one.losses.memo_misses,
        "frame_pointers": one.losses.frame_pointers,
        "truncated_stacks": one.losses.truncated,
        "nested_events": one.losses.nested,
        "overflow_events": one.losses.overflow,
        "foreign_frees": one.losses.foreign_frees,
        "untracked_blocks": one.losses.untracked,
        "notes": one.notes.iter().map(ToString::to_string).collect::<Vec<String>>(),
    })
}
