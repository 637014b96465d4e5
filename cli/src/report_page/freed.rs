//! Under a line of the page: which lines freed its blocks, of a recording with the stacks of frees; in numbers, of which the script makes words.

use crate::frees::{Freed, Freeing};
use crate::place::Place;
use serde_json::{Value, json};
use std::rc::Rc;

/// Lines that freed the blocks of one: more than these are counted.
const MOST: usize = 10;
/// Lines that have theirs in the page, heaviest first: a megabyte at most, before it is packed.
const MOST_LINES: usize = 2_000;

/// Who freed the blocks of each line of the page. A line has one such account, or, where the page does not tell lines apart that `diff` does (code that was made
/// at run time), several.
#[derive(Debug, Default)]
pub(super) struct Lines(Vec<Vec<Rc<Freed>>>);

impl Lines {
    /// A stack of this line says so.
    pub(super) fn add(&mut self, line: u32, freed: Option<&Rc<Freed>>) {
        let Some(freed) = freed else {
            return;
        };
        let line = line as usize;
        if self.0.len() <= line {
            self.0.resize_with(line + 1, Vec::new);
        }
        let known = &mut self.0[line];
        if !known.iter().any(|one| Rc::ptr_eq(one, freed)) {
            known.push(Rc::clone(freed));
        }
    }

    /// One value a line: null where nobody knows (what is not attributed, what is left over), 0 where the page has no room for it; null for all where nobody asked. `number` is that of a text.
    pub(super) fn json(&self, mut number: impl FnMut(&Place, Option<&str>) -> [u32; 2]) -> Value {
        if self.0.is_empty() {
            return Value::Null;
        }
        let mut room = MOST_LINES;
        let each = self.0.iter().map(|of_line| {
            let all = Told::of(of_line);
            if of_line.is_empty() {
                return Value::Null;
            }
            if all == Told::default() {
                return json!({"by": []});
            }
            if room == 0 {
                return 0.into();
            }
            room -= 1;
            all.json(&mut number)
        });
        each.collect()
    }
}

/// The lines of one account that are shown, which are those whose names the page must know.
pub(super) fn shown(freed: &Freed) -> impl Iterator<Item = &Freeing> {
    freed.by.iter().take(MOST)
}

/// What is told of one line.
#[derive(Debug, Default, PartialEq)]
struct Told<'f> {
    by: Vec<&'f Freeing>,
    more_lines: usize,
    more_blocks: u64,
    unknown_blocks: u64,
    left_out_blocks: u64,
}

impl Told<'_> {
    fn of(freed: &[Rc<Freed>]) -> Told<'_> {
        let mut told = Told::default();
        for one in freed {
            told.by.extend(shown(one));
            let rest = one.by.get(MOST..).unwrap_or(&[]);
            told.more_lines += rest.len();
            told.more_blocks += rest.iter().map(|one| one.blocks).sum::<u64>();
            told.unknown_blocks += one.unknown_blocks;
            told.left_out_blocks += one.left_out_blocks;
        }
        told.by
            .sort_by_key(|one| std::cmp::Reverse((one.stopped, one.blocks)));
        told
    }

    /// By whom, each with its place and function (numbers of texts), blocks, when it freed the last, what was allocated since, and whether it stopped.
    fn json(&self, number: &mut impl FnMut(&Place, Option<&str>) -> [u32; 2]) -> Value {
        let each = self.by.iter().map(|one| {
            let [place, function] = number(&Place::of(&one.by), one.by.function.as_deref());
            json!([
                place,
                function,
                one.blocks,
                one.last_ns,
                one.allocated_since,
                one.stopped
            ])
        });
        json!({
            "by": each.collect::<Vec<_>>(),
            "more": [self.more_lines, self.more_blocks],
            "unknown": self.unknown_blocks,
            "left_out": self.left_out_blocks,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    /// So many lines that freed, of which the n-th freed n blocks more.
    fn freed(lines: u32) -> Rc<Freed> {
        let one = |n: u32| Freeing {
            by: crate::report::Row {
                line: Some(n),
                ..fixture::report().rows[1].clone()
            },
            blocks: u64::from(1000 - n),
            bytes: 0,
            blocks_between: 0,
            last_ns: 7,
            allocated_since: 0,
            stopped: n == 0,
        };
        Rc::new(Freed {
            by: (0..lines).map(one).collect(),
            unknown_blocks: 3,
            left_out_blocks: 0,
        })
    }

    fn json(lines: &Lines) -> Value {
        lines.json(|place, _| {
            let Place::Line(_, line) = place else {
                return [0, 0];
            };
            [*line, 1]
        })
    }

    /// Check that what has no room is counted, that a line's account is there once however many stacks it has, that a line of two has both in one order, and that one
    /// of which nothing is known is none whose blocks nobody freed.
    #[test]
    fn bounded() {
        let mut lines = Lines::default();
        assert_eq!(json(&lines), Value::Null, "nobody asked");
        let (one, other) = (freed(13), freed(2));
        lines.add(1, Some(&one));
        lines.add(1, Some(&one));
        lines.add(2, Some(&other));
        lines.add(2, Some(&one));
        lines.add(3, Some(&Rc::default()));
        lines.add(3, None);
        let all = json(&lines);
        assert_eq!((&all[0], &all[3]), (&Value::Null, &json!({"by": []})));
        assert_eq!(all[1]["by"].as_array().map(Vec::len), Some(MOST));
        let rest: u64 = (10..13).map(|n| 1000 - n).sum();
        assert_eq!(all[1]["more"], json!([3, rest]));
        assert_eq!(all[1]["by"][0], json!([0, 1, 1000, 7, 0, true]));
        assert_eq!(all[2]["unknown"], 6);
        let blocks = |at: usize| all[2]["by"][at][2].as_u64();
        let four = [0, 1, 2, 3].map(blocks);
        assert_eq!(four, [1000, 1000, 999, 999].map(Some));
    }

    /// Check that of more lines than there is room for the rest say so.
    #[test]
    fn many_lines() {
        let mut lines = Lines::default();
        let one = freed(1);
        (0..2_005).for_each(|line| lines.add(line, Some(&one)));
        let all = json(&lines);
        let all = all.as_array().expect("a list");
        assert!(all[MOST_LINES - 1].is_object());
        assert!(all[MOST_LINES..].iter().all(|one| one == 0));
    }
}
