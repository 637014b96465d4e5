//! What is known of a function's registers and stack at one instruction.
//!
//! Used by `walk` and `step`. A value is known as far as the question needs it: is it the block, a size that was asked for, a place on
//! the stack, a number.

use iced_x86::Register;
use std::collections::BTreeMap;

/// Largest header that a wrapper may keep in front of what it hands out: two words, and what keeps them aligned.
pub(super) const MAX_HEADER: i64 = 64;

/// Vector registers that there are.
const VECTORS: usize = 32;

/// Where a frame pointer is taken to point to, of which only that is known: far from what is pushed.
const FRAME: i64 = 1 << 20;

/// What a register or a word of the stack holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) enum Value {
    /// Anything else.
    #[default]
    Unknown,
    /// A number that stands in the code.
    Number(i64),
    /// Made of what the caller has given as a size.
    Size,
    /// A place on the stack, counted from where the walk began.
    Stack(i64),
    /// A place in the block, counted from its beginning.
    Block(i64),
    /// Somewhere in the block, or made of its address.
    InBlock,
}

impl Value {
    pub(super) fn is_block(self) -> bool {
        matches!(self, Value::Block(_) | Value::InBlock)
    }

    /// What is made of two values in a way that is not followed.
    pub(super) fn mixed(self, other: Value) -> Value {
        let either = |value| self == value || other == value;
        if self.is_block() || other.is_block() {
            Value::InBlock
        } else if either(Value::Size) {
            Value::Size
        } else {
            Value::Unknown
        }
    }

    /// One of the two.
    pub(super) fn either(self, other: Value) -> Value {
        if self == other {
            self
        } else {
            self.mixed(other)
        }
    }

    pub(super) fn plus(self, other: Value) -> Value {
        match (self, other) {
            (Value::Number(one), Value::Number(other)) => Value::Number(one.wrapping_add(other)),
            (Value::Stack(at), Value::Number(by)) | (Value::Number(by), Value::Stack(at)) => {
                Value::Stack(at.wrapping_add(by))
            }
            (Value::Block(at), Value::Number(by)) | (Value::Number(by), Value::Block(at)) => {
                Value::Block(at.wrapping_add(by))
            }
            _ => self.mixed(other),
        }
    }

    pub(super) fn negated(self) -> Value {
        match self {
            Value::Number(number) => Value::Number(number.wrapping_neg()),
            other => other.mixed(Value::Unknown),
        }
    }

    /// Whether it is 0, where that is known. The allocation that is asked about has been made: the block is not 0.
    pub(super) fn is_zero(self) -> Option<bool> {
        match self {
            Value::Number(number) => Some(number == 0),
            Value::Block(_) | Value::InBlock | Value::Stack(_) => Some(false),
            Value::Unknown | Value::Size => None,
        }
    }
}

/// All that is known on one path through the code.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// The next instruction.
    pub(super) ip: u64,
    registers: [Value; 16],
    /// Vector registers: what is told apart is 0, what is made of the block's address, and all else.
    vectors: [Value; VECTORS],
    stack: BTreeMap<i64, Value>,
    /// What the last comparison with 0 said.
    pub(super) zero: Option<bool>,
    /// Where the functions return to that are followed as if they were inlined.
    pub(super) returns: Vec<u64>,
    /// The block has been given.
    pub(super) has_block: bool,
    /// Something was done that a wrapper does not do.
    pub(super) is_loud: bool,
    /// How far the block has been written to.
    pub(super) written: i64,
    /// Instructions since the last one of the part that is asked about.
    pub(super) outside: u32,
}

impl State {
    pub(super) fn new(ip: u64) -> State {
        let mut state = State {
            ip,
            registers: [Value::Unknown; 16],
            vectors: [Value::Unknown; VECTORS],
            stack: BTreeMap::new(),
            zero: None,
            returns: Vec::new(),
            has_block: false,
            is_loud: false,
            written: 0,
            outside: 0,
        };
        state.set(Register::RSP, Value::Stack(0));
        state.set(Register::RBP, Value::Stack(FRAME));
        state
    }

    /// What a register holds; part of one is as good as the whole, but for an address.
    pub(super) fn get(&self, register: Register) -> Value {
        if register.is_vector_register() {
            return self.vectors[register.number() % VECTORS];
        }
        if !register.is_gpr() {
            return Value::Unknown;
        }
        let whole = self.registers[register.full_register().number() & 15];
        if register.is_gpr64() {
            whole
        } else {
            part(whole)
        }
    }

    /// Sets a register.
    pub(super) fn set(&mut self, register: Register, value: Value) {
        if register.is_vector_register() {
            self.vectors[register.number() % VECTORS] = match value {
                Value::Number(0) => value,
                Value::Block(_) => Value::InBlock,
                other => other.mixed(Value::Unknown),
            };
        } else if register.is_gpr() {
            let held = &mut self.registers[register.full_register().number() & 15];
            let is_part = !register.is_gpr64() && !register.is_gpr32();
            *held = if is_part && held.is_block() {
                Value::InBlock
            } else {
                value
            };
        }
    }

    /// What stands at a place.
    pub(super) fn load(&self, place: Value) -> Value {
        match place {
            Value::Stack(at) => self.stack.get(&at).copied().unwrap_or_default(),
            // What lies in a structure that is found by a size is no size.
            _ => Value::Unknown,
        }
    }

    /// Writes so many bytes. The block may get zeroes, and a header in front of what is handed out; its address may be kept on
    /// the stack alone.
    pub(super) fn store(&mut self, place: Value, value: Value, size: i64) {
        let is_zero = value == Value::Number(0);
        match place {
            Value::Stack(at) => {
                self.stack.insert(at, value);
            }
            Value::Block(at) if at >= 0 && !value.is_block() => {
                let end = at.saturating_add(size);
                self.written = self.written.max(if is_zero { 0 } else { end });
            }
            Value::Block(_) => self.is_loud = true,
            Value::InBlock => self.is_loud |= !is_zero,
            _ => self.is_loud |= value.is_block(),
        }
    }

    pub(super) fn push(&mut self, value: Value) {
        let top = self.get(Register::RSP).plus(Value::Number(-8));
        self.set(Register::RSP, top);
        self.store(top, value, 8);
    }

    pub(super) fn pop(&mut self) -> Value {
        let top = self.get(Register::RSP);
        self.set(Register::RSP, top.plus(Value::Number(8)));
        self.load(top)
    }

    /// What any call leaves of the registers, and what it returns.
    pub(super) fn called(&mut self, result: Value) {
        for register in CALLERS {
            self.set(register, Value::Unknown);
        }
        self.vectors = [Value::Unknown; VECTORS];
        self.zero = None;
        self.set(Register::RAX, result);
    }

    /// True where this is what a wrapper hands out: the block, or what is behind its header.
    pub(super) fn hands_out_the_block(&self) -> bool {
        let Value::Block(at) = self.get(Register::RAX) else {
            return false;
        };
        !self.is_loud && (0..=MAX_HEADER).contains(&at) && self.written <= at
    }
}

/// Registers that a function need not preserve.
const CALLERS: [Register; 9] = [
    Register::RAX,
    Register::RCX,
    Register::RDX,
    Register::RSI,
    Register::RDI,
    Register::R8,
    Register::R9,
    Register::R10,
    Register::R11,
];

fn part(whole: Value) -> Value {
    match whole {
        Value::Block(_) | Value::InBlock => Value::InBlock,
        Value::Stack(_) => Value::Unknown,
        other => other,
    }
}
