//! `cargo xtask bench-instructions [keep]`: how many instructions a pair of malloc and free takes, bare and traced, and whether that got worse.
//!
//! Times on shared machines are good to a quarter; instructions under callgrind are the same to a few in a thousand. Each figure is the difference
//! of a long and a short run, so that start-up is not in it; start-up is a row of its own, judged less strictly. Python's rows are of a round, not of a pair.
//! What is judged is how many times the bare pair's instructions a traced one takes, and only on a system with the same compilers, libc and valgrind as the
//! kept figures (`keep` writes them), where the bare pair takes what it took: other code is not a regression. A lane of `cargo xtask ci`.

mod from_outside;

use crate::versions::first_line;
use from_outside::FromOutside;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::thread::ScopedJoinHandle;

/// Pairs of the short and the long run: enough that what a run does once is less than one instruction a pair.
const PAIRS: [u32; 2] = [5_000, 45_000];
/// A ratio that is more than so many percent above the kept one fails.
const WORSE_PERCENT: f64 = 3.0;
/// A bare pair that takes so many percent more or less than the kept one is not the same code: libc chooses some by processor.
const OTHER_PERCENT: f64 = 1.0;
/// What `system` asks, and what measures.
const NEEDED: [&str; 2] = ["gcc", "valgrind"];
/// The start of a program, of which so many percent more fail: it depends on limits and namespaces, too.
const START: &str = "start-of-true";
const START_WORSE_PERCENT: f64 = 10.0;
/// What a mark takes of a process with so many stacks.
const MARK: &str = "mark";
/// The rows of Python's objects, with HEAPSHIM_SAMPLE of each, and their rounds. Debian's python3: with another, the bare run is another, and nothing is compared.
const PYTHON: [(&str, &str); 3] = [
    ("python-objects", ""),
    ("python-off", "off"),
    ("python-sampled", "512K"),
];
const PYTHON_ROUNDS: [u32; 2] = [1, 3];
/// What was not compared, in `directory`.
const NOT_COMPARED: &str = "not-compared";
/// The kept figures.
const KEPT: &str = "xtask/workloads/instructions.txt";

/// A row: its name, its compiler's words beyond the usual, and the program's.
struct Row {
    name: &'static str,
    flags: &'static [&'static str],
    words: &'static [&'static str],
    /// HEAPSHIM_SAMPLE of the traced run; empty = each event.
    sample: &'static str,
}

const fn row(name: &'static str, words: &'static [&'static str]) -> Row {
    Row {
        name,
        flags: &[],
        words,
        sample: "",
    }
}

const ROWS: &[Row] = &[
    row("depth-5", &["--depth", "5"]),
    row("depth-20", &["--depth", "20"]),
    row("depth-60", &["--depth", "60"]),
    row("depth-120", &["--depth", "120"]),
    row("each-its-own-stack", &["--same", "1"]),
    row("one-stack", &["--same", "1000000"]),
    row("many-sites", &["--sites", "14"]),
    row("distinct-sizes", &["--sizes", "4000"]),
    Row {
        flags: &["-fno-omit-frame-pointer"],
        ..row("frame-pointers", &[])
    },
    Row {
        flags: &["-DMAKE(size)=calloc(1, size)"],
        ..row("calloc", &[])
    },
    // Each block is made at half its size, and grown.
    Row {
        flags: &["-DMAKE(size)=realloc(malloc((size) / 2), size)"],
        ..row("malloc-and-realloc", &[])
    },
    Row {
        flags: &[
            "-DMAKE(size)=_Znwm(size)",
            "-DDROP(block)=_ZdlPv(block)",
            "-Wl,--no-as-needed",
            "-lstdc++",
        ],
        ..row("new-and-delete", &[])
    },
    Row {
        sample: "off",
        ..row("off", &[])
    },
    Row {
        sample: "512K",
        ..row("sampled-512K", &[])
    },
    // Blocks of up to 320 kB: one of four is recorded.
    Row {
        sample: "512K",
        ..row("sampled-large", &["--sizes", "20000"])
    },
];

/// Instructions of one row: bare, traced.
#[derive(Clone, Debug, PartialEq)]
struct Figure {
    name: String,
    bare: f64,
    traced: f64,
}

impl Figure {
    fn ratio(&self) -> f64 {
        self.traced / self.bare
    }
}

/// Runs it.
pub(crate) fn run(root: &Path, words: &[&str]) -> ExitCode {
    let keep = match words {
        [] => false,
        ["keep"] => true,
        _ => {
            eprintln!("usage: cargo xtask bench-instructions [keep]");
            return ExitCode::from(2);
        }
    };
    if let Some(program) = NEEDED.into_iter().find(|program| !is_there(program)) {
        let remark = format!("not measured: there is no {program}");
        println!("{remark}");
        remember(root, &[remark]);
        // In CI everything is installed: what measures nothing must not pass there.
        return ExitCode::from(u8::from(std::env::var_os("CI").is_some()));
    }
    let measured = system().and_then(|system| Some((system, measure_all(root)?)));
    let Some((system, figures)) = measured else {
        eprintln!("bench-instructions: a program or the library does not build, or does not run");
        return ExitCode::FAILURE;
    };
    print!("{}", to_text(&system, &figures));
    let file = root.join(KEPT);
    if keep {
        let written = std::fs::write(file, to_text(&system, &figures));
        return ExitCode::from(u8::from(written.is_err()));
    }
    let kept = std::fs::read_to_string(file).unwrap_or_default();
    let (complaints, remarks) = compare(&kept, &system, &figures);
    for remark in &remarks {
        println!("{remark}");
    }
    remember(root, &remarks);
    for complaint in &complaints {
        eprintln!("{complaint}");
    }
    ExitCode::from(u8::from(!complaints.is_empty()))
}

/// Keeps what was not compared, for `ci`: a lane that passes because it had nothing to compare with is to be told from one that has compared.
fn remember(root: &Path, remarks: &[String]) {
    let _unwritten = std::fs::create_dir_all(directory(root));
    let _unwritten = std::fs::write(directory(root).join(NOT_COMPARED), remarks.join("\n"));
}

/// What the last run has not compared, and forgets it.
pub(crate) fn not_compared(root: &Path) -> Vec<String> {
    let file = directory(root).join(NOT_COMPARED);
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    let _gone = std::fs::remove_file(file);
    text.lines().map(str::to_owned).collect()
}

/// Where its programs are.
fn directory(root: &Path) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR");
    let target = target.map_or_else(|| root.join("target"), PathBuf::from);
    target.join("bench-instructions")
}

fn is_there(program: &str) -> bool {
    let mut command = Command::new(program);
    let output = command.arg("--version").output();
    output.is_ok_and(|output| output.status.success())
}

/// What figures depend on besides our own code.
fn system() -> Option<String> {
    let all = [
        first_line(&["gcc", "-dumpfullversion"]).map(|version| format!("gcc {version}")),
        first_line(&["getconf", "GNU_LIBC_VERSION"]),
        first_line(&["rustc", "--version"]),
        first_line(&["valgrind", "--version"]),
    ];
    let all: Option<Vec<String>> = all.into_iter().collect();
    Some(all?.join(", "))
}

fn measure_all(root: &Path) -> Option<Vec<Figure>> {
    let library = crate::bench::library(root)?;
    let directory = directory(root);
    std::fs::create_dir_all(&directory).ok()?;
    // Instructions are the same however many run at once.
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let rows = ROWS.chunks(ROWS.len().div_ceil(threads));
    let figures = std::thread::scope(|scope| {
        let (library, directory) = (&library, &directory);
        let each = |row| measure(root, directory, library, row);
        let begin = |rows: &'static [Row]| scope.spawn(move || rows.iter().map(each).collect());
        let begun: Vec<ScopedJoinHandle<'_, Option<Vec<Figure>>>> = rows.map(begin).collect();
        let ended = begun.into_iter().map(|thread| thread.join().ok()?);
        ended.collect::<Option<Vec<Vec<Figure>>>>()
    });
    let mut figures = figures?.concat();
    for from_outside in FromOutside::ALL {
        figures.push(measure_watched(root, &directory, &library, from_outside)?);
    }
    let heapshim = crate::bench_symbols::heapshim(root)?;
    let (bare, traced) = crate::bench_mark::of_a_mark(root, &library, heapshim.as_ref())?;
    figures.push(Figure {
        name: MARK.to_owned(),
        bare,
        traced,
    });
    let python = PYTHON.iter();
    figures.extend(python.filter_map(|row| measure_python(root, &library, *row)));
    let start = |preload: Option<&str>| instructions(Path::new("/bin/true"), &[], preload, "");
    figures.push(figure(START, &library, start)?);
    Some(figures)
}

fn measure(root: &Path, directory: &Path, library: &str, row: &Row) -> Option<Figure> {
    let program = compile(root, directory, row)?;
    let cost = |preload: Option<&str>| {
        let [short, long] = PAIRS.map(|pairs| {
            let pairs = pairs.to_string();
            let words = [&["--pairs", pairs.as_str()], row.words].concat();
            instructions(&program, &words, preload, row.sample)
        });
        Some((long? - short?) / f64::from(PAIRS[1] - PAIRS[0]))
    };
    figure(row.name, library, cost)
}

/// As `measure`, where something was begun from outside before the first pair.
fn measure_watched(
    root: &Path,
    directory: &Path,
    library: &str,
    from_outside: FromOutside,
) -> Option<Figure> {
    let heapshim = crate::bench_symbols::heapshim(root)?;
    let name = from_outside.name();
    let program = compile(root, directory, &row(name, &[]))?;
    let cost = |preload: Option<&str>| {
        let traced = preload.map(|library| (library, &*heapshim));
        let [short, long] =
            PAIRS.map(|pairs| from_outside.instructions(&program, &pairs.to_string(), traced));
        Some((long? - short?) / f64::from(PAIRS[1] - PAIRS[0]))
    };
    figure(name, library, cost)
}

/// Instructions of a round of objects.py; None where there is no such Python.
fn measure_python(root: &Path, library: &str, (name, sample): (&str, &str)) -> Option<Figure> {
    let script = root.join("xtask/workloads/objects.py");
    let cost = |preload: Option<&str>| {
        let [short, long] = PYTHON_ROUNDS.map(|rounds| {
            let words = [&*script.to_string_lossy(), &rounds.to_string()];
            instructions(Path::new("/usr/bin/python3"), &words, preload, sample)
        });
        Some((long? - short?) / f64::from(PYTHON_ROUNDS[1] - PYTHON_ROUNDS[0]))
    };
    figure(name, library, cost)
}

fn figure(name: &str, library: &str, cost: impl Fn(Option<&str>) -> Option<f64>) -> Option<Figure> {
    Some(Figure {
        name: name.to_owned(),
        bare: cost(None)?,
        traced: cost(Some(library))?,
    })
}

fn compile(root: &Path, directory: &Path, row: &Row) -> Option<PathBuf> {
    let program = directory.join(row.name);
    crate::pairs::compile(root, &program, row.flags)?;
    Some(program)
}

/// Instructions of a whole run, under callgrind. The environment is empty: its size moves the stack.
fn instructions(
    program: &Path,
    words: &[&str],
    preload: Option<&str>,
    sample: &str,
) -> Option<f64> {
    let mut command = callgrind(program, words);
    if let Some(library) = preload {
        command.env("LD_PRELOAD", library);
        command.env("HEAPSHIM_SAMPLE", sample);
        command.env("HEAPSHIM_SAMPLE_SEED", "1");
    }
    counted(&command.output().ok()?)
}

/// It under callgrind.
pub(crate) fn callgrind(program: &Path, words: &[&str]) -> Command {
    let mut command = Command::new("valgrind");
    command.env_clear().env("PATH", "/usr/bin:/bin");
    // Hashes of texts, and so the order of things, are Python's own each time otherwise.
    command.env("PYTHONHASHSEED", "0");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    command.arg(program).args(words);
    command
}

/// What callgrind has said at the end of a run that went well.
pub(crate) fn counted(run: &Output) -> Option<f64> {
    let said = String::from_utf8_lossy(&run.stderr);
    let mut lines = said.lines();
    let count = lines.find_map(|line| line.split("Collected :").nth(1));
    let count = count?.trim().parse().ok();
    count.filter(|_| run.status.success())
}

fn to_text(system: &str, figures: &[Figure]) -> String {
    let mut text = format!(
        "# {system}\n# instructions a pair (python: a round; mark: of so many stacks; start-of-true: of the whole run): bare traced\n"
    );
    for Figure { name, bare, traced } in figures {
        let _ = writeln!(text, "{name} {bare:.0} {traced:.0}");
    }
    text
}

fn from_text(text: &str) -> Vec<Figure> {
    let figure = |line: &str| {
        let mut words = line.split_whitespace();
        Some(Figure {
            name: words.next().filter(|name| *name != "#")?.to_owned(),
            bare: words.next()?.parse().ok()?,
            traced: words.next()?.parse().ok()?,
        })
    };
    text.lines().filter_map(figure).collect()
}

/// What got worse, and what is to be said where nothing can be told. `kept` is the file's text.
fn compare(kept: &str, system: &str, figures: &[Figure]) -> (Vec<String>, Vec<String>) {
    let of = kept.lines().next().and_then(|line| line.strip_prefix("# "));
    if of != Some(system) {
        let of = of.unwrap_or("nothing");
        let remark = format!("not compared: the kept figures are of {of}, this is {system}");
        return (Vec::new(), vec![remark]);
    }
    let old = from_text(kept);
    let (mut worse, mut remarks) = (Vec::new(), Vec::new());
    for now in figures {
        match old.iter().find(|before| before.name == now.name) {
            Some(before) if is_other(before.bare, now.bare) => remarks.push(format!(
                "not compared: {}: bare it takes {:.0} instructions here, {:.0} where the figures were kept",
                now.name, now.bare, before.bare
            )),
            Some(before) => worse.extend(complaint(before, now)),
            None => remarks.push(format!("not compared: {} is new", now.name)),
        }
    }
    (worse, remarks)
}

fn is_other(kept: f64, now: f64) -> bool {
    (now / kept - 1.0).abs() > OTHER_PERCENT / 100.0
}

fn complaint(before: &Figure, now: &Figure) -> Option<String> {
    let (kept, found) = (before.ratio(), now.ratio());
    let percent = match before.name == START {
        true => START_WORSE_PERCENT,
        false => WORSE_PERCENT,
    };
    (found > kept * (1.0 + percent / 100.0)).then(|| {
        format!(
            "{}: {found:.3} times the bare pair's instructions, kept are {kept:.3}: more than {percent}% worse",
            now.name
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(bare: f64, traced: f64) -> Vec<Figure> {
        let figure = |name: &str, traced| Figure {
            name: name.to_owned(),
            bare,
            traced,
        };
        vec![figure("depth-5", traced), figure(START, 2000.0)]
    }

    /// Check that what was written is read back.
    #[test]
    fn text_and_back() {
        let all = figures(100.0, 1000.0);
        assert_eq!(from_text(&to_text("gcc 1", &all)), all);
    }

    /// Check that three percent more pass, that more than that fails, and that less is fine.
    #[test]
    fn worse_by_more_than_the_limit() {
        let kept = to_text("gcc 1", &figures(100.0, 1000.0));
        let complaints = |traced| compare(&kept, "gcc 1", &figures(100.0, traced)).0.len();
        assert_eq!([900.0, 1030.0, 1031.0].map(complaints), [0, 0, 1]);
    }

    /// Check that a start may take a tenth more, and no more than that.
    #[test]
    fn a_slower_start() {
        let kept = to_text("gcc 1", &figures(100.0, 1000.0));
        let complaints = |traced| {
            let start = Figure {
                name: START.to_owned(),
                bare: 100.0,
                traced,
            };
            compare(&kept, "gcc 1", &[start]).0.len()
        };
        assert_eq!([2100.0, 2200.0, 2201.0].map(complaints), [0, 0, 1]);
    }

    /// Check that figures of another system are not compared, nor those of a row whose bare pair takes something else, nor a new row's; and that each is said.
    #[test]
    fn another_system() {
        let kept = to_text("gcc 1", &figures(100.0, 1000.0));
        for (kept, system, bare, said) in [
            (&kept[..], "gcc 2", 100.0, "gcc 2"),
            (&kept[..], "gcc 1", 102.0, "bare it takes 102"),
            ("# gcc 1\n", "gcc 1", 100.0, "depth-5 is new"),
        ] {
            let (complaints, remarks) = compare(kept, system, &figures(bare, 5000.0));
            assert!(complaints.is_empty(), "{complaints:?}");
            assert!(remarks[0].contains(said), "{remarks:?}");
        }
    }
}
