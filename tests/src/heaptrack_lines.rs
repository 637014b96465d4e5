//! What heaptrack's trace says of each line: not rounded, as `heaptrack_print` has it, and with what is live at the end.
//!
//! A line charged is the innermost of a stack that is not in `operator new`, as `heaptrack_print` charges it. The trace (version 3) is
//! read as it was written: `s LENGTH TEXT` a string, `i ADDRESS MODULE [FUNCTION FILE LINE …]` an address with the line there,
//! innermost first, `t ADDRESS PARENT` a stack, `a SIZE STACK` an allocation of that size, `+ ALLOCATION` one of them, `- ALLOCATION` its
//! end. Numbers are hexadecimal, and count from 1 where 0 is none.

use crate::diff::Amount;
use std::collections::BTreeMap;

/// What is passed over, as `heaptrack_print` does.
const PASSED_OVER: [&str; 2] = [
    "operator new(unsigned long)",
    "operator new[](unsigned long)",
];

/// What was allocated at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Held {
    /// Ever.
    pub total: Amount,
    /// And not freed.
    pub live: Amount,
}

/// Where something was allocated.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Where {
    /// File, without its directories, and line.
    Line(String, u64),
    /// A function of which heaptrack has found no line; empty where it has not found that.
    Function(String),
}

/// What was allocated where.
#[derive(Debug, Default)]
pub struct HeaptrackLines(pub BTreeMap<Where, Held>);

#[derive(Default)]
struct Trace<'a> {
    strings: Vec<&'a str>,
    addresses: Vec<Where>,
    stacks: Vec<(usize, usize)>,
    allocations: Vec<(i64, usize)>,
    held: Vec<Held>,
}

impl HeaptrackLines {
    /// Reads a trace.
    ///
    /// # Panics
    /// Where it is of another version.
    #[must_use]
    pub fn read(text: &str) -> HeaptrackLines {
        assert!(text.starts_with("v 10400 3\n"), "another heaptrack's trace");
        let mut trace = Trace::default();
        text.lines().for_each(|line| trace.line(line));
        let mut found = HeaptrackLines::default();
        for (&(_, stack), held) in trace.allocations.iter().zip(&trace.held) {
            let place = trace.charged(stack);
            let sum = found.0.entry(place).or_default();
            sum.total += held.total;
            sum.live += held.live;
        }
        found
    }
}

impl<'a> Trace<'a> {
    fn line(&mut self, line: &'a str) {
        let Some((kind, rest)) = line.split_once(' ') else {
            return;
        };
        match kind {
            "s" => self
                .strings
                .extend(rest.split_once(' ').map(|(_, text)| text)),
            "i" => {
                let place = self.place(&numbers(rest));
                self.addresses.push(place);
            }
            "t" => {
                let [address, parent] = numbers(rest)[..] else {
                    return;
                };
                self.stacks.push((address, parent));
            }
            "a" => {
                let [size, stack] = numbers(rest)[..] else {
                    return;
                };
                self.allocations
                    .push((size.try_into().expect("a size"), stack));
                self.held.push(Held::default());
            }
            "+" => self.happened(rest, 1),
            "-" => self.happened(rest, -1),
            _ => {}
        }
    }

    fn happened(&mut self, allocation: &str, blocks: i64) {
        let at = numbers(allocation)[0];
        let bytes = self.allocations[at].0 * blocks;
        let held = &mut self.held[at];
        held.live += Amount { bytes, blocks };
        if blocks > 0 {
            held.total += Amount { bytes, blocks };
        }
    }

    fn place(&self, numbers: &[usize]) -> Where {
        let text = |at: usize| *self.strings.get(at.wrapping_sub(1)).unwrap_or(&"");
        let function = numbers.get(2).map_or("", |&at| text(at));
        match numbers {
            [_, _, _, file, line, ..] if *line > 0 && !PASSED_OVER.contains(&function) => {
                let name = text(*file).rsplit('/').next().unwrap_or_default();
                Where::Line(name.to_string(), *line as u64)
            }
            _ => Where::Function(function.to_string()),
        }
    }

    /// The innermost place that is charged.
    fn charged(&self, mut stack: usize) -> Where {
        while let Some(&(address, parent)) = self.stacks.get(stack.wrapping_sub(1)) {
            let place = self.addresses.get(address.wrapping_sub(1));
            match place {
                Some(Where::Function(name)) if PASSED_OVER.contains(&&**name) => stack = parent,
                Some(place) => return place.clone(),
                None => break,
            }
        }
        Where::Function(String::new())
    }
}

fn numbers(text: &str) -> Vec<usize> {
    let words = text.split(' ').filter(|word| !word.is_empty());
    let number = |word: &str| usize::from_str_radix(word, 16);
    words
        .map(|word| number(word).unwrap_or_else(|error| panic!("{word}: {error}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check a trace of two lines, one of which asks through `operator new`, and frees.
    #[test]
    fn reads_a_trace() {
        let trace = "v 10400 3\ns 1 m\ns 4 main\ns 8 /src/a.c\ns 1b operator new(unsigned long)\n\
                     i 10 1 2 3 7\ni 20 1 4\ni 30 1 2\nt 1 0\nt 2 1\nt 3 0\na 20 2\n+ 0\n+ 0\n- 0\na 5 3\n+ 1\n";
        let found = HeaptrackLines::read(trace).0;
        let amount = |bytes, blocks| Amount { bytes, blocks };
        let held = |place: Where| found.get(&place).copied();
        let line = Held {
            total: amount(64, 2),
            live: amount(32, 1),
        };
        assert_eq!(held(Where::Line("a.c".to_string(), 7)), Some(line));
        let nameless = Held {
            total: amount(5, 1),
            live: amount(5, 1),
        };
        assert_eq!(held(Where::Function("main".to_string())), Some(nameless));
        assert_eq!(found.len(), 2);
    }
}
