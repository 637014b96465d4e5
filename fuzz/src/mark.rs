//! Mark files: `mark::decode`. An input is a list of sections (a byte for the kind, two for the length, the bytes); the head and the checksums are
//! made right here, or no mutation would come past them. An input that begins with the magic is taken as it is.

use crate::{Target, ledger};
use heapshim_cli::mark::{decode, encode};

pub(crate) const TARGET: Target = Target {
    name: "mark",
    run,
    seeds,
};

fn run(bytes: &[u8]) {
    let file = if bytes.starts_with(b"HEAPMARK") {
        bytes.to_vec()
    } else {
        file(&sections(bytes))
    };
    let Ok(mark) = decode(&file, "x") else {
        return;
    };
    ledger::check(&mark.snapshot);
    let again = decode(&encode(&mark), "x").expect("what was read can be written");
    assert_eq!(again, mark, "and read again");
}

fn sections(mut bytes: &[u8]) -> Vec<(u32, &[u8])> {
    let mut all = Vec::new();
    while let [kind, low, high, rest @ ..] = bytes {
        let len = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
        let (section, rest) = rest.split_at(len);
        all.push((u32::from(*kind), section));
        bytes = rest;
    }
    all
}

/// As docs of `mark` draw it.
fn file(sections: &[(u32, &[u8])]) -> Vec<u8> {
    let body: usize = sections.iter().map(|(_, bytes)| bytes.len()).sum();
    let total = 24 + 16 * sections.len() + 4 + body;
    let mut out = b"HEAPMARK".to_vec();
    out.extend(1u32.to_le_bytes());
    out.extend(u32::try_from(sections.len()).unwrap_or(0).to_le_bytes());
    out.extend((total as u64).to_le_bytes());
    for (kind, bytes) in sections {
        out.extend(kind.to_le_bytes());
        out.extend(crc32fast::hash(bytes).to_le_bytes());
        out.extend((bytes.len() as u64).to_le_bytes());
    }
    out.extend(crc32fast::hash(&out).to_le_bytes());
    sections.iter().for_each(|(_, bytes)| out.extend(*bytes));
    out
}

/// The sections of a whole mark, as inputs have them: those of the ledger that `ledger` begins with.
fn seeds() -> Vec<Vec<u8>> {
    let whole = encode(&ledger::mark());
    let number = |at: usize, len: usize| {
        let bytes = whole.get(at..at + len).unwrap_or(&[]);
        bytes
            .iter()
            .rev()
            .fold(0usize, |sum, byte| sum << 8 | usize::from(*byte))
    };
    let count = number(12, 4);
    let mut at = 24 + 16 * count + 4;
    let mut input = Vec::new();
    for section in 0..count {
        let entry = 24 + 16 * section;
        let (kind, len) = (number(entry, 4), number(entry + 8, 8));
        input.push(u8::try_from(kind).unwrap_or(0));
        input.extend(u16::try_from(len).unwrap_or(u16::MAX).to_le_bytes());
        input.extend(whole.get(at..at + len).unwrap_or(&[]));
        at += len;
    }
    vec![input, whole]
}
