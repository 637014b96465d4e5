//! What an ELF file is, as far as that decides whether a library can be preloaded into it.
//!
//! Called by `executable` before a command is started, and by `doctor` for the file that a process runs. A preloaded library is loaded by
//! the dynamic loader alone: a static program has none, another libc's cannot load ours, and a sanitizer ends a program in which it does
//! not come first. What cannot be read is left to the kernel to judge. Not here: the file's owner and rights (`rights`).

use object::elf;
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
use object::{Endianness, Object, ObjectSymbol, ReadCache};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Bytes that hold ELF header, program headers and the interpreter's path of every usual file.
const HEAD: u64 = 64 * 1024;
/// Base names of the dynamic loaders of other libcs: musl, uClibc, Android's bionic.
const FOREIGN_LOADERS: [&[u8]; 3] = [b"ld-musl", b"ld-uClibc", b"linker"];
/// Libraries that end their program unless they are the first to be loaded, and what it is built with.
const SANITIZERS: [(&str, &str); 5] = [
    ("libasan.so", "address"),
    ("libhwasan.so", "hwaddress"),
    ("libtsan.so", "thread"),
    ("libmsan.so", "memory"),
    ("liblsan.so", "leak"),
];

/// What a sanitizer that is linked in, as clang does it, begins with. It exports that to the libraries that are built with it.
const LINKED_IN: [(&[u8], &str); 5] = [
    (b"__asan_init", "address"),
    (b"__hwasan_init", "hwaddress"),
    (b"__tsan_init", "thread"),
    (b"__msan_init", "memory"),
    (b"__lsan_init", "leak"),
];

/// What stands in the way, in words that follow "FILE: ", and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// What is so.
    pub what: String,
    /// The next step.
    pub next: String,
}

impl Obstacle {
    pub(super) fn new(what: impl Into<String>, next: impl Into<String>) -> Obstacle {
        let (what, next) = (what.into(), next.into());
        Obstacle { what, next }
    }
}

/// The beginning of a file; None where it cannot be read.
pub(super) fn read_head(path: &Path) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    let file = File::open(path).ok()?;
    file.take(HEAD).read_to_end(&mut head).ok()?;
    Some(head)
}

/// True for a file that the kernel does not know and that execvp(3) therefore hands to a shell.
pub(super) fn is_for_a_shell(path: &Path) -> bool {
    let known: [&[u8]; 2] = [&elf::ELFMAG, b"#!"];
    read_head(path).is_some_and(|head| !known.iter().any(|magic| head.starts_with(magic)))
}

/// Why nothing can be preloaded into the program in this file, if so. What is no ELF file is none of ours to judge.
#[must_use]
pub fn obstacle(path: &Path) -> Option<Obstacle> {
    let head = read_head(path)?;
    if !head.starts_with(&elf::ELFMAG) {
        return None;
    }
    of_head(path, &head).or_else(|| sanitizer(path))
}

fn of_head(path: &Path, head: &[u8]) -> Option<Obstacle> {
    let machine = match cfg!(target_arch = "x86_64") {
        true => elf::EM_X86_64,
        false => elf::EM_AARCH64,
    };
    if head.get(4) != Some(&elf::ELFCLASS64.0) {
        return Some(Obstacle::new("a 32-bit program", "build it for 64 bits"));
    }
    let header = elf::FileHeader64::<Endianness>::parse(head).ok()?;
    let endian = header.endian().ok()?;
    if header.e_machine(endian) != machine {
        let what = "a program for another kind of processor";
        return Some(Obstacle::new(what, "build it for this one"));
    }
    let segments = header.program_headers(endian, head).ok()?;
    let mut loaders = segments.iter();
    match loaders.find_map(|segment| segment.interpreter(endian, head).ok()?) {
        None => is_program(path).then(static_program),
        Some(loader) => foreign(loader),
    }
}

/// False for a dynamic loader called by its own name: it is its own interpreter.
fn is_program(path: &Path) -> bool {
    let name = path.file_name().map_or(&[][..], OsStrExt::as_bytes);
    !name.starts_with(b"ld-linux")
}

fn static_program() -> Obstacle {
    let what = "statically linked: no library can be preloaded";
    Obstacle::new(what, "link it dynamically")
}

fn foreign(loader: &[u8]) -> Option<Obstacle> {
    let path = Path::new(OsStr::from_bytes(loader));
    let base = path.file_name().map_or(&[][..], OsStrExt::as_bytes);
    if FOREIGN_LOADERS.iter().any(|name| base.starts_with(name)) {
        let what = "linked with another libc than glibc, which the shim needs";
        return Some(Obstacle::new(what, "trace a build of it for glibc"));
    }
    let missing = !path.exists();
    missing.then(|| {
        let what = format!("its loader {} is not there", path.display());
        Obstacle::new(what, "install the libc that it was built for")
    })
}

fn sanitizer(path: &Path) -> Option<Obstacle> {
    let libraries = needed(path);
    let first = libraries.iter().find_map(|library| sanitizer_of(library));
    if let Some((_, name)) = first {
        let what =
            format!("built with -fsanitize={name}, which bears no other library before its own");
        return Some(Obstacle::new(what, "trace a build without it"));
    }
    linked_in(path).map(|name| {
        let what = format!("built with -fsanitize={name}, whose own malloc nobody can look at");
        Obstacle::new(what, "trace a build without it")
    })
}

/// The sanitizer that is a part of the program itself, by the word for -fsanitize.
fn linked_in(path: &Path) -> Option<&'static str> {
    let cache = ReadCache::new(File::open(path).ok()?);
    let file = ElfFile64::<Endianness, _>::parse(&cache).ok()?;
    let mut defined = file
        .dynamic_symbols()
        .filter(|symbol| symbol.is_definition());
    defined.find_map(|symbol| {
        let name = symbol.name_bytes().ok()?;
        let known = LINKED_IN.iter().find(|(entry, _)| *entry == name)?;
        Some(known.1)
    })
}

/// The sanitizer whose library has this file name: the library's name without its version, and the word for -fsanitize.
pub(super) fn sanitizer_of(library: &str) -> Option<(&'static str, &'static str)> {
    let known = SANITIZERS.iter().copied();
    known
        .into_iter()
        .find(|(name, _)| library.starts_with(name))
}

/// The libraries that an ELF file asks for (DT_NEEDED); none where that cannot be read.
#[must_use]
pub fn needed(path: &Path) -> Vec<String> {
    let read = || {
        let cache = ReadCache::new(File::open(path).ok()?);
        let file = ElfFile64::<Endianness, _>::parse(&cache).ok()?;
        let table = file.elf_dynamic_table().ok()?;
        let wanted = table.iter().filter(|entry| entry.tag == elf::DT_NEEDED);
        let names = wanted.filter_map(|entry| table.string(entry).ok());
        Some(
            names
                .map(|name| String::from_utf8_lossy(name).into_owned())
                .collect(),
        )
    };
    read().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Scratch;
    use std::fs;

    /// Check that each kind of file that no library can be preloaded into is told, and that a usual program and a text are not.
    #[test]
    fn files() {
        let scratch = Scratch::new("image");
        let shell = fs::read("/bin/sh").unwrap();
        let changed = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = shell.clone();
            change(&mut bytes);
            let path = scratch.write(name, &bytes);
            obstacle(&path).map(|obstacle| obstacle.what)
        };
        let at = |text: &[u8]| {
            let found = shell.windows(text.len()).position(|bytes| bytes == text);
            found.expect("a loader")
        };
        let loader = at(b"ld-linux");
        assert_eq!(changed("usual", &|_| ()), None);
        assert_eq!(changed("text", &|bytes| *bytes = b"echo".to_vec()), None);
        let narrow = changed("narrow", &|bytes| bytes[4] = elf::ELFCLASS32.0);
        assert_eq!(narrow.as_deref(), Some("a 32-bit program"));
        let other = changed("other", &|bytes| bytes[18] = 0xf3);
        let expected = "a program for another kind of processor";
        assert_eq!(other.as_deref(), Some(expected));
        let loaderless = changed("static", &|bytes| bytes[56..58].fill(0));
        let expected = "statically linked: no library can be preloaded";
        assert_eq!(loaderless.as_deref(), Some(expected));
        let musl = changed("musl", &|bytes| {
            bytes[loader..loader + 8].copy_from_slice(b"ld-musl-");
        });
        let expected = "linked with another libc than glibc, which the shim needs";
        assert_eq!(musl.as_deref(), Some(expected));
        let gone = changed("gone", &|bytes| bytes[loader] = b'x');
        assert!(gone.is_some_and(|what| what.ends_with("is not there")));
    }

    /// Check that the libraries that a program asks for are read off it, and that a sanitizer's is known by its name.
    #[test]
    fn libraries() {
        assert!(needed(Path::new("/bin/sh")).contains(&"libc.so.6".to_owned()));
        assert!(needed(Path::new("/etc/passwd")).is_empty());
        assert_eq!(
            sanitizer_of("libasan.so.8").map(|(_, name)| name),
            Some("address")
        );
        assert_eq!(sanitizer_of("libubsan.so.1"), None);
    }
}
