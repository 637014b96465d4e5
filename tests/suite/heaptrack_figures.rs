//! The oracle for a recording's figures: what heaptrack says of the same program with the same input of how much was alive at most, how much is left, and how many blocks were
//! freed at once.
//!
//! heaptrack's figures are taken from its raw trace, to the byte and to the block, and those are seen to be what `heaptrack_print` rounds. Three differences have names. Its own
//! library brings the C++ library's pool for exceptions into programs of other languages, and has it freed at the end in all (`POOL`). What it calls temporary is a free after an allocation
//! of the same stack and size, also where it frees an earlier block: from its raw trace both are counted. And each tracer has variables of its own in the environment, of which Perl keeps a
//! copy: it gets as many, as long.

use crate::heaptrack::{POOL, heaptracked, needs_heaptrack};
use heapshim_tests::{
    Amount, Finished, HeaptrackFigures, Recorded, Run, Target, environment, found, fresh_directory,
    needs,
};
use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::process::Command;

/// One more variable for a program.
type Variable = (String, OsString);

/// heaptrack's figures of a program, with some variables more than all programs of the suite have.
fn raw(words: &[OsString], input: &[u8], variables: &[Variable]) -> HeaptrackFigures {
    let directory = fresh_directory("heaptrack");
    let (trace, lines) = (directory.join("trace"), directory.join("input"));
    fs::write(&lines, input).expect("an input");
    let mut command = Command::new("heaptrack");
    command.args(["--raw", "-o"]).arg(&trace).args(words);
    command.env_clear().envs(environment());
    command.envs(variables.iter().cloned());
    command.stdin(File::open(lines).expect("an input"));
    let output = command.output().expect("heaptrack starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let mut unpack = Command::new("zstd");
    let unpack = unpack.arg("-dcq").arg(trace.with_extension("raw.zst"));
    let raw = unpack.output().expect("zstd starts").stdout;
    HeaptrackFigures::read(&String::from_utf8_lossy(&raw))
}

/// The same, seen to be what `heaptrack_print` prints.
fn theirs(words: &[OsString], input: &[u8]) -> HeaptrackFigures {
    let figures = raw(words, input, &[]);
    let (text, _) = heaptracked(words, input);
    let expected = [
        ("peak heap memory consumption:", printed(figures.peak)),
        ("total memory leaked:", printed(figures.left.bytes)),
        (
            "temporary memory allocations:",
            figures.like_temporary.to_string(),
        ),
    ];
    for (name, expected) in expected {
        assert_eq!(figure(&text, name), expected, "{name} of {words:?}");
    }
    figures
}

/// Of heaptrack's closing lines, what stands behind this.
fn figure<'t>(text: &'t str, name: &str) -> &'t str {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let figure = line.unwrap_or_else(|| panic!("no {name} in {text}"));
    figure.trim_start().split(' ').next().unwrap_or_default()
}

/// As heaptrack writes bytes.
#[expect(clippy::cast_precision_loss, reason = "a heap of less than 2^52 bytes")]
fn printed(bytes: i64) -> String {
    let (mut value, mut units) = (bytes as f64, ["B", "K", "M", "G"].iter());
    while value >= 1000.0 {
        value /= 1000.0;
        units.next();
    }
    let unit = units.next().expect("a unit");
    match *unit {
        "B" => format!("{bytes}B"),
        unit => format!("{value:.2}{unit}"),
    }
}

/// A recording of a program, and how it ended.
fn recorded(words: &[OsString], input: &[u8], variables: &[Variable]) -> (Finished, Recorded) {
    let file = fresh_directory("recording").join("run.heaptrace");
    let run = Run::new(words).stdin(input).option("--lossless");
    let run = run.option("--no-stacks").option("--record").option(&file);
    let with = |run: Run, (name, value): &Variable| run.env(name, value);
    let finished = variables.iter().fold(run, with).finish();
    let said = String::from_utf8_lossy(&finished.stderr).into_owned();
    let recorded = Recorded { file, said };
    assert_eq!(recorded.lost(), 0, "{}", recorded.said);
    (finished, recorded)
}

/// Its figures, of which the account at its end says the same.
fn figures((finished, recorded): (Finished, Recorded)) -> HeaptrackFigures {
    let ask = |word: &str| recorded.ask(word, &["--no-stacks"]).0;
    let (diff, temporary) = (ask("diff"), ask("temporary").growth().blocks);
    let counted = &finished.report().json()["temporary_blocks"];
    assert_eq!(counted.as_i64(), Some(temporary), "by the account");
    assert_eq!(finished.report().growth(), diff.growth(), "by the account");
    HeaptrackFigures {
        allocations: diff.total().blocks,
        peak: ask("peak").live_at("to").bytes,
        left: diff.growth(),
        temporary,
        ..HeaptrackFigures::default()
    }
}

fn ours(words: &[OsString], input: &[u8]) -> HeaptrackFigures {
    figures(recorded(words, input, &[]))
}

/// What ours are where they agree: heaptrack's without its pool, or with the program's own.
fn expected(theirs: HeaptrackFigures, own_pool: bool) -> HeaptrackFigures {
    let mut left = theirs.left;
    let mut brought = POOL;
    if own_pool {
        left += POOL;
        brought = Amount::default();
    }
    HeaptrackFigures {
        allocations: theirs.allocations - brought.blocks,
        peak: theirs.peak - brought.bytes,
        left,
        temporary: theirs.temporary,
        like_temporary: 0,
    }
}

/// Asserts that all figures of a program that does not use the C++ library are the same.
fn compare(words: &[&str], input: &[u8]) {
    let words: Vec<OsString> = words.iter().map(OsString::from).collect();
    let theirs = theirs(&words, input);
    assert!(
        theirs.allocations > 100 && theirs.temporary > 10,
        "{words:?} does too little: {theirs:?}"
    );
    assert_eq!(ours(&words, input), expected(theirs, false), "{words:?}");
}

/// Check events.c, of which every event is known: two hundred pairs are temporary and ten blocks that are moved, and to heaptrack the first of a hundred that it frees in a row.
#[test]
fn known_events() {
    if !needs_heaptrack() {
        return;
    }
    let input = b"go\nl\n\n";
    let words = [OsString::from(Target::c("events.c").opt("-O0").build())];
    let theirs = theirs(&words, input);
    assert_eq!(theirs.like_temporary, theirs.temporary + 1);
    let ours = ours(&words, input);
    assert_eq!(ours, expected(theirs, false));
}

/// Check the containers of C++: its own pool is live at the end to us, and freed to heaptrack.
#[test]
fn containers() {
    if !needs_heaptrack() || !needs(&["c++"]) {
        return;
    }
    let program = Target::cpp("containers.cpp").opt("-std=c++17").build();
    let (words, input) = ([OsString::from(program)], b"go\ngo\n");
    let theirs = theirs(&words, input);
    let ours = ours(&words, input);
    assert_eq!(ours, expected(theirs, true));
}

/// Check SQLite, which takes many blocks of one line and size, and frees an earlier one after the last: two thousand are temporary to heaptrack alone.
#[test]
fn sqlite() {
    let script = "create table t(a, b); with recursive c(x) as (select 1 union all select x + 1 from c where x < 2000) insert into t select x, hex(x * x) from c; \
                  create index i on t(b); select count(*), sum(length(b)) from t;";
    if needs_heaptrack() && needs(&["sqlite3"]) {
        compare(&["sqlite3", ":memory:", script], b"");
    }
}

/// Check jq, which frees nearly all that it takes.
#[test]
fn jq() {
    let input: String = (0..3000)
        .map(|n| format!("{{\"a\": {n}, \"b\": \"x{n}\"}}\n"))
        .collect();
    let filter = "select(.a % 7 == 0) | {c: (.b + \"y\"), d: [.a, .a * 2]}";
    if needs_heaptrack() && needs(&["jq"]) {
        compare(&["jq", "-c", filter], input.as_bytes());
    }
}

/// Check xz, which takes few blocks and large ones.
#[test]
fn xz() {
    let input: String = (0..20_000).map(|n| format!("{n}\n")).collect();
    if needs_heaptrack() && needs(&["xz"]) {
        compare(&["xz", "-1", "-c", "-T1"], input.as_bytes());
    }
}

/// Check Perl, which has a copy of its environment: under heaptrack it gets variables as long as those that it has under a recording.
#[test]
fn perl() {
    if !needs_heaptrack() || !needs(&["perl"]) {
        return;
    }
    let perl = found("perl").expect("needed").into_os_string();
    let here = env::current_dir().expect("a directory");
    // heaptrack is a script of the shell, which sets this.
    let mut variables = vec![("PWD".to_owned(), here.into_os_string())];
    let listing = [
        perl.clone(),
        "-e".into(),
        "print map {\"$_\\n$ENV{$_}\\n\"} keys %ENV".into(),
    ];
    let listed = recorded(&listing, b"", &variables).0.stdout;
    let listed = String::from_utf8(listed).expect("UTF-8");
    let lines: Vec<&str> = listed.lines().collect();
    let own = lines.chunks(2).filter_map(|pair| match *pair {
        // It must not be loaded: another name, as long.
        ["LD_PRELOAD", value] => Some(("LD_PRELOAX".to_owned(), value.into())),
        [name, value] if name.starts_with("HEAPSHIM_") => Some((name.to_owned(), value.into())),
        _ => None,
    });
    let own: Vec<Variable> = own.collect();
    assert!(own.len() > 2, "{listed}");
    let script = "my %h; while (<STDIN>) { chomp; $h{$_ % 100} .= $_; push @a, [split //] if $_ % 50 == 0 } print scalar keys %h, ' ', scalar @a";
    let words = [perl, "-e".into(), script.into()];
    let input: String = (0..20_000).map(|n| format!("{n}\n")).collect();
    let ours = figures(recorded(&words, input.as_bytes(), &variables));
    variables.extend(own);
    let theirs = raw(&words, input.as_bytes(), &variables);
    assert_eq!(ours, expected(theirs, false));
}
