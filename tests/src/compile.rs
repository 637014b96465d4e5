//! Target programs and preloads: compiled once for each set of flags.

use crate::place::{fresh_directory, programs, workspace};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};

/// What compiles a source file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compiler {
    /// `cc`
    C,
    /// `c++`
    Cpp,
    /// `clang`
    Clang,
    /// `clang++`
    ClangCpp,
    /// `rustc`
    Rust,
    /// Nothing: run by /usr/bin/python3.
    Python,
}

type Key = (Compiler, PathBuf, Vec<String>);

/// What came of a compiler's run: the program, or what it complained of.
type Made = Result<PathBuf, String>;

/// A library of C, of the target programs' sources.
#[must_use]
pub fn shared_library(source: &str, options: &[&str]) -> PathBuf {
    let options = ["-fPIC", "-shared"].iter().chain(options);
    let options: Vec<String> = options.map(|&option| option.to_owned()).collect();
    Compiler::C.compile(&programs().join(source), &options)
}

impl Compiler {
    /// The program that it is.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            Compiler::C => "cc",
            Compiler::Cpp => "c++",
            Compiler::Clang => "clang",
            Compiler::ClangCpp => "clang++",
            Compiler::Rust => "rustc",
            Compiler::Python => "python3",
        }
    }

    /// Compiles `source` with debug information, `-O0` where no flag says otherwise.
    ///
    /// # Panics
    /// Where the compiler is missing or refuses.
    #[must_use]
    pub fn compile(self, source: &Path, options: &[String]) -> PathBuf {
        self.try_compile(source, options)
            .unwrap_or_else(|complaint| panic!("{}: {complaint}", source.display()))
    }

    /// The same where this machine may lack what the options ask for: a static libc, another word size.
    ///
    /// # Errors
    /// The compiler's complaint.
    ///
    /// # Panics
    /// Where the compiler is missing.
    pub fn try_compile(self, source: &Path, options: &[String]) -> Made {
        static MADE: OnceLock<Mutex<HashMap<Key, Made>>> = OnceLock::new();
        let mut made = MADE
            .get_or_init(Mutex::default)
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let key = (self, source.to_path_buf(), options.to_vec());
        let make = || self.make(source, options);
        made.entry(key).or_insert_with(make).clone()
    }

    fn make(self, source: &Path, options: &[String]) -> Made {
        if self == Compiler::Python {
            return Ok(source.to_path_buf());
        }
        let stem = source.file_stem().expect("a source has a name");
        let output = fresh_directory("program").join(stem);
        let mut compiler = Command::new(self.program());
        compiler.arg("-g");
        if self != Compiler::Rust {
            compiler.args(["-w", "-pthread", "-I"]);
            compiler.arg(workspace().join("shim").join("include"));
        }
        // A linker takes from a library what is missing so far: libraries come behind what needs them.
        let (libraries, options): (Vec<_>, Vec<_>) =
            options.iter().partition(|option| option.starts_with("-l"));
        compiler.args(options).arg("-o").arg(&output).arg(source);
        let run = compiler.args(libraries).output();
        let run = run.unwrap_or_else(|error| panic!("{}: {error}", self.program()));
        if !run.status.success() {
            return Err(String::from_utf8_lossy(&run.stderr).into_owned());
        }
        Ok(output)
    }
}
