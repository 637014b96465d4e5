//! What happened besides events of the heap, at one instant each: written by `recorder`, read by `Trace::happened`.
//!
//! ```text
//! first part: what u32 | pid u32 (0 where it is about none) | text        What 0: so many more were left out, the number in place of the pid
//! ```
//! A program that forks for ever must not fill a disk: no more than [`MOST`] are written, and none beyond is kept in memory when they are read; how many
//! were left out is said.

use super::Damage;
use crate::mark::bytes::{Reader, Writer};
use crate::render::escape;

/// Instants of a recording: about a megabyte of its file.
const MOST: usize = 10_000;
/// Bytes of a text that are kept: a path's longest.
const MOST_TEXT: usize = 4096;
/// What stands for those that were left out.
const LEFT_OUT: u32 = 0;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum What {
    /// The process executed this program: where that is traced, the recording begins with it.
    Exec = 1,
    /// Code of this object was on a stack for the first time.
    Load = 2,
    /// This object was found gone from its place.
    Unload = 3,
    /// A thread of this label had its first event.
    Thread = 4,
    /// A forked child began its account.
    Fork = 5,
    /// A child began this program.
    Child = 6,
    /// The program took a mark of this name. It has a kind of chunk of its own.
    Mark = 7,
}

impl What {
    /// All that there are.
    pub const ALL: [What; 7] = [
        What::Exec,
        What::Load,
        What::Unload,
        What::Thread,
        What::Fork,
        What::Child,
        What::Mark,
    ];

    /// Its name.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            What::Exec => "exec",
            What::Load => "load",
            What::Unload => "unload",
            What::Thread => "thread",
            What::Fork => "fork",
            What::Child => "child",
            What::Mark => "mark",
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instant {
    /// When, in nanoseconds from the recording's beginning.
    pub ns: u64,
    /// What.
    pub what: What,
    /// The child's pid.
    pub pid: Option<u32>,
    /// Which; a name of the target's, to be escaped where it is shown.
    pub text: String,
}

impl Instant {
    /// What it is of, in words that are safe to show.
    #[must_use]
    pub fn words(&self) -> String {
        let text = escape(&self.text);
        match (self.what, self.pid) {
            (What::Exec, _) => format!("{text}: what ran before it is not in this recording"),
            (_, Some(pid)) => format!("{text} (pid {pid})"),
            (_, None) => text,
        }
    }
}

/// What happened in a recording, in the order of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instants {
    /// Each.
    pub all: Vec<Instant>,
    /// How many more there were.
    pub left_out: u64,
}

impl Instants {
    /// Takes in one that is written down.
    pub(super) fn add(&mut self, ns: u64, bytes: &[u8]) -> Result<(), Damage> {
        let mut reader = Reader::new(bytes);
        let (what, number) = (reader.u32()?, reader.u32()?);
        if what == LEFT_OUT {
            self.left_out = self.left_out.saturating_add(number.into());
            return Ok(());
        }
        // What a later version tells is passed over.
        let Some(what) = What::ALL.into_iter().find(|&known| known as u32 == what) else {
            return Ok(());
        };
        if self.all.len() >= MOST {
            self.left_out = self.left_out.saturating_add(1);
            return Ok(());
        }
        let text = reader.bytes(reader.left().min(MOST_TEXT))?;
        self.all.push(Instant {
            ns,
            what,
            pid: Some(number).filter(|&pid| pid != 0),
            text: String::from_utf8_lossy(text).into_owned(),
        });
        Ok(())
    }
}

/// How many a recorder has written, and has not.
#[derive(Debug, Default)]
pub(super) struct Told {
    written: usize,
    left_out: u64,
}

impl Told {
    /// True where one more may be written; it is counted either way.
    pub(super) fn one_more(&mut self) -> bool {
        let has_room = self.written < MOST;
        match has_room {
            true => self.written += 1,
            false => self.leave_out(1),
        }
        has_room
    }

    /// So many more happened that nobody tells.
    pub(super) fn leave_out(&mut self, count: u64) {
        self.left_out = self.left_out.saturating_add(count);
    }

    /// What was not written.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out
    }
}

/// One, as it is written down.
pub(super) fn encode(instant: &Instant) -> Vec<u8> {
    let text = instant.text.as_bytes();
    let text = text.get(..MOST_TEXT).unwrap_or(text);
    written(instant.what as u32, instant.pid.unwrap_or(0), text)
}

/// That so many were left out.
pub(super) fn encode_left_out(count: u64) -> Vec<u8> {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    written(LEFT_OUT, count, &[])
}

fn written(what: u32, number: u32, text: &[u8]) -> Vec<u8> {
    let mut out = Writer::default();
    out.u32(what);
    out.u32(number);
    out.bytes(text);
    out.into_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instant(what: What, pid: Option<u32>, text: &str) -> Instant {
        Instant {
            ns: 7,
            what,
            pid,
            text: text.to_owned(),
        }
    }

    /// Check that each comes back as it was, a text no longer than a path's, and that what nobody knows is passed over.
    #[test]
    fn round_trip() {
        let mut instants = Instants::default();
        let written = [
            instant(What::Load, None, "/lib/é.so"),
            instant(What::Fork, Some(4243), ""),
            instant(What::Thread, None, &"x".repeat(5000)),
        ];
        for one in &written {
            instants.add(7, &encode(one)).expect("whole");
        }
        instants.add(7, &[99, 0, 0, 0, 0, 0, 0, 0]).expect("newer");
        instants.add(7, &encode_left_out(3)).expect("whole");
        assert_eq!(instants.add(7, &[1, 0, 0]), Err(Damage::Short));
        assert_eq!(instants.all[..2], written[..2]);
        assert_eq!((instants.all[2].text.len(), instants.all.len()), (4096, 3));
        assert_eq!(instants.left_out, 3);
    }

    /// Check that a file which has more than are ever written costs no more memory than one that has as many.
    #[test]
    fn no_more_than_most() {
        let mut instants = Instants::default();
        let one = encode(&instant(What::Child, Some(1), "sh"));
        (0..MOST + 5).for_each(|_| instants.add(1, &one).expect("whole"));
        assert_eq!((instants.all.len(), instants.left_out), (MOST, 5));
    }

    /// Check that a recorder writes as many as are read, and counts the rest.
    #[test]
    fn told() {
        let mut told = Told::default();
        told.leave_out(2);
        let written = (0..MOST + 5).filter(|_| told.one_more()).count();
        assert_eq!((written, told.left_out()), (MOST, 7));
    }
}
