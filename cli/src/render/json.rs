//! The report as JSON, schema 1: what scripts read.
//!
//! Written by hand, since the order of keys is part of the contract's example and a map would sort them; one row a line, so
//! that `grep` works. Every key is always there. Strings are valid JSON in which nothing could drive a terminal: control
//! characters beyond ASCII are escaped as well, which means the same.

use super::text::is_unsafe;
use super::{Render, Stacks, View};
use crate::distribution::{Bucket, Distribution, Measure, bounds};
use crate::frees::{Freed, Freeing};
use crate::iso_time::iso_utc;
use crate::mode;
use crate::model::Exit;
use crate::report::{Amount, End, Errors, Report, Row, Surviving};
use crate::rss::Rss;
use crate::symbolize::SymbolFrame;
use std::fmt::Write as _;
use std::io;

/// Schema 1.
#[derive(Clone, Copy, Debug)]
pub struct Json;

impl Render for Json {
    fn render(&self, report: &Report, view: &View<'_>, out: &mut dyn io::Write) -> io::Result<()> {
        let sample = number_or_null(report.sample_bytes);
        writeln!(out, "{{\"schema\": 1,")?;
        writeln!(out, " \"target\": {},", target(report))?;
        writeln!(out, " \"from\": {},", end(&report.from))?;
        writeln!(out, " \"to\": {},", end(&report.to))?;
        writeln!(
            out,
            " \"growth_bytes\": {}, \"growth_blocks\": {}, \"peak_bytes\": {}, \"sample_bytes\": {sample},",
            report.growth.bytes, report.growth.blocks, report.peak_bytes
        )?;
        writeln!(out, " \"lost_events\": {},", report.lost_events())?;
        if let Some(partly) = report.partly {
            writeln!(
                out,
                " \"mode\": {}, \"switched\": {}, \"was_off\": {},{}",
                string(&mode::word(partly.mode)),
                partly.switched,
                partly.was_off,
                errors(report.errors)
            )?;
        }
        if report.survivors.is_some() {
            writeln!(out, "{}", survivors(report.survivors))?;
        }
        if report.temporary.is_some() {
            writeln!(out, "{}", temporary(report.temporary))?;
        }
        if let Some((measure, all)) = &report.distribution {
            writeln!(out, "{}", distribution(*measure, all))?;
        }
        writeln!(out, " \"rss_growth\": {},", rss(report.rss_growth()))?;
        writeln!(out, " \"unattributed\": {},", unattributed(report))?;
        writeln!(out, " \"notes\": [{}],", notes(report))?;
        let cumulative = report.cumulative;
        writeln!(
            out,
            " \"by\": {}, \"cumulative\": {cumulative},",
            string(report.by.as_str())
        )?;
        write!(out, " \"rows\": [")?;
        let top = view.top.filter(|&top| top > 0).unwrap_or(usize::MAX);
        for (at, row) in report.rows.iter().take(top).enumerate() {
            let comma = if at == 0 { "" } else { "," };
            let measure = report.distribution.as_ref().map(|one| one.0);
            write!(out, "{comma}\n  {}", self::row(row, measure, view.stacks))?;
        }
        let close = if report.rows.is_empty() {
            "]}"
        } else {
            "\n ]}"
        };
        writeln!(out, "{close}")
    }
}

/// Nothing where the numbers are exact: these keys come with sampling alone.
fn errors(errors: Option<Errors>) -> String {
    errors.map_or_else(String::new, |errors| {
        format!(
            " \"growth_bytes_error\": {}, \"growth_blocks_error\": {}, \"live_bytes_error\": {}, \"live_blocks_error\": {}, \
             \"total_bytes_error\": {}, \"total_blocks_error\": {},",
            errors.growth.bytes,
            errors.growth.blocks,
            errors.live.bytes,
            errors.live.blocks,
            errors.total.bytes,
            errors.total.blocks,
        )
    })
}

/// Nothing where nobody looked, `null` where it is not known.
fn survivors(survivors: Option<Surviving>) -> String {
    survivors.map_or_else(String::new, |surviving| {
        let number = |number: i64| number.to_string();
        let known = surviving.known();
        let [bytes, blocks] = match known {
            Some(amount) => [number(amount.bytes), number(amount.blocks)],
            None => ["null"; 2].map(str::to_owned),
        };
        format!(" \"survivors_bytes\": {bytes}, \"survivors_blocks\": {blocks},")
    })
}

/// Nothing where it is not known.
fn temporary(temporary: Option<Amount>) -> String {
    temporary.map_or_else(String::new, |amount| {
        let Amount { bytes, blocks } = amount;
        format!(" \"temporary_bytes\": {bytes}, \"temporary_blocks\": {blocks},")
    })
}

/// How blocks were spread: every bucket that has any, with exact counts; what half of them have at most. In microseconds, or bytes.
fn distribution(measure: Measure, of: &Distribution) -> String {
    let (name, unit) = match measure {
        Measure::Lifetime => ("lifetimes", "us"),
        Measure::Size => ("sizes", "bytes"),
    };
    let bucket = |(number, bucket): (u8, &Bucket)| {
        let (from, to) = bounds(number);
        format!(
            "{{\"from_{unit}\": {from}, \"to_{unit}\": {to}, \"least_{unit}\": {}, \"most_{unit}\": {}, \"blocks\": {}, \"bytes\": {}}}",
            bucket.least, bucket.most, bucket.blocks, bucket.bytes
        )
    };
    let buckets: Vec<String> = of.buckets().map(bucket).collect();
    let [half, most, all] = [50, 95, 100].map(|percent| number_or_null(of.at_most(percent)));
    let older = match measure {
        Measure::Lifetime => format!(" \"older_blocks\": {},", of.unknown),
        Measure::Size => String::new(),
    };
    format!(
        " \"{name}\": {{\"blocks\": {}, \"median_{unit}\": {half}, \"p95_{unit}\": {most}, \"max_{unit}\": {all},{older} \"buckets\": [{}]}},",
        of.blocks(),
        buckets.join(", ")
    )
}

fn target(report: &Report) -> String {
    let process = &report.target;
    let cmdline: Vec<String> = process.cmdline.iter().map(|word| string(word)).collect();
    let exit = match process.exit {
        None => "null".to_string(),
        Some(Exit::Code(code)) => format!("{{\"code\": {code}}}"),
        Some(Exit::Signal(signal)) => format!("{{\"signal\": {signal}}}"),
    };
    let merged = report.merged;
    let merged = merged.map_or(String::new(), |count| format!(", \"processes\": {count}"));
    let peak = report.peak_rss;
    let peak = peak.map_or(String::new(), |bytes| {
        format!(", \"peak_rss_bytes\": {bytes}")
    });
    format!(
        "{{\"pid\": {}, \"name\": {}, \"exe\": {}, \"cmdline\": [{}], \"exit\": {exit}{merged}{peak}}}",
        process.pid,
        string(&process.name),
        string(&process.exe),
        cmdline.join(", "),
    )
}

fn end(end: &End) -> String {
    let moment = &end.moment;
    format!(
        "{{\"name\": {}, \"time\": \"{}\", \"live_bytes\": {}, \"live_blocks\": {}, \"rss_bytes\": {}, \"rss\": {}, \"exact\": {}, \
         \"in_flight\": {}}}",
        string(&moment.name),
        iso_utc(moment.unix_ns),
        end.live.bytes,
        end.live.blocks,
        moment.rss_bytes,
        rss(end.rss),
        moment.exact,
        moment.in_flight,
    )
}

/// What explains the RSS, or its growth: `bytes` is the sum of the others.
fn rss(rss: Option<Rss>) -> String {
    let Some(rss) = rss else {
        return "null".to_string();
    };
    format!(
        "{{\"bytes\": {}, \"heap\": {}, \"untouched\": {}, \"allocator_retained\": {}, \"anonymous_maps\": {}, \"stacks\": {}, \
         \"jit_code\": {}, \"files\": {}, \"shared_memory\": {}, \"heapshim\": {}}}",
        rss.total(),
        rss.heap,
        rss.untouched,
        rss.retained,
        rss.anonymous,
        rss.stacks,
        rss.code,
        rss.files,
        rss.shared,
        rss.heapshim,
    )
}

fn unattributed(report: &Report) -> String {
    let none = &report.unattributed;
    format!(
        "{{\"growth_bytes\": {}, \"growth_blocks\": {}, \"truncated_stacks\": {}, \"nested_events\": {}, \
         \"overflow_events\": {}, \"foreign_frees\": {}, \"untracked_blocks\": {}, \"excluded_bytes\": {}, \"excluded_blocks\": {},{}{} \
         \"total_bytes\": {}, \"total_blocks\": {}}}",
        none.growth.bytes,
        none.growth.blocks,
        none.truncated_stacks,
        none.nested_events,
        none.overflow_events,
        none.foreign_frees,
        none.untracked_blocks,
        none.excluded.bytes,
        none.excluded.blocks,
        survivors(none.survivors),
        temporary(none.temporary),
        none.total.bytes,
        none.total.blocks,
    )
}

fn notes(report: &Report) -> String {
    let notes = report.notes.iter();
    let each: Vec<String> = notes.map(|note| string(&note.to_string())).collect();
    each.join(", ")
}

fn row(row: &Row, measure: Option<Measure>, stacks: Stacks) -> String {
    let distribution = measure.zip(row.distribution.as_ref());
    let distribution = distribution.map(|(measure, of)| self::distribution(measure, of));
    let frames = row.stack.iter().filter(|_| stacks != Stacks::None);
    let stack: Vec<String> = frames.map(frame).collect();
    format!(
        "{{\"file\": {}, \"line\": {}, \"function\": {}, \"module\": {}, \"language\": {}, \"via\": {}, \"thread\": {}, \
         \"growth_bytes\": {}, \"growth_blocks\": {}, \"live_bytes\": {}, \"live_blocks\": {}, \
         \"total_bytes\": {}, \"total_blocks\": {},{}{}{}{}{} \"stack\": [{}]}}",
        string_or_null(row.file.as_deref()),
        number_or_null(row.line),
        string_or_null(row.function.as_deref()),
        string_or_null(row.module.as_deref()),
        string(row.language.as_str()),
        string_or_null(row.via.as_deref()),
        string_or_null(row.thread.as_deref()),
        row.growth.bytes,
        row.growth.blocks,
        row.live.bytes,
        row.live.blocks,
        row.total.bytes,
        row.total.blocks,
        errors(row.errors),
        survivors(row.survivors),
        temporary(row.temporary),
        distribution.unwrap_or_default(),
        row.freed.as_deref().map(freed).unwrap_or_default(),
        stack.join(", "),
    )
}

/// Who freed the row's blocks: times are from the recording's beginning.
fn freed(freed: &Freed) -> String {
    let by: Vec<String> = freed.by.iter().map(freeing).collect();
    format!(
        " \"freed_by\": [{}], \"freed_by_unknown_blocks\": {}, \"freed_by_left_out_blocks\": {},",
        by.join(", "),
        freed.unknown_blocks,
        freed.left_out_blocks,
    )
}

fn freeing(one: &Freeing) -> String {
    let by = &one.by;
    format!(
        "{{\"file\": {}, \"line\": {}, \"function\": {}, \"module\": {}, \"thread\": {}, \"blocks\": {}, \"bytes\": {}, \
         \"blocks_between\": {}, \"last_us\": {}, \"allocated_since_blocks\": {}, \"stopped\": {}}}",
        string_or_null(by.file.as_deref()),
        number_or_null(by.line),
        string_or_null(by.function.as_deref()),
        string_or_null(by.module.as_deref()),
        string_or_null(by.thread.as_deref()),
        one.blocks,
        one.bytes,
        one.blocks_between,
        one.last_ns / 1000,
        one.allocated_since,
        one.stopped,
    )
}

fn frame(frame: &SymbolFrame) -> String {
    let reason = frame.reason.as_ref().map(ToString::to_string);
    format!(
        "{{\"file\": {}, \"line\": {}, \"function\": {}, \"module\": {}, \"address\": \"{:#x}\", \"language\": {}, \
         \"reason\": {}}}",
        string_or_null(frame.file.as_deref()),
        number_or_null(frame.line),
        string_or_null(frame.function.as_deref()),
        string_or_null(frame.module.as_deref()),
        frame.address,
        string(frame.language.as_str()),
        string_or_null(reason.as_deref()),
    )
}

fn number_or_null(number: Option<impl ToString>) -> String {
    number.map_or_else(|| "null".to_string(), |number| number.to_string())
}

fn string_or_null(text: Option<&str>) -> String {
    text.map_or_else(|| "null".to_string(), string)
}

fn string(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for char in text.chars() {
        match char {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            char if is_unsafe(char) => {
                // All of these lie in the first plane: one escape each.
                let _ = write!(quoted, "\\u{:04x}", u32::from(char));
            }
            char => quoted.push(char),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use serde_json::Value;

    fn rendered(report: &Report, view: &View<'_>) -> Value {
        let mut out = Vec::new();
        Json.render(report, view, &mut out).unwrap();
        serde_json::from_slice(&out).unwrap()
    }

    /// Check the whole output for a small report, byte by byte.
    #[test]
    fn bytes_of_schema_1() {
        let mut report = fixture::report();
        report.rows.truncate(1);
        let mut out = Vec::new();
        Json.render(&report, &View::default(), &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            include_str!("expected/report.json")
        );
    }

    /// Check that what explains the RSS is there under names of its own, at both ends and between them, and adds up.
    #[test]
    fn rss_adds_up() {
        let mut report = fixture::report();
        let parts = |n: i64| Rss {
            heap: 100 * n,
            untouched: -n,
            retained: 2 * n,
            anonymous: 3 * n,
            stacks: 4 * n,
            code: 5 * n,
            files: 6 * n,
            shared: 7 * n,
            heapshim: 8 * n,
        };
        (report.from.rss, report.to.rss) = (Some(parts(1)), Some(parts(-3)));
        let value = rendered(&report, &View::default());
        for place in [
            &value["from"]["rss"],
            &value["to"]["rss"],
            &value["rss_growth"],
        ] {
            let parts = place.as_object().unwrap();
            let parts = parts.iter();
            let parts = parts.filter(|(key, _)| *key != "bytes");
            let sum: i64 = parts.map(|(_, bytes)| bytes.as_i64().unwrap()).sum();
            assert_eq!(place["bytes"], sum);
        }
        assert_eq!(value["rss_growth"]["heap"], -400);
        assert_eq!(value["rss_growth"]["untouched"], 4);
    }

    /// Check that notes are strings as the table prints them.
    #[test]
    fn notes_are_strings() {
        let mut report = fixture::report();
        report.notes = crate::complaint::notes(12);
        let value = rendered(&report, &View::default());
        let lines: Vec<String> = report.notes.iter().map(ToString::to_string).collect();
        assert_eq!(value["notes"], serde_json::json!(lines));
    }

    /// Check that all rows are there, also those that shrank, that they add up, and that --top cuts them.
    #[test]
    fn all_rows_unless_top() {
        let report = fixture::report();
        let all = rendered(&report, &View::default());
        let rows = all["rows"].as_array().unwrap();
        assert_eq!(rows.len(), report.rows.len());
        let sum: i64 = rows
            .iter()
            .map(|r| r["growth_bytes"].as_i64().unwrap())
            .sum();
        let none = all["unattributed"]["growth_bytes"].as_i64().unwrap();
        assert_eq!(sum + none, all["growth_bytes"].as_i64().unwrap());
        let top = View {
            top: Some(1),
            ..View::default()
        };
        assert_eq!(rendered(&report, &top)["rows"].as_array().unwrap().len(), 1);
        let zero = View {
            top: Some(0),
            ..View::default()
        };
        assert_eq!(
            rendered(&report, &zero)["rows"].as_array().unwrap().len(),
            rows.len()
        );
    }

    /// Check that rows without stacks have all else that they had.
    #[test]
    fn rows_without_stacks() {
        let report = fixture::report();
        let mut all = rendered(&report, &View::default());
        let none = View {
            stacks: Stacks::None,
            ..View::default()
        };
        for row in all["rows"].as_array_mut().unwrap() {
            assert_ne!(row["stack"], serde_json::json!([]));
            row["stack"] = serde_json::json!([]);
        }
        assert_eq!(rendered(&report, &none), all);
    }

    /// Check that no string can drive a terminal, and that each comes back as it was.
    #[test]
    fn strings_survive_and_are_safe() {
        for text in [
            "a\"b\\c",
            "\x1b[2J\u{9b}31m\u{7f}",
            "\u{202e}x\u{feff}",
            "é文\n\t\r\0",
        ] {
            let quoted = string(text);
            assert!(!quoted.chars().any(is_unsafe), "{quoted}");
            assert_eq!(serde_json::from_str::<String>(&quoted).unwrap(), text);
        }
    }
}
