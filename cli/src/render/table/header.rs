//! The two lines above the table: whose growth, between which moments, and how much in all.

use super::distribution;
use crate::mode;
use crate::render::text::{
    blocks, duration, escape, grouped, in_unit, lost, signed_size, size, unit_of,
};
use crate::report::{Amount, End, Errors, Report};
use crate::rss::Rss;
use heapshim_ledger::peak::promised;
use std::cmp::Reverse;
use std::io::{self, Write};

/// `server (pid 4242)   warm → now   60.0 s   exact`
pub(super) fn headline(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let (from, to) = (&report.from.moment, &report.to.moment);
    let in_flight = from.in_flight.max(to.in_flight);
    let exactness = match (
        from.exact && to.exact,
        lost(report.lost_events()),
        in_flight,
    ) {
        (_, Some(lost), _) => lost,
        (true, None, _) => "exact".to_string(),
        (false, None, 0) => "not exact".to_string(),
        (false, None, in_flight) => format!("within {in_flight} events in flight"),
    };
    let exactness = match partly(report) {
        Some(partly) if from.exact && to.exact => partly,
        Some(partly) => format!("{partly}, {exactness}"),
        None => exactness,
    };
    let runs = if report.two_processes {
        "   two processes"
    } else {
        ""
    };
    let others = match report.merged {
        None | Some(0 | 1) => String::new(),
        Some(2) => " and 1 other process".to_string(),
        Some(all) => format!(" and {} other processes", all - 1),
    };
    writeln!(
        out,
        "{} (pid {}){others}   {} → {}   {}   {exactness}{runs}",
        escape(&report.target.name),
        report.target.pid,
        escape(&from.name),
        escape(&to.name),
        duration(from.unix_ns, to.unix_ns),
    )
}

/// `sample=512K, ± in 95 of 100 runs`: where not each event was recorded.
fn partly(report: &Report) -> Option<String> {
    let partly = report.partly?;
    let now = match partly.switched {
        true => format!("switched, now {}", mode::word(partly.mode)),
        false => mode::word(partly.mode),
    };
    let errors = report.errors.map(|_| ", ± in 95 of 100 runs");
    Some(format!("{now}{}", errors.unwrap_or_default()))
}

/// A line each, before any number: what is so, and what to do about it.
pub(super) fn notes(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    report
        .notes
        .iter()
        .try_for_each(|note| writeln!(out, "{note}"))
}

/// `heap +111.2 MiB (131.2 → 242.4), +300,004 blocks · RSS +118.0 MiB: heap 111.2, anonymous maps 4.1, allocator-retained 2.7`
pub(super) fn totals(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    if let Some((measure, all)) = &report.distribution {
        return writeln!(out, "{}", distribution::headline(report, *measure, all));
    }
    if let Some(within) = report.temporary_within {
        return writeln!(out, "{}", temporary(report, within));
    }
    let growth = report.growth;
    write!(
        out,
        "heap {}{} ({}), {}",
        signed_size(growth.bytes),
        off(report, |errors| size(errors.growth.bytes)),
        from_to(growth.bytes, report.from.live.bytes, report.to.live.bytes),
        block_count(report),
    )?;
    write!(out, "{}", peak(report).unwrap_or_default())?;
    write!(out, "{}", rss(report).unwrap_or_default())?;
    writeln!(out)
}

/// `50 of 50,051 blocks, 3.8 KiB of 24.3 MiB, were freed by their thread's next operation`
fn temporary(report: &Report, within: u64) -> String {
    let Amount { bytes, blocks } = report.growth;
    let rows = report.rows.iter().map(|row| row.total);
    let all: Amount = rows.chain([report.unattributed.total]).sum();
    let count = |blocks| grouped(blocks).trim_start_matches('+').to_owned();
    // Rows that share blocks have no sum.
    let [of_blocks, of_bytes] = match report.cumulative {
        true => [String::new(), String::new()],
        false => [count(all.blocks), size(all.bytes)].map(|all| format!(" of {all}")),
    };
    let operation = match within {
        1 => "their thread's next operation".to_owned(),
        more => format!("one of their thread's next {more} operations"),
    };
    let (blocks, bytes) = (count(blocks), size(bytes));
    format!("{blocks}{of_blocks} blocks, {bytes}{of_bytes}, were freed by {operation}")
}

/// `+300,004 blocks`; of samples `+300,004 ± 1,024 blocks`.
fn block_count(report: &Report) -> String {
    let growth = report.growth.blocks;
    let Some(errors) = &report.errors else {
        return blocks(growth);
    };
    let off = grouped(errors.growth.blocks);
    format!(
        "{} ± {} blocks",
        grouped(growth),
        off.trim_start_matches('+')
    )
}

/// ` · peak 250.1 MiB`, where that is more than what both ends have: a peak is kept to within as much.
fn peak(report: &Report) -> Option<String> {
    let ends = report.from.live.bytes.max(report.to.live.bytes).max(0);
    let least = ends.saturating_add(promised(ends, 1));
    let highest = Some(report.peak_bytes).filter(|&bytes| bytes > least)?;
    let together = match report.merged {
        Some(2..) => " (of each, together)",
        _ => "",
    };
    Some(format!(" · peak {}{together}", size(highest)))
}

/// ` ± 3.1 MiB`, where numbers are estimates.
fn off(report: &Report, text: impl Fn(&Errors) -> String) -> String {
    let errors = report.errors.as_ref();
    errors.map_or_else(String::new, |errors| format!(" ± {}", text(errors)))
}

/// ` · RSS +118.0 MiB`, and what explains it. Of a growth since the start, of which no mark is kept, what it is now: ` · RSS 24.3 MiB: …`
fn rss(report: &Report) -> Option<String> {
    let (total, parts) = match (report.rss_growth(), report.to.rss) {
        (Some(growth), _) => (signed_size(growth.total()), explained(&growth)),
        (None, Some(now)) if report.from.moment.rss_bytes == 0 => {
            (size(now.total()), explained(&now))
        }
        _ => match (rss_growth(&report.from, &report.to), report.peak_rss) {
            (Some(growth), _) => (signed_size(growth), String::new()),
            (None, peak) => return peak.map(highest),
        },
    };
    Some(format!(" · RSS {total}{parts}"))
}

/// ` · peak RSS 24.3 MiB (its own or a child's)`: all that is known of a process that has ended.
fn highest(bytes: u64) -> String {
    let bytes = size(i64::try_from(bytes).unwrap_or(i64::MAX));
    format!(" · peak RSS {bytes} (its own or a child's)")
}

/// `: heap 111.2, anonymous maps 4.1`: greatest first, in the sum's unit where all have that; what would be 0.0 is left out.
fn explained(rss: &Rss) -> String {
    let total = rss.total();
    let mut parts = rss.parts().to_vec();
    parts.sort_by_key(|(_, bytes)| Reverse(bytes.unsigned_abs()));
    let unit = parts.first().map_or(0, |(_, greatest)| unit_of(*greatest));
    let in_units_of = |bytes: i64| match unit == unit_of(total) {
        true => in_unit(bytes, unit),
        false => size(bytes),
    };
    let is_zero = |bytes: i64| {
        in_unit(bytes, unit)
            .trim_start_matches('-')
            .trim_matches(['0', '.'])
            .is_empty()
    };
    parts.retain(|(_, bytes)| !is_zero(*bytes));
    let parts = parts
        .iter()
        .map(|(name, bytes)| format!("{name} {}", in_units_of(*bytes)));
    let parts: Vec<String> = parts.collect();
    match parts.is_empty() {
        true => String::new(),
        false => format!(": {}", parts.join(", ")),
    }
}

/// Both ends in the growth's unit, which need not be said twice; each in its own where that would say nothing.
fn from_to(growth: i64, from: i64, to: i64) -> String {
    let unit = unit_of(growth);
    let fits = |bytes: i64| bytes == 0 || unit_of(bytes) == unit;
    if fits(from) && fits(to) && (from, to) != (0, 0) {
        format!("{} → {}", in_unit(from, unit), in_unit(to, unit))
    } else {
        format!("{} → {}", size(from), size(to))
    }
}

/// None where one of the two is not known.
fn rss_growth(from: &End, to: &End) -> Option<i64> {
    let (from, to) = (from.moment.rss_bytes, to.moment.rss_bytes);
    (from != 0 && to != 0).then(|| to.wrapping_sub(from).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    /// Check the ends in parentheses: in the growth's unit where both have it, else each in its own.
    #[test]
    fn ends_of_the_heap() {
        assert_eq!(
            from_to(116_601_651, 137_573_171, 254_174_822),
            "131.2 → 242.4"
        );
        assert_eq!(from_to(64 << 20, 0, 64 << 20), "0.0 → 64.0");
        assert_eq!(
            from_to(12, 137_573_171, 137_573_183),
            "131.2 MiB → 131.2 MiB"
        );
        assert_eq!(from_to(0, 0, 0), "0 B → 0 B");
    }

    /// Check what stands in the place of 'exact', and that two processes are said to be two.
    #[test]
    fn exactness() {
        let line = |exact, in_flight, lost| {
            let mut report = fixture::report();
            report.to.moment.exact = exact;
            report.to.moment.in_flight = in_flight;
            report.to.moment.lost_events = lost;
            report.two_processes = !exact;
            let mut out = Vec::new();
            headline(&report, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert!(line(true, 0, 0).ends_with("60.0 s   exact\n"));
        assert!(line(false, 0, 0).ends_with("   not exact   two processes\n"));
        assert!(line(false, 7, 0).contains("   within 7 events in flight   "));
        assert!(line(false, 0, 1204).contains("   1,204 events lost   "));
        assert!(line(false, 3, 1).contains("   1 event lost   "));
    }

    /// Check that each note has a line of its own directly under the title, and that the totals follow.
    #[test]
    fn notes_come_first() {
        use crate::render::{Render, Table, View};
        let mut report = fixture::report();
        report.notes = crate::complaint::notes(9);
        let mut out = Vec::new();
        Table.render(&report, &View::default(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("server (pid 4242)"), "{text}");
        assert_eq!(lines[1], report.notes[0].to_string());
        assert_eq!(lines[2], report.notes[1].to_string());
        assert!(lines[3].starts_with("heap +"), "{text}");
    }

    /// Check what explains the RSS: greatest first, in one unit where there is one, and what would be nothing is left out.
    #[test]
    fn what_explains_the_rss() {
        let mib = |tenths: i64| tenths * (1 << 20) / 10;
        let mut growth = Rss {
            heap: mib(1112),
            anonymous: mib(41),
            retained: mib(27),
            files: 4096,
            ..Rss::default()
        };
        assert_eq!(
            explained(&growth),
            ": heap 111.2, anonymous maps 4.1, allocator-retained 2.7"
        );
        (growth.retained, growth.anonymous) = (mib(-1112), 0);
        assert_eq!(
            explained(&growth),
            ": heap 111.2 MiB, allocator-retained -111.2 MiB"
        );
        assert_eq!(explained(&Rss::default()), "");
        let mut report = fixture::report();
        let now = Rss {
            heap: mib(10),
            ..Rss::default()
        };
        (report.to.rss, report.from.moment.rss_bytes) = (Some(now), 0);
        assert_eq!(rss(&report).unwrap(), " · RSS 1.0 MiB: heap 1.0");
        report.from.rss = Some(Rss {
            heap: mib(30),
            ..now
        });
        assert_eq!(rss(&report).unwrap(), " · RSS -2.0 MiB: heap -2.0");
    }

    /// Check that the peak is said where it is higher than both ends, by more than it is known to.
    #[test]
    fn peaks() {
        let mut report = fixture::report();
        (report.from.live.bytes, report.to.live.bytes) = (100 << 20, 10 << 20);
        report.peak_bytes = 101 << 20;
        assert_eq!(peak(&report), None);
        report.peak_bytes = 102 << 20;
        assert_eq!(peak(&report).as_deref(), Some(" · peak 102.0 MiB"));
        report.merged = Some(2);
        let together = " · peak 102.0 MiB (of each, together)";
        assert_eq!(peak(&report).as_deref(), Some(together));
        (report.from.live.bytes, report.to.live.bytes) = (-5, 0);
        report.peak_bytes = 65_536;
        assert_eq!(peak(&report), None);
    }

    /// Check that RSS is left out where one of the two is not known.
    #[test]
    fn rss_only_where_known() {
        let mut report = fixture::report();
        assert_eq!(rss_growth(&report.from, &report.to), Some(118 << 20));
        report.to.moment.rss_bytes = 0;
        assert_eq!(rss_growth(&report.from, &report.to), None);
        assert_eq!(rss(&report), None);
        report.peak_rss = Some(24 << 20);
        let peak = " · peak RSS 24.0 MiB (its own or a child's)";
        assert_eq!(rss(&report).as_deref(), Some(peak));
    }
}
