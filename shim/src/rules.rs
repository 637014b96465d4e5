//! Unwind rules by pc: found at the first walk through a call site, kept in a lock-free table.
//!
//! An entry is written whole before the index names it. It belongs to one load of a module; after the loader has been active it is used only when
//! the loader still says that this load holds the pc (`modules::at`), and then carries the new generation. Code in no module
//! has no entry: it is made and thrown away all the time. It, and code of a module that has no unwind information for it, may keep a frame pointer.

use crate::memory::{PrivateRungs, Table, Zeroed};
use crate::{loader, modules, real, tracer};
use heapshim_ledger::index::{find, find_or_insert, mix};
use heapshim_ledger::sync::{AtomicU32, AtomicU64, Word, take_index};
use heapshim_unwind::{Rule, RuleError, Rules, Section};

/// Call sites whose rules are kept: 8 MiB of addresses. A large browser process has about 100,000 live call sites; further ones
/// are parsed anew at each walk, slower but right.
const CAPACITY: u32 = 1 << 18;

#[derive(Debug)]
struct Entry {
    pc: AtomicU64,
    words: [AtomicU64; 2],
    load: AtomicU32,
    /// Generation of the loader at which `load` was last known to hold `pc`.
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
    let Some(module) = modules::at(pc) else {
        return Ok(Rule::FRAME_POINTER);
    };
    let same = |slot: u32| {
        entry(slot).is_some_and(|entry| entry.pc.peek() == pc && entry.load.peek() == module.load)
    };
    if let Some(entry) = find(&INDEX, mix(pc), same).and_then(entry) {
        entry.generation.put(generation);
        return Ok(entry.rule());
    }
    let told = match module.section() {
        Some(section) => rule_in(&section, pc),
        None => Ok(Rule::FRAME_POINTER),
    };
    let may_lie = told.is_err() || told.is_ok_and(Rule::is_usual);
    let rule = match may_lie && is_by_frame_pointers() && !keeps_none(pc, module.bias) {
        true => Rule::FRAMED,
        false => told?,
    };
    find_or_insert(&INDEX, mix(pc), same, || {
        add(pc, module.load, generation, rule)
    });
    Ok(rule)
}

/// True where frame pointers are to be believed before unwind tables, as far as these say where a caller's stack begins. They still say where a stack ends, which frame is a signal's,
/// and where a function has moved its stack.
fn is_by_frame_pointers() -> bool {
    tracer::get().is_some_and(|tracer| tracer.options.by_frame_pointers)
}

/// True for code that keeps no frame pointers in most distributions, and in which every stack begins, or a constructor's lies: libc's, ld.so's; and for this library's.
fn keeps_none(pc: u64, bias: u64) -> bool {
    real::is_ours(pc) || loader::is_loader(pc) || real::is_libcs(bias)
}

fn rule_in(section: &Section<'_>, pc: u64) -> Result<Rule, RuleError> {
    match section.rule(pc) {
        Err(RuleError::NoRule) if is_first_code(section, pc) => Ok(Rule::OUTERMOST),
        Err(RuleError::NoRule) => Ok(Rule::FRAME_POINTER),
        found => found,
    }
}

/// True for code that nothing called: ld.so's entry, and the function that a coroutine was made to return to (glibc's `__start_context`), where the
/// return address is the function's first byte and the byte before it is nobody's.
fn is_first_code(section: &Section<'_>, pc: u64) -> bool {
    loader::is_entry(pc) || section.rule(pc.wrapping_add(1)).is_ok()
}

fn add(pc: u64, load: u32, generation: u32, rule: Rule) -> Option<u32> {
    let id = take_index(&LEN, 1, CAPACITY)?;
    let entry = ENTRIES.get(id)?;
    entry.pc.put(pc);
    entry
        .words
        .iter()
        .zip(rule.to_words())
        .for_each(|(word, value)| word.put(value));
    entry.load.put(load);
    entry.generation.put(generation);
    Some(id + 1)
}
