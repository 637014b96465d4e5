//! /proc/PID/smaps, which a process shapes by the names of its files and mappings: what is resident is never more than the lines say.

use crate::{Target, scratch};
use heapshim_cli::resident::Resident;

pub(crate) const TARGET: Target = Target {
    name: "smaps",
    run,
    seeds,
};

fn run(bytes: &[u8]) {
    let path = scratch::write("smaps", bytes);
    if let Some(resident) = Resident::of(&path) {
        let parts = [
            resident.allocator,
            resident.stacks,
            resident.code,
            resident.heapshim,
        ];
        assert!(parts.iter().all(|&part| part <= resident.total()));
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let own = std::fs::read("/proc/self/smaps").unwrap_or_default();
    let made = b"55aa0000-55aa2000 rw-p 00000000 00:00 0                          [heap]\nSize:                  8 kB\nRss:                   4 kB\n\
        Anonymous:             4 kB\nVmFlags: rd wr mr mw me ac\n7f00-8f00 rw-s 0 00:01 7 /memfd:heapshim-ledger (deleted)\nRss: 12 kB\n"
        .to_vec();
    let start: Vec<u8> = own.into_iter().take(2000).collect();
    vec![made, start]
}
