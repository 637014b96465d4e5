//! Names from a symbol table, where there are no line tables.
//!
//! Called by `module`. `.symtab` is asked first, then `.dynsym`: stripped libraries keep only the latter. Records are
//! decoded here rather than through `object`, which reads one name at a time: a browser has a million.
//!
//! Invariants: `entries` is sorted by address; each `name` is an offset into `names`, checked when it is used.

use crate::symbolize::elf::{Damage, Elf};
use std::rc::Rc;

/// `sizeof(Elf64_Sym)`.
const RECORD: usize = 24;

/// How many symbols before an address are asked whether they contain it: labels and nested symbols stand between.
const LOOK_BACK: usize = 16;

const STT_FUNC: u8 = 2;
const STT_GNU_IFUNC: u8 = 10;
const SHN_UNDEF: u16 = 0;

#[derive(Clone, Copy, Debug)]
struct Entry {
    address: u64,
    size: u64,
    name: u32,
    binding: u8,
}

/// One symbol table's functions.
#[derive(Debug)]
pub(crate) struct Symbols {
    entries: Vec<Entry>,
    names: Rc<[u8]>,
}

impl Symbols {
    /// The functions of `.symtab` or `.dynsym`; empty where there is no such section.
    pub(crate) fn read(elf: &Elf, table: &str, strings: &str) -> Result<Symbols, Damage> {
        let records = elf.section(table)?.unwrap_or_default();
        let names = elf.section(strings)?.unwrap_or_default();
        Ok(Symbols::new(&records, names))
    }

    /// The functions among these records.
    pub(crate) fn new(records: &[u8], names: Rc<[u8]>) -> Symbols {
        let mut entries: Vec<Entry> = records.chunks_exact(RECORD).filter_map(entry).collect();
        entries.sort_by_key(|entry| entry.address);
        Symbols { entries, names }
    }

    /// The mangled name of the function that contains the address.
    pub(crate) fn find(&self, address: u64) -> Option<&str> {
        let end = self
            .entries
            .partition_point(|entry| entry.address <= address);
        let near = &self.entries[end.saturating_sub(LOOK_BACK)..end];
        let inside = |entry: &&Entry| address - entry.address < entry.size;
        // A symbol without a size (assembly) reaches to the next one.
        let last = near.last().map(|entry| entry.address);
        let open = |entry: &&Entry| entry.size == 0 && Some(entry.address) == last;
        let best = near.iter().filter(inside).max_by_key(|e| self.rank(e));
        let best = best.or_else(|| near.iter().filter(open).max_by_key(|e| self.rank(e)));
        best.and_then(|entry| self.name(entry))
    }

    /// Of several names for the same code, the innermost; of those the one that others see; of those the least decorated.
    fn rank(&self, entry: &Entry) -> (u64, u8, usize) {
        let name = self.name(entry).unwrap_or_default();
        let underscores = name.bytes().take_while(|&byte| byte == b'_').count();
        let visible = match entry.binding {
            0 => 0,
            2 => 1,
            _ => 2,
        };
        (entry.address, visible, usize::MAX - underscores)
    }

    fn name(&self, entry: &Entry) -> Option<&str> {
        let tail = self.names.get(usize::try_from(entry.name).ok()?..)?;
        let end = tail.iter().position(|&byte| byte == 0)?;
        let name = std::str::from_utf8(tail.get(..end)?).ok()?;
        (!name.is_empty()).then_some(name)
    }
}

/// A defined function; None for any other record.
fn entry(record: &[u8]) -> Option<Entry> {
    let u16_at = |at: usize| Some(u16::from_le_bytes(record.get(at..at + 2)?.try_into().ok()?));
    let u32_at = |at: usize| Some(u32::from_le_bytes(record.get(at..at + 4)?.try_into().ok()?));
    let u64_at = |at: usize| Some(u64::from_le_bytes(record.get(at..at + 8)?.try_into().ok()?));
    let info = *record.get(4)?;
    let is_function = matches!(info & 0xf, STT_FUNC | STT_GNU_IFUNC);
    if !is_function || u16_at(6)? == SHN_UNDEF {
        return None;
    }
    Some(Entry {
        name: u32_at(0)?,
        binding: info >> 4,
        address: u64_at(8)?,
        size: u64_at(16)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbols(list: &[(&str, u64, u64, u8)]) -> Symbols {
        let mut names = vec![0];
        let mut entries = Vec::new();
        for &(name, address, size, binding) in list {
            entries.push(Entry {
                address,
                size,
                name: u32::try_from(names.len()).unwrap(),
                binding,
            });
            names.extend_from_slice(name.as_bytes());
            names.push(0);
        }
        entries.sort_by_key(|entry| entry.address);
        Symbols {
            entries,
            names: Rc::from(names),
        }
    }

    /// Check both ends of a function, and the gap after it.
    #[test]
    fn address_must_lie_inside() {
        let table = symbols(&[("one", 0x10, 0x10, 1), ("two", 0x30, 8, 1)]);
        assert_eq!(table.find(0xf), None);
        assert_eq!(table.find(0x10), Some("one"));
        assert_eq!(table.find(0x1f), Some("one"));
        assert_eq!(table.find(0x20), None);
        assert_eq!(table.find(0x37), Some("two"));
        assert_eq!(table.find(u64::MAX), None);
    }

    /// Check that an alias that others see wins over a local one, and a plain name over a decorated one.
    #[test]
    fn best_alias_is_taken() {
        let table = symbols(&[
            ("__GI_local", 0x10, 8, 0),
            ("__libc_thing", 0x10, 8, 1),
            ("thing", 0x10, 8, 1),
        ]);
        assert_eq!(table.find(0x12), Some("thing"));
    }

    /// Check that a label inside a function does not hide it, and that a label alone reaches to the next symbol.
    #[test]
    fn labels_without_size() {
        let table = symbols(&[("outer", 0x10, 0x20, 1), ("label", 0x18, 0, 0)]);
        assert_eq!(table.find(0x19), Some("outer"));
        assert_eq!(table.find(0x40), Some("label"));
    }

    /// Check that a size that runs past the end of all addresses and a name past the table do no harm.
    #[test]
    fn hostile_records() {
        let table = symbols(&[("huge", u64::MAX - 1, u64::MAX, 1)]);
        assert_eq!(table.find(u64::MAX), Some("huge"));
        let mut bad = symbols(&[("bad", 0, 8, 1)]);
        bad.entries[0].name = u32::MAX;
        assert_eq!(bad.find(3), None);
        assert!(entry(&[2; 10]).is_none());
    }
}
