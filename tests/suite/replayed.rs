//! A recording of a server with threads, replayed: at ten moments of its life it says what the account said then, line by line and to the byte.
//!
//! redis-server with threads that read and write for it, under redis-benchmark. A moment is one at which nothing happens: two marks, one after the other, between which nothing was allocated or freed.
//! What a mark then says is what the recording must say of any instant between the two.

use heapshim_tests::{
    Amount, Diff, Recorded, Recording, Running, Target, environment, found, needs, open_directory,
    programs, talk,
};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Moments that are compared.
const MOMENTS: usize = 10;
/// Requests between two; and in the one in which events are to be lost, which are more than the rings have room for.
const REQUESTS: u32 = 2_000;
const MANY_REQUESTS: u32 = 60_000;
/// How long a moment lasts at least, besides what is not known of when its recording began: what is recorded of time is truer than that.
const APART: Duration = Duration::from_millis(20);
/// Looks at a server that may be busy with itself.
const MOST_LOOKS: usize = 2_000;

/// The server, and where it listens.
struct Server {
    running: Running,
    directory: PathBuf,
}

/// A moment: the mark, and between which times nothing has happened.
struct Moment {
    mark: String,
    quiet: [Instant; 2],
}

impl Moment {
    /// When it was, from the beginning of a recording, which was between these times: whenever that was, nothing happened then.
    fn since(&self, begun: [Instant; 2]) -> Duration {
        let [earliest, latest] = [0, 1].map(|end| self.quiet[end] - begun[end]);
        earliest + (latest - earliest) / 2
    }
}

impl Server {
    /// None, and the calling test is skipped, where it is not installed.
    fn started() -> Option<Server> {
        if !needs(&["redis-server", "redis-benchmark", "redis-cli"]) {
            return None;
        }
        let directory = open_directory("redis");
        let program = found("redis-server").expect("needed");
        let mut target = Target::built(&program, &programs().join("threads.c"));
        let place = directory.display().to_string();
        let socket = format!("{place}/sock");
        for word in ["--port", "0", "--unixsocket", &socket, "--dir", &place] {
            target = target.arg(word);
        }
        for word in [
            "--save",
            "",
            "--io-threads",
            "2",
            "--io-threads-do-reads",
            "yes",
        ] {
            target = target.arg(word);
        }
        let mut server = Server {
            running: target.spawn(),
            directory,
        };
        while !server.talk("redis-cli", &["ping"]) {
            assert!(!server.running.has_ended(), "redis-server does not serve");
        }
        Some(server)
    }

    /// True where a client has done what it was asked for.
    fn talk(&self, client: &str, words: &[&str]) -> bool {
        let mut command = Command::new(client);
        command.env_clear().envs(environment());
        command
            .arg("-s")
            .arg(self.directory.join("sock"))
            .args(words);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.status().expect("the client starts").success()
    }

    fn work(&self, requests: u32) {
        let number = requests.to_string();
        let words = [
            "-t",
            "set,lpush,hset,spop",
            "-r",
            "500",
            "-c",
            "20",
            "--threads",
            "2",
            "-P",
            "16",
            "-q",
        ];
        let worked = self.talk("redis-benchmark", &[&words[..], &["-n", &number]].concat());
        assert!(worked, "redis-benchmark");
    }

    fn mark(&self, name: &str) -> String {
        let path = self.directory.join(name).with_extension("heapmark");
        let (path, pid) = (path.display().to_string(), self.running.pid().to_string());
        talk(&["mark", "-p", &pid, "--force", "-o", &path]);
        path
    }

    /// Looks until nothing happens, for so long.
    fn moment(&self, number: usize, apart: Duration) -> Moment {
        let name = |turn: usize| format!("m{number}-{turn}");
        let mut mark = self.mark(&name(0));
        let mut quiet_from = Instant::now();
        for turn in 1..MOST_LOOKS {
            let quiet_to = Instant::now();
            let next = self.mark(&name(turn));
            let diff = between(&mark, &next);
            match diff.exact() && happened(&diff) == 0 {
                true if quiet_to - quiet_from >= apart => {
                    let quiet = [quiet_from, quiet_to];
                    return Moment { mark, quiet };
                }
                true => (),
                false => (mark, quiet_from) = (next, Instant::now()),
            }
        }
        panic!("the server never rests")
    }

    /// Ends it.
    fn end(self) {
        // It answers nothing to that: it goes.
        let _gone = self.talk("redis-cli", &["shutdown", "nosave"]);
        let _ended = self.running.finish();
    }
}

/// What grew between two marks, by line.
fn between(from: &str, to: &str) -> Diff {
    let words = ["diff", from, to, "--format", "json", "--no-stacks"];
    Diff::read(&String::from_utf8(talk(&words).stdout).expect("UTF-8"))
}

/// Events between two marks, by the account.
fn happened(diff: &Diff) -> u64 {
    let (total, growth) = (diff.total().blocks, diff.growth().blocks);
    (2 * total - growth)
        .try_into()
        .expect("as many as there were")
}

/// Every row: what it is of, and what it came to. Rows of code without lines have names alone, so that several may have the same.
fn rows(diff: &Diff) -> Vec<(String, [i64; 6])> {
    let of = |row: heapshim_tests::Row| {
        let json = &row.json;
        let place = ["file", "line", "function", "module"].map(|key| json[key].to_string());
        let [growth, live, total] = [row.growth(), row.live(), row.total()];
        let numbers = [growth, live, total].map(|amount| [amount.bytes, amount.blocks]);
        (place.join(" "), numbers.concat().try_into().expect("six"))
    };
    let mut all: Vec<(String, [i64; 6])> = diff.rows().into_iter().map(of).collect();
    all.retain(|(_, numbers)| *numbers != [0; 6]);
    all.sort();
    all
}

/// A recording, and the moments in it.
struct Played {
    recorded: Recorded,
    begun: [Instant; 2],
    moments: Vec<Moment>,
}

impl Played {
    /// What the recording says of the time from the first moment to this one.
    fn until(&self, moment: &Moment) -> Diff {
        let [from, to] = [&self.moments[0], moment]
            .map(|moment| format!("{}ms", moment.since(self.begun).as_millis()));
        let options = ["--from", &from, "--to", &to, "--no-stacks"];
        self.recorded.ask("diff", &options).0
    }
}

/// A recording with its moments, the first as soon as it has begun; in one of the rounds between two its reader does not run, where that is wanted.
fn played(server: &Server, options: &[&str], stopped: Option<usize>) -> Played {
    let recording = Recording::of(server.running.pid(), options);
    let begun = recording.begun();
    let apart = begun[1] - begun[0] + APART;
    let mut moments = vec![server.moment(0, apart)];
    for round in 1..=MOMENTS {
        if stopped == Some(round) {
            recording.stop();
            server.work(MANY_REQUESTS);
            recording.signal(libc::SIGCONT);
        } else {
            server.work(REQUESTS);
        }
        moments.push(server.moment(round, apart));
    }
    Played {
        recorded: recording.end(),
        begun,
        moments,
    }
}

/// Check that a recording without losses says of each moment what the mark says.
#[test]
fn at_each_mark() {
    let Some(server) = Server::started() else {
        return;
    };
    let played = played(&server, &["--lossless"], None);
    let (recorded, moments) = (&played.recorded, &played.moments);
    assert_eq!(recorded.lost(), 0, "{}", recorded.said);
    for (number, to) in moments.iter().enumerate().skip(1) {
        let marked = between(&moments[0].mark, &to.mark);
        let replayed = played.until(to);
        assert!(replayed.exact() && happened(&marked) > 0, "moment {number}");
        assert_eq!(rows(&replayed), rows(&marked), "moment {number}");
        assert_eq!(replayed.growth(), marked.growth(), "moment {number}");
        assert_eq!(replayed.total(), marked.total(), "moment {number}");
        replayed.assert_adds_up();
    }
    server.end();
}

/// Check that where events are lost the account goes on to the event: what is missing in the recording is what it says that it lost. Every answer says so, and of the moments before
/// the loss they are still what the marks say.
#[test]
fn with_losses() {
    const STOPPED: usize = 5;
    let Some(server) = Server::started() else {
        return;
    };
    let before = server.moment(MOMENTS + 1, APART);
    let played = played(&server, &[], Some(STOPPED));
    let (recorded, moments) = (&played.recorded, &played.moments);
    let after = server.moment(MOMENTS + 2, APART);
    assert!(recorded.lost() > 0, "{}", recorded.said);
    let all = recorded.events() + recorded.lost();
    let within = [[&moments[0], &moments[MOMENTS]], [&before, &after]]
        .map(|[from, to]| happened(&between(&from.mark, &to.mark)));
    assert!((within[0]..=within[1]).contains(&all), "{all}: {within:?}");
    for (number, to) in moments.iter().enumerate().skip(1) {
        let marked = between(&moments[0].mark, &to.mark);
        let replayed = played.until(to);
        assert!(marked.exact() && !replayed.exact(), "moment {number}");
        assert_eq!(replayed.json()["lost_events"], recorded.lost());
        replayed.assert_adds_up();
        if number < STOPPED {
            assert_eq!(rows(&replayed), rows(&marked), "moment {number}");
        }
    }
    let last = played.until(&moments[MOMENTS]);
    let missing = happened(&between(&moments[0].mark, &moments[MOMENTS].mark)) - happened(&last);
    assert_eq!(missing, recorded.lost(), "as many as it says");
    assert_ne!(last.total(), Amount::default());
    server.end();
}
