//! Where the two lists of a snapshot that grow with the program go, as `snapshot` copies them: into values, or (`packed`) into a mark's bytes.

use crate::model::{Frame, Site};

/// Takes the lists that grow with the program, entry by entry, as they are copied.
pub(super) trait Lists {
    /// How many of each will come, about.
    fn expect(&mut self, sites: usize, frames: usize);
    fn site(&mut self, site: Site);
    fn frame(&mut self, frame: Frame);
}

/// As values, as every stage but a mark's file wants them.
#[derive(Default)]
pub(super) struct Values {
    pub(super) sites: Vec<Site>,
    pub(super) frames: Vec<Frame>,
}

impl Lists for Values {
    fn expect(&mut self, sites: usize, frames: usize) {
        self.sites.reserve_exact(sites);
        self.frames.reserve_exact(frames);
    }

    fn site(&mut self, site: Site) {
        self.sites.push(site);
    }

    fn frame(&mut self, frame: Frame) {
        self.frames.push(frame);
    }
}
