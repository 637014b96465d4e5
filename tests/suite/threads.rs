//! Threads: the account is exact when they have come to rest, and within the events in flight while they run.

use heapshim_tests::{Amount, Diff, Row, Running, Target, descriptors_of, expected_in, programs};

/// Bytes of a block of each allocating line of threads.c, in the order of its lines.
const SIZES: [i64; 3] = [37, 63, 101];
/// What threads.c bounds its live blocks by: its places, and two blocks in the hands of each of eight threads.
const MOST_LIVE: i64 = 1024 + 2 * 8;

/// The lines of threads.c that allocate.
fn lines() -> [u64; 3] {
    let rows = expected_in(&programs().join("threads.c"));
    let lines: Vec<u64> = rows.iter().map(|row| row.line).collect();
    lines.try_into().expect("three lines allocate")
}

fn amount(bytes: i64, blocks: i64) -> Amount {
    Amount { bytes, blocks }
}

/// Asserts that the bytes are some number of blocks of this size, and that the blocks are that number to within the events in
/// flight: a reader may find an event's bytes and not yet its block.
fn assert_odd(row: &Row, amount: Amount, size: i64, in_flight: i64) {
    assert_eq!(amount.bytes % size, 0, "{}", row.brief());
    let apart = (amount.bytes / size - amount.blocks).abs();
    assert!(
        apart <= in_flight,
        "{} with {in_flight} in flight",
        row.brief()
    );
}

/// Asserts one mark that was taken while the threads ran.
fn assert_in_flight(diff: &Diff, before: &mut [i64; 3]) {
    let in_flight = diff.json()["to"]["in_flight"].as_i64().expect("in_flight");
    let mut live_blocks = 0;
    for (index, line) in lines().into_iter().enumerate() {
        let Some(row) = diff.find("threads.c", line) else {
            continue;
        };
        let (live, total) = (row.live(), row.total());
        assert!(live.blocks >= 0 && live.bytes >= 0, "{}", row.brief());
        assert_odd(&row, total, SIZES[index], in_flight);
        assert_odd(&row, live, SIZES[index], in_flight);
        assert!(total.blocks >= before[index], "{} went back", row.brief());
        before[index] = total.blocks;
        live_blocks += live.blocks;
    }
    let most = MOST_LIVE + in_flight;
    assert!(live_blocks <= most, "{live_blocks} live of at most {most}");
    assert!(in_flight < 1_000_000, "{in_flight} in flight says nothing");
    diff.assert_adds_up();
}

/// Asserts the account after all threads have been joined, by what the program itself counted.
fn assert_at_rest(running: &Running) {
    let said = running.numbers();
    let diff = running.diff(&["warm", "now"]);
    for (index, line) in lines().into_iter().enumerate() {
        let (total, live) = (said[2 * index], said[2 * index + 1]);
        let row = diff.row("threads.c", line);
        let size = SIZES[index];
        assert_eq!(row.total(), amount(size * total, total), "{}", row.brief());
        assert_eq!(row.live(), amount(size * live, live), "{}", row.brief());
    }
    assert!(diff.exact(), "{}", diff.json()["to"]);
    diff.assert_complete();
    diff.assert_adds_up();
}

/// Check that 100 marks of eight running threads are each right to within the events in flight, and the account exact afterwards.
#[test]
fn marks_while_eight_threads_run() {
    let mut running = Target::c("threads.c").opt("-O2").spawn();
    running.mark("warm");
    running.step(b"go");
    let mut before = [0; 3];
    for _ in 0..100 {
        assert_in_flight(&running.diff(&["warm", "now"]), &mut before);
    }
    running.step(b"stop");
    let events: i64 = running.numbers().iter().step_by(2).sum();
    assert!(events >= 8 * 500_000, "only {events} allocations");
    assert_at_rest(&running);
}

/// Check that the account of eight threads that nobody looked at is exact: a million events each, blocks freed on other threads.
#[test]
fn eight_threads_at_rest() {
    let mut running = Target::c("threads.c").spawn();
    running.mark("warm");
    running.step(b"go");
    running.step(b"stop");
    assert_at_rest(&running);
}

/// Asserts every row that a program's source expects, and that nothing is missing beside them.
fn assert_account(program: &str) {
    let mut running = Target::c(program).opt("-O1").spawn();
    running.mark("warm");
    running.step(b"go");
    let diff = running.diff(&["warm", "now"]);
    for expected in running.expected() {
        diff.row(&expected.file, expected.line).assert(&expected);
    }
    diff.assert_complete();
    diff.assert_adds_up();
}

/// Check that 10,000 threads, more than there are slots, leave an exact account behind.
#[test]
fn waves() {
    assert_account("waves.c");
}

/// Check that events in destructors of thread-specific data, a thread's last ones, are counted.
#[test]
fn key_destructors() {
    assert_account("keys.c");
}

/// What a ledger may take for 500 threads over 20,000 stacks.
const MOST_BYTES: u64 = 64 << 20;

/// Check that 500 threads that live at once and share 20,000 stacks are counted exactly, in a ledger of bounded size.
#[test]
fn many_threads_on_many_stacks() {
    let mut running = Target::c("threads_sites.c").opt("-O1").spawn();
    let diff = running.diff(&["start", "now"]);
    for expected in running.expected() {
        diff.row(&expected.file, expected.line).assert(&expected);
    }
    diff.assert_adds_up();
    diff.assert_complete();
    let bytes = ledger_bytes(running.pid());
    assert!((1 << 20..=MOST_BYTES).contains(&bytes), "{bytes} bytes");
    assert_eq!(running.step(b"go"), "ended");
    assert!(running.finish().0.success());
}

/// Bytes of a process's ledger that are in memory.
fn ledger_bytes(pid: u32) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let ledger = &descriptors_of(pid, "heapshim-ledger")[0];
    ledger.metadata().expect("its size").blocks() * 512
}
