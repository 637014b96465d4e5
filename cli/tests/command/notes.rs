//! What is said before the numbers: a program whose own malloc hides it.

use crate::place::{Place, said, text};
use serde_json::json;

/// A program that is its own allocator, as one that has jemalloc linked in: an arena that is never given back.
const OWN_MALLOC: &str = r#"
#include <stdio.h>
#include <string.h>
#include <unistd.h>
static char arena[1 << 20];
static size_t used;
void *malloc(size_t size) {
    size = (size + 31) / 16 * 16;
    if (used + size > sizeof arena) return 0;
    char *block = arena + used;
    *(size_t *)block = size - 16;
    used += size;
    return block + 16;
}
void free(void *block) { (void)block; }
void *calloc(size_t count, size_t size) { return malloc(count * size); }
void *realloc(void *block, size_t size) {
    void *other = malloc(size);
    if (block && other) {
        size_t before = *(size_t *)((char *)block - 16);
        memcpy(other, block, before < size ? before : size);
    }
    return other;
}
int main(void) {
    char line[16];
    for (int i = 0; i < 5; i++) memset(malloc(1000), 1, 1000);
    dprintf(1, "%d\n", getpid());
    return read(0, line, sizeof line) == 0 ? 7 : 1;
}
"#;

const WHAT: &str =
    "this program has an allocator of its own linked in: what it allocates with that is not seen";
const NEXT: &str = "to see it, link the program without it, or with it as a shared library; Go has its own profiler (pprof)";

/// Check that it is run, that it ends as it ends, and that report, list and marks say what hides it.
#[test]
fn own_malloc() {
    let place = Place::new("own-malloc");
    let program = place.c("own", OWN_MALLOC);
    let note = format!("{WHAT}; {NEXT}");

    let running = place.run(&[], &[&program]);
    let pid = running.hello.clone();
    let list = place.stdout(&["ls"]);
    let row = list.lines().find(|row| row.trim_start().starts_with(&pid));
    assert!(
        row.is_some_and(|row| row.ends_with(&format!("exact   {WHAT}"))),
        "{list}"
    );
    let list = place.json(&["ls", "--format", "json"]);
    let mut processes = list["processes"].as_array().expect("a list").iter();
    let number: u32 = pid.parse().expect("a pid");
    let own = processes.find(|one| one["pid"] == number);
    assert_eq!(own.expect("listed")["notes"], json!([note]));
    let mark = place.word("own.heapmark");
    place.stdout(&["mark", "-p", &pid, "-o", &mark]);
    let json = place.json(&["diff", "start", &mark, "--format", "json"]);
    assert_eq!(json["notes"], json!([note]));

    let ended = running.end();
    assert_eq!(ended.status.code(), Some(7), "{}", said(&ended));
    let report = text(&ended.stderr);
    let mut lines = report.lines();
    let at_once = lines.next().expect("a line at its start");
    assert!(
        at_once.contains("linked in: what it allocates with that is not seen"),
        "{report}"
    );
    let lines: Vec<&str> = lines.collect();
    assert!(
        lines[0].starts_with(&format!("own (pid {pid})   start → exit")),
        "{report}"
    );
    assert_eq!(lines[1], note);
    assert_eq!(lines[2], "heap 0 B (0 B → 0 B), 0 blocks");

    let report = place.word("report");
    let words = ["run", "--format", "json", "-o", &report, "--", &program];
    assert_eq!(place.output(&words).status.code(), Some(7));
    let json = place.json_file("report");
    assert_eq!(json["notes"], json!([note]));
    assert_eq!(
        (&json["growth_bytes"], &json["rows"]),
        (&json!(0), &json!([]))
    );
}

/// Check that a program without an allocator of its own has nothing said of it, and that a senseless depth has.
#[test]
fn nothing_to_say() {
    let place = Place::new("nothing-to-say");
    let report = place.word("report");
    let words = ["run", "--format", "json", "-o", &report, "--", "true"];
    assert!(place.output(&words).status.success());
    assert_eq!(place.json_file("report")["notes"], json!([]));
    let mut run = place.command(&words);
    let ended = run.env("HEAPSHIM_DEPTH", "many").output();
    assert!(ended.expect("run").status.success());
    let notes = &place.json_file("report")["notes"];
    let note = notes[0].as_str().expect("a note");
    assert!(
        note.starts_with("HEAPSHIM_DEPTH is no number from 1 to 512"),
        "{note}"
    );
}
