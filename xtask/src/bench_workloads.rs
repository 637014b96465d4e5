//! What `bench_table` runs: programs of this repository, built here, and some that are installed.
//!
//! A workload whose compiler, program or crates are not here has no `ready`.

use crate::took::Took;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Rows that sqlite is given.
const SQLITE_ROWS: &str = "100000";
/// Requests of each kind that redis answers.
const REQUESTS: &str = "100000";
/// Threads of the rows that show that nothing is shared: their pairs are as many in all.
const THREADS: [u64; 5] = [1, 2, 4, 16, 64];
const PAIRS: u64 = 4_000_000;

/// A row of the table.
pub(crate) struct Workload {
    pub(crate) name: String,
    pub(crate) ready: Option<Ready>,
}

/// What can be run.
pub(crate) enum Ready {
    /// A command.
    Words(Vec<String>),
    /// redis-server, asked by redis-benchmark; its directory.
    Redis(PathBuf),
}

impl Ready {
    /// One run, with this library and this `HEAPSHIM_SAMPLE`, or bare. None where it fails.
    pub(crate) fn run(&self, with: Option<(&str, &str)>) -> Option<Took> {
        let traced = |words: &[String]| {
            let mut command = Command::new(words.first()?);
            command.args(&words[1..]);
            if let Some((library, sample)) = with {
                command.env("LD_PRELOAD", library);
                command.env("HEAPSHIM_SAMPLE", sample);
            }
            Some(command)
        };
        match self {
            Ready::Words(words) => Took::by(&mut traced(words)?),
            Ready::Redis(directory) => {
                let socket = directory.join("socket");
                let _gone = fs::remove_file(&socket);
                serve(&mut traced(&server(directory, &socket))?, &socket)
            }
        }
    }
}

/// All rows.
pub(crate) fn all(root: &Path) -> Vec<Workload> {
    let place = Place {
        sources: root.join("xtask/workloads"),
        made: root.join("target").join("bench"),
    };
    let _made = fs::create_dir_all(&place.made);
    let program = place.made.join("pairs");
    let pairs = crate::pairs::compile(root, &program, &[]).map(|()| program);
    let with = |options: &str| {
        let words = options.split(' ').map(str::to_owned);
        let program = pairs.clone()?.to_string_lossy().into_owned();
        Some(Ready::Words(
            std::iter::once(program).chain(words).collect(),
        ))
    };
    let row = |name: &str, ready| Workload {
        name: name.to_owned(),
        ready,
    };
    let mut rows: Vec<Workload> = Vec::new();
    for threads in THREADS {
        let options = format!("--pairs {} --threads {threads}", PAIRS / threads);
        rows.push(row(&format!("pairs, threads: {threads}"), with(&options)));
    }
    rows.push(row(
        "pairs, 65,536 sites",
        with("--pairs 4000000 --sites 14"),
    ));
    rows.push(row(
        "pairs, 20,000 sizes",
        with("--pairs 1000000 --sizes 20000 --live 100"),
    ));
    rows.push(row("churn (C++)", place.churn()));
    rows.push(row("rust_json", json(root, &place)));
    rows.push(row("cc1plus -O2", place.compiler()));
    rows.push(row("sqlite3", place.sqlite()));
    rows.push(row("redis-server", place.redis()));
    rows
}

struct Place {
    sources: PathBuf,
    made: PathBuf,
}

impl Place {
    fn compile(&self, compiler: &str, options: &[&str], source: &str) -> Option<PathBuf> {
        let program = self.made.join(source).with_extension("");
        let mut command = Command::new(compiler);
        command
            .args(["-O2", "-g"])
            .args(options)
            .arg("-o")
            .arg(&program);
        succeeds(command.arg(self.sources.join(source))).then_some(program)
    }

    fn churn(&self) -> Option<Ready> {
        let program = self.compile("g++", &[], "churn.cpp")?;
        words(&[&program.to_string_lossy(), "400000"])
    }

    /// The compiler proper: the driver only starts it.
    fn compiler(&self) -> Option<Ready> {
        let expanded = self.made.join("churn.ii");
        let mut expand = Command::new("g++");
        expand
            .arg("-E")
            .arg(self.sources.join("churn.cpp"))
            .arg("-o");
        let output = Command::new("g++").arg("-print-prog-name=cc1plus").output();
        let compiler = String::from_utf8(output.ok()?.stdout).ok()?;
        let (compiler, file) = (compiler.trim(), expanded.to_string_lossy());
        let ready = words(&[
            compiler,
            "-quiet",
            "-O2",
            "-fpreprocessed",
            &file,
            "-o",
            "/dev/null",
        ]);
        ready.filter(|_| succeeds(expand.arg(&expanded)))
    }

    fn sqlite(&self) -> Option<Ready> {
        let text = fs::read_to_string(self.sources.join("sqlite.sql")).ok()?;
        let file = self.made.join("sqlite.sql");
        fs::write(&file, text.replace(":N", SQLITE_ROWS)).ok()?;
        let read = format!(".read {}", file.display());
        is_here("sqlite3").then(|| words(&["sqlite3", ":memory:", &read]))?
    }

    fn redis(&self) -> Option<Ready> {
        let all = ["redis-server", "redis-benchmark", "redis-cli"];
        all.iter()
            .all(|program| is_here(program))
            .then(|| Ready::Redis(self.made.clone()))
    }
}

/// The one of `tests/foreign` that reads and writes JSON.
fn json(root: &Path, place: &Place) -> Option<Ready> {
    let target = place.made.join("cargo");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--release", "--locked", "--bin", "json"]);
    cargo
        .arg("--manifest-path")
        .arg(root.join("tests/foreign/Cargo.toml"));
    let is_built = succeeds(cargo.arg("--target-dir").arg(&target));
    let program = target.join("release/json");
    is_built.then(|| words(&[&program.to_string_lossy(), "40"]))?
}

fn words(words: &[&str]) -> Option<Ready> {
    let words = words.iter().map(|word| (*word).to_owned());
    Some(Ready::Words(words.collect()))
}

fn server(directory: &Path, socket: &Path) -> Vec<String> {
    let (directory, socket) = (directory.to_string_lossy(), socket.to_string_lossy());
    let options = [
        "--port",
        "0",
        "--save",
        "",
        "--appendonly",
        "no",
        "--logfile",
        "/dev/null",
    ];
    let places = ["--unixsocket", &socket, "--dir", &directory];
    let words = ["redis-server"].into_iter().chain(options).chain(places);
    words.map(str::to_owned).collect()
}

/// A server from its start to its end, in between it is asked all there is to ask. None where anything fails.
fn serve(server: &mut Command, socket: &Path) -> Option<Took> {
    let asked = |words: &[&str], program: &str| {
        let mut command = Command::new(program);
        succeeds(command.arg("-s").arg(socket).args(words))
    };
    let has_ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let client = scope.spawn(|| {
            while !asked(&["ping"], "redis-cli") && !has_ended.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(20));
            }
            let load = [
                "-n", REQUESTS, "-r", "50000", "-d", "100", "-P", "8", "-c", "20", "-q",
            ];
            let kinds = ["-t", "set,get,lpush,lpop,hset,zadd"];
            let answered = asked(&[&load[..], &kinds[..]].concat(), "redis-benchmark");
            asked(&["shutdown", "nosave"], "redis-cli");
            answered
        });
        let took = Took::by(server);
        has_ended.store(true, Ordering::Relaxed);
        let answered = client.join().unwrap_or(false);
        took.filter(|_| answered)
    })
}

fn is_here(program: &str) -> bool {
    succeeds(Command::new(program).arg("--version"))
}

fn succeeds(command: &mut Command) -> bool {
    let quiet = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}
