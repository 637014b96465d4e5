//! Words that are wrong: status 2, one line, and the nearest right one; words that ask for help: what it says is true.

use crate::place::{Place, said, text};

/// Check commands, options and values that are one slip away, programs without `run`, and what does not go together: each line exactly.
#[test]
fn nearest_right_word() {
    let place = Place::new("words");
    let diff = "`heapshim diff --help` says more";
    let run = "`heapshim run --help` says more";
    for (words, line) in [
        (
            &["dif"][..],
            "dif: no such command; did you mean diff?".to_owned(),
        ),
        (
            &["maks"],
            "maks: no such command; did you mean marks?".into(),
        ),
        (
            &["frobnicate"],
            "frobnicate: no such command; `heapshim --help` lists them all".into(),
        ),
        (
            &["sh"],
            "sh: no such command; to trace it: heapshim run -- sh".into(),
        ),
        (
            &["diff", "--frmat", "json"],
            "--frmat: no such option of `heapshim diff`; did you mean --format?".into(),
        ),
        (
            &["diff", "-P", "7"],
            "-P: no such option of `heapshim diff`; did you mean -p?".into(),
        ),
        (
            &["diff", "--format", "jsn"],
            "--format jsn: it takes one of table, json, tracemalloc; did you mean json?".into(),
        ),
        (
            &["diff", "--top", "x"],
            format!("--top x: it takes a number; {diff}"),
        ),
        (
            &["diff", "--top"],
            format!("--top: it takes a value; {diff}"),
        ),
        (
            &["diff", "a", "b", "c d"],
            format!("c d: one word too many of `heapshim diff`; {diff}"),
        ),
        (
            &["run", "--sav", "x", "--", "true"],
            "--sav: no such option of `heapshim run`; did you mean --save?".into(),
        ),
        (
            &["diff", "--tpo", "3"],
            "--tpo: no such option of `heapshim diff`; did you mean --top?".into(),
        ),
        (
            &["run", "--depth", "513", "--", "true"],
            format!("--depth 513: it takes a number from 1 to 512; {run}"),
        ),
        (
            &["diff", "--for", "30"],
            format!("--for 30: a time is a number and a unit: 500ms, 30s, 5m; {diff}"),
        ),
        (
            &["diff", "--for", "1s", "warm"],
            format!("--for: it cannot be used with A; {diff}"),
        ),
        (
            &["mark", "now"],
            "mark 'now': this word means a moment of its own; choose another name".into(),
        ),
    ] {
        refused(&place, words, &line);
    }
}

/// Asserts that these words are refused with this line, and nothing else.
fn refused(place: &Place, words: &[&str], line: &str) {
    let output = place.output(words);
    let expected = format!("heapshim: {line}\n");
    assert_eq!(text(&output.stderr), expected, "{words:?}");
    assert_eq!(output.status.code(), Some(2), "{words:?}");
    assert!(output.stdout.is_empty(), "{words:?}");
}

/// Check what is said where a word is missing, or stands in the place of one that has no option's name.
#[test]
fn words_without_an_option() {
    let place = Place::new("without-an-option");
    for (words, line) in [
        (
            &["run"][..],
            "run: COMMAND is missing; `heapshim run --help` says more",
        ),
        (
            &["export"],
            "export: --format is missing; `heapshim export --help` says more",
        ),
        (
            &["completions", "cmd"],
            "SHELL cmd: it takes one of bash, elvish, fish, powershell, zsh; `heapshim completions --help` says more",
        ),
        (
            &["mode", "precise"],
            "MODE precise: it is exact, off, or sample=SIZE, as in sample=512K; `heapshim mode --help` says more",
        ),
    ] {
        refused(&place, words, line);
    }
}

/// Check that `--by` names what there is, and the nearest of it.
#[test]
fn nearest_value() {
    let place = Place::new("nearest-value");
    let line = text(&place.output(&["diff", "--by", "lines"]).stderr);
    assert!(
        line.starts_with("heapshim: --by lines: it takes one of line, function, "),
        "{line}"
    );
    assert!(line.ends_with("; did you mean line?\n"), "{line}");
}

/// Check that a report of a form and rows that do not go together names those that do.
#[test]
fn rows_of_a_form() {
    let place = Place::new("rows-of-a-form");
    for (words, right) in [
        (
            &["run", "--cumulative", "--by", "stack", "--", "true"][..],
            "choose --by line, function, file or module\n",
        ),
        (
            &["diff", "--format", "tracemalloc", "--by", "module"],
            "choose --by line, file or stack\n",
        ),
    ] {
        let output = place.output(words);
        let line = text(&output.stderr);
        assert!(line.ends_with(right), "{words:?} {line}");
        assert_eq!(output.status.code(), Some(2), "{words:?}");
    }
}

/// Check that names of marks and processes that are one slip away are put right, quoted for the shell, and a pid in a mark's place too.
#[test]
fn nearest_name() {
    let place = Place::new("nearest-name");
    let running = place.run(&["--quiet"], &[&place.keeper()]);
    let pid = &running.hello;
    place.stdout(&["mark", "-p", pid, "after 1,000"]);
    let line = |words: &[&str]| {
        let output = place.output(words);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        text(&output.stderr)
    };
    let expected =
        format!("heapshim: pid {pid}: no mark 'after 100'; did you mean 'after 1,000'?\n");
    assert_eq!(line(&["diff", "-p", pid, "after 100"]), expected);
    let expected =
        format!("heapshim: pid {pid}: no mark '{pid}'; a process is named with -p {pid}\n");
    assert_eq!(line(&["diff", "-p", pid, pid]), expected);
    let expected = "heapshim: keepr: no traced process of that name; did you mean -p keeper?\n";
    assert_eq!(line(&["diff", "-p", "keepr"]), expected);
    let words = ["diff", "-p", pid, "start", "start"];
    let output = place.output(&words);
    assert_eq!(output.status.code(), Some(2));
    let next = format!("; write it first: heapshim diff -p {pid} start now\n");
    assert!(text(&output.stderr).ends_with(&next));
}

/// Check that what is to be typed next names the process where it had to be named, and nothing where it was the only one.
#[test]
fn next_step_names_the_process() {
    let place = Place::new("next-step");
    let running = place.run(&["--quiet"], &[&place.keeper()]);
    let pid = &running.hello;
    let says = |words: &[&str]| text(&place.output(words).stderr);
    let mark = format!("; take one with `heapshim mark -p {pid} warm`\n");
    assert!(says(&["diff", "-p", pid, "warm"]).ends_with(&mark));
    let expected = format!("no marks yet; take one with `heapshim mark -p {pid}`\n");
    assert_eq!(says(&["marks", "-p", pid]), expected);
    place.stdout(&["mark", "-p", pid, "warm"]);
    let unknown = says(&["diff", "-p", pid, "warm", "--sort", "survivors"]);
    let mark = format!(": heapshim mark -p {pid} --survivors; ");
    assert!(unknown.contains(&mark), "{unknown}");
}

/// Check that a file that is no mark is said to be none, whether or not a process is traced, and that what looks like a file that is not there says
/// what files of marks are called.
#[test]
fn file_that_is_no_mark() {
    let place = Place::new("no-mark");
    let says = |words: &[&str]| {
        let output = place.output(words);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        text(&output.stderr)
    };
    let expected = "heapshim: /etc/passwd: not a mark; `heapshim mark -o FILE` writes one\n";
    for words in [
        &["diff", "/etc/passwd"][..],
        &["diff", "start", "/etc/passwd"],
        &["report", "/etc/passwd", "-o", "report.html"],
    ] {
        assert_eq!(says(words), expected, "{words:?}");
    }
    let running = place.run(&["--quiet"], &[&place.keeper()]);
    let pid = &running.hello;
    assert_eq!(says(&["diff", "-p", pid, "/etc/passwd"]), expected);
    let missing = says(&["diff", "-p", pid, "nowhere/a.mark"]);
    let next = "; a file of marks ends in .heapmark, .heapledger or .heaptrace\n";
    assert!(missing.ends_with(next), "{missing}");
}

/// Check that everything that a newcomer is shown fits 80 columns: the first words, every `--help`, the demo's own sentences.
#[test]
fn eighty_columns() {
    let place = Place::new("columns");
    let all = place.stdout(&["--help"]);
    let listed = all.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names: Vec<&str> = listed
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(
        names.contains(&"diff") && names.contains(&"doctor"),
        "{all}"
    );
    let mut texts = vec![place.stdout::<&str>(&[]), all.clone()];
    texts.extend(names.iter().map(|name| place.stdout(&["help", name])));
    for line in texts.iter().flat_map(|text| text.lines()) {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

/// Check that the first words name the three commands that one needs first, and the version is this package's.
#[test]
fn first_words() {
    let place = Place::new("first-words");
    let first = place.stdout::<&str>(&[]);
    for command in ["heapshim demo", "heapshim run -- COMMAND", "heapshim diff"] {
        assert!(first.contains(command), "{first}");
    }
    let version = format!("heapshim {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(place.stdout(&["--version"]), version);
}

/// Check that every example at the foot of every `--help` runs as it stands, in a directory that has a program to trace.
#[test]
fn examples_in_help() {
    let place = Place::new("help-examples");
    place.c(
        "server",
        "#include <stdlib.h>\nint main(void) { return malloc(7) == 0; }",
    );
    std::fs::write(place.path("Makefile"), "all:\n\t@true\n").expect("a Makefile");
    // Whoever is traced meanwhile is called as the examples call it.
    let traced = place.path("traced");
    std::fs::create_dir(&traced).expect("made");
    std::fs::rename(place.keeper(), traced.join("server")).expect("renamed");
    let mut script = String::from(
        "mkfifo in out; heapshim run --quiet -- traced/server <in >out & exec 3>in 4<out; read -r pid <&4\n",
    );
    for command in [
        "run",
        "lib",
        "ls",
        "mark",
        "marks",
        // Makes the recording that others are asked about.
        "record",
        "diff",
        "report",
        "peak",
        "temporary",
        "lifetimes",
        "sizes",
        "timeline",
        "export",
        "mode",
        "doctor",
        "completions",
    ] {
        let help = place.stdout(&["help", command]);
        let examples = help.split("Examples:\n").nth(1).expect("examples");
        let lines = examples.lines().filter(|line| line.starts_with("  "));
        let codes: Vec<&str> = lines
            .filter_map(|line| line.trim().split("   ").next())
            .collect();
        assert!(
            codes.len() + usize::from(["lib", "completions"].contains(&command)) >= 2,
            "{help}"
        );
        for code in codes {
            script.push_str(&format!(
                "({code}) >log 2>&1 </dev/null || {{ echo \"$? of: {code}\"; cat log; }}\n"
            ));
        }
    }
    script.push_str("exec 3>&-; wait; echo done");
    let Some(output) = place.alone(&script) else {
        return crate::place::not_allowed("a pid namespace of one's own");
    };
    assert_eq!(text(&output.stdout), "done\n", "{}", said(&output));
}
