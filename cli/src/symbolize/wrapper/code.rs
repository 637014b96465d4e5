//! A module's machine code as its file has it, and the names of what it calls in other modules.
//!
//! Used by `walk`. Bytes are read a page at a time, as they are asked for: a browser's code has 150 MiB, its wrappers a few hundred
//! bytes. Names stand in the relocations of the slots that calls go through (System V ABI, AMD64: `JUMP_SLOT`, `GLOB_DAT`), and are
//! read at the first call.

use crate::symbolize::elf::Elf;
use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction};
use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

/// As many bytes as are read at once.
const PAGE: usize = 4096;

/// The longest instruction there is.
const LONGEST: usize = 15;

/// Instructions of a stub between a call and the slot it goes through: `endbr64` and the jump.
const STUB: usize = 2;

/// `sizeof(Elf64_Rela)`, `sizeof(Elf64_Sym)`.
const RELOCATION: usize = 24;
const SYMBOL: usize = 24;

const R_X86_64_GLOB_DAT: u64 = 6;
const R_X86_64_JUMP_SLOT: u64 = 7;

/// Slots by address, as offsets of names.
#[derive(Debug, Default)]
struct Slots {
    names: HashMap<u64, usize>,
    strings: Rc<[u8]>,
}

/// The code of one module.
#[derive(Debug)]
pub(in crate::symbolize) struct Code {
    elf: Elf,
    pages: RefCell<HashMap<u64, Rc<[u8]>>>,
    slots: OnceCell<Slots>,
}

impl Code {
    pub(in crate::symbolize) fn new(elf: Elf) -> Code {
        Code {
            elf,
            pages: RefCell::default(),
            slots: OnceCell::new(),
        }
    }

    /// The instruction at an address; None where there is no code.
    pub(super) fn instruction(&self, address: u64) -> Option<Instruction> {
        let mut bytes = [0; LONGEST];
        let size = self.bytes(address, &mut bytes);
        let mut decoder = Decoder::with_ip(64, &bytes[..size], address, DecoderOptions::NONE);
        let instruction = decoder.decode();
        (!instruction.is_invalid()).then_some(instruction)
    }

    /// As many of the bytes from an address on as there are.
    fn bytes(&self, address: u64, space: &mut [u8]) -> usize {
        let mut done = 0;
        while let Some(at) = address
            .checked_add(done as u64)
            .filter(|_| done < space.len())
        {
            let begin = usize::try_from(at).map_or(0, |at| at % PAGE);
            let page = self.page(at - begin as u64);
            let rest = page.get(begin..).unwrap_or_default();
            let count = rest.len().min(space.len() - done);
            if count == 0 {
                break;
            }
            space[done..done + count].copy_from_slice(&rest[..count]);
            done += count;
        }
        done
    }

    fn page(&self, start: u64) -> Rc<[u8]> {
        let mut pages = self.pages.borrow_mut();
        let page = pages.entry(start).or_insert_with(|| {
            let mut bytes = [0; PAGE];
            let size = self.elf.loaded(start, &mut bytes);
            Rc::from(&bytes[..size])
        });
        Rc::clone(page)
    }

    /// The name of the function of another module that a call or a jump goes to; None where it stays in this one.
    pub(super) fn external(&self, instruction: &Instruction) -> Option<&str> {
        if instruction.is_ip_rel_memory_operand() {
            return self.slot(instruction.ip_rel_memory_address());
        }
        let mut at = instruction.near_branch_target();
        for _ in 0..STUB {
            let next = self.instruction(at)?;
            if next.flow_control() == FlowControl::IndirectBranch {
                let slot = next.ip_rel_memory_address();
                return next.is_ip_rel_memory_operand().then(|| self.slot(slot))?;
            }
            at = next.next_ip();
        }
        None
    }

    fn slot(&self, address: u64) -> Option<&str> {
        let slots = self
            .slots
            .get_or_init(|| self.read_slots().unwrap_or_default());
        let name = slots.strings.get(*slots.names.get(&address)?..)?;
        let end = name.iter().position(|&byte| byte == 0)?;
        std::str::from_utf8(&name[..end]).ok()
    }

    fn read_slots(&self) -> Option<Slots> {
        let section = |name| self.elf.section(name).ok().flatten();
        let symbols = section(".dynsym")?;
        let mut names = HashMap::new();
        for table in [".rela.plt", ".rela.dyn"] {
            let records = section(table).unwrap_or_default();
            let slots = records.chunks_exact(RELOCATION);
            names.extend(slots.filter_map(|record| slot_of(record, &symbols)));
        }
        let strings = section(".dynstr")?;
        Some(Slots { names, strings })
    }
}

/// A slot's address, and where its name is among the strings.
fn slot_of(record: &[u8], symbols: &[u8]) -> Option<(u64, usize)> {
    let word = |at: usize| Some(u64::from_le_bytes(record.get(at..at + 8)?.try_into().ok()?));
    let (address, info) = (word(0)?, word(8)?);
    let is_slot = matches!(info & 0xffff_ffff, R_X86_64_GLOB_DAT | R_X86_64_JUMP_SLOT);
    let at = usize::try_from(info >> 32).ok()?.checked_mul(SYMBOL)?;
    let name = symbols.get(at..at.checked_add(4)?)?;
    let name = u32::from_le_bytes(name.try_into().ok()?);
    is_slot.then_some((address, name as usize))
}
