//! The two forms that Prometheus reads: OpenMetrics 1.0, and its own text format 0.0.4 for who does not ask for that.
//!
//! They differ in what a counter's family is called and in how the text ends. A series is named by pid and name, a line by file, line and
//! function; label values are escaped, and what would drive a terminal is written out first, as in every other face.

use super::account::{Account, Accounts, Grown};
use crate::place::Place;
use crate::render::escape;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `application/openmetrics-text`
    OpenMetrics,
    /// `text/plain; version=0.0.4`
    Prometheus,
}

impl Form {
    /// What a scraper is told that it is.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Form::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Form::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// A family of series: its name, what it is, and its samples as labels and value.
struct Family {
    name: &'static str,
    counts: bool,
    help: &'static str,
    samples: Vec<(String, i128)>,
}

/// Everything that there is to know now.
#[must_use]
pub fn text(accounts: &mut Accounts, form: Form) -> String {
    written(&accounts.read(), form)
}

fn written(accounts: &[Account], form: Form) -> String {
    let mut text = String::new();
    for family in families(accounts) {
        let sample = match family.counts {
            true => format!("{}_total", family.name),
            false => family.name.to_string(),
        };
        let name = match form {
            Form::OpenMetrics => family.name,
            Form::Prometheus => &sample,
        };
        let kind = if family.counts { "counter" } else { "gauge" };
        text.push_str(&format!(
            "# HELP {name} {}\n# TYPE {name} {kind}\n",
            family.help
        ));
        for (labels, value) in family.samples {
            text.push_str(&format!("{sample}{{{labels}}} {value}\n"));
        }
    }
    if form == Form::OpenMetrics {
        text.push_str("# EOF\n");
    }
    text
}

fn families(accounts: &[Account]) -> Vec<Family> {
    let one = |name, counts, help, value: fn(&Account) -> i128| Family {
        name,
        counts,
        help,
        samples: accounts
            .iter()
            .map(|account| (process(account), value(account)))
            .collect(),
    };
    let gauge = |name, help, value| one(name, false, help, value);
    let counter = |name, help, value| one(name, true, help, value);
    vec![
        gauge(
            "heapshim_live_bytes",
            "Bytes allocated and not freed.",
            |a| a.counters.live_bytes().into(),
        ),
        gauge(
            "heapshim_live_blocks",
            "Blocks allocated and not freed.",
            |a| a.counters.live_blocks().into(),
        ),
        gauge("heapshim_rss_bytes", "Resident memory.", |a| {
            a.rss_bytes.into()
        }),
        counter("heapshim_allocated_bytes", "Bytes ever allocated.", |a| {
            a.counters.allocated_bytes.into()
        }),
        counter("heapshim_allocated_blocks", "Blocks ever allocated.", |a| {
            a.counters.allocated_blocks.into()
        }),
        counter("heapshim_freed_bytes", "Bytes ever freed.", |a| {
            a.counters.freed_bytes.into()
        }),
        counter("heapshim_freed_blocks", "Blocks ever freed.", |a| {
            a.counters.freed_blocks.into()
        }),
        losses(accounts),
        gauge(
            "heapshim_growth_bytes",
            "Bytes grown since the process was first scraped.",
            |a| a.growth.bytes.into(),
        ),
        gauge(
            "heapshim_other_growth_bytes",
            "Of the growth, what is in no listed line.",
            |a| a.rest.bytes.into(),
        ),
        by_line(
            accounts,
            "heapshim_line_growth_bytes",
            "Bytes grown since the process was first scraped, of the lines that grew most.",
            |line| line.growth.bytes,
        ),
        by_line(
            accounts,
            "heapshim_line_growth_blocks",
            "Blocks grown since the process was first scraped, of the lines that grew most.",
            |line| line.growth.blocks,
        ),
    ]
}

/// What an account lacks, event by event.
fn losses(accounts: &[Account]) -> Family {
    let each = |account: &Account| {
        let losses = account.losses;
        let kinds = [
            ("nested", losses.nested),
            ("truncated_stack", losses.truncated),
            ("overflow", losses.overflow),
            ("foreign_free", losses.foreign_frees),
            ("untracked_block", losses.untracked),
        ];
        let process = process(account);
        kinds.map(|(kind, count)| (format!("{process},kind=\"{kind}\""), count.into()))
    };
    Family {
        name: "heapshim_lost_events",
        counts: true,
        help: "Events that are not accounted for as they should be, by kind.",
        samples: accounts.iter().flat_map(each).collect(),
    }
}

fn by_line(
    accounts: &[Account],
    name: &'static str,
    help: &'static str,
    value: fn(&Grown) -> i64,
) -> Family {
    let each = |account: &Account| -> Vec<(String, i128)> {
        let lines = account.lines.iter();
        lines
            .map(|line| {
                (
                    format!("{},{}", process(account), place(line)),
                    value(line).into(),
                )
            })
            .collect()
    };
    Family {
        name,
        counts: false,
        help,
        samples: accounts.iter().flat_map(each).collect(),
    }
}

fn process(account: &Account) -> String {
    format!("pid=\"{}\",name=\"{}\"", account.pid, label(&account.name))
}

fn place(line: &Grown) -> String {
    let (file, number) = match &line.place {
        Place::Line(file, number) => (file.clone(), number.to_string()),
        Place::Address(..) => (line.place.to_string(), String::new()),
    };
    let function = line.function.as_deref().unwrap_or_default();
    format!(
        "file=\"{}\",line=\"{number}\",function=\"{}\"",
        label(&file),
        label(function)
    )
}

/// A label's value: backslashes, quotes and line ends are written out.
fn label(text: &str) -> String {
    escape(text).replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::amount;
    use crate::model::Counters;
    use heapshim_ledger::threads::Losses;

    fn account() -> Account {
        Account {
            pid: 42,
            name: "a\"b\\c\n".to_string(),
            counters: Counters {
                allocated_bytes: 100,
                allocated_blocks: 10,
                freed_bytes: 130,
                freed_blocks: 4,
            },
            rss_bytes: 4096,
            losses: Losses {
                untracked: 3,
                ..Losses::default()
            },
            growth: amount(70, 7),
            rest: amount(-7, 1),
            lines: vec![Grown {
                place: Place::Line("/src/a.c".to_string(), 9),
                function: Some("put".to_string()),
                growth: amount(77, 6),
            }],
        }
    }

    /// Check samples of each kind, escapes, and in what the two forms differ.
    #[test]
    fn forms() {
        let open = written(&[account()], Form::OpenMetrics);
        let who = "pid=\"42\",name=\"a\\\"b\\\\c\\\\n\"";
        for line in [
            "# TYPE heapshim_allocated_bytes counter".to_string(),
            format!("heapshim_allocated_bytes_total{{{who}}} 100"),
            format!("heapshim_live_bytes{{{who}}} -30"),
            format!("heapshim_lost_events_total{{{who},kind=\"untracked_block\"}} 3"),
            format!(
                "heapshim_line_growth_bytes{{{who},file=\"/src/a.c\",line=\"9\",function=\"put\"}} 77"
            ),
            format!("heapshim_other_growth_bytes{{{who}}} -7"),
        ] {
            assert!(open.lines().any(|one| one == line), "{line} in\n{open}");
        }
        assert!(open.ends_with("\n# EOF\n"));
        let plain = written(&[account()], Form::Prometheus);
        assert!(plain.contains("# TYPE heapshim_allocated_bytes_total counter\n"));
        assert!(!plain.contains("# EOF"));
    }
}
