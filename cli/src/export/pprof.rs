//! pprof's profile: a gzipped protocol buffer, `profile.proto` of github.com/google/pprof (the field numbers are its own).
//!
//! Four values a stack, by the names that Go's heap profiles have: what was allocated between the two marks and what it grew by, in blocks
//! and bytes. From `start`, what grew is what is alive: two such profiles are what `-diff_base` subtracts. An inlined function is a line of
//! its caller's location, as the format wants it. Addresses are the module's file's.

use super::stacks::{self, Weighed, name};
use crate::render::{Render, View, lost};
use crate::report::Report;
use crate::symbolize::SymbolFrame;
use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;
use std::collections::HashMap;
use std::io::{self, Write};

/// For go tool pprof.
#[derive(Clone, Copy, Debug)]
pub struct Pprof;

impl Render for Pprof {
    fn render(&self, report: &Report, _view: &View<'_>, out: &mut dyn Write) -> io::Result<()> {
        let mut zipped = GzEncoder::new(out, Compression::default());
        zipped.write_all(&profile(report).encode_to_vec())?;
        zipped.finish().map(drop)
    }
}

#[derive(Clone, PartialEq, Message)]
struct Profile {
    #[prost(message, repeated, tag = "1")]
    sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    sample: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    mapping: Vec<Mapping>,
    #[prost(message, repeated, tag = "4")]
    location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    string_table: Vec<String>,
    #[prost(int64, tag = "9")]
    time_nanos: i64,
    #[prost(int64, tag = "10")]
    duration_nanos: i64,
    #[prost(int64, repeated, tag = "13")]
    comment: Vec<i64>,
    #[prost(int64, tag = "14")]
    default_sample_type: i64,
}

#[derive(Clone, PartialEq, Message)]
struct ValueType {
    #[prost(int64, tag = "1")]
    r#type: i64,
    #[prost(int64, tag = "2")]
    unit: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(uint64, repeated, tag = "1")]
    location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    value: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct Mapping {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "5")]
    filename: i64,
    // What has no name has none to be found: pprof is not to look for the files again.
    #[prost(bool, tag = "7")]
    has_functions: bool,
    #[prost(bool, tag = "8")]
    has_filenames: bool,
    #[prost(bool, tag = "9")]
    has_line_numbers: bool,
    #[prost(bool, tag = "10")]
    has_inline_frames: bool,
}

#[derive(Clone, PartialEq, Eq, Hash, Message)]
struct Location {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(uint64, tag = "2")]
    mapping_id: u64,
    #[prost(uint64, tag = "3")]
    address: u64,
    #[prost(message, repeated, tag = "4")]
    line: Vec<Line>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Message)]
struct Line {
    #[prost(uint64, tag = "1")]
    function_id: u64,
    #[prost(int64, tag = "2")]
    line: i64,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Message)]
struct Function {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "2")]
    name: i64,
    #[prost(int64, tag = "3")]
    system_name: i64,
    #[prost(int64, tag = "4")]
    filename: i64,
}

fn profile(report: &Report) -> Profile {
    let mut pools = Pools::new();
    let sample = stacks::weighed(report);
    let sample = sample.iter().map(|one| pools.sample(one)).collect();
    let types = [
        ("alloc_objects", "count"),
        ("alloc_space", "bytes"),
        ("inuse_objects", "count"),
        ("inuse_space", "bytes"),
    ];
    let sample_type = types.map(|(name, unit)| ValueType {
        r#type: pools.string(name),
        unit: pools.string(unit),
    });
    let (from, to) = (&report.from.moment, &report.to.moment);
    let comment = comments(report).iter().map(|c| pools.string(c)).collect();
    Profile {
        sample_type: sample_type.to_vec(),
        sample,
        time_nanos: to.unix_ns.cast_signed(),
        duration_nanos: to.unix_ns.abs_diff(from.unix_ns).cast_signed(),
        comment,
        default_sample_type: pools.string("inuse_space"),
        mapping: pools.mappings,
        location: pools.locations,
        function: pools.functions,
        string_table: pools.strings,
    }
}

/// What `go tool pprof -comments` prints.
fn comments(report: &Report) -> Vec<String> {
    let (from, to) = (&report.from.moment.name, &report.to.moment.name);
    let (name, pid) = (&report.target.name, report.target.pid);
    let first = format!("heapshim: {name} (pid {pid}) {from} -> {to}");
    let notes = report.notes.iter().map(ToString::to_string);
    let all = std::iter::once(first).chain(lost(report.lost_events()));
    all.chain(notes).collect()
}

/// Everything that a profile has once and refers to by number. Id 0 means none, and string 0 is empty.
#[derive(Default)]
struct Pools {
    strings: Vec<String>,
    known_strings: HashMap<String, i64>,
    mappings: Vec<Mapping>,
    known_mappings: HashMap<String, u64>,
    functions: Vec<Function>,
    known_functions: HashMap<Function, u64>,
    locations: Vec<Location>,
    known_locations: HashMap<Location, u64>,
}

impl Pools {
    fn new() -> Pools {
        let mut pools = Pools::default();
        pools.string("");
        pools
    }

    fn string(&mut self, text: &str) -> i64 {
        if let Some(&known) = self.known_strings.get(text) {
            return known;
        }
        let next = i64::try_from(self.strings.len()).unwrap_or(i64::MAX);
        self.strings.push(text.to_string());
        self.known_strings.insert(text.to_string(), next);
        next
    }

    fn sample(&mut self, one: &Weighed) -> Sample {
        let frames: Vec<&SymbolFrame> = one.stack.iter().collect();
        // A location ends with the function that has a stack frame of its own.
        let locations = frames.split_inclusive(|frame| !frame.inlined);
        Sample {
            location_id: locations.map(|frames| self.location(frames)).collect(),
            value: vec![
                one.total.blocks,
                one.total.bytes,
                one.growth.blocks,
                one.growth.bytes,
            ],
        }
    }

    fn location(&mut self, frames: &[&SymbolFrame]) -> u64 {
        let outer = frames.last();
        let module = outer.and_then(|frame| frame.module.as_deref());
        let mut location = Location {
            id: 0,
            mapping_id: module.map_or(0, |path| self.mapping(path)),
            address: outer.map_or(0, |frame| frame.address),
            line: frames.iter().map(|frame| self.line(frame)).collect(),
        };
        if let Some(&known) = self.known_locations.get(&location) {
            return known;
        }
        let id = self.locations.len() as u64 + 1;
        self.known_locations.insert(location.clone(), id);
        location.id = id;
        self.locations.push(location);
        id
    }

    fn mapping(&mut self, path: &str) -> u64 {
        if let Some(&known) = self.known_mappings.get(path) {
            return known;
        }
        let id = self.mappings.len() as u64 + 1;
        let filename = self.string(path);
        self.known_mappings.insert(path.to_string(), id);
        self.mappings.push(Mapping {
            id,
            filename,
            has_functions: true,
            has_filenames: true,
            has_line_numbers: true,
            has_inline_frames: true,
        });
        id
    }

    fn line(&mut self, frame: &SymbolFrame) -> Line {
        let name = self.string(&name(frame));
        let function = Function {
            id: 0,
            name,
            system_name: name,
            filename: self.string(frame.file.as_deref().unwrap_or_default()),
        };
        let next = self.functions.len() as u64 + 1;
        let id = *self.known_functions.entry(function).or_insert(next);
        if id == next {
            self.functions.push(Function { id, ..function });
        }
        Line {
            function_id: id,
            line: frame.line.map_or(0, i64::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::stacks::tests::report;
    use crate::fixture;
    use crate::symbolize::SymbolFrame;

    /// Check that samples add up to the report, that every id is that of what it means, and that what is the same is there once.
    #[test]
    fn numbers_and_pools() {
        let report = report();
        let profile = profile(&report);
        let sum = |at: usize| -> i64 { profile.sample.iter().map(|one| one.value[at]).sum() };
        assert_eq!(
            (sum(3), sum(2)),
            (report.growth.bytes, report.growth.blocks)
        );
        assert_eq!(profile.string_table[0], "");
        assert_eq!(profile.mapping.len(), 2);
        for (at, location) in (1..).zip(&profile.location) {
            assert_eq!(location.id, at);
            let functions = profile.function.len() as u64;
            assert!(
                location
                    .line
                    .iter()
                    .all(|line| (1..=functions).contains(&line.function_id))
            );
        }
        let malloc = profile.string_table.iter().filter(|text| *text == "malloc");
        assert_eq!(malloc.count(), 1);
    }

    /// Check that inlined functions are lines of one location, innermost first, and that Python code has no mapping.
    #[test]
    fn inlined_functions() {
        let mut report = report();
        report.rows.truncate(1);
        let inlined = |name, line| SymbolFrame {
            inlined: true,
            ..fixture::cpp_frame(name, "/src/a.cc", line)
        };
        let stack = vec![
            inlined("inner", 1),
            inlined("middle", 2),
            fixture::cpp_frame("outer", "/src/a.cc", 3),
            fixture::python_frame("run", "/srv/app.py", 4),
        ];
        report.rows[0].stack = stack.into();
        let profile = profile(&report);
        let stack = &profile.sample[0].location_id;
        let lines = |id: u64| -> Vec<i64> {
            let location = &profile.location[usize::try_from(id).unwrap() - 1];
            location.line.iter().map(|line| line.line).collect()
        };
        assert_eq!(stack.len(), 2);
        assert_eq!((lines(stack[0]), lines(stack[1])), (vec![1, 2, 3], vec![4]));
        assert_eq!(profile.location[1].mapping_id, 0);
    }
}
