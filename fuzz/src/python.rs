//! The shim's reader of line tables, which a library that is preloaded can't be linked for; and in place of what it reads memory with, reads that
//! are asserted to lie in the table.

#[path = "../../shim/src/python/line_table.rs"]
pub(crate) mod line_table;

pub(crate) mod peek {
    //! In place of the shim's.

    use std::cell::Cell;

    thread_local! {
        /// The table in use: its first address, and the first behind it.
        pub(crate) static TABLE: Cell<(u64, u64)> = const { Cell::new((0, u64::MAX)) };
    }

    pub(crate) trait Peek {
        fn word(&mut self, address: u64) -> Option<u64>;
    }

    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Trusted;

    impl Peek for Trusted {
        fn word(&mut self, address: u64) -> Option<u64> {
            let (start, end) = TABLE.get();
            assert!(
                address >= start && end - address >= 8,
                "outside of the table"
            );
            let place = usize::try_from(address).ok()?;
            // SAFETY: a word of the table, as asserted, which its owner keeps alive while it is read.
            Some(unsafe { std::ptr::with_exposed_provenance::<u64>(place).read_unaligned() })
        }
    }
}
