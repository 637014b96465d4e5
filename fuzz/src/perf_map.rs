//! `/tmp/perf-PID.map`, which anybody may write: names of made code. An input is the file; six addresses are asked for.

use crate::{Target, ledger, scratch};
use heapshim_cli::model::{Frame, FrameKind};
use heapshim_cli::symbolize::MapFile;

pub(crate) const TARGET: Target = Target {
    name: "perf-map",
    run,
    seeds,
};

const ASKED: [u64; 6] = [0, 0x10, 0x1001, 0x1010, 0x7f00_0000_1008, u64::MAX];

fn run(bytes: &[u8]) {
    scratch::write("tmp/perf-7.map", bytes);
    let root = scratch::path("tmp");
    // SAFETY: takes no arguments.
    let user = unsafe { libc::geteuid() };
    let file = MapFile {
        root: root.parent().map(Into::into),
        pid: 7,
        owners: vec![user],
        since_unix_ns: 0,
    };
    let mut snapshot = ledger::mark().snapshot;
    snapshot.frames.extend(ASKED.map(|value| Frame {
        parent: 0,
        kind: FrameKind::Unknown,
        module: None,
        value,
    }));
    file.name(&mut snapshot);
    let mut named = snapshot.jit.iter();
    assert!(named.all(|(address, name)| ASKED.contains(address) && !name.is_empty()));
    let longest: usize = snapshot.jit.values().map(String::len).sum();
    // Three bytes stand for one that is not UTF-8; a line names all addresses that it covers.
    assert!(longest <= 3 * ASKED.len() * bytes.len());
}

fn seeds() -> Vec<Vec<u8>> {
    let seeds = [
        "1000 10 JS:*leak /srv/app.js:2:14\n1008 4 newer\n",
        "0x7f0000001000 0x100 Ljava/lang/String;::hashCode\n",
        "7f0000001000 ff py::f:/srv/a.py\n\n1000\n1000 10\nzz 10 f\nffffffffffffff00 ff end\n",
        "0 ffffffffffffffff all\r\n1000 0 none\n1000 10 half",
    ];
    seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect()
}
