//! Code that comes and goes: libraries loaded by dlopen, unloaded, and others in their place.

use heapshim_tests::{Target, expected_in, programs, shared_library};

/// Check that what two plugins left behind is charged to their lines, though the second lies where the first one lay.
#[test]
fn one_after_the_other() {
    check_one_after_the_other(Target::c("plugins.c"));
}

/// Libraries that are as large as each other, leak_one's 37 bytes and leak_two's 41.
pub(crate) fn two_plugins() -> [String; 2] {
    let plugins = [
        ["-Dleak=leak_one", "-DSIZE=37"],
        ["-Dleak=leak_two", "-DSIZE=41"],
    ];
    plugins.map(|[name, size]| {
        let library = shared_library("plugin.c", &["-O1", name, size]);
        library.to_str().expect("UTF-8").to_string()
    })
}

/// The same for the program as it was built.
pub(crate) fn check_one_after_the_other(target: Target) {
    let [one, two] = two_plugins();
    let running = target.arg(&one).arg(&two).spawn();
    // The kernel puts what is mapped where there is room, which is where the other was.
    assert!(running.numbers()[0] > 0, "never one where the other lay");
    let diff = running.diff_with(&["start", "now"], &["--by", "function"]);
    let rows = diff.rows();
    for (function, library, size) in [("leak_one", one, 37), ("leak_two", two, 41)] {
        let found = rows.iter().find(|row| row.function() == Some(function));
        let row = found.unwrap_or_else(|| panic!("no {function} in\n{}", diff.listing()));
        // Ten rounds of loading and unloading, in which each leaks once.
        assert_eq!((row.growth().bytes, row.growth().blocks), (10 * size, 10));
        assert_eq!(row.json["module"], library);
    }
    let line = expected_in(&programs().join("plugin.c"))[0].line;
    let by_line = running.diff(&["start", "now"]);
    // Both plugins come from one line of one file.
    let blocks: i64 = by_line
        .rows_in("plugin.c")
        .iter()
        .filter(|row| row.json["line"] == line)
        .map(|row| row.growth().blocks)
        .sum();
    assert_eq!(blocks, 20, "{}", by_line.listing());
    diff.assert_adds_up();
}
