//! `heapshim marks`: the marks of a process, oldest first.

use super::output::{print, say};
use crate::args::Marks as Args;
use heapshim_cli::catalog::{Catalog, Listed};
use heapshim_cli::error::Error;
use heapshim_cli::iso_time::iso_utc;
use heapshim_cli::render::{escape, size};
use heapshim_cli::rss::Rss;
use heapshim_cli::store;
use std::time::SystemTime;

/// Lists them, or removes old ones.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    if args.prune {
        let removed = store::prune(SystemTime::now())?;
        let processes = if removed == 1 { "process" } else { "processes" };
        return print(&format!(
            "removed the marks of {removed} ended {processes}\n"
        ));
    }
    let catalog = Catalog::of(args.target.target.as_deref())?;
    let list = catalog.list();
    if list.is_empty() {
        let mark = catalog.command("mark");
        say(&format!("no marks yet; take one with `{mark}`"));
        return Ok(());
    }
    let rows: String = list.iter().map(row).collect();
    print(&format!(
        "{:<24}  {:>10}  {:>10}  {:>10}  {:>10}  {:>10}  mark\n{rows}",
        "time", "live", "blocks", "RSS", "retained", "maps"
    ))
}

fn row(mark: &Listed) -> String {
    let rss = match mark.moment.rss_bytes {
        0 => "-".to_owned(),
        known => size(i64::try_from(known).unwrap_or(i64::MAX)),
    };
    // Of it, what the allocator retains and what lies in anonymous maps of the program's own.
    let part = |bytes: fn(&Rss) -> i64| {
        mark.rss
            .map_or_else(|| "-".to_owned(), |rss| size(bytes(&rss)))
    };
    let (retained, maps) = (part(|rss| rss.retained), part(|rss| rss.anonymous));
    let mut notes = String::new();
    if mark.inside.is_some() {
        notes.push_str("   taken by the program");
    }
    if !mark.moment.exact {
        notes.push_str(&format!("   {} events in flight", mark.moment.in_flight));
    }
    let name = escape(&mark.moment.name);
    let (time, live) = (iso_utc(mark.moment.unix_ns), size(mark.live_bytes));
    format!(
        "{time:<24}  {live:>10}  {:>10}  {rss:>10}  {retained:>10}  {maps:>10}  {name}{notes}\n",
        mark.live_blocks
    )
}
