//! `heapshim mark`: the account of a running process, kept under a name or written to a file.

use super::lines;
use super::output::print;
use crate::args::Mark as Args;
use heapshim_cli::catalog::Catalog;
use heapshim_cli::directory;
use heapshim_cli::error::Error;
use heapshim_cli::mark::{Mark, Packed};
use heapshim_cli::subject;
use heapshim_cli::{mark, store};
use std::path::Path;
use std::time::SystemTime;

/// Takes the mark and prints its name, or the file's.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    if let Some(name) = &args.name {
        store::check_name(name)?;
    }
    let catalog = Catalog::of(args.target.target.as_deref())?;
    let name = args
        .name
        .clone()
        .or_else(|| Some(stem(args.output.as_deref()?)));
    let name = name.unwrap_or_else(|| catalog.free_name());
    if let Some(places) = lines::bundle(&args.bundle) {
        let mut taken = match args.survivors {
            true => pinnable(&catalog, &name, args).and_then(|()| catalog.pin(&name))?,
            false => catalog.take(&name)?,
        };
        subject::bundle(&mut taken, places, &catalog.origin());
        return keep(Taken::Values(taken.into()), &name, &catalog, args);
    }
    let taken = match args.survivors {
        true => pinnable(&catalog, &name, args).and_then(|()| catalog.pin_packed(&name))?,
        false => catalog.take_packed(&name)?,
    };
    keep(Taken::Packed(taken.into()), &name, &catalog, args)
}

/// A mark: as values, to which more was added, or as its file has it.
enum Taken {
    Values(Box<Mark>),
    Packed(Box<Packed>),
}

/// Keeps it where it belongs, and prints where, or its name.
fn keep(taken: Taken, name: &str, catalog: &Catalog, args: &Args) -> Result<(), Error> {
    if let Some(path) = &args.output {
        let bytes = match taken {
            Taken::Values(mark) => mark::encode(&mark),
            Taken::Packed(packed) => packed.into_pieces().concat(),
        };
        directory::write_file(path, &bytes)?;
        return print(&format!("{}\n", path.display()));
    }
    match taken {
        Taken::Values(mark) => catalog.store().save(&mark, args.force)?,
        Taken::Packed(packed) => catalog.store().save_packed(*packed, args.force)?,
    };
    let _pruned = store::prune(SystemTime::now());
    print(&format!("{name}\n"))
}

/// A process has few marks with survivors: what would fail after one was begun is refused before.
fn pinnable(catalog: &Catalog, name: &str, args: &Args) -> Result<(), Error> {
    if args.output.is_none() && !args.force {
        catalog.store().check_free(name, &catalog.process()?)?;
    }
    Ok(())
}

/// A file without a name of its own is named after itself.
fn stem(file: &Path) -> String {
    file.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
