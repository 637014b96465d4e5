//! An allocator that a program has linked in, and that no library in front of it sees.
//!
//! Asked wherever an account is read, so that `ls`, every mark and every report begin with that, and by `doctor`. Told by symbols that the file defines; by texts that the allocators
//! carry where its symbols were stripped. An allocator that lies in a shared library is none of these: the shim stands in front of it.

use heapshim_ledger::layout::Complaint;
use object::elf::FileHeader64;
use object::read::elf::{ElfFile64, SectionHeader, Sym, SymbolTable};
use object::{Endianness, Object, ObjectSection, ObjectSymbol, ReadCache};
use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

type Symbols<'data> = SymbolTable<'data, FileHeader64<Endianness>, &'data ReadCache<File>>;

/// Functions that tell whose allocator it is. `malloc` last: most that replace it define others as well.
const SYMBOLS: [(&[u8], &str); 12] = [
    (b"je_malloc", "jemalloc"),
    (b"_rjem_malloc", "jemalloc"),
    (b"je_mallocx", "jemalloc"),
    (b"mallctl", "jemalloc"),
    (b"_rjem_mallctl", "jemalloc"),
    (b"mi_malloc", "mimalloc"),
    (b"tc_malloc", "tcmalloc"),
    (b"TCMallocInternalMalloc", "tcmalloc"),
    (b"sn_malloc", "snmalloc"),
    (b"rpmalloc", "rpmalloc"),
    (b"ShimMalloc", "PartitionAlloc"),
    (b"malloc", UNNAMED),
];
/// A malloc that says no more of itself by its symbols.
const UNNAMED: &str = "a malloc of its own";
/// How texts begin that only the allocator itself would print, or where only its sources lie.
const TEXTS: [(&[u8], &str); 6] = [
    (b"<jemalloc>: ", "jemalloc"),
    (b"mimalloc: ", "mimalloc"),
    (b"tcmalloc: large alloc", "tcmalloc"),
    (b"Failed to initialise snmalloc.", "snmalloc"),
    (b"snmalloc/backend_helpers/", "snmalloc"),
    (b"snmalloc/mem/", "snmalloc"),
];
/// The same of allocators that programs also carry beside another malloc: such a text says whose malloc it is where there is one.
const TEXTS_OF_MALLOC: [(&[u8], &str); 1] = [(b"PartitionAlloc.CommittedSize", "PartitionAlloc")];
/// What CPython carries within itself.
const PYTHONS: &str = "mimalloc";
/// Sections that only Go's linker makes.
const GO_SECTIONS: [&str; 2] = [".go.buildinfo", ".note.go.buildid"];
/// Texts are looked for in no larger section: it is a look before a start, not an analysis.
const MAX_TEXTS: u64 = 256 << 20;

/// What that means, of one that `linked_in` has named.
#[must_use]
pub fn unseen(name: &str) -> String {
    format!("has {name} linked in: what it allocates with that is not seen")
}

/// The allocator that the program in this file has linked in, in words that follow "has".
#[must_use]
pub fn linked_in(path: &Path) -> Option<&'static str> {
    let cache = ReadCache::new(File::open(path).ok()?);
    let file = ElfFile64::<Endianness, _>::parse(&cache).ok()?;
    if GO_SECTIONS
        .iter()
        .any(|name| file.section_by_name(name).is_some())
    {
        return Some("Go's own allocator");
    }
    let stripped = file.section_by_name(".symtab").is_none();
    let found = match defined(&file) {
        Some(UNNAMED) => {
            let named = told_by_text(&file, &TEXTS);
            let named = named.or_else(|| told_by_text(&file, &TEXTS_OF_MALLOC));
            named.or(Some(UNNAMED))
        }
        None if stripped => told_by_text(&file, &TEXTS),
        found => found,
    };
    found.filter(|&name| name != PYTHONS || !is_python(&file))
}

/// CPython 3.13 has mimalloc in it, for objects that are seen otherwise.
fn is_python<'data>(file: &ElfFile64<'data, Endianness, &'data ReadCache<File>>) -> bool {
    let mut exported = file.dynamic_symbols();
    exported.any(|symbol| symbol.is_definition() && symbol.name_bytes() == Ok(b"PyObject_Malloc"))
}

/// The complaint of an account of the program in this file, where it has an allocator linked in: what is allocated with that is not seen.
/// The library itself sees no more than whether `malloc` is its own.
#[must_use]
pub fn complaint(program: &Path) -> u32 {
    linked_in(program).map_or(0, |_| Complaint::Bypassed as u32)
}

fn defined<'data>(
    file: &ElfFile64<'data, Endianness, &'data ReadCache<File>>,
) -> Option<&'static str> {
    let tables = [file.elf_symbol_table(), file.elf_dynamic_symbol_table()];
    let places = tables.into_iter().filter_map(|table| place(file, table));
    // The first of the list that is there: it tells most.
    places.min().map(|place| SYMBOLS[place].1)
}

/// The first place in `SYMBOLS` of a symbol that is defined in this table. All names are read at once: one by one, they would be thousands of
/// system calls in each mark.
fn place<'data>(
    file: &ElfFile64<'data, Endianness, &'data ReadCache<File>>,
    table: &Symbols<'data>,
) -> Option<usize> {
    let (endian, sections) = (file.endian(), file.elf_section_table());
    let section = sections.section(table.string_section()).ok()?;
    let known = known_names(section.data(endian, file.data()).ok()?);
    let named = table.iter().filter_map(|symbol| {
        let place = known.get(&(symbol.st_name(endian) as usize))?;
        Some((symbol, *place))
    });
    let defined = named.filter(|(symbol, _)| symbol.is_definition(endian, table.strings()));
    defined.map(|(_, place)| place).min()
}

/// Where in a table of names those of `SYMBOLS` begin: also as the end of another name, with which linkers share them.
fn known_names(names: &[u8]) -> HashMap<usize, usize> {
    let mut known = HashMap::new();
    for (place, (name, _)) in SYMBOLS.iter().enumerate() {
        let ended = [name, &b"\0"[..]].concat();
        let found = memchr::memmem::find_iter(names, &ended);
        known.extend(found.map(|offset| (offset, place)));
    }
    known
}

fn told_by_text<'data>(
    file: &ElfFile64<'data, Endianness, &'data ReadCache<File>>,
    texts: &[(&[u8], &'static str)],
) -> Option<&'static str> {
    let section = file.section_by_name(".rodata")?;
    if section.size() > MAX_TEXTS {
        return None;
    }
    let bytes = section.data().ok()?;
    let found = texts
        .iter()
        .find(|(text, _)| memchr::memmem::find(bytes, text).is_some());
    found.map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Scratch;
    use std::process::Command;

    /// Check that a program's own malloc is told by its symbols, a stripped one's by its texts, and that a usual program has none.
    #[test]
    fn told() {
        let scratch = Scratch::new("allocator");
        let built = |name: &str, source: &str, options: &[&str]| {
            let file = scratch.write(&format!("{name}.c"), source.as_bytes());
            let program = scratch.path().join(name);
            let mut compiler = Command::new("cc");
            compiler
                .arg("-w")
                .args(options)
                .arg("-o")
                .args([&program, &file]);
            assert!(compiler.status().unwrap().success());
            linked_in(&program)
        };
        let usual = "#include <stdlib.h>\nint main(void) { free(malloc(7)); return 0; }";
        assert_eq!(built("usual", usual, &[]), None);
        let own = "void *malloc(unsigned long n) { return 0; } int main(void) { return 0; }";
        assert_eq!(built("own", own, &[]), Some("a malloc of its own"));
        let hidden = "static void *je_malloc(void) { return 0; } \
                      void *malloc(unsigned long n) { return je_malloc(); } int main(void) { return 0; }";
        assert_eq!(built("hidden", hidden, &[]), Some("jemalloc"));
        let text =
            "const char *message = \"<jemalloc>: Invalid conf\"; int main(void) { return 0; }";
        assert_eq!(built("text", text, &["-s"]), Some("jemalloc"));
        assert_eq!(built("unstripped", text, &[]), None);
        let python = "const char *message = \"mimalloc: warning\"; void *PyObject_Malloc(void) { return 0; } \
                      int main(void) { return 0; }";
        assert_eq!(built("python", python, &["-s", "-rdynamic"]), None);
        assert_eq!(built("no-python", python, &["-s"]), Some("mimalloc"));
        let beside = "const char *name = \"PartitionAlloc.CommittedSize\";";
        assert_eq!(
            built("beside", &format!("{beside}\n{usual}"), &["-s"]),
            None
        );
        let behind = built("behind", &format!("{beside} {own}"), &["-s", "-rdynamic"]);
        assert_eq!(behind, Some("PartitionAlloc"));
        assert_eq!(linked_in(Path::new("/etc/passwd")), None);
        let go = scratch.path().join("go");
        let mut objcopy = Command::new("objcopy");
        objcopy.args(["--add-section", ".go.buildinfo=/etc/passwd"]);
        let made = objcopy
            .args([scratch.path().join("usual"), go.clone()])
            .status();
        assert!(made.unwrap().success());
        assert_eq!(linked_in(&go), Some("Go's own allocator"));
    }
}
