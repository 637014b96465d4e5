//! Split DWARF: what compilers put into `.dwo` files, and `dwp` packs into one.
//!
//! Called by `dwarf` when a lookup meets a skeleton unit. A package is looked for beside the module and its debug file, and in `--debug-dir`; a `.dwo` file
//! where the compiler put it, there too, and beside the module. Whatever is found counts only if it has the unit's own id.

use crate::symbolize::dwarf::{Bytes, load, nothing, section};
use crate::symbolize::elf::Elf;
use crate::symbolize::open::resolve_in;
use crate::symbolize::separate::Places;
use addr2line::SplitDwarfLoad;
use gimli::{DwarfPackage, Reader};
use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the split parts of one module are.
#[derive(Debug)]
pub(crate) struct Split {
    /// The files that a package or a `.dwo` may lie beside.
    beside: Vec<PathBuf>,
    places: Places,
    packages: OnceCell<Vec<DwarfPackage<Bytes>>>,
}

impl Split {
    /// The parts of a module that lies at `module` (as the target has it) and whose debug information is in `elf`.
    pub(crate) fn new(module: &Path, elf: &Elf, places: &Places) -> Split {
        let own = resolve_in(places.root.as_deref(), module);
        Split {
            beside: vec![own, elf.path.clone()],
            places: places.clone(),
            packages: OnceCell::new(),
        }
    }

    /// The part that a skeleton unit names; None where it is nowhere.
    pub(crate) fn load(&self, load: &SplitDwarfLoad<Bytes>) -> Option<Arc<gimli::Dwarf<Bytes>>> {
        let packages = self.packages.get_or_init(|| self.open_packages());
        let packed = packages.iter().find_map(|package| {
            let found = package.find_cu(load.dwo_id, &load.parent);
            found.ok().flatten()
        });
        packed.map(shared).or_else(|| self.load_file(load))
    }

    fn open_packages(&self) -> Vec<DwarfPackage<Bytes>> {
        let names = self.beside.iter().map(|path| {
            let mut name = path.clone().into_os_string();
            name.push(".dwp");
            PathBuf::from(name)
        });
        let names: Vec<PathBuf> = names.collect();
        let bases = names.iter().filter_map(|name| name.file_name());
        let in_dirs =
            bases.flat_map(|base| self.places.debug_dirs.iter().map(move |dir| dir.join(base)));
        let mut candidates: Vec<PathBuf> = names.iter().cloned().chain(in_dirs).collect();
        candidates.dedup();
        candidates
            .iter()
            .filter_map(|path| package(&self.places.open(path).ok()?))
            .collect()
    }

    fn load_file(&self, load: &SplitDwarfLoad<Bytes>) -> Option<Arc<gimli::Dwarf<Bytes>>> {
        let text =
            |bytes: &Option<Bytes>| Some(bytes.as_ref()?.to_string_lossy().ok()?.into_owned());
        let name = PathBuf::from(text(&load.path)?);
        let built = PathBuf::from(text(&load.comp_dir).unwrap_or_default()).join(&name);
        let mut candidates = vec![resolve_in(self.places.root.as_deref(), &built)];
        let dirs = self.beside.iter().filter_map(|path| path.parent());
        for dir in dirs.chain(self.places.debug_dirs.iter().map(PathBuf::as_path)) {
            candidates.extend(name.file_name().map(|base| dir.join(base)));
            candidates.extend(name.is_relative().then(|| dir.join(&name)));
        }
        candidates
            .iter()
            .find_map(|path| file(&self.places.open(path).ok()?, load))
    }
}

#[expect(
    clippy::arc_with_non_send_sync,
    reason = "addr2line wants an Arc; the sections are counted without atomics, since one thread symbolizes"
)]
fn shared(dwarf: gimli::Dwarf<Bytes>) -> Arc<gimli::Dwarf<Bytes>> {
    Arc::new(dwarf)
}

fn package(elf: &Elf) -> Option<DwarfPackage<Bytes>> {
    let mut damage = None;
    // Every section: the index tells where a unit's part of each begins, and gimli takes all of them.
    let section = |id: gimli::SectionId| -> Result<Bytes, gimli::Error> {
        Ok(section(elf, id.dwo_name()).unwrap_or_else(|why| {
            damage = Some(why);
            nothing()
        }))
    };
    let package = DwarfPackage::load(section, nothing()).ok();
    package.filter(|_| damage.is_none())
}

fn file(elf: &Elf, wanted: &SplitDwarfLoad<Bytes>) -> Option<Arc<gimli::Dwarf<Bytes>>> {
    let mut dwarf = gimli::Dwarf::load(|id| load(elf, id, id.dwo_name(), &mut |_| ())).ok()?;
    let header = dwarf.units().next().ok()??;
    if dwarf.unit(header).ok()?.dwo_id != Some(wanted.dwo_id) {
        return None;
    }
    dwarf.make_dwo(&wanted.parent);
    Some(shared(dwarf))
}
