//! What lies over the screen while it is asked for: help, and the list of processes.

use super::state::{Overlay, State};
use crate::render::{escape, size};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Clear, Paragraph};

/// What `?` shows.
pub(super) const HELP: [&str; 18] = [
    "↑ ↓ PgUp PgDn Home End   choose a line (also k, j)",
    "Enter                    its heaviest stack, with source; [ ] scroll it",
    "s                        sort by growth, rate, live, blocks, survivors",
    "g                        group by line, function, file, module, thread, stack",
    "/                        show only lines with these letters; Esc: all",
    "m                        mark: growth counts from here, and the mark is kept",
    "M                        the same, with survivors (costs the target a little)",
    "0                        growth since the start",
    "w                        write what is shown to a .heapmark file",
    "p                        another traced process",
    "Space                    stand still, go on",
    "q                        quit",
    "",
    "growth  alive now, less what was alive at the mark",
    "survivors  allocated since the mark M, and still alive",
    "rate    what is alive now, less a reading ago, in a second",
    "trend   what was alive at the last readings, from its least to its most",
    "",
];

/// Draws it, where there is one.
pub(super) fn overlay(state: &State, frame: &mut Frame<'_>) {
    let (title, lines): (&str, Vec<Line<'_>>) = match state.overlay {
        Overlay::None | Overlay::Typing => return,
        Overlay::Help => (
            " heapshim top (any key closes) ",
            HELP.map(Line::raw).to_vec(),
        ),
        Overlay::Processes(at) => (
            " traced processes (Enter: look at it) ",
            processes(state, at),
        ),
    };
    let area = frame.area();
    let height = u16::try_from(lines.len() + 2)
        .unwrap_or(u16::MAX)
        .min(area.height);
    let top = (area.height - height) / 2;
    let place = Rect::new(area.x, area.y + top, area.width, height);
    frame.render_widget(Clear, place);
    let block = Block::bordered().title(title);
    let inner = usize::from(height.saturating_sub(2));
    let first = match state.overlay {
        Overlay::Processes(at) => (at + 1).saturating_sub(inner),
        _ => 0,
    };
    let lines: Vec<Line<'_>> = lines.into_iter().skip(first).collect();
    frame.render_widget(Paragraph::new(lines).block(block), place);
}

fn processes(state: &State, at: usize) -> Vec<Line<'static>> {
    let others = state.others.iter().enumerate();
    others
        .map(|(number, other)| {
            let (pid, live) = (other.pid, size(other.live));
            let (name, indent) = (escape(&other.name), "  ".repeat(other.depth));
            let line = Line::raw(format!("{pid:>8} {live:>11}  {indent}{name}"));
            match number == at {
                true => line.style(Style::new().add_modifier(Modifier::REVERSED)),
                false => line,
            }
        })
        .collect()
}
