//! Whether a module has source lines, and where: what `doctor` asks without symbolizing anything.

use crate::model::Module;
use crate::symbolize::cache::Options;
use crate::symbolize::module::{base_name, open_own};
use crate::symbolize::separate::{Wanted, has_lines};
use crate::symbolize::{Reason, contain::contained};
use std::path::{Path, PathBuf};

/// Where a module's lines are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lines {
    /// In its own file.
    Own,
    /// In a debug file of its own.
    Separate(PathBuf),
    /// Nowhere. A debug file of the right name, and of another build.
    None(Option<String>),
    /// The module's file is not to be used: why.
    Unusable(Reason),
}

/// Looks where the symbolizer looks, and believes what it believes.
#[must_use]
pub fn lines_of(module: &Module, options: &Options) -> Lines {
    let name = base_name(&module.path);
    let unreadable = || Reason::Unreadable(name.clone(), "it makes no sense".to_owned());
    contained(|| look(module, options, &name)).unwrap_or_else(|| Lines::Unusable(unreadable()))
}

fn look(module: &Module, options: &Options, name: &str) -> Lines {
    let places = options.places();
    let own = open_own(module, &places, name);
    let elf = own.as_ref().ok();
    if elf.is_some_and(has_lines) {
        return Lines::Own;
    }
    let known = elf.filter(|_| module.build_id.is_empty());
    let found = places.find(&Wanted {
        path: Path::new(&module.path),
        build_id: known.map_or(&module.build_id, |elf| &elf.build_id),
        elf,
    });
    match (found.elf, own) {
        (Some(found), _) => Lines::Separate(found.path),
        (None, Ok(_)) => Lines::None(found.refused),
        (None, Err(reason)) => Lines::Unusable(reason),
    }
}
