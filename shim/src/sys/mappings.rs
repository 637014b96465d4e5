//! Which memory is the shim's own: what it has mapped, and what else the process has. Asked by `locking` alone.
//!
//! A mapping is noted when it is made and forgotten when it is unmapped, by address, without a lock. Where all places are taken a further
//! one is not noted: it counts as the target's.

use super::files::{read_some, with_file};
use core::ptr::NonNull;
use heapshim_ledger::sync::{AtomicU64, Word};

/// Mappings that are noted: the tables, the leaves of a heap of 60 GiB, and hundreds of threads.
const PLACES: usize = 2048;

#[derive(Debug)]
struct Place {
    /// 0 = free.
    start: AtomicU64,
    /// 0 = being noted.
    bytes: AtomicU64,
}

static OURS: [Place; PLACES] = [const {
    Place {
        start: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
    }
}; PLACES];

/// Addresses from `start` up to `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Notes a mapping of ours.
pub(super) fn note(memory: NonNull<u8>, bytes: usize) {
    let start = memory.as_ptr() as u64;
    let free = OURS
        .iter()
        .find(|place| place.start.peek() == 0 && place.start.claim(0, start).is_ok());
    if let Some(place) = free {
        place.bytes.publish(bytes as u64);
    }
}

/// Forgets a mapping that is about to go.
pub(super) fn forget(memory: NonNull<u8>) {
    let start = memory.as_ptr() as u64;
    if let Some(place) = OURS.iter().find(|place| place.start.peek() == start) {
        place.bytes.put(0);
        place.start.publish(0);
    }
}

/// The shim's mappings.
pub(crate) fn ours() -> impl Iterator<Item = Span> {
    OURS.iter().filter_map(|place| {
        let bytes = usize::try_from(place.bytes.observe()).ok()?;
        let start = usize::try_from(place.start.peek()).ok()?;
        let end = start.checked_add(bytes)?;
        (start < end && start != 0).then_some(Span { start, end })
    })
}

/// Visits what the process has mapped and the shim has not. False where /proc is not there.
pub(crate) fn each_other(mut visit: impl FnMut(Span)) -> bool {
    each_mapping(|whole| without(whole, ours, &mut visit))
}

/// Visits the parts of `whole` that lie in none of `holes`.
fn without<I: Iterator<Item = Span>>(
    whole: Span,
    holes: impl Fn() -> I,
    visit: &mut impl FnMut(Span),
) {
    let mut from = whole.start;
    while from < whole.end {
        if let Some(hole) = holes().find(|hole| (hole.start..hole.end).contains(&from)) {
            from = hole.end;
            continue;
        }
        let next = holes().map(|hole| hole.start).filter(|&start| start > from);
        let end = next.min().map_or(whole.end, |start| start.min(whole.end));
        visit(Span { start: from, end });
        from = end;
    }
}

/// Visits each line of /proc/self/maps: proc_pid_maps(5).
fn each_mapping(mut visit: impl FnMut(Span)) -> bool {
    let read = |file| {
        let (mut buffer, mut lines) = ([0; 1024], Lines::default());
        while let Some(bytes) = read_some(file, &mut buffer) {
            bytes
                .iter()
                .filter_map(|&byte| lines.next(byte))
                .for_each(&mut visit);
        }
    };
    with_file(c"/proc/self/maps", read).is_some()
}

/// Where in a line the next byte lies.
#[derive(Clone, Copy, Debug, Default)]
enum Part {
    #[default]
    Start,
    End,
    Rest,
}

/// Reads `START-END …` lines byte by byte: a line may be longer than any buffer.
#[derive(Debug, Default)]
struct Lines {
    part: Part,
    start: usize,
    number: usize,
}

impl Lines {
    fn next(&mut self, byte: u8) -> Option<Span> {
        match (self.part, byte) {
            (_, b'\n') => *self = Lines::default(),
            (Part::Start, b'-') => {
                (self.part, self.start, self.number) = (Part::End, self.number, 0);
            }
            (Part::End, b' ') => {
                self.part = Part::Rest;
                let (start, end) = (self.start, self.number);
                return Some(Span { start, end });
            }
            (Part::Start | Part::End, digit) => {
                let value = char::from(digit).to_digit(16).unwrap_or(0);
                self.number = self.number.wrapping_mul(16).wrapping_add(value as usize);
            }
            (Part::Rest, _) => (),
        }
        None
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_types, reason = "a test may allocate")]
mod tests {
    use super::*;

    fn span(start: usize, end: usize) -> Span {
        Span { start, end }
    }

    /// Check that lines are read whatever stands behind their ranges.
    #[test]
    fn lines() {
        let text =
            b"55aa0000-55aa1000 r-xp 0 08:01 7 /a-b c\nffffffffff600000-ffffffffff601000 --xp\n";
        let mut lines = Lines::default();
        let found: Vec<Span> = text.iter().filter_map(|&byte| lines.next(byte)).collect();
        let high = 0xffff_ffff_ff60_0000;
        assert_eq!(
            found,
            [span(0x55aa_0000, 0x55aa_1000), span(high, high + 4096)]
        );
    }

    /// Check what is left of a range that begins in, spans, ends in and lies in holes.
    #[test]
    fn holes() {
        let left = |whole, holes: &[Span]| {
            let mut parts = Vec::new();
            without(whole, || holes.iter().copied(), &mut |part| {
                parts.push((part.start, part.end));
            });
            parts
        };
        let holes = [span(50, 60), span(5, 20), span(90, 200)];
        assert_eq!(left(span(10, 100), &holes), [(20, 50), (60, 90)]);
        assert_eq!(left(span(60, 90), &holes), [(60, 90)]);
        assert_eq!(left(span(95, 100), &holes), []);
        assert_eq!(left(span(0, 7), &holes), [(0, 5)]);
    }

    /// Check that this process's own memory is found, and what was noted is left out of it until it is forgotten.
    #[test]
    fn own_memory() {
        let memory = super::super::map_private(1 << 20).expect("a MiB");
        let at = memory.as_ptr() as usize;
        let seen = || {
            let mut seen = false;
            assert!(each_other(
                |part| seen |= (part.start..part.end).contains(&at)
            ));
            seen
        };
        assert!(!seen());
        assert!(ours().any(|ours| ours == span(at, at + (1 << 20))));
        forget(memory);
        assert!(seen());
    }
}
