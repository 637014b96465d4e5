//! heaptrack's figures of a program, worked out of what it wrote down: exact, where `heaptrack_print` rounds, and by address, which it does not keep.
//!
//! `heaptrack --raw` writes `+ SIZE STACK ADDRESS` for an allocation and `- ADDRESS` for the end of one, in hexadecimal, in order; a realloc is an end and an allocation.

use crate::diff::Amount;
use std::collections::HashMap;

/// What a program came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeaptrackFigures {
    /// Blocks allocated.
    pub allocations: i64,
    /// Bytes live at most.
    pub peak: i64,
    /// Live at the end.
    pub left: Amount,
    /// Blocks freed by the next operation.
    pub temporary: i64,
    /// What heaptrack calls temporary: a free after an allocation of the same stack and size, whichever of its blocks it frees. What it remembers of the last allocation is a number, after a
    /// free 0, which is that of the first stack and size: so a block of these that is freed after another is temporary to it as well.
    pub like_temporary: i64,
}

/// A block's size and stack.
type Kind<'t> = (i64, &'t str);

impl HeaptrackFigures {
    /// Those of a raw trace.
    ///
    /// # Panics
    /// Where it is none.
    #[must_use]
    pub fn read(text: &str) -> HeaptrackFigures {
        let mut figures = HeaptrackFigures::default();
        let mut live: HashMap<&str, Kind<'_>> = HashMap::new();
        let mut last: Option<(&str, Kind<'_>)> = None;
        let mut first: Option<Kind<'_>> = None;
        for line in text.lines() {
            let mut words = line.split(' ');
            match words.next() {
                Some("+") => {
                    let [size, stack, address] = [(); 3].map(|()| words.next().expect("a word"));
                    let size = i64::from_str_radix(size, 16).expect("a size");
                    live.insert(address, (size, stack));
                    first.get_or_insert((size, stack));
                    last = Some((address, (size, stack)));
                    figures.allocations += 1;
                    figures.left += Amount {
                        bytes: size,
                        blocks: 1,
                    };
                    figures.peak = figures.peak.max(figures.left.bytes);
                }
                Some("-") => {
                    let address = words.next().expect("an address");
                    let before = last.take();
                    let Some(kind) = live.remove(address) else {
                        continue;
                    };
                    figures.temporary += i64::from(before.is_some_and(|one| one.0 == address));
                    let alike = before.map(|one| one.1).or(first) == Some(kind);
                    figures.like_temporary += i64::from(alike);
                    figures.left += Amount {
                        bytes: -kind.0,
                        blocks: -1,
                    };
                }
                _ => (),
            }
        }
        figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check the highest moment, what is left, and both kinds of temporaries: an earlier block of the last kind, the last block, and one of the first kind after a free.
    #[test]
    fn reads_a_trace() {
        let text = "v 10400 3\n+ 10 1 a0\n+ 10 1 b0\n- a0\n+ 20 2 c0\n- c0\n- b0\n+ 8 1 d0\n- ff\n";
        let figures = HeaptrackFigures::read(text);
        let expected = HeaptrackFigures {
            allocations: 4,
            peak: 0x30,
            left: Amount {
                bytes: 8,
                blocks: 1,
            },
            temporary: 1,
            like_temporary: 3,
        };
        assert_eq!(figures, expected);
    }
}
