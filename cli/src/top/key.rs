//! What a key means, by what is on the screen; and what only the command can do about it.

use super::state::{Overlay, State};
use crate::report::By;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Lines of a page, where nobody knows how many are seen.
const PAGE: usize = 10;

/// What a key asks of the command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// To end.
    Quit,
    /// To take a mark, which growth is counted from.
    Mark,
    /// The same, from which survivors are told as well.
    MarkSurvivors,
    /// To count growth from the start.
    FromStart,
    /// To write the reading to a file.
    Save,
    /// To read the target anew: what a row is has changed.
    Read,
    /// To look for the other traced processes.
    List,
    /// To look at another process.
    Switch(u32),
}

impl State {
    /// Takes a key; what it asks of the command, if anything.
    pub fn key(&mut self, key: KeyEvent) -> Option<Ask> {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if control && matches!(key.code, KeyCode::Char('c')) {
            return Some(Ask::Quit);
        }
        self.message = None;
        match self.overlay {
            Overlay::None => self.key_of_list(key.code),
            Overlay::Typing => {
                self.key_of_typing(key.code);
                None
            }
            Overlay::Help => {
                self.overlay = Overlay::None;
                None
            }
            Overlay::Processes(at) => self.key_of_processes(key.code, at),
        }
    }

    fn key_of_list(&mut self, code: KeyCode) -> Option<Ask> {
        match code {
            KeyCode::Char('q') => return Some(Ask::Quit),
            KeyCode::Char('m') => return Some(Ask::Mark),
            KeyCode::Char('M') => return Some(Ask::MarkSurvivors),
            KeyCode::Char('0') => return Some(Ask::FromStart),
            KeyCode::Char('w') => return Some(Ask::Save),
            KeyCode::Char('p') => return Some(Ask::List),
            KeyCode::Char('g') => {
                self.by = next_group(self.by);
                return Some(Ask::Read);
            }
            KeyCode::Char('s') => self.reorder(),
            KeyCode::Char('/') => self.overlay = Overlay::Typing,
            KeyCode::Char('?' | 'h') | KeyCode::F(1) => self.overlay = Overlay::Help,
            KeyCode::Char(' ') => self.paused = !self.paused,
            KeyCode::Enter => self.expanded = !self.expanded,
            KeyCode::Esc => self.back(),
            KeyCode::Char(']') => self.scroll = self.scroll.saturating_add(1),
            KeyCode::Char('[') => self.scroll = self.scroll.saturating_sub(1),
            code => self.step(code),
        }
        None
    }

    /// What was opened last is closed first.
    fn back(&mut self) {
        match self.expanded {
            true => self.expanded = false,
            false => self.filter_by(String::new()),
        }
    }

    fn step(&mut self, code: KeyCode) {
        let at = self.selected;
        let to = match code {
            KeyCode::Down | KeyCode::Char('j') => at.saturating_add(1),
            KeyCode::Up | KeyCode::Char('k') => at.saturating_sub(1),
            KeyCode::PageDown => at.saturating_add(PAGE),
            KeyCode::PageUp => at.saturating_sub(PAGE),
            KeyCode::Home => 0,
            KeyCode::End => usize::MAX,
            _ => return,
        };
        self.select(to);
    }

    fn key_of_typing(&mut self, code: KeyCode) {
        let mut words = self.filter.clone();
        match code {
            KeyCode::Enter => self.overlay = Overlay::None,
            KeyCode::Esc => {
                self.overlay = Overlay::None;
                words.clear();
            }
            KeyCode::Backspace => {
                words.pop();
            }
            KeyCode::Char(char) => words.push(char),
            _ => {}
        }
        self.filter_by(words);
    }

    fn key_of_processes(&mut self, code: KeyCode, at: usize) -> Option<Ask> {
        let last = self.others.len().saturating_sub(1);
        match code {
            KeyCode::Down | KeyCode::Char('j') => {
                self.overlay = Overlay::Processes((at + 1).min(last));
            }
            KeyCode::Up | KeyCode::Char('k') => {
                self.overlay = Overlay::Processes(at.saturating_sub(1));
            }
            KeyCode::Enter => {
                self.overlay = Overlay::None;
                return self.others.get(at).map(|other| Ask::Switch(other.pid));
            }
            KeyCode::Esc | KeyCode::Char('q' | 'p') => self.overlay = Overlay::None,
            _ => {}
        }
        None
    }
}

fn next_group(by: By) -> By {
    match by {
        By::Line => By::Function,
        By::Function => By::File,
        By::File => By::Module,
        By::Module => By::Thread,
        By::Thread => By::Stack,
        By::Stack => By::Line,
    }
}
