//! What rows are told apart by: as much of a charged frame as the user's `--by` asks for, or as is known.
//!
//! Called by `rows`, which knows what a whole stack's and a thread's keys are.

use crate::report::By;
use crate::symbolize::{Language, MeaningId, SymbolFrame};

/// What rows are told apart by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Line(String, u32),
    /// No line is known: an address of a module, or one in no module.
    Address(Option<String>, u64),
    Function(String, String),
    File(String),
    Module(Option<String>),
    Stack(Vec<MeaningId>),
    /// None: no thread is known.
    Thread(Option<String>),
}

/// The key of a frame, where rows are told apart by what is charged.
pub(super) fn key(by: By, frame: &SymbolFrame) -> Key {
    let address = || Key::Address(frame.module.clone(), frame.address);
    match (by, &frame.file, frame.line, &frame.function) {
        (By::Module, ..) => match &frame.module {
            Some(module) => Key::Module(Some(module.clone())),
            None => Key::Module(None),
        },
        (By::File, Some(file), ..) => Key::File(file.clone()),
        (By::File, None, ..) => Key::Module(frame.module.clone()),
        (By::Function, file, _, Some(function)) => {
            let place = file.as_ref().or(frame.module.as_ref());
            Key::Function(place.cloned().unwrap_or_default(), function.clone())
        }
        (By::Line, Some(file), Some(line), _) => Key::Line(file.clone(), line),
        // An instruction without a line, which has no address either.
        (By::Line, Some(file), None, _) if frame.language == Language::Python => {
            Key::Line(file.clone(), 0)
        }
        // Code that was made at run time moves, and is made anew.
        (By::Line, file, None, Some(function)) if frame.language == Language::Jit => {
            Key::Function(file.clone().unwrap_or_default(), function.clone())
        }
        _ => address(),
    }
}
