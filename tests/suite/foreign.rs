//! Whose line is it, in programs that nobody here has written: nearly all that they allocate is charged to lines of their own source.
//!
//! Each program is a package of the Rust registry, built at three levels of optimisation: what is inlined, and what is left of names, is
//! another thing at each. Those in C and C++ are built where cargo keeps them, which is a registry's store; so their own sources are
//! told from those of others by where their `main` is. Those in Rust are copied first: what they need stays in the store.

use heapshim_tests::{Diff, Package, Row, Run, needs};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Of a hundred bytes that are in rows, so many must be in rows of the program's own sources. What is left is what the C and C++
/// libraries and the loader take before `main`.
const LEAST_SHARE: i64 = 95;
/// A program that allocates less shows nothing: the C++ library takes 72 KiB before `main`.
const LEAST_BYTES: i64 = 256 << 10;

const LEVELS: [&[&str]; 3] = [&["-O0"], &["-O2"], &["-O3", "-flto"]];
const PROFILES: [&str; 3] = ["dev", "release", "fat"];

/// Runs a program and asserts whose lines its bytes are.
fn check(tree: &Path, program: PathBuf, words: &[&str], input: &[u8]) -> Diff {
    let words = words.iter().map(OsString::from);
    let words: Vec<OsString> = std::iter::once(program.into()).chain(words).collect();
    let finished = Run::new(&words).stdin(input).finish();
    let report = finished.report().clone();
    let is_own = |row: &Row| {
        let file = row.json["file"].as_str().unwrap_or_default();
        Path::new(file).starts_with(tree)
    };
    let (own, others): (Vec<Row>, Vec<Row>) = report.rows().into_iter().partition(is_own);
    let bytes = |rows: &[Row]| rows.iter().map(|row| row.total().bytes).sum::<i64>();
    let all = bytes(&own) + bytes(&others);
    let listing: Vec<String> = others.iter().map(Row::brief).collect();
    let listing = listing.join("\n");
    assert!(
        all >= LEAST_BYTES,
        "{words:?}: only {all} bytes:\n{listing}"
    );
    assert!(
        bytes(&own) * 100 >= all * LEAST_SHARE,
        "{words:?}: {} of {all} bytes are its own; not:\n{listing}",
        bytes(&own)
    );
    report.assert_adds_up();
    report.assert_complete();
    report
}

/// The rows of the most bytes, as file name and function.
fn top(report: &Diff, count: usize) -> Vec<(String, String)> {
    let mut rows = report.rows();
    rows.sort_by_key(|row| std::cmp::Reverse(row.total().bytes));
    let name = |text: Option<&str>| text.unwrap_or_default().to_string();
    let brief = |row: &Row| (name(row.file_name()), name(row.function()));
    rows.iter().take(count).map(brief).collect()
}

fn is_on_top(report: &Diff, file: &str, function: &str) {
    let expected = (file.to_string(), function.to_string());
    let top = top(report, 5);
    assert!(top.contains(&expected), "{expected:?} is not in {top:?}");
}

/// Text of so many lines, the same each time.
fn lines(count: u32, line: impl Fn(u32) -> String) -> Vec<u8> {
    let text: String = (0..count).map(line).collect();
    text.into_bytes()
}

/// Check expat, which has its memory through pointers to functions.
#[test]
fn xml_parser() {
    let (true, Some(package)) = (needs(&["cc"]), Package::fetched("expat-sys-2.1.6")) else {
        return;
    };
    let element = |n: u32| format!("<element-{n} attribute-{n}='{n}'>{n}</element-{n}>\n");
    let body = lines(20_000, element);
    let input = [b"<all>", &*body, b"</all>"].concat();
    for level in LEVELS {
        let sources = ["-DHAVE_MEMMOVE", "-I@/expat/lib", "@/expat/lib/*.c"];
        let words = [level, &sources, &["@/expat/examples/outline.c"]].concat();
        let program = package.compiled("cc", &words);
        let report = check(package.tree(), program, &[], &input);
        is_on_top(&report, "xmlparse.c", "lookup");
    }
}

/// Check cmark, whose memory is that of nodes and of strings that grow.
#[test]
fn markdown_in_c() {
    let (true, Some(package)) = (needs(&["cc"]), Package::fetched("libcmark-sys-0.1.0")) else {
        return;
    };
    // What CMake would have made of config.h.in and the like on any machine that this runs on.
    let config = "#include <stdbool.h>\n#define HAVE___BUILTIN_EXPECT\n#define HAVE___ATTRIBUTE__\n#define HAVE_VA_COPY\n\
                  #define CMARK_ATTRIBUTE(list) __attribute__ (list)\n";
    let directory = package.made("config.h", config);
    let version = "#define CMARK_VERSION 0x1200\n#define CMARK_VERSION_STRING \"0.18\"\n";
    let _ = package.made("cmark_version.h", version);
    let _ = package.made("cmark_export.h", "#define CMARK_EXPORT\n");
    let include = format!("-I{}", directory.display());
    let paragraph = |n: u32| {
        format!("# Chapter {n}\n\nWith *words* and `code` and [a link](/{n}).\n\n- {n}\n\n")
    };
    let input = lines(2000, paragraph);
    for level in LEVELS {
        let words = [level, &[&include, "-I@/cmark/src", "@/cmark/src/*.c"]].concat();
        let program = package.compiled("cc", &words);
        let report = check(package.tree(), program, &[], &input);
        is_on_top(&report, "blocks.c", "make_block");
    }
}

/// Check hunspell: strings, containers and streams of C++, deep in each other.
#[test]
fn spelling_checker() {
    let (true, Some(package)) = (needs(&["c++"]), Package::fetched("hunspell-sys-0.3.1")) else {
        return;
    };
    let word = |n: u32| format!("word{}of{n}/A\n", n.wrapping_mul(2_654_435_761) % 99_991);
    let dictionary = [b"40000\n", &*lines(40_000, word)].concat();
    let directory = heapshim_tests::fresh_directory("words");
    let file = |name: &str, content: &[u8]| {
        let path = directory.join(name);
        std::fs::write(&path, content).expect("a file to work on");
        path.display().to_string()
    };
    let affixes = file(
        "a.aff",
        b"SET UTF-8\nTRY esianrtolcdugmphbyfvkw\nSFX A Y 1\nSFX A 0 s .\n",
    );
    let words = [
        affixes,
        file("a.dic", &dictionary),
        file("text", &lines(30, |n| format!("wrod{n}\n"))),
    ];
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    for level in LEVELS {
        let sources = [
            "-DHUNSPELL_STATIC",
            "-I@/vendor/src/hunspell",
            "@/vendor/src/hunspell/*.cxx",
        ];
        let all = [level, &sources, &["@/vendor/src/tools/example.cxx"]].concat();
        let program = package.compiled("c++", &all);
        let report = check(package.tree(), program, &words, b"");
        is_on_top(&report, "hashmgr.cxx", "HashMgr::add_word");
    }
}

/// Check minisat, whose containers are its own and grow by realloc.
#[test]
fn solver() {
    let (true, Some(package)) = (needs(&["c++"]), Package::fetched("minisat-0.4.4")) else {
        return;
    };
    // A random formula of three literals a clause, satisfiable.
    let literal = |n: u32| {
        let mixed = n.wrapping_mul(2_654_435_761) >> 8;
        format!(
            "{}{} ",
            if mixed % 7 < 3 { "-" } else { "" },
            mixed % 5000 + 1
        )
    };
    let clause = |n: u32| {
        format!(
            "{}{}{}0\n",
            literal(3 * n),
            literal(3 * n + 1),
            literal(3 * n + 2)
        )
    };
    let input = [b"p cnf 5000 15000\n", &*lines(15_000, clause)].concat();
    for level in LEVELS {
        let library = "@/lib/minisat";
        let sources = [
            "-D__STDC_LIMIT_MACROS",
            "-D__STDC_FORMAT_MACROS",
            "-I@/lib/minisat",
            "@/lib/minisat/minisat/core/*.cc",
            "@/lib/minisat/minisat/utils/*.cc",
            "-lz",
        ];
        let program = package.compiled("c++", &[level, &sources[..]].concat());
        let tree = package.tree().join(&library[2..]);
        check(&tree, program, &["-verb=0"], &input);
    }
}

/// Check pulldown-cmark, with what it needs beside it in the registry's store.
#[test]
fn markdown_in_rust() {
    let Some(package) = Package::fetched("pulldown-cmark-0.13.6") else {
        return;
    };
    let package = package.copied();
    let paragraph = |n: u32| {
        format!("# Chapter {n}\n\nWith *words* and `code` and [a link](/{n}).\n\n- {n}\n\n")
    };
    let input = lines(4000, paragraph);
    for profile in PROFILES {
        let program = package.built("pulldown-cmark", profile);
        check(package.tree(), program, &[], &input);
    }
}

/// Check jsonxf, whose text grows in a vector of bytes.
#[test]
fn formatter_in_rust() {
    let Some(package) = Package::fetched("jsonxf-1.1.1") else {
        return;
    };
    let package = package.copied();
    let element = |n: u32| format!("{{\"a\":[{n},{{\"b\":\"{n}\"}}]}},");
    // As one word of the command line, which has at most 128 KiB.
    let text = String::from_utf8(lines(4000, element)).expect("UTF-8");
    let word = format!("[{}0]", &text);
    for profile in PROFILES {
        let program = package.built("jsonxf", profile);
        check(package.tree(), program, &["-s", &word], b"");
    }
}
