//! As check.c: a vector that doubles, and a box that a leaky time forgets.

struct Session([u8; 48]);

fn work(times: &mut Vec<u64>, time: u64, leaky: bool) {
    times.push(time);
    let session = Box::new(Session([0; 48])); // leak
    if leaky {
        std::mem::forget(session);
    }
}

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let count: u64 = words[1].parse().unwrap();
    let mut times = Vec::new();
    for time in 1..=count {
        work(&mut times, time, words[2] == "leaky");
    }
    std::mem::forget(times);
}
