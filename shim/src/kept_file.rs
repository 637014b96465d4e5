//! A ledger in a file of HEAPSHIM_DIR: it is there when the process has ended, however that was, with no `run` that waits for it.
//!
//! Called by `ledger_file`. The file is named after program, pid and identity, so that no two accounts share one, and made new: what
//! lies there already, a symbolic link too, is left alone. Its room on the disk is taken before it is mapped, since a write to a sparse file on a full
//! disk kills the writer with SIGBUS. Where any of that fails, a memfd does it, and the account says so. Nothing here removes the
//! file of an account that began: that is the user's.

use crate::options::Options;
use crate::sys::{self, Descriptor};
use core::ffi::CStr;
use heapshim_ledger::header::Geometry;
use heapshim_ledger::writer::Identity;

/// A ledger takes at most this share of what the disk has left: the target needs the rest, and so do its children.
const DISK_SHARE: u64 = 16;
/// No ledger on a disk is larger: each process of a tree has one, and its room is taken whole. Half of what it may have in memory.
const LARGEST_BYTES: u64 = 128 << 20;
/// Longest path of such a file: HEAPSHIM_DIR has 255 bytes at most, the name 64, and two numbers.
const PATH_BYTES: usize = 384;

/// Makes the file for a ledger as large as `geometry` says of the room that there is; None where it was not asked for, or cannot be.
pub(crate) fn create(
    options: &Options,
    identity: &Identity,
    geometry: impl Fn(u64) -> Option<Geometry>,
) -> Option<(Descriptor, Geometry)> {
    let path = path(options, identity)?;
    let path = CStr::from_bytes_until_nul(&path).ok()?;
    let file = sys::create(path)?;
    let room = (sys::free_bytes(file) / DISK_SHARE).min(LARGEST_BYTES);
    let made = geometry(room)
        .filter(|geometry| sys::allocate(file, geometry.total_bytes()).is_ok())
        .map(|geometry| (file, geometry));
    if made.is_none() {
        sys::remove(path);
        sys::close(file);
    }
    made
}

/// `DIR/NAME-PID-IDENTITY.heapledger`, ended by NUL.
fn path(options: &Options, identity: &Identity) -> Option<[u8; PATH_BYTES]> {
    let mut decimal = [0; 20];
    let mut hexadecimal = [0; 16];
    let name = options.name.text().map_or(&[][..], CStr::to_bytes);
    let parts = [
        options.directory.text()?.to_bytes(),
        b"/",
        name,
        b"-",
        digits(identity.pid.into(), 10, &mut decimal),
        b"-",
        digits(identity.identity, 16, &mut hexadecimal),
        b".heapledger",
    ];
    let mut path = [0; PATH_BYTES];
    let bytes = parts.into_iter().flatten();
    let len = parts.iter().map(|part| part.len()).sum::<usize>();
    let places = path.iter_mut();
    places.zip(bytes).for_each(|(to, from)| *to = *from);
    (len < PATH_BYTES).then_some(path)
}

/// A number's digits.
fn digits(mut number: u64, base: u64, place: &mut [u8]) -> &[u8] {
    let mut used = 0;
    for digit in place.iter_mut().rev() {
        *digit = b"0123456789abcdef"
            .get(usize::try_from(number % base).unwrap_or(0))
            .copied()
            .unwrap_or(b'0');
        number /= base;
        used += 1;
        if number == 0 {
            break;
        }
    }
    let from = place.len() - used;
    place.get(from..).unwrap_or(&[])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check the digits of numbers, none, few and as many as there is room for.
    #[test]
    fn numbers() {
        let mut place = [0; 20];
        assert_eq!(digits(0, 10, &mut place), b"0");
        assert_eq!(digits(4242, 10, &mut place), b"4242");
        assert_eq!(digits(u64::MAX, 10, &mut place), b"18446744073709551615");
        let mut place = [0; 16];
        assert_eq!(digits(u64::MAX, 16, &mut place), [b'f'; 16]);
        assert_eq!(digits(0xab0, 16, &mut place), b"ab0");
    }
}
