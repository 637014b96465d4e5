//! Who may see an account, and who may change it: its user reads it, nobody writes it, and no core dump carries it away.

use heapshim_tests::{
    Running, Target, as_nobody, as_root, descriptors_of, needs, not_allowed, open_directory,
};
use std::fs::{self, File, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Command;

fn running() -> Running {
    Target::c("leak.c").spawn()
}

/// The target's descriptors of this name.
fn descriptors(running: &Running, name: &str) -> Vec<PathBuf> {
    descriptors_of(running.pid(), name)
}

/// Check that the ledger can't be written, grown or cut by whoever opens it, its own user included, and that both files are their owner's alone.
#[test]
fn nobody_writes_it() {
    let running = running();
    let ledgers = descriptors(&running, "heapshim-ledger");
    assert_eq!(ledgers.len(), 1, "{ledgers:?}");
    let file = File::options().read(true).write(true).open(&ledgers[0]);
    let file = file.expect("opened by its user");
    let (mut before, mut after) = ([0; 8], [0; 8]);
    file.read_exact_at(&mut before, 0).expect("read");
    let written = file.write_all_at(b"SPOILED!", 0).expect_err("sealed");
    assert_eq!(written.kind(), ErrorKind::PermissionDenied);
    let bytes = file.metadata().expect("its size").len();
    for length in [0, bytes / 2, bytes * 2] {
        assert!(file.set_len(length).is_err(), "{length}");
    }
    file.read_exact_at(&mut after, 0).expect("read");
    assert_eq!(before, after);
    for path in ledgers
        .iter()
        .chain(&descriptors(&running, "heapshim-control"))
    {
        assert_eq!(path.metadata().expect("a file").mode() & 0o7777, 0o600);
    }
}

/// Check that another user can't open it.
#[test]
fn others_do_not_read_it() {
    if !as_root("another user's look") || !needs(&["setpriv"]) {
        return;
    }
    let running = running();
    for path in descriptors(&running, "heapshim-") {
        let read = as_nobody().args(["head", "-c", "1"]).arg(&path).output();
        let read = read.expect("setpriv");
        assert!(!read.status.success() && read.stdout.is_empty(), "{path:?}");
    }
}

/// Check that a source is shown by what its process may read: root asks about a service that has given up root, and whose debug information names a
/// file that only root may read.
#[test]
fn no_line_that_its_user_may_not_read() {
    if !as_root("a process that gives up root") {
        return;
    }
    let chosen = open_directory("privacy").join("chosen");
    fs::write(&chosen, "first\nthe secret\n").expect("written");
    let of = Target::c("drops_root.c").opt(&format!("-DCHOSEN=\"{}\"", chosen.display()));
    let running = of.spawn();
    assert_eq!(running.said(), "leaked");
    let name = chosen.file_name().expect("a name").to_string_lossy();
    for (mode, is_shown) in [(0o644, true), (0o600, false)] {
        fs::set_permissions(&chosen, Permissions::from_mode(mode)).expect("set");
        let table = running.table(&["start"]);
        assert!(table.contains(&format!("{name}:2")), "{table}");
        assert_eq!(table.contains("the secret"), is_shown, "{mode:o} {table}");
    }
}

/// Check that a core dump leaves the ledger out, by the flags of its mapping (proc_pid_smaps(5)).
#[test]
fn no_dump_carries_it() {
    let running = running();
    let smaps = fs::read_to_string(format!("/proc/{}/smaps", running.pid()));
    let smaps = smaps.expect("smaps");
    let mut lines = smaps.lines();
    let ours = lines.find(|line| line.contains("heapshim-ledger"));
    assert!(ours.is_some(), "{smaps}");
    let flags = lines.find_map(|line| line.strip_prefix("VmFlags:"));
    let flags: Vec<&str> = flags.expect("its flags").split_whitespace().collect();
    assert!(flags.contains(&"dd"), "{flags:?}");
}

/// Check the same of a dump that a debugger makes: what the ledger begins with is not in it, and its own memory is.
#[test]
fn no_debuggers_dump_carries_it() {
    if !needs(&["gdb", "gcore"]) {
        return;
    }
    let running = running();
    let place = heapshim_tests::fresh_directory("core").join("core");
    let pid = running.pid().to_string();
    let made = Command::new("gcore")
        .arg("-o")
        .arg(&place)
        .arg(&pid)
        .output();
    let made = made.expect("gcore");
    let core = place.with_file_name(format!("core.{pid}"));
    let Ok(bytes) = fs::read(&core) else {
        // A sandbox may forbid tracing: then there is no dump either.
        assert!(!made.status.success(), "{made:?}");
        not_allowed("a debugger");
        return;
    };
    let ledger = File::open(&descriptors(&running, "heapshim-ledger")[0]).expect("opened");
    let mut head = [0; 64];
    ledger.read_exact_at(&mut head, 0).expect("read");
    assert_eq!(&head[..8], b"HEAPSHIM");
    let has = |wanted: &[u8]| bytes.windows(wanted.len()).any(|window| window == wanted);
    assert!(has(b"LD_PRELOAD="), "its own memory is there");
    assert!(!has(&head));
}
