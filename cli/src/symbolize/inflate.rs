//! Compressed bytes of ELF files: zlib and zstd sections, and the xz file in `.gnu_debugdata`.
//!
//! Called by `elf` and `module`. The sizes that a file claims are believed only as far as its compressed bytes could make them, and what comes
//! out is written where it stays: a section of hundreds of MiB is not copied.

use crate::symbolize::elf::{Damage, MAX_SECTION, filled};
use flate2::{Decompress, FlushDecompress, Status};
use object::CompressionFormat;
use ruzstd::decoding::FrameDecoder;
use std::io::{Cursor, Read};
use std::num::NonZeroUsize;
use std::rc::Rc;
use xz4rust::{XzDecoder, XzReader};

/// zlib cannot make more of a byte than this; a header that claims more lies.
const MAX_ZLIB_RATIO: u64 = 1032;

/// zstd makes 128 KiB of a block of 4 bytes.
const MAX_ZSTD_RATIO: u64 = 1 << 15;

/// Largest file in a `.gnu_debugdata`: it holds symbols alone; a browser's have 60 MiB.
const MAX_INSIDE: usize = 256 << 20;

/// `xz -9` has a dictionary of 64 MiB.
const MAX_DICTIONARY: usize = 64 << 20;

/// What `xz -0` asks for: enough for most, and grown where it is not.
const FIRST_DICTIONARY: usize = 256 << 10;

/// A section's `size` bytes.
pub(super) fn inflate(
    format: CompressionFormat,
    stored: &[u8],
    size: u64,
) -> Result<Rc<[u8]>, Damage> {
    let ratio = match format {
        CompressionFormat::Zlib => MAX_ZLIB_RATIO,
        CompressionFormat::Zstandard => MAX_ZSTD_RATIO,
        _ => return Err("it is compressed in an unknown way".to_string()),
    };
    if size > MAX_SECTION || size / ratio > stored.len() as u64 {
        return Err("it claims an impossible size".to_string());
    }
    let size = usize::try_from(size).map_err(|e| e.to_string())?;
    let damaged = || "its compressed bytes are damaged".to_string();
    filled(size, |space| {
        let done = match format {
            CompressionFormat::Zlib => zlib(stored, space),
            _ => zstd(stored, space),
        };
        done.ok_or_else(damaged)
    })
}

/// Fills the space; None where there are not exactly so many bytes.
fn zlib(stored: &[u8], space: &mut [u8]) -> Option<()> {
    let size = space.len() as u64;
    let mut stream = Decompress::new(true);
    let status = stream
        .decompress(stored, space, FlushDecompress::Finish)
        .ok()?;
    (stream.total_out() == size && status == Status::StreamEnd).then_some(())
}

fn zstd(stored: &[u8], space: &mut [u8]) -> Option<()> {
    let size = space.len();
    let count = FrameDecoder::new().decode_all(stored, space).ok()?;
    (count == size).then_some(())
}

/// The file that an xz stream holds.
pub(super) fn unxz(stored: &Rc<[u8]>) -> Result<Rc<[u8]>, Damage> {
    let decoder = XzDecoder::in_heap_with_alloc_dict_size(FIRST_DICTIONARY, MAX_DICTIONARY);
    let block = NonZeroUsize::new(1 << 16).ok_or("no block")?;
    let stored = Cursor::new(Rc::clone(stored));
    let reader = XzReader::new_with_buffer_size_and_decoder(stored, block, decoder);
    let mut bytes = Vec::new();
    let mut reader = reader.take(MAX_INSIDE as u64 + 1);
    reader.read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bytes.len() > MAX_INSIDE {
        return Err("the symbols in it are too large".to_string());
    }
    Ok(Rc::from(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that a section that claims to inflate to more than its format can is refused before memory is taken.
    #[test]
    fn impossible_inflation_is_refused() {
        for format in [CompressionFormat::Zlib, CompressionFormat::Zstandard] {
            let refused = inflate(format, &[0; 8], 1 << 30);
            assert_eq!(refused, Err("it claims an impossible size".to_string()));
        }
        assert!(inflate(CompressionFormat::Unknown, &[0; 8], 8).is_err());
    }

    /// Check that a stream that ends early or late is damage, and one of the right length is not: in both formats.
    #[test]
    fn the_length_must_be_right() {
        // "aaaaaaaa", by Python's zlib and by zstd(1).
        let zlib = [
            0x78, 0x9c, 0x4b, 0x4c, 0x84, 0x00, 0x00, 0x0d, 0xac, 0x03, 0x09,
        ];
        let zstd = [
            0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58, 0x41, 0x00, 0x00, 0x61, 0x61, 0x61, 0x61, 0x61,
            0x61, 0x61, 0x61,
        ];
        for (format, stored) in [
            (CompressionFormat::Zlib, &zlib[..]),
            (CompressionFormat::Zstandard, &zstd),
        ] {
            let size = |size| inflate(format, stored, size);
            assert_eq!(size(8).as_deref(), Ok(&b"aaaaaaaa"[..]), "{format:?}");
            assert!(size(7).is_err() && size(9).is_err(), "{format:?}");
        }
    }

    /// Check that rubbish is no xz stream.
    #[test]
    fn rubbish_is_no_stream() {
        assert!(unxz(&Rc::from([0; 64])).is_err());
        assert!(unxz(&Rc::from([])).is_err());
    }
}
