//! What `watch` prints for programs: one JSON object a line, first the heap, then every line that changed.

use super::text::{Looks, Per, float};
use super::{Course, Followed, Series};
use crate::model::Process;
use crate::place::Place;
use crate::report::Amount;
use serde_json::{Map, Value, json};

/// All of it; each line is an object by itself.
#[must_use]
pub fn json(series: &Series, process: &Process, looks: &Looks<'_>) -> String {
    let mut heap = object(json!({
        "schema": 1,
        "kind": "heap",
        "pid": process.pid,
        "name": process.name,
        "snapshots": series.len(),
    }));
    heap.extend(judged(&series.whole(), looks));
    let mut text = format!("{}\n", Value::Object(heap));
    for followed in series.lines() {
        text.push_str(&format!("{}\n", line(&followed, looks)));
    }
    text
}

fn line(followed: &Followed, looks: &Looks<'_>) -> Value {
    let (file, line, module, address) = match &followed.place {
        Place::Line(file, 0) => (Some(file), None, None, None),
        Place::Line(file, line) => (Some(file), Some(*line), None, None),
        Place::Address(module, address) => {
            (None, None, module.as_ref(), Some(format!("{address:#x}")))
        }
    };
    let mut object = object(json!({
        "schema": 1,
        "kind": "line",
        "file": file,
        "line": line,
        "module": module,
        "address": address,
        "function": followed.function,
    }));
    object.extend(judged(&followed.course, looks));
    Value::Object(object)
}

fn judged(course: &Course, looks: &Looks<'_>) -> Map<String, Value> {
    let (growth, trend) = (course.growth, &course.trend);
    let (least, most) = trend.between;
    let mut judged = object(json!({
        "growth_bytes": growth.bytes,
        "growth_blocks": growth.blocks,
        "trend": trend.class.as_str(),
        "per": looks.unit.name(),
        "rate_bytes": trend.slope,
        "rate_bytes_between": [least, most],
        "sure": trend.sure,
    }));
    if let Some(error) = course.error {
        judged.extend(object(json!({
            "growth_bytes_error": error.bytes,
            "growth_blocks_error": error.blocks,
        })));
    }
    if let Some(per) = looks.per.as_ref().filter(|per| per.count > 0) {
        judged.extend(divided(growth, per));
    }
    judged
}

/// What one of what was counted has left behind.
fn divided(growth: Amount, per: &Per) -> Map<String, Value> {
    let each = |number: i64| float(number) / float(i64::try_from(per.count).unwrap_or(i64::MAX));
    object(json!({
        "divided_by": { "count": per.count, "name": per.what },
        "bytes_each": each(growth.bytes),
        "blocks_each": each(growth.blocks),
    }))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::report::Errors;
    use crate::series::Unit;

    /// Check each object of a leak of 40 bytes at each step, and of an address that has no line.
    #[test]
    fn objects() {
        let mut series = Series::new(0.0);
        for at in 1_u32..20 {
            let mut report = fixture::report();
            report.rows.swap(1, 2);
            report.rows.truncate(2);
            report.rows[0].growth = fixture::amount(i64::from(at) * 40, i64::from(at));
            report.rows[1].growth = fixture::amount(9000, 1);
            report.growth = fixture::amount(i64::from(at) * 40 + 9000, i64::from(at) + 1);
            report.errors = Some(Errors {
                growth: fixture::amount(123, 2),
                ..Errors::default()
            });
            series.add(f64::from(at), &report);
        }
        let looks = Looks {
            unit: Unit::Step,
            per: Some(Per {
                count: 38,
                what: "request".to_owned(),
            }),
            top: 0,
            current_dir: None,
        };
        let text = json(&series, &fixture::process(7), &looks);
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(
            (&lines[0]["kind"], &lines[0]["snapshots"]),
            (&json!("heap"), &json!(20))
        );
        assert_eq!(lines[0]["growth_bytes"], 9760);
        let error = ["growth_bytes_error", "growth_blocks_error"].map(|key| &lines[0][key]);
        assert_eq!(error, [&json!(123), &json!(2)]);
        let leak = &lines[1];
        assert_eq!(
            (&leak["trend"], &leak["line"]),
            (&json!("grows"), &json!(56))
        );
        assert_eq!(
            (&leak["rate_bytes"], &leak["per"]),
            (&json!(40.0), &json!("step"))
        );
        assert_eq!(leak["rate_bytes_between"], json!([40.0, 40.0]));
        assert_eq!(leak["divided_by"], json!({"count": 38, "name": "request"}));
        assert_eq!(
            (&leak["bytes_each"], &leak["blocks_each"]),
            (&json!(20.0), &json!(0.5))
        );
        assert!(leak.get("growth_bytes_error").is_none());
        let address = &lines[2];
        assert_eq!(
            (&address["file"], &address["address"]),
            (&Value::Null, &json!("0x8f1c2"))
        );
    }
}
