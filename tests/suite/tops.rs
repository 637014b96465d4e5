//! `heapshim top` on a terminal: keys, sizes, the target's end, our own, and the terminal afterwards.

use heapshim_tests::{Running, Target, Tmux, environment, heapshim, talk};
use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A `top` in a terminal, which others may have been in before.
pub(crate) struct Look<'t> {
    tmux: &'t Tmux,
    /// What its files and its last words are told from others' by.
    number: u32,
}

/// Starts `top` of a process; the shell keeps the terminal's settings from before and after, and says how it ended.
pub(crate) fn look_at<'t>(tmux: &'t Tmux, running: &Running) -> Look<'t> {
    look_with(tmux, running, "")
}

/// The same with variables.
pub(crate) fn look_with<'t>(tmux: &'t Tmux, running: &Running, variables: &str) -> Look<'t> {
    let (heapshim, pid) = (heapshim().display(), running.pid());
    look_by(
        tmux,
        &format!(
            "sh -c 'ulimit -c 0; echo $$ >pid; {variables} exec {heapshim} top -p {pid} --every 50ms'"
        ),
    )
}

/// The same by a command of the shell.
pub(crate) fn look_by<'t>(tmux: &'t Tmux, command: &str) -> Look<'t> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    // The words are not what is typed: that stays on the screen.
    let script = format!(
        "stty -g >before-{number}; {command}; echo ended {number}: $?; stty -g >after-{number}; echo all done {number}\n"
    );
    fs::write(tmux.directory().join(format!("look-{number}")), script).expect("a script");
    tmux.line(&format!("sh ./look-{number}"));
    Look { tmux, number }
}

impl Look<'_> {
    /// The end, with this status, and the terminal as it was.
    pub(crate) fn ended(&self, status: u8) {
        let number = self.number;
        let screen = self.tmux.wait_for(&format!("all done {number}"));
        let said = format!("ended {number}: {status}");
        // A slow shell writes its prompt in front of it.
        let is_said = screen.iter().any(|line| line.ends_with(&said));
        assert!(is_said, "{said}: {screen:#?}");
        let kept = |when: &str| {
            let file = self.tmux.directory().join(format!("{when}-{number}"));
            fs::read_to_string(file).expect("settings")
        };
        assert_eq!(kept("before"), kept("after"));
        assert!(!self.tmux.is_on_second_screen());
        // The first screen is there again, with what was typed on it: a slow shell writes its prompt behind that.
        let typed = format!("sh ./look-{number}");
        assert!(
            screen.iter().any(|line| line.contains(&typed)),
            "{screen:#?}"
        );
    }

    /// Sends it a signal.
    fn signal(&self, signal: i32) {
        let pid = fs::read_to_string(self.tmux.directory().join("pid")).expect("its pid");
        let pid = pid.trim().parse().expect("a number");
        // SAFETY: a signal to a process that we have started.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    }
}

/// The line of the list with this text in it.
fn listed<'a>(screen: &'a [String], text: &str) -> &'a str {
    let line = screen.iter().find(|line| line.contains(text));
    line.unwrap_or_else(|| panic!("no {text} in {screen:#?}"))
}

/// Check each key: a mark, exact growth since it, order, groups, a filter, a stack with its source, a file of what is seen, help, the end.
#[test]
fn keys() {
    let Some(tmux) = Tmux::open(80, 24) else {
        return;
    };
    let mut running = Target::c("leak.c").opt("-O0").spawn();
    let look = look_at(&tmux, &running);
    let screen = tmux.wait_for("in_loop");
    assert!(
        screen[0].starts_with(&format!("leak (pid {})   since start", running.pid()))
            || screen[0].contains("since start"),
        "{screen:#?}"
    );
    tmux.keys(&["m"]);
    tmux.wait_for("marked: mark-1");
    assert_eq!(running.step(b"go"), "leaked");
    let screen = tmux.wait_for("+1009 B");
    assert!(screen[0].contains("since mark-1"), "{screen:#?}");
    assert!(
        listed(&screen, "in_loop")
            .trim_start()
            .starts_with("+111 B      148 B"),
        "{screen:#?}"
    );
    assert!(
        listed(&screen, "round_one")
            .trim_start()
            .starts_with("-4.9 KiB        0 B"),
        "{screen:#?}"
    );
    assert!(screen[3].contains("not attributed: 0 B"), "{screen:#?}");

    tmux.keys(&["/"]);
    tmux.wait_for("filter:");
    tmux.keys(&["-l", "in_loop"]);
    let screen = tmux.wait_for("filter: in_loop");
    assert!(
        !screen.iter().any(|line| line.contains("twice_deep")),
        "{screen:#?}"
    );
    tmux.keys(&["Enter", "Enter"]);
    let screen = tmux.wait_for("heaviest stack");
    assert!(
        listed(&screen, "> in_loop (leak.c:8)").starts_with('│'),
        "{screen:#?}"
    );
    listed(&screen, "kept = malloc(37);");
    tmux.keys(&["Escape"]);
    tmux.wait(|screen| !screen.iter().any(|line| line.contains("heaviest stack")));
    tmux.keys(&["Escape"]);
    tmux.wait_for("twice_deep");

    tmux.keys(&["s"]);
    tmux.wait_for("(by rate)");
    tmux.keys(&["g"]);
    tmux.wait_for("function (by rate)");
    tmux.keys(&["?"]);
    tmux.wait_for("growth since the start");
    tmux.keys(&["x"]);
    tmux.keys(&["w"]);
    let screen = tmux.wait_for("written: ");
    let name = listed(&screen, "written: ")
        .trim()
        .trim_start_matches("written: ")
        .to_string();
    let file = tmux.directory().join(name).display().to_string();
    let diff = talk(&["diff", "start", &file]);
    assert!(String::from_utf8_lossy(&diff.stdout).contains("twice_deep"));
    tmux.keys(&["q"]);
    look.ended(0);
}

/// Check that the mark that M takes tells what has survived since, line by line: a cache that was filled anew as much as it holds, a pool that gave back more than it took
/// what it took; that lines are sorted by it, and that a mark without it takes the column away.
#[test]
fn survivors() {
    let Some(tmux) = Tmux::open(80, 24) else {
        return;
    };
    let mut running = Target::c("born.c").opt("-O0").spawn();
    assert_eq!(running.step(b"go"), "pooled");
    assert_eq!(running.step(b"go"), "filled");
    let look = look_at(&tmux, &running);
    tmux.wait_for("since start");
    tmux.keys(&["M"]);
    tmux.wait_for("marked: mark-1; growth and survivors are counted from here");
    assert_eq!(running.step(b"go"), "refilled");
    tmux.keys(&["s", "s", "s", "s"]);
    let line = |marker: &str| format!("born.c:{} ", heapshim_tests::line_of("born.c", marker));
    let last = [
        ("// pool", "-5.6 KiB"),
        ("// refilled", "+6.3 KiB"),
        ("// cache", "-6.3 KiB"),
    ];
    let is_whole = |screen: &[String]| {
        let stands = |(marker, growth): (&str, &str)| {
            let mut rows = screen.iter().filter(|row| row.contains(&line(marker)));
            rows.any(|row| row.contains(growth))
        };
        screen[4].ends_with("line (by survivors)") && last.into_iter().all(stands)
    };
    let screen = tmux.wait(is_whole);
    assert!(screen[0].contains("since mark-1"), "{screen:#?}");
    let survived = |marker: &str| {
        let words: Vec<&str> = listed(&screen, &line(marker)).split_whitespace().collect();
        (words[2..4].join(" "), words[..2].join(" "))
    };
    let pair = |survived: &str, growth: &str| (survived.to_owned(), growth.to_owned());
    assert_eq!(survived("// refilled"), pair("6.3 KiB", "+6.3 KiB"));
    assert_eq!(survived("// pool"), pair("1.4 KiB", "-5.6 KiB"));
    assert_eq!(survived("// cache"), pair("0 B", "-6.3 KiB"));
    // The block that grew is the largest.
    let first = [
        screen[5].contains(&line("// grown")),
        screen[6].contains(&line("// refilled")),
    ];
    assert_eq!(first, [true; 2], "{screen:#?}");
    tmux.keys(&["m"]);
    let screen = tmux.wait_for("marked: mark-2");
    assert!(screen[4].contains("trend"), "{screen:#?}");
    tmux.keys(&["q"]);
    look.ended(0);
}

/// Check that it fills the terminal after each change of size, and can be small.
#[test]
fn sizes() {
    let Some(tmux) = Tmux::open(80, 24) else {
        return;
    };
    let running = Target::c("leak.c").opt("-O0").spawn();
    let look = look_at(&tmux, &running);
    for (width, height) in [(80, 24), (120, 40), (200, 50), (40, 10), (40, 8)] {
        tmux.resize(width, height);
        let full = |screen: &[String]| {
            screen.len() == height as usize
                && screen[0].contains("since start")
                && screen[height as usize - 1].starts_with("? help")
        };
        tmux.wait(full);
    }
    tmux.keys(&["C-c"]);
    tmux.resize(80, 24);
    look.ended(0);
}

/// Check that the target's end is said, that its last figures stay, and that keys are still obeyed.
#[test]
fn end_of_the_target() {
    let Some(tmux) = Tmux::open(80, 24) else {
        return;
    };
    let running = Target::c("leak.c").opt("-O0").spawn();
    let look = look_at(&tmux, &running);
    tmux.wait_for("in_loop");
    assert!(running.finish().0.success());
    let screen = tmux.wait_for("it has ended");
    listed(&screen, "in_loop");
    tmux.keys(&["m"]);
    let screen = tmux.wait(|screen| screen[23].contains("it has ended"));
    listed(&screen, "in_loop");
    tmux.keys(&["q"]);
    look.ended(0);
}

/// Check that colours are there, that with NO_COLOR none is, and that all that they say is said without them.
#[test]
fn without_colors() {
    let Some(tmux) = Tmux::open(80, 24) else {
        return;
    };
    let mut running = Target::c("leak.c").opt("-O0").spawn();
    assert_eq!(running.step(b"go"), "leaked");
    let seen = ["", "NO_COLOR=1"].map(|variables| {
        let look = look_with(&tmux, &running, variables);
        let screen = tmux.wait_for("twice_deep");
        let colored = tmux.colored();
        tmux.keys(&["q"]);
        look.ended(0);
        let rows = screen.into_iter().filter(|line| line.contains(" B "));
        (rows.map(|row| amounts(&row)).collect::<Vec<_>>(), colored)
    });
    let [(rows, colored), (plain_rows, plain)] = seen;
    assert_eq!(rows, plain_rows);
    let colors = |text: &str| {
        let codes = text.split("\x1b[").skip(1);
        let codes = codes.filter_map(|code| Some(code.split_once('m')?.0));
        codes
            .flat_map(|code| code.split(';'))
            .filter(is_color)
            .count()
    };
    assert!(colors(&colored) > 0, "{colored:?}");
    assert_eq!(colors(&plain), 0, "{plain:?}");
}

/// Of an escape sequence: a colour, other than the terminal's own (39, 49).
fn is_color(code: &&str) -> bool {
    let number = code.parse().unwrap_or(0);
    matches!(number, 30..=38 | 40..=48 | 90..=97 | 100..=107)
}

/// A row's growth and what is alive: rates and trends are of their moment.
fn amounts(row: &str) -> String {
    row.split_whitespace().take(4).collect::<Vec<_>>().join(" ")
}

/// Check that each signal that ends programs ends it as it would have, after the terminal was given back: the settings, and the first screen.
#[test]
fn signals() {
    let Some(tmux) = Tmux::open(80, 24) else {
        return;
    };
    let running = Target::c("leak.c").opt("-O0").spawn();
    for (signal, status) in [
        (libc::SIGINT, 130),
        (libc::SIGTERM, 143),
        (libc::SIGHUP, 129),
        (libc::SIGQUIT, 131),
    ] {
        let look = look_at(&tmux, &running);
        tmux.wait_for("in_loop");
        assert!(tmux.is_on_second_screen());
        look.signal(signal);
        look.ended(status);
    }
}

/// Check that a target that is killed is said to have ended, that its last figures stay, and that the terminal is as it was.
#[test]
fn killed_target() {
    let Some(tmux) = Tmux::open(80, 24) else {
        return;
    };
    let running = Target::c("leak.c").opt("-O0").spawn();
    let look = look_at(&tmux, &running);
    tmux.wait_for("in_loop");
    let pid = running.pid().cast_signed();
    // SAFETY: a signal to a process that we have started.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGKILL) }, 0);
    let screen = tmux.wait_for("it has ended");
    listed(&screen, "in_loop");
    tmux.keys(&["q"]);
    look.ended(0);
}

/// Check that of two traced processes one can be left for the other.
#[test]
fn another_process() {
    let Some(tmux) = Tmux::open(80, 24) else {
        return;
    };
    let running = Target::c("leak.c").opt("-O0").spawn();
    let other = Target::c("watch.c").opt("-O0").spawn();
    let look = look_at(&tmux, &running);
    tmux.wait_for("in_loop");
    tmux.keys(&["p"]);
    tmux.wait_for("traced processes");
    // Others of the suite may be there: step, and see the step, until the one that is meant is chosen, which is shown in reverse.
    let wanted = format!("{:>8} ", other.pid());
    let later = other.pid() > running.pid();
    let mut at = tmux.reversed();
    while !at.contains(&wanted) {
        tmux.keys(&[if later { "Down" } else { "Up" }]);
        tmux.wait(|_| ![at.as_str(), ""].contains(&tmux.reversed().as_str()));
        at = tmux.reversed();
    }
    tmux.keys(&["Enter"]);
    let name = format!("(pid {})", other.pid());
    tmux.wait(|screen| {
        screen[0].contains(&name) && screen.iter().any(|line| line.contains("drains"))
    });
    tmux.keys(&["q"]);
    look.ended(0);
}

/// Check that without a terminal, or with one that cannot be drawn on, it says so, and what to use instead.
#[test]
fn no_terminal() {
    let running = Target::c("leak.c").opt("-O0").spawn();
    let mut command = Command::new(heapshim());
    command.args(["top", "-p", &running.pid().to_string()]);
    command.env_clear().envs(environment()).stdin(Stdio::null());
    let output = command.output().expect("the command starts");
    let expected = "heapshim: stdin: no terminal to draw on; `heapshim diff --for 10s` and `heapshim watch` print instead\n";
    assert_eq!(String::from_utf8_lossy(&output.stderr), expected);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
}
