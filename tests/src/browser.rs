//! A browser without a window, for what we write for browsers: pages are loaded from files, clicked and typed at, and asked what they show.
//!
//! Chromium, driven through chromedriver by the WebDriver protocol over loopback. The hand-shakes are the protocol's own: the driver says
//! its port, and each command is answered when it has been done. What the page says to its console is kept, so that a test can demand silence.

use crate::needs::{found, needs};
use crate::place::{environment, fresh_directory};
use serde_json::{Value, json};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Without a window, a sandbox (CI runs as root), a graphics card, or anything that would talk to a network by itself.
const OPTIONS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// A machine under load may take its time: the test runner's own limit is the one that counts.
const PATIENCE_MS: u64 = 600_000;

/// Keys that are no letters: the DOM's names, and WebDriver's code points (W3C, "Keyboard actions").
const KEYS: [(&str, char); 14] = [
    ("Shift", '\u{e008}'),
    ("Tab", '\u{e004}'),
    ("Enter", '\u{e007}'),
    ("Escape", '\u{e00c}'),
    ("Space", ' '),
    ("PageUp", '\u{e00e}'),
    ("PageDown", '\u{e00f}'),
    ("End", '\u{e010}'),
    ("Home", '\u{e011}'),
    ("ArrowLeft", '\u{e012}'),
    ("ArrowUp", '\u{e013}'),
    ("ArrowRight", '\u{e014}'),
    ("ArrowDown", '\u{e015}'),
    ("Backspace", '\u{e003}'),
];

/// A browser with one page.
#[derive(Debug)]
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
}

impl Browser {
    /// A browser with a page of this size; None where there is none, and the test is skipped by name.
    ///
    /// # Panics
    /// Where it does not start.
    #[must_use]
    pub fn open(width: u32, height: u32) -> Option<Browser> {
        if !needs(&["chromium", "chromedriver"]) {
            return None;
        }
        let mut driver = Command::new(found("chromedriver")?)
            .arg("--port=0")
            .env_clear()
            .envs(environment())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts");
        let port = port(&mut driver);
        let mut browser = Browser {
            driver,
            port,
            session: String::new(),
        };
        let profile = fresh_directory("browser").display().to_string();
        let mut options: Vec<String> = OPTIONS.map(str::to_string).to_vec();
        options.push(format!("--user-data-dir={profile}"));
        options.push(format!("--window-size={width},{height}"));
        let wanted = json!({
            "browserName": "chrome",
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {"binary": found("chromium")?, "args": options},
            "timeouts": {"script": PATIENCE_MS, "pageLoad": PATIENCE_MS},
        });
        let session = browser.ask(
            "/session",
            &json!({"capabilities": {"alwaysMatch": wanted}}),
        );
        let id = session["sessionId"].as_str().expect("a session");
        browser.session = format!("/session/{id}");
        let page =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        browser.command("Emulation.setDeviceMetricsOverride", &page);
        Some(browser)
    }

    /// Loads a file, and waits until it is loaded.
    pub fn load(&self, file: &Path) {
        let url = format!("file://{}", file.display());
        self.of_session("url", &json!({"url": url}));
    }

    /// What a function with this body returns.
    #[must_use]
    pub fn run(&self, script: &str) -> Value {
        self.of_session("execute/sync", &json!({"script": script, "args": []}))
    }

    /// Waits until the page has said that it is ready: the attribute `data-ready` of its root, set before the event `ready`.
    pub fn wait_until_ready(&self) {
        let script = "const done = arguments[0]; if (document.documentElement.dataset.ready) done(); \
                      else document.addEventListener('ready', () => done());";
        self.of_session("execute/async", &json!({"script": script, "args": []}));
    }

    /// From now on the work of pages is counted: processor time of the page's own thread, which other programs do not make more.
    pub fn count_work(&self) {
        self.command("Performance.enable", &json!({"timeDomain": "threadTicks"}));
    }

    /// The work of the page since it was loaded, in milliseconds.
    ///
    /// # Panics
    /// Where it was not counted.
    #[must_use]
    pub fn work_ms(&self) -> f64 {
        let answer = self.command("Performance.getMetrics", &json!({}));
        let metrics = answer["metrics"].as_array().expect("metrics");
        let mut tasks = metrics.iter().filter(|one| one["name"] == "TaskDuration");
        let seconds = tasks.next().and_then(|one| one["value"].as_f64());
        seconds.expect("the time of tasks") * 1000.0
    }

    /// Gives the page a phone's screen of this size, which no window can be as narrow as.
    pub fn narrow(&self, width: u32, height: u32) {
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": true});
        self.command("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// Has the page believe that its reader's system wants `dark` or `light` colours, and waits until it has been told: that is a part of its next frame, before the
    /// callbacks of that frame (HTML, "update the rendering").
    pub fn prefer(&self, colors: &str) {
        let feature = json!({"name": "prefers-color-scheme", "value": colors});
        self.command(
            "Emulation.setEmulatedMedia",
            &json!({"features": [feature]}),
        );
        let script = "const done = arguments[0]; requestAnimationFrame(() => done());";
        self.of_session("execute/async", &json!({"script": script, "args": []}));
    }

    /// Presses a key on what has the focus, as a keyboard would: a letter, or what the DOM calls the key.
    pub fn press(&self, key: &str) {
        self.keys(&[("keyDown", key), ("keyUp", key)]);
    }

    /// The same while Shift is held down.
    pub fn press_with_shift(&self, key: &str) {
        let shift = "Shift";
        self.keys(&[
            ("keyDown", shift),
            ("keyDown", key),
            ("keyUp", key),
            ("keyUp", shift),
        ]);
    }

    fn keys(&self, events: &[(&str, &str)]) {
        let value = |key: &str| {
            let named = KEYS.iter().find(|(name, _)| *name == key);
            named.map_or_else(|| key.to_string(), |(_, code)| code.to_string())
        };
        let event = |&(kind, key): &(&str, &str)| json!({"type": kind, "value": value(key)});
        let events: Vec<Value> = events.iter().map(event).collect();
        let keyboard = json!({"type": "key", "id": "keyboard", "actions": events});
        self.of_session("actions", &json!({"actions": [keyboard]}));
    }

    /// What a screen reader is told of the page: each node that is not passed over, by role and name.
    #[must_use]
    pub fn spoken(&self) -> Vec<(String, String)> {
        let tree = self.command("Accessibility.getFullAXTree", &json!({}));
        let nodes = tree["nodes"].as_array().expect("a tree").iter();
        let spoken = nodes.filter(|node| node["ignored"] == false);
        let text =
            |node: &Value, what: &str| node[what]["value"].as_str().unwrap_or_default().to_string();
        spoken
            .map(|node| (text(node, "role"), text(node, "name")))
            .collect()
    }

    /// Everything that the page has said to its console since the last time.
    #[must_use]
    pub fn console(&self) -> Vec<String> {
        let log = self.of_session("se/log", &json!({"type": "browser"}));
        let lines = log.as_array().expect("a log").iter();
        lines.map(|line| line["message"].to_string()).collect()
    }

    /// What is seen, as a PNG file in base64.
    #[must_use]
    pub fn screenshot(&self) -> String {
        let picture = self.command("Page.captureScreenshot", &json!({"format": "png"}));
        picture["data"].as_str().expect("a picture").to_string()
    }

    /// A command of the browser's own protocol.
    fn command(&self, name: &str, parameters: &Value) -> Value {
        self.of_session(
            "goog/cdp/execute",
            &json!({"cmd": name, "params": parameters}),
        )
    }

    fn of_session(&self, path: &str, body: &Value) -> Value {
        self.ask(&format!("{}/{path}", self.session), body)
    }

    /// One command of the protocol, and what came of it.
    fn ask(&self, path: &str, body: &Value) -> Value {
        let answer = self.exchange("POST", path, &body.to_string());
        let answer = answer.expect("the driver answers");
        let value = &answer["value"];
        assert!(value["error"].is_null(), "{path}: {value}");
        value.clone()
    }

    fn exchange(&self, method: &str, path: &str, body: &str) -> io::Result<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body.as_bytes())?;
        let mut answer = BufReader::new(stream);
        let (mut line, mut length) = (String::new(), 0);
        while answer.read_line(&mut line)? > 2 {
            let field = line.to_ascii_lowercase();
            if let Some(value) = field.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
            line.clear();
        }
        let mut body = vec![0; length];
        answer.read_exact(&mut body)?;
        serde_json::from_slice(&body).map_err(io::Error::other)
    }
}

/// The port that the driver listens at, by its own word.
fn port(driver: &mut Child) -> u16 {
    let mut said = BufReader::new(driver.stdout.take().expect("a piped stdout"));
    let mut line = String::new();
    loop {
        line.clear();
        let read = said.read_line(&mut line).expect("text");
        assert!(read > 0, "chromedriver has not said its port");
        let Some((_, rest)) = line.split_once("started successfully on port ") else {
            continue;
        };
        let digits = rest.trim().trim_end_matches('.');
        let port = digits.parse().expect("a port");
        // It goes on talking: without a reader it would stand still, or end.
        std::thread::spawn(move || io::copy(&mut said, &mut io::sink()));
        return port;
    }
}

impl Drop for Browser {
    /// The session's end ends the browser, also a failed test's; the driver is ended by hand.
    fn drop(&mut self) {
        let _ = self.exchange("DELETE", &self.session, "");
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
