//! The page of a recording, in a browser: what was alive when, what happened, and who freed what, with the recording's own figures and words.

use crate::freed::{EVICTING, freed_by, played};
use crate::pages::{open, rows, silent, sum, text};
use crate::recordings::events;
use heapshim_tests::{
    Browser, Recorded, Recording, Target, copy_program, fresh_directory, line_of, talk,
};
use serde_json::{Value, json};

/// Opens the page of a recording.
fn open_page(browser: &Browser, recorded: &Recorded, options: &[&str]) {
    let page = fresh_directory("pages").join("page.html");
    let words = ["report", recorded.file.to_str().expect("UTF-8"), "-o"];
    talk(&[&words[..], &[&page.display().to_string()], options].concat());
    open(browser, &page);
}

/// What the page's slider says under this name.
fn slider(browser: &Browser, name: &str) -> Value {
    let script = format!("return document.getElementById('timeline').getAttribute('{name}');");
    browser.run(&script)
}

/// Check that the page of a recording has the growth between its instants, and what was alive all along: keys go from step to step, whose words
/// are those of `timeline`, the highest first; the program's mark stands where it was taken, and a key goes there.
#[test]
fn timeline() {
    let Some(browser) = Browser::open(1280, 900) else {
        return;
    };
    let mut running = events();
    let recording = Recording::of(running.pid(), &["--lossless"]);
    running.step(b"go");
    let recorded = recording.end();
    open_page(&browser, &recorded, &["--from", "middle"]);
    let growth = recorded.ask("diff", &["--from", "middle"]).0.growth();
    assert_eq!((sum(&browser), growth.bytes), (2110, 2110));

    let said = || text(&browser, "#timeline-status");
    let peak = recorded.ask("peak", &[]).0.live_at("to").bytes;
    let most = text(&browser, "#timeline-most");
    assert!(said().contains(&format!("at most {most}")), "{}", said());
    assert_eq!(most, format!("{:.1} KiB", bytes_in_kib(peak)));
    assert_eq!(slider(&browser, "aria-valuetext"), said());
    let _ = browser.run("document.getElementById('timeline').focus();");
    browser.press("End");
    assert_eq!(
        slider(&browser, "aria-valuenow"),
        slider(&browser, "aria-valuemax")
    );
    let end = recorded.ask("diff", &[]).0.live_at("to").bytes;
    let at_end = format!("{:.1} KiB alive at its end", bytes_in_kib(end));
    assert!(said().contains(&at_end), "{}: {at_end}", said());
    browser.press("Home");
    assert!(said().starts_with("0 ms to "), "{}", said());
    while !said().contains(" · mark middle") {
        browser.press("ArrowRight");
    }
    assert_eq!(text(&browser, "#timeline .at.mark"), "middle");
    let place = "const mark = document.querySelector('#timeline .at.mark').offsetLeft, cursor = document.querySelector('#timeline .cursor').offsetLeft, \
                 ground = document.querySelector('#timeline .between').getBoundingClientRect().left - document.getElementById('timeline').getBoundingClientRect().left; \
                 const step = document.getElementById('timeline').clientWidth / 400; return Math.max(Math.abs(mark - cursor), Math.abs(mark - ground)) <= step + 2;";
    assert_eq!(browser.run(place), true);
    let _ = browser.run("document.querySelector('.place button').click();");
    let freed = browser.run("return document.querySelectorAll('.freed, .stopped').length;");
    assert_eq!(freed, 0, "nobody knows who freed");
    silent(&browser);
    assert!(running.finish().0.success());
}

#[expect(clippy::cast_precision_loss, reason = "a heap of less than 2^52 bytes")]
fn bytes_in_kib(bytes: i64) -> f64 {
    bytes as f64 / 1024.0
}

/// Check that a line which no longer frees what another allocates stands under that, and all lines that free its blocks where it is opened, with the
/// figures of `diff --freed-by`; and that one whose blocks nobody freed says so, one of which nobody knows nothing.
#[test]
fn who_stopped_freeing() {
    let Some(browser) = Browser::open(1280, 900) else {
        return;
    };
    let (recorded, _) = played(Target::c("freed.c").opt("-O0"));
    open_page(&browser, &recorded, &[]);
    let diff = recorded.ask("diff", &["--freed-by"]).0;
    let put = line_of("freed.c", "// put");
    let expected = freed_by(&diff.row("freed.c", put));
    let [evict, clear] = &expected[..] else {
        panic!("{expected:?}");
    };
    let line = format!("freed.c:{put}");
    let at = rows(&browser).iter().position(|row| row.1.ends_with(&line));
    let at = at.expect("the line that leaks");
    let of_row = format!("document.querySelectorAll('#lines tr.line')[{at}]");
    let stopped = browser.run(&format!(
        "return Array.from({of_row}.querySelectorAll('.stopped'), one => one.textContent);"
    ));
    let stopped: Vec<&str> = stopped
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let [stopped] = stopped[..] else {
        panic!("{stopped:?}");
    };
    assert!(
        stopped.starts_with("no longer freed by ")
            && stopped.ends_with(&format!("freed.c:{}  evict", evict.0)),
        "{stopped}"
    );

    // By keys: the line's button opens it.
    let _ = browser.run(&format!("{of_row}.querySelector('button').focus();"));
    browser.press("Enter");
    let listed = browser
        .run("return Array.from(document.querySelectorAll('.freed li'), one => one.textContent);");
    let listed: Vec<&str> = listed
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(listed.len(), 2, "{listed:?}");
    let blocks = 6 * EVICTING;
    assert!(
        listed[0].contains(&format!(
            "freed.c:{}  evict: {blocks} blocks until ",
            evict.0
        )),
        "{listed:?}"
    );
    let since = evict.2.to_string();
    let digits: String = listed[0]
        .split(", while ")
        .nth(1)
        .expect("since")
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    assert_eq!(digits, since, "{listed:?}");
    assert!(
        listed[0].ends_with(" were allocated: stopped"),
        "{listed:?}"
    );
    assert!(
        listed[1].contains(&format!("freed.c:{}  clear: ", clear.0))
            && !listed[1].contains("stopped"),
        "{listed:?}"
    );
    // Of two spaces a screen reader is told one.
    let read = stopped.replace("  ", " ");
    let spoken = browser.spoken();
    assert!(
        spoken.contains(&("heading".to_owned(), "Freed by".to_owned())),
        "{spoken:#?}"
    );
    assert!(spoken.iter().any(|(_, name)| *name == read), "{spoken:#?}");
    assert_known(&browser);
    silent(&browser);
}

/// Asserts what the page says of a line of which nobody knows who freed its blocks, of one whose blocks nobody freed, and of one that has no room.
fn assert_known(browser: &Browser) {
    let told = browser.run(
        "const line = { number: 0, growth: 1, blocks: 1 }; \
         return [null, { by: [] }, 0].map(known => { const freed = freedOf({ lines: { freed: [known] } }, line); return freed && freedList(freed).textContent; });",
    );
    let no_room = "Freed byheapshim diff --freed-by has it: too many lines for this page";
    let expected = json!([null, "Freed bynone of its blocks was freed", no_room]);
    assert_eq!(told, expected);
}

/// What happened: what, which, and a child's pid.
type Happened = [(String, String, Option<u64>)];

/// The elements at a selector: class and text.
fn shown(browser: &Browser, selector: &str) -> Vec<(String, String)> {
    let script = format!(
        "return Array.from(document.querySelectorAll('{selector}'), one => [one.className, one.textContent]);"
    );
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let all = browser.run(&script);
    let all = all.as_array().expect("a list").iter();
    all.map(|one| (text(&one[0]), text(&one[1]))).collect()
}

/// Asserts that each is drawn with its name, and that of the names that are seen none lies over another or leaves the picture.
fn assert_drawn(browser: &Browser, happened: &Happened, program: &str) {
    let drawn = shown(browser, "#timeline .at");
    assert_eq!(drawn.len(), happened.len());
    for (class, label) in [
        ("at thread", "thread worker-#".to_owned()),
        ("at load", format!("load {program}")),
    ] {
        assert!(drawn.contains(&(class.to_owned(), label)), "{drawn:?}");
    }
    let names = "const all = Array.from(document.querySelectorAll('#timeline .at span:not(.hidden)'), one => one.getBoundingClientRect()); \
                 const whole = document.getElementById('timeline').getBoundingClientRect(); \
                 all.sort((one, other) => one.left - other.left); \
                 return [all.length, all.every(one => one.left >= whole.left && one.right <= whole.right + 1), all.slice(1).every((one, at) => one.left >= all[at].right - 1)];";
    let names = browser.run(names);
    assert!(names[0].as_u64() >= Some(1), "{names}");
    assert_eq!([&names[1], &names[2]], [true, true], "{names}");
}

/// Asserts that Shift and an arrow go from one to the next, to the last, and back, and that a screen reader is told what happened there.
fn assert_by_keys(browser: &Browser) {
    let said = || text(browser, "#timeline-status");
    let happens = |said: &str| {
        [" · thread ", " · load "]
            .iter()
            .any(|kind| said.contains(kind))
    };
    let _ = browser.run("document.getElementById('timeline').focus();");
    browser.press("Home");
    let mut met = vec![said()];
    loop {
        browser.press_with_shift("ArrowRight");
        assert_eq!(slider(browser, "aria-valuetext"), said());
        if met.last() == Some(&said()) {
            break;
        }
        assert!(happens(&said()), "{}", said());
        met.push(said());
    }
    assert!(met.len() > 1, "{met:?}");
    browser.press_with_shift("ArrowLeft");
    assert!(met.len() == 2 || said() == met[met.len() - 2], "{met:#?}");
}

/// Asserts that the list is closed until it is asked for, and then has the words of `timeline`; an entry goes to where it was.
fn assert_listed(browser: &Browser, happened: &Happened) {
    let title = format!("What happened: {}", happened.len());
    assert_eq!(text(browser, "#happened-title"), title);
    let open = "return document.getElementById('happened-part').open;";
    assert_eq!(browser.run(open), false);
    let _ = browser.run("document.getElementById('happened-title').focus();");
    browser.press("Enter");
    assert_eq!(browser.run(open), true);
    let listed = shown(browser, "#happened li");
    assert_eq!(listed.len(), happened.len());
    for ((kind, name, _), (class, line)) in happened.iter().zip(&listed) {
        assert_eq!(class, kind);
        assert!(
            line.contains(kind) && line.ends_with(name),
            "{line}: {name}"
        );
    }
    browser.press("Tab");
    browser.press("Enter");
    let said = text(browser, "#timeline-status");
    assert!(said.contains(&format!(" · {} ", happened[0].0)), "{said}");
    let spoken = browser.spoken();
    let is_read =
        |(role, name): &(String, String)| role == "button" && name.contains("thread worker-#");
    assert!(spoken.iter().any(is_read), "{spoken:#?}");
}

/// Check that what happened is on the timeline, each with its name where no other lies there, and in a list with the words of `timeline`, which keys open and which goes
/// to where it was; that Shift and an arrow go from one to the next, aloud; and that a name is text, whatever stands in it.
#[test]
fn what_happened() {
    let Some(browser) = Browser::open(1280, 900) else {
        return;
    };
    let hostile = "<img src=x onerror=hurt()>";
    let program = fresh_directory("pages").join(hostile);
    copy_program(&Target::c("named.c").build(), &program);
    let recorded = crate::happened::run(&[program.into()], b"\n\n\n\n\n");
    open_page(&browser, &recorded, &[]);
    let happened = recorded.happened();
    assert_drawn(&browser, &happened, hostile);
    assert_by_keys(&browser);
    assert_listed(&browser, &happened);
    let images = "return document.querySelectorAll('img').length;";
    assert_eq!(browser.run(images), 0);
    silent(&browser);
}
