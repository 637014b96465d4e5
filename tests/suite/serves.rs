//! `heapshim serve`: the metrics of real processes, with the account's figures, as Prometheus reads them.

use heapshim_tests::{Target, environment, found, fresh_directory, heapshim, needs, talk};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A scrape comes every 5 s, and a machine that is busy may take many times that: who waits longer waits for nothing.
const SCRAPED: Duration = Duration::from_secs(300);

/// A command that runs until it is dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `heapshim serve` of a process, at a port of its own choice, and where that is.
fn serving(pid: u32) -> (Server, SocketAddr) {
    serve(&["-p", &pid.to_string()])
}

fn serve(options: &[&str]) -> (Server, SocketAddr) {
    let mut command = Command::new(heapshim());
    command.args(["serve", "--metrics", "0"]).args(options);
    command.env_clear().envs(environment());
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut server = Server(command.spawn().expect("the command starts"));
    let mut said = BufReader::new(server.0.stdout.take().expect("a piped stdout"));
    let mut line = String::new();
    said.read_line(&mut line).expect("its address");
    let address = line
        .trim()
        .trim_start_matches("http://")
        .trim_end_matches("/metrics");
    let address: SocketAddr = address.parse().expect("an address");
    assert!(address.ip().is_loopback());
    (server, address)
}

/// A page of a server: what comes after its head.
fn get(address: SocketAddr, path: &str, accept: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    body.to_string()
}

/// The value of the series of this name that has all these labels.
fn value(text: &str, name: &str, labels: &[String]) -> i64 {
    let has_all = |line: &&str| {
        line.starts_with(&format!("{name}{{")) && labels.iter().all(|label| line.contains(label))
    };
    let line = text.lines().find(has_all);
    let line = line.unwrap_or_else(|| panic!("no {name} {labels:?} in\n{text}"));
    line.rsplit(' ')
        .next()
        .expect("a value")
        .parse()
        .expect("a number")
}

/// Check that names which one scrape has looked up do not keep the next from finding those of what was loaded meanwhile, also of a library that lies where another did.
#[test]
fn loaded_meanwhile() {
    let [one, two] = crate::plugins::two_plugins();
    let mut running = Target::c("loaded.c").opt("-O0").arg(&one).arg(&two).spawn();
    let (_server, address) = serving(running.pid());
    let scraped = || get(address, "/metrics", "*/*");
    scraped();
    let grown = |text: &str, function: &str| {
        let labels = [format!("function=\"{function}\"")];
        value(text, "heapshim_line_growth_bytes", &labels)
    };
    assert_eq!(running.step(b"go"), "grown");
    assert_eq!(grown(&scraped(), "main"), 53);
    assert_eq!(running.step(b"go"), "one");
    let text = scraped();
    assert_eq!((grown(&text, "main"), grown(&text, "leak_one")), (53, 37));
    assert_eq!(running.step(b"go"), "two");
    // Both plugins come from one line of one file, which has the name of whose blocks are more.
    let text = scraped();
    assert_eq!(
        (grown(&text, "main"), grown(&text, "leak_two")),
        (53, 37 + 41)
    );
}

/// Check that totals are those of `ls`, that the growth of each line since the first scrape is exact, and that promtool finds no fault.
#[test]
fn figures() {
    if !needs(&["promtool"]) {
        return;
    }
    let mut running = Target::c("leak.c").opt("-O0").spawn();
    let (_server, address) = serving(running.pid());
    let pid = vec![format!("pid=\"{}\"", running.pid())];
    let first = get(address, "/metrics", "*/*");
    assert_eq!(value(&first, "heapshim_growth_bytes", &pid), 0);
    assert_eq!(running.step(b"go"), "leaked");
    let text = get(address, "/metrics", "*/*");
    let list = talk(&["ls", "--format", "json"]);
    let list: Value = serde_json::from_slice(&list.stdout).expect("JSON");
    let all = list
        .as_array()
        .or(list["processes"].as_array())
        .expect("a list");
    let of_ls = all
        .iter()
        .find(|one| one["pid"] == running.pid())
        .expect("the target");
    for (name, of_list) in [
        ("heapshim_live_bytes", "live_bytes"),
        ("heapshim_live_blocks", "live_blocks"),
        ("heapshim_allocated_bytes_total", "total_bytes"),
        ("heapshim_allocated_blocks_total", "total_blocks"),
    ] {
        assert_eq!(of_ls[of_list], value(&text, name, &pid), "{name}");
    }
    assert_eq!(
        value(&text, "heapshim_growth_bytes", &pid),
        111 + 1009 + 53 - 5003
    );
    assert_eq!(value(&text, "heapshim_other_growth_bytes", &pid), -5003);
    for (function, bytes, blocks) in [
        ("in_loop", 111, 3),
        ("twice_deep", 1009, 1),
        ("main", 53, 1),
    ] {
        let labels = [
            pid.clone(),
            vec![format!("function=\"{function}\""), "leak.c\"".to_string()],
        ]
        .concat();
        assert_eq!(value(&text, "heapshim_line_growth_bytes", &labels), bytes);
        assert_eq!(value(&text, "heapshim_line_growth_blocks", &labels), blocks);
    }
    let mut promtool = Command::new(found("promtool").expect("promtool is there"));
    promtool
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut checking = promtool.spawn().expect("promtool starts");
    let mut input = checking.stdin.take().expect("a piped stdin");
    input.write_all(text.as_bytes()).expect("it listens");
    drop(input);
    let checked = checking.wait_with_output().expect("its end");
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success() && said.is_empty(), "{said}");
}

/// Check that without a process named all are there (other tests' as well), with no more lines than were asked for, which add up with the rest of
/// the growth; and that one which has ended is forgotten.
#[test]
fn every_process() {
    let start = || Target::c("leak.c").opt("-O0").spawn();
    let (mut one, mut other) = (start(), start());
    let (_server, address) = serve(&["--top", "2"]);
    get(address, "/metrics", "*/*");
    for running in [&mut one, &mut other] {
        assert_eq!(running.step(b"go"), "leaked");
    }
    let text = get(address, "/metrics", "*/*");
    for pid in [one.pid(), other.pid()] {
        let pid = format!("pid=\"{pid}\"");
        let lines = text.lines().filter(|line| line.contains(&pid));
        let lines = lines.filter(|line| line.starts_with("heapshim_line_growth_bytes{"));
        assert_eq!(lines.count(), 2, "{pid} {text}");
        let value = |name, function: &str| value(&text, name, &[pid.clone(), function.to_string()]);
        let first = value("heapshim_line_growth_bytes", "function=\"twice_deep\"");
        let second = value("heapshim_line_growth_bytes", "function=\"in_loop\"");
        let rest = value("heapshim_other_growth_bytes", "");
        assert_eq!((first, second, rest), (1009, 111, 53 - 5003));
    }
    let gone = format!("pid=\"{}\"", one.pid());
    assert!(one.finish().0.success());
    let text = get(address, "/metrics", "*/*");
    assert!(!text.contains(&gone), "{text}");
    assert!(text.contains(&format!("pid=\"{}\"", other.pid())), "{text}");
}

/// Prometheus with this configuration, at a port of its own choice, and where that is.
fn prometheus(config: &Path, data: &Path) -> (Server, SocketAddr) {
    let mut command = Command::new(found("prometheus").expect("prometheus is there"));
    command.arg(format!("--config.file={}", config.display()));
    command.arg(format!("--storage.tsdb.path={}", data.display()));
    command.arg("--web.listen-address=127.0.0.1:0");
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let child = command.stderr(Stdio::piped()).spawn();
    let mut server = Server(child.expect("prometheus starts"));
    let said = server.0.stderr.take().expect("a piped stderr");
    let mut lines = BufReader::new(said).lines().map_while(Result::ok);
    let mut said = String::new();
    let listens = lines.find_map(|line| {
        said.push_str(&line);
        let (_, address) = line.split_once("Listening on\" address=")?;
        address.trim().parse().ok()
    });
    // What it says later must not fill the pipe.
    std::thread::spawn(move || lines.for_each(drop));
    let address = listens.unwrap_or_else(|| panic!("prometheus does not listen: {said}"));
    (server, address)
}

/// What a server answers, without its head; empty where it does not.
fn ask(address: SocketAddr, query: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let request = format!("GET {query} HTTP/1.0\r\nHost: a\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let body = answer.split_once("\r\n\r\n");
    body.map_or_else(String::new, |(_, body)| body.to_string())
}

/// Check that Prometheus itself scrapes it, as OpenMetrics, and has the exact figures.
#[test]
fn scraped_by_prometheus() {
    if !needs(&["prometheus"]) {
        return;
    }
    let running = Target::c("leak.c").opt("-O0").spawn();
    let (_server, address) = serving(running.pid());
    let directory = fresh_directory("prometheus");
    let config = format!(
        "global: {{scrape_interval: 5s, scrape_timeout: 5s}}\nscrape_configs:\n- job_name: heapshim\n  static_configs: [{{targets: ['{address}']}}]\n"
    );
    let file = directory.join("prometheus.yml");
    fs::write(&file, config).expect("written");
    let (mut prometheus, own) = prometheus(&file, &directory.join("data"));
    let query = format!(
        "/api/v1/query?query=heapshim_live_bytes%7Bpid%3D%22{}%22%7D",
        running.pid()
    );
    let begun = Instant::now();
    let live = loop {
        let answer: Value = serde_json::from_str(&ask(own, &query)).unwrap_or(Value::Null);
        if let Some(value) = answer["data"]["result"][0]["value"][1].as_str() {
            break value.to_string();
        }
        let ended = prometheus.0.try_wait().expect("a child of ours");
        assert!(ended.is_none(), "prometheus has ended: {ended:?}");
        assert!(begun.elapsed() < SCRAPED, "not scraped: {answer}");
        std::thread::yield_now();
    };
    let text = get(address, "/metrics", "application/openmetrics-text");
    assert!(text.ends_with("# EOF\n"));
    let pid = [format!("pid=\"{}\"", running.pid())];
    assert_eq!(live, value(&text, "heapshim_live_bytes", &pid).to_string());
}
