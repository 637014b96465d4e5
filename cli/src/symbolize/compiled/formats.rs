//! Debug information in every form in which compilers and distributions leave it.

use super::program::{C, Program, brief, frames, frames_with, line_of, split};
use crate::fixture::Random;
use crate::symbolize::{Options, Reason, SymbolFrame};
use std::path::Path;

/// What the three frames of `outer` are, the inlined ones first.
fn expect_inlined(found: &[SymbolFrame]) {
    let expected = [
        ("innermost", line_of(C, "the inlined call"), true),
        ("middle", line_of(C, "calls innermost"), true),
        ("outer", line_of(C, "calls middle"), false),
    ];
    assert_eq!(brief(found), expected);
}

fn with_dir(dir: &Path) -> Options {
    Options {
        debug_dirs: vec![dir.to_path_buf()],
        ..Options::default()
    }
}

/// Check that sections compressed after the compiler are read, in each way.
#[test]
fn compressed_sections() {
    for format in ["zlib", "zlib-gnu", "zlib-gabi", "zstd"] {
        let Some(program) = Program::c("formats-compressed", &["-g", "-O2"]) else {
            return;
        };
        let Some(address) = program.return_address("outer", "malloc") else {
            return;
        };
        let compress = format!("--compress-debug-sections={format}");
        if program.run("objcopy", &[&compress, "program"]).is_none() {
            continue;
        }
        let sections = program.run("readelf", &["-SW", "program"]).unwrap();
        let mut lines = sections.lines();
        let info = lines.find(|line| line.contains("debug_info")).unwrap();
        assert!(info.contains(" C ") || info.contains(".zdebug"), "{info}");
        expect_inlined(&frames(&program, address));
    }
}

/// Check that split DWARF is read from where the compiler put it, from beside the module, and from where the user says; and that
/// another build's part is not taken for it: then there are lines, but nothing inlined.
#[test]
fn split_files() {
    for version in ["-gdwarf-4", "-gdwarf-5"] {
        let flags = ["-g", "-O2", "-gsplit-dwarf", version];
        let Some(program) = Program::c("formats-dwo", &flags) else {
            return;
        };
        let Some(address) = program.return_address("outer", "malloc") else {
            return;
        };
        let dir = program.dir();
        expect_inlined(&frames(&program, address));
        let part = std::fs::read_dir(dir).unwrap().flatten();
        let mut parts = part.filter(|entry| entry.path().extension().is_some_and(|e| e == "dwo"));
        let part = parts.next().unwrap().path();
        let name = part.file_name().unwrap().to_owned();
        std::fs::create_dir(dir.join("moved")).unwrap();
        std::fs::rename(&part, dir.join("moved").join(&name)).unwrap();
        let lost = frames(&program, address);
        assert_eq!(lost.len(), 1, "{lost:#?}");
        assert_eq!(lost[0].function.as_deref(), Some("outer"));
        let options = with_dir(&dir.join("moved"));
        expect_inlined(&frames_with(options, program.module(), address));
        let mut module = program.module();
        let at = dir.join("moved/program");
        std::fs::rename(&program.path, &at).unwrap();
        module.path = at.display().to_string();
        expect_inlined(&frames_with(Options::default(), module.clone(), address));
        let Some(other) = Program::compile(
            "formats-dwo-other",
            "cc",
            "grow.c",
            &format!("int other;\n{C}"),
            &["-shared", "-fPIC", "-g", "-O2", "-gsplit-dwarf", version],
        ) else {
            return;
        };
        std::fs::copy(other.dir().join(&name), dir.join("moved").join(&name)).unwrap();
        assert_eq!(frames_with(Options::default(), module, address).len(), 1);
    }
}

/// Check that a package of split parts is read, beside the module and from where the user says.
#[test]
fn split_packages() {
    for (compiler, version, packer) in [
        ("cc", "-gdwarf-4", "dwp"),
        // Each packer of the time ends badly with the other compiler's version 5.
        ("clang", "-gdwarf-5", "llvm-dwp"),
    ] {
        let flags = ["-shared", "-fPIC", "-g", "-O2", "-gsplit-dwarf", version];
        let compiled = Program::compile("formats-dwp", compiler, "grow.c", C, &flags);
        let Some(program) = compiled else {
            return;
        };
        let Some(address) = program.return_address("outer", "malloc") else {
            return;
        };
        let pack = ["20", packer, "-e", "program", "-o", "program.dwp"];
        if program.run("timeout", &pack).is_none() {
            continue;
        }
        let dir = program.dir();
        for entry in std::fs::read_dir(dir).unwrap().flatten() {
            if entry.path().extension().is_some_and(|e| e == "dwo") {
                std::fs::remove_file(entry.path()).unwrap();
            }
        }
        expect_inlined(&frames(&program, address));
        std::fs::create_dir(dir.join("packed")).unwrap();
        std::fs::rename(dir.join("program.dwp"), dir.join("packed/program.dwp")).unwrap();
        assert_eq!(frames(&program, address).len(), 1);
        let options = with_dir(&dir.join("packed"));
        expect_inlined(&frames_with(options, program.module(), address));
        std::fs::write(dir.join("packed/program.dwp"), b"\x7fELF rubbish").unwrap();
        let options = with_dir(&dir.join("packed"));
        assert_eq!(frames_with(options, program.module(), address).len(), 1);
    }
}

/// A second program with enough in common with the first for `dwz` to share it.
fn two_programs(test: &str, version: &str) -> Option<(Program, u64)> {
    // Types and functions that both have: dwz moves only what is worth it.
    let mut source = String::new();
    for number in 0..40 {
        source.push_str(&format!(
            "struct shared_{number} {{ int a, b; struct shared_{number} *next; }} *get_{number}(struct shared_{number} *at);\n\
             struct shared_{number} *get_{number}(struct shared_{number} *at) {{ return at->next; }}\n"
        ));
    }
    let marked = format!("{C}{source}");
    let flags = ["-shared", "-fPIC", "-Wl,--build-id", "-g", "-O2", version];
    let program = Program::compile(test, "cc", "grow.c", &marked, &flags)?;
    let other = format!("{source}int other(void) {{ return 1; }}\n{C}");
    std::fs::write(program.dir().join("src/other.c"), other).unwrap();
    let mut build = vec!["src/other.c", "-o", "other"];
    build.extend(flags);
    program.run("cc", &build)?;
    let address = program.return_address("outer", "malloc")?;
    Some((program, address))
}

/// Check that what `dwz` moved to a shared file is found there: by its name, by its build id where the user says; and that lines
/// stay without it, with the reason where there is none.
#[test]
fn shared_by_dwz() {
    for version in ["-gdwarf-4", "-gdwarf-5"] {
        let Some((program, address)) = two_programs("formats-dwz", version) else {
            return;
        };
        if program
            .run("dwz", &["-m", "common", "program", "other"])
            .is_none()
        {
            return;
        }
        let sections = program.run("readelf", &["-SW", "program"]).unwrap();
        assert!(sections.contains(".gnu_debugaltlink"), "{sections}");
        expect_inlined(&frames(&program, address));
        let dir = program.dir();
        std::fs::create_dir(dir.join("moved")).unwrap();
        std::fs::rename(dir.join("common"), dir.join("moved/common")).unwrap();
        let options = with_dir(&dir.join("moved"));
        expect_inlined(&frames_with(options, program.module(), address));
        for frame in frames(&program, address) {
            let said = frame.reason.as_ref().map(ToString::to_string);
            let why = "cannot read program: its shared debug file common is not there";
            assert!(
                frame.line.is_some() || said.as_deref() == Some(why),
                "{frame:#?}"
            );
        }
    }
}

/// Check that the names that a stripped file carries compressed are found, though it does not export them.
#[test]
fn mini_debug_information() {
    let Some(program) = Program::c("formats-mini", &["-O0"]) else {
        return;
    };
    let Some(hidden) = program.return_address("hidden", "malloc") else {
        return;
    };
    let keep = ["--only-keep-debug", "program", "mini"];
    let add = [
        "--strip-all",
        "--add-section",
        ".gnu_debugdata=mini.xz",
        "program",
    ];
    let made = program
        .run("objcopy", &keep)
        .and(program.run("xz", &["mini"]));
    if made.and(program.run("objcopy", &add)).is_none() {
        return;
    }
    let found = frames(&program, hidden);
    assert_eq!(brief(&found), [("hidden", None, false)]);
    let reason = Reason::NoDebugInformation("program".to_string());
    assert_eq!(found[0].reason, Some(reason));
    // Damaged, it is as if it was not there, and said.
    let mut bytes = std::fs::read(&program.path).unwrap();
    let at = bytes
        .windows(6)
        .position(|six| six == b"\xfd7zXZ\0")
        .unwrap();
    bytes[at + 40] ^= 0xff;
    std::fs::write(&program.path, bytes).unwrap();
    let found = frames(&program, hidden);
    assert_eq!(found[0].function, None);
    let said = found[0].reason.as_ref().unwrap().to_string();
    assert!(said.contains(".gnu_debugdata"), "{said}");
}

/// Check that a debug file of another build is not used, and that the row says which: by link and checksum, and by build id.
#[test]
fn wrong_debug_file_is_said() {
    let Some((program, address, debug)) = split("formats-wrong", true) else {
        return;
    };
    let other = "int grow(int n) { return n; }\n\n\n";
    let flags = ["-shared", "-g", "-Wl,--build-id"];
    let Some(other) = Program::compile("formats-wrong-other", "cc", "o.c", other, &flags) else {
        return;
    };
    std::fs::copy(&other.path, &debug).unwrap();
    let name = |name: &str| name.to_string();
    let wrong = Reason::WrongDebugFile(name("program"), name("program.debug"));
    let found = frames(&program, address);
    assert_eq!(brief(&found), [("grow", None, false)]);
    assert_eq!(found[0].reason, Some(wrong));
    let id: String = program
        .build_id()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let dir = program.dir().join("ids").join(&id[..2]);
    std::fs::create_dir_all(&dir).unwrap();
    let file = format!("{}.debug", &id[2..]);
    std::fs::rename(&debug, dir.join(&file)).unwrap();
    let options = with_dir(&program.dir().join("ids"));
    let found = frames_with(options, program.module(), address);
    let wrong = Reason::WrongDebugFile(name("program"), file);
    assert_eq!(
        (found[0].line, found[0].reason.clone()),
        (None, Some(wrong))
    );
    expect_nothing_said(&program, address);
}

/// With nothing refused, the reason is the plain one.
fn expect_nothing_said(program: &Program, address: u64) {
    let reason = frames(program, address)[0].reason.clone();
    assert_eq!(
        reason,
        Some(Reason::NoDebugInformation("program".to_string()))
    );
}

/// Bytes changed and files cut, in a way that is the same each time.
struct Damage(Random);

impl Damage {
    fn below(&mut self, limit: usize) -> usize {
        self.0.below(limit)
    }

    fn apply(&mut self, whole: &[u8], round: usize) -> Vec<u8> {
        let mut bytes = whole.to_vec();
        if round.is_multiple_of(3) {
            bytes.truncate(self.below(whole.len()));
        }
        for _ in 0..=self.below(40) {
            if let Some(at) = (!bytes.is_empty()).then(|| self.below(bytes.len())) {
                bytes[at] = u8::try_from(self.below(256)).unwrap();
            }
        }
        bytes
    }
}

/// Asks of a program, one of whose files is damaged again and again.
fn asked_while_damaged(program: &Program, file: &str, address: u64) {
    let path = program.dir().join(file);
    let whole = std::fs::read(&path).unwrap();
    let mut module = program.module();
    module.build_id.clear();
    let mut damage = Damage(Random(7));
    for round in 0..60 {
        std::fs::write(&path, damage.apply(&whole, round)).unwrap();
        assert!(!frames_with(Options::default(), module.clone(), address).is_empty());
    }
}

/// Check that a file cut short anywhere, or with any bytes changed, gives frames, no panic and no end of waiting: in each form of
/// debug information, the part of it that is damaged being each of its files.
#[test]
fn damaged_files_do_no_harm() {
    for (flags, steps, file) in [
        (&["-g", "-O2"][..], &[][..], "program"),
        (&["-g", "-O2", "-gz=zlib"], &[], "program"),
        (
            &["-g", "-O2"],
            &["objcopy --compress-debug-sections=zstd program"],
            "program",
        ),
        (
            &["-g", "-O2", "-gsplit-dwarf", "-gdwarf-4"],
            &["dwp -e program -o program.dwp"],
            "program.dwp",
        ),
        (&["-g", "-O2", "-gsplit-dwarf"], &[], "program-grow.dwo"),
        (
            &["-g", "-O2"],
            &[
                "objcopy --only-keep-debug program mini",
                "xz mini",
                "objcopy --strip-all --add-section .gnu_debugdata=mini.xz program",
            ],
            "program",
        ),
    ] {
        let Some(program) = Program::c("formats-damaged", flags) else {
            return;
        };
        let Some(address) = program.return_address("outer", "malloc") else {
            return;
        };
        let mut words = steps.iter().map(|step| step.split(' ').collect::<Vec<_>>());
        if words.all(|words| program.run(words[0], &words[1..]).is_some()) {
            asked_while_damaged(&program, file, address);
        }
    }
}

/// Check the same of the file that `dwz` shares.
#[test]
fn damaged_shared_file_does_no_harm() {
    let Some((program, address)) = two_programs("formats-damaged-dwz", "-gdwarf-5") else {
        return;
    };
    if program
        .run("dwz", &["-m", "common", "program", "other"])
        .is_some()
    {
        asked_while_damaged(&program, "common", address);
    }
}
