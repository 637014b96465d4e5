//! redis-server as a workload: started, asked by redis-benchmark, looked at, and shut down.
//!
//! Which keys are drawn depends on redis-benchmark's clock, so that no digest of the data is the same twice. Its result is how often the server has
//! carried out each kind of request, that none failed, and that it has as many keys as draws with that many requests leave.

use super::succeeds;
use crate::took::Took;
use crate::versions::first_line;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// What has to be installed.
pub(super) const NEEDED: [&str; 3] = ["redis-server", "redis-benchmark", "redis-cli"];
/// Requests of each kind, and the keys that they are drawn from.
const REQUESTS: u32 = 100_000;
const KEYS: u32 = 50_000;
/// The kinds; one a run of redis-benchmark.
const KINDS: [&str; 6] = ["set", "get", "lpush", "lpop", "hset", "zadd"];
/// The least that the server allocates for it: a block for each value that it keeps, of four of these kinds.
pub(super) const BLOCKS: u64 = 4 * REQUESTS as u64;
/// Of the number of keys that are expected, by how much it may be off: twenty deviations.
const KEYS_OFF: f64 = 0.03;

/// The server's words.
pub(super) fn server(directory: &Path, socket: &Path) -> Vec<String> {
    let (directory, socket) = (directory.to_string_lossy(), socket.to_string_lossy());
    let options = [
        "--port",
        "0",
        "--save",
        "",
        "--appendonly",
        "no",
        "--logfile",
        "/dev/null",
    ];
    let places = ["--unixsocket", &socket, "--dir", &directory];
    let words = ["redis-server"].into_iter().chain(options).chain(places);
    words.map(str::to_owned).collect()
}

/// A server from its start to its end, in between it is asked all there is to ask; and what it has done. None where anything fails.
pub(super) fn serve(server: &mut Command, socket: &Path) -> Option<(Took, String)> {
    let has_ended = AtomicBool::new(false);
    let asked = |words: &[&str], program: &str| {
        let mut command = Command::new(program);
        succeeds(command.arg("-s").arg(socket).args(words))
    };
    thread::scope(|scope| {
        let client = scope.spawn(|| {
            while !asked(&["ping"], "redis-cli") && !has_ended.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(20));
            }
            let (requests, keys) = (REQUESTS.to_string(), KEYS.to_string());
            let load = [
                "-n", &requests, "-r", &keys, "-d", "100", "-P", "8", "-c", "20", "-q",
            ];
            let kinds = KINDS.join(",");
            let answered = asked(&[&load[..], &["-t", &kinds]].concat(), "redis-benchmark");
            let result = result(socket);
            asked(&["shutdown", "nosave"], "redis-cli");
            result.filter(|_| answered)
        });
        let took = Took::by(server);
        has_ended.store(true, Ordering::Relaxed);
        let result = client.join().ok().flatten();
        took.zip(result)
    })
}

/// What it has carried out, and whether its keys are as many as they should be.
fn result(socket: &Path) -> Option<String> {
    let socket = socket.to_string_lossy();
    let mut ask = Command::new("redis-cli");
    let output = ask.args(["-s", &socket, "info", "commandstats"]).output();
    let statistics = String::from_utf8(output.ok()?.stdout).ok()?;
    let keys = first_line(&["redis-cli", "-s", &socket, "dbsize"])?;
    let keys: f64 = keys.trim_start_matches("(integer) ").parse().ok()?;
    let done: Option<Vec<String>> = KINDS.iter().map(|kind| done(&statistics, kind)).collect();
    // Each key is missed by a draw with all but one in KEYS; a few more are of the other kinds.
    let missed = (1.0 - 1.0 / f64::from(KEYS)).powf(f64::from(REQUESTS));
    let expected = f64::from(KEYS) * (1.0 - missed);
    let as_expected = (keys / expected - 1.0).abs() < KEYS_OFF;
    as_expected.then_some(done?.join(", "))
}

/// `set: 100000 calls, 0 failed`.
fn done(statistics: &str, kind: &str) -> Option<String> {
    let name = format!("cmdstat_{kind}:");
    let line = statistics.lines().find_map(|line| line.strip_prefix(&name));
    let number = |field: &str| {
        let mut fields = line?.trim().split(',');
        fields.find_map(|one| {
            one.strip_prefix(field)?
                .strip_prefix('=')?
                .parse::<u64>()
                .ok()
        })
    };
    let (calls, failed) = (number("calls")?, number("failed_calls")?);
    (failed == 0).then(|| format!("{kind}: {calls} calls"))
}
