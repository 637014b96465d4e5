//! `cargo xtask bench-page [N]`: how long the report's page takes to be there, of a program with 2^N stacks (16: more than a page holds one by one).
//!
//! Times are the browser's own, from when it begins to load the file: until the lines are in the page, until the flamegraph is drawn, until both were
//! painted. What a search and a sort take is measured from the key to the end of the drawing. Medians of five, since a browser's first page is slower.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people"
)]

use heapshim_tests::{Browser, Target, fresh_directory, talk};
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

/// What is asked of a page that is there: milliseconds.
const ASKED: [(&str, &str); 5] = [
    (
        "lines",
        "return performance.getEntriesByName('lines')[0].startTime;",
    ),
    (
        "flamegraph",
        "return performance.getEntriesByName('stacks')[0].startTime;",
    ),
    (
        "painted",
        "return new Promise(done => requestAnimationFrame(() => setTimeout(() => done(performance.now()))));",
    ),
    (
        "a search",
        "const search = document.getElementById('search'), begun = performance.now(); search.value = 'le'; \
         search.dispatchEvent(new Event('input')); document.body.offsetHeight; return performance.now() - begun;",
    ),
    (
        "a sort",
        "const begun = performance.now(); document.querySelector('[data-sort=live]').click(); \
         document.body.offsetHeight; return performance.now() - begun;",
    ),
];
const TIMES: usize = 5;

fn main() -> ExitCode {
    let power = std::env::args().nth(1).unwrap_or_else(|| "16".to_owned());
    let Some(browser) = Browser::open(1280, 900) else {
        eprintln!("bench-page: chromium and chromedriver are needed");
        return ExitCode::FAILURE;
    };
    let running = Target::c("sites.c").opt("-O1").arg(&power).spawn();
    let page = fresh_directory("page-times").join("report.html");
    let (pid, output) = (running.pid().to_string(), page.display().to_string());
    let begun = Instant::now();
    talk(&["report", "-p", &pid, "start", "-o", &output]);
    let written = begun.elapsed().as_millis();
    let bytes = fs::metadata(&page).expect("a page").len();
    println!("2^{power} stacks: {bytes} bytes, written in {written} ms");
    let mut all: Vec<Vec<f64>> = (0..TIMES).map(|_| times(&browser, &page)).collect();
    for (at, (name, _)) in ASKED.iter().enumerate() {
        all.sort_by(|one, other| one[at].total_cmp(&other[at]));
        println!("{name:>12} {:>6.0} ms", all[TIMES / 2][at]);
    }
    ExitCode::SUCCESS
}

fn times(browser: &Browser, page: &Path) -> Vec<f64> {
    browser.load(page);
    browser.wait_until_ready();
    let asked = ASKED.iter().map(|(_, script)| browser.run(script));
    asked.map(|time| time.as_f64().expect("a time")).collect()
}
