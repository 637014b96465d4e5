//! Modules that are not at their paths: deleted and replaced files of a running target, other mount namespaces, the kernel's object.

use super::program::{C, Program, brief, expect_line, frames_with, line_of};
use crate::model::Module;
use crate::process::{self, Origin};
use crate::symbolize::image::VDSO;
use crate::symbolize::live::{self, Live};
use crate::symbolize::{Options, Reason};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// Says that it is loaded, and stays until its stdin is closed.
const MAIN: &str = "#include <stdio.h>\nint main(void) { puts(\"ready\"); fflush(stdout); return getchar() != EOF; }\n";

/// A running process, ended when it is dropped.
struct Running(Child);

impl Running {
    /// None where it does not say that it is ready.
    fn start(command: &mut Command) -> Option<Running> {
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = pipes.spawn().ok()?;
        let mut said = String::new();
        let read = BufReader::new(child.stdout.take()?).read_line(&mut said);
        let running = Running(child);
        (read.is_ok() && said == "ready\n").then_some(running)
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    /// The program's own module, or a library's, as the shim would have recorded it.
    fn module(&self, program: &Program, path: &str) -> Module {
        let maps = std::fs::read_to_string(process::path(self.pid(), "maps")).unwrap();
        let mut lines = maps.lines().filter(|line| line.ends_with(path));
        let range = |line: &str| {
            let (range, _) = line.split_once(' ').unwrap();
            let (start, end) = range.split_once('-').unwrap();
            let number = |text| u64::from_str_radix(text, 16).unwrap();
            (number(start), number(end))
        };
        let first = range(lines.next().unwrap());
        let last = lines.next_back().map_or(first, range);
        Module {
            path: path.to_string(),
            build_id: program.build_id(),
            bias: first.0,
            start: first.0,
            end: last.1,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ended = self.0.wait();
    }
}

fn live(running: &Running) -> Options {
    Options {
        live: Some(running.pid()),
        ..Options::default()
    }
}

/// Check that a deleted executable is read as long as it runs.
#[test]
fn deleted_executable() {
    let source = format!("{C}{MAIN}");
    let flags = ["-g", "-O0", "-Wl,--build-id"];
    let Some(program) = Program::compile("gone-exe", "cc", "grow.c", &source, &flags) else {
        return;
    };
    let Some(address) = program.return_address("<grow>:", "malloc") else {
        return;
    };
    let running = Running::start(&mut Command::new(&program.path)).unwrap();
    let mut module = running.module(&program, &program.path.display().to_string());
    std::fs::remove_file(&program.path).unwrap();
    expect_line(&frames_with(live(&running), module.clone(), address));
    let gone = frames_with(Options::default(), module.clone(), address);
    assert_eq!(
        gone[0].reason,
        Some(Reason::FileMissing("program".to_string()))
    );
    // Without a build id, what lies at its path since then is not it.
    module.build_id.clear();
    std::fs::write(&program.path, b"another").unwrap();
    expect_line(&frames_with(live(&running), module, address));
}

/// A process that has loaded the library.
fn with_library(test: &str) -> Option<(Program, u64, Running)> {
    let program = Program::c(test, &["-g", "-O0"])?;
    let address = program.return_address("<grow>:", "malloc")?;
    let main = format!("{MAIN}void *grow(int);\nvoid *use(void) {{ return grow(1); }}\n");
    std::fs::write(program.dir().join("src/main.c"), main).unwrap();
    std::fs::copy(&program.path, program.dir().join("libgrow.so")).unwrap();
    let build = ["src/main.c", "-o", "main", "libgrow.so"];
    program.run("cc", &build)?;
    let mut command = Command::new(program.dir().join("main"));
    let running = Running::start(command.env("LD_LIBRARY_PATH", program.dir()))?;
    Some((program, address, running))
}

/// Check that a library that was replaced is read through its mapping by root, and that its exported names, from the target's memory,
/// are what others see of it; never the new file.
#[test]
fn replaced_library() {
    let Some((program, address, running)) = with_library("gone-library") else {
        return;
    };
    let path = program.dir().join("libgrow.so");
    let module = running.module(&program, &path.display().to_string());
    let other = "int grow(int n) { return n; }\n\n\n";
    let flags = ["-shared", "-g", "-Wl,--build-id"];
    let Some(other) = Program::compile("gone-other", "cc", "o.c", other, &flags) else {
        return;
    };
    std::fs::rename(&other.path, &path).unwrap();
    let found = frames_with(live(&running), module.clone(), address);
    if rustix::process::geteuid().is_root() {
        expect_line(&found);
    }
    assert_eq!(found[0].function.as_deref(), Some("grow"));
    let image = Live::new(running.pid()).image(&module).unwrap();
    assert_eq!(image.build_id, module.build_id);
    assert_eq!(image.symbols.find(address), Some("grow"));
    assert_eq!(image.symbols.find(address | 1 << 40), None);
    let later = frames_with(Options::default(), module, address);
    let mismatch = Reason::BuildIdMismatch("libgrow.so".to_string());
    assert_eq!(
        (later[0].function.clone(), later[0].reason.clone()),
        (None, Some(mismatch))
    );
}

/// Check that a target in a mount namespace of its own is asked for the files that it has, not for ours at the same paths.
#[test]
fn other_mount_namespace() {
    let source = format!("{C}{MAIN}");
    let flags = ["-g", "-O0", "-Wl,--build-id"];
    let Some(program) = Program::compile("gone-mount", "cc", "grow.c", &source, &flags) else {
        return;
    };
    let Some(address) = program.return_address("<grow>:", "malloc") else {
        return;
    };
    let dir = program.dir();
    std::fs::create_dir_all(dir.join("inside")).unwrap();
    std::fs::create_dir_all(dir.join("mounted")).unwrap();
    std::fs::rename(&program.path, dir.join("inside/program")).unwrap();
    std::fs::write(dir.join("mounted/program"), b"ours, and another").unwrap();
    let script = "mount --bind inside mounted && exec ./mounted/program";
    let mut command = Command::new("unshare");
    let words = ["--mount", "--map-root-user", "sh", "-c", script];
    command.args(words).current_dir(dir);
    // Containers often forbid namespaces.
    let Some(running) = Running::start(&mut command) else {
        return;
    };
    let origin = Origin::of(running.pid());
    assert_eq!(origin.root, Some(process::path(running.pid(), "root")));
    let options = Options {
        root: origin.root,
        ..Options::default()
    };
    let module = Module {
        path: dir.join("mounted/program").display().to_string(),
        build_id: Vec::new(),
        bias: 0,
        start: 0,
        end: 0,
    };
    expect_line(&frames_with(options, module.clone(), address));
    let found = frames_with(Options::default(), module, address);
    assert!(found[0].line.is_none() && line_of(C, "the call").is_some());
}

/// Check that a frame in the kernel's own object has its name, also when the target is gone, and the reason why there is no line.
#[test]
fn kernels_object() {
    let own = live::own_vdso().unwrap();
    let named = |address: &u64| own.symbols.find(*address) == Some("__vdso_clock_gettime");
    let address = (1..0x4000).find(named).unwrap() + 1;
    let mut module = Module {
        path: VDSO.to_string(),
        build_id: own.build_id.clone(),
        bias: 0,
        start: 0,
        end: 0,
    };
    let found = frames_with(Options::default(), module.clone(), address);
    assert_eq!(brief(&found), [("__vdso_clock_gettime", None, false)]);
    let kernel = Reason::Kernel(VDSO.to_string());
    assert_eq!(found[0].reason.as_ref(), Some(&kernel));
    module.build_id[0] ^= 1;
    let found = frames_with(Options::default(), module, address);
    assert_eq!(
        (found[0].function.clone(), found[0].reason.clone()),
        (None, Some(kernel))
    );
}
