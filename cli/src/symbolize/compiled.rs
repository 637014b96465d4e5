//! Symbolization of real programs: compiled here by the compilers that users have, and asked for lines that are known.
//!
//! Tests only. Addresses come from the disassembler, not from what is tested: a return address is the instruction after a
//! call, as the shim would see it. Where a tool is not installed the test says so and passes.

mod again;
mod formats;
mod gone;
mod program;

use super::{Language, Options, Reason, Symbolizer};
use crate::fixture::snapshot;
use crate::model::{FrameKind, Module};
use program::{
    C, CPP, Program, RUST, brief, expect_line, frames, frames_with, line_of, one_frame, split,
};

/// Check that the line of a return address is that of the call, and the path absolute though the compiler got a relative one.
#[test]
fn c_line_of_a_call() {
    for flags in [
        &["-g", "-O0"][..],
        &["-g", "-O0", "-gdwarf-4"],
        &["-g", "-O0", "-gdwarf-5"],
        &["-g", "-O0", "-gz=zlib"],
        &["-g", "-O0", "-gz=zstd"],
        &["-g", "-O0", "-gz=zlib-gnu"],
        &["-g1", "-O0"],
    ] {
        let Some(program) = Program::c("c-line", flags) else {
            continue;
        };
        let Some(address) = program.return_address("grow", "malloc") else {
            return;
        };
        let found = frames(&program, address);
        assert_eq!(
            brief(&found),
            [("grow", line_of(C, "the call"), false)],
            "{flags:?}"
        );
        assert_eq!(found[0].file, program.source("grow.c"), "{flags:?}");
        assert_eq!(found[0].language, Language::C);
        assert_eq!(found[0].reason, None);
        assert_eq!(found[0].address, address);
    }
}

/// Check that an exact address is not moved: the first instruction of a function is not the function before it.
#[test]
fn exact_address_is_not_moved() {
    let Some(program) = Program::c("c-exact", &["-g", "-O0"]) else {
        return;
    };
    let Some(names) = program.run("nm", &["program"]) else {
        return;
    };
    let entry = names
        .lines()
        .find(|line| line.ends_with(" T grow"))
        .unwrap();
    let address = u64::from_str_radix(entry.split(' ').next().unwrap(), 16).unwrap();
    let snapshot = one_frame(program.module(), FrameKind::NativeExact, address);
    let found = Symbolizer::new(Options::default()).stack(&snapshot, 1);
    assert_eq!(brief(&found), [("grow", line_of(C, "the entry"), false)]);
}

/// Check that inlined functions are frames of their own, innermost first, each at its own line.
#[test]
fn inlined_functions_are_frames() {
    for flags in [&["-g", "-O2"][..], &["-g", "-O2", "-gdwarf-4"]] {
        let Some(program) = Program::c("c-inlined", flags) else {
            return;
        };
        let Some(address) = program.return_address("outer", "malloc") else {
            return;
        };
        let expected = [
            ("innermost", line_of(C, "the inlined call"), true),
            ("middle", line_of(C, "calls innermost"), true),
            ("outer", line_of(C, "calls middle"), false),
        ];
        assert_eq!(brief(&frames(&program, address)), expected);
    }
}

/// Check that C++ names are demangled, and that a container's insides are frames that blame passes over.
#[test]
fn cpp_container_is_seen_through() {
    for flags in [
        &["-g", "-O2"][..],
        &["-g", "-O0"],
        &["-g", "-O2", "-gdwarf-4"],
    ] {
        let Some(program) = Program::cpp("cpp-container", flags) else {
            return;
        };
        let text = program.run("objdump", &["-d", "--no-show-raw-insn", "program"]);
        let is_inlined = text.is_some_and(|text| {
            let body = text.split("<_ZN5Cache4fillEi>:").nth(1).unwrap_or("");
            body.split("\n\n").next().unwrap_or("").contains("_Znwm")
        });
        let callee = if is_inlined { "_Znwm" } else { "reserve" };
        let Some(address) = program.return_address("<_ZN5Cache4fillEi>:", callee) else {
            return;
        };
        let found = frames(&program, address);
        let last = found.last().unwrap();
        assert_eq!(last.function.as_deref(), Some("Cache::fill"), "{flags:?}");
        assert_eq!(last.line, line_of(CPP, "the reserve"), "{flags:?}");
        assert_eq!(last.language, Language::Cpp);
        let table = crate::blame::Table::default();
        let nodes = [crate::blame::Judged::new(std::rc::Rc::from(found))];
        let blamed = crate::blame::blame(&table, crate::blame::Mode::App, nodes).unwrap();
        assert_eq!(blamed.frame.function.as_deref(), Some("Cache::fill"));
        let via = is_inlined.then_some("std::vector::reserve");
        assert_eq!(blamed.via(&table).as_deref(), via, "{flags:?}");
    }
}

/// Check that a member of a template, a lambda and a function in an unnamed namespace have readable names.
#[test]
fn cpp_names() {
    let Some(program) = Program::cpp("cpp-names", &["-g", "-O0"]) else {
        return;
    };
    for (mangled, name) in [
        ("4pushEi>:", "Stack<int>::push"),
        ("12_GLOBAL__N_16hiddenEi>:", "(anonymous namespace)::hidden"),
    ] {
        let Some(address) = program.return_address(mangled, "_Znam") else {
            return;
        };
        assert_eq!(frames(&program, address)[0].function.as_deref(), Some(name));
    }
}

/// Check Rust: the names without hashes, the standard library seen through, the line that pushes.
#[test]
fn rust_vec_is_seen_through() {
    for flags in [&["-g", "-O"][..], &["-g"]] {
        let Some(program) = Program::compile("rust-vec", "rustc", "cache.rs", RUST, flags) else {
            return;
        };
        let Some(text) = program.run("objdump", &["-d", "--no-show-raw-insn", "program"]) else {
            return;
        };
        let body = text
            .split("\n\n")
            .find(|body| body.contains("fill") && body.contains("cache"));
        let Some(body) = body else { continue };
        let header = body
            .lines()
            .find(|line| line.ends_with(">:"))
            .unwrap()
            .to_string();
        let function = header.split('<').nth(1).unwrap();
        let Some(address) = program.return_address(function, "call") else {
            return;
        };
        let found = frames(&program, address);
        let last = found.last().unwrap();
        assert_eq!(last.function.as_deref(), Some("cache::fill"), "{found:#?}");
        assert_eq!(last.language, Language::Rust);
        assert_eq!(last.file, program.source("cache.rs"));
        assert_eq!(last.line, line_of(RUST, "the vector"), "{flags:?}");
    }
}

/// Check that a stripped library still gives the names that it exports, and the reason why there is no line.
#[test]
fn stripped_library_has_exported_names() {
    let Some(program) = Program::c("c-stripped", &["-g", "-O0"]) else {
        return;
    };
    let Some(address) = program.return_address("grow", "malloc") else {
        return;
    };
    let Some(hidden) = program.return_address("hidden", "malloc") else {
        return;
    };
    if program.run("strip", &["program"]).is_none() {
        return;
    }
    let found = frames(&program, address);
    assert_eq!(brief(&found), [("grow", None, false)]);
    let reason = Reason::NoDebugInformation("program".to_string());
    assert_eq!(found[0].reason, Some(reason));
    let found = frames(&program, hidden);
    assert_eq!(found[0].function, None);
    assert_eq!(
        found[0].reason,
        Some(Reason::Stripped("program".to_string()))
    );
}

/// Check that a debug file is found by build id below a directory that the user gives, in either layout.
#[test]
fn debug_file_by_build_id() {
    let Some((program, address, debug)) = split("split-id", false) else {
        return;
    };
    let id = program.build_id();
    let rest: String = id[1..].iter().map(|byte| format!("{byte:02x}")).collect();
    for layout in ["one/.build-id", "two"] {
        let dir = program.dir().join(layout).join(format!("{:02x}", id[0]));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::copy(&debug, dir.join(format!("{rest}.debug"))).unwrap();
        let top = layout.split('/').next().unwrap();
        let options = Options {
            debug_dirs: vec![program.dir().join(top)],
            ..Options::default()
        };
        expect_line(&frames_with(options, program.module(), address));
    }
    let options = Options {
        debug_dirs: vec![program.dir().to_path_buf()],
        ..Options::default()
    };
    expect_line(&frames_with(options, program.module(), address));
}

/// Check that lines are found by build id though the library itself is gone, or is another one by now.
#[test]
fn debug_file_outlives_its_library() {
    let Some((program, address, _)) = split("split-gone", false) else {
        return;
    };
    let options = Options {
        debug_dirs: vec![program.dir().to_path_buf()],
        ..Options::default()
    };
    let module = program.module();
    std::fs::write(&program.path, b"something else").unwrap();
    expect_line(&frames_with(options.clone(), module.clone(), address));
    std::fs::remove_file(&program.path).unwrap();
    expect_line(&frames_with(options, module, address));
}

/// Check that a debug link is followed beside the library and in `.debug`, and not to a file that does not belong.
#[test]
fn debug_file_by_link() {
    let Some((program, address, debug)) = split("split-link", true) else {
        return;
    };
    expect_line(&frames(&program, address));
    let inside = program.dir().join(".debug");
    std::fs::create_dir(&inside).unwrap();
    std::fs::rename(&debug, inside.join("program.debug")).unwrap();
    expect_line(&frames(&program, address));
    // Another build's debug file under the same name.
    let other = "int grow(int n) { return n; }\n\n\n";
    let Some(other) = Program::compile("split-other", "cc", "o.c", other, &["-shared", "-g"])
    else {
        return;
    };
    std::fs::copy(&other.path, inside.join("program.debug")).unwrap();
    assert_eq!(frames(&program, address)[0].line, None);
}

/// Check that without build ids a link is followed only to the file with its checksum.
#[test]
fn debug_file_by_checksum() {
    let flags = &["-g", "-O0", "-Wl,--build-id=none"];
    let Some(program) = Program::c("split-crc", flags) else {
        return;
    };
    let Some(address) = program.return_address("grow", "malloc") else {
        return;
    };
    let keep = ["--only-keep-debug", "program", "program.debug"];
    let link = [
        "--strip-all",
        "--add-gnu-debuglink=program.debug",
        "program",
    ];
    if program.run("objcopy", &keep).is_none() || program.run("objcopy", &link).is_none() {
        return;
    }
    assert!(program.build_id().is_empty());
    expect_line(&frames(&program, address));
    let debug = program.dir().join("program.debug");
    let mut bytes = std::fs::read(&debug).unwrap();
    bytes.push(0);
    std::fs::write(&debug, bytes).unwrap();
    assert_eq!(frames(&program, address)[0].line, None);
}

/// Check that a library that was replaced since it was loaded is not asked.
#[test]
fn replaced_library_is_not_used() {
    let Some(program) = Program::c("c-replaced", &["-g", "-O0"]) else {
        return;
    };
    let Some(address) = program.return_address("grow", "malloc") else {
        return;
    };
    let mut module = program.module();
    module.build_id[0] ^= 1;
    let found = frames_with(Options::default(), module, address);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].function.as_ref(), found[0].line), (None, None));
    assert_eq!(
        found[0].reason,
        Some(Reason::BuildIdMismatch("program".to_string()))
    );
}

/// Check that a library that is gone, and an address in none, say so.
#[test]
fn missing_library_is_a_reason() {
    let module = snapshot(1).modules.remove(0);
    let found = frames_with(Options::default(), module, 0x1234);
    assert_eq!(
        found[0].reason,
        Some(Reason::FileMissing("server".to_string()))
    );
    assert_eq!(found[0].address, 0x1234);
    let mut unknown = snapshot(1);
    unknown.frames[1].kind = FrameKind::Unknown;
    let found = Symbolizer::new(Options::default()).stack(&unknown, 1);
    assert_eq!(found[0].reason, Some(Reason::UnknownModule));
}

/// Check that files are opened below the target's root, links in it included.
#[test]
fn files_lie_in_the_targets_root() {
    let Some(program) = Program::c("c-root", &["-g", "-O0"]) else {
        return;
    };
    let Some(address) = program.return_address("grow", "malloc") else {
        return;
    };
    let root = program.dir().join("root");
    std::fs::create_dir_all(root.join("opt/real")).unwrap();
    std::os::unix::fs::symlink("/opt/real", root.join("opt/lib")).unwrap();
    std::fs::rename(&program.path, root.join("opt/real/libgrow.so")).unwrap();
    let module = Module {
        path: "/opt/lib/libgrow.so".to_string(),
        build_id: Vec::new(),
        bias: 0,
        start: 0,
        end: 0,
    };
    let options = Options {
        root: Some(root),
        ..Options::default()
    };
    expect_line(&frames_with(options, module, address));
}

/// Check that one address is looked up once, however many nodes have it.
#[test]
fn an_address_is_looked_up_once() {
    let Some(program) = Program::c("c-once", &["-g", "-O0"]) else {
        return;
    };
    let Some(address) = program.return_address("grow", "malloc") else {
        return;
    };
    let mut snapshot = one_frame(program.module(), FrameKind::Native, address);
    let mut deeper = snapshot.frames[1];
    deeper.parent = 1;
    snapshot.frames.push(deeper);
    let mut symbolizer = Symbolizer::new(Options::default());
    let first = symbolizer.node(&snapshot, 1);
    // What is known needs no file any more.
    std::fs::remove_file(&program.path).unwrap();
    assert_eq!(symbolizer.node(&snapshot, 2), first);
    assert_eq!(symbolizer.stack(&snapshot, 2).len(), 2);
}
