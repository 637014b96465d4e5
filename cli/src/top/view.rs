//! The screen: header, list, and under it the stack of the selected line, the filter that is typed, or the keys.
//!
//! Widths are cells, counted by ratatui. What colours say is said by words and signs as well. Sizes are those of the reports.

use super::lines::Line as Listed;
use super::overlay::overlay;
use super::state::{Overlay, State};
use crate::render::{escape, signed_size, size};
use crate::report::{Report, Row, Surviving};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph, Wrap};

/// Cells of a rate: `-1023.9 MiB/s`, and one between.
const RATE: usize = 14;
/// From so many cells on there is room for survivors and trend both: 40 are left for the name.
const WIDE: u16 = 100;
/// Cells of a line's sparkline.
const TREND: usize = 8;
/// Cells of the process's.
const WIDE_TREND: usize = 24;
/// Lines of the longest message.
const MOST_FOOT: u16 = 6;
/// What there is room for in 80 columns; `?` has them all.
const KEYS: &str = "? help  Enter stack  s sort  g group  / filter  m mark  p process  q quit";

/// Draws everything.
pub fn draw(state: &State, frame: &mut Frame<'_>) {
    let below = if state.expanded {
        Constraint::Percentage(45)
    } else {
        Constraint::Length(0)
    };
    let parts = [
        Constraint::Length(4),
        Constraint::Length(1),
        Constraint::Min(1),
        below,
        Constraint::Length(foot_height(state, frame.area().width)),
    ];
    let [head, heading, list, stack, foot] = Layout::vertical(parts).areas(frame.area());
    frame.render_widget(Paragraph::new(header(state)), head);
    let columns = Columns::of(state, frame.area().width);
    let words = columns.row(
        ["growth", "survivors", "live", "rate"].map(str::to_owned),
        &format!("{:<TREND$}", "trend"),
        &format!("{} (by {})", state.by.as_str(), state.order.as_str()),
    );
    let words = words.concat();
    let looks = Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED);
    frame.render_widget(Line::styled(words, looks), heading);
    rows(state, columns, frame, list);
    if state.expanded {
        let title = Block::bordered().title(" heaviest stack ([ ] scroll) ");
        let lines = state.stack.iter().skip(state.scroll);
        let lines: Vec<Line<'_>> = lines.map(|line| Line::raw(line.as_str())).collect();
        frame.render_widget(Paragraph::new(lines).block(title), stack);
    }
    let words = Paragraph::new(footer(state)).wrap(Wrap { trim: true });
    frame.render_widget(words, foot);
    overlay(state, frame);
}

fn header(state: &State) -> Vec<Line<'static>> {
    let Some(reading) = &state.reading else {
        return vec![Line::raw("reading …")];
    };
    let report = &reading.report;
    let (from, to) = (&report.from, &report.to);
    let rss = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let (rss_from, rss_to) = (rss(from.moment.rss_bytes), rss(to.moment.rss_bytes));
    let heap_rate = rate(state.heap.rate(reading.seconds));
    let rss_rate = rate(state.rss.rate(reading.seconds));
    let total = |name: &str, now: i64, grown: String, rate: String, bars: String| {
        Line::raw(format!(
            "{name} {:>11} {grown:>12} {rate:>RATE$}  {bars}",
            size(now)
        ))
    };
    let rss_growth = match from.moment.rss_bytes {
        0 => String::new(),
        _ => signed_size(rss_to.wrapping_sub(rss_from)),
    };
    vec![
        title(state, report),
        total(
            "heap",
            to.live.bytes,
            signed_size(report.growth.bytes),
            heap_rate,
            state.heap.bars(WIDE_TREND),
        ),
        total(
            "RSS ",
            rss_to,
            rss_growth,
            rss_rate,
            state.rss.bars(WIDE_TREND),
        ),
        Line::raw(sums(state, report)),
    ]
}

fn title(state: &State, report: &Report) -> Line<'static> {
    let (name, pid) = (escape(&report.target.name), report.target.pid);
    let (from, to) = (&report.from.moment, &report.to.moment);
    let seconds = to.unix_ns.saturating_sub(from.unix_ns) / 1_000_000_000;
    let since = format!("   since {}, {seconds} s", escape(&from.name));
    let mode = match (state.ended, state.paused) {
        (true, _) => "   it has ended",
        (false, true) => "   standing still (Space goes on)",
        (false, false) => "",
    };
    let bold = Style::new().add_modifier(Modifier::BOLD);
    Line::from(vec![
        Span::styled(format!("{name} (pid {pid})"), bold),
        Span::raw(since),
        Span::styled(mode, bold),
    ])
}

/// What the list leaves out, so that all adds up: the closing line of the table.
fn sums(state: &State, report: &Report) -> String {
    if let Some(note) = report.notes.first() {
        return note.to_string();
    }
    let shown: std::collections::HashSet<usize> = state.lines.iter().map(|line| line.row).collect();
    let hidden = report.rows.iter().enumerate();
    let hidden: Vec<&Row> = hidden
        .filter(|(at, _)| !shown.contains(at))
        .map(|(_, row)| row)
        .collect();
    let bytes: i64 = hidden.iter().map(|row| row.growth.bytes).sum();
    let none = signed_size(report.unattributed.growth.bytes);
    let filtered = match state.filter.is_empty() {
        true => String::new(),
        false => {
            let words = escape(&state.filter);
            format!(
                " · without \"{words}\": {}, {}",
                lines_of(hidden.len()),
                signed_size(bytes)
            )
        }
    };
    format!(
        "{}{filtered} · not attributed: {none}",
        lines_of(state.lines.len())
    )
}

fn lines_of(count: usize) -> String {
    format!("{count} line{}", if count == 1 { "" } else { "s" })
}

/// Which columns there are.
#[derive(Clone, Copy, Debug)]
struct Columns {
    survivors: bool,
    trend: bool,
}

impl Columns {
    /// Survivors where the mark tells them; the trend where a line's name has room beside both.
    fn of(state: &State, width: u16) -> Columns {
        let survivors = state.has_survivors();
        Columns {
            survivors,
            trend: !survivors || width >= WIDE,
        }
    }

    /// A row's parts: growth, survivors, live bytes and rate; the trend; the name.
    fn row(
        self,
        [growth, survivors, live, rate]: [String; 4],
        trend: &str,
        name: &str,
    ) -> [String; 4] {
        let survivors = match self.survivors {
            true => format!("{survivors:>11}"),
            false => String::new(),
        };
        let trend = match self.trend {
            true => format!("{trend}  "),
            false => String::new(),
        };
        [
            format!("{growth:>12}"),
            format!("{survivors}{live:>11}{rate:>RATE$}  "),
            trend,
            name.to_owned(),
        ]
    }
}

fn rows(state: &State, columns: Columns, frame: &mut Frame<'_>, area: Rect) {
    let height = usize::from(area.height);
    let first = (state.selected + 1).saturating_sub(height);
    let shown = state.lines.iter().enumerate().skip(first).take(height);
    let lines: Vec<Line<'_>> = shown
        .map(|(at, line)| row(state, columns, line, at == state.selected))
        .collect();
    frame.render_widget(Paragraph::new(lines), area);
}

fn row(state: &State, columns: Columns, line: &Listed, selected: bool) -> Line<'static> {
    let points = state.history.of(&line.name);
    let color = match line.growth.bytes {
        1.. => Color::Red,
        0 => Color::Reset,
        _ => Color::Green,
    };
    let growth = if state.color {
        Style::new().fg(color)
    } else {
        Style::new()
    };
    let figures = [
        signed_size(line.growth.bytes),
        survivors(line.survivors),
        size(line.live),
        rate(line.rate),
    ];
    let [grown, rest @ ..] = columns.row(figures, &points.bars(TREND), &line.shown);
    let rest = rest.into_iter().map(Span::raw);
    let row: Line<'_> = std::iter::once(Span::styled(grown, growth))
        .chain(rest)
        .collect();
    match selected {
        true => row.style(Style::new().add_modifier(Modifier::REVERSED)),
        false => row,
    }
}

fn survivors(survivors: Option<Surviving>) -> String {
    match survivors.unwrap_or_default() {
        Surviving::Known(amount) => size(amount.bytes),
        Surviving::Unknown => "unknown".to_owned(),
    }
}

/// `+1.2 KiB/s`
#[expect(
    clippy::cast_possible_truncation,
    reason = "saturates; a rate for the eye"
)]
fn rate(rate: f64) -> String {
    format!("{}/s", signed_size(rate.round() as i64))
}

/// An error is said to its end, which is its next step: one line more than its letters fill, since no word is broken.
fn foot_height(state: &State, width: u16) -> u16 {
    let letters = match (&state.overlay, &state.message) {
        (Overlay::Typing, _) | (_, None) => return 1,
        (_, Some(message)) => u16::try_from(message.chars().count()).unwrap_or(u16::MAX),
    };
    match letters <= width {
        true => 1,
        false => letters.div_ceil(width.max(1)).min(MOST_FOOT - 1) + 1,
    }
}

fn footer(state: &State) -> Line<'_> {
    match (&state.overlay, &state.message) {
        (Overlay::Typing, _) => Line::raw(format!(
            "filter: {}▏ (Enter keeps it, Esc: all)",
            state.filter
        )),
        (_, Some(message)) => {
            Line::styled(message.as_str(), Style::new().add_modifier(Modifier::BOLD))
        }
        (_, None) => Line::styled(KEYS, Style::new().add_modifier(Modifier::DIM)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::render::NoSources;
    use crate::top::overlay::HELP;
    use crate::top::{Ask, Other, Reading};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

    /// The screen's text, line by line, without spaces at their ends.
    fn screen(state: &State, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a buffer");
        terminal.draw(|frame| draw(state, frame)).expect("drawn");
        let buffer = terminal.backend().buffer();
        let line = |row: u16| -> String {
            let cells = (0..width).map(|column| buffer[(column, row)].symbol());
            cells.collect::<String>().trim_end().to_string()
        };
        (0..height).map(line).collect()
    }

    fn press(state: &mut State, keys: &str) -> Option<Ask> {
        let mut asked = None;
        for char in keys.chars() {
            let code = match char {
                '\n' => KeyCode::Enter,
                '\x1b' => KeyCode::Esc,
                '↓' => KeyCode::Down,
                char => KeyCode::Char(char),
            };
            asked = state.key(KeyEvent::new(code, KeyModifiers::NONE));
        }
        state.unfold(&NoSources);
        asked
    }

    /// The contract's example, read twice: in ten seconds the first line grew by 10 KiB.
    fn looked_at() -> State {
        let mut state = State::new(false);
        for step in 0..2 {
            let mut report = fixture::report();
            report.rows[0].live.bytes += step * 10_240;
            report.to.live.bytes += step * 10_240;
            let reading = Reading {
                report,
                seconds: if step == 0 { 0.0 } else { 10.0 },
            };
            state.read(reading, &NoSources);
        }
        state
    }

    /// Check every line of the screen at 80×24.
    #[test]
    fn whole_screen() {
        let shown = screen(&looked_at(), 80, 24);
        let expected = [
            "server (pid 4242)   since warm, 60 s",
            "heap   240.4 MiB   +109.2 MiB     +1.0 KiB/s                        ▁█",
            "RSS    318.0 MiB   +118.0 MiB          0 B/s                        ▁▁",
            "11 lines · not attributed: 0 B",
            "      growth       live          rate  trend     line (by growth)",
            "  +111.1 MiB  111.1 MiB    +1.0 KiB/s        ▁█  aiohttp/web_response.py:56  __i",
            "   +64.0 KiB   64.0 KiB         0 B/s        ▁▁  src/conn.c:88  conn_new  (via x",
            "      +410 B      410 B         0 B/s        ▁▁  src/small.c:1  small",
        ];
        assert_eq!(shown[..expected.len()], expected);
        assert!(shown[8].ends_with("src/small.c:2  small"), "{shown:#?}");
        assert!(
            shown[23].starts_with("? help  Enter stack  s sort"),
            "{shown:#?}"
        );
    }

    /// Check the column of survivors: there while the mark tells them, unknown said, sorted by, in the trend's place where there is no room for both.
    #[test]
    fn survivors_column() {
        use crate::report::{Amount, Surviving};
        let mut state = looked_at();
        press(&mut state, "ssss");
        assert!(
            screen(&state, 80, 24)[4].ends_with("(by growth)"),
            "none to sort by"
        );
        let known = |bytes| Some(Surviving::Known(Amount { bytes, blocks: 1 }));
        let mut report = fixture::report();
        report.survivors = Some(Surviving::Unknown);
        report
            .rows
            .iter_mut()
            .for_each(|row| row.survivors = known(0));
        report.rows[0].survivors = Some(Surviving::Unknown);
        report.rows[1].survivors = known(2048);
        let reading = |report| Reading {
            report,
            seconds: 1.0,
        };
        state.read(reading(report), &NoSources);
        press(&mut state, "ssss");
        let shown = screen(&state, 80, 24);
        assert_eq!(
            shown[4],
            "      growth  survivors       live          rate  line (by survivors)"
        );
        assert!(
            shown[5].starts_with("   +64.0 KiB    2.0 KiB   64.0 KiB"),
            "{shown:#?}"
        );
        assert!(
            shown[5].ends_with("src/conn.c:88  conn_new  (via"),
            "{shown:#?}"
        );
        assert!(shown[15].contains("    unknown"), "{shown:#?}");
        assert_eq!(
            screen(&state, 100, 24)[4],
            "      growth  survivors       live          rate  trend     line (by survivors)"
        );
        state.read(reading(fixture::report()), &NoSources);
        assert!(screen(&state, 80, 24)[4].ends_with("trend     line (by growth)"));
    }

    /// Check the filter as it is typed, what it leaves out, and that Esc takes it back.
    #[test]
    fn filtering() {
        let mut state = looked_at();
        press(&mut state, "/conn");
        let shown = screen(&state, 80, 24);
        assert_eq!(
            shown[3],
            "1 line · without \"conn\": 10 lines, +109.1 MiB · not attributed: 0 B"
        );
        assert!(
            shown[5].contains("src/conn.c:88") && shown[6].is_empty(),
            "{shown:#?}"
        );
        assert!(shown[23].starts_with("filter: conn▏"), "{shown:#?}");
        press(&mut state, "\n");
        assert!(screen(&state, 80, 24)[6].is_empty());
        press(&mut state, "\x1b");
        assert_eq!(screen(&state, 80, 24)[3], "11 lines · not attributed: 0 B");
        press(&mut state, "/q");
        assert_eq!(press(&mut state, "q"), None, "typed, not obeyed");
    }

    /// Check that Enter opens the selected line's stack, and that the selection stays with its line when the order changes.
    #[test]
    fn stacks_and_order() {
        let mut state = looked_at();
        press(&mut state, "↓\n");
        let shown = screen(&state, 80, 24);
        let at = shown
            .iter()
            .position(|line| line.contains("heaviest stack"))
            .expect("a stack");
        assert!(
            shown[at + 1].starts_with("│  malloc (malloc.c:1)"),
            "{shown:#?}"
        );
        assert!(
            shown[at + 3].starts_with("│> conn_new (conn.c:88)"),
            "{shown:#?}"
        );
        press(&mut state, "s");
        assert_eq!(
            state.lines[state.selected].shown,
            "src/conn.c:88  conn_new  (via xmalloc)"
        );
        assert!(screen(&state, 80, 24)[4].ends_with("line (by rate)"));
        press(&mut state, "\x1b");
        assert!(
            !screen(&state, 80, 24)
                .iter()
                .any(|line| line.contains("heaviest"))
        );
    }

    /// Check that until a line is chosen the first is selected, whichever comes first, and that Home goes back to that.
    #[test]
    fn first_line_or_a_chosen_one() {
        let mut state = looked_at();
        let second = state.lines[1].name.clone();
        let alone_and_back = |state: &mut State| {
            state.filter_by("conn.c".into());
            assert_eq!((state.selected, &state.lines[0].name), (0, &second));
            state.filter_by(String::new());
            state.selected
        };
        assert_eq!(alone_and_back(&mut state), 0);
        press(&mut state, "↓");
        assert_eq!(alone_and_back(&mut state), 1);
        state.select(0);
        assert_eq!(alone_and_back(&mut state), 0);
    }

    /// Check that at 80×24 no word of the help or of the keys at the foot is cut off.
    #[test]
    fn whole_words() {
        let mut state = looked_at();
        assert_eq!(screen(&state, 80, 24)[23], KEYS);
        press(&mut state, "?");
        let shown = screen(&state, 80, 24);
        for said in HELP {
            let is_whole = |line: &String| {
                let inside = line
                    .strip_prefix('│')
                    .and_then(|line| line.strip_suffix('│'));
                inside.is_some_and(|inside| inside.trim_end() == said)
            };
            assert!(shown.iter().any(is_whole), "{said}: {shown:#?}");
        }
    }

    /// Check that an error is there with its next step, however long, and that the list has its lines again at the next key.
    #[test]
    fn long_message() {
        let mut state = looked_at();
        let error = "server (pid 4242): its account was written by a heapshim of another version; start it again with this one: heapshim run -- ./server";
        state.message = Some(error.to_string());
        let shown = screen(&state, 80, 24);
        let foot = shown[21..].join(" ");
        assert_eq!(foot.trim_end(), error);
        press(&mut state, "↓");
        assert_eq!(screen(&state, 80, 24)[23], KEYS);
    }

    /// Check help, the list of processes and what it asks for, and the keys that ask for something.
    #[test]
    fn overlays_and_asks() {
        let mut state = looked_at();
        press(&mut state, "?");
        let shown = screen(&state, 80, 24);
        assert!(
            shown.iter().any(|line| line.contains("since the start")),
            "{shown:#?}"
        );
        assert_eq!(press(&mut state, "q"), None, "closes the help");
        for (key, ask) in [
            ("q", Ask::Quit),
            ("m", Ask::Mark),
            ("M", Ask::MarkSurvivors),
            ("0", Ask::FromStart),
            ("w", Ask::Save),
            ("g", Ask::Read),
            ("p", Ask::List),
        ] {
            assert_eq!(press(&mut state, key), Some(ask));
        }
        let other = |pid, depth| Other {
            pid,
            name: "worker".to_string(),
            live: 2048,
            depth,
        };
        state.show_others(vec![other(4242, 0), other(4243, 1)]);
        let shown = screen(&state, 80, 24);
        assert!(
            shown
                .iter()
                .any(|line| line.contains("4243     2.0 KiB    worker")),
            "{shown:#?}"
        );
        assert_eq!(press(&mut state, "↓\n"), Some(Ask::Switch(4243)));
    }

    /// Check that no size of terminal is too small to draw on, that the target's end is said, and that names drive no terminal.
    #[test]
    fn any_size() {
        let mut state = looked_at();
        state.ended = true;
        state.message = Some("marked mark-1".to_string());
        press(&mut state, "\n");
        for (width, height) in [(1, 1), (3, 2), (20, 5), (80, 24), (300, 100)] {
            let shown = screen(&state, width, height);
            assert_eq!(shown.len(), usize::from(height));
        }
        assert!(screen(&state, 80, 24)[0].ends_with("it has ended"));
        let mut report = fixture::report();
        report.rows[0].function = Some("a\x1b[2Jb".to_string());
        state.read(
            Reading {
                report,
                seconds: 1.0,
            },
            &NoSources,
        );
        let shown = screen(&state, 120, 24).join("\n");
        assert!(shown.contains("a\\x1b[2Jb"), "{shown}");
    }
}
