//! What would stop a program from being traced, read off its file before it is started.
//!
//! Called by `run`. A preloaded library is loaded by the dynamic loader alone: a static program has none, another libc's cannot load
//! ours, a setuid program's ignores LD_PRELOAD (ld.so(8)). What cannot be read is left to the kernel to judge.

use crate::error::{Error, Kind};
use object::elf;
use object::read::elf::{FileHeader, ProgramHeader};
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Interpreters of interpreters that the kernel follows (fs/exec.c).
const MAX_INTERPRETERS: u32 = 5;
/// Bytes that the kernel reads of a `#!` line.
const MAX_LINE: usize = 256;
/// Bytes that hold ELF header, program headers and the interpreter's path of every usual file.
const HEAD: u64 = 64 * 1024;

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

/// Looks the command up as execvp(3) does and says why it cannot be traced, if so.
///
/// # Errors
/// The refusal: 127 where it is not found, 126 where it cannot be executed or traced.
pub fn check(command: &OsStr) -> Result<(), Refusal> {
    follow(&find(command)?, MAX_INTERPRETERS)
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

fn follow(path: &Path, left: u32) -> Result<(), Refusal> {
    let Some(head) = read_head(path) else {
        return Ok(());
    };
    if let Some(line) = head.strip_prefix(b"#!") {
        return match (interpreter(line), left) {
            (Some(next), 1..) => follow(&next, left - 1),
            _ => Ok(()),
        };
    }
    if !head.starts_with(&elf::ELFMAG) {
        return Ok(()); // execvp hands it to /bin/sh
    }
    if gains_rights(path) {
        return Err(untraceable(
            path,
            "setuid or with capabilities: the loader ignores LD_PRELOAD",
            "trace it as its owner",
        ));
    }
    elf_problem(&head).map_or(Ok(()), |(problem, next)| {
        Err(untraceable(path, problem, next))
    })
}

fn read_head(path: &Path) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    File::open(path)
        .ok()?
        .take(HEAD)
        .read_to_end(&mut head)
        .ok()?;
    Some(head)
}

/// The program that a `#!` line names.
fn interpreter(line: &[u8]) -> Option<PathBuf> {
    let line = line.get(..MAX_LINE).unwrap_or(line);
    let line = line.split(|&byte| byte == b'\n').next()?.trim_ascii();
    let word = line.split(u8::is_ascii_whitespace).next()?;
    (!word.is_empty()).then(|| OsStr::from_bytes(word).into())
}

/// True where the kernel would start it in secure mode: it changes user or group, or has capabilities, and we are not root.
fn gains_rights(path: &Path) -> bool {
    let Ok(metadata) = fs::metadata(path) else {
        return false;
    };
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    let other_user = metadata.mode() & 0o4000 != 0 && metadata.uid() != uid.as_raw();
    let other_group = metadata.mode() & 0o2010 == 0o2010 && metadata.gid() != gid.as_raw();
    let mut value = [0u8; 64];
    let capabilities = rustix::fs::getxattr(path, "security.capability", &mut value).is_ok();
    other_user || other_group || capabilities && !uid.is_root()
}

/// What is wrong with an ELF file, and the next step.
fn elf_problem(head: &[u8]) -> Option<(&'static str, &'static str)> {
    let native = [elf::EM_X86_64, elf::EM_AARCH64];
    let machine = if cfg!(target_arch = "x86_64") {
        native[0]
    } else {
        native[1]
    };
    if head.get(4) != Some(&elf::ELFCLASS64.0) {
        return Some(("a 32-bit program", "build it for 64 bits"));
    }
    let header = elf::FileHeader64::<object::Endianness>::parse(head).ok()?;
    let endian = header.endian().ok()?;
    if header.e_machine(endian) != machine {
        return Some((
            "a program for another kind of processor",
            "build it for this one",
        ));
    }
    let segments = header.program_headers(endian, head).ok()?;
    match segments
        .iter()
        .find_map(|segment| segment.interpreter(endian, head).ok()?)
    {
        None => Some((
            "statically linked: no library can be preloaded",
            "link it dynamically",
        )),
        Some(loader) => foreign_loader(loader),
    }
}

fn foreign_loader(loader: &[u8]) -> Option<(&'static str, &'static str)> {
    let base = loader.rsplit(|&byte| byte == b'/').next().unwrap_or(loader);
    let foreign = [&b"ld-musl"[..], b"ld-uClibc", b"linker"];
    let is_foreign = foreign.iter().any(|name| base.starts_with(name));
    let next = "trace a build for glibc, or build heapshim for its libc";
    is_foreign.then_some((
        "linked with another libc than glibc, which the shim needs",
        next,
    ))
}

fn untraceable(path: &Path, problem: &str, next: &str) -> Refusal {
    let next = format!("{next}, or run it untraced with --anyway");
    Refusal {
        runs: true,
        ..refusal(126, path, problem, &next)
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
    use std::os::unix::fs::PermissionsExt;

    fn status(command: &Path) -> u8 {
        check(command.as_os_str()).map_or_else(|refusal| refusal.status, |()| 0)
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

    /// Check that a static program, a 32-bit one, one for musl and a script for one of them are refused, and would run.
    #[test]
    fn untraceable_files() {
        let base = env::temp_dir().join(format!("heapshim-executable-{}", std::process::id()));
        fs::create_dir_all(&base).expect("scratch");
        let write = |name: &str, bytes: &[u8]| {
            let path = base.join(name);
            fs::write(&path, bytes).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
            path
        };
        let shell = fs::read("/bin/sh").expect("read");
        let mut narrow = shell.clone();
        narrow[4] = elf::ELFCLASS32.0;
        let mut loaderless = shell.clone();
        loaderless[56..58].copy_from_slice(&0u16.to_le_bytes());
        let at = shell
            .windows(8)
            .position(|bytes| bytes == b"ld-linux")
            .expect("a loader");
        let mut musl = shell.clone();
        musl[at..at + 8].copy_from_slice(b"ld-musl-");
        for (name, bytes) in [
            ("narrow", &narrow),
            ("static", &loaderless),
            ("musl", &musl),
        ] {
            let path = write(name, bytes);
            let refusal = check(path.as_os_str()).expect_err(name);
            assert_eq!((refusal.status, refusal.runs), (126, true), "{name}");
            assert!(refusal.error.to_string().contains("--anyway"));
            let script = write("script", format!("#! {} -x\n", path.display()).as_bytes());
            assert_eq!(status(&script), 126);
        }
        let itself = write(
            "itself",
            format!("#!{}/itself\n", base.display()).as_bytes(),
        );
        assert_eq!(status(&itself), 0);
        assert_eq!(status(&write("text", b"echo hello\n")), 0);
        fs::remove_dir_all(&base).expect("removed");
    }
}
