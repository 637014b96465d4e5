//! Answers that are kept from one symbolizer to the next.

use super::program::{C, Program, brief, expect_line, frames_with, line_of, one_frame};
use crate::fixture::Scratch;
use crate::model::FrameKind;
use crate::symbolize::{Options, SymbolFrame, Symbolizer};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

fn keeping(scratch: &Scratch) -> Options {
    Options {
        kept: Some(scratch.path().join("symbols")),
        ..Options::default()
    }
}

fn asked_and_kept(options: Options, program: &Program, address: u64) -> Vec<SymbolFrame> {
    let snapshot = one_frame(program.module(), FrameKind::Native, address);
    let mut symbolizer = Symbolizer::new(options);
    let found = symbolizer.stack(&snapshot, 1);
    symbolizer.keep();
    found
}

/// Check that the next symbolizer answers without the file, by the build id, what the first has looked up: the same frames, and
/// nothing for other addresses or other build ids.
#[test]
fn the_next_run_opens_nothing() {
    let scratch = Scratch::new("again-kept");
    let Some(program) = Program::c("again", &["-g", "-O2"]) else {
        return;
    };
    let Some(address) = program.return_address("outer", "malloc") else {
        return;
    };
    let first = asked_and_kept(keeping(&scratch), &program, address);
    assert_eq!(first.len(), 3);
    let mut module = program.module();
    std::fs::remove_file(&program.path).unwrap();
    let again = frames_with(keeping(&scratch), module.clone(), address);
    assert_eq!(again, first);
    assert_eq!(again[2].line, line_of(C, "calls middle"));
    let other = frames_with(keeping(&scratch), module.clone(), address + 1);
    assert_eq!(other[0].line, None);
    module.build_id[0] ^= 1;
    let other = frames_with(keeping(&scratch), module, address);
    assert_eq!(other[0].line, None);
}

/// Check what is not kept: answers without lines (there may be debug information tomorrow), of a file without a build id, and of a file
/// that others can write to.
#[test]
fn what_is_not_kept() {
    for (name, flags, mode) in [
        ("plain", &["-O0"][..], 0o755),
        ("no-id", &["-g", "-O0", "-Wl,--build-id=none"], 0o755),
        ("open", &["-g", "-O0"], 0o757),
    ] {
        let scratch = Scratch::new(&format!("again-not-{name}"));
        let Some(program) = Program::c(&format!("again-{name}"), flags) else {
            return;
        };
        let Some(address) = program.return_address("grow", "malloc") else {
            return;
        };
        std::fs::set_permissions(&program.path, Permissions::from_mode(mode)).unwrap();
        let found = asked_and_kept(keeping(&scratch), &program, address);
        assert_eq!(brief(&found)[0].0, "grow");
        let kept = std::fs::read_dir(scratch.path().join("symbols")).unwrap();
        assert_eq!(kept.count(), 0, "{name}");
    }
}

/// Check that what is found in the target's own root is not kept: that root is the target's to fill.
#[test]
fn nothing_of_another_root() {
    let scratch = Scratch::new("again-root");
    let Some(program) = Program::c("again-root-program", &["-g", "-O0"]) else {
        return;
    };
    let Some(address) = program.return_address("grow", "malloc") else {
        return;
    };
    let own = crate::process::path(std::process::id(), "root");
    let mut module = program.module();
    let elsewhere = format!("{}/", own.display());
    module.path.insert_str(0, elsewhere.trim_end_matches('/'));
    let snapshot = one_frame(module, FrameKind::Native, address);
    let mut symbolizer = Symbolizer::new(keeping(&scratch));
    expect_line(&symbolizer.stack(&snapshot, 1));
    symbolizer.keep();
    let kept = std::fs::read_dir(scratch.path().join("symbols")).unwrap();
    assert_eq!(kept.count(), 0);
}
