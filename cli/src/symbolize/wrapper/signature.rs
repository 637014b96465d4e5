//! Whether a function looks like an allocator's wrapper by its declaration, and where its code is, from DWARF.
//!
//! Called by `dwarf` for one frame at a time. What a function is declared to take and give stands with its abstract instance, which link-time
//! optimisation may put into another unit than its code's.

use crate::symbolize::dwarf::Bytes;
use gimli::{AttributeValue, DebugInfoOffset, UnitOffset, UnitRef};
use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

/// References from one entry to the next: instance, declaration, typedefs. Deeper is damage, or a circle.
const MAX_REFERENCES: usize = 16;

/// Ranges of one function's code.
const MAX_RANGES: usize = 64;

/// Registers that arguments come in.
const REGISTERS: usize = 6;

/// The least bytes of a number that is a size.
const SIZE: u64 = 4;

/// The name that C++ prescribes for an allocator's function (\[allocator.requirements\]): it returns a typed pointer.
const ALLOCATE: &[u8] = b"allocate";

/// A function that may be a wrapper by its declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::symbolize) struct Signature {
    /// Which of its arguments may be sizes, by the order of their registers. Of a function that other units cannot call, any: there
    /// the order is the compiler's to choose.
    pub(super) sizes: Vec<usize>,
    /// Its first instruction.
    pub(super) entry: u64,
    /// All of its code.
    pub(super) ranges: Vec<Range<u64>>,
    /// True where it has no frame of its own.
    pub(super) is_inlined: bool,
    /// True where all that it is declared to take is given to it. Where the compiler knows all callers it leaves out what is
    /// not needed, or always the same.
    pub(super) takes_all: bool,
}

/// Units other than a frame's own, by where they begin.
#[derive(Default)]
pub(in crate::symbolize) struct Units {
    headers: OnceCell<Vec<(usize, gimli::UnitHeader<Bytes>)>>,
    opened: RefCell<HashMap<usize, Rc<gimli::Unit<Bytes>>>>,
}

impl Units {
    /// The unit that an offset of the section lies in.
    fn find(
        &self,
        dwarf: &gimli::Dwarf<Bytes>,
        at: DebugInfoOffset,
    ) -> Option<Rc<gimli::Unit<Bytes>>> {
        let headers = self.headers.get_or_init(|| headers(dwarf));
        let place = headers.partition_point(|(start, _)| *start <= at.0);
        let (start, header) = headers.get(place.checked_sub(1)?)?;
        let mut opened = self.opened.borrow_mut();
        if let Some(unit) = opened.get(start) {
            return Some(Rc::clone(unit));
        }
        let unit = Rc::new(dwarf.unit(header.clone()).ok()?);
        opened.insert(*start, Rc::clone(&unit));
        Some(unit)
    }
}

fn headers(dwarf: &gimli::Dwarf<Bytes>) -> Vec<(usize, gimli::UnitHeader<Bytes>)> {
    let mut found = Vec::new();
    let mut units = dwarf.debug_info.units();
    while let Ok(Some(header)) = units.next() {
        if let Some(at) = header.debug_info_offset() {
            found.push((at.0, header));
        }
    }
    found
}

/// The unit of an entry: the frame's own, or another.
#[derive(Clone)]
enum Home<'a> {
    Own(UnitRef<'a, Bytes>),
    Other(&'a gimli::Dwarf<Bytes>, Rc<gimli::Unit<Bytes>>),
}

impl Home<'_> {
    fn unit(&self) -> UnitRef<'_, Bytes> {
        match self {
            Home::Own(unit) => *unit,
            Home::Other(dwarf, unit) => UnitRef::new(dwarf, unit),
        }
    }
}

/// An entry of the debug information.
#[derive(Clone)]
struct Die<'a> {
    home: Home<'a>,
    units: &'a Units,
    entry: gimli::DebuggingInformationEntry<Bytes>,
}

impl<'a> Die<'a> {
    fn at(home: Home<'a>, units: &'a Units, offset: UnitOffset) -> Option<Die<'a>> {
        let entry = home.unit().entry(offset).ok()?;
        Some(Die { home, units, entry })
    }

    /// The entry that an attribute refers to.
    fn refers(&self, attribute: gimli::DwAt) -> Option<Die<'a>> {
        match self.entry.attr_value(attribute)? {
            AttributeValue::UnitRef(offset) => Die::at(self.home.clone(), self.units, offset),
            AttributeValue::DebugInfoRef(at) => {
                let dwarf = match &self.home {
                    Home::Own(unit) => unit.dwarf,
                    Home::Other(dwarf, _) => dwarf,
                };
                let unit = self.units.find(dwarf, at)?;
                let offset = at.to_unit_offset(&unit.header)?;
                Die::at(Home::Other(dwarf, unit), self.units, offset)
            }
            _ => None,
        }
    }

    /// The entry, and those that declare the same thing.
    fn declarations(&self) -> Vec<Die<'a>> {
        let mut found = vec![self.clone()];
        while let Some(last) = found.last().filter(|_| found.len() < MAX_REFERENCES) {
            let origin = last.refers(gimli::DW_AT_abstract_origin);
            let next = origin.or_else(|| last.refers(gimli::DW_AT_specification));
            let Some(next) = next else { break };
            found.push(next);
        }
        found
    }

    /// The type, without the names that it was given and what may be done with it; None for `void`.
    fn plain_type(&self) -> Option<Die<'a>> {
        let mut found = self.refers(gimli::DW_AT_type)?;
        for _ in 0..MAX_REFERENCES {
            match found.entry.tag() {
                gimli::DW_TAG_typedef
                | gimli::DW_TAG_const_type
                | gimli::DW_TAG_volatile_type
                | gimli::DW_TAG_restrict_type
                | gimli::DW_TAG_atomic_type => found = found.refers(gimli::DW_AT_type)?,
                _ => return Some(found),
            }
        }
        Some(found)
    }

    fn is_named(&self, name: &[u8]) -> bool {
        let value = self.entry.attr_value(gimli::DW_AT_name);
        let text = value.and_then(|value| self.home.unit().attr_string(value).ok());
        text.is_some_and(|text| text.bytes() == name)
    }

    /// The parameters, as they are declared here.
    fn parameters(&self) -> Vec<Die<'a>> {
        let mut found = Vec::new();
        let unit = self.home.unit();
        let Ok(mut tree) = unit.entries_tree(Some(self.entry.offset())) else {
            return found;
        };
        let Ok(root) = tree.root() else { return found };
        let mut children = root.children();
        while let Ok(Some(child)) = children.next() {
            if child.entry().tag() == gimli::DW_TAG_formal_parameter {
                found.push(Die {
                    home: self.home.clone(),
                    units: self.units,
                    entry: child.entry().clone(),
                });
            }
        }
        found
    }
}

/// The signature of the function at an offset of a unit; None where it cannot be a wrapper.
pub(in crate::symbolize) fn signature(
    unit: UnitRef<'_, Bytes>,
    units: &Units,
    offset: UnitOffset,
) -> Option<Signature> {
    let die = Die::at(Home::Own(unit), units, offset)?;
    let declarations = die.declarations();
    if !gives_memory(&declarations) {
        return None;
    }
    let mut parameters = declarations.iter().rev().map(Die::parameters);
    let sizes = sizes(&parameters.find(|list| !list.is_empty())?);
    let external = gimli::DW_AT_external;
    let is_local = !declarations.iter().any(|die| die.entry.has_attr(external));
    let ranges = ranges(&die)?;
    let is_given = |one: &Die<'_>| one.entry.has_attr(gimli::DW_AT_location);
    Some(Signature {
        entry: entry(&die).unwrap_or(ranges.first()?.start),
        ranges,
        is_inlined: die.entry.tag() == gimli::DW_TAG_inlined_subroutine,
        takes_all: die.parameters().iter().all(is_given),
        sizes: match sizes.is_empty() {
            true => return None,
            false if is_local => (0..REGISTERS).collect(),
            false => sizes,
        },
    })
}

/// True for what returns `void *`, and for a C++ allocator's function, which returns any pointer.
fn gives_memory(declarations: &[Die<'_>]) -> bool {
    let typed = declarations
        .iter()
        .find(|die| die.entry.has_attr(gimli::DW_AT_type));
    let given = typed.and_then(Die::plain_type);
    given.is_some_and(|given| {
        let is_pointer = given.entry.tag() == gimli::DW_TAG_pointer_type;
        let is_untyped = || given.plain_type().is_none();
        let is_allocate = || declarations.iter().any(|die| die.is_named(ALLOCATE));
        is_pointer && (is_untyped() || is_allocate())
    })
}

/// Which parameters are whole numbers large enough for a size, by the order of the registers that arguments come in.
fn sizes(parameters: &[Die<'_>]) -> Vec<usize> {
    let mut register = 0;
    let mut sizes = Vec::new();
    for parameter in parameters {
        let declared = parameter.declarations();
        let Some(kind) = declared.iter().find_map(Die::plain_type) else {
            break;
        };
        match kind.entry.tag() {
            gimli::DW_TAG_base_type if is_whole(&kind) => {
                if number(&kind, gimli::DW_AT_byte_size) >= SIZE {
                    sizes.push(register);
                }
                register += 1;
            }
            // Other registers.
            gimli::DW_TAG_base_type => {}
            gimli::DW_TAG_pointer_type
            | gimli::DW_TAG_reference_type
            | gimli::DW_TAG_rvalue_reference_type
            | gimli::DW_TAG_enumeration_type => register += 1,
            // Structures are passed in many ways: where the next argument is cannot be said.
            _ => break,
        }
    }
    sizes
}

/// True for numbers that are passed as such, and not `float`, `bool` included.
fn is_whole(kind: &Die<'_>) -> bool {
    match kind.entry.attr_value(gimli::DW_AT_encoding) {
        Some(AttributeValue::Encoding(encoding)) => !matches!(
            encoding,
            gimli::DW_ATE_float
                | gimli::DW_ATE_complex_float
                | gimli::DW_ATE_imaginary_float
                | gimli::DW_ATE_decimal_float
        ),
        _ => false,
    }
}

fn number(die: &Die<'_>, attribute: gimli::DwAt) -> u64 {
    let value = die.entry.attr_value(attribute);
    value.and_then(|value| value.udata_value()).unwrap_or(0)
}

fn ranges(die: &Die<'_>) -> Option<Vec<Range<u64>>> {
    let unit = die.home.unit();
    let mut all = unit.die_ranges(&die.entry).ok()?;
    let mut found = Vec::new();
    while let Some(range) = all.next().ok()? {
        if found.len() == MAX_RANGES {
            return None;
        }
        found.push(range.begin..range.end);
    }
    Some(found)
}

/// The first instruction, where it is not that of the first range.
fn entry(die: &Die<'_>) -> Option<u64> {
    let unit = die.home.unit();
    let value = die.entry.attr_value(gimli::DW_AT_entry_pc)?;
    unit.attr_address(value).ok()?
}
