//! What a command took: wall time, processor time and the most memory that it had resident, by wait4(2).
//!
//! Called by the benchmarks. Times are those of the command and of all that it waited for; memory is that of the largest of these processes alone. A process
//! begins with what xtask has resident (a few MB), so that the memory of a command smaller than that is not told.

use std::io::Read;
use std::mem::MaybeUninit;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Instant;

/// One run.
#[derive(Clone, Debug)]
pub(crate) struct Took {
    pub(crate) wall_ms: f64,
    /// Of all processors together, in the kernel too.
    pub(crate) processor_ms: f64,
    /// Resident, at most.
    pub(crate) peak_bytes: f64,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Took {
    /// Runs it to its end; None where it does not start, or fails.
    pub(crate) fn by(command: &mut Command) -> Option<Took> {
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let begun = Instant::now();
        let mut child = command.spawn().ok()?;
        let (stdout, stderr) = (child.stdout.take()?, child.stderr.take()?);
        // Both at once: a command that fills one pipe waits for its reader.
        let stderr = thread::spawn(|| read(stderr));
        let stdout = read(stdout);
        let usage = usage_at_end(&child)?;
        Some(Took {
            wall_ms: begun.elapsed().as_secs_f64() * 1e3,
            processor_ms: milliseconds(usage.ru_utime) + milliseconds(usage.ru_stime),
            // getrusage(2): in kibibytes.
            peak_bytes: usage.ru_maxrss as f64 * 1024.0,
            stdout,
            stderr: stderr.join().ok()?,
        })
    }
}

fn read(mut stream: impl Read) -> String {
    let mut bytes = Vec::new();
    // What was read before an error is what there is.
    let _read = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Waits for its end; None where that was no success.
fn usage_at_end(child: &Child) -> Option<libc::rusage> {
    let (mut status, mut usage) = (0, MaybeUninit::uninit());
    // SAFETY: a child that nobody else waits for, and room for what is written.
    let ended = unsafe {
        libc::wait4(
            child.id().cast_signed(),
            &raw mut status,
            0,
            usage.as_mut_ptr(),
        )
    };
    // SAFETY: it is written where a child was found.
    (ended > 0 && status == 0).then(|| unsafe { usage.assume_init() })
}

fn milliseconds(time: libc::timeval) -> f64 {
    time.tv_sec as f64 * 1e3 + time.tv_usec as f64 / 1e3
}
