//! Limits: the target runs on whatever it may use, and what finds no room in the account is counted and shown.

use heapshim_cli::store::read_file;
use heapshim_tests::{Finished, Run, Target};

/// Lines of deep.c at which its two functions allocate.
const LEFT: u64 = 28;
const RIGHT: u64 = 34;

/// Runs sites.c with 2^`depth` stacks in a shell that first sets a limit.
fn limited(limit: &str, depth: u32) -> Finished {
    let program = Target::c("sites.c").opt("-O1").build();
    let program = program.to_str().expect("UTF-8");
    let script = format!("{limit} && exec {program} {depth} quietly");
    Run::new(&["sh", "-c", &script]).finish()
}

/// Check that many stacks are all told apart where there is room.
#[test]
fn no_limit() {
    let finished = limited("true", 12);
    assert!(finished.status.success());
    let report = finished.report();
    assert_eq!(report.growth().bytes, 37 * 4096, "{}", report.listing());
    report.assert_complete();
}

/// Check that with an account of little room the bytes are still all there, and that the overflow is a number of its own.
#[test]
fn small_file_size() {
    for kilobytes in [4096, 1024, 512] {
        // `ulimit -f` counts blocks of 512 bytes in sh.
        let finished = limited(&format!("ulimit -f {}", 2 * kilobytes), 15);
        assert!(finished.status.success(), "{kilobytes} KiB: {finished:?}");
        let report = finished.report();
        assert_eq!(report.growth().blocks, 1 << 15, "{}", report.listing());
        assert_eq!(report.growth().bytes, 37 << 15, "{}", report.listing());
        let overflow = report.unattributed("overflow_events");
        assert!(overflow > 0, "{kilobytes} KiB had room for all");
        assert!(report.unattributed("growth_bytes") > 0, "{overflow} events");
        report.assert_adds_up();
    }
}

/// Check that a file size that leaves no room for any account leaves the target alone, and that the shell's account, which was there
/// before, is not passed off as the target's.
#[test]
fn no_file_size() {
    for limit in ["ulimit -f 0", "ulimit -f 512"] {
        let finished = limited(limit, 4);
        assert!(finished.status.success(), "{finished:?}");
        assert!(finished.report.is_none(), "{finished:?}");
    }
    let program = Target::c("sites.c").opt("-O1").build();
    let script = format!("ulimit -f 512 && exec {} 4 quietly", program.display());
    let words = ["run", "--", "sh", "-c", &script];
    let output = heapshim_tests::talk(&words);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("no account: limits on memory or file size"),
        "{said}"
    );
}

/// Check that half a GiB of address space is enough for a whole account, of which the tables leave the target more than half.
#[test]
fn half_a_gigabyte() {
    let finished = limited("ulimit -v 524288", 12);
    let report = finished.report();
    assert_eq!(report.growth().bytes, 37 << 12, "{}", report.listing());
    report.assert_complete();
    report.assert_adds_up();
    let half = "ulimit -v 524288 && head -c 256M /dev/zero | tail -c 256M | wc -c";
    let finished = Run::new(&["sh", "-c", half]).finish();
    let said = String::from_utf8_lossy(&finished.stderr);
    assert_eq!(finished.stdout, b"268435456\n", "{said}");
}

/// Check that a target with less address space runs on.
#[test]
fn small_address_space() {
    for kilobytes in [400_000, 100_000, 20_000] {
        let finished = limited(&format!("ulimit -v {kilobytes}"), 10);
        assert!(finished.status.success(), "{kilobytes} KiB: {finished:?}");
        if let Some(report) = &finished.report {
            report.assert_adds_up();
        }
    }
}

/// Check that a target with few descriptors runs on, and is traced.
#[test]
fn few_descriptors() {
    let finished = limited("ulimit -n 16", 4);
    assert!(finished.status.success(), "{finished:?}");
    let report = finished.report();
    assert_eq!(report.growth().bytes, 37 << 4, "{}", report.listing());
}

/// Check that stacks deeper than `--depth` are cut at the outer end, and that all their bytes are there.
#[test]
fn small_depth() {
    let program = Target::c("sites.c").opt("-O1").build();
    let words = [program.into_os_string(), "8".into(), "quietly".into()];
    let finished = Run::new(&words).option("--depth").option("4").finish();
    let report = finished.report();
    assert_eq!(report.growth().bytes, 37 << 8, "{}", report.listing());
    report.assert_adds_up();
}

/// Check that a recursion whose frames differ from level to level shares its nodes, though each of its stacks is deeper than is kept: a few nodes a level, and each
/// level's block has its line. Cut each at so many frames, they need more nodes than any account has.
#[test]
fn deep_recursion() {
    const LEVELS: usize = 6000;
    const NODES_A_LEVEL: usize = 12;
    let program = Target::c("deep.c").opt("-O1").build();
    let words = [program.into_os_string(), LEVELS.to_string().into()];
    let finished = Run::new(&words).finish();
    let said = String::from_utf8_lossy(&finished.stdout);
    let of_kinds: Vec<i64> = said.split_whitespace().flat_map(str::parse).collect();
    let [lefts, rights] = of_kinds[..] else {
        panic!("two numbers: {said}");
    };
    let report = finished.report();
    let listing = report.listing();
    for (line, blocks, bytes) in [(LEFT, lefts, 24 * lefts), (RIGHT, rights, 40 * rights)] {
        let growth = report.row("deep.c", line).growth();
        assert_eq!((growth.blocks, growth.bytes), (blocks, bytes), "{listing}");
    }
    assert_eq!(report.unattributed("overflow_events"), 0, "{listing}");
    let cut = report.unattributed("truncated_stacks");
    assert!(cut > 5000, "{cut} of {LEVELS} stacks are cut");
    let mark = read_file(&finished.marks[0]).expect("a mark that was just written");
    let nodes = mark.snapshot.frames.len();
    assert!(nodes < NODES_A_LEVEL * LEVELS, "{nodes} nodes");
    report.assert_adds_up();
}

/// Check that the account does not grow with the number of sizes: a hundred and a hundred thousand of them, from one line, are as many stacks and frames.
#[test]
fn sizes_without_end() {
    const LINE: u64 = 11;
    let program = Target::c("sizes.c").opt("-O1").build();
    let tables = [100, 100_000].map(|sizes: i64| {
        let words = [program.clone().into_os_string(), sizes.to_string().into()];
        let finished = Run::new(&words).finish();
        let row = finished.report().row("sizes.c", LINE);
        let (growth, total) = (row.growth(), row.total());
        assert_eq!((growth.blocks, growth.bytes), (1, sizes), "the last one");
        let all = sizes * (sizes + 1) / 2;
        assert_eq!((total.blocks, total.bytes), (sizes, all), "each once");
        let mark = read_file(&finished.marks[0]).expect("a mark that was just written");
        (mark.snapshot.sites.len(), mark.snapshot.frames.len())
    });
    assert_eq!(tables[0], tables[1], "sites and frames");
}
