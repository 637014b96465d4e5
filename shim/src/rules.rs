//! Unwind rules by pc: found at the first walk through a call site, kept in a lock-free table.
//!
//! An entry is written whole before the index names it. It belongs to one module; after the loader has been active it is used only when
//! the loader still says that this module holds the pc (`modules::at`), and then carries the new generation. No negative answer
//! is kept: code without unwind information may get some.

use crate::memory::{PrivateRungs, Table, Zeroed};
use crate::{loader, modules};
use heapshim_ledger::index::{find, find_or_insert, mix};
use heapshim_ledger::sync::{AtomicU32, AtomicU64, Word, take_index};
use heapshim_unwind::{Rule, RuleError, Rules};

/// Call sites whose rules are kept: 8 MiB of addresses. A large browser process has about 100,000 live call sites; further ones
/// are parsed anew at each walk, slower but right.
const CAPACITY: u32 = 1 << 18;

#[derive(Debug)]
struct Entry {
    pc: AtomicU64,
    words: [AtomicU64; 2],
    module: AtomicU32,
    /// Generation of the loader at which `module` was last known to hold `pc`.
    generation: AtomicU32,
}

// SAFETY: zeros are integers.
unsafe impl Zeroed for Entry {}

static ENTRIES: Table<Entry> = Table::new(CAPACITY as usize);
static INDEX: PrivateRungs = PrivateRungs::new();
static LEN: AtomicU32 = AtomicU32::new(0);

/// The table, as the walk asks it.
#[derive(Debug)]
pub(crate) struct RuleTable {
    generation: u32,
}

impl RuleTable {
    /// For one walk: `generation` is the loader's before it.
    #[inline(always)]
    pub(crate) fn new(generation: u32) -> RuleTable {
        RuleTable { generation }
    }
}

impl Rules for RuleTable {
    #[inline(always)]
    fn rule(&mut self, pc: u64, _exact: bool) -> Result<Rule, RuleError> {
        let generation = self.generation;
        let current = |slot: u32| {
            entry(slot)
                .is_some_and(|entry| entry.pc.peek() == pc && entry.generation.peek() == generation)
        };
        match find(&INDEX, mix(pc), current).and_then(entry) {
            Some(entry) => Ok(entry.rule()),
            None => find_slowly(pc, generation),
        }
    }
}

impl Entry {
    fn rule(&self) -> Rule {
        let [first, second] = &self.words;
        Rule::from_words([first.peek(), second.peek()])
    }
}

fn entry(slot: u32) -> Option<&'static Entry> {
    ENTRIES.get(slot - 1)
}

#[cold]
#[inline(never)]
fn find_slowly(pc: u64, generation: u32) -> Result<Rule, RuleError> {
    let module = modules::at(pc).ok_or(RuleError::NoRule)?;
    let same = |slot: u32| {
        entry(slot).is_some_and(|entry| entry.pc.peek() == pc && entry.module.peek() == module.id.0)
    };
    if let Some(entry) = find(&INDEX, mix(pc), same).and_then(entry) {
        entry.generation.put(generation);
        return Ok(entry.rule());
    }
    let rule = match module.section().ok_or(RuleError::NoRule)?.rule(pc) {
        Err(RuleError::NoRule) if loader::is_entry(pc) => Rule::OUTERMOST,
        found => found?,
    };
    find_or_insert(&INDEX, mix(pc), same, || {
        add(pc, module.id.0, generation, rule)
    });
    Ok(rule)
}

fn add(pc: u64, module: u32, generation: u32, rule: Rule) -> Option<u32> {
    let id = take_index(&LEN, 1, CAPACITY)?;
    let entry = ENTRIES.get(id)?;
    entry.pc.put(pc);
    entry
        .words
        .iter()
        .zip(rule.to_words())
        .for_each(|(word, value)| word.put(value));
    entry.module.put(module);
    entry.generation.put(generation);
    Some(id + 1)
}
