//! DWARF as x86-64 compilers write it: register numbers, the few expressions that occur, and rows made into rules.
//!
//! Called by `compile` (expressions) and `section` (rows). Seen on Debian 12: gcc writes `breg6 n; deref` as CFA and `breg6 n`
//! as places in functions that realign their stack and take their arguments through r10; OpenSSL's assembly writes
//! `breg7 n; deref; plus_uconst m`; linkers write one expression for lazy PLT stubs. glibc's `__restore_rt` has expressions
//! too, but is known by its augmentation. Nothing else is evaluated: no stack machine runs inside malloc.

use gimli::{EndianSlice, Expression, NativeEndian, Operation, Reader as _};

use super::rule::{Kind, Rule};
use crate::row::{Cfa, Place, Row};

/// DWARF's number of the return address column.
pub(crate) const RETURN_ADDRESS: u16 = 16;
/// DWARF's number of rsp.
pub(crate) const STACK_POINTER: u16 = 7;
const RBX: u16 = 3;
const RBP: u16 = 6;
const R10: u16 = 10;

/// The expression of lazy PLT stubs, around its one variable byte: rsp + 8, plus 8 if (rip & 15) >= threshold.
const PLT_HEAD: [u8; 6] = [0x77, 0x08, 0x80, 0x00, 0x3f, 0x1a];
const PLT_TAIL: [u8; 4] = [0x2a, 0x33, 0x24, 0x22];
/// DW_OP_lit0: the threshold is a literal.
const LIT0: u8 = 0x30;

type Bytes<'a> = EndianSlice<'a, NativeEndian>;

/// The place of a register in `Registers::saved`, by its DWARF number.
pub(crate) fn saved_index(register: u16) -> Option<usize> {
    match register {
        RBP => Some(0),
        RBX => Some(1),
        12..=15 => Some(usize::from(register).wrapping_sub(10)),
        _ => None,
    }
}

/// What a CFA expression says.
pub(crate) fn cfa_expression(expression: Bytes<'_>) -> Cfa {
    plt(expression)
        .or_else(|| loaded(expression))
        .unwrap_or(Cfa::Unknown)
}

/// `breg7 8; breg16 0; lit15; and; lit<threshold>; ge; lit3; shl; plus`.
fn plt(expression: Bytes<'_>) -> Option<Cfa> {
    let rest = expression.slice().strip_prefix(&PLT_HEAD)?;
    let [literal] = rest.strip_suffix(&PLT_TAIL)? else {
        return None;
    };
    let threshold = literal
        .checked_sub(LIT0)
        .filter(|&threshold| threshold < 16)?;
    Some(Cfa::Plt { threshold })
}

/// `breg n; deref`, or with `; plus_uconst m` behind.
fn loaded(mut expression: Bytes<'_>) -> Option<Cfa> {
    let (register, offset) = base(&mut expression)?;
    let Operation::Deref {
        size: 8,
        space: false,
        ..
    } = next(&mut expression)?
    else {
        return None;
    };
    let add = if expression.is_empty() {
        0
    } else if let Operation::PlusConstant { value } = next(&mut expression)? {
        i32::try_from(value).ok()?
    } else {
        return None;
    };
    expression.is_empty().then_some(Cfa::Loaded {
        register,
        offset,
        add,
    })
}

/// What a register's location expression says: `breg n`, or unknown.
pub(crate) fn place_expression(mut expression: Bytes<'_>) -> Place {
    match base(&mut expression) {
        Some((register, offset)) if expression.is_empty() => {
            Place::FromRegister { register, offset }
        }
        _ => Place::Unknown,
    }
}

fn base(expression: &mut Bytes<'_>) -> Option<(u16, i32)> {
    match next(expression)? {
        Operation::RegisterOffset {
            register, offset, ..
        } => Some((register.0, i32::try_from(offset).ok()?)),
        _ => None,
    }
}

fn next<'a>(expression: &mut Bytes<'a>) -> Option<Operation<Bytes<'a>>> {
    let encoding = gimli::Encoding {
        address_size: 8,
        format: gimli::Format::Dwarf32,
        version: 4,
    };
    let mut operations = Expression(*expression).operations(encoding);
    let operation = operations.next().ok()??;
    let used = operations.offset_from(&Expression(*expression));
    expression.skip(used).ok()?;
    Some(operation)
}

/// The rule that does what a row says; `UNSUPPORTED` if none can.
pub(crate) fn rule_of_row(row: &Row) -> Rule {
    match row.return_address {
        Place::Undefined => Rule::OUTERMOST,
        Place::FromCfa(-8) if row.stack_pointer == Place::Same => {
            caller_rule(row).unwrap_or(Rule::UNSUPPORTED)
        }
        _ => Rule::UNSUPPORTED,
    }
}

fn caller_rule(row: &Row) -> Option<Rule> {
    let mut rule = cfa_rule(row.cfa)?;
    for (index, place) in row.saved.iter().enumerate() {
        rule = match *place {
            // A register that the caller gets back undefined is one that it does not use.
            Place::Same | Place::Undefined => rule,
            Place::FromCfa(offset) => rule.saving(index, false, i64::from(offset))?,
            Place::FromRegister {
                register: RBP,
                offset,
            } => rule.saving(index, true, i64::from(offset))?,
            Place::FromRegister { .. } | Place::Unknown => return None,
        };
    }
    Some(rule)
}

fn cfa_rule(cfa: Cfa) -> Option<Rule> {
    let (kind, offset, extra) = match cfa {
        Cfa::Register { register, offset } => (register_kind(register)?, offset, 0),
        Cfa::Loaded {
            register,
            offset,
            add,
        } => {
            let kind = match register {
                STACK_POINTER => Kind::AtRsp,
                RBP => Kind::AtRbp,
                _ => return None,
            };
            let words = i8::try_from(add.checked_div(8)?).ok()?;
            (kind, offset, (add % 8 == 0).then_some(words)?)
        }
        Cfa::Plt { threshold } => (Kind::Plt, 0, i8::try_from(threshold).ok()?),
        Cfa::Unknown => return None,
    };
    Some(Rule::new(kind, offset, extra))
}

fn register_kind(register: u16) -> Option<Kind> {
    Some(match register {
        STACK_POINTER => Kind::Rsp,
        RBP => Kind::Rbp,
        RBX => Kind::Rbx,
        R10 => Kind::R10,
        12 => Kind::R12,
        13 => Kind::R13,
        14 => Kind::R14,
        15 => Kind::R15,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cfa(bytes: &[u8]) -> Cfa {
        cfa_expression(EndianSlice::new(bytes, NativeEndian))
    }

    fn place(bytes: &[u8]) -> Place {
        place_expression(EndianSlice::new(bytes, NativeEndian))
    }

    /// Check the CFA expressions that gcc, OpenSSL and linkers write.
    #[test]
    fn known_cfas() {
        let rbp = Cfa::Loaded {
            register: RBP,
            offset: -8,
            add: 0,
        };
        assert_eq!(cfa(&[0x76, 0x78, 0x06]), rbp);
        let rsp = Cfa::Loaded {
            register: STACK_POINTER,
            offset: 152,
            add: 8,
        };
        assert_eq!(cfa(&[0x77, 0x98, 0x01, 0x06, 0x23, 0x08]), rsp);
        let plt = [0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22];
        assert_eq!(cfa(&plt), Cfa::Plt { threshold: 11 });
    }

    /// Check that every other expression, and every one cut off, is unknown.
    #[test]
    fn unknown_expressions() {
        let rsp = [0x77, 0x98, 0x01, 0x06, 0x23, 0x08];
        let cut = (0..6).filter(|&len| len != 4).map(|len| &rsp[..len]);
        assert!(cut.into_iter().all(|bytes| cfa(bytes) == Cfa::Unknown));
        assert_eq!(cfa(&[0x76, 0x78, 0x06, 0x06]), Cfa::Unknown);
        assert_eq!(place(&[0x76, 0x78, 0x06]), Place::Unknown);
        assert_eq!(place(&[]), Place::Unknown);
        assert_eq!(
            place(&[0x76, 0x70]),
            Place::FromRegister {
                register: RBP,
                offset: -16
            }
        );
    }

    fn row(cfa: Cfa) -> Row {
        Row {
            cfa,
            return_address: Place::FromCfa(-8),
            ..Row::EMPTY
        }
    }

    /// Check that a row becomes the rule that it says.
    #[test]
    fn rows() {
        let mut usual = row(Cfa::Register {
            register: RBP,
            offset: 16,
        });
        usual.set(RBP, Place::FromCfa(-16));
        let rule = Rule::new(Kind::Rbp, 16, 0).saving(0, false, -16);
        assert_eq!(Some(rule_of_row(&usual)), rule);
        usual.set(
            RBX,
            Place::FromRegister {
                register: RBP,
                offset: -8,
            },
        );
        let rule = rule.and_then(|rule| rule.saving(1, true, -8));
        assert_eq!(Some(rule_of_row(&usual)), rule);
        usual.set(RETURN_ADDRESS, Place::Undefined);
        assert_eq!(rule_of_row(&usual), Rule::OUTERMOST);
    }

    /// Check that what no rule can say is unsupported, not guessed.
    #[test]
    fn unsupported_rows() {
        let usual = row(Cfa::Register {
            register: RBP,
            offset: 16,
        });
        let with = |register, place| {
            let mut row = usual;
            row.set(register, place);
            rule_of_row(&row)
        };
        assert_ne!(rule_of_row(&usual), Rule::UNSUPPORTED);
        assert_eq!(with(RETURN_ADDRESS, Place::Same), Rule::UNSUPPORTED);
        assert_eq!(with(RETURN_ADDRESS, Place::FromCfa(-16)), Rule::UNSUPPORTED);
        assert_eq!(with(STACK_POINTER, Place::FromCfa(160)), Rule::UNSUPPORTED);
        assert_eq!(with(RBX, Place::Unknown), Rule::UNSUPPORTED);
        assert_eq!(with(RBX, Place::FromCfa(-8192)), Rule::UNSUPPORTED);
        assert_eq!(
            with(
                RBX,
                Place::FromRegister {
                    register: RBX,
                    offset: 0
                }
            ),
            Rule::UNSUPPORTED
        );
        assert_eq!(
            rule_of_row(&row(Cfa::Register {
                register: 0,
                offset: 8
            })),
            Rule::UNSUPPORTED
        );
        assert_eq!(
            rule_of_row(&row(Cfa::Loaded {
                register: RBP,
                offset: 0,
                add: 4
            })),
            Rule::UNSUPPORTED
        );
        assert_eq!(rule_of_row(&row(Cfa::Unknown)), Rule::UNSUPPORTED);
    }
}
