//! What one instruction does to what is known.
//!
//! Used by `walk`, for every instruction but jumps, calls and returns. A few are followed exactly: those that compilers move addresses with.
//! Of all others, what they write is made of what they read.

use super::state::{State, Value};
use iced_x86::{
    ConditionCode, Instruction, InstructionInfo, Mnemonic, OpAccess, OpKind, Register, UsedMemory,
};

/// Changes the state as the instruction does, but for `ip`.
pub(super) fn apply(state: &mut State, instruction: &Instruction, info: &InstructionInfo) {
    let zero = compared(state, instruction);
    followed(state, instruction).unwrap_or_else(|| other(state, instruction, info));
    if zero.is_some() || instruction.rflags_modified() != 0 {
        state.zero = zero.flatten();
    }
}

/// What a comparison with 0 says; None for what is no comparison.
fn compared(state: &State, instruction: &Instruction) -> Option<Option<bool>> {
    let (one, other) = match instruction.mnemonic() {
        Mnemonic::Test | Mnemonic::Cmp => {
            (read(state, instruction, 0), read(state, instruction, 1))
        }
        _ => return None,
    };
    let with_zero = match instruction.mnemonic() {
        Mnemonic::Test => has_one_operand(instruction),
        _ => other == Value::Number(0),
    };
    if let (Mnemonic::Test, Value::Number(one), Value::Number(other)) =
        (instruction.mnemonic(), one, other)
    {
        return Some(Some(one & other == 0));
    }
    Some(one.is_zero().filter(|_| with_zero))
}

/// The instructions that are followed exactly; None for all others.
fn followed(state: &mut State, instruction: &Instruction) -> Option<()> {
    match instruction.mnemonic() {
        Mnemonic::Test | Mnemonic::Cmp | Mnemonic::Nop | Mnemonic::Endbr64 => {}
        Mnemonic::Mov | Mnemonic::Movsxd | Mnemonic::Movsx | Mnemonic::Movzx => {
            let value = read(state, instruction, 1);
            write(state, instruction, value)?;
        }
        Mnemonic::Lea => {
            let place = place(state, instruction);
            write(state, instruction, place)?;
        }
        Mnemonic::Add | Mnemonic::Sub => sum(state, instruction)?,
        Mnemonic::And if instruction.op0_register() == Register::RSP => {}
        Mnemonic::Xor | Mnemonic::Pxor | Mnemonic::Xorps | Mnemonic::Xorpd
            if has_one_operand(instruction) =>
        {
            write(state, instruction, Value::Number(0))?;
        }
        Mnemonic::Xor | Mnemonic::And | Mnemonic::Or => bits(state, instruction)?,
        // A register less itself is 0, less the carry besides: what a comparison said, and nothing of what was in it.
        Mnemonic::Sbb if has_one_operand(instruction) => {
            write(state, instruction, Value::Unknown)?;
        }
        Mnemonic::Sete | Mnemonic::Setne => {
            let is_e = instruction.condition_code() == ConditionCode::e;
            let value = state.zero.map(|zero| Value::Number((zero == is_e).into()));
            // The rest of the register is of no interest to what comes of a comparison.
            state.set(instruction.op0_register().full_register(), value?);
        }
        Mnemonic::Push => {
            let value = read(state, instruction, 0);
            state.push(value);
        }
        Mnemonic::Pop => {
            let value = state.pop();
            write(state, instruction, value)?;
        }
        Mnemonic::Leave => leave(state),
        Mnemonic::Cmove | Mnemonic::Cmovne => chosen(state, instruction)?,
        _ => return None,
    }
    Some(())
}

/// True where both operands are the same register.
fn has_one_operand(instruction: &Instruction) -> bool {
    let is_same = instruction.op0_register() == instruction.op1_register();
    instruction.op1_kind() == OpKind::Register && is_same
}

/// Numbers that are known stay so: what a comparison said is often turned round.
fn bits(state: &mut State, instruction: &Instruction) -> Option<()> {
    let both = (read(state, instruction, 0), read(state, instruction, 1));
    let (Value::Number(one), Value::Number(other)) = both else {
        return None;
    };
    let value = match instruction.mnemonic() {
        Mnemonic::Xor => one ^ other,
        Mnemonic::And => one & other,
        _ => one | other,
    };
    write(state, instruction, Value::Number(value))
}

fn sum(state: &mut State, instruction: &Instruction) -> Option<()> {
    if instruction.op0_kind() != OpKind::Register {
        return None;
    }
    let (one, other) = (read(state, instruction, 0), read(state, instruction, 1));
    let value = match instruction.mnemonic() {
        Mnemonic::Add => one.plus(other),
        _ if has_one_operand(instruction) => Value::Number(0),
        _ => one.plus(other.negated()),
    };
    write(state, instruction, value)
}

fn leave(state: &mut State) {
    let frame = state.get(Register::RBP);
    state.set(Register::RSP, frame);
    let value = state.pop();
    state.set(Register::RBP, value);
}

/// A move that is made or not.
fn chosen(state: &mut State, instruction: &Instruction) -> Option<()> {
    let (stays, moves) = (read(state, instruction, 0), read(state, instruction, 1));
    let when = instruction.condition_code() == ConditionCode::e;
    let value = match state.zero {
        Some(zero) if zero == when => moves,
        Some(_) => stays,
        None => stays.either(moves),
    };
    write(state, instruction, value)
}

/// What is written is made of all that is read.
fn other(state: &mut State, instruction: &Instruction, info: &InstructionInfo) {
    let memory = info.used_memory();
    let is_address = |register: Register| {
        let full = register.full_register();
        let mut registers = memory.iter().flat_map(|used| [used.base(), used.index()]);
        registers.any(|one| one.full_register() == full)
    };
    let mut made = Value::Unknown;
    for used in info.used_registers() {
        if reads(used.access()) && !is_address(used.register()) {
            made = made.mixed(state.get(used.register()));
        }
    }
    for used in memory.iter().filter(|used| reads(used.access())) {
        made = made.mixed(state.load(place_of(state, used)));
    }
    for used in memory.iter().filter(|used| writes(used.access())) {
        let value = stored(state, instruction).unwrap_or(made);
        let size = i64::try_from(used.memory_size().size()).unwrap_or(i64::MAX);
        state.store(place_of(state, used), value, size);
    }
    for used in info.used_registers() {
        if writes(used.access()) && used.register().full_register() != Register::RSP {
            state.set(used.register(), made);
        }
    }
}

/// What an instruction that only moves stores: a vector register, or what is repeated.
fn stored(state: &State, instruction: &Instruction) -> Option<Value> {
    let moves = matches!(
        instruction.mnemonic(),
        Mnemonic::Movups
            | Mnemonic::Movaps
            | Mnemonic::Movupd
            | Mnemonic::Movapd
            | Mnemonic::Movdqu
            | Mnemonic::Movdqa
            | Mnemonic::Movq
            | Mnemonic::Movd
            | Mnemonic::Movlps
            | Mnemonic::Movhps
            | Mnemonic::Stosb
            | Mnemonic::Stosw
            | Mnemonic::Stosd
            | Mnemonic::Stosq
    );
    let from_register = instruction.op1_kind() == OpKind::Register;
    (moves && from_register).then(|| state.get(instruction.op1_register()))
}

fn reads(access: OpAccess) -> bool {
    use OpAccess::{CondRead, Read, ReadCondWrite, ReadWrite};
    matches!(access, CondRead | Read | ReadCondWrite | ReadWrite)
}

fn writes(access: OpAccess) -> bool {
    use OpAccess::{CondWrite, ReadCondWrite, ReadWrite, Write};
    matches!(access, CondWrite | ReadCondWrite | ReadWrite | Write)
}

/// An operand's value.
fn read(state: &State, instruction: &Instruction, operand: u32) -> Value {
    match instruction.op_kind(operand) {
        OpKind::Register => state.get(instruction.op_register(operand)),
        OpKind::Memory => state.load(place(state, instruction)),
        kind if is_number(kind) => Value::Number(instruction.immediate(operand).cast_signed()),
        _ => Value::Unknown,
    }
}

fn is_number(kind: OpKind) -> bool {
    matches!(
        kind,
        OpKind::Immediate8
            | OpKind::Immediate16
            | OpKind::Immediate32
            | OpKind::Immediate64
            | OpKind::Immediate8to16
            | OpKind::Immediate8to32
            | OpKind::Immediate8to64
            | OpKind::Immediate32to64
    )
}

/// Writes the first operand; None where that is neither a register nor memory.
fn write(state: &mut State, instruction: &Instruction, value: Value) -> Option<()> {
    match instruction.op0_kind() {
        OpKind::Register => state.set(instruction.op0_register(), value),
        OpKind::Memory => {
            let size = i64::try_from(instruction.memory_size().size()).ok()?;
            state.store(place(state, instruction), value, size);
        }
        _ => return None,
    }
    Some(())
}

/// Where an instruction's memory is: on the stack, in the block, or anywhere else.
fn place(state: &State, instruction: &Instruction) -> Value {
    let (base, index) = (instruction.memory_base(), instruction.memory_index());
    if instruction.is_ip_rel_memory_operand() || is_of_thread(instruction.memory_segment()) {
        return Value::Unknown;
    }
    let scale = instruction.memory_index_scale();
    let displacement = instruction.memory_displacement64();
    address(state, base, index, scale, displacement)
}

fn place_of(state: &State, used: &UsedMemory) -> Value {
    if is_of_thread(used.segment()) {
        return Value::Unknown;
    }
    let (base, index) = (used.base(), used.index());
    address(state, base, index, used.scale(), used.displacement())
}

fn is_of_thread(segment: Register) -> bool {
    matches!(segment, Register::FS | Register::GS)
}

fn address(state: &State, base: Register, index: Register, scale: u32, displacement: u64) -> Value {
    let of = |register: Register| match register {
        Register::None => Value::Number(0),
        register => state.get(register),
    };
    let index = match (of(index), scale) {
        (Value::Number(number), _) => Value::Number(number.wrapping_mul(scale.into())),
        (index, 1) => index,
        (index, _) => index.mixed(Value::Unknown),
    };
    let place = of(base).plus(index);
    place.plus(Value::Number(displacement.cast_signed()))
}
