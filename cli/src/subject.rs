//! What a report is about: two marks, whose files explain them, and where these files are looked for.
//!
//! Called by the commands that print reports; this is where `diff`, the symbolizer and the sources are put together, so that
//! every command looks for files in the same places and with the same rights. Not here: how it is printed (`render`).

use crate::bundle::Bundle;
use crate::diff::{self, Details, From};
use crate::distribution::{BySite, Measure};
use crate::frees::{Freed, Groups};
use crate::mark::Mark;
use crate::process::Origin;
use crate::render::Sources;
use crate::report::{Report, Survivors, Temporaries};
use crate::symbolize::{self, Progress, Symbolizer};
use std::path::PathBuf;
use std::rc::Rc;

/// Where the user said that files are.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Further directories with debug files.
    pub debug_dirs: Vec<PathBuf>,
    /// Where sources lie now: paths that begin with the first are read under the second.
    pub source_dirs: Vec<(String, String)>,
    /// Name scripts as the interpreter has them, also where that is relative.
    pub as_named: bool,
    /// Say nothing of what takes long: the terminal is somebody's screen.
    pub quiet: bool,
}

/// Growth to be reported.
#[derive(Debug)]
pub struct Subject<'a> {
    from: Option<&'a Mark>,
    to: &'a Mark,
    origin: Origin,
    embedded: Option<(&'static str, &'static str)>,
    merged: Option<usize>,
    peak_rss: Option<u64>,
    highest_bytes: Option<i64>,
    temporary_within: Option<u64>,
    details: Details<'a>,
}

impl<'a> Subject<'a> {
    /// From one mark (None: the start) to another, of a process whose files are found by `origin`.
    #[must_use]
    pub fn new(from: Option<&'a Mark>, to: &'a Mark, origin: Origin) -> Subject<'a> {
        Subject {
            from,
            to,
            origin,
            embedded: None,
            merged: None,
            peak_rss: None,
            highest_bytes: None,
            temporary_within: None,
            details: Details::default(),
        }
    }

    /// The same, with a source file that need not be looked for: the end of its path, and its text.
    #[must_use]
    pub fn embedding(self, end: &'static str, text: &'static str) -> Subject<'a> {
        Subject {
            embedded: Some((end, text)),
            ..self
        }
    }

    /// The same, of so many processes whose accounts are in one.
    #[must_use]
    pub fn merging(self, processes: usize) -> Subject<'a> {
        Subject {
            merged: Some(processes),
            ..self
        }
    }

    /// The same, of a command that had so much resident at most.
    #[must_use]
    pub fn peaking(self, peak_rss: Option<u64>) -> Subject<'a> {
        Subject { peak_rss, ..self }
    }

    /// The same, of which so much was alive at most: where the marks are of blocks that are counted, and not of an account.
    #[must_use]
    pub fn reaching(self, highest_bytes: i64) -> Subject<'a> {
        let highest_bytes = Some(highest_bytes);
        Subject {
            highest_bytes,
            ..self
        }
    }

    /// The same, whose growth is what was freed within so many operations of its thread.
    #[must_use]
    pub fn within(self, operations: u64) -> Subject<'a> {
        let temporary_within = Some(operations);
        Subject {
            temporary_within,
            ..self
        }
    }

    /// The same, with how its sites' blocks were spread.
    #[must_use]
    pub fn spreading(self, measure: Measure, by_site: &'a BySite) -> Subject<'a> {
        let spread = Some((measure, by_site));
        let details = Details {
            spread,
            ..self.details
        };
        Subject { details, ..self }
    }

    /// The same, with what of the growth was allocated since the first mark.
    #[must_use]
    pub fn surviving(self, survivors: Option<&'a Survivors>) -> Subject<'a> {
        let details = Details {
            survivors,
            ..self.details
        };
        Subject { details, ..self }
    }

    /// The same, with what of it was freed by its thread's next operation.
    #[must_use]
    pub fn temporary(self, temporaries: Option<&'a Temporaries>) -> Subject<'a> {
        let details = Details {
            temporaries,
            ..self.details
        };
        Subject { details, ..self }
    }

    /// True where that is known.
    #[must_use]
    pub fn knows_temporaries(&self) -> bool {
        self.details.temporaries.is_some()
    }

    /// The same, with who freed what it says of.
    #[must_use]
    pub fn freeing(self, groups: &'a Groups, freed: &'a [Rc<Freed>]) -> Subject<'a> {
        let details = Details {
            freed: Some((groups, freed)),
            ..self.details
        };
        Subject { details, ..self }
    }

    /// The rows of all sites, also of those that are nothing at either mark.
    #[must_use]
    pub fn groups(&self, places: Places, options: &diff::Options) -> Groups {
        let mut readers = Readers::new(places, &self.origin);
        self.carry(&mut readers);
        let (from, to) = (self.from.unwrap_or(self.to), self.to);
        let symbolizer = &mut readers.symbolizer;
        let groups = diff::groups(&from.snapshot, &to.snapshot, symbolizer, options);
        symbolizer.keep();
        groups
    }

    /// The growth, and where its source lines come from.
    #[must_use]
    pub fn report(&self, places: Places, options: &diff::Options) -> (Report, Sources) {
        let mut readers = Readers::new(places, &self.origin);
        let report = self.report_with(&mut readers, options);
        (report, readers.sources)
    }

    /// The growth, by readers that may have read for other reports of the same process: what these have looked up is not looked up again.
    #[must_use]
    pub fn report_with(&self, readers: &mut Readers, options: &diff::Options) -> Report {
        self.carry(readers);
        let symbolizer = &mut readers.symbolizer;
        let from = self
            .from
            .map_or(From::Start, |mark| From::Mark(&mark.snapshot));
        let report =
            diff::diff_detailed(from, &self.to.snapshot, symbolizer, options, self.details);
        symbolizer.keep();
        let (merged, peak_rss) = (self.merged, self.peak_rss);
        Report {
            merged,
            peak_rss,
            peak_bytes: self.highest_bytes.unwrap_or(report.peak_bytes),
            temporary_within: self.temporary_within,
            ..report
        }
    }

    /// What the marks themselves say of their addresses and lines.
    fn carry(&self, readers: &mut Readers) {
        let Readers {
            symbolizer,
            sources,
        } = readers;
        if let Some((end, text)) = self.embedded {
            sources.embed(end, text);
        }
        let mut marks: Vec<&Mark> = self.from.into_iter().chain([self.to]).collect();
        marks.sort_by_key(|mark| mark.snapshot.moment.unix_ns);
        for mark in marks {
            symbolizer.carry_made(&mark.snapshot);
            if let Some(bundle) = &mark.bundle {
                symbolizer.carry(&mark.snapshot, &bundle.records);
                sources.carry(&bundle.lines);
            }
        }
    }
}

/// Has a mark carry all that a report of it may show, so that it reads anywhere.
pub fn bundle(mark: &mut Mark, places: Places, origin: &Origin) {
    let Readers {
        mut symbolizer,
        sources,
    } = Readers::new(places, origin);
    mark.bundle = Some(Bundle::new(&mark.snapshot, &mut symbolizer, &sources));
    symbolizer.keep();
}

/// What reads the files of a process.
#[derive(Debug)]
pub struct Readers {
    symbolizer: Symbolizer,
    sources: Sources,
}

impl Readers {
    /// For the next report of the same process, in a while: files are closed, sources read anew; names that were looked up stay.
    pub fn rest(&mut self) {
        self.symbolizer.rest();
        let options = self.symbolizer.options();
        self.sources = Sources::new(options, options.reader);
    }

    /// Where the source lines of the last report come from.
    #[must_use]
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Readers that have opened nothing yet.
    #[must_use]
    pub fn new(places: Places, origin: &Origin) -> Readers {
        let progress = match places.quiet {
            true => Progress::default(),
            false => Progress::of_stderr(),
        };
        let options = symbolize::Options {
            debug_dirs: places.debug_dirs,
            source_dirs: places.source_dirs,
            as_named: places.as_named,
            root: origin.root.clone(),
            reader: origin.user,
            live: origin.live,
            progress,
            kept: symbolize::kept_directory(),
        };
        Readers {
            sources: Sources::new(&options, origin.user),
            symbolizer: Symbolizer::new(options),
        }
    }
}
