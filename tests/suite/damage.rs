//! Damaged mark files: an error and status 1, never a panic, never a hang, never numbers.

use heapshim_cli::store::read_file;
use heapshim_tests::{Run, Target, fresh_directory, heapshim};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A mark file that `run` has kept.
fn mark() -> PathBuf {
    let finished = Run::new(&[Target::c("ends.c").build()]).quiet().finish();
    finished.marks.into_iter().next().expect("a mark is kept")
}

/// Numbers without end, the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).expect("below a usize")
    }
}

/// Changes the bytes in one of many ways; never gives back the same bytes.
fn mutate(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut mutant = bytes.to_vec();
    let at = random.below(bytes.len());
    match random.below(6) {
        0 => mutant[at] ^= 1 << random.below(8),
        1 => mutant.truncate(at),
        2 => mutant.insert(at, 0),
        3 => mutant[at..].fill(0xff),
        4 => drop(mutant.drain(at..(at + 8).min(bytes.len()))),
        // Lengths and counts lie in the first hundred bytes.
        _ => mutant[random.below(100.min(bytes.len()))] ^= 0xff,
    }
    if mutant == bytes { Vec::new() } else { mutant }
}

/// Check that the library refuses 20,000 damaged files.
#[test]
fn refused_by_the_library() {
    let whole = mark();
    let bytes = fs::read(&whole).expect("the mark's bytes");
    assert!(read_file(&whole).is_ok());
    let file = fresh_directory("damage").join("damaged.heapmark");
    let mut random = Random(88_172_645_463_325_252);
    for round in 0..20_000 {
        fs::write(&file, mutate(&bytes, &mut random)).expect("a damaged file");
        assert!(
            read_file(&file).is_err(),
            "round {round} was taken for a mark"
        );
    }
}

fn diff(a: &Path, b: &Path) -> (Option<i32>, String, String) {
    let mut command = Command::new(heapshim());
    command.arg("diff").args([a, b]);
    command.env_clear().envs(heapshim_tests::environment());
    let output = command.output().expect("the command starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// Check that the command says so in one line that names the file, with status 1 and nothing on stdout.
#[test]
fn refused_by_the_command() {
    let whole = mark();
    let bytes = fs::read(&whole).expect("the mark's bytes");
    let file = fresh_directory("damage").join("damaged.heapmark");
    let mut random = Random(1);
    for _ in 0..100 {
        fs::write(&file, mutate(&bytes, &mut random)).expect("a damaged file");
        let (status, stdout, stderr) = diff(&whole, &file);
        assert_eq!(status, Some(1), "{stderr}");
        assert_eq!(stdout, "");
        assert_eq!(stderr.trim_end().lines().count(), 1, "{stderr}");
        assert!(stderr.contains("damaged.heapmark"), "{stderr}");
    }
}

/// Check that a mark that is not there, and a directory, are errors that name it.
#[test]
fn not_a_file() {
    let whole = mark();
    let directory = fresh_directory("damage");
    for path in [directory.join("none.heapmark"), {
        let path = directory.join("directory.heapmark");
        fs::create_dir(&path).expect("a directory");
        path
    }] {
        let (status, stdout, stderr) = diff(&whole, &path);
        assert_eq!((status, stdout.as_str()), (Some(1), ""), "{stderr}");
        let name = path.file_name().expect("a name").to_string_lossy();
        assert!(stderr.contains(&*name), "{stderr}");
    }
}

/// Check that a mark diffed with itself shows no growth.
#[test]
fn undamaged() {
    let whole = mark();
    let (status, stdout, stderr) = diff(&whole, &whole);
    assert_eq!(status, Some(0), "{stderr}");
    assert!(
        stdout.contains("heap +0 B") || stdout.contains("heap 0 B"),
        "{stdout}"
    );
}
