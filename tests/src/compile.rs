//! Target programs and preloads: compiled once for each set of flags.

use crate::place::{fresh_directory, workspace};
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
        static MADE: OnceLock<Mutex<HashMap<Key, PathBuf>>> = OnceLock::new();
        let mut made = MADE
            .get_or_init(Mutex::default)
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let key = (self, source.to_path_buf(), options.to_vec());
        if let Some(path) = made.get(&key) {
            return path.clone();
        }
        let path = self.make(source, options);
        made.insert(key, path.clone());
        path
    }

    fn make(self, source: &Path, options: &[String]) -> PathBuf {
        if self == Compiler::Python {
            return source.to_path_buf();
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
        let complaint = String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success(), "{}: {complaint}", source.display());
        output
    }
}
