//! Programs that the tests of symbolization compile, and what is asked of them.
//!
//! Tests only. Where a tool is not installed a test says so and passes; with CI=true it fails, as the suite's do.

#![expect(
    clippy::print_stderr,
    reason = "a test that is skipped says which tool is missing"
)]

use crate::fixture::{Scratch, snapshot};
use crate::model::{FrameKind, Module, Snapshot};
use crate::symbolize::{Options, SymbolFrame, Symbolizer};
use std::path::{Path, PathBuf};
use std::process::Command;

pub(super) const C: &str = include_str!("../programs/grow.c");
pub(super) const CPP: &str = include_str!("../programs/cache.cc");
pub(super) const RUST: &str = include_str!("../programs/cache.rs");

/// The line of a source that holds a marker comment: sources may then be edited.
pub(super) fn line_of(source: &str, marker: &str) -> Option<u32> {
    let found = source.lines().position(|line| line.contains(marker));
    Some(u32::try_from(found.expect(marker)).unwrap() + 1)
}

/// Runs a tool; None where it is not installed, or does not know an option.
pub(super) fn tool(name: &str, args: &[&str], dir: &Path) -> Option<String> {
    let output = Command::new(name).args(args).current_dir(dir).output();
    match output {
        Ok(output) if output.status.success() => {
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            eprintln!("skipped: {name} {args:?}: {said}");
            None
        }
        Err(error) => {
            let in_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
            assert!(!in_ci, "{name}: {error}, and in CI nothing may be missing");
            eprintln!("skipped: {name}: {error}");
            None
        }
    }
}

/// A compiled shared object or program, in a directory of its own.
pub(super) struct Program {
    scratch: Scratch,
    pub(super) path: PathBuf,
}

impl Program {
    /// Compiles `source`, which is written to `file`, with the compiler's `flags`.
    pub(super) fn compile(
        test: &str,
        compiler: &str,
        file: &str,
        source: &str,
        flags: &[&str],
    ) -> Option<Program> {
        let scratch = Scratch::new(test);
        std::fs::create_dir_all(scratch.path().join("src")).unwrap();
        scratch.write(&format!("src/{file}"), source.as_bytes());
        let input = format!("src/{file}");
        let mut args = vec![&*input, "-o", "program"];
        args.extend(flags);
        tool(compiler, &args, scratch.path())?;
        let path = scratch.path().join("program");
        Some(Program { scratch, path })
    }

    pub(super) fn c(test: &str, flags: &[&str]) -> Option<Program> {
        let flags = [&["-shared", "-fPIC", "-Wl,--build-id"], flags].concat();
        Program::compile(test, "cc", "grow.c", C, &flags)
    }

    pub(super) fn cpp(test: &str, flags: &[&str]) -> Option<Program> {
        let flags = [&["-Wl,--build-id"], flags].concat();
        Program::compile(test, "g++", "cache.cc", CPP, &flags)
    }

    pub(super) fn dir(&self) -> &Path {
        self.scratch.path()
    }

    pub(super) fn source(&self, name: &str) -> Option<String> {
        Some(self.dir().join("src").join(name).display().to_string())
    }

    pub(super) fn run(&self, name: &str, args: &[&str]) -> Option<String> {
        tool(name, args, self.dir())
    }

    /// The address behind the first call from `function` (its mangled name contains this) to `callee`.
    pub(super) fn return_address(&self, function: &str, callee: &str) -> Option<u64> {
        let text = self.run("objdump", &["-d", "--no-show-raw-insn", "program"])?;
        let mut inside = false;
        let mut called = false;
        for line in text.lines() {
            if line.ends_with(">:") {
                inside = line.contains(function);
            } else if inside && called {
                let address = line.trim().split(':').next()?;
                return u64::from_str_radix(address, 16).ok();
            } else if inside {
                called = line.contains("call") && line.contains(callee);
            }
        }
        panic!("no call of {callee} in {function}");
    }

    pub(super) fn build_id(&self) -> Vec<u8> {
        crate::symbolize::elf::Elf::open(&self.path)
            .unwrap()
            .build_id
    }

    pub(super) fn module(&self) -> Module {
        Module {
            path: self.path.display().to_string(),
            build_id: self.build_id(),
            bias: 0,
            start: 0,
            end: 0,
        }
    }
}

/// A snapshot of one stack of one frame: node 1.
pub(super) fn one_frame(module: Module, kind: FrameKind, value: u64) -> Snapshot {
    let mut snapshot = snapshot(1);
    snapshot.modules = vec![module];
    snapshot.frames.truncate(2);
    snapshot.frames[1].kind = kind;
    snapshot.frames[1].module = Some(0);
    snapshot.frames[1].value = value;
    snapshot
}

pub(super) fn frames_with(options: Options, module: Module, address: u64) -> Vec<SymbolFrame> {
    let snapshot = one_frame(module, FrameKind::Native, address);
    Symbolizer::new(options).stack(&snapshot, 1)
}

pub(super) fn frames(program: &Program, address: u64) -> Vec<SymbolFrame> {
    frames_with(Options::default(), program.module(), address)
}

/// What the tests look at most: function, line, inlined.
pub(super) fn brief(frames: &[SymbolFrame]) -> Vec<(&str, Option<u32>, bool)> {
    let brief = |f: &SymbolFrame| (f.line, f.inlined);
    frames
        .iter()
        .map(|f| (f.function.as_deref().unwrap_or("?"), brief(f).0, brief(f).1))
        .collect()
}

/// A stripped library, and its debug file with this name in `debug`.
pub(super) fn split(test: &str, link: bool) -> Option<(Program, u64, PathBuf)> {
    let program = Program::c(test, &["-g", "-O0"])?;
    let address = program.return_address("grow", "malloc")?;
    let debug = program.dir().join("program.debug");
    program.run(
        "objcopy",
        &["--only-keep-debug", "program", "program.debug"],
    )?;
    if link {
        program.run(
            "objcopy",
            &[
                "--strip-all",
                "--add-gnu-debuglink=program.debug",
                "program",
            ],
        )?;
    } else {
        program.run("strip", &["program"])?;
    }
    Some((program, address, debug))
}

pub(super) fn expect_line(found: &[SymbolFrame]) {
    assert_eq!(brief(found), [("grow", line_of(C, "the call"), false)]);
    assert_eq!(found[0].reason, None);
}
