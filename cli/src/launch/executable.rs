//! What a command's words will execute, looked up as execvp(3) does, and why that cannot be traced, if so.
//!
//! Called by `run` and `doctor`, so that both say the same of a file. A script is followed to its interpreter, and behind `env` to the
//! program that is meant: what is true of the last file decides (`image`, `rights`). What cannot be read is left to the kernel to judge.

use super::image::{self, Obstacle};
use super::script::{self, Line};
use super::{preloads, rights};
use crate::error::{Error, Kind};
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Interpreters of interpreters that the kernel follows (fs/exec.c).
const MAX_INTERPRETERS: usize = 5;

/// What execvp(3) hands a file to that the kernel does not know.
const SHELL: &str = "/bin/sh";

/// Why a command is not run under the shim.
#[derive(Debug)]
pub struct Refusal {
    /// 126 or 127, as a shell would exit.
    pub status: u8,
    /// True where it could be run, only not traced (`--anyway`).
    pub runs: bool,
    /// The line that says so.
    pub error: Error,
}

/// Looks the command up as execvp(3) does and says why it cannot be traced, if so; else the files that will be executed one for the
/// other: a script, its interpreter (the shell, where it names none), the program that `env` finds. The last is the program that is traced.
///
/// # Errors
/// The refusal: 127 where it is not found, 126 where it cannot be executed or traced.
pub fn check(command: &OsStr) -> Result<Vec<PathBuf>, Refusal> {
    let found = find(command)?;
    let mut chain = vec![found.clone()];
    while let Some(line) = first_line(&chain) {
        follow(&line, &mut chain).map_err(|(status, obstacle)| {
            let next = obstacle.next;
            refusal(status, &found, &obstacle.what, &next)
        })?;
    }
    if chain.last().is_some_and(|last| image::is_for_a_shell(last)) {
        chain.push(SHELL.into());
    }
    let program = chain.last().unwrap_or(&found);
    let obstacle = rights::obstacle(program).or_else(|| image::obstacle(program));
    match obstacle.or_else(preloads::obstacle) {
        Some(obstacle) => Err(untraceable(&found, program, &obstacle)),
        None => Ok(chain),
    }
}

/// The first line of the last file, where that is a script which the kernel follows.
fn first_line(chain: &[PathBuf]) -> Option<Line> {
    let last = chain.last().filter(|_| chain.len() <= MAX_INTERPRETERS)?;
    script::line(&image::read_head(last)?)
}

/// Adds what the line leads to.
fn follow(line: &Line, chain: &mut Vec<PathBuf>) -> Result<(), (u8, Obstacle)> {
    let interpreter = &line.interpreter;
    if accessible(interpreter).is_err() {
        return Err((126, script::missing(interpreter)));
    }
    chain.push(interpreter.clone());
    if let Some(program) = &line.program {
        let found = find(program).map_err(|_| (127, script::not_in_path(program)))?;
        chain.push(found);
    }
    Ok(())
}

/// The refusal of a system that did not start the words, as a shell would exit.
pub(super) fn not_started(words: &[OsString], error: std::io::Error) -> Refusal {
    let program = words.first().map(|word| word.to_string_lossy());
    let error = Error::io(program.unwrap_or_default(), "not started", error);
    Refusal {
        status: if error.kind() == Kind::Missing {
            127
        } else {
            126
        },
        runs: false,
        error,
    }
}

fn find(command: &OsStr) -> Result<PathBuf, Refusal> {
    if command.as_bytes().contains(&b'/') {
        return accessible(Path::new(command)).map(|()| command.into());
    }
    let path = env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    let mut denied = None;
    for directory in env::split_paths(&path) {
        let candidate = directory.join(command);
        match accessible(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(refusal) if refusal.status == 126 => denied = denied.or(Some(refusal)),
            Err(_) => {}
        }
    }
    Err(denied.unwrap_or_else(|| {
        let next = "give its path, or look at PATH";
        refusal(127, Path::new(command), "command not found", next)
    }))
}

fn accessible(path: &Path) -> Result<(), Refusal> {
    let Ok(metadata) = fs::metadata(path) else {
        return Err(refusal(127, path, "no such file", "give its path"));
    };
    if metadata.is_dir() {
        return Err(refusal(
            126,
            path,
            "a directory",
            "give the path of a program",
        ));
    }
    if rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_err() {
        return Err(refusal(
            126,
            path,
            "not executable",
            "make it executable with chmod +x",
        ));
    }
    Ok(())
}

/// `found` is what was asked for, `program` the file at the end of its chain.
fn untraceable(found: &Path, program: &Path, obstacle: &Obstacle) -> Refusal {
    let what = match found == program {
        true => obstacle.what.clone(),
        false => format!("its interpreter {}: {}", program.display(), obstacle.what),
    };
    let next = format!("{}, or run it untraced with --anyway", obstacle.next);
    Refusal {
        runs: true,
        ..refusal(126, found, &what, &next)
    }
}

fn refusal(status: u8, path: &Path, problem: &str, next: &str) -> Refusal {
    let error = Error::new(Kind::Failed, path.display(), problem).next(next);
    Refusal {
        status,
        runs: false,
        error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Scratch;
    use std::os::unix::fs::PermissionsExt;

    fn line(command: &Path) -> String {
        check(command.as_os_str())
            .map_or_else(|refusal| refusal.error.to_string(), |_| String::new())
    }

    fn status(command: &Path) -> u8 {
        check(command.as_os_str()).map_or_else(|refusal| refusal.status, |_| 0)
    }

    fn program(scratch: &Scratch, name: &str, bytes: &[u8]) -> PathBuf {
        let path = scratch.write(name, bytes);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// Check that what every system has is let through, and that what is not there or no program is told apart.
    #[test]
    fn usual() {
        assert_eq!(status(Path::new("sh")), 0);
        assert_eq!(status(Path::new("/bin/sh")), 0);
        assert_eq!(status(Path::new("no-such-command-anywhere")), 127);
        assert_eq!(status(Path::new("/no/such/file")), 127);
        assert_eq!(status(Path::new("/")), 126);
        assert_eq!(status(Path::new("/etc/passwd")), 126);
    }

    /// Check that a script is followed to its interpreter, also through `env`, and is refused for what is wrong there.
    #[test]
    fn scripts() {
        let scratch = Scratch::new("executable");
        let mut narrow = fs::read("/bin/sh").unwrap();
        narrow[4] = object::elf::ELFCLASS32.0;
        let narrow = program(&scratch, "narrow", &narrow);
        let script = |text: String| program(&scratch, "script", text.as_bytes());
        let path = scratch.path().join("script").display().to_string();
        let (inside, anyway) = (narrow.display(), "or run it untraced with --anyway");
        let because = format!("its interpreter {inside}: a 32-bit program");
        let expected = format!("{path}: {because}; build it for 64 bits, {anyway}");
        assert_eq!(line(&script(format!("#! {inside} -x\n"))), expected);
        assert_eq!(
            line(&script(format!("#!/usr/bin/env {inside}\n"))),
            expected
        );
        let gone = script("#!/no/such\n".to_owned());
        let next = "correct the script's first line, or install it";
        let expected = format!("{path}: its interpreter /no/such is not there; {next}");
        assert_eq!((line(&gone), status(&gone)), (expected, 126));
        let unknown = script("#!/usr/bin/env no-such-program\n".to_owned());
        assert_eq!(status(&unknown), 127);
        let found = script("#!/usr/bin/env sh\n".to_owned());
        let chain = check(found.as_os_str()).expect("traced");
        assert_eq!(
            (chain.len(), chain[2].file_name()),
            (3, Some(OsStr::new("sh")))
        );
        let itself = script(format!("#!{path}\n"));
        assert_eq!(status(&itself), 0);
        let shell = script("echo hello\n".to_owned());
        assert_eq!(
            check(shell.as_os_str()).expect("traced"),
            [shell, SHELL.into()]
        );
    }
}
