//! docs/DEPLOY.md: its recipes, run once.

use heapshim_tests::{environment, fresh_directory, heapshim, skip, workspace};
use std::process::{Command, Stdio};

/// Check that a container's process is looked at from the host, that its account is there after SIGKILL, that HEAPSHIM_ONLY and HEAPSHIM=0 do what
/// they say, and that systemd reads the drop-in.
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
        said.contains("HEAPSHIM_ONLY: sort alone") && said.contains("HEAPSHIM=0"),
        "{said}"
    );
    if said.contains("skipped: container") {
        skip("the right to namespaces");
    }
}
