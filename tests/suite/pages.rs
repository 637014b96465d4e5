//! What we write for browsers, in a browser: the report's page and the flamegraph do what they say, with the account's figures.

use heapshim_tests::{Browser, Diff, Target, fresh_directory, needs, talk};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// What the page may weigh, however large the program.
const MOST_BYTES: u64 = 2_000_000;

/// Two marks of a program, written in this form; and what `diff` says of them.
pub(crate) fn written(target: Target, words: &[&str]) -> (PathBuf, Diff) {
    let mut running = target.spawn();
    let directory = fresh_directory("pages");
    let pid = running.pid().to_string();
    let place = |name: &str| directory.join(name).display().to_string();
    talk(&["mark", "-p", &pid, "-o", &place("a.heapmark")]);
    running.step(b"go");
    talk(&["mark", "-p", &pid, "-o", &place("b.heapmark")]);
    let marks = [place("a.heapmark"), place("b.heapmark")];
    let (a, b) = (marks[0].as_str(), marks[1].as_str());
    let page = directory.join("page");
    let page = page.with_extension(if words[0] == "report" { "html" } else { "svg" });
    let file = page.display().to_string();
    talk(&[words, &[a, b, "-o", &file]].concat());
    let json = talk(&["diff", a, b, "--format", "json"]);
    let diff = Diff::read(&String::from_utf8(json.stdout).expect("UTF-8"));
    (page, diff)
}

/// A browser with the report's page of leak.c in it, and what `diff` says of the same; None where there is no browser.
pub(crate) fn leak_page() -> Option<(Browser, Diff)> {
    let browser = Browser::open(1280, 900)?;
    let (page, diff) = written(Target::c("leak.c").opt("-O0"), &["report"]);
    open(&browser, &page);
    Some((browser, diff))
}

pub(crate) fn open(browser: &Browser, page: &Path) {
    browser.load(page);
    browser.wait_until_ready();
}

/// The page's rows: growth in bytes, and the line.
pub(crate) fn rows(browser: &Browser) -> Vec<(i64, String)> {
    let script = "return Array.from(document.querySelectorAll('#lines tbody tr.line'), row => \
                  [row.querySelector('.growth').title, row.querySelector('.place button').textContent]);";
    let rows = browser.run(script);
    let row = |row: &Value| {
        let growth = number(row[0].as_str().expect("a title"));
        (growth, row[1].as_str().expect("a line").to_string())
    };
    rows.as_array().expect("rows").iter().map(row).collect()
}

/// The page's text at a selector.
pub(crate) fn text(browser: &Browser, selector: &str) -> String {
    let script = format!("return document.querySelector('{selector}').textContent;");
    browser.run(&script).as_str().expect("text").to_string()
}

/// `+1,009 B`
fn number(text: &str) -> i64 {
    let digits = text.replace([',', '+', 'B', ' '], "");
    digits.parse().expect("a number")
}

/// The sum at the foot of the page's lines.
pub(crate) fn sum(browser: &Browser) -> i64 {
    let title = browser.run("return document.querySelector('#lines tfoot .growth').title;");
    number(title.as_str().expect("a title"))
}

pub(crate) fn silent(browser: &Browser) {
    assert_eq!(browser.console(), Vec::<String>::new());
}

/// Check that the page's lines are the report's, to the byte; that headings sort, words find, boxes zoom by key and by click; that a line
/// opens to its stacks with source; and that the console stays silent.
#[test]
fn report_page() {
    let Some((browser, diff)) = leak_page() else {
        return;
    };
    let shown = rows(&browser);
    let mut expected: Vec<i64> = diff.rows().iter().map(|row| row.growth().bytes).collect();
    expected.sort_by_key(|bytes| std::cmp::Reverse(*bytes));
    let bytes: Vec<i64> = shown.iter().map(|(bytes, _)| *bytes).collect();
    assert_eq!(bytes, expected);
    assert_eq!(sum(&browser), diff.growth().bytes);
    assert!(
        text(&browser, "header").contains("heap -3.7 KiB"),
        "{}",
        text(&browser, "header")
    );

    let _ = browser.run("document.querySelector('[data-sort=growth]').click();");
    expected.reverse();
    let bytes: Vec<i64> = rows(&browser).iter().map(|(bytes, _)| *bytes).collect();
    assert_eq!(bytes, expected);
    let sorted = "return document.querySelector('[aria-sort]').getAttribute('aria-sort');";
    assert_eq!(browser.run(sorted), "ascending");

    let _ = browser.run(
        "const search = document.getElementById('search'); search.value = 'TWICE_deep'; \
         search.dispatchEvent(new Event('input'));",
    );
    let found = rows(&browser);
    assert_eq!((found.len(), found[0].0), (1, 1009), "{found:?}");
    assert_eq!(
        text(&browser, "#found"),
        "2 frames: growth +1009 B, 2.0 KiB alive"
    );

    let _ = browser.run("document.querySelector('.place button').click();");
    let charged = text(&browser, ".stacks li.charged");
    assert!(
        charged.starts_with("twice_deep (leak.c:17)kept = malloc(1009);"),
        "{charged}"
    );
    assert_eq!(
        text(&browser, ".stacks h3"),
        "+1009 B, +1 block, 1009 B alive"
    );
    silent(&browser);
}

/// Check the flamegraph of the page: keys go from box to box and closer, a click too, and Escape goes back; the words under it are exact.
#[test]
fn flamegraph_of_the_page() {
    let Some((browser, diff)) = leak_page() else {
        return;
    };
    let growth = diff.growth().bytes;
    let said = |browser: &Browser| text(browser, "#flame-status");
    let root = said(&browser);
    assert!(root.starts_with("all: growth "), "{root}");
    let exact = root.split(['(', ')']).nth(1).expect("exact bytes");
    assert_eq!(number(exact), growth);
    let closed = "return document.getElementById('whole').disabled;";
    assert_eq!(browser.run(closed), true);
    let _ = browser.run("document.getElementById('flame').focus();");
    // Down to the program's own function, past what starts it.
    while !said(&browser).starts_with("main ") {
        browser.press("ArrowDown");
    }
    browser.press("Enter");
    assert_eq!(browser.run(closed), false);
    assert!(
        said(&browser).starts_with("main (leak.c:"),
        "{}",
        said(&browser)
    );
    browser.press("Escape");
    assert_eq!(browser.run(closed), true);
    assert!(said(&browser).starts_with("all: "), "{}", said(&browser));
    // The third row from the top, in its middle: whatever it is, it becomes as wide as the picture.
    let click = "const canvas = document.querySelector('#flame canvas'), bounds = canvas.getBoundingClientRect(); \
                 canvas.dispatchEvent(new MouseEvent('click', {clientX: bounds.left + 20, clientY: bounds.top + 50}));";
    let _ = browser.run(click);
    assert_eq!(browser.run(closed), false);
    let _ = browser.run("document.getElementById('whole').click();");
    assert_eq!(browser.run(closed), true);
    let _ = browser.run("document.querySelector('input[value=live]').click(); document.getElementById('flip').click();");
    let label = "return document.getElementById('flame').getAttribute('aria-label');";
    assert_eq!(browser.run(label), "Flamegraph of what is alive");
    silent(&browser);
}

/// Check that a file's name is text, whatever stands in it, and that the page asks nobody for anything.
#[test]
fn names_are_no_markup() {
    let Some(browser) = Browser::open(1280, 900) else {
        return;
    };
    let (page, _) = written(Target::c("markup.c").opt("-O0"), &["report"]);
    open(&browser, &page);
    let shown = rows(&browser);
    assert_eq!(shown[0].0, 77);
    assert!(
        shown[0]
            .1
            .contains("</script><img src=x onerror=hurt()>.c:7"),
        "{shown:?}"
    );
    let _ = browser.run("document.querySelector('.place button').click();");
    assert_eq!(
        browser.run("return document.querySelectorAll('img').length;"),
        0
    );
    assert_eq!(
        browser.run("return performance.getEntriesByType('resource').length;"),
        0
    );
    silent(&browser);
}

/// Check that a program with 65,536 stacks makes a page that is small enough and whole: the least stacks are one, and the sum stays.
#[test]
fn many_stacks() {
    let Some(browser) = Browser::open(1280, 900) else {
        return;
    };
    let running = Target::c("sites.c").opt("-O1").arg("16").spawn();
    let page = fresh_directory("pages").join("page.html");
    let pid = running.pid().to_string();
    talk(&[
        "report",
        "-p",
        &pid,
        "start",
        "-o",
        &page.display().to_string(),
    ]);
    assert_opens_at_once(&browser, &page);
    let whole: i64 = rows(&browser).iter().map(|(bytes, _)| *bytes).sum();
    assert!(whole >= 65_536 * 37, "{whole}");
    assert_eq!(sum(&browser), whole);
    silent(&browser);
}

/// What a page of the most stacks may cost until it is there: some seven times what it does, since machines differ.
const AT_ONCE_MS: f64 = 2_000.0;
/// What a page has, whatever it is of: ten lines and what is around them.
const MOST_ELEMENTS: u64 = 400;

/// Asserts that a page is small enough, is there at once, and has no more elements of many stacks than of few.
fn assert_opens_at_once(browser: &Browser, page: &Path) {
    let bytes = fs::metadata(page).expect("a page").len();
    assert!(bytes < MOST_BYTES, "{bytes}");
    browser.count_work();
    open(browser, page);
    let work = browser.work_ms();
    assert!(work > 0.0 && work < AT_ONCE_MS, "{work} ms");
    let elements = browser.run("return document.querySelectorAll('*').length;");
    let elements = elements.as_u64().expect("a number");
    assert!(elements < MOST_ELEMENTS, "{elements}");
}

/// Check the page of a real program, an interpreter with a third of its library loaded and some ten thousand stacks: its size, how soon it is there, that it says
/// what `diff` does, and that its search and zoom work on it.
#[test]
fn big_program() {
    if !needs(&["python3"]) {
        return;
    }
    let Some(browser) = Browser::open(1280, 900) else {
        return;
    };
    let (page, diff) = written(Target::python("modules.py"), &["report"]);
    assert!(diff.rows().len() > 2_000, "{}", diff.rows().len());
    assert_opens_at_once(&browser, &page);
    assert_eq!(sum(&browser), diff.growth().bytes);
    let _ = browser.run(
        "const search = document.getElementById('search'); search.value = 'importlib'; \
         search.dispatchEvent(new Event('input')); document.getElementById('flame').focus();",
    );
    assert!(text(&browser, "#found").contains(" frames: growth +"));
    browser.press("ArrowDown");
    browser.press("Enter");
    let zoomed = "return document.getElementById('whole').disabled;";
    assert_eq!(browser.run(zoomed), false);
    silent(&browser);
}

/// Check that on a narrow screen nothing is wider than it, so that nobody has to move the page from side to side.
#[test]
fn narrow_screen() {
    let Some(browser) = Browser::open(1280, 900) else {
        return;
    };
    let (page, _) = written(Target::c("leak.c").opt("-O0"), &["report"]);
    browser.narrow(360, 640);
    open(&browser, &page);
    let _ = browser.run("document.querySelector('.place button').click();");
    let widths = browser.run("return [document.documentElement.scrollWidth, innerWidth];");
    assert_eq!(widths[0], widths[1], "{widths}");
    assert_eq!(widths[1], 360);
    silent(&browser);
}

/// Check that the page shows the ten lines that grew most first, and the others when they are asked for.
#[test]
fn ten_lines_first() {
    let Some(browser) = Browser::open(1280, 900) else {
        return;
    };
    let (page, diff) = written(Target::python("python_peak.py"), &["report"]);
    let lines = diff.rows().len();
    open(&browser, &page);
    assert!(lines > 10 && rows(&browser).len() == 10, "{lines}");
    let _ = browser.run("document.getElementById('more').click();");
    assert_eq!(rows(&browser).len(), lines.min(110));
    silent(&browser);
}

/// Check the zoom of `export --format flamegraph`: a click widens a box to the whole width and hides what is beside it, one on the root
/// goes back.
#[test]
fn exported_flamegraph() {
    let Some(browser) = Browser::open(1280, 900) else {
        return;
    };
    let target = Target::c("leak.c").opt("-O0");
    let (picture, _) = written(target, &["export", "--format", "flamegraph"]);
    browser.load(&picture);
    let state = "return Array.from(document.querySelectorAll('g[data-depth]'), \
                 g => [g.dataset.name, g.style.display, +g.querySelector('rect').getAttribute('width'), g.querySelector('text').textContent]);";
    let before = browser.run(state);
    let click = |name: &str| {
        let script = format!(
            "Array.from(document.querySelectorAll('g[data-depth]')).find(g => g.dataset.name.startsWith('{name}'))\
             .dispatchEvent(new MouseEvent('click'));"
        );
        let _ = browser.run(&script);
        browser.run(state)
    };
    let boxes = |state: &Value| state.as_array().expect("boxes").clone();
    let near = click("in_loop");
    let visible: Vec<Value> = boxes(&near)
        .into_iter()
        .filter(|one| one[1] != "none")
        .collect();
    assert!(visible.iter().all(|one| one[2] == 1200), "{visible:?}");
    let names: Vec<&str> = visible.iter().filter_map(|one| one[0].as_str()).collect();
    assert!(
        names.iter().any(|name| name.starts_with("in_loop")),
        "{names:?}"
    );
    assert!(
        !names.iter().any(|name| name.starts_with("twice_deep")),
        "{names:?}"
    );
    assert!(
        visible.iter().all(|one| one[3] == one[0]),
        "labels are whole: {visible:?}"
    );
    let back = click("all");
    let widths = |state: &Value| -> Vec<f64> {
        let boxes = boxes(state);
        boxes
            .iter()
            .map(|one| one[2].as_f64().expect("a width").round())
            .collect()
    };
    assert_eq!(widths(&back), widths(&before));
    assert!(boxes(&back).iter().all(|one| one[1] == ""));
    silent(&browser);
}
