//! Every path through a function's code from its beginning, by way of the call in question, to its return.
//!
//! Called by `passes_on`. A function of its own is walked from its entry (`whole`); of one that is inlined, only the ranges of its code are
//! known, and what stands between them is somebody else's (`part`). Functions of the same module that it calls are walked
//! as if they were inlined: one that never returns is then seen to.
//!
//! Not proved: a loop is gone through a few times, and taken to do the same from then on.

use super::calls::{Effect, THROUGH_ARGUMENT, effect, size_arguments};
use super::code::Code;
use super::signature::Signature;
use super::state::{State, Value};
use super::step;
use iced_x86::{ConditionCode, FlowControl, Instruction, InstructionInfoFactory, Register};
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// Instructions of one walk, all paths together. A wrapper with its checks has 20 to 200.
const MAX_STEPS: usize = 20_000;

/// Paths that wait to be walked.
const MAX_PENDING: usize = 256;

/// How often one instruction is come by with the same history: twice round each loop.
const MAX_VISITS: u8 = 3;

/// Calls within calls that are walked: to a checker, which calls what reports, which calls what ends the process.
const MAX_DEPTH: usize = 4;

/// Instructions between two parts of an inlined function: compilers mix in what the caller does next.
const MAX_OUTSIDE: u32 = 64;

/// Registers that a function's arguments are in (System V ABI, AMD64).
const ARGUMENTS: [Register; 6] = [
    Register::RDI,
    Register::RSI,
    Register::RDX,
    Register::RCX,
    Register::R8,
    Register::R9,
];

/// It is no wrapper, or it cannot be told.
struct Unfit;

/// True where a function, from its entry on, passes on what its call that returns to `call` gave.
pub(super) fn whole(code: &Code, signature: &Signature, call: u64) -> bool {
    let mut state = State::new(signature.entry);
    for &at in &signature.sizes {
        if let Some(&register) = ARGUMENTS.get(at) {
            state.set(register, Value::Size);
        }
    }
    let mut walk = Walk::new(code, call, None);
    let is_fit = walk.run(state).is_ok() && walk.handed_out;
    is_fit && (walk.passes_size || !signature.takes_all)
}

/// True where the inlined function whose code is in these ranges does nothing around its call that returns to `call` that a wrapper would not.
pub(super) fn part(code: &Code, ranges: &[Range<u64>], call: u64) -> bool {
    let behind = |result| {
        let mut state = State::new(call);
        state.has_block = true;
        state.set(Register::RAX, result);
        state
    };
    let mut walk = Walk::new(code, call, Some(ranges));
    if walk.run(behind(Value::Block(0))).is_err() {
        return false;
    }
    let mut failed = Walk::new(code, call, Some(ranges));
    failed.judges = false;
    let _ended = failed.run(behind(Value::Number(0)));
    let is_before = |at: &u64| !walk.seen.contains(at) && !failed.seen.contains(at);
    let before = walk.calls_in(ranges).into_iter().filter(is_before);
    let mut walks = before.map(|at| Walk::new(code, call, Some(ranges)).run(State::new(at)));
    walks.all(|ended| ended.is_ok())
}

struct Walk<'a> {
    code: &'a Code,
    /// Where the call returns to.
    call: u64,
    /// What belongs to the function, where that is not all.
    part: Option<&'a [Range<u64>]>,
    /// On some path, the call is given what the function was given as a size.
    passes_size: bool,
    /// Whether what a wrapper does not do ends the walk.
    judges: bool,
    /// A path has ended with the block handed out.
    handed_out: bool,
    steps: usize,
    pending: Vec<State>,
    visits: HashMap<(u64, bool, bool, usize), u8>,
    seen: HashSet<u64>,
    info: InstructionInfoFactory,
}

impl<'a> Walk<'a> {
    fn new(code: &'a Code, call: u64, part: Option<&'a [Range<u64>]>) -> Walk<'a> {
        Walk {
            code,
            call,
            part,
            passes_size: false,
            judges: true,
            handed_out: false,
            steps: 0,
            pending: Vec::new(),
            visits: HashMap::new(),
            seen: HashSet::new(),
            info: InstructionInfoFactory::new(),
        }
    }

    fn run(&mut self, state: State) -> Result<(), Unfit> {
        self.pending.push(state);
        while let Some(state) = self.pending.pop() {
            self.path(state)?;
        }
        Ok(())
    }

    /// Follows one path to its end; what branches off waits.
    fn path(&mut self, mut state: State) -> Result<(), Unfit> {
        while self.is_new(&state) {
            self.steps += 1;
            if self.steps > MAX_STEPS || self.pending.len() > MAX_PENDING {
                return Err(Unfit);
            }
            if !self.is_inside(&state) {
                self.judge_outside(&state)?;
                state.outside += 1;
                if state.outside > MAX_OUTSIDE {
                    return Ok(());
                }
            } else {
                state.outside = 0;
            }
            let instruction = self.code.instruction(state.ip).ok_or(Unfit)?;
            if !self.go(&mut state, &instruction)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Another path that comes by with the same history would see the same.
    fn is_new(&mut self, state: &State) -> bool {
        self.seen.insert(state.ip);
        let key = (
            state.ip,
            state.has_block,
            state.is_loud,
            state.returns.len(),
        );
        let visits = self.visits.entry(key).or_default();
        *visits += 1;
        *visits <= MAX_VISITS
    }

    /// True where what is done is the function's doing: in its own code, or in what that calls.
    fn is_inside(&self, state: &State) -> bool {
        let is_own = |ranges: &[Range<u64>]| ranges.iter().any(|range| range.contains(&state.ip));
        !state.returns.is_empty() || self.part.is_none_or(is_own)
    }

    /// One instruction; false where the path ends.
    fn go(&mut self, state: &mut State, instruction: &Instruction) -> Result<bool, Unfit> {
        let next = instruction.next_ip();
        match instruction.flow_control() {
            FlowControl::Next => self.apply(state, instruction),
            FlowControl::UnconditionalBranch => {
                // A jump to another module's function: its last call.
                if let Some(name) = self.code.external(instruction) {
                    return Ok(self.external(state, name) && self.returns(state)?);
                }
                state.ip = instruction.near_branch_target();
                return Ok(true);
            }
            FlowControl::ConditionalBranch => {
                self.branch(state, instruction);
                return Ok(true);
            }
            FlowControl::Return => return self.returns(state),
            FlowControl::Call | FlowControl::IndirectCall => return self.call(state, instruction),
            FlowControl::IndirectBranch => {
                let name = self.code.external(instruction).ok_or(Unfit)?;
                return Ok(self.external(state, name) && self.returns(state)?);
            }
            // `ud2`, `int3`: nobody goes on from there.
            FlowControl::Exception | FlowControl::Interrupt => return Ok(false),
            FlowControl::XbeginXabortXend => return Err(Unfit),
        }
        state.ip = next;
        Ok(true)
    }

    /// What the caller does in between is its own: only where its values go is followed.
    fn apply(&mut self, state: &mut State, instruction: &Instruction) {
        let (is_inside, was) = (self.is_inside(state), (state.is_loud, state.written));
        let info = self.info.info(instruction);
        step::apply(state, instruction, info);
        if !is_inside {
            (state.is_loud, state.written) = was;
        }
    }

    fn branch(&mut self, state: &mut State, instruction: &Instruction) {
        let (taken, next) = (instruction.near_branch_target(), instruction.next_ip());
        let is_taken = match (instruction.condition_code(), state.zero) {
            (ConditionCode::e, Some(zero)) => Some(zero),
            (ConditionCode::ne, Some(zero)) => Some(!zero),
            _ => None,
        };
        if is_taken.is_none() {
            let mut other = state.clone();
            other.ip = taken;
            self.pending.push(other);
        }
        state.ip = if is_taken == Some(true) { taken } else { next };
    }

    /// A call; false where it does not return.
    fn call(&mut self, state: &mut State, instruction: &Instruction) -> Result<bool, Unfit> {
        let (is_inside, next) = (self.is_inside(state), instruction.next_ip());
        if next == self.call && state.returns.is_empty() {
            self.allocate(state, instruction)?;
            state.ip = next;
            return Ok(true);
        }
        if let Some(name) = self.code.external(instruction) {
            let was = state.is_loud;
            let goes_on = self.external(state, name);
            state.is_loud &= is_inside || was;
            state.ip = next;
            return Ok(goes_on);
        }
        let is_direct = instruction.flow_control() == FlowControl::Call;
        if is_inside && is_direct && state.returns.len() < MAX_DEPTH {
            state.push(Value::Unknown);
            state.returns.push(next);
            state.ip = instruction.near_branch_target();
            return Ok(true);
        }
        state.is_loud |= is_inside;
        state.called(Value::Unknown);
        state.ip = next;
        Ok(true)
    }

    /// The call that has given the block.
    fn allocate(&mut self, state: &mut State, instruction: &Instruction) -> Result<(), Unfit> {
        if self.part.is_some() && state.is_loud {
            return Err(Unfit);
        }
        let name = self.code.external(instruction);
        let mut sizes = size_arguments(name).iter();
        self.passes_size |= sizes.any(|&register| state.get(register) == Value::Size);
        let is_through = name == Some(THROUGH_ARGUMENT);
        let place = state.get(Register::RDI);
        state.has_block = true;
        state.called(if is_through {
            Value::Number(0)
        } else {
            Value::Block(0)
        });
        if is_through {
            state.store(place, Value::Block(0), 8);
        }
        Ok(())
    }

    /// A call of another module's function; false where it does not return.
    fn external(&mut self, state: &mut State, name: &str) -> bool {
        let first = state.get(Register::RDI);
        let mut result = Value::Unknown;
        match effect(name) {
            Effect::NoReturn => return false,
            Effect::NoReturnUnless0(register) => {
                if state.get(register).is_zero() == Some(false) {
                    return false;
                }
                state.is_loud = true;
            }
            Effect::Fill => result = first,
            Effect::Quiet => {}
            Effect::Loud => state.is_loud = true,
        }
        state.called(result);
        true
    }

    /// A return; false where it is the function's own, and the path ends.
    fn returns(&mut self, state: &mut State) -> Result<bool, Unfit> {
        state.pop();
        if let Some(ip) = state.returns.pop() {
            state.ip = ip;
            return Ok(true);
        }
        if self.part.is_some() {
            self.judge_outside(state)?;
        } else if state.has_block {
            let is_fit = state.hands_out_the_block();
            self.handed_out |= is_fit;
            is_fit.then_some(()).ok_or(Unfit)?;
        }
        Ok(false)
    }

    /// The path has left the part that is asked about, with the block.
    fn judge_outside(&self, state: &State) -> Result<(), Unfit> {
        let is_fit = !state.is_loud && state.written == 0;
        let asks = self.judges && self.part.is_some() && state.has_block;
        if asks && !is_fit { Err(Unfit) } else { Ok(()) }
    }

    /// The addresses of all calls in these ranges but the one in question.
    fn calls_in(&self, ranges: &[Range<u64>]) -> Vec<u64> {
        let mut found = Vec::new();
        for range in ranges {
            let mut at = range.start;
            while let Some(instruction) = self.code.instruction(at).filter(|_| range.contains(&at))
            {
                let is_call = matches!(
                    instruction.flow_control(),
                    FlowControl::Call | FlowControl::IndirectCall
                );
                if is_call && instruction.next_ip() != self.call {
                    found.push(at);
                }
                at = instruction.next_ip();
                if found.len() > MAX_PENDING {
                    return found;
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Random;
    use crate::symbolize::elf::Elf;

    /// Walks begun at random places.
    const WALKS: usize = 200;

    /// Check that whatever is walked as if it were a wrapper, walks end: from any place of real code, instructions cut in two included, and
    /// where there is none.
    #[test]
    fn any_code_ends() {
        let own = std::env::current_exe().unwrap();
        let code = Code::new(Elf::open(&own).unwrap());
        let mut random = Random(17);
        let mut inside = 0;
        for _ in 0..WALKS {
            let entry = random.below(1 << 24) as u64;
            let range = entry..entry + 200;
            let call = entry + random.below(100) as u64;
            inside += u32::from(code.instruction(entry).is_some());
            let signature = Signature {
                sizes: vec![0, 1],
                entry,
                ranges: vec![range.clone()],
                is_inlined: false,
                takes_all: true,
            };
            let _fit = whole(&code, &signature, call);
            let _fit = part(&code, &[range], call);
        }
        assert!(inside > 10, "{inside} places were code");
        let all = 0..u64::MAX;
        assert!(!part(&code, std::slice::from_ref(&all), u64::MAX));
    }
}
