//! Recordings: every event in a file, and what it answers, which is what the account says, to the byte.
//!
//! Readers are stopped and killed here by signals at moments that the target's own steps decide; nothing sleeps.

use heapshim_tests::{
    Amount, ControlPage, Diff, Recorded, Recording, Run, Running, Target, Tmux, copy_program,
    found, heapshim, line_of, needs,
};
use std::collections::BTreeMap;

/// Events of one more round of events.c: more than a ring has room for.
pub(crate) const ROUND: u64 = 300_000;

/// events.c, before its first step.
pub(crate) fn events() -> Running {
    let running = Target::c("events.c").opt("-O0").spawn();
    assert_eq!(running.said(), "warm");
    running
}

/// Rows by place: growth, live, total. Those of nothing are left out.
fn rows(diff: &Diff) -> BTreeMap<String, [Amount; 3]> {
    let of = |row: heapshim_tests::Row| {
        let place = format!(
            "{} {} {}",
            row.json["file"], row.json["line"], row.json["module"]
        );
        (place, [row.growth(), row.live(), row.total()])
    };
    let some = |(_, amounts): &(String, [Amount; 3])| *amounts != [Amount::default(); 3];
    diff.rows().into_iter().map(of).filter(some).collect()
}

/// Asserts that two reports say the same of every line.
fn assert_same(recorded: &Diff, marked: &Diff) {
    assert_eq!(rows(recorded), rows(marked));
    assert_eq!(recorded.growth(), marked.growth());
    assert_eq!(recorded.live_at("to"), marked.live_at("to"));
    recorded.assert_adds_up();
}

/// A round that ends with the word `done`, of as many events.
fn round(running: &mut Running) {
    assert_eq!(running.step(b"m"), "done");
}

/// Check that a recording of known events has them all: growth by line as the program's source says and as marks at the same moments say,
/// the highest moment, and what was freed at once; and between instants, a mark of the program's own among them.
#[test]
fn known_events() {
    let mut running = events();
    running.mark("a");
    let recording = Recording::of(running.pid(), &["--lossless"]);
    running.step(b"go");
    running.mark("b");
    let recorded = recording.end();
    // 50 + 100 + 100 + 200 × 2 + 10 + 10 × 2 events.
    assert_eq!((recorded.events(), recorded.lost()), (680, 0));
    let (diff, said) = recorded.ask("diff", &[]);
    assert_eq!(said, "");
    assert!(diff.exact());
    let mut expected = running.expected();
    expected.retain(|row| row.total.is_some());
    diff.assert_rows(&expected);
    assert_same(&diff, &running.diff(&["a", "b"]));
    let peak = recorded.ask("peak", &[]).0;
    let before = running.diff(&["start", "a"]).growth();
    let (bytes, blocks) = (25_150 + 100_900, 150);
    assert_eq!(
        peak.growth(),
        amount(before.bytes + bytes, before.blocks + blocks)
    );
    assert_live(&peak, "kept[i] = malloc", amount(25_150, 50));
    assert_live(&peak, "high[i] = malloc", amount(100_900, 100));
    let temporary = recorded.ask("temporary", &[]).0;
    // A block that is moved by realloc is freed by its thread's next operation.
    assert_eq!(temporary.growth(), amount(200 * 77 + 10 * 11, 210));
    assert_eq!(temporary.json()["from"]["name"], "begin");
    let to_middle = recorded.ask("diff", &["--to", "middle"]).0;
    assert_eq!(to_middle.growth(), amount(25_150, 50));
    assert_eq!(to_middle.total(), amount(25_150 + 100_900, 150));
    // The highest moment until then, which is the peak's.
    assert_eq!(to_middle.json()["peak_bytes"], peak.live_at("to").bytes);
    for word in ["diff", "peak", "temporary", "lifetimes", "sizes"] {
        let highest = recorded.ask(word, &[]).0.json()["peak_bytes"].clone();
        assert_eq!(highest, peak.live_at("to").bytes, "{word}");
    }
    assert_steps(&recorded, &running.diff(&["start", "b"]), &peak);
    let from_middle = recorded.ask("diff", &["--from", "middle"]).0;
    assert_eq!(from_middle.growth(), amount(2110, 10));
    assert!(running.finish().0.success());
}

/// Asserts what a line of events.c had grown by, and has alive.
fn assert_live(diff: &Diff, text: &str, amount: Amount) {
    let line = line_of("events.c", text);
    let rows = diff.rows_in("events.c");
    let row = rows.iter().find(|row| row.json["line"] == line);
    let row = row.unwrap_or_else(|| panic!("no row of line {line}"));
    assert_eq!([row.growth(), row.live()], [amount; 2], "line {line}");
}

/// Check that the highest moment is found where it lies behind a whole chunk of events, with its line.
#[test]
fn crest_behind_a_chunk() {
    let mut running = events();
    running.step(b"go");
    let before = running.diff(&["start", "now"]).growth();
    let recording = Recording::of(running.pid(), &["--lossless"]);
    round(&mut running);
    assert_eq!(running.step(b"l"), "done");
    let recorded = recording.end();
    assert_eq!((recorded.events(), recorded.lost()), (ROUND + 1, 0));
    let peak = recorded.ask("peak", &[]).0;
    // No block of the round was as large.
    assert_eq!(peak.growth(), amount(before.bytes + 31, before.blocks + 1));
    assert_live(&peak, "// late", amount(31, 1));
}

/// Asserts of the steps of `known_events`, however many, that nothing is missing or there twice: they come to all events, begin with the
/// account at the beginning and end with that at the end, and one of them has the highest moment.
fn assert_steps(recorded: &Recorded, end: &Diff, peak: &Diff) {
    for count in ["1", "7", "1000"] {
        let file = recorded.file.to_str().expect("UTF-8");
        let words = ["timeline", file, "--steps", count, "--format", "json"];
        let text = heapshim_tests::talk(&words).stdout;
        let json: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        let steps = json["steps"].as_array().expect("steps");
        assert_eq!(steps.len().to_string(), count);
        let all = |key: &'static str| {
            steps
                .iter()
                .map(move |step| step[key].as_i64().expect("a number"))
        };
        let blocks = (all("allocated_blocks").sum(), all("freed_blocks").sum());
        assert_eq!(blocks, (370i64, 310i64));
        let bytes = (all("allocated_bytes").sum(), all("freed_bytes").sum());
        assert_eq!(bytes, (143_670i64, 116_410i64));
        assert_eq!(all("highest_bytes").max(), Some(peak.live_at("to").bytes));
        let last = (
            all("live_bytes").next_back(),
            all("live_blocks").next_back(),
        );
        let end = end.live_at("to");
        assert_eq!(last, (Some(end.bytes), Some(end.blocks)));
    }
}

fn amount(bytes: i64, blocks: i64) -> Amount {
    Amount { bytes, blocks }
}

/// Check that `run --record` has a command's events from the first to the last: what grew from its beginning is the account at its end.
#[test]
fn from_the_first_event() {
    let file = heapshim_tests::fresh_directory("recording").join("run.heaptrace");
    for program in [Target::c("events.c"), Target::cpp("containers.cpp")] {
        let finished = Run::new(&program.words())
            .option("--lossless")
            .option("--record")
            .option(&file)
            .stdin(b"go\nm\n\n")
            .finish();
        let said = String::from_utf8_lossy(&finished.stderr).into_owned();
        let recorded = Recorded {
            file: file.clone(),
            said,
        };
        assert_eq!(recorded.lost(), 0, "{}", recorded.said);
        let (diff, said) = recorded.ask("diff", &[]);
        assert_eq!(said, "");
        assert_same(&diff, finished.report());
    }
}

/// Check that a recording of the benchmarks' pairs of malloc and free takes at most four bytes an event, all of them there.
#[test]
fn four_bytes_an_event() {
    let file = heapshim_tests::fresh_directory("recording").join("run.heaptrace");
    let pairs = Target::c("../../xtask/workloads/pairs.c").opt("-O2");
    let run = Run::new(&pairs.arg("--pairs").arg("1000000").words()).option("--lossless");
    let finished = run.option("--record").option(&file).finish();
    let bytes = std::fs::metadata(&file).expect("the recording").len();
    let said = String::from_utf8_lossy(&finished.stderr).into_owned();
    let recorded = Recorded { file, said };
    assert_eq!(recorded.lost(), 0, "{}", recorded.said);
    // All but the last thousand are freed.
    let events = recorded.events();
    assert!(events >= 2_000_000 - 1000, "{events} events");
    assert!(bytes <= 4 * events, "{bytes} bytes of {events} events");
}

/// Check the same of Python: its objects are in the recording as well.
#[test]
fn python() {
    if !needs(&["python3"]) {
        return;
    }
    let file = heapshim_tests::fresh_directory("recording").join("run.heaptrace");
    let python = found("python3").expect("needed");
    let script = "import json; x = [json.dumps([i]) for i in range(20000)]";
    let words = [python.into_os_string(), "-c".into(), script.into()];
    let finished = Run::new(&words)
        .option("--lossless")
        .option("--record")
        .option(&file)
        .quiet()
        .finish();
    let said = String::from_utf8_lossy(&finished.stderr).into_owned();
    let recorded = Recorded { file, said };
    assert_eq!(recorded.lost(), 0, "{}", recorded.said);
    assert!(recorded.events() > 40_000, "{}", recorded.said);
    // Of its lines JSON has some 100 MB: each with a stack.
    let mark = finished.marks[0].to_str().expect("UTF-8");
    let words = ["diff", "start", mark, "--by", "module", "--format", "json"];
    let marked = heapshim_tests::talk(&words).stdout;
    let marked = Diff::read(&String::from_utf8(marked).expect("UTF-8"));
    assert_same(&recorded.ask("diff", &["--by", "module"]).0, &marked);
}

/// Check that eight threads that free each other's blocks are recorded whole, by a reader that comes while they rest and one that is there from
/// the beginning, and that the recording is what two marks say.
#[test]
fn threads() {
    let mut running = Target::c("threads.c").opt("-O2").spawn();
    running.mark("a");
    let recording = Recording::of(running.pid(), &["--lossless"]);
    running.step(b"go");
    running.step(b"stop");
    running.mark("b");
    let recorded = recording.end();
    assert_eq!(recorded.lost(), 0, "{}", recorded.said);
    assert_same(&recorded.ask("diff", &[]).0, &running.diff(&["a", "b"]));
}

/// Check that a reader that does not run makes the target lose events and not time without end; that the loss is counted to the event, said by every
/// answer, and in the account nowhere.
#[test]
fn dropped() {
    let mut running = events();
    running.step(b"go");
    running.mark("a");
    let recording = Recording::of(running.pid(), &[]);
    recording.stop();
    round(&mut running);
    recording.signal(libc::SIGCONT);
    running.mark("b");
    let recorded = recording.end();
    assert!(recorded.lost() > ROUND / 2, "{}", recorded.said);
    assert_eq!(recorded.events() + recorded.lost(), ROUND);
    for question in ["diff", "peak", "temporary"] {
        let (answer, said) = recorded.ask(question, &[]);
        let lost = format!("{} events were lost", recorded.lost());
        assert!(said.contains(&lost), "{question}: {said}");
        assert_eq!(answer.json()["to"]["exact"], false, "{question}");
    }
    let diff = running.diff(&["a", "b"]);
    assert_eq!(diff.growth(), Amount::default());
    assert_eq!(diff.total(), amount(150_000 * 23, 150_000));
    assert!(diff.exact());
}

/// Check that a line all of whose events were lost is in no answer: what the account says of it at the end is nothing that the recording has seen.
#[test]
fn lost_line() {
    let mut running = events();
    running.step(b"go");
    let late = line_of("events.c", "// late");
    let recording = Recording::of(running.pid(), &[]);
    recording.stop();
    round(&mut running);
    assert_eq!(running.step(b"l"), "done");
    recording.signal(libc::SIGCONT);
    let recorded = recording.end();
    assert!(recorded.lost() > ROUND / 2, "{}", recorded.said);
    for (question, options) in [("diff", &[][..]), ("peak", &[]), ("temporary", &[])] {
        let (answer, _) = recorded.ask(question, options);
        let rows = answer.rows_in("events.c");
        assert!(!rows.is_empty(), "{question}");
        let of_late = rows.iter().filter(|row| row.json["line"] == late);
        of_late.for_each(|row| {
            assert_eq!(
                [row.live(), row.total()],
                [Amount::default(); 2],
                "{question}"
            )
        });
        answer.assert_adds_up();
    }
    assert!(
        running
            .diff(&["start", "now"])
            .rows_in("events.c")
            .iter()
            .any(|row| row.json["line"] == late)
    );
}

/// Check that with `--lossless` the target waits for a reader that does not run, and nothing is lost.
#[test]
fn waited_for() {
    let mut running = events();
    running.step(b"go");
    let recording = Recording::of(running.pid(), &["--lossless"]);
    recording.stop();
    let page = ControlPage::of(running.pid());
    page.prolong();
    running.go_on(b"m");
    page.until_full();
    recording.signal(libc::SIGCONT);
    assert_eq!(running.listen(), "done");
    let recorded = recording.end();
    assert_eq!((recorded.events(), recorded.lost()), (ROUND, 0));
}

/// Check that one process has one reader, that it goes when it is killed, in the middle of a round, that the target then goes on, that the next reader finds
/// everything as the first did, and that the first's file is readable up to where it came.
#[test]
fn killed_reader() {
    let mut running = events();
    running.step(b"go");
    let first = Recording::of(running.pid(), &["--lossless"]);
    let pid = running.pid().to_string();
    let words = ["record", "-p", &pid, "-o", "second.heaptrace"];
    let refused = std::process::Command::new(heapshim_tests::heapshim())
        .args(words)
        .output()
        .expect("the command starts");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("somebody is recording it already"), "{said}");
    running.go_on(b"m");
    let killed = first.kill();
    // Its file may have no whole chunk yet: it was killed as soon as that.
    let (diff, said) = killed.ask("diff", &[]);
    assert!(said.contains("was cut off"), "{said}");
    diff.assert_adds_up();
    assert_eq!(running.listen(), "done");
    let second = Recording::of(running.pid(), &["--lossless"]);
    round(&mut running);
    let recorded = second.end();
    assert_eq!((recorded.events(), recorded.lost()), (ROUND, 0));
    assert!(running.finish().0.success());
}

/// Check that a recording ends with its target, also where that is killed, with an account that it adds up to.
#[test]
fn killed_target() {
    let mut running = events();
    running.step(b"go");
    let recording = Recording::of(running.pid(), &["--lossless"]);
    round(&mut running);
    // SAFETY: kill takes two numbers; the child was not waited for, so the pid is its own.
    unsafe { libc::kill(running.pid().cast_signed(), libc::SIGKILL) };
    drop(running);
    let recorded = recording.ended();
    assert_eq!((recorded.events(), recorded.lost()), (ROUND, 0));
    let (diff, said) = recorded.ask("diff", &[]);
    assert_eq!((diff.growth(), said.as_str()), (Amount::default(), ""));
}

/// Check that a forked child has no reader because its parent has one, and that its events are nowhere in the parent's recording.
#[test]
fn forked_child() {
    let mut running = Target::c("forks.c").spawn();
    running.mark("a");
    let recording = Recording::of(running.pid(), &["--lossless"]);
    running.step(b"go");
    running.mark("b");
    let recorded = recording.end();
    assert_eq!(recorded.lost(), 0, "{}", recorded.said);
    assert_same(&recorded.ask("diff", &[]).0, &running.diff(&["a", "b"]));
}

/// Check that a recording that was bundled names lines on a machine that has none of the files.
#[test]
fn bundled() {
    let file = heapshim_tests::fresh_directory("recording").join("run.heaptrace");
    let program = heapshim_tests::fresh_directory("moved").join("events");
    copy_program(&Target::c("events.c").opt("-O0").build(), &program);
    let finished = Run::new(&[&program])
        .option("--bundle")
        .option("--lossless")
        .option("--record")
        .option(&file)
        .stdin(b"go\n")
        .finish();
    std::fs::remove_file(&program).expect("removed");
    let said = String::from_utf8_lossy(&finished.stderr).into_owned();
    let diff = Recorded { file, said }.ask("diff", &[]).0;
    let row = &diff.rows_in("events.c")[0];
    assert_eq!(row.growth(), amount(25_150, 50));
}

/// Check that on a terminal one line says how many events there are, how many a second, what was lost and how large the file is, until the recording's end takes its place; and
/// that where stderr is no terminal it is not there.
#[test]
fn progress() {
    let Some(tmux) = Tmux::open(100, 24) else {
        return;
    };
    let mut running = events();
    running.step(b"go");
    let (heapshim, pid) = (heapshim().display(), running.pid());
    tmux.line(&format!(
        "{heapshim} record -p {pid} --lossless -o run.heaptrace"
    ));
    tmux.wait_for("Ctrl-C ends it");
    round(&mut running);
    let is_progress = |line: &String| {
        let parts: Vec<&str> = line.split(", ").collect();
        matches!(parts[..], ["300,000 events", rate, "0 lost", size] if rate.ends_with("/s") && size.ends_with("iB"))
    };
    // It goes on being told, of the same events.
    let screen = tmux.wait(|screen| {
        screen.iter().any(is_progress) && screen.iter().any(|line| line.contains(" 0/s, "))
    });
    assert_eq!(
        screen.iter().filter(|line| is_progress(line)).count(),
        1,
        "{screen:?}"
    );
    tmux.keys(&["C-c"]);
    let screen = tmux.wait_for("recorded 300,000 events, none lost, ");
    assert!(
        !screen.iter().any(|line| line.contains("/s, ")),
        "{screen:?}"
    );

    let recording = Recording::of(pid, &["--lossless", "--for", "2s"]);
    let said = recording.ended().said;
    assert!(!said.contains("/s, "), "{said}");
}
