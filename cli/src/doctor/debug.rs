//! Which modules have source lines, and what would bring them to those that have none.

use super::finding::Finding;
use super::packages;
use crate::model::Module;
use crate::symbolize::{Lines, Options, Reason, lines_of};
use std::collections::HashMap;
use std::path::PathBuf;

/// A line each: where the lines come from, or what would bring them. `program` is the executable's path.
pub(super) fn findings(modules: &[Module], program: &str, options: &Options) -> Vec<Finding> {
    let states = modules
        .iter()
        .map(|module| (module, lines_of(module, options)));
    let states: Vec<(&Module, Lines)> = states.collect();
    let bare = states
        .iter()
        .filter(|(_, lines)| matches!(lines, Lines::None(_)));
    let bare: Vec<PathBuf> = bare.map(|(module, _)| module.path.clone().into()).collect();
    let owners = match options.root {
        None => packages::owners(&bare),
        // A container's packages are not ours to ask.
        Some(_) => HashMap::new(),
    };
    let one = |(module, lines): (&Module, Lines)| {
        let owner = owners.get(&PathBuf::from(&module.path)).map(String::as_str);
        finding(module, lines, owner, module.path == program)
    };
    states.into_iter().map(one).collect()
}

fn finding(module: &Module, lines: Lines, owner: Option<&str>, is_program: bool) -> Finding {
    let name = &module.path;
    match lines {
        Lines::Own => Finding::ok(name, "has its own source lines"),
        Lines::Separate(file) => Finding::ok(name, format!("source lines in {}", file.display())),
        Lines::None(Some(refused)) => {
            let what = format!("no debug information: {refused} is of another build");
            Finding::note(name, what, remedy(owner))
        }
        Lines::None(None) => Finding::note(name, without(is_program), remedy(owner)),
        Lines::Unusable(reason @ (Reason::BuildIdMismatch(_) | Reason::FileMissing(_))) => {
            let next =
                "start the process again, or name the old one's debug files with --debug-dir DIR";
            Finding::note(name, format!("no source lines: {reason}"), next)
        }
        Lines::Unusable(reason) => {
            let next = "look as a user who can read it, or with --debug-dir DIR";
            Finding::note(name, format!("no source lines: {reason}"), next)
        }
    }
}

fn without(is_program: bool) -> &'static str {
    match is_program {
        true => "no debug information: its rows are functions or addresses, not lines",
        false => "no debug information: its frames have no lines",
    }
}

fn remedy(owner: Option<&str>) -> String {
    let own =
        "build it with -g (Cargo: debug = true), or name its debug files with --debug-dir DIR";
    owner.map_or_else(|| own.to_owned(), packages::debug_package)
}
