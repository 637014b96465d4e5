//! Whether the kernel starts a file with more rights than ours: the loader then ignores LD_PRELOAD (ld.so(8), secure-execution mode).
//!
//! Called by `executable`. As execve(2) decides: not on a file system mounted nosuid, and not in a process that may gain no rights.

use super::image::Obstacle;
use rustix::fs::StatVfsMountFlags;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Programs that start others with another user's rights.
const SWITCHERS: [&str; 5] = ["sudo", "su", "doas", "pkexec", "runuser"];

/// What stands in the way of a file that is started with other rights, if it is.
pub(super) fn obstacle(path: &Path) -> Option<Obstacle> {
    let gained = gained(path)?;
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let next = match SWITCHERS.contains(&name) {
        true => format!("put it in front: {name} heapshim run -- COMMAND"),
        false => "trace a copy of it (cp leaves the rights behind), or trace it as root".to_owned(),
    };
    let what = format!("{gained}: the loader ignores LD_PRELOAD in it");
    Some(Obstacle::new(what, next))
}

/// What it gains, in a word.
fn gained(path: &Path) -> Option<&'static str> {
    let metadata = fs::metadata(path).ok()?;
    if !can_gain(path) {
        return None;
    }
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    let mut value = [0u8; 64];
    if metadata.mode() & 0o4000 != 0 && metadata.uid() != uid.as_raw() {
        Some("setuid")
    } else if metadata.mode() & 0o2010 == 0o2010 && metadata.gid() != gid.as_raw() {
        Some("setgid")
    } else if !uid.is_root()
        && rustix::fs::getxattr(path, "security.capability", &mut value).is_ok()
    {
        Some("it has file capabilities")
    } else {
        None
    }
}

fn can_gain(path: &Path) -> bool {
    let flags = rustix::fs::statvfs(path).map(|stat| stat.f_flag);
    let nosuid = flags.is_ok_and(|flags| flags.contains(StatVfsMountFlags::NOSUID));
    !nosuid && !rustix::thread::no_new_privs().unwrap_or(false)
}
