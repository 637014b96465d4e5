//! What became of the processes of a traced tree: their marks at the end, and one line for all but the command itself.
//!
//! Fed by `run` with each ledger as its process ends, and forgets it again: a tree may have any number of processes.

use crate::directory::write_file;
use crate::error::Error;
use crate::launch::{Held, allocator};
use crate::mark::{self, Mark};
use crate::merged::Merged;
use crate::model::{Exit, Snapshot};
use crate::process::{Memory, Origin};
use crate::render::{escape, signed_size as signed};
use crate::snapshot;
use crate::store::{EXTENSION, Store};
use crate::subject::{self, Places};
use heapshim_ledger::layout::Complaint;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What is kept of a tree.
#[derive(Debug)]
pub struct Tree {
    save: Option<PathBuf>,
    /// Where files are to be looked for that the marks are to carry; None: they carry nothing.
    bundle: Option<Places>,
    /// All accounts in one; None: not asked for.
    merged: Option<Merged>,
    processes: usize,
    growth: i64,
    most: Option<(i64, String, u32)>,
    problem: Option<Error>,
    /// What is to be said of accounts of a program, by its path.
    allocators: HashMap<String, u32>,
}

impl Tree {
    /// An empty tree; `save` is the directory that keeps a mark of each process, and is made here; with `bundle` these carry what
    /// their addresses mean.
    ///
    /// # Errors
    /// What the system said of the directory.
    pub fn new(save: Option<&Path>, bundle: Option<Places>) -> Result<Tree, Error> {
        if let Some(directory) = save {
            let made = fs::create_dir_all(directory);
            made.map_err(|error| Error::io(directory.display(), "directory not made", error))?;
        }
        let save = save.map(Path::to_path_buf);
        Ok(Tree {
            save,
            bundle,
            merged: None,
            processes: 0,
            growth: 0,
            most: None,
            problem: None,
            allocators: HashMap::new(),
        })
    }

    /// The same, which also adds up every account that it is told of.
    #[must_use]
    pub fn merging(self) -> Tree {
        Tree {
            merged: Some(Merged::default()),
            ..self
        }
    }

    /// Takes the end of a process other than the command into account.
    pub fn finished(&mut self, held: &Held) {
        let Ok(reader) = held.session.reader() else {
            return;
        };
        let totals = snapshot::totals(&reader);
        let growth = totals.live_bytes();
        self.processes += 1;
        self.growth = self.growth.wrapping_add(growth);
        if self.most.as_ref().is_none_or(|(most, _, _)| growth > *most) {
            self.most = Some((growth, held.process.name.clone(), held.process.pid));
        }
        let kept = self.save.is_some() && totals.allocated_blocks > 0;
        if kept || self.merged.is_some() {
            let kept = self.exit_mark(held, None);
            let kept = kept.and_then(|mark| self.take_in(&mark));
            self.problem = self.problem.take().or(kept.err());
        }
    }

    fn take_in(&mut self, mark: &Mark) -> Result<(), Error> {
        if let Some(merged) = &mut self.merged {
            merged.add(&mark.snapshot);
        }
        self.keep(mark)
    }

    /// The command's own mark at its end. Kept in `save`, and beside its other marks if it has any.
    ///
    /// # Errors
    /// `Damaged` where its ledger is.
    pub fn own(&mut self, held: &Held, exit: Exit) -> Result<Mark, Error> {
        let mark = self.exit_mark(held, Some(exit))?;
        let kept = self.take_in(&mark);
        self.problem = self.problem.take().or(kept.err());
        if let Some(ticks) = held.start_ticks
            && let Ok(store) = Store::new(held.process.pid, ticks)
            && store.exists()
        {
            self.problem = self.problem.take().or(store.save(&mark, true).err());
        }
        Ok(mark)
    }

    /// Every account that it was told of in one, under the command's name (None: the first's), and how many there are; None where
    /// that was not asked for, or none came.
    pub fn merged(&mut self, own: Option<&Mark>) -> Option<(Mark, usize)> {
        let merged = self.merged.take()?;
        let processes = merged.processes();
        let process = own.map(|mark| mark.snapshot.process.clone());
        let mark = Mark {
            snapshot: merged.finish(process)?,
            memory: Memory::default(),
            bundle: None,
        };
        Some((mark, processes))
    }

    /// One line for the processes other than the command; None where there were none.
    #[must_use]
    pub fn summary(&self) -> Option<String> {
        let (growth, name, pid) = self.most.as_ref()?;
        let (all, most) = (signed(self.growth), signed(*growth));
        let name = escape(name);
        let mut line = match self.processes {
            1 => format!("1 other process: {name} (pid {pid}) {most}"),
            several => format!(
                "{several} other processes, {all} in all, most in {name} (pid {pid}) {most}"
            ),
        };
        match &self.save {
            Some(directory) => line.push_str(&format!(": marks in {}", directory.display())),
            None => line.push_str(": see them with --save DIR, or in one table with --merge"),
        }
        Some(line)
    }

    /// The first mark that could not be kept.
    pub fn problem(&mut self) -> Option<Error> {
        self.problem.take()
    }

    fn keep(&self, mark: &Mark) -> Result<(), Error> {
        let Some(directory) = &self.save else {
            return Ok(());
        };
        let process = &mark.snapshot.process;
        let name = process
            .name
            .replace(|c: char| c == '/' || c.is_control(), "_");
        let file = format!("{name}-{}.{EXTENSION}", process.pid);
        let file = directory.join(file);
        let Some(places) = self.bundle.clone() else {
            return write_file(&file, &mark::encode(mark));
        };
        let mut carrying = mark.clone();
        // Of a process that has ended, nothing is known but its paths.
        subject::bundle(&mut carrying, places, &Origin::default());
        write_file(&file, &mark::encode(&carrying))
    }
}

impl Tree {
    /// A process's mark at its end.
    fn exit_mark(&mut self, held: &Held, exit: Option<Exit>) -> Result<Mark, Error> {
        let process = crate::model::Process {
            exit,
            ..held.process.clone()
        };
        let memory = Memory::default();
        let session = &held.session;
        let mut snapshot: Snapshot =
            snapshot::take_with_births(&session.reader()?, process, "exit", memory)?;
        session.made_code()?.name(&mut snapshot);
        snapshot.complaints |= self.own_allocator(&snapshot.process.exe);
        // It reached nobody, but was found.
        snapshot.complaints &= !(Complaint::Socket as u32);
        Ok(Mark {
            snapshot,
            memory,
            bundle: None,
        })
    }

    /// A program is looked at once, however often the tree runs it.
    fn own_allocator(&mut self, exe: &str) -> u32 {
        let known = self.allocators.entry(exe.to_string());
        *known.or_insert_with(|| allocator::complaint(Path::new(exe)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check the line for none, one and several other processes, and that a name cannot drive the terminal.
    #[test]
    fn summaries() {
        let mut tree = Tree::new(None, None).expect("nothing to make");
        assert_eq!(tree.summary(), None);
        tree.processes = 1;
        tree.most = Some((1_153_434, "ser\x1bver".to_owned(), 4243));
        let one = "1 other process: ser\\x1bver (pid 4243) +1.1 MiB: see them with --save DIR, or in one table with --merge";
        assert_eq!(tree.summary().as_deref(), Some(one));
        (tree.processes, tree.growth) = (12, 1_258_291);
        tree.save = Some("marks".into());
        let several = "12 other processes, +1.2 MiB in all, most in ser\\x1bver (pid 4243) +1.1 MiB: marks in marks";
        assert_eq!(tree.summary().as_deref(), Some(several));
    }
}
