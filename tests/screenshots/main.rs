//! `cargo xtask screenshots`: the pictures of the README, made by the command itself: `top` in tmux, the report's page in Chromium.
//!
//! The same program each time; what differs is its pid and its times.

#![allow(clippy::print_stderr, reason = "a program for people")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use heapshim_tests::{Browser, Running, Target, Tmux, fresh_directory, heapshim, talk, workspace};
use std::fs;
use std::process::ExitCode;

/// Cells of the terminal: what people have at least.
const TERMINAL: (u32, u32) = (96, 26);
/// A page's width and height, on a desk and in a hand.
const DESK: (u32, u32) = (1100, 900);
const HAND: (u32, u32) = (390, 800);

/// Rounds of customers before the mark, and while `top` looks on.
const WARM: usize = 2;
const WATCHED: usize = 12;

fn main() -> ExitCode {
    let mut running = Target::python("shop.py").spawn();
    (0..WARM).for_each(|_| drop(running.step(b"go")));
    running.mark("warm");
    if [top(&mut running), page(&running)].contains(&None) {
        eprintln!("screenshots: tmux, chromium and chromedriver are needed");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn top(running: &mut Running) -> Option<()> {
    let tmux = Tmux::open(TERMINAL.0, TERMINAL.1)?;
    tmux.line(&format!(
        "exec {} top -p {}",
        heapshim().display(),
        running.pid()
    ));
    tmux.wait_for("since warm");
    for _ in 0..WATCHED {
        let before = heap(&tmux.wait_for("heap "));
        running.step(b"go");
        tmux.wait(|screen| heap(screen) != before);
    }
    tmux.keys(&["Enter"]);
    tmux.wait_for("heaviest stack");
    // Down to the line that is charged.
    tmux.keys(&["]", "]", "]", "]"]);
    tmux.wait(|screen| {
        screen.iter().any(|line| line.contains("> ")) && screen[25].starts_with("? help")
    });
    let file = fresh_directory("screenshots").join("top.html");
    fs::write(&file, terminal(&tmux.colored())).expect("written");
    let browser = Browser::open(840, 500)?;
    browser.load(&file);
    keep(&browser, "top");
    Some(())
}

/// The line of the screen that says how large the heap is.
fn heap(screen: &[String]) -> Option<String> {
    screen
        .iter()
        .find(|line| line.starts_with("heap "))
        .cloned()
}

fn page(running: &Running) -> Option<()> {
    let file = fresh_directory("screenshots").join("report.html");
    let (pid, output) = (running.pid().to_string(), file.display().to_string());
    talk(&["report", "-p", &pid, "warm", "-o", &output]);
    for (name, size, dark) in [
        ("report", DESK, false),
        ("report-dark", DESK, true),
        ("report-narrow", HAND, false),
    ] {
        let browser = Browser::open(size.0, size.1)?;
        if dark {
            browser.prefer("dark");
        }
        browser.load(&file);
        browser.wait_until_ready();
        keep(&browser, name);
    }
    Some(())
}

fn keep(browser: &Browser, name: &str) {
    let picture = STANDARD.decode(browser.screenshot()).expect("base64");
    let directory = workspace().join("docs/images");
    fs::create_dir_all(&directory).expect("a directory");
    fs::write(directory.join(format!("{name}.png")), picture).expect("written");
}

/// What a terminal shows, as a page: the few ways of writing that `top` uses.
fn terminal(colored: &str) -> String {
    let mut page = String::from(
        "<!doctype html><meta charset=utf-8><style>body{margin:8px;background:#1d1f21;color:#d8d8d8}\
         pre{font:14px/18px 'DejaVu Sans Mono',monospace;margin:0}</style><pre>",
    );
    let mut active = Vec::new();
    for (at, part) in colored.split("\x1b[").enumerate() {
        let (codes, text) = match at {
            0 => ("", part),
            _ => part.split_once('m').unwrap_or(("", part)),
        };
        codes.split(';').for_each(|code| switch(&mut active, code));
        if at > 0 {
            page.push_str(&format!("</span><span style=\"{}\">", style(&active)));
        }
        page.push_str(&text.replace('&', "&amp;").replace('<', "&lt;"));
    }
    page
}

/// What a code changes of the ways of writing that hold from here on (ECMA-48, SGR).
fn switch<'c>(active: &mut Vec<&'c str>, code: &'c str) {
    let ends: &[&str] = match code {
        "" | "0" => &["1", "2", "4", "7", "31", "32"],
        "22" => &["1", "2"],
        "24" => &["4"],
        "27" => &["7"],
        "39" => &["31", "32"],
        _ => &[],
    };
    active.retain(|one| !ends.contains(one));
    active.push(code);
}

fn style(active: &[&str]) -> String {
    let one = |code: &&str| match *code {
        "1" => "font-weight:bold;",
        "2" => "opacity:.7;",
        "4" => "text-decoration:underline;",
        "7" => "background:#d8d8d8;color:#1d1f21;",
        "31" => "color:#f0776d;",
        "32" => "color:#8fc07a;",
        _ => "",
    };
    active.iter().map(one).collect()
}
