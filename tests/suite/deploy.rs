//! docs/DEPLOY.md: its recipes, run once.

use heapshim_tests::{environment, fresh_directory, heapshim, not_allowed, skip, workspace};
use std::process::{Command, Stdio};

/// Check that a container's process is looked at from the host, that its account is there after SIGKILL, that HEAPSHIM_ONLY, HEAPSHIM=0 and `mode` do what
/// they say, that systemd reads the drop-in, under whose settings workers have accounts, and that the manifest's parts belong together.
#[test]
fn recipes() {
    let mut script = Command::new(workspace().join("tests/deploy"));
    script.arg(heapshim()).arg(fresh_directory("deploy"));
    script.env_clear().envs(environment()).stdin(Stdio::null());
    let output = script.output().expect("bash");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        said.contains("HEAPSHIM_ONLY: sort alone")
            && said.contains("HEAPSHIM=0")
            && said.contains("mode: off and on"),
        "{said}"
    );
    let all = |what| said.lines().filter_map(move |line| line.strip_prefix(what));
    all("skipped: ").for_each(not_allowed);
    all("missing: ").for_each(skip);
}
