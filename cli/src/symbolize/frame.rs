//! What symbolization yields: a frame with as much as is known of it, and the reason where that is not all.
//!
//! Made by `cache`; read by `blame`, `diff` and `render`. A reason is data: it is counted, matched on and printed, and is
//! never an error that ends a report.

use std::fmt;
use std::rc::Rc;

/// The language that a function was written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Language {
    /// C, also where assembly is called from it.
    C,
    /// C++.
    Cpp,
    /// Rust.
    Rust,
    /// Python.
    Python,
    /// Code made at run time.
    Jit,
    /// Nothing says which.
    Unknown,
}

impl Language {
    /// The word for it in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Language::C => "c",
            Language::Cpp => "c++",
            Language::Rust => "rust",
            Language::Python => "python",
            Language::Jit => "jit",
            Language::Unknown => "unknown",
        }
    }
}

/// Why a frame has no source line, or why a stack has no further frame. The strings are base names of modules.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The module has symbols, but no line tables anywhere that was looked at.
    NoDebugInformation(String),
    /// As above, and the debug file of its name is of another build: the module, and that file.
    WrongDebugFile(String, String),
    /// The module has neither line tables nor a symbol for this address.
    Stripped(String),
    /// There are line tables, but not for this address.
    NoLine(String),
    /// The module's file is not there any more, and no debug file has its build id.
    FileMissing(String),
    /// The file at the module's path is another one than was loaded.
    BuildIdMismatch(String),
    /// The module's file could not be read or made no sense: the module, and why.
    Unreadable(String, String),
    /// The kernel's own object, which is no file.
    Kernel(String),
    /// The address lies in no module that was known.
    UnknownModule,
    /// The walk stopped here, early; the number is the shim's reason.
    Truncated(u64),
    /// The event happened inside a hook: only the innermost frame was taken.
    Nested,
    /// The ledger was full: the stack was not kept.
    Full,
}

impl Reason {
    /// True for what stands at the outer end of a stack in place of its missing frames.
    #[must_use]
    pub fn is_mark(&self) -> bool {
        matches!(self, Reason::Truncated(_) | Reason::Nested | Reason::Full)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NoDebugInformation(module) => write!(f, "no debug information for {module}"),
            Reason::WrongDebugFile(module, file) => write!(
                f,
                "no debug information for {module}: {file} is of another build"
            ),
            Reason::Stripped(module) => {
                write!(f, "no debug information for {module}, nor symbols")
            }
            Reason::NoLine(module) => write!(f, "no line for this address in {module}"),
            Reason::FileMissing(module) => write!(f, "{module} is gone"),
            Reason::BuildIdMismatch(module) => {
                write!(f, "{module} is not the file that was loaded")
            }
            Reason::Unreadable(module, why) => write!(f, "cannot read {module}: {why}"),
            Reason::Kernel(module) => write!(f, "no file for {module}"),
            Reason::UnknownModule => f.write_str("in no known module"),
            Reason::Truncated(number) => write!(f, "stack cut short: {}", truncated(*number)),
            Reason::Nested => f.write_str("inside a hook: innermost frame only"),
            Reason::Full => f.write_str("the account was full"),
        }
    }
}

/// The numbers are `ledger::layout::TruncatedReason`; one that is not known yet is printed as such.
fn truncated(number: u64) -> String {
    match number {
        1 => "deeper than --depth".to_string(),
        2 => "no unwind information".to_string(),
        3 => "the next frame lies outside the stack".to_string(),
        4 => "the frames do not form a stack".to_string(),
        5 => "unwind information of an unknown form".to_string(),
        other => format!("reason {other}"),
    }
}

/// One frame of a symbolized stack. An inlined function is a frame of its own, at the same address as the one it is inlined in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SymbolFrame {
    /// Source file, absolute by the compilation directory.
    pub file: Option<String>,
    /// Line in it.
    pub line: Option<u32>,
    /// Demangled name, without parameters and return type.
    pub function: Option<String>,
    /// Absolute path of the module.
    pub module: Option<String>,
    /// Address in the module's file; the run-time address where there is no module.
    pub address: u64,
    /// What the function was written in.
    pub language: Language,
    /// What is missing, and why; None where file and line are known.
    pub reason: Option<Reason>,
    /// True where this function has no stack frame of its own.
    pub inlined: bool,
    /// True where this function does nothing but pass on the memory that it has asked for here (`wrapper`).
    pub wrapper: bool,
}

impl SymbolFrame {
    /// A frame of which only the reason is known.
    #[must_use]
    pub fn unresolved(reason: Reason, address: u64) -> SymbolFrame {
        SymbolFrame {
            file: None,
            line: None,
            function: None,
            module: None,
            address,
            language: Language::Unknown,
            reason: Some(reason),
            inlined: false,
            wrapper: false,
        }
    }

    /// True for what stands at the outer end of a stack in place of its missing frames.
    #[must_use]
    pub fn is_mark(&self) -> bool {
        self.reason.as_ref().is_some_and(Reason::is_mark)
    }
}

/// A symbolized stack, innermost frame first. What a node of the trie means is there once, however many stacks it is in: the stacks
/// of a Python server's report have a million frames.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Stack(Vec<Rc<[SymbolFrame]>>);

impl Stack {
    /// Its frames.
    pub fn iter(&self) -> impl Iterator<Item = &SymbolFrame> {
        self.0.iter().flat_map(|node| node.iter())
    }

    /// Its frames by node of the trie: nodes that two stacks share are the same in both, by address.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Rc<[SymbolFrame]>> {
        self.0.iter()
    }

    /// The frame at a place, counted from the innermost.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<&SymbolFrame> {
        self.iter().nth(at)
    }

    /// Its frames, copied.
    #[must_use]
    pub fn to_vec(&self) -> Vec<SymbolFrame> {
        self.iter().cloned().collect()
    }
}

#[cfg(test)]
impl Stack {
    /// Changes its frames, so that other stages can be tested with any.
    pub(crate) fn edit(&mut self, change: impl FnOnce(&mut Vec<SymbolFrame>)) {
        let mut frames = self.to_vec();
        change(&mut frames);
        *self = frames.into();
    }
}

impl FromIterator<Rc<[SymbolFrame]>> for Stack {
    fn from_iter<I: IntoIterator<Item = Rc<[SymbolFrame]>>>(nodes: I) -> Stack {
        Stack(nodes.into_iter().collect())
    }
}

impl From<Vec<SymbolFrame>> for Stack {
    fn from(frames: Vec<SymbolFrame>) -> Stack {
        Stack(vec![frames.into()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that the reason that users meet most reads as the contract has it.
    #[test]
    fn reason_reads_as_in_the_contract() {
        let reason = Reason::NoDebugInformation("libfoo.so.3".to_string());
        assert_eq!(reason.to_string(), "no debug information for libfoo.so.3");
    }

    /// Check that a truncation of a kind that a newer shim may send still prints.
    #[test]
    fn unknown_truncation_prints_its_number() {
        assert_eq!(
            Reason::Truncated(99).to_string(),
            "stack cut short: reason 99"
        );
    }

    /// Check that only what ends a stack is a mark.
    #[test]
    fn marks_are_the_ends_of_stacks() {
        assert!(SymbolFrame::unresolved(Reason::Truncated(1), 0).is_mark());
        assert!(!SymbolFrame::unresolved(Reason::UnknownModule, 7).is_mark());
    }
}
