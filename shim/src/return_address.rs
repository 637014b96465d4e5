//! Whether an address is a return address: whether a call stands before it. `bounds` asks, where only a frame pointer leads to the caller.
//!
//! Code that is made at run time has no unwind tables, but mostly a frame pointer; a function that keeps none has any value in its place. What
//! stands above that value is then any word, and this tells it from a return address. That its page may be executed is not asked:
//! only /proc/self/maps says so, whose reading costs a hundred times a walk and needs calls that a filter may kill for, and V8 takes
//! the right away from its pages while it writes to them. A word that leads to readable bytes which happen to be a call passes (about one of a
//! hundred that lead to readable bytes); then the stack has a frame that is none, and ends there, as truncated as before.
//!
//! A call to a function that *has* unwind tables was not the call of this frame, which has none: the frame pointer is one further out, and
//! callers would be left out. Calls through a register or memory tell nothing.
//!
//! Answers are kept, since the question is a system call. A refusal is forgotten after a while: code may be written there.

use crate::{modules, sys};
use heapshim_ledger::sync::{AtomicU64, Word};

/// Answers that are kept: the return addresses of a hot program's compiled functions; 16 KiB.
const PLACES: usize = 2048;
/// User addresses have 47 bits; the rest of a place is the refusal.
const ADDRESS: u64 = (1 << 47) - 1;
/// One more use of a refusal.
const USE: u64 = 1 << 48;
/// Uses of a refusal before it is asked anew: the question costs about as much as ten walks.
const USES: u64 = 255;

/// `CALL rel32`: a distance follows (Intel SDM, vol. 2, CALL).
const CALL_REL32: u8 = 0xe8;
/// The group in which `CALL r/m64` is, by the number in the middle of its second byte (table A-6).
const GROUP_5: u8 = 0xff;
const CALL_RM64: u8 = 2;
/// What the second byte may say instead of a register (tables 2-2 and 2-3): another byte with an index follows; without a distance of its own, four bytes of one to the next instruction.
const SIB: u8 = 4;
const RIP_RELATIVE: u8 = 5;
/// Its two highest bits: what follows of the address.
const NO_DISPLACEMENT: u8 = 0;
const DISPLACEMENT_8: u8 = 1;
const DISPLACEMENT_32: u8 = 2;
const REGISTER: u8 = 3;

/// Addresses that were asked for, each with the uses that are left of its refusal; 0 where it was none.
static ANSWERS: [AtomicU64; PLACES] = [const { AtomicU64::new(0) }; PLACES];

/// Whether a call stands before an address, and not one of a function that has unwind tables.
pub(crate) fn is_one(address: u64) -> bool {
    let Some(place) = ANSWERS
        .get(place_of(address))
        .filter(|_| address & !ADDRESS == 0)
    else {
        return false;
    };
    let known = place.peek();
    if known & ADDRESS != address || known == 0 {
        return ask(address, place);
    }
    match known / USE {
        0 => true,
        1 => ask(address, place),
        _ => {
            place.put(known - USE);
            false
        }
    }
}

/// As `unwind`'s own cache: the highest bits of a product by 2^64 over the golden ratio differ for neighbours.
fn place_of(address: u64) -> usize {
    let spread = address.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    usize::try_from(spread >> (u64::BITS - PLACES.trailing_zeros())).unwrap_or(0)
}

#[cold]
#[inline(never)]
fn ask(address: u64, place: &AtomicU64) -> bool {
    let is_one = match call_before(address) {
        Call::None => false,
        Call::Indirect => true,
        Call::Direct(callee) => !has_tables(callee),
    };
    place.put(if is_one {
        address
    } else {
        address | (USES * USE)
    });
    is_one
}

fn has_tables(function: u64) -> bool {
    let section = modules::at(function).and_then(|module| module.section());
    section.is_some_and(|section| section.rule(function).is_ok())
}

/// What stands before an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    /// No call.
    None,
    /// A call of the function at an address.
    Direct(u64),
    /// A call through a register or memory.
    Indirect,
}

fn call_before(address: u64) -> Call {
    let before = address.wrapping_sub(8);
    if !sys::readable(before) {
        return Call::None;
    }
    let bytes = core::ptr::with_exposed_provenance::<[u8; 8]>(usize::try_from(before).unwrap_or(0));
    // SAFETY: the kernel has just read these eight bytes. An address that a call has pushed lies in code that this thread returns to; any other
    // could be unmapped by another thread in the nanoseconds since, which is not ruled out. Volatile, since they are nobody's data.
    let bytes = unsafe { bytes.read_volatile() };
    call_in(&bytes, address)
}

/// The call that ends with these bytes, before `address`.
fn call_in(bytes: &[u8; 8], address: u64) -> Call {
    if (2..=7).any(|length| is_indirect(bytes, length)) {
        return Call::Indirect;
    }
    let [_, _, _, opcode, a, b, c, d] = *bytes;
    let distance = i64::from(i32::from_le_bytes([a, b, c, d]));
    match opcode {
        CALL_REL32 => Call::Direct(address.wrapping_add_signed(distance)),
        _ => Call::None,
    }
}

/// Whether the last `length` bytes are a call through a register, or memory at an address of one to six bytes more.
fn is_indirect(bytes: &[u8; 8], length: usize) -> bool {
    let start = bytes.len().saturating_sub(length);
    let [GROUP_5, form, rest @ ..] = bytes.get(start..).unwrap_or(&[]) else {
        return false;
    };
    let (mode, operation, base) = (form >> 6, form >> 3 & 7, form & 7);
    let has_index = mode != REGISTER && base == SIB;
    let base = if has_index {
        rest.first().map_or(0, |index| index & 7)
    } else {
        base
    };
    let distance = match mode {
        NO_DISPLACEMENT if base == RIP_RELATIVE => 4,
        DISPLACEMENT_8 => 1,
        DISPLACEMENT_32 => 4,
        _ => 0,
    };
    operation == CALL_RM64 && length == 2 + usize::from(has_index) + distance
}

#[cfg(test)]
mod tests {
    use super::*;

    fn before(call: &[u8]) -> Call {
        let mut bytes = [0x90; 8];
        bytes[8 - call.len()..].copy_from_slice(call);
        call_in(&bytes, 0x1000)
    }

    /// Check that every form of a call is known, as GNU as writes it.
    #[test]
    fn calls() {
        let indirect: [&[u8]; 13] = [
            &[0xff, 0xd0],                         // call rax
            &[0x41, 0xff, 0xd7],                   // call r15
            &[0xff, 0x10],                         // call [rax]
            &[0xff, 0x14, 0x24],                   // call [rsp]
            &[0xff, 0x14, 0xc7],                   // call [rdi + rax*8]
            &[0xff, 0x55, 0xf8],                   // call [rbp - 8]
            &[0xff, 0x54, 0x24, 0x10],             // call [rsp + 16]
            &[0x41, 0xff, 0x54, 0x24, 0x10],       // call [r12 + 16]
            &[0xff, 0x15, 1, 2, 0, 0],             // call [rip + 513]
            &[0xff, 0x97, 0, 1, 0, 0],             // call [rdi + 256]
            &[0xff, 0x94, 0x24, 0, 1, 0, 0],       // call [rsp + 256]
            &[0x41, 0xff, 0x94, 0xc5, 0, 1, 0, 0], // call [r13 + rax*8 + 256]
            &[0xff, 0x14, 0x25, 0, 1, 0, 0],       // call [256]
        ];
        for call in indirect {
            assert_eq!(before(call), Call::Indirect, "{call:x?}");
        }
        assert_eq!(before(&[0xe8, 0x10, 0, 0, 0]), Call::Direct(0x1010));
        assert_eq!(before(&[0xe8, 0xf0, 0xff, 0xff, 0xff]), Call::Direct(0xff0));
    }

    /// Check that what is near to a call is none.
    #[test]
    fn no_calls() {
        let others: [&[u8]; 7] = [
            &[0xff, 0xe0],             // jmp rax
            &[0xff, 0x25, 1, 2, 0, 0], // jmp [rip + 513]
            &[0xff, 0x75, 0xf8],       // push [rbp - 8]
            &[0xff, 0x15, 1, 2, 0],    // cut short
            &[0xe9, 0x10, 0, 0, 0],    // jmp
            &[0xff, 0xd0, 0x90],       // not the last
            &[0xe8, 0x10, 0, 0, 0, 0x90],
        ];
        for other in others {
            assert_eq!(before(other), Call::None, "{other:x?}");
        }
    }

    /// Check that a refusal is asked anew after its uses, that what is accepted stays, and that no address is read that is not there.
    #[test]
    fn refusals_end() {
        let mut code = [0x90u8; 16];
        let end = code.as_ptr().addr() as u64 + 8;
        assert!(!is_one(end));
        code[6..8].copy_from_slice(&[0xff, 0xd0]);
        core::hint::black_box(&code);
        let asked = (0..2 * USES).take_while(|_| !is_one(end)).count();
        assert_eq!(asked as u64, USES - 1);
        code[6] = 0x90;
        core::hint::black_box(&code);
        assert!(is_one(end));
        assert!(!is_one(0) && !is_one(8) && !is_one(u64::MAX) && !is_one(ADDRESS));
    }
}
