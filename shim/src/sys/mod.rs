//! Every system call that the shim makes, each a safe wrapper with a typed result; no other folder has a `syscall` instruction.
//!
//! They are made raw: libc's wrappers set errno, are cancellation points, and may be interposed by the target. The list, and when each
//! is made, stands in docs/ARCHITECTURE.md: after start-up no call of a kind that was not made before, since programs install
//! seccomp filters that kill.

mod files;
mod mappings;
mod memory;
mod process;
mod raw;
mod rehearsal;
mod signals;
mod socket;

pub(crate) use files::{
    allocate, append_file, close, close_range, create, file_identity, free_bytes, memfd, move_up,
    owner_only, read_file, read_link, remove, seal, truncate,
};
pub(crate) use mappings::{Span, each_other as each_other_mapping, ours as own_mappings};
pub(crate) use memory::{
    copy, lock, lock_all, map_over, map_private, map_shared, readable, unlock, unmap, wipe_on_fork,
};
pub(crate) use process::{
    NAME_BYTES, clock_ns, limit, limits, parent_pid, pid, random, set_limits, thread_id,
    thread_name, ticks, yield_now,
};
pub(crate) use raw::{Descriptor, Errno, set_errno};
pub(crate) use rehearsal::{Wanted, is_deadly};
pub(crate) use signals::{SignalsBlocked, block_signals};
pub(crate) use socket::hand_over;
