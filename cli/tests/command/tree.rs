//! Trees of processes.

use crate::place::{Place, not_allowed, said, text};

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

/// Forks so many children in waves of twenty, each of which frees what it inherited, allocates 53 bytes and ends when its wave is complete.
const WAVES: &str = r"
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
static void *volatile kept;
int main(int count, char **words) {
  void *inherited = malloc(1009);
  for (int wave = 0; wave < atoi(words[1]) / 20; wave++) {
    int gate[2];
    char none;
    if (pipe(gate)) return 1;
    for (int i = 0; i < 20; i++) {
      if (fork() == 0) {
        close(gate[1]);
        free(inherited);
        kept = malloc(53);
        _exit(read(gate[0], &none, 1) == 0 ? 0 : 2);
      }
    }
    close(gate[0]);
    close(gate[1]);
    for (int i = 0; i < 20; i++) {
      int status;
      if (wait(&status) < 0 || status) return 2;
    }
  }
  return 0;
}
";

/// Check that of three thousand forked children, in waves, each is in the merged account, though `run` has far fewer descriptors; and that what
/// they freed of their parent's is still its own.
#[test]
fn thousands_of_children() {
    let place = Place::new("thousands");
    let (program, report) = (place.c("waves", WAVES), place.word("report.json"));
    let run = format!("heapshim run --merge --format json -o {report} -- {program} 3000");
    let output = place.shell(&format!("ulimit -n 200; {run}"));
    assert!(output.status.success(), "{}", said(&output));
    let json = std::fs::read_to_string(&report).expect("a report");
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["target"]["processes"], 3001, "{}", said(&output));
    let grown = (&json["growth_bytes"], &json["growth_blocks"]);
    assert_eq!(grown, (&(1009 + 3000 * 53).into(), &3001.into()));
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

/// Check that `--merge` adds up the accounts of the command and its children in one report, line by line, and says of how many.
#[test]
fn merged() {
    let place = Place::new("merged");
    let program = place.keeper();
    let line = place.word("line");
    std::fs::write(&line, "a line\n").expect("written");
    let script = format!("for i in 1 2 3; do {program} <{line} >&2; done; exec {program} >&2");
    let report = place.word("report.json");
    let words = ["run", "--merge", "--format", "json", "-o", &report];
    let output = place.output(&[&words[..], &["--", "sh", "-c", &script]].concat());
    assert_eq!(output.status.code(), Some(5), "{}", said(&output));
    let json = std::fs::read_to_string(&report).expect("a report");
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["target"]["processes"], 4, "{json}");
    assert_eq!(json["target"]["name"], "keeper");
    assert_eq!(json["target"]["exit"], serde_json::json!({"code": 5}));
    let rows = json["rows"].as_array().expect("rows");
    let kept: Vec<_> = rows
        .iter()
        .filter(|row| row["growth_bytes"] == 3 * 1009)
        .collect();
    assert_eq!(kept.len(), 1, "{json}");
    assert_eq!(
        (&kept[0]["growth_blocks"], &kept[0]["function"]),
        (&3.into(), &"main".into())
    );
    assert_eq!(json["growth_blocks"], 3, "{json}");
}

/// Check that the merged table says how many processes it is of, and that no other line follows it.
#[test]
fn merged_table() {
    let place = Place::new("merged-table");
    let script = "/bin/true; /bin/true; i=1";
    let output = place.output(&["run", "--merge", "--", "sh", "-c", script]);
    assert!(output.status.success(), "{}", said(&output));
    let table = text(&output.stderr);
    let first = table.lines().next().expect("a headline");
    assert!(
        first.contains(") and 2 other processes   start → exit"),
        "{table}"
    );
    assert!(!table.contains("--save DIR"), "{table}");
}

/// What runs a program as another user.
const DROPPED: &str = "setpriv --reuid=65534 --regid=65534 --clear-groups";
/// Stops `run`, and goes on when that has happened.
const STOPPED: &str = "run=$PPID; kill -STOP $run; \
    until read -r stat </proc/$run/stat; case $stat in *') T '*) ;; *) false; esac; do :; done";

/// Check that root's `run` reports a program that was executed after the rights were dropped, and not the account from before.
#[test]
fn rights_dropped_before_exec() {
    dropped("dropped", &format!("exec {DROPPED} $KEEPER <$LINE"));
}

/// Check the same where `run` does not look before the program has ended: it is stopped until there is a zombie.
#[test]
fn rights_dropped_and_ended() {
    let zombie = "read -r stat </proc/$me/stat; case $stat in *') Z '*) ;; *) false; esac";
    let going_on = format!("(until {zombie}; do :; done; kill -CONT $run)");
    let script = format!("me=$$; {STOPPED}; {going_on} & exec {DROPPED} $KEEPER <$LINE");
    dropped("dropped-ended", &script);
}

/// Check the same of a child of the command that has ended and was waited for.
#[test]
fn rights_dropped_and_forgotten() {
    let script =
        format!("{STOPPED}; {DROPPED} $KEEPER <$LINE; status=$?; kill -CONT $run; exit $status");
    dropped("dropped-forgotten", &script);
}

/// Runs the script as root's; of the processes that it leaves accounts of, one is the keeper, with what that has kept.
fn dropped(name: &str, script: &str) {
    if !rustix::process::geteuid().is_root() {
        return not_allowed("giving up root's rights");
    }
    let place = Place::new(name);
    let (marks, line) = (place.word("marks"), place.word("line"));
    std::fs::write(&line, "a line\n").expect("written");
    let mut command = place.command(&["run", "--save", &marks, "--", "sh", "-c", script]);
    command.env("KEEPER", place.keeper()).env("LINE", &line);
    let output = command.output().expect("run");
    assert_eq!(output.status.code(), Some(5), "{}", said(&output));
    let listed = std::fs::read_dir(&marks).expect("marks").flatten();
    let names: Vec<String> = listed
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    let [keeper] = &names
        .iter()
        .filter(|name| name.starts_with("keeper-"))
        .collect::<Vec<_>>()[..]
    else {
        panic!("{names:?}");
    };
    let file = place.word(&format!("marks/{keeper}"));
    let json = place.json(&["diff", "start", &file, "--format", "json"]);
    assert_eq!(json["growth_bytes"], 1009, "{json}");
}
