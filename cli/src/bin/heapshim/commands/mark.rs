//! `heapshim mark`: the account of a running process, kept under a name or written to a file.

use super::lines;
use super::output::print;
use crate::args::Mark as Args;
use heapshim_cli::catalog::Catalog;
use heapshim_cli::directory;
use heapshim_cli::error::Error;
use heapshim_cli::mark::Mark;
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
    let mut taken = match args.survivors {
        true => pinned(&catalog, &name, args)?,
        false => catalog.take(&name)?,
    };
    if let Some(places) = lines::bundle(&args.bundle) {
        subject::bundle(&mut taken, places, &catalog.origin());
    }
    if let Some(path) = &args.output {
        directory::write_file(path, &mark::encode(&taken))?;
        return print(&format!("{}\n", path.display()));
    }
    catalog.store().save(&taken, args.force)?;
    let _pruned = store::prune(SystemTime::now());
    print(&format!("{name}\n"))
}

/// A mark that begins what survivors are counted from. A process has few of them: what would fail afterwards is refused before.
fn pinned(catalog: &Catalog, name: &str, args: &Args) -> Result<Mark, Error> {
    if args.output.is_none() && !args.force {
        catalog.store().check_free(name, &catalog.process()?)?;
    }
    catalog.pin(name)
}

/// A file without a name of its own is named after itself.
fn stem(file: &Path) -> String {
    file.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
