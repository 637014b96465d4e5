//! CSV (RFC 4180): every row of a report, and last what is in none, so that each column of numbers adds up to the whole.
//!
//! Names are as they are, quoted where they need it: a name that begins with `=` is a name, and a spreadsheet should be told so on import.

use crate::render::{Render, View};
use crate::report::{Amount, Report, Row};
use std::io::{self, Write};

const HEADING: &str = "file,line,function,module,language,via,thread,\
growth_bytes,growth_blocks,live_bytes,live_blocks,total_bytes,total_blocks";

/// For spreadsheets.
#[derive(Clone, Copy, Debug)]
pub struct Csv;

impl Render for Csv {
    fn render(&self, report: &Report, _view: &View<'_>, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "{HEADING}\r\n")?;
        for row in &report.rows {
            let amounts = [row.growth, row.live, row.total];
            write!(out, "{},{}\r\n", names(row), numbers(amounts))?;
        }
        let in_rows: Amount = report.rows.iter().map(|row| row.live).sum();
        let live: Amount = [report.to.live, -in_rows].into_iter().sum();
        let rest = [report.unattributed.growth, live, report.unattributed.total];
        write!(out, ",,[not attributed],,,,,{}\r\n", numbers(rest))
    }
}

fn names(row: &Row) -> String {
    let line = row.line.map(|line| line.to_string());
    let language = Some(row.language.as_str());
    let texts = [
        row.file.as_deref(),
        line.as_deref(),
        row.function.as_deref(),
        row.module.as_deref(),
        language,
        row.via.as_deref(),
        row.thread.as_deref(),
    ];
    texts.map(|text| field(text.unwrap_or_default())).join(",")
}

fn numbers(amounts: [Amount; 3]) -> String {
    amounts
        .map(|amount| format!("{},{}", amount.bytes, amount.blocks))
        .join(",")
}

fn field(text: &str) -> String {
    match text.contains(['"', ',', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::stacks::tests::report;

    /// Check the heading, a row, quotes and commas in a name, and the last line.
    #[test]
    fn lines() {
        let mut report = report();
        report.rows.truncate(2);
        report.rows[0].function = Some("f(\"a\", b)".to_string());
        report.to.live = report.rows.iter().map(|row| row.live).sum();
        let mut out = Vec::new();
        let written = Csv.render(&report, &View::default(), &mut out);
        written.expect("written to memory");
        let text = String::from_utf8(out).expect("UTF-8");
        let expected = [
            HEADING,
            "/usr/lib/python3/aiohttp/web_response.py,56,\"f(\"\"a\"\", b)\",/usr/bin/server,python,,main,\
             116500000,300004,116500001,300004,116504096,300005",
            "/home/u/server/src/conn.c,88,conn_new,/usr/bin/server,c,xmalloc,main,65536,16,65537,16,69632,17",
            ",,[not attributed],,,,,40,1,0,0,0,0",
            "",
        ];
        assert_eq!(text.split("\r\n").collect::<Vec<_>>(), expected);
    }
}
