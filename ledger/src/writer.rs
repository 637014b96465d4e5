//! The writer's half: makes a ledger in zeroed memory, or a forked child's from its parent's, and hands out its tables. Used by the shim.

use crate::codes::CodeId;
use crate::counters::Slot;
use crate::error::Error;
use crate::extent::Region;
use crate::frames::{Frame, FrameId};
use crate::header::Geometry;
use crate::layout::{Header, SHARED_SLOT};
use crate::modules::ModuleId;
use crate::sites::SiteId;
use crate::sync::Word;
use crate::tables::Tables;

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

    /// As `create`, for a forked child: takes over the parent's frames, sites, modules, codes and texts under the same ids, with every
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
        // The parent goes on meanwhile: sites before the frames that they name, frames before the modules and codes that they
        // name, texts last, so that whatever a copy names is older than the length at which the next copy stops.
        let stacks = writer.copy_sites(parent) && writer.copy_frames(parent);
        let named = stacks && writer.copy_modules(parent) && writer.copy_codes(parent);
        if named && writer.copy_texts(parent) {
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
        Ok(Writer {
            tables: Tables::open(region, region.one(0, 0)?)?,
        })
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
        (0..parent.modules.len()).all(|id| {
            match parent.modules.get(ModuleId(id)) {
                Some(info) => self.modules.append(&info) == Some(ModuleId(id)),
                // Being added by another thread of the parent: nothing of ours names it.
                None => self.modules.skip() == Some(ModuleId(id)),
            }
        })
    }

    fn copy_codes(&self, parent: &Tables<'_>) -> bool {
        (0..parent.codes.len()).all(|id| match parent.codes.get(CodeId(id)) {
            Some(info) => self.codes.append(&info) == Some(CodeId(id)),
            None => self.codes.skip() == Some(CodeId(id)),
        })
    }

    fn copy_texts(&self, parent: &Tables<'_>) -> bool {
        self.header.exe.put(parent.header.exe.peek());
        self.header.cmdline.put(parent.header.cmdline.peek());
        self.header.directory.put(parent.header.directory.peek());
        // The thread that forked may go on with the shared slot.
        self.header
            .lens
            .shared
            .put(parent.header.lens.shared.peek());
        self.strings.copy_all(&parent.strings)
    }

    /// One slot of the account; any number past the exclusive ones is the shared one. That it may be written is said before it can be.
    #[must_use]
    pub fn slot(&self, slot: u32) -> Slot<'a> {
        if slot >= SHARED_SLOT {
            self.tables.header.lens.shared.publish(1);
        }
        self.tables.counters.slot(slot)
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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::Reader;
    use crate::codes::CodeInfo;
    use crate::counters::Total;
    use crate::frames::ROOT;
    use crate::modules::{MAX_TEXT, ModuleInfo};
    use crate::testing::{Memory, SMALL, native};

    fn module(path: u64) -> ModuleInfo {
        ModuleInfo {
            bias: 0x1000,
            start: 0x2000,
            end: 0x3000,
            from_ns: 4,
            until_ns: 5,
            path,
            build_id: [6; 32],
            build_id_len: 20,
        }
    }

    fn code(file: u64) -> CodeInfo {
        CodeInfo {
            file,
            name: file,
            first_line: 56,
        }
    }

    fn path(tables: &Tables<'_>, id: u32) -> Vec<u8> {
        let info = tables.modules.get(ModuleId(id)).expect("published");
        let mut text = [0; MAX_TEXT];
        let len = tables.strings.copy(info.path, &mut text).expect("inside");
        text[..len].to_vec()
    }

    fn identity(identity: u64) -> Identity {
        Identity {
            identity,
            pid: 7,
            depth: 64,
            ..Identity::default()
        }
    }

    /// One module, one stack of two frames, one site that has allocated, all with room to spare.
    fn filled(memory: &Memory) -> Writer<'_> {
        let writer = Writer::create(&memory.region(), &SMALL, &identity(1)).expect("room");
        let text = writer.strings.append(b"/lib/libc.so.6");
        assert_eq!(writer.modules.append(&module(text)), Some(ModuleId(0)));
        assert_eq!(writer.codes.append(&code(text)), Some(CodeId(0)));
        assert_eq!(writer.frames.append(native(ROOT, 10)), Some(FrameId(3)));
        assert_eq!(
            writer.frames.append(native(FrameId(3), 11)),
            Some(FrameId(4))
        );
        assert_eq!(writer.sites.append(FrameId(4)), Some(SiteId(2)));
        writer.threads.note_used(0);
        writer.counters.slot(0).allocated(SiteId(2), 48);
        writer
    }

    /// Check that a reader finds nothing before `ready`, and then what was written.
    #[test]
    fn create_and_read() {
        let memory = Memory::of(&SMALL);
        let writer = filled(&memory);
        let region = memory.region();
        assert!(matches!(
            Reader::new(&region),
            Err(Error::NotReady { state: 0 })
        ));
        writer.ready();
        let reader = Reader::new(&region).expect("ready");
        assert_eq!(reader.header.identity.peek(), 1);
        assert_eq!(
            (reader.header.pid.peek(), reader.header.depth.peek()),
            (7, 64)
        );
        assert_eq!(reader.sites.frame(SiteId(2)), Some(FrameId(4)));
        assert_eq!(reader.frames.get(FrameId(4)), Ok(native(FrameId(3), 11)));
        assert_eq!(path(&reader, 0), b"/lib/libc.so.6");
        assert_eq!(reader.total(SiteId(2)).allocated_bytes, 48);
        assert_eq!(reader.total(SiteId(1)), Total::default());
    }

    /// Check that memory or geometry too small for a ledger is refused.
    #[test]
    fn too_small() {
        let memory = Memory::of(&SMALL);
        let short = memory.first(memory.words() - 1);
        assert!(matches!(
            Writer::create(&short, &SMALL, &identity(1)),
            Err(Error::Short { .. })
        ));
        for geometry in [
            Geometry { frames: 2, ..SMALL },
            Geometry { sites: 1, ..SMALL },
        ] {
            let memory = Memory::of(&SMALL);
            let writer = Writer::create(&memory.region(), &geometry, &identity(1));
            assert!(matches!(writer, Err(Error::Short { .. })));
        }
    }

    /// Check that each table, once full, refuses an entry, and that nothing else changes by it: the ledger's bytes stay.
    #[test]
    fn full_tables_stay() {
        let memory = Memory::of(&SMALL);
        let writer = filled(&memory);
        while writer.frames.append(native(ROOT, 1)).is_some() {}
        while writer.sites.append(FrameId(3)).is_some() {}
        while writer.modules.append(&module(0)).is_some() {}
        while writer.codes.append(&code(0)).is_some() {}
        while writer.strings.append(b"eight by") != 0 {}
        let bytes = || -> Vec<u64> {
            (0..memory.words())
                .map(|at| memory.word(at).peek())
                .collect()
        };
        let before = bytes();
        assert_eq!(writer.frames.append(native(ROOT, 2)), None);
        assert_eq!(writer.sites.append(FrameId(4)), None);
        assert_eq!(writer.modules.append(&module(0)), None);
        assert_eq!(writer.codes.append(&code(0)), None);
        assert_eq!(writer.strings.append(b"text"), 0);
        assert_eq!(bytes(), before);
        let lens = (
            writer.frames.len(),
            writer.sites.len(),
            writer.modules.len(),
        );
        assert_eq!(lens, (SMALL.frames, SMALL.sites, SMALL.modules));
        assert_eq!(writer.strings.used(), SMALL.string_words);
        writer
            .counters
            .slot(0)
            .allocated(SiteId(crate::layout::OVERFLOW_SITE), 9);
        assert_eq!(
            writer
                .total(SiteId(crate::layout::OVERFLOW_SITE))
                .allocated_bytes,
            9
        );
    }

    /// Check that a forked child has its parent's frames, sites and modules under the same ids, its own identity, and an account at
    /// zero; and that what both add afterwards does not meet.
    #[test]
    fn forked() {
        let (memory, child_memory) = (Memory::of(&SMALL), Memory::of(&SMALL));
        let parent = filled(&memory);
        parent.header.lens.shared.put(1);
        let who = Identity {
            forked_from: 1,
            ..identity(2)
        };
        let child = Writer::create_forked(&child_memory.region(), &SMALL, &who, &parent);
        let child = child.expect("room");
        let (frame, node) = (native(FrameId(3), 11), native(FrameId(3), 12));
        assert_eq!(child.header.forked_from.peek(), 1);
        assert_eq!(child.header.lens.shared.peek(), 1);
        assert_eq!(child.frames.get(FrameId(4)), Ok(frame));
        assert_eq!(child.sites.frame(SiteId(2)), Some(FrameId(4)));
        assert_eq!(child.sites.frame(SiteId(0)), None);
        assert_eq!(path(&child, 0), b"/lib/libc.so.6");
        assert_eq!(child.codes.get(CodeId(0)), parent.codes.get(CodeId(0)));
        assert_eq!(
            child.modules.get(ModuleId(0)).map(|info| info.until_ns),
            Some(5)
        );
        assert_eq!(child.total(SiteId(2)), Total::default());
        assert!(child.counters.slot(0).freed(SiteId(2), 48));
        assert_eq!(child.frames.append(node), Some(FrameId(5)));
        assert_eq!(
            (parent.total(SiteId(2)).freed_bytes, parent.frames.len()),
            (0, 5)
        );
    }

    /// Check that entries that another thread of the parent was adding at the fork keep their places, unpublished.
    #[test]
    fn forked_amid_appends() {
        let (memory, child_memory) = (Memory::of(&SMALL), Memory::of(&SMALL));
        let parent = filled(&memory);
        for len in [&parent.header.lens.frames, &parent.header.lens.sites] {
            assert!(crate::sync::take_index(len, 1, 7).is_some());
        }
        assert_eq!(parent.modules.skip(), Some(ModuleId(1)));
        assert_eq!(parent.codes.skip(), Some(CodeId(1)));
        let child = Writer::create_forked(&child_memory.region(), &SMALL, &identity(2), &parent);
        let child = child.expect("room");
        let lens = (child.frames.len(), child.sites.len(), child.modules.len());
        assert_eq!(lens, (6, 4, 2));
        assert_eq!(child.sites.frame(SiteId(3)), None);
        assert_eq!(child.modules.get(ModuleId(1)), None);
        assert_eq!((child.codes.get(CodeId(1)), child.codes.len()), (None, 2));
        assert_eq!(child.sites.append(FrameId(4)), Some(SiteId(4)));
    }

    /// Check that a child with less room than its parent uses is refused.
    #[test]
    fn forked_too_small() {
        let (memory, child_memory) = (Memory::of(&SMALL), Memory::of(&SMALL));
        let parent = filled(&memory);
        for geometry in [
            Geometry { frames: 4, ..SMALL },
            Geometry { sites: 2, ..SMALL },
            Geometry {
                modules: 0,
                ..SMALL
            },
            Geometry { codes: 0, ..SMALL },
            Geometry {
                string_words: 1,
                ..SMALL
            },
        ] {
            let region = child_memory.region();
            let child = Writer::create_forked(&region, &geometry, &identity(2), &parent);
            assert!(matches!(child, Err(Error::Short { .. })));
        }
    }
}
