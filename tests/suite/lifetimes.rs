//! How long blocks lived and how large they were, in a recording: counts are the program's own, and the time that it was made to wait lies in them.

use heapshim_cli::trace;
use heapshim_tests::{Amount, Recorded, Recording, Row, Target, heapshim, line_of as line, talk};
use std::process::Command;
use std::time::{Duration, Instant};

const SOURCE: &str = "lifetimes.c";

/// A recording of lifetimes.c, and for how long its held blocks lived at least and at most.
fn recorded() -> (Recorded, [Duration; 2]) {
    let mut running = Target::c(SOURCE).opt("-O0").spawn();
    let recording = Recording::of(running.pid(), &["--lossless"]);
    let before = Instant::now();
    assert_eq!(running.step(b"go"), "held");
    let allocated = Instant::now();
    running.mark("meanwhile");
    let least = allocated.elapsed();
    assert_eq!(running.step(b"go"), "done");
    let most = before.elapsed();
    let recorded = recording.end();
    assert_eq!(recorded.lost(), 0, "{}", recorded.said);
    (recorded, [least, most])
}

fn row(recorded: &Recorded, question: &str, marker: &str) -> Row {
    recorded
        .ask(question, &[])
        .0
        .row(SOURCE, line(SOURCE, marker))
}

/// Blocks of a row's buckets, by the least value that is in each.
fn buckets(of: &serde_json::Value, least: &str) -> Vec<(u64, u64)> {
    let number = |value: &serde_json::Value| value.as_u64().expect("a number");
    let each = of["buckets"].as_array().expect("buckets").iter();
    each.map(|bucket| (number(&bucket[least]), number(&bucket["blocks"])))
        .collect()
}

/// Check that every block of known events has its lifetime, once; that what was held until the harness let it go lived for as long; that what is
/// live has none; and that the account beside it is that of the blocks allocated meanwhile.
#[test]
fn lifetimes() {
    let (recorded, [least, most]) = recorded();
    let (answer, said) = recorded.ask("lifetimes", &[]);
    assert_eq!(said, "");
    answer.assert_adds_up();
    for (marker, freed, live) in [
        ("// held", 10, 0),
        ("// short", 1000, 0),
        ("// next but one", 20, 0),
        ("// kept", 0, 20),
        ("// worker", 7, 0),
    ] {
        let row = answer.row(SOURCE, line(SOURCE, marker));
        let of = &row.json["lifetimes"];
        let all: u64 = buckets(of, "least_us").iter().map(|bucket| bucket.1).sum();
        assert_eq!((&of["blocks"], all), (&freed.into(), freed), "{marker}");
        assert_eq!(
            (row.growth().blocks, of["older_blocks"].as_u64()),
            (live, Some(0)),
            "{marker}"
        );
        let total = i64::try_from(freed).expect("small") + live;
        assert_eq!(row.total().blocks, total, "{marker}");
    }
    let held = &row(&recorded, "lifetimes", "// held").json["lifetimes"];
    let micros = |time: Duration| u64::try_from(time.as_micros()).expect("short");
    // Events carry the processor's clock, which is turned into time by two looks: a tenth is more than that is ever off.
    let [shortest, longest] = [
        least.mul_f64(0.9),
        most.mul_f64(1.1) + Duration::from_millis(1),
    ]
    .map(micros);
    let lived = buckets(held, "least_us")[0].0;
    assert!(lived >= shortest, "{lived} is less than {shortest}");
    let lived = held["max_us"].as_u64().expect("a number");
    assert!(lived <= longest, "{lived} is more than {longest}");
}

/// Check that every block has its size, exactly where a bucket has one size alone.
#[test]
fn sizes() {
    let (recorded, _) = recorded();
    for (marker, sizes) in [
        ("// held", &[(100, 5), (200, 5)][..]),
        ("// short", &[(33, 1000)]),
        ("// kept", &[(52, 20)]),
    ] {
        let row = row(&recorded, "sizes", marker);
        let of = &row.json["sizes"];
        assert_eq!(buckets(of, "least_bytes"), sizes, "{marker}");
        assert_eq!(of["max_bytes"], sizes[sizes.len() - 1].0, "{marker}");
        let bytes: u64 = sizes.iter().map(|(size, blocks)| size * blocks).sum();
        assert_eq!(row.total().bytes.cast_unsigned(), bytes, "{marker}");
    }
}

/// Check that a block is temporary within as many events of its thread as are asked for, and no fewer.
#[test]
fn within() {
    let (recorded, _) = recorded();
    for (within, late) in [("1", 0), ("2", 20), ("1000", 20)] {
        let answer = recorded.ask("temporary", &["--within", within]).0;
        let temporary = |marker| answer.row(SOURCE, line(SOURCE, marker)).growth().blocks;
        assert_eq!(temporary("// short"), 1000, "{within}");
        assert_eq!(temporary("// worker"), 7, "{within}");
        assert_eq!(temporary("// next but one"), late, "{within}");
        assert_eq!(temporary("// kept"), 0, "{within}");
    }
}

/// Check that every question that has rows has them by thread, and that each thread has its own blocks alone.
#[test]
fn by_thread() {
    let (recorded, _) = recorded();
    for question in ["diff", "peak", "temporary", "lifetimes", "sizes"] {
        let answer = recorded.ask(question, &["--by", "thread"]).0;
        answer.assert_adds_up();
        let rows = answer.rows();
        let threads: Vec<&str> = rows
            .iter()
            .filter_map(|row| row.json["thread"].as_str())
            .collect();
        assert!(threads.contains(&"main"), "{question}: {threads:?}");
        let others = rows.iter().filter(|row| row.json["thread"] != "main");
        let blocks: i64 = others.map(|row| row.total().blocks).sum();
        // At the highest moment the other thread may not have begun.
        assert!(blocks == 7 || question == "peak", "{question}: {blocks}");
    }
}

/// Check that a recording three times over (what the bench asks of ten gigabytes is asked of one) has each block three times, by every question: as old, as large, and as
/// temporary as it was.
#[test]
fn repeated() {
    let (one, _) = recorded();
    let file = one.file.with_extension("thrice.heaptrace");
    trace::repeat(&one.file, 3, &file).expect("it is whole");
    let all = Recorded {
        file,
        said: one.said.clone(),
    };
    let blocks = |recorded: &Recorded, question| {
        let (answer, said) = recorded.ask(question, &[]);
        assert_eq!(said, "");
        answer.assert_adds_up();
        ["// held", "// short", "// next but one", "// kept"].map(|marker| {
            let row = answer.row(SOURCE, line(SOURCE, marker));
            (row.growth().blocks, row.total())
        })
    };
    for question in ["diff", "temporary", "lifetimes", "sizes"] {
        let thrice = blocks(&one, question).map(|(growth, total)| {
            let total = Amount {
                bytes: total.bytes * 3,
                blocks: total.blocks * 3,
            };
            (growth * 3, total)
        });
        assert_eq!(blocks(&all, question), thrice, "{question}");
    }
    for (question, least, marker) in [
        ("lifetimes", "least_us", "// held"),
        ("sizes", "least_bytes", "// held"),
    ] {
        let thrice: Vec<_> = buckets(&row(&one, question, marker).json[question], least)
            .into_iter()
            .map(|(least, blocks)| (least, blocks * 3))
            .collect();
        let found = buckets(&row(&all, question, marker).json[question], least);
        assert_eq!(found, thrice, "{question}");
    }
}

/// Check that events which a reader takes late have the times at which they happened: where a block outlives 256 others, each of which
/// is recorded twice meanwhile, it lives for longer than four microseconds on any machine.
#[test]
fn tight_loop() {
    let recorded = crate::happened::run(&Target::c("fifo.c").words(), b"\n");
    let row = &recorded.ask("lifetimes", &[]).0;
    let row = row.row("fifo.c", line("fifo.c", "// blocks"));
    let of = &row.json["lifetimes"];
    let least = &of["buckets"][0]["least_us"];
    assert_eq!(of["blocks"], 1_000_000);
    // The end of the loop gives all of them back at once.
    let last: u64 = buckets(of, "least_us")
        .iter()
        .filter(|(least, _)| *least < 4)
        .map(|(_, blocks)| blocks)
        .sum();
    assert!(last < 256, "{last} blocks from {least} µs on");
}

/// What `--help` of a command offers to sort by.
fn sorts(command: &str) -> Vec<String> {
    let help = String::from_utf8(talk(&[command, "--help"]).stdout).expect("UTF-8");
    let (_, of_sort) = help.split_once("--sort <SORT>").expect("it sorts");
    let of_sort = of_sort.split("\n      --").next().expect("its words");
    let offered = |line: &str| {
        Some(
            line.trim_start()
                .strip_prefix("- ")?
                .split_once(':')?
                .0
                .to_owned(),
        )
    };
    of_sort.lines().filter_map(offered).collect()
}

/// Check that each question takes every sort that its `--help` offers, and refuses the others with what to ask instead; of `diff` there are no others.
#[test]
fn sorts_that_are_offered() {
    let (recorded, _) = recorded();
    let file = recorded.file.to_str().expect("UTF-8");
    let all = sorts("diff");
    assert_eq!(all.len(), 7, "{all:?}");
    for question in ["diff", "peak", "temporary", "lifetimes", "sizes"] {
        let offered = sorts(question);
        assert_eq!(
            offered.len(),
            if question == "diff" { 7 } else { 5 },
            "{offered:?}"
        );
        for sort in &all {
            let mut asked = Command::new(heapshim());
            asked.args([question, file, "--sort", sort]);
            let output = asked.output().expect("the command starts");
            let said = String::from_utf8_lossy(&output.stderr);
            let (status, next) = match offered.contains(sort) {
                true => (0, ""),
                false => (2, "a recording: heapshim "),
            };
            assert_eq!(
                output.status.code(),
                Some(status),
                "{question} {sort}: {said}"
            );
            assert!(said.contains(next), "{question} {sort}: {said}");
        }
    }
    assert!(!sorts("run").contains(&"survivors".to_owned()));
}

/// Check that the table has a bar for each line, and what half of its blocks had; and that a form without a place for it is refused.
#[test]
fn as_text() {
    let (recorded, _) = recorded();
    let file = recorded.file.to_str().expect("UTF-8");
    let text = String::from_utf8(talk(&["sizes", file]).stdout).expect("UTF-8");
    let held = text
        .lines()
        .find(|line| line.contains("main") && line.contains("200 B"));
    assert!(
        held.is_some_and(|line| line.contains('█') && line.contains("100 B")),
        "{text}"
    );
    let mut refused = Command::new(heapshim());
    refused.args(["lifetimes", file, "--format", "tracemalloc"]);
    let output = refused.output().expect("the command starts");
    assert_eq!(output.status.code(), Some(2));
}

/// Check that of a cache that was filled anew its size has survived and no more, whatever it has gone through; and that what leaks from a pool is seen though
/// more of the pool was given back; by what the program's own two marks say.
#[test]
fn survivors() {
    let mut running = Target::c("survivors.c").opt("-O0").spawn();
    let recording = Recording::of(running.pid(), &["--lossless"]);
    assert_eq!(running.step(b"go"), "done");
    let recorded = recording.end();
    assert_eq!(recorded.lost(), 0, "{}", recorded.said);
    for (from, to, expected) in [
        (
            "first",
            "filled",
            [
                ("// cache", 100, 100),
                ("// refilled", 0, 0),
                ("// pool", 0, 0),
            ],
        ),
        (
            "filled",
            "second",
            [
                ("// cache", -100, 0),
                ("// refilled", 100, 100),
                ("// pool", -120, 30),
            ],
        ),
        (
            "first",
            "second",
            [
                ("// cache", 0, 0),
                ("// refilled", 100, 100),
                ("// pool", -120, 30),
            ],
        ),
    ] {
        let options = ["--from", from, "--to", to, "--sort", "survivors"];
        let answer = recorded.ask("diff", &options).0;
        answer.assert_adds_up();
        for (marker, growth, survived) in expected {
            let row = answer.find("survivors.c", line("survivors.c", marker));
            let blocks = row.map_or((0, Some(0)), |row| {
                (row.growth().blocks, row.json["survivors_blocks"].as_i64())
            });
            assert_eq!(blocks, (growth, Some(survived)), "{from} {marker}");
        }
        let all: i64 = expected.iter().map(|one| one.2).sum();
        assert_eq!(answer.json()["survivors_blocks"], all, "{from}");
    }
    let file = recorded.file.to_str().expect("UTF-8");
    let words = [
        "diff",
        file,
        "--from",
        "filled",
        "--to",
        "second",
        "--sort",
        "survivors",
    ];
    let text = String::from_utf8(talk(&words).stdout).expect("UTF-8");
    assert!(
        text.contains("survivors   line") && text.contains("1.4 KiB"),
        "{text}"
    );
    let mut refused = Command::new(heapshim());
    refused.args(["diff", "start", "now", "--sort", "survivors"]);
    let said = refused.output().expect("the command starts");
    assert_eq!(said.status.code(), Some(2));
}
