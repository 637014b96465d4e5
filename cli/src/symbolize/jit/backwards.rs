//! The lines of a file, last one first.
//!
//! Used by `jit`, whose files grow at their end while they are read, and of whose lines the last ones count. Memory is bounded by the longest
//! line that is kept; a line that is longer, one that does not end yet, and one that began before the limit are left out. What the file loses
//! meanwhile ends the reading.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// Read at once. 64 KiB: some 600 lines of V8's.
const BLOCK: usize = 64 << 10;

/// Longest line that is kept: names of C++ templates have some KiB.
const MAX_LINE: usize = 64 << 10;

/// An iterator over lines, without their ends.
#[derive(Debug)]
pub(super) struct Backwards {
    file: File,
    /// Nothing before this is read.
    limit: u64,
    /// What lies before this place has not been read yet.
    at: u64,
    /// What has been read and not been given out.
    held: Vec<u8>,
    /// The end of `held` is that of a line which is left out.
    skips: bool,
}

impl Backwards {
    /// The lines of the file's last `most` bytes.
    pub(super) fn new(file: File, most: u64) -> Backwards {
        let at = file.metadata().map_or(0, |meta| meta.len());
        Backwards {
            file,
            limit: at.saturating_sub(most),
            at,
            held: Vec::new(),
            skips: true, // what stands behind the last line's end is not whole
        }
    }

    /// Puts the block before in front of what is held; false where there is none (any more).
    fn read(&mut self) -> bool {
        let len = (self.at - self.limit).min(BLOCK as u64);
        let mut block = vec![0; usize::try_from(len).unwrap_or(0)];
        self.at -= len;
        if self.file.read_exact_at(&mut block, self.at).is_err() {
            (self.limit, self.skips) = (self.at, true); // what is held has lost its beginning
            return false;
        }
        if len == 0 {
            return false;
        }
        if self.held.len() > MAX_LINE {
            (self.held, self.skips) = (Vec::new(), true);
        }
        block.append(&mut self.held);
        self.held = block;
        true
    }
}

impl Iterator for Backwards {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            let (line, whole) = match memchr::memrchr(b'\n', &self.held) {
                Some(end) => {
                    let line = self.held.split_off(end + 1);
                    self.held.pop();
                    (line, true)
                }
                None if self.read() => continue,
                None => (std::mem::take(&mut self.held), self.at == 0),
            };
            let skips = std::mem::replace(&mut self.skips, false);
            match line {
                line if whole && !skips && line.len() <= MAX_LINE && !line.is_empty() => {
                    return Some(line);
                }
                _ if self.held.is_empty() && self.at == self.limit => return None,
                _ => (),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Random, Scratch};

    fn lines(test: &str, bytes: &[u8], most: u64) -> Vec<Vec<u8>> {
        let scratch = Scratch::new(test);
        let file = File::open(scratch.write("lines", bytes)).unwrap();
        Backwards::new(file, most).collect()
    }

    /// Check against the lines of the whole text, for lengths around the blocks' and the longest line's.
    #[test]
    fn same_lines() {
        let mut random = Random(7);
        for round in 0..40 {
            let mut text = Vec::new();
            let mut expected = Vec::new();
            while text.len() < 4 * BLOCK {
                let len = match random.below(8) {
                    0 => MAX_LINE + random.below(3) - 1,
                    1 => BLOCK + random.below(5) - 2,
                    2 => random.below(2),
                    _ => random.below(200),
                };
                let line: Vec<u8> = (0..len)
                    .map(|_| b'a' + u8::try_from(random.below(26)).unwrap())
                    .collect();
                text.extend_from_slice(&line);
                text.push(b'\n');
                expected.extend((1..=MAX_LINE).contains(&len).then_some(line));
            }
            text.extend_from_slice(b"unfinished");
            expected.reverse();
            assert!(
                lines("backwards-same", &text, u64::MAX) == expected,
                "round {round}"
            );
        }
    }

    /// Check that what lies before the limit is not read, and that the line that it cuts is left out.
    #[test]
    fn limit() {
        let found = lines("backwards-limit", b"one\ntwo\nthree\n", 9);
        assert_eq!(found, [b"three"]);
        assert_eq!(lines("backwards-all", b"one\ntwo\n", 8), [b"two", b"one"]);
        assert!(lines("backwards-none", b"", 8).is_empty());
        assert!(lines("backwards-no-end", b"one", 8).is_empty());
    }

    /// Check that a line of 256 MiB costs no memory, and that what stands around it is read: a sparse file.
    #[test]
    fn endless_line() {
        let scratch = Scratch::new("backwards-endless");
        let path = scratch.write("lines", b"first\n");
        let file = File::options().write(true).open(&path).unwrap();
        file.set_len(1 << 28).unwrap();
        file.write_all_at(b"\nlast\n", 1 << 28).unwrap();
        let mut lines = Backwards::new(File::open(&path).unwrap(), u64::MAX);
        assert_eq!(lines.next().as_deref(), Some(&b"last"[..]));
        assert_eq!(lines.next().as_deref(), Some(&b"first"[..]));
        assert!(lines.next().is_none() && lines.held.capacity() <= 2 * (MAX_LINE + BLOCK));
    }

    /// Check that a file that is cut while it is read ends the lines.
    #[test]
    fn cut_meanwhile() {
        let scratch = Scratch::new("backwards-cut");
        let path = scratch.write("lines", "line\n".repeat(40_000).as_bytes());
        let mut lines = Backwards::new(File::open(&path).unwrap(), u64::MAX);
        assert!(lines.next().is_some());
        std::fs::write(&path, "").unwrap();
        assert!(lines.count() < BLOCK / 5 + 1);
    }
}
