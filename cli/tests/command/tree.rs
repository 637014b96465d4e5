//! Trees of processes.

use crate::place::{Place, said, text};

/// Check that of 500 short children each is counted, and none twice.
#[test]
fn five_hundred_children() {
    let place = Place::new("children");
    let script = "i=0; while [ $i -lt 500 ]; do /bin/true; i=$((i + 1)); done; exit 9";
    let output = place.output(&["run", "--", "sh", "-c", script]);
    assert_eq!(output.status.code(), Some(9), "{}", said(&output));
    let report = text(&output.stderr);
    let last = report.lines().last().expect("a report");
    assert!(last.starts_with("500 other processes, "), "{report}");
}

/// Check that `--save` keeps a mark of each process that allocated, whose growth is the child's own.
#[test]
fn marks_of_children() {
    let place = Place::new("saved");
    let program = place.keeper();
    let marks = place.word("marks");
    let script = format!("for i in 1 2 3; do echo $i | {program} >&2; done; echo $$");
    let words = ["run", "--save", &marks, "--", "sh", "-c", &script];
    let output = place.output(&words);
    assert!(output.status.success(), "{}", said(&output));
    let listed = std::fs::read_dir(&marks).expect("marks").flatten();
    let names = listed.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let keepers: Vec<String> = names.filter(|name| name.starts_with("keeper-")).collect();
    assert_eq!(keepers.len(), 3, "{keepers:?}");
    for name in keepers {
        let file = place.word(&format!("marks/{name}"));
        let json = place.json(&["diff", "start", &file, "--format", "json"]);
        assert_eq!(
            (&json["growth_bytes"], &json["growth_blocks"]),
            (&1009.into(), &1.into())
        );
    }
}
