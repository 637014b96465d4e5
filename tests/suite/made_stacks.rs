//! Stacks through code that is made at run time, which has no unwind tables: frame pointers lead through it, and where there are none, the
//! stack ends, and says so.

use heapshim_tests::{Amount, Compiler, Diff, Row, Target};

/// What stands outside of a stack that ended early.
const CUT: &str = "?";

/// The functions of a row's stack, innermost first, out to `main`.
fn functions(row: &Row) -> Vec<String> {
    let stack = row.json()["stack"].as_array().expect("a stack");
    let names = stack.iter().map(|frame| frame["function"].as_str());
    let names: Vec<String> = names.map(|name| name.unwrap_or(CUT).to_string()).collect();
    let end = names.iter().position(|name| name == "main");
    names
        .into_iter()
        .take(end.map_or(usize::MAX, |end| end + 1))
        .collect()
}

/// What grew by how much, by stack, most first.
fn stacks(diff: &Diff) -> Vec<(Vec<String>, Amount)> {
    let rows = diff.rows();
    rows.iter()
        .map(|row| (functions(row), row.growth()))
        .collect()
}

fn stack(names: &[&str], bytes: i64, blocks: i64) -> (Vec<String>, Amount) {
    let names = names.iter().map(ToString::to_string).collect();
    (names, Amount { bytes, blocks })
}

fn target(compiler: Compiler) -> Target {
    let target = Target::c("made_stack.c").compiled_by(compiler);
    // The frames that the test is about, and each by itself.
    [
        "-O2",
        "-fno-inline",
        "-fno-optimize-sibling-calls",
        "-fomit-frame-pointer",
    ]
    .into_iter()
    .fold(target, Target::opt)
}

/// Check that frame pointers lead through made code, between compiled functions and at both ends, to the byte; that what is outside is found
/// also where the made code has overwritten its callers' registers; and that no stack is cut.
#[test]
fn framed() {
    for compiler in [Compiler::C, Compiler::Clang] {
        let mut running = target(compiler).spawn();
        running.mark("before");
        running.step(b"go");
        let diff = running.diff_with(&["before", "now"], &["--by", "stack"]);
        let deep = [
            "allocate", "inner", "relay", "named", "outer", "relay", "chain", "main",
        ];
        let flat = ["allocate", "relay", "inner", "chain", "main"];
        assert_eq!(
            stacks(&diff),
            [stack(&deep, 100_000, 100), stack(&flat, 3_850, 50)]
        );
        assert_eq!(diff.unattributed("truncated_stacks"), 0);
        diff.assert_adds_up();
        running.step(b"unlink");
    }
}

/// Check that code which keeps no frame pointer ends its stack where its caller has one: that caller's own callers are not taken for its.
#[test]
fn a_callers_frame_pointer() {
    let mut running = target(Compiler::C).spawn();
    running.mark("before");
    running.step(b"leaf");
    let diff = running.diff_with(&["before", "now"], &["--by", "stack"]);
    assert_eq!(
        stacks(&diff),
        [stack(&["allocate", "leaf", CUT], 3_000, 10)]
    );
    assert_eq!(diff.unattributed("truncated_stacks"), 10);
    diff.assert_adds_up();
    running.step(b"unlink");
}

/// Check that whatever lies in rbp, no memory is read that is not there, every block is counted, and the stack ends at the made code.
#[test]
fn any_frame_pointer() {
    let mut running = target(Compiler::C).spawn();
    for before in ["first", "second", "third"] {
        running.mark(before);
        running.step(b"any");
        let diff = running.diff_with(&[before, "now"], &["--by", "stack"]);
        assert_eq!(
            stacks(&diff),
            [stack(&["allocate", "bare", CUT], 22 * 31, 22)]
        );
        assert_eq!(diff.unattributed("truncated_stacks"), 22);
        diff.assert_adds_up();
    }
    running.step(b"unlink");
}

/// Check that HEAPSHIM_UNWIND=fp goes by frame pointers where unwind tables lie, from a stack's one end to the other, and that nothing else does.
#[test]
fn tables_that_lie() {
    for (unwind, cut) in [("fp", 0), ("auto", 5)] {
        let target = Target::c("lying.c").opt("-fno-omit-frame-pointer");
        let mut running = target.env("HEAPSHIM_UNWIND", unwind).spawn();
        running.mark("before");
        running.step(b"go");
        let diff = running.diff_with(&["before", "now"], &["--by", "stack"]);
        assert_eq!(diff.unattributed("truncated_stacks"), cut, "{unwind}");
        let whole = stack(&["lies", "asks", "main"], 205, 5);
        assert_eq!(stacks(&diff) == [whole], cut == 0, "{unwind}");
        diff.assert_adds_up();
    }
}
