//! The newcomer's hour: the script `newcomer/hour` goes through it, and says what was not to be read where it should have been.

use heapshim_tests::{alone, environment, heapshim, needs, not_allowed, workspace};
use std::process::Command;

/// Check the whole hour: installed, demo, an own server under load and redis, each leak found and, once fixed, gone.
#[test]
fn hour() {
    let programs = ["cc", "curl", "jq", "redis-server", "redis-cli", "unshare"];
    if !needs(&programs) {
        return;
    }
    let Some(words) = alone() else {
        return not_allowed("a process namespace of one's own");
    };
    let mut hour = Command::new("unshare");
    hour.args(words).arg("bash");
    hour.arg(workspace().join("tests/newcomer/hour"))
        .arg(heapshim());
    hour.env_clear().envs(environment());
    let output = hour.output().expect("unshare");
    let said =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{}\n{}", said[0], said[1]);
    assert!(said[0].ends_with("== Done\n"), "{}", said[0]);
}
