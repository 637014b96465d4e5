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

fn main() -> ExitCode {
    let mut running = Target::python("inside.py").spawn();
    running.mark("warm");
    if [top(&running), page(&mut running)].contains(&None) {
        eprintln!("screenshots: tmux, chromium and chromedriver are needed");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn top(running: &Running) -> Option<()> {
    let tmux = Tmux::open(TERMINAL.0, TERMINAL.1)?;
    tmux.line(&format!(
        "exec {} top -p {}",
        heapshim().display(),
        running.pid()
    ));
    tmux.wait_for("since warm");
    tmux.keys(&["0"]);
    tmux.wait_for("since start");
    tmux.keys(&["Enter"]);
    tmux.wait_for("heaviest stack");
    tmux.keys(&["Down"]);
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

fn page(running: &mut Running) -> Option<()> {
    let file = fresh_directory("screenshots").join("report.html");
    let (pid, output) = (running.pid().to_string(), file.display().to_string());
    running.step(b"go");
    talk(&["report", "-p", &pid, "start", "-o", &output]);
    for (name, size, dark) in [
        ("report", DESK, false),
        ("report-dark", DESK, true),
        ("report-narrow", HAND, false),
    ] {
        let browser = Browser::open(size.0, size.1)?;
        if dark {
            browser.darken();
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
    for (at, part) in colored.split("\x1b[").enumerate() {
        let (codes, text) = match at {
            0 => ("", part),
            _ => part.split_once('m').unwrap_or(("", part)),
        };
        if at > 0 {
            page.push_str(&format!("</span><span style=\"{}\">", style(codes)));
        }
        page.push_str(&text.replace('&', "&amp;").replace('<', "&lt;"));
    }
    page
}

fn style(codes: &str) -> String {
    let one = |code: &str| match code {
        "1" => "font-weight:bold;",
        "2" => "opacity:.7;",
        "4" => "text-decoration:underline;",
        "7" => "background:#d8d8d8;color:#1d1f21;",
        "31" => "color:#f0776d;",
        "32" => "color:#8fc07a;",
        _ => "",
    };
    codes.split(';').map(one).collect()
}
