//! Memory that is not to be had: the target gets what it would have got, and what found no room in the account is counted and said.

use heapshim_tests::{Run, Target};

fn words(words: &[&std::path::Path], rest: &[&str]) -> Vec<std::ffi::OsString> {
    let first = words.iter().map(|path| path.as_os_str().to_owned());
    first.chain(rest.iter().map(Into::into)).collect()
}

/// Check a system that refuses ever smaller tables: the program's output and its end are its own. It is traced whole, in part, which is then counted,
/// or not at all, which is then said.
#[test]
fn tables_refused() {
    let (launcher, program) = (Target::c("refused.c").build(), Target::c("sites.c").build());
    let mut traced = 0;
    for most in [
        u32::MAX,
        64 << 20,
        16 << 20,
        9 << 20,
        4 << 20,
        1 << 20,
        4096,
        0,
    ] {
        let most = most.to_string();
        let command = words(&[&launcher], &[&most]);
        let command = [command, words(&[&program], &["10", "quietly"])].concat();
        let finished = Run::new(&command).finish();
        let said = String::from_utf8_lossy(&finished.stderr).into_owned();
        assert_eq!(finished.status.code(), Some(0), "{most}: {said}");
        assert!(finished.stdout.is_empty());
        match &finished.report {
            Some(report) => {
                report.assert_adds_up();
                let seen = report.growth().blocks + report.unattributed("untracked_blocks");
                assert_eq!(seen, 1 << 10, "{most}: {}", report.listing());
                traced += 1;
            }
            None => assert!(!said.is_empty(), "{most}: nothing is said"),
        }
    }
    assert!((1..8).contains(&traced), "{traced} of 8 are traced");
}

/// Check a program that has little more address space than it had at its start: whichever table it is that can't grow, each block is in the account
/// or counted as not.
#[test]
fn tables_cannot_grow() {
    let mut lost = 0;
    for kilobytes in [0, 40, 300, 2500, 9000, 20_000, 60_000, 2_000_000] {
        let running = Target::c("starved.c").arg(&kilobytes.to_string()).spawn();
        let [blocks, bytes] = running.numbers()[..] else {
            panic!("{kilobytes} KiB: {:?}", running.said());
        };
        let diff = running.diff(&["start", "now"]);
        diff.assert_adds_up();
        let taken = diff
            .rows()
            .into_iter()
            .filter(|row| row.function() == Some("take"));
        let (mut seen, mut seen_bytes) = (0, 0);
        for row in taken {
            (seen, seen_bytes) = (seen + row.growth().blocks, seen_bytes + row.growth().bytes);
        }
        let outside = diff.unattributed("growth_blocks") + diff.unattributed("untracked_blocks");
        assert!(
            seen <= blocks && seen + outside >= blocks,
            "{kilobytes} KiB: {blocks}, {}",
            diff.listing()
        );
        if outside == 0 {
            assert_eq!((seen, seen_bytes), (blocks, bytes), "{}", diff.listing());
        }
        lost += outside;
        assert!(running.finish().0.success());
    }
    assert!(lost > 0, "nothing was ever short");
}
