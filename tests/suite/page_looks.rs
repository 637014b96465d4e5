//! The report's page as it is seen, as it is reached by keys alone, and as it is read aloud: colours and geometry are read back from the picture.

use crate::pages::{leak_page, open, rows, silent, text, written};
use heapshim_tests::{Browser, Target};
use serde_json::Value;
use std::collections::BTreeMap;

/// Goes over the picture as a mouse would: each box by the words that are said of it, with its row, its edges, and its colour above the letters.
const SCAN: &str = "
const canvas = document.querySelector('#flame canvas'), status = document.getElementById('flame-status');
const copy = document.createElement('canvas'), bounds = canvas.getBoundingClientRect(), boxes = [];
copy.width = canvas.width;
copy.height = canvas.height;
const pen = copy.getContext('2d', { willReadFrequently: true });
pen.drawImage(canvas, 0, 0);
for (let row = 0; row * 20 < bounds.height; row += 1) {
  for (let x = 3; x < bounds.width; x += STEP) {
    const place = { clientX: bounds.left + x, clientY: bounds.top + row * 20 + 4 };
    canvas.dispatchEvent(new MouseEvent('mousemove', place));
    const name = status.firstChild.textContent.split(': ')[0], last = boxes[boxes.length - 1];
    if (last && last.row === row && last.name === name) last.right = x;
    else boxes.push({ name: name, row: row, left: x, right: x });
  }
}
canvas.dispatchEvent(new MouseEvent('mouseleave'));
for (const box of boxes) box.color = Array.from(pen.getImageData(Math.round((box.left + box.right) / 2), box.row * 20 + 3, 1, 1).data);
return boxes;";

/// A box of the picture.
#[derive(Clone, Debug)]
struct Drawn {
    row: i64,
    width: i64,
    color: [i64; 3],
}

/// The widest box of each name. What is below no box says what is selected, `all`: that name's is the row across.
fn drawn(browser: &Browser, step: u32) -> BTreeMap<String, Drawn> {
    let mut all = BTreeMap::new();
    let boxes = browser.run(&format!("const STEP = {step};{SCAN}"));
    for one in boxes.as_array().expect("boxes") {
        let number = |value: &Value| value.as_i64().expect("a number");
        let name = one["name"].as_str().expect("a name");
        let color = [0, 1, 2].map(|at| number(&one["color"][at]));
        let (row, width) = (
            number(&one["row"]),
            number(&one["right"]) - number(&one["left"]),
        );
        // A name with its line: `in_loop (leak.c:8)`.
        let name = name.split(" (").next().unwrap_or_default().to_string();
        let box_of = Drawn { row, width, color };
        let widest: &mut Drawn = all.entry(name).or_insert_with(|| box_of.clone());
        if box_of.width > widest.width {
            *widest = box_of;
        }
    }
    all
}

fn of<'a>(boxes: &'a BTreeMap<String, Drawn>, name: &str) -> &'a Drawn {
    let found = boxes.get(name);
    found.unwrap_or_else(|| panic!("no {name} in {boxes:#?}"))
}

/// The mean of red, green and blue of a colour that the browser has computed: `rgb(23, 23, 27)`.
fn brightness(browser: &Browser, selector: &str, property: &str) -> i64 {
    let script = format!(
        "return getComputedStyle(document.querySelector('{selector}')).{property}.match(/\\d+/g).slice(0, 3).reduce((sum, one) => sum + +one, 0) / 3;"
    );
    #[expect(clippy::cast_possible_truncation, reason = "0 to 255")]
    let mean = browser.run(&script).as_f64().expect("a number") as i64;
    mean
}

/// Asserts that the page is dark, its words light, or the other way round, and so is the picture; and that what grew is red and what shrank blue on it.
fn assert_colors(browser: &Browser, dark: bool) {
    let (paper, ink) = (
        brightness(browser, "body", "backgroundColor"),
        brightness(browser, "body", "color"),
    );
    assert_eq!(
        (paper < 64, ink > 192),
        (dark, dark),
        "paper {paper}, ink {ink}"
    );
    let script = "return getComputedStyle(document.documentElement).colorScheme;";
    assert_eq!(browser.run(script), if dark { "dark" } else { "light" });
    let boxes = drawn(browser, 2);
    let [red, _, blue] = of(&boxes, "twice_deep").color;
    assert!(red > blue + 40, "what grew is red: {boxes:#?}");
    let round_one = of(&boxes, "round_one");
    let [red, _, blue] = round_one.color;
    assert!(blue > red + 40, "what shrank is blue: {boxes:#?}");
    let mean = round_one.color.iter().sum::<i64>() / 3;
    assert_eq!(mean < 128, dark, "{boxes:#?}");
}

/// Check light and dark, as the system says and as the page's own switch does, whichever the system says; read back from the page and from the picture.
#[test]
fn light_and_dark() {
    let Some(browser) = Browser::open(1280, 900) else {
        return;
    };
    let (page, _) = written(Target::c("leak.c").opt("-O0"), &["report"]);
    let choose = |number: usize| {
        let script = format!("document.querySelectorAll('input[name=colors]')[{number}].click();");
        let _ = browser.run(&script);
    };
    browser.prefer("light");
    open(&browser, &page);
    assert_colors(&browser, false);
    // Also while it is open.
    browser.prefer("dark");
    assert_colors(&browser, true);
    let (system, light, dark) = (0, 1, 2);
    choose(light);
    assert_colors(&browser, false);
    choose(dark);
    browser.prefer("light");
    assert_colors(&browser, true);
    choose(system);
    assert_colors(&browser, false);
    silent(&browser);
}

/// Check the picture's geometry: rows are depths, widths are what changed or what is alive, and the root is at the top or, turned around, at the bottom.
#[test]
fn icicle_and_flame() {
    let Some((browser, _)) = leak_page() else {
        return;
    };
    let icicle = drawn(&browser, 1);
    let [whole, main, round_one, twice_deep] =
        ["all", "main", "round_one", "twice_deep"].map(|name| of(&icicle, name));
    assert_eq!(whole.row, 0);
    assert!(main.row > 0 && round_one.row == main.row + 1, "{icicle:#?}");
    // 5,003 bytes went, 1,009 came: both have width.
    let near = |one: i64, other: i64| (one - other).abs() <= 8;
    assert!(
        near(round_one.width, twice_deep.width * 5003 / 1009),
        "{icicle:#?}"
    );

    let _ = browser.run("document.getElementById('flip').click();");
    let flame = drawn(&browser, 1);
    let rows =
        "return document.querySelector('#flame canvas').getBoundingClientRect().height / 20;";
    let last = browser.run(rows).as_i64().expect("whole rows") - 1;
    // Each of these once: a function that calls itself is in several rows.
    for name in ["main", "round_one", "in_loop"] {
        let (before, after) = (of(&icicle, name), of(&flame, name));
        assert_eq!(
            (after.row, after.width),
            (last - before.row, before.width),
            "{name}"
        );
    }

    let _ = browser.run("document.querySelector('input[value=live]').click();");
    let live = drawn(&browser, 1);
    let [in_loop, twice_deep] = ["in_loop", "twice_deep"].map(|name| of(&live, name));
    assert!(
        twice_deep.width > 7 * in_loop.width
            && !near(twice_deep.width, of(&flame, "twice_deep").width),
        "{live:#?}"
    );
    silent(&browser);
}

/// What has the focus: an id, or what it says.
const FOCUS: &str = "const at = document.activeElement; \
    return at.id || at.dataset.sort || (at.name ? at.name + ' ' + at.value : '') || at.getAttribute('aria-labelledby') || at.textContent.trim();";

fn focus(browser: &Browser) -> String {
    browser.run(FOCUS).as_str().expect("text").to_string()
}

/// Presses Tab until the focus is there.
fn go_to(browser: &Browser, place: &str) {
    while focus(browser) != place {
        browser.press("Tab");
    }
}

/// Check that Tab alone comes to all that can be used, in the order in which it stands there, each with an outline that can be seen.
#[test]
fn tab_reaches_everything() {
    let Some((browser, _)) = leak_page() else {
        return;
    };
    let usable = "return Array.from(document.querySelectorAll('a[href], button, input, [tabindex]')) \
        .filter(one => !one.disabled && one.checkVisibility() && (one.type !== 'radio' || one.checked)).length;";
    let usable = browser.run(usable).as_u64().expect("a number");
    let mut places = Vec::new();
    let outlined = "return getComputedStyle(document.activeElement).outlineStyle;";
    for _ in 0..usable {
        browser.press("Tab");
        assert_eq!(browser.run(outlined), "solid", "{}", focus(&browser));
        places.push(focus(&browser));
    }
    let first = [
        "To the stacks",
        "colors (prefers-color-scheme: dark)",
        "search",
        "lines-title",
        "growth",
        "blocks",
        "live",
        "total",
        "place",
    ];
    let last = ["width growth", "flip", "flame"];
    assert_eq!(places[..first.len()], first);
    assert_eq!(places[places.len() - last.len()..], last);
    let lines = places.len() - first.len() - last.len();
    assert_eq!(lines, rows(&browser).len(), "{places:?}");
    silent(&browser);
}

/// Check that keys alone search, clear, sort, open and close a line, choose colours and width, turn the picture, go closer and back.
#[test]
fn by_keys_alone() {
    let Some((browser, _)) = leak_page() else {
        return;
    };
    let all = rows(&browser);
    browser.press("Tab");
    browser.press("/");
    assert_eq!(focus(&browser), "search");
    // In the search itself it is a letter.
    "twice"
        .chars()
        .for_each(|letter| browser.press(&letter.to_string()));
    assert_eq!(rows(&browser).len(), 1);
    assert_eq!(
        text(&browser, "#found"),
        "2 frames: growth +1009 B, 2.0 KiB alive"
    );
    browser.press("/");
    assert_eq!(rows(&browser).len(), 0);
    browser.press("Escape");
    assert_eq!(
        (rows(&browser), text(&browser, "#found").as_str()),
        (all.clone(), "")
    );

    go_to(&browser, "growth");
    browser.press("Enter");
    let turned: Vec<_> = all.iter().rev().map(|(bytes, _)| *bytes).collect();
    let shown = rows(&browser);
    assert_eq!(
        shown.iter().map(|(bytes, _)| *bytes).collect::<Vec<_>>(),
        turned
    );
    let opened = "return document.querySelectorAll('.stacks').length;";
    go_to(&browser, &shown[0].1);
    browser.press("Enter");
    assert_eq!(browser.run(opened), 1);
    browser.press("Space");
    assert_eq!(browser.run(opened), 0);

    go_to(&browser, "width growth");
    browser.press("ArrowRight");
    let label = "return document.getElementById('flame').getAttribute('aria-label');";
    assert_eq!(browser.run(label), "Flamegraph of what is alive");
    go_to(&browser, "flip");
    browser.press("Space");
    assert_eq!(
        browser.run("return document.getElementById('flip').checked;"),
        true
    );
    go_to(&browser, "flame");
    let said = || text(&browser, "#flame-status");
    // Inwards is upwards now.
    while !said().starts_with("main ") {
        browser.press("ArrowUp");
    }
    browser.press("Enter");
    assert_eq!(
        browser.run("return document.getElementById('whole').disabled;"),
        false
    );
    browser.press("Escape");
    assert!(said().starts_with("all: "), "{}", said());

    go_to(&browser, "colors (prefers-color-scheme: dark)");
    browser.press("ArrowLeft");
    assert!(brightness(&browser, "body", "backgroundColor") < 64);
    silent(&browser);
}

/// Check what a screen reader is told: each part by its role and name, nothing that can be used without a name.
#[test]
fn read_aloud() {
    let Some((browser, _)) = leak_page() else {
        return;
    };
    let spoken = browser.spoken();
    let wanted = [
        ("heading", "Lines"),
        ("heading", "Stacks"),
        ("link", "To the stacks"),
        ("group", "Colours"),
        ("radio", "the system's"),
        ("search", ""),
        ("searchbox", "Search functions, files and lines"),
        ("region", "Lines"),
        ("columnheader", "growth ▼"),
        ("table", "Lines"),
        ("button", "allocated"),
        ("rowheader", "5 lines in all"),
        ("group", "A box is as wide as what"),
        ("radio", "changed"),
        ("checkbox", "root at the bottom"),
        ("button", "Show all"),
        ("application", "Flamegraph of what changed"),
        ("status", ""),
    ];
    for (role, name) in wanted {
        let is_there = |(one, named): &(String, String)| one == role && named == name;
        assert!(spoken.iter().any(is_there), "{role} {name:?}: {spoken:#?}");
    }
    let used = [
        "button",
        "link",
        "radio",
        "checkbox",
        "searchbox",
        "slider",
        "application",
    ];
    let silent_one = spoken
        .iter()
        .find(|(role, name)| used.contains(&role.as_str()) && name.is_empty());
    assert_eq!(silent_one, None);
    // A line's button says whether it is open.
    let state = "return document.querySelector('.place button').getAttribute('aria-expanded');";
    assert_eq!(browser.run(state), "false");
}
