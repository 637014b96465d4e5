//! The table that users read says what the JSON says, to its rounding.

use heapshim_tests::{Target, programs, talk};

/// Bytes of a size as the table prints it, with the unit of its rounding: `+64.0 KiB` is 65,536 to within 51.2.
fn parse_size(number: &str, unit: &str) -> Option<(f64, f64)> {
    let factor = match unit {
        "B" => 1.0,
        "KiB" => 1024.0,
        "MiB" => 1048576.0,
        "GiB" => 1073741824.0,
        _ => return None,
    };
    let value: f64 = number.replace(',', "").parse().ok()?;
    let step = if unit == "B" { 0.0 } else { 0.05 * factor };
    Some((value * factor, step + 0.001))
}

/// The table's line for a place, as words.
fn line_of<'a>(table: &'a str, place: &str) -> Vec<&'a str> {
    let mut lines = table.lines().filter(|line| {
        let mut words = line.split_whitespace();
        words.any(|word| word.ends_with(place))
    });
    let line = lines
        .next()
        .unwrap_or_else(|| panic!("no {place} in\n{table}"));
    line.split_whitespace().collect()
}

fn check(target: Target, file: &str) {
    let mut running = target.spawn();
    running.mark("warm");
    running.step(b"go");
    running.mark("end");
    let (table, diff) = (
        running.table(&["warm", "end"]),
        running.diff(&["warm", "end"]),
    );
    for row in diff.rows_in(file) {
        if row.growth().blocks == 0 {
            continue;
        }
        let words = line_of(&table, &format!("{file}:{}", row.json["line"]));
        let (growth, slack) = parse_size(words[0], words[1]).expect("a size");
        #[allow(clippy::cast_precision_loss, reason = "sizes of tests are below 2^53")]
        let exact = row.growth().bytes as f64;
        assert!(
            (growth - exact).abs() <= slack,
            "{words:?}: {}",
            row.brief()
        );
        let blocks: i64 = words[2].replace([',', '+'], "").parse().expect("blocks");
        assert_eq!(blocks, row.growth().blocks, "{words:?}");
        let (live, slack) = parse_size(words[3], words[4]).expect("a size");
        #[allow(clippy::cast_precision_loss, reason = "sizes of tests are below 2^53")]
        let exact = row.live().bytes as f64;
        assert!((live - exact).abs() <= slack, "{words:?}: {}", row.brief());
    }
}

/// Check each row of a C program, one of which shrank.
#[test]
fn rows_of_c() {
    check(Target::c("leak.c"), "leak.c");
}

/// Check sizes from bytes to gigabytes.
#[test]
fn rows_of_all_sizes() {
    check(Target::c("family.c"), "family.c");
}

/// Check that the table shows the source line of each row, and the target's name.
#[test]
fn shows_the_source() {
    let mut running = Target::c("leak.c").spawn();
    running.mark("warm");
    running.step(b"go");
    let table = running.table(&["warm"]);
    assert!(table.contains("kept = malloc(53);"), "{table}");
    assert!(table.starts_with("leak (pid "), "{table}");
    assert!(table.contains("warm → now"), "{table}");
}

/// Check that `--top` leaves out rows and says how many and how much, and that nothing is lost from the sum.
#[test]
fn top_says_what_it_leaves_out() {
    let mut running = Target::c("family.c").spawn();
    running.step(b"go");
    let pid = running.pid().to_string();
    let words = [
        "diff", "-p", &pid, "--top", "2", "--color", "never", "start",
    ];
    let table = String::from_utf8(talk(&words).stdout).expect("UTF-8");
    assert!(table.contains("more lines: +"), "{table}");
    assert!(table.contains("not attributed: 0 B"), "{table}");
}

/// Check that each grouping adds up to the same whole.
#[test]
fn groupings_add_up() {
    let mut running = Target::cpp("operators.cpp").spawn();
    running.mark("warm");
    running.step(b"go");
    running.mark("end");
    let whole = running.diff(&["warm", "end"]).growth();
    for by in ["line", "function", "file", "module", "stack"] {
        let diff = running.diff_with(&["warm", "end"], &["--by", by]);
        assert_eq!(diff.json()["by"], by);
        assert_eq!(diff.growth(), whole, "{by}");
        diff.assert_adds_up();
    }
}

/// The table with what differs from run to run replaced: the pid, the time between the marks, resident memory.
fn normalised(table: &str, pid: u32) -> String {
    let table = table.replace(&format!("pid {pid}"), "pid PID");
    let mut lines: Vec<String> = table
        .lines()
        .map(|line| line.trim_end().to_string())
        .collect();
    if let Some(head) = lines.first_mut() {
        let mut parts: Vec<&str> = head.split("   ").collect();
        if let [_, _, time, _] = &mut parts[..] {
            *time = "TIME";
        }
        *head = parts.join("   ");
    }
    if let Some(sum) = lines.get_mut(1) {
        let end = sum.find(" · RSS").unwrap_or(sum.len());
        sum.truncate(end);
    }
    lines.join("\n") + "\n"
}

/// Check the whole table of a C program against the one that was last looked at (snapshots/leak.txt).
#[test]
fn as_it_was_last_looked_at() {
    let mut running = Target::c("leak.c").spawn();
    running.mark("warm");
    running.step(b"go");
    let table = normalised(&running.table(&["warm", "now"]), running.pid());
    let table = table.replace(&format!("{}/", programs().display()), "");
    let snapshot = programs().with_file_name("snapshots").join("leak.txt");
    let expected = std::fs::read_to_string(&snapshot).unwrap_or_default();
    assert!(
        table == expected,
        "{} differs; it is now:\n{table}",
        snapshot.display()
    );
}
