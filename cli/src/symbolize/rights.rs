//! Another user's rights, taken for as long as a file of theirs is opened.
//!
//! Called by `open`. Root reads a process of any user, and that user chose the names of its modules, debug files and sources: what is opened by such
//! a name is what that user could have opened, so that nobody has root print what they may not read. The kernel judges it, at the open itself: by
//! user and group for the file system (setfsuid(2)), and no further groups, which only shows less. This thread's rights alone change, and only for
//! files; they are given back when the value is dropped.
//!
//! Not here: which names are the target's and which the user's own (`separate::Places`).

use std::marker::PhantomData;

/// While it lives, this thread opens files with another user's rights.
#[derive(Debug)]
pub(crate) struct Rights {
    user: libc::uid_t,
    group: libc::gid_t,
    groups: Vec<libc::gid_t>,
    /// Of this thread alone.
    _here: PhantomData<*const ()>,
}

impl Rights {
    /// Takes them; None where we may not: who is not root has no rights to give up but his own.
    pub(crate) fn of((user, group): (u32, u32)) -> Option<Rights> {
        let groups = groups()?;
        let mut rights = Rights {
            user: 0,
            group: 0,
            groups,
            _here: PhantomData,
        };
        if !set_groups(&[]) {
            return None;
        }
        // The group first: who is not root any more may not change it.
        rights.group = set_group(group);
        rights.user = set_user(user);
        // Dropped, it gives back whatever was taken.
        (set_user(u32::MAX) == user && set_group(u32::MAX) == group).then_some(rights)
    }
}

impl Drop for Rights {
    fn drop(&mut self) {
        set_user(self.user);
        set_group(self.group);
        let given_back = set_groups(&self.groups);
        debug_assert!(given_back, "they were ours");
    }
}

/// The further groups of this thread.
fn groups() -> Option<Vec<libc::gid_t>> {
    // SAFETY: with no room nothing is written, and the answer is their number.
    let count = unsafe { libc::getgroups(0, std::ptr::null_mut()) };
    let mut groups = vec![0; usize::try_from(count).ok()?];
    // SAFETY: there is room for `count` of them.
    let written = unsafe { libc::getgroups(count, groups.as_mut_ptr()) };
    groups.truncate(usize::try_from(written).ok()?);
    Some(groups)
}

/// Raw: libc's function changes them for every thread.
fn set_groups(groups: &[libc::gid_t]) -> bool {
    // SAFETY: reads as many numbers as there are.
    unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) == 0 }
}

/// The user for files that it was before; of u32::MAX: that it is.
fn set_user(user: libc::uid_t) -> libc::uid_t {
    // SAFETY: takes a number, and answers with one that is a user's, whatever the sign of its type.
    unsafe { libc::setfsuid(user) }.cast_unsigned()
}

fn set_group(group: libc::gid_t) -> libc::gid_t {
    // SAFETY: as above.
    unsafe { libc::setfsgid(group) }.cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Scratch;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    /// A user that has nothing, on any Linux.
    const NOBODY: (u32, u32) = (65534, 65534);

    /// Check that root opens what is nobody's to read, not so with nobody's rights, and so again after that; who is not root may not take them.
    #[test]
    fn taken_and_given_back() {
        let scratch = Scratch::new("rights");
        let secret = scratch.write("secret", b"x");
        fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
        let rights = Rights::of(NOBODY);
        assert_eq!(rights.is_some(), rustix::process::geteuid().is_root());
        assert_eq!(fs::read(&secret).is_ok(), rights.is_none());
        drop(rights);
        assert_eq!(fs::read(&secret).unwrap(), b"x");
    }
}
