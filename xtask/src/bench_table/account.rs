//! Whether a workload that is to be timed is traced at all: what its account holds is compared with what a library counts that does nothing else.
//!
//! Apart from the timed runs, with the same library and variables: HEAPSHIM_DIR keeps the account in a file, whose room on the disk costs time of its own.

use super::{EXACT, OFF, SAMPLED, traced};
use crate::bench_workloads::{Counted, Ready, succeeds};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The counting library, which the suite trusts too.
const COUNTING: &str = "tests/programs/count.c";

pub(super) struct Account {
    heapshim: PathBuf,
    counting: PathBuf,
    place: PathBuf,
}

impl Account {
    /// None where the library does not compile.
    pub(super) fn new(root: &Path, place: &Path) -> Option<Account> {
        let counting = place.join("count.so");
        let mut compiler = Command::new("gcc");
        compiler.args(["-O2", "-shared", "-fPIC", "-o"]);
        let built = succeeds(compiler.arg(&counting).arg(root.join(COUNTING)));
        built.then_some(Account {
            heapshim: crate::bench_symbols::heapshim(root)?,
            counting,
            place: place.join("accounts"),
        })
    }

    /// Runs it once counted and once in each way; Err says which way does not trace as it should.
    pub(super) fn check(&self, ready: &Ready, library: &str) -> Result<(), String> {
        let counted = match ready.counted {
            Counted::Known(blocks) => blocks,
            Counted::Alike | Counted::AtLeast => self.counted(ready).ok_or("not counted")?,
        };
        for sample in [EXACT, SAMPLED, OFF] {
            let under = |words: &[String]| {
                let mut command = traced(words, library, sample)?;
                command.env("HEAPSHIM_DIR", &self.place);
                Some(command)
            };
            let files = self.files(ready, &under).ok_or("fails when traced")?;
            let told: Option<Vec<String>> = files.iter().map(|file| self.told(file)).collect();
            let told = told.filter(|told| !told.is_empty());
            let told = told.ok_or_else(|| format!("no account: HEAPSHIM_SAMPLE={sample}"))?;
            if !is_right(&told, sample, counted, ready.counted) {
                let blocks: u64 = told.iter().map(|told| blocks(told)).sum();
                return Err(format!(
                    "HEAPSHIM_SAMPLE={sample}: its account has {blocks} blocks, and it makes {counted}"
                ));
            }
        }
        let _gone = fs::remove_dir_all(&self.place);
        Ok(())
    }

    /// Blocks that it makes.
    fn counted(&self, ready: &Ready) -> Option<u64> {
        let under = |words: &[String]| {
            let mut command = Command::new(words.first()?);
            command.args(&words[1..]).env("LD_PRELOAD", &self.counting);
            command.env("COUNT_DIR", &self.place);
            Some(command)
        };
        let files = self.files(ready, &under)?;
        let allocations = |file: &PathBuf| {
            let bytes = fs::read(file).ok()?;
            Some(u64::from_ne_bytes(*bytes.first_chunk()?))
        };
        files.iter().map(allocations).sum()
    }

    /// What a run has left in the directory.
    fn files(
        &self,
        ready: &Ready,
        under: crate::bench_workloads::Under<'_>,
    ) -> Option<Vec<PathBuf>> {
        let _gone = fs::remove_dir_all(&self.place);
        fs::create_dir_all(&self.place).ok()?;
        ready.run(under)?;
        let entries = fs::read_dir(&self.place).ok()?.flatten();
        Some(entries.map(|entry| entry.path()).collect())
    }

    /// The account, as the command tells it.
    fn told(&self, file: &Path) -> Option<String> {
        let mut command = Command::new(&self.heapshim);
        command.arg("diff").arg("start").arg(file);
        command.args(["--by", "module", "--format", "json"]);
        let output = command.output().ok()?;
        let told = String::from_utf8(output.stdout).ok()?;
        output.status.success().then_some(told)
    }
}

/// Whether the accounts of a run are of this mode, and have the blocks that there were. Off they have none, and of samples it is known how they were drawn.
fn is_right(told: &[String], sample: &str, counted: u64, how: Counted) -> bool {
    let all = |word: &str| told.iter().all(|told| told.contains(word));
    let found = told.iter().map(|told| blocks(told)).sum::<u64>() as f64;
    let counted = counted as f64;
    match (sample, how) {
        (OFF, _) => all("\"mode\": \"off\"") && found == 0.0,
        (SAMPLED, _) => all("\"sample_bytes\": 524288"),
        (_, Counted::Alike) => (found - counted).abs() <= counted * 1e-3,
        (_, Counted::AtLeast) => found >= counted * 0.999,
        (_, Counted::Known(_)) => found >= counted,
    }
}

/// Blocks ever allocated: those of all rows, and those of none.
fn blocks(told: &str) -> u64 {
    let numbers = told.split("\"total_blocks\": ").skip(1);
    let number = |text: &str| {
        text.split(|c: char| !c.is_ascii_digit())
            .next()?
            .parse::<u64>()
            .ok()
    };
    numbers.filter_map(number).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLD: &str = r#"{"sample_bytes": null, "unattributed": {"total_blocks": 2}, "rows": [{"total_blocks": 900}, {"total_blocks": 98}]}"#;

    /// Check that blocks of rows and of none are summed, and that an account without the program's blocks is not taken for its own.
    #[test]
    fn blocks_of_an_account() {
        assert_eq!(blocks(TOLD), 1000);
        let told = [TOLD.to_owned()];
        assert!(is_right(&told, EXACT, 1000, Counted::Alike));
        assert!(!is_right(&told, EXACT, 1002, Counted::Alike));
        assert!(is_right(&told, EXACT, 10, Counted::AtLeast));
        assert!(!is_right(&told, EXACT, 1001, Counted::Known(1001)));
        assert!(!is_right(&told, OFF, 1000, Counted::Alike));
        assert!(!is_right(&told, SAMPLED, 1000, Counted::Alike));
    }
}
