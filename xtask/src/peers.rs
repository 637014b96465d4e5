//! Other tracers: what each puts before a command, and whether it is here.
//!
//! Used by `bench` (the table of docs/PERFORMANCE.md) and `compare` (that of docs/COMPARISON.md).

use std::path::Path;
use std::process::Command;

/// A tool: its name, the words and variables that it puts before a command; `@` is a directory for what it writes.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    words: Vec<String>,
    variables: Vec<(&'static str, String)>,
}

impl Tool {
    pub(crate) fn new(
        name: &'static str,
        words: &[&str],
        variables: &[(&'static str, &str)],
    ) -> Tool {
        let words = words.iter().map(|word| (*word).to_owned());
        let variables = variables
            .iter()
            .map(|(key, value)| (*key, (*value).to_owned()));
        Tool {
            name,
            words: words.collect(),
            variables: variables.collect(),
        }
    }

    /// The command under this tool. None where it is not here, or understands scripts of Python alone and this is none.
    pub(crate) fn command(&self, words: &[String], directory: &Path) -> Option<Command> {
        let is_script = words[0]
            .rsplit('/')
            .next()
            .is_some_and(|name| name.starts_with("python3"));
        let of_python = matches!(self.name, MEMRAY | TRACEMALLOC);
        if of_python && !is_script {
            return None;
        }
        let preload = self.variables.iter().find(|(key, _)| *key == "LD_PRELOAD");
        if preload.is_some_and(|(_, library)| !is_loadable(library)) {
            return None;
        }
        let at = |text: &String| text.replace('@', &directory.to_string_lossy());
        let own = self.words.iter().map(at);
        let words: Vec<String> = match self.name {
            // A module of the script's own interpreter.
            MEMRAY => {
                let module = [&words[0], "-m", "memray"].map(str::to_owned);
                let rest = words[1..].iter().cloned();
                module.into_iter().chain(own).chain(rest).collect()
            }
            _ => own.chain(words.iter().cloned()).collect(),
        };
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        command.envs(self.variables.iter().map(|(key, value)| (*key, at(value))));
        Some(command)
    }
}

/// Of scripts of Python alone.
const MEMRAY: &str = "memray --native";
const TRACEMALLOC: &str = "tracemalloc";

/// Those that keep every event, which are what our exact account is measured against: the first ones of `all`.
pub(crate) fn exact() -> Vec<Tool> {
    let is_exact = |tool: &Tool| tool.name.starts_with("heaptrack") || tool.name == "bytehound";
    let all = all().into_iter();
    all.filter(|tool| is_exact(tool) || tool.name == MEMRAY)
        .collect()
}

/// All that are known here, whether installed or not.
pub(crate) fn all() -> Vec<Tool> {
    let bytehound = std::env::var("BYTEHOUND_SO");
    let bytehound = bytehound.as_deref().unwrap_or("libbytehound.so");
    let jemalloc = [
        ("LD_PRELOAD", "libjemalloc.so.2"),
        (
            "MALLOC_CONF",
            "prof:true,prof_final:true,lg_prof_sample:19,prof_prefix:@/jeprof",
        ),
    ];
    let tcmalloc = [
        ("LD_PRELOAD", "libtcmalloc.so.4"),
        ("HEAPPROFILE", "@/gperftools"),
    ];
    vec![
        Tool::new(
            "heaptrack --raw",
            &["heaptrack", "--raw", "-o", "@/raw"],
            &[],
        ),
        Tool::new("heaptrack", &["heaptrack", "-o", "@/heaptrack"], &[]),
        Tool::new(
            "bytehound",
            &[],
            &[
                ("LD_PRELOAD", bytehound),
                ("MEMORY_PROFILER_OUTPUT", "@/bytehound.dat"),
            ],
        ),
        Tool::new(
            "valgrind massif",
            &["valgrind", "--tool=massif", "--massif-out-file=@/massif"],
            &[],
        ),
        Tool::new(
            "valgrind DHAT",
            &["valgrind", "--tool=dhat", "--dhat-out-file=@/dhat"],
            &[],
        ),
        Tool::new("jemalloc, sampled", &[], &jemalloc),
        Tool::new("gperftools", &[], &tcmalloc),
        Tool::new(MEMRAY, &["run", "--native", "-f", "-o", "@/memray"], &[]),
        Tool::new(TRACEMALLOC, &[], &[("PYTHONTRACEMALLOC", "25")]),
    ]
}

/// The loader only complains of a library that it does not find, and goes on without.
fn is_loadable(library: &str) -> bool {
    let output = Command::new("true").env("LD_PRELOAD", library).output();
    output.is_ok_and(|output| output.stderr.is_empty())
}
