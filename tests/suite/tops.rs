//! `heapshim top` on a terminal: keys, sizes, the target's end, our own, and the terminal afterwards.

use heapshim_tests::{Running, Target, Tmux, environment, heapshim, talk};
use std::fs;
use std::process::{Command, Stdio};

/// Starts `top` of a process; the shell keeps the terminal's settings from before and after, and says how it ended.
fn look_at(tmux: &Tmux, running: &Running) {
    look_with(tmux, running, "");
}

/// The same with variables.
fn look_with(tmux: &Tmux, running: &Running, variables: &str) {
    let (heapshim, pid) = (heapshim().display(), running.pid());
    let script = format!(
        "stty -g >before; sh -c 'echo $$ >pid; {variables} exec {heapshim} top -p {pid} --every 50ms'; echo ended $?; stty -g >after; echo all done\n"
    );
    fs::write(tmux.directory().join("look"), script).expect("a script");
    tmux.line(". ./look");
}

/// The end, with this status, and the terminal as it was.
fn ended(tmux: &Tmux, status: u8) {
    let screen = tmux.wait_for("all done");
    let said = format!("ended {status}");
    assert!(screen.contains(&said), "{screen:#?}");
    let kept = |name: &str| fs::read_to_string(tmux.directory().join(name)).expect("settings");
    assert_eq!(kept("before"), kept("after"));
    // The first screen is there again, with what was typed on it: a slow shell writes its prompt behind that.
    assert!(
        screen.iter().any(|line| line.contains(". ./look")),
        "{screen:#?}"
    );
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
    look_at(&tmux, &running);
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
    ended(&tmux, 0);
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
    look_at(&tmux, &running);
    tmux.wait_for("since start");
    tmux.keys(&["M"]);
    tmux.wait_for("marked: mark-1; growth and survivors are counted from here");
    assert_eq!(running.step(b"go"), "refilled");
    tmux.keys(&["s", "s", "s", "s"]);
    let line = |marker: &str| format!("born.c:{} ", heapshim_tests::line_of("born.c", marker));
    let pool = line("// pool");
    let is_whole = |screen: &[String]| {
        let pool = screen.iter().find(|line| line.contains(&pool));
        screen[4].ends_with("line (by survivors)")
            && pool.is_some_and(|row| row.contains("-5.6 KiB"))
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
    ended(&tmux, 0);
}

/// Check that it fills the terminal after each change of size, and can be small.
#[test]
fn sizes() {
    let Some(tmux) = Tmux::open(80, 24) else {
        return;
    };
    let running = Target::c("leak.c").opt("-O0").spawn();
    look_at(&tmux, &running);
    for (width, height) in [(80, 24), (120, 40), (40, 8)] {
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
    ended(&tmux, 0);
}

/// Check that the target's end is said, that its last figures stay, and that keys are still obeyed.
#[test]
fn end_of_the_target() {
    let Some(tmux) = Tmux::open(80, 24) else {
        return;
    };
    let running = Target::c("leak.c").opt("-O0").spawn();
    look_at(&tmux, &running);
    tmux.wait_for("in_loop");
    assert!(running.finish().0.success());
    let screen = tmux.wait_for("it has ended");
    listed(&screen, "in_loop");
    tmux.keys(&["m"]);
    let screen = tmux.wait(|screen| screen[23].contains("it has ended"));
    listed(&screen, "in_loop");
    tmux.keys(&["q"]);
    ended(&tmux, 0);
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
        look_with(&tmux, &running, variables);
        let screen = tmux.wait_for("twice_deep");
        let colored = tmux.colored();
        tmux.keys(&["q"]);
        ended(&tmux, 0);
        tmux.line("clear");
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

/// Check that a signal ends it as it would have, after the terminal was given back.
#[test]
fn signals() {
    let Some(tmux) = Tmux::open(80, 24) else {
        return;
    };
    let running = Target::c("leak.c").opt("-O0").spawn();
    look_at(&tmux, &running);
    tmux.wait_for("in_loop");
    let pid = fs::read_to_string(tmux.directory().join("pid")).expect("its pid");
    let pid = pid.trim().parse().expect("a number");
    // SAFETY: a signal to a process that we have started.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGTERM) }, 0);
    ended(&tmux, 143);
}

/// Check that of two traced processes one can be left for the other.
#[test]
fn another_process() {
    let Some(tmux) = Tmux::open(80, 24) else {
        return;
    };
    let running = Target::c("leak.c").opt("-O0").spawn();
    let other = Target::c("watch.c").opt("-O0").spawn();
    look_at(&tmux, &running);
    tmux.wait_for("in_loop");
    tmux.keys(&["p"]);
    tmux.wait_for("traced processes");
    // Others of the suite may be there: step, and see the step, until the one that is meant is chosen, which is shown in reverse.
    let wanted = format!("{:>8} ", other.pid());
    let chosen = || {
        let screen = tmux.colored();
        let line = screen.lines().find(|line| line.contains("\x1b[7m"));
        line.unwrap_or_default().to_string()
    };
    let later = other.pid() > running.pid();
    let mut at = chosen();
    while !at.contains(&wanted) {
        tmux.keys(&[if later { "Down" } else { "Up" }]);
        let before = at;
        at = loop {
            let now = chosen();
            if now != before && !now.is_empty() {
                break now;
            }
        };
    }
    tmux.keys(&["Enter"]);
    let name = format!("(pid {})", other.pid());
    tmux.wait(|screen| {
        screen[0].contains(&name) && screen.iter().any(|line| line.contains("drains"))
    });
    tmux.keys(&["q"]);
    ended(&tmux, 0);
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
