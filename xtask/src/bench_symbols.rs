//! `cargo xtask bench-symbols [MIB]`: what the first and the second `diff` of a large program and of a Python process take.
//!
//! The large program has MIB (500) of DWARF in as many compilation units as that makes, each of which leaks on a line of its own
//! through an inlined function: a report of it must look into every unit. A few units are compiled; the others are copies under
//! other names, which a linker and a reader cannot tell from units of their own. Not part of the gate: it takes minutes and 2 GiB of disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread;

/// Of DWARF, unless told otherwise.
const MIB: u64 = 500;

/// Units that are compiled.
const COMPILED: usize = 4;

/// Functions of a unit: half a MiB of DWARF, as much as a file of C++ has.
const FUNCTIONS: usize = 250;

/// What a Python server has loaded: each with a shared object of its own, on Debian's python3.
const PYTHON: &str = "
import os, sys
found = [name[:-3] for name in os.listdir(sys.exec_prefix + '/lib/python%d.%d/lib-dynload' % sys.version_info[:2])]
for name in sorted(name.split('.')[0] for name in found):
    try: __import__(name)
    except Exception: pass
maps = {line.split()[-1] for line in open('/proc/self/maps') if '.so' in line}
print(len(maps), 'modules')
kept = [bytearray(1000 + n) for n in range(1000)]
os.environ['KEPT'] = 'x' * 10000
";

/// Builds what is missing, and prints the figures.
pub(crate) fn run(root: &Path, words: &[&str]) -> ExitCode {
    let mib = words.first().map_or(Some(MIB), |word| word.parse().ok());
    let Some(mib) = mib.filter(|_| words.len() < 2) else {
        eprintln!("usage: cargo xtask bench-symbols [MIB]");
        return ExitCode::from(2);
    };
    let place = root.join("target").join(format!("bench-symbols-{mib}"));
    match measure(root, &place, mib) {
        Some(()) => ExitCode::SUCCESS,
        None => ExitCode::FAILURE,
    }
}

fn measure(root: &Path, place: &Path, mib: u64) -> Option<()> {
    fs::create_dir_all(place).ok()?;
    let heapshim = heapshim(root)?;
    let program = place.join("program");
    if !program.exists() {
        build(place, mib)?;
    }
    println!(
        "program: {} MiB of debug sections",
        debug_bytes(&program)? >> 20
    );
    let words = [program.to_str()?];
    report(&heapshim, place, "program", &words)?;
    report(
        &heapshim,
        place,
        "python",
        &["/usr/bin/python3", "-c", PYTHON],
    )
}

/// Runs a command under the shim, and asks twice what it grew by: with nothing kept, and with what the first time kept.
fn report(heapshim: &Path, place: &Path, name: &str, words: &[&str]) -> Option<()> {
    let (marks, cache) = (place.join("marks"), place.join("cache"));
    let _gone = (fs::remove_dir_all(&marks), fs::remove_dir_all(&cache));
    let mut run = Command::new(heapshim);
    run.args(["run", "--quiet", "--save", marks.to_str()?, "--"]);
    succeeds(run.args(words).env("XDG_CACHE_HOME", &cache))?;
    let mark = fs::read_dir(&marks).ok()?.flatten().next()?.path();
    for which in ["first", "second"] {
        let mut diff = Command::new("/usr/bin/time");
        diff.args(["-f", "%e s, %U s of it computing, at most %M KiB resident"]);
        diff.arg(heapshim).args(["diff", "start", mark.to_str()?]);
        diff.args(["--top", "1", "-o", "/dev/null"]);
        let output = diff.env("XDG_CACHE_HOME", &cache).output().ok()?;
        let said = String::from_utf8_lossy(&output.stderr);
        println!("{name}, {which} diff: {}", said.trim());
        output.status.success().then_some(())?;
    }
    Some(())
}

/// The command, built as users have it.
pub(crate) fn heapshim(root: &Path) -> Option<PathBuf> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--release", "--package", "heapshim"]);
    succeeds(cargo.current_dir(root))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
    Some(target.join("release/heapshim"))
}

fn build(place: &Path, mib: u64) -> Option<()> {
    let compile = |number: usize| {
        let (source, object) = (format!("unit{number}.c"), format!("unit{number}.o"));
        fs::write(place.join(&source), unit(number)).ok()?;
        let mut cc = Command::new("cc");
        cc.args(["-g", "-O1", "-c", &source, "-o", &object]);
        succeeds(cc.current_dir(place))
    };
    println!("compiling {COMPILED} units");
    let done: Vec<Option<()>> = thread::scope(|scope| {
        let each = (0..COMPILED).map(|number| scope.spawn(move || compile(number)));
        let each: Vec<_> = each.collect();
        each.into_iter()
            .map(|one| one.join().ok().flatten())
            .collect()
    });
    done.into_iter().collect::<Option<()>>()?;
    let one = debug_bytes(&place.join("unit0.o"))?;
    let units = usize::try_from((mib << 20) / one).ok()?.max(COMPILED);
    println!("copying them to {units}, and linking");
    (0..units).try_for_each(|copy| copied(place, copy))?;
    fs::write(place.join("main.c"), main_of(units)).ok()?;
    let objects: String = (0..units).map(|copy| format!("copy{copy}.o\n")).collect();
    fs::write(place.join("objects"), objects).ok()?;
    let mut cc = Command::new("cc");
    cc.args([
        "-g",
        "main.c",
        "@objects",
        "-Wl,--build-id",
        "-o",
        "program",
    ]);
    succeeds(cc.current_dir(place))?;
    (0..units).for_each(|copy| drop(fs::remove_file(place.join(format!("copy{copy}.o")))));
    Some(())
}

/// A unit under a name of its own.
fn copied(place: &Path, copy: usize) -> Option<()> {
    let number = copy % COMPILED;
    let mut objcopy = Command::new("objcopy");
    objcopy.arg(format!("--redefine-sym=entry_{number}=copy_{copy}"));
    objcopy.args([format!("unit{number}.o"), format!("copy{copy}.o")]);
    succeeds(objcopy.current_dir(place))
}

fn unit(number: usize) -> String {
    let mut text = String::from("#include <stdlib.h>\nstatic void *volatile kept;\n");
    let mut calls = String::new();
    for i in 0..FUNCTIONS {
        let longs = i % 7 + 2;
        text.push_str(&format!(
            "struct s{i} {{ int a{i}, b{i}; struct s{i} *next{i}; long c{i}[{longs}]; }};\n\
             static inline int deep{i}(struct s{i} *at, int n) {{ int sum = 0; for (int i = 0; i < n; i++) {{ \
             long step = at->c{i}[i & 1] * n; sum += step; at = at->next{i}; }} return sum; }}\n\
             static inline int mid{i}(struct s{i} *at, int n) {{ int twice = n * 2; return deep{i}(at, twice) + at->a{i}; }}\n\
             static __attribute__((noinline)) int outer{i}(struct s{i} *at, int n, const char *name) {{ int one = mid{i}(at, n); \
             struct s{i} copy = *at; int two = mid{i}(&copy, n + 1); return one + two + name[0]; }}\n"
        ));
        calls.push_str(&format!(
            "  struct s{i} v{i} = {{n}}; sum += outer{i}(&v{i}, n, \"x\");\n"
        ));
    }
    format!(
        "{text}static inline void leak(int n) {{ kept = malloc(n); }}\n\
         int entry_{number}(int n) {{\n  int sum = 0;\n  leak(n);\n  if (n < 0) {{\n{calls}  }}\n  return sum;\n}}\n"
    )
}

fn main_of(units: usize) -> String {
    let declared: String = (0..units)
        .map(|copy| format!("int copy_{copy}(int);\n"))
        .collect();
    let called: String = (0..units)
        .map(|copy| format!("  copy_{copy}({});\n", copy + 1))
        .collect();
    format!("{declared}int main(void) {{\n{called}  return 0;\n}}\n")
}

/// What all debug sections of a file come to, by binutils.
fn debug_bytes(file: &Path) -> Option<u64> {
    let output = Command::new("size").arg("-A").arg(file).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let lines = text.lines().filter(|line| line.starts_with(".debug_"));
    lines
        .map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
        .sum()
}

fn succeeds(command: &mut Command) -> Option<()> {
    let status = command.status();
    if !status.as_ref().is_ok_and(std::process::ExitStatus::success) {
        eprintln!("{command:?}: {status:?}");
        return None;
    }
    Some(())
}
