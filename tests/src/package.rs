//! Programs that nobody here has written: packages of the Rust registry, built from source and kept.
//!
//! `tests/run` has fetched them (`foreign/sources`, `foreign/Cargo.lock` say which); a test fetches nothing. What is built lies in
//! the build's directory under a name that says how, so that it is built once for many runs of the suite.

use crate::needs::skip;
use crate::place::workspace;
use std::ffi::OsStr;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A package's sources.
#[derive(Clone, Debug)]
pub struct Package {
    name: String,
    tree: PathBuf,
}

impl Package {
    /// The package of this name and version (`minisat-0.4.4`), where cargo keeps it. None, and the calling test is skipped, where
    /// it was not fetched.
    #[must_use]
    pub fn fetched(name: &str) -> Option<Package> {
        let indexes = fs::read_dir(registry()).into_iter().flatten().flatten();
        let mut trees = indexes.map(|index| index.path().join(name));
        let tree = trees.find(|tree| tree.is_dir());
        if tree.is_none() {
            skip(name);
        }
        let name = name.to_string();
        tree.map(|tree| Package { name, tree })
    }

    /// The package that is part of the suite itself: a Rust program over other packages.
    #[must_use]
    pub fn own() -> Package {
        Package {
            name: "own".to_string(),
            tree: workspace().join("tests").join("foreign"),
        }
    }

    /// The directory that its sources are in.
    #[must_use]
    pub fn tree(&self) -> &Path {
        &self.tree
    }

    /// A copy of it that lies where a user's sources would: not in a registry's store.
    ///
    /// # Panics
    /// Where it cannot be copied.
    #[must_use]
    pub fn copied(&self) -> Package {
        let tree = kept().join("copies").join(&self.name);
        if !tree.join(".copied").exists() {
            copy(&self.tree, &tree);
            let manifest = tree.join("Cargo.toml");
            let text = fs::read_to_string(&manifest).expect("a manifest");
            replace(&manifest, on_its_own(&text).as_bytes());
            // What it needs has the versions that were fetched.
            let lock = workspace().join("tests/foreign/Cargo.lock");
            fs::copy(lock, tree.join("Cargo.lock")).expect("a lock file");
            fs::write(tree.join(".copied"), "").expect("a mark");
        }
        let name = self.name.clone();
        Package { name, tree }
    }

    /// A file that its own build would have made; gives the directory that it is in.
    ///
    /// # Panics
    /// Where it cannot be written.
    #[must_use]
    pub fn made(&self, name: &str, text: &str) -> PathBuf {
        let directory = kept().join("made").join(&self.name);
        fs::create_dir_all(&directory).expect("a directory");
        replace(&directory.join(name), text.as_bytes());
        directory
    }

    /// The program that `compiler` makes of these words: `@` stands for the tree, and `@/x/*.c` for all files of that kind.
    ///
    /// # Panics
    /// Where it does not compile.
    #[must_use]
    pub fn compiled(&self, compiler: &str, words: &[&str]) -> PathBuf {
        let words: Vec<String> = words.iter().flat_map(|word| self.expanded(word)).collect();
        let version = run(Command::new(compiler).arg("-dumpfullversion")).stdout;
        let mut hasher = DefaultHasher::new();
        (compiler, &words, version).hash(&mut hasher);
        let name = format!("{}-{:016x}", self.name, hasher.finish());
        let program = kept().join(name);
        if !program.exists() {
            // Under a name of its own until it is whole: another test may make it at the same time.
            let half = program.with_extension(std::process::id().to_string());
            let mut command = Command::new(compiler);
            command.args(["-w", "-g", "-o"]).arg(&half).args(&words);
            run(&mut command);
            fs::rename(&half, &program).expect("a program");
        }
        program
    }

    fn expanded(&self, word: &str) -> Vec<String> {
        let word = word.replace('@', &self.tree.display().to_string());
        let Some((directory, extension)) = word.split_once("/*.") else {
            return vec![word];
        };
        let entries = fs::read_dir(directory).expect("a directory of sources");
        let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        files.retain(|file| file.extension() == Some(OsStr::new(extension)));
        files.sort();
        let text = |file: &PathBuf| file.display().to_string();
        files.iter().map(text).collect()
    }

    /// The program `name` that cargo makes of it, with a profile of `foreign/Cargo.toml`.
    ///
    /// # Panics
    /// Where it does not build.
    #[must_use]
    pub fn built(&self, name: &str, profile: &str) -> PathBuf {
        let target = kept().join("cargo");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--offline", "--bin", name, "--profile", profile]);
        cargo
            .arg("--manifest-path")
            .arg(self.tree.join("Cargo.toml"));
        cargo.arg("--target-dir").arg(&target);
        // The same for a package that has other profiles of its own, or none.
        for (key, value) in profile_options(profile) {
            cargo.args(["--config", &format!("profile.{profile}.{key}={value}")]);
        }
        cargo.env_remove("CARGO_TARGET_DIR").env_remove("RUSTFLAGS");
        run(&mut cargo);
        let directory = if profile == "dev" { "debug" } else { profile };
        target.join(directory).join(name)
    }
}

fn profile_options(profile: &str) -> Vec<(&'static str, &'static str)> {
    let mut options = vec![("debug", "2"), ("incremental", "false")];
    if profile == "fat" {
        // Everything in one unit: functions of all crates are inlined in each other.
        let fat = [
            ("inherits", "'release'"),
            ("opt-level", "3"),
            ("lto", "'fat'"),
            ("codegen-units", "1"),
        ];
        options.extend(fat);
    }
    options
}

/// A manifest without what only the package's own tests need, which was not fetched; and a workspace by itself, since the build's
/// directory, where the copy lies, may be inside of this one.
fn on_its_own(manifest: &str) -> String {
    let sections = manifest.split("\n[");
    let kept = sections.filter(|section| !section.starts_with("dev-dependencies"));
    let mut text = kept.collect::<Vec<_>>().join("\n[");
    if !text.contains("\n[workspace]") {
        text.push_str("\n[workspace]\n");
    }
    text
}

/// Where cargo keeps sources.
fn registry() -> PathBuf {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo = cargo.or_else(|| home.map(|home| home.join(".cargo")));
    cargo.unwrap_or_default().join("registry").join("src")
}

/// Where programs are kept from run to run.
fn kept() -> PathBuf {
    let suite = std::env::current_exe().expect("the suite's own path");
    let kept = suite.with_file_name("foreign");
    fs::create_dir_all(&kept).expect("a directory to keep programs in");
    kept
}

fn run(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {complaint}");
    output
}

/// Writes a file so that whoever reads it at the same time reads all of it.
fn replace(file: &Path, bytes: &[u8]) {
    let half = file.with_extension(std::process::id().to_string());
    fs::write(&half, bytes).expect("a file");
    fs::rename(&half, file).expect("a file");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("sources").flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            replace(&to, &fs::read(&from).expect("a source"));
        }
    }
}
