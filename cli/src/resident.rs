//! Resident memory by what it is: /proc/PID/smaps, each mapping in one class.
//!
//! Read by `process` at a mark. The kernel walks the page tables of what is resident for it, a few milliseconds a GiB, with the target's map
//! locked against changes one mapping at a time. Every resident page is in just one class, so that the classes add up to the RSS.
//!
//! What cannot be told apart: zero-initialised data of programs and libraries, which is anonymous like any other; and what an allocator
//! takes by mmap, in which its blocks, what it retains and the program's own maps lie side by side. `rss` decides that, knowing what is live.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// Resident bytes by class; their sum is the RSS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resident {
    /// Areas of glibc's allocator: the break, and its arenas.
    pub allocator: u64,
    /// Stacks of threads, the main thread's included.
    pub stacks: u64,
    /// Anonymous memory that may be executed: JIT code.
    pub code: u64,
    /// Other anonymous memory.
    pub anonymous: u64,
    /// Files, what was written to private mappings of them included.
    pub files: u64,
    /// Memory that processes may share: memfds, /dev/shm, System V.
    pub shared: u64,
    /// heapshim's own: its library, its tables, the ledger.
    pub heapshim: u64,
}

/// Larger than what the kernel writes for the 65,530 mappings that a process may have by default.
const MAX_BYTES: u64 = 128 << 20;
/// glibc's arenas begin at multiples of it (HEAP_MAX_SIZE), and end there or where the memory that is kept for them begins.
const ARENA: u64 = 64 << 20;
/// Below a stack: glibc's guards are a page, or what the program asked for.
const LARGEST_GUARD: u64 = 1 << 20;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Map {
    start: u64,
    end: u64,
    permissions: String,
    name: String,
    resident: u64,
    flags: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Allocator,
    Stack,
    Code,
    Anonymous,
    File,
    Shared,
    Heapshim,
}

impl Resident {
    /// That of a process; None where it may not be read, has ended, or has more mappings than any process has.
    #[must_use]
    pub fn of(smaps: &Path) -> Option<Resident> {
        let file = BufReader::with_capacity(1 << 16, File::open(smaps).ok()?.take(MAX_BYTES));
        let maps = read(file).ok()?;
        (!maps.is_empty()).then(|| sum(&maps))
    }

    /// All of it.
    #[must_use]
    pub fn total(&self) -> u64 {
        let Resident {
            allocator,
            stacks,
            code,
            anonymous,
            files,
            shared,
            heapshim,
        } = *self;
        let parts = [allocator, stacks, code, anonymous, files, shared, heapshim];
        parts.into_iter().fold(0, u64::saturating_add)
    }

    fn class(&mut self, class: Class) -> &mut u64 {
        match class {
            Class::Allocator => &mut self.allocator,
            Class::Stack => &mut self.stacks,
            Class::Code => &mut self.code,
            Class::Anonymous => &mut self.anonymous,
            Class::File => &mut self.files,
            Class::Shared => &mut self.shared,
            Class::Heapshim => &mut self.heapshim,
        }
    }
}

/// The mappings, lowest first. An error where the text was cut: half the memory would be taken for all of it.
fn read(text: impl BufRead) -> io::Result<Vec<Map>> {
    let mut maps: Vec<Map> = Vec::new();
    let mut bytes = 0;
    for line in text.split(b'\n') {
        let line = line?;
        bytes += line.len() as u64 + 1;
        let line = String::from_utf8_lossy(&line);
        if let Some(map) = header(&line) {
            maps.push(map);
        } else if let (Some(map), Some((key, value))) = (maps.last_mut(), line.split_once(':')) {
            match key {
                "Rss" => map.resident = kibibytes(value),
                "VmFlags" => map.flags = format!("{value} "),
                _ => (),
            }
        }
    }
    if bytes >= MAX_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(maps)
}

/// `7f42a8397000-7f42a83a4000 rw-p 00000000 00:00 0   [heap]`
fn header(line: &str) -> Option<Map> {
    let mut words = line.splitn(6, ' ');
    let (start, end) = words.next()?.split_once('-')?;
    let (start, end) = (hexadecimal(start)?, hexadecimal(end)?);
    let permissions = words.next()?.to_owned();
    let name = words.nth(3).unwrap_or_default().trim().to_owned();
    Some(Map {
        start,
        end,
        permissions,
        name,
        ..Map::default()
    })
}

fn hexadecimal(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}

fn kibibytes(text: &str) -> u64 {
    let number = text
        .split_ascii_whitespace()
        .next()
        .and_then(|word| word.parse().ok());
    number.map_or(0, |number: u64| number.saturating_mul(1024))
}

fn sum(maps: &[Map]) -> Resident {
    let mut resident = Resident::default();
    for (at, map) in maps.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| maps.get(at));
        let class = class(before, map, maps.get(at + 1));
        let sum = resident.class(class);
        *sum = sum.saturating_add(map.resident);
    }
    resident
}

fn class(before: Option<&Map>, map: &Map, after: Option<&Map>) -> Class {
    if map.is_heapshim() {
        return Class::Heapshim;
    }
    match &*map.name {
        "" => anonymous(before, map, after),
        "[heap]" => Class::Allocator,
        "[stack]" => Class::Stack,
        name if name.starts_with("[anon_shmem:") => Class::Shared,
        // Allocators and glibc name their mappings where they are asked to.
        name if name.starts_with("[anon:") && name.contains("malloc") => Class::Allocator,
        name if name.starts_with("[anon:") && name.contains("stack") => Class::Stack,
        name if name.starts_with("[anon:") => anonymous(before, map, after),
        name if is_shared(name) => Class::Shared,
        _ => Class::File,
    }
}

fn is_shared(name: &str) -> bool {
    ["/memfd:", "/dev/shm/", "/SYSV", "/dev/zero"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

fn anonymous(before: Option<&Map>, map: &Map, after: Option<&Map>) -> Class {
    if map.may('x') {
        return Class::Code;
    }
    if map.is_arena(after) {
        return Class::Allocator;
    }
    match before {
        Some(guard) if guard.is_guard_of(map) => Class::Stack,
        _ => Class::Anonymous,
    }
}

impl Map {
    fn may(&self, permission: char) -> bool {
        self.permissions.contains(permission)
    }

    fn has(&self, flag: &str) -> bool {
        self.flags.split(' ').any(|held| held == flag)
    }

    fn is_closed(&self) -> bool {
        self.name.is_empty() && self.permissions.starts_with("---")
    }

    /// By name, else by how the shim maps: reserved nowhere (nr), never in huge pages (nh); or wiped in forked children (wf). The kernel
    /// merges no mapping with one of other flags.
    fn is_heapshim(&self) -> bool {
        let base = self.name.rsplit('/').next().unwrap_or_default();
        let is_ours = base.starts_with("libheapshim") || base.starts_with("memfd:heapshim-");
        let is_table = self.has("nr") && self.has("nh") || self.has("wf");
        is_ours || self.name.is_empty() && is_table && !self.may('x')
    }

    /// An arena of glibc's begins at a multiple of 64 MiB, without reservation; or is followed by what is kept for it to grow into.
    fn is_arena(&self, after: Option<&Map>) -> bool {
        let grows = |next: &Map| {
            next.is_closed() && next.start == self.end && next.end.is_multiple_of(ARENA)
        };
        self.start.is_multiple_of(ARENA) && (self.has("nr") || after.is_some_and(grows))
    }

    /// A guard lies directly below its stack. So may what an arena grows into, at whose end the next mapping happens to begin.
    fn is_guard_of(&self, stack: &Map) -> bool {
        let small = self.end.saturating_sub(self.start) <= LARGEST_GUARD;
        let is_arenas = self.has("nr") && self.end.is_multiple_of(ARENA);
        self.is_closed() && small && !is_arenas && self.end == stack.start && stack.may('w')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(header: &str, resident: u64, flags: &str) -> String {
        format!("{header}\nSize: 4 kB\nRss:    {resident} kB\nPss: 1 kB\nVmFlags: {flags}\n")
    }

    fn resident(text: &str) -> Resident {
        sum(&read(text.as_bytes()).expect("whole"))
    }

    const KIB: u64 = 1024;

    /// Check a mapping of each class, and that they add up.
    #[test]
    fn each_class() {
        let text = [
            map(
                "555500000000-555500002000 r-xp 00000000 fe:00 7   /usr/bin/a b",
                1,
                "rd ex",
            ),
            map(
                "555501000000-555501100000 rw-p 00000000 00:00 0   [heap]",
                2,
                "rd wr",
            ),
            map(
                "7f0000000000-7f0000021000 rw-p 00000000 00:00 0 ",
                4,
                "rd wr nr",
            ),
            map("7f0000021000-7f0004000000 ---p 00000000 00:00 0 ", 0, "nr"),
            map(
                "7f0004000000-7f0004001000 rw-p 00000000 00:00 0 ",
                8,
                "rd wr",
            ),
            map("7f0010000000-7f0010001000 ---p 00000000 00:00 0 ", 0, ""),
            map(
                "7f0010001000-7f0010801000 rw-p 00000000 00:00 0 ",
                16,
                "rd wr",
            ),
            map(
                "7f0020000000-7f0020001000 rwxp 00000000 00:00 0 ",
                32,
                "rd wr ex",
            ),
            map(
                "7f0030000000-7f0030001000 rw-s 00000000 00:01 9   /memfd:x (deleted)",
                64,
                "rd wr",
            ),
            map(
                "7f0040000000-7f0040001000 rw-s 00000000 00:01 9   /memfd:heapshim-ledger (deleted)",
                128,
                "rd",
            ),
            map(
                "7f0050000000-7f0050001000 rw-p 00000000 00:00 0 ",
                256,
                "rd wr nr nh",
            ),
            map(
                "7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0   [stack]",
                512,
                "rd wr gd",
            ),
        ];
        let found = resident(&text.concat());
        let expected = Resident {
            allocator: (2 + 4) * KIB,
            stacks: (16 + 512) * KIB,
            code: 32 * KIB,
            anonymous: 8 * KIB,
            files: KIB,
            shared: 64 * KIB,
            heapshim: (128 + 256) * KIB,
        };
        assert_eq!(found, expected);
        assert_eq!(found.total(), 1023 * KIB);
    }

    /// Check that an arena is known without its flag, by what is kept for it, and that a map at such an address is none.
    #[test]
    fn arenas_without_reservation() {
        let kept = map("7f0000021000-7f0004000000 ---p 00000000 00:00 0 ", 0, "");
        let arena = map(
            "7f0000000000-7f0000021000 rw-p 00000000 00:00 0 ",
            4,
            "rd wr",
        );
        assert_eq!(resident(&(arena.clone() + &kept)).allocator, 4 * KIB);
        assert_eq!(resident(&arena).anonymous, 4 * KIB);
    }

    /// Check that a stack is known also where it begins at a multiple of 64 MiB, and that what an arena may grow into is no guard.
    #[test]
    fn stacks_at_arenas_places() {
        let guard = |flags| map("7f0003fff000-7f0004000000 ---p 00000000 00:00 0 ", 0, flags);
        let stack = map(
            "7f0004000000-7f0004800000 rw-p 00000000 00:00 0 ",
            4,
            "rd wr",
        );
        assert_eq!(resident(&(guard("mr") + &stack)).stacks, 4 * KIB);
        assert_eq!(resident(&(guard("mr nr") + &stack)).anonymous, 4 * KIB);
    }

    /// Check this very process against the kernel's own sum.
    #[test]
    fn this_process() {
        let path = crate::process::path(std::process::id(), "smaps");
        let found = Resident::of(&path).expect("readable");
        assert!(found.files > 0 && found.stacks > 0 && found.heapshim == 0);
        assert!(found.total() > 1 << 20);
    }

    /// Check that noise is no memory, and that nothing in it does harm.
    #[test]
    fn noise() {
        assert_eq!(
            resident("\nRss: 5 kB\nzz-5 rw-p\n5-zz\n"),
            Resident::default()
        );
        assert_eq!(
            resident("5-9 rw-p 0 0 0\nRss: many kB\nRss: 99999999999999999999 kB\n"),
            Resident::default()
        );
        let twice = "0-1 rw-p 0 0 0\nRss: 18014398509481984 kB\n".repeat(3);
        assert_eq!(resident(&twice).total(), u64::MAX);
    }
}
