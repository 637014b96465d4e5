//! The writer's half, composed: makes a ledger in zeroed memory and hands out its tables. Used by the shim.

use crate::counters::{Counters, Total};
use crate::error::Error;
use crate::extent::Region;
use crate::frames::{Frame, FrameId, Frames};
use crate::header::{Geometry, section};
use crate::layout::{Cell, Header, INSIDE_MARKS, SHARED_SLOT, SLOTS, SectionKind};
use crate::marks::Marks;
use crate::modules::{ModuleId, Modules, Strings};
use crate::sites::{SiteId, Sites};
use crate::sync::Word;
use crate::threads::Threads;

/// All tables of one ledger, for writing; `Reader` holds the same for reading.
#[derive(Clone, Copy, Debug)]
pub struct Tables<'a> {
    /// The first page.
    pub header: &'a Header,
    /// The trie.
    pub frames: Frames<'a>,
    /// Stacks that have allocated.
    pub sites: Sites<'a>,
    /// The account.
    pub counters: Counters<'a>,
    /// Loaded objects.
    pub modules: Modules<'a>,
    /// Their names.
    pub strings: Strings<'a>,
    /// Per-thread state.
    pub threads: Threads<'a>,
    /// Inside marks.
    pub marks: Marks<'a>,
}

impl<'a> Tables<'a> {
    pub(crate) fn open(region: &Region<'a>, header: &'a Header) -> Result<Tables<'a>, Error> {
        let sites = Sites::new(
            &header.lens.sites,
            section(region, header, SectionKind::Sites)?,
        );
        let cells = |kind, rows| counters(section(region, header, kind)?, &sites, kind, rows);
        Ok(Tables {
            header,
            frames: Frames::new(
                &header.lens.frames,
                section(region, header, SectionKind::Frames)?,
            ),
            sites,
            counters: cells(SectionKind::Counters, SLOTS)?,
            modules: Modules::new(
                &header.lens.modules,
                section(region, header, SectionKind::Modules)?,
            ),
            strings: Strings::new(
                &header.lens.strings,
                section(region, header, SectionKind::Strings)?,
            ),
            threads: Threads::new(
                &header.lens.threads,
                section(region, header, SectionKind::Threads)?,
            ),
            marks: Marks::new(
                &header.lens.marks,
                section(region, header, SectionKind::Marks)?,
                cells(SectionKind::MarkCounters, INSIDE_MARKS)?,
            ),
        })
    }

    /// One site's account now.
    #[must_use]
    pub fn total(&self, site: SiteId) -> Total {
        let slots = || self.threads.used().min(SHARED_SLOT);
        self.counters.total(site, slots)
    }
}

/// The cells of `rows` rows, if there is one for every site: no loop over sites then exceeds the memory.
fn counters<'a>(
    cells: &'a [Cell],
    sites: &Sites<'_>,
    kind: SectionKind,
    rows: u32,
) -> Result<Counters<'a>, Error> {
    let (len, need) = (
        cells.len() as u64,
        u64::from(rows) * u64::from(sites.capacity()),
    );
    if len < need {
        return Err(Error::Index {
            kind: kind as u32,
            index: need - 1,
            len,
        });
    }
    Ok(Counters::new(cells, sites.capacity()))
}

/// What the shim knows when it makes a ledger.
#[derive(Clone, Copy, Debug, Default)]
pub struct Identity {
    /// Random.
    pub identity: u64,
    /// For a forked child, its parent's identity.
    pub forked_from: u64,
    /// getpid().
    pub pid: u32,
    /// getppid().
    pub parent_pid: u32,
    /// CLOCK_REALTIME.
    pub start_unix_ns: u64,
    /// CLOCK_BOOTTIME.
    pub start_boot_ns: u64,
    /// Resident bytes now.
    pub start_rss_bytes: u64,
    /// log2 of the shadow's granule.
    pub granule_shift: u32,
    /// Frames kept of a stack.
    pub depth: u32,
    /// Options that made no sense.
    pub complaints: u32,
    /// Inode of the control page.
    pub control_inode: u64,
}

/// A ledger that this process writes.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    tables: Tables<'a>,
}

impl<'a> core::ops::Deref for Writer<'a> {
    type Target = Tables<'a>;
    #[inline(always)]
    fn deref(&self) -> &Tables<'a> {
        &self.tables
    }
}

impl<'a> Writer<'a> {
    /// Lays a ledger out in zeroed memory of `geometry.total_bytes()`. Not ready for readers until [`Writer::ready`].
    ///
    /// # Errors
    /// `Short` where the memory is too small.
    pub fn create(
        region: &Region<'a>,
        geometry: &Geometry,
        identity: &Identity,
    ) -> Result<Writer<'a>, Error> {
        let writer = Writer::lay_out(region, geometry, identity)?;
        if writer.frames.begin() && writer.sites.begin() {
            Ok(writer)
        } else {
            Err(writer.short(region))
        }
    }

    /// As `create`, for a forked child: takes over the parent's frames, sites and modules under the same ids, with every
    /// counter at zero. What the child's private indices (inherited) name was published before the fork.
    ///
    /// # Errors
    /// `Short` where this ledger has less room than the parent's uses.
    pub fn create_forked(
        region: &Region<'a>,
        geometry: &Geometry,
        identity: &Identity,
        parent: &Tables<'_>,
    ) -> Result<Writer<'a>, Error> {
        let writer = Writer::lay_out(region, geometry, identity)?;
        // The parent goes on meanwhile: sites before the frames that they name, frames before the modules that they name, so
        // that whatever a copy names is older than the length at which the next copy stops.
        if writer.copy_sites(parent) && writer.copy_frames(parent) && writer.copy_modules(parent) {
            Ok(writer)
        } else {
            Err(writer.short(region))
        }
    }

    /// Opens a ledger that `create_forked` has made in memory that is now mapped at another place.
    ///
    /// # Errors
    /// As the reader's: the section table is checked again.
    pub fn reopen(region: &Region<'a>) -> Result<Writer<'a>, Error> {
        Ok(Writer { tables: Tables::open(region, region.one(0, 0)?)? })
    }

    fn lay_out(
        region: &Region<'a>,
        geometry: &Geometry,
        identity: &Identity,
    ) -> Result<Writer<'a>, Error> {
        if region.bytes() < geometry.total_bytes() {
            return Err(Error::Short {
                have: region.bytes(),
                need: geometry.total_bytes(),
            });
        }
        let header: &Header = region.one(0, 0)?;
        crate::header::begin(header, geometry);
        write_identity(header, identity);
        Ok(Writer {
            tables: Tables::open(region, header)?,
        })
    }

    fn short(&self, region: &Region<'_>) -> Error {
        Error::Short {
            have: region.bytes(),
            need: region.bytes().saturating_add(1),
        }
    }

    fn copy_frames(&self, parent: &Tables<'_>) -> bool {
        (0..parent.frames.len()).all(|id| {
            // A node that the parent is writing is named by nothing of ours: any node keeps its place.
            let empty = Frame {
                parent: FrameId(0),
                kind: crate::layout::FrameKind::Root,
                module: 0,
                value: 0,
            };
            self.frames
                .append(parent.frames.get(FrameId(id)).unwrap_or(empty))
                == Some(FrameId(id))
        })
    }

    fn copy_sites(&self, parent: &Tables<'_>) -> bool {
        (0..parent.sites.len()).all(|id| {
            let frame = parent.sites.frame(SiteId(id)).unwrap_or(FrameId(0));
            self.sites.append(frame) == Some(SiteId(id))
        })
    }

    fn copy_modules(&self, parent: &Tables<'_>) -> bool {
        let mut text = [0u8; crate::modules::MAX_TEXT];
        (0..parent.modules.len()).all(|id| {
            let Some(mut info) = parent.modules.get(ModuleId(id)) else {
                // Being added by another thread of the parent: nothing of ours names it.
                return self.modules.skip() == Some(ModuleId(id));
            };
            let len = parent.strings.copy(info.path, &mut text).unwrap_or(0);
            info.path = self.strings.append(text.get(..len).unwrap_or(&[]));
            self.modules.append(&info) == Some(ModuleId(id))
        })
    }

    /// Publishes the header: readers may come.
    pub fn ready(&self) {
        crate::header::publish(self.header);
    }
}

fn write_identity(header: &Header, identity: &Identity) {
    header.identity.put(identity.identity);
    header.forked_from.put(identity.forked_from);
    header.pid.put(identity.pid);
    header.parent_pid.put(identity.parent_pid);
    header.start_unix_ns.put(identity.start_unix_ns);
    header.start_boot_ns.put(identity.start_boot_ns);
    header.start_rss_bytes.put(identity.start_rss_bytes);
    header.granule_shift.put(identity.granule_shift);
    header.depth.put(identity.depth);
    header.complaints.put(identity.complaints);
    header.control_inode.put(identity.control_inode);
}
