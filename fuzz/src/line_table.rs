//! CPython's table of lines, as the shim reads it: nothing outside of the table's own words is read, and a place that is kept gives the same line as
//! one that begins anew.

use crate::Target;
use crate::python::line_table::LinePlace;
use crate::python::peek::TABLE;

pub(crate) const TARGET: Target = Target {
    name: "line-table",
    run,
    seeds,
};

/// An input: eight bytes that say which instructions are asked for, then the table.
fn run(bytes: &[u8]) {
    let Some((asked, table)) = bytes.split_first_chunk::<8>() else {
        return;
    };
    let object = object(table);
    let start = object.as_ptr().expose_provenance() as u64;
    TABLE.set((start, start + object.len() as u64 * 8));
    let mut kept = LinePlace::default();
    for instruction in asked.map(|byte| u32::from(byte) * 2) {
        let fresh = LinePlace::default().line(start, 100, instruction);
        assert_eq!(kept.line(start, 100, instruction), fresh);
    }
    TABLE.set((0, u64::MAX));
}

/// A table as a bytes object: its head, its bytes, and the NUL behind them.
fn object(bytes: &[u8]) -> Vec<u64> {
    let head = [1, 0, bytes.len() as u64, 0];
    let words = bytes.chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word.iter_mut()
            .zip(chunk)
            .for_each(|(to, from)| *to = *from);
        u64::from_le_bytes(word)
    });
    head.into_iter().chain(words).collect()
}

fn seeds() -> Vec<Vec<u8>> {
    let entries: [&[u8]; 7] = [
        &[0x80 | 10 << 3, 1, 2],
        &[0x80 | 12 << 3 | 7, 1, 2],
        &[0x80 | 3, 0x12],
        &[0x80 | 13 << 3, 5],
        &[0x80 | 15 << 3 | 1],
        &[0x80 | 14 << 3, 64 | 8, 1, 0, 1, 1],
        &[0x80 | 11 << 3, 1, 2],
    ];
    let whole = [&[0, 3, 12, 1, 200, 7, 40, 0], &entries.concat()[..]].concat();
    vec![whole]
}
