//! Rust can leak without `unsafe` and without a leak in any checker's sense: observers are added, and none is ever taken away.
//!
//! The right answer: two lines grow with each client. The message that each observer keeps is made by `Observer::new`; the list
//! that holds them, which doubles now and then, is in `Hub::subscribe`. `answer` allocates as much, and gives it back.

#![allow(clippy::print_stdout, reason = "a program for people")]

use std::io::BufRead;

struct Observer {
    greeting: Box<[u8]>,
}

impl Observer {
    fn new() -> Observer {
        // row: growth=301000/1000 function=observers::Observer::new
        let greeting = vec![b'h'; 301].into_boxed_slice();
        Observer { greeting }
    }
}

#[derive(Default)]
struct Hub {
    observers: Vec<Observer>,
}

impl Hub {
    fn subscribe(&mut self) -> &Observer {
        // row: function=observers::Hub::subscribe
        self.observers.push(Observer::new());
        &self.observers[self.observers.len() - 1]
    }
}

fn answer(observer: &Observer) -> usize {
    // row: growth=0/0 total=301000/1000 function=observers::answer
    let reply = observer.greeting.to_vec();
    std::hint::black_box(&reply).len()
}

/// Serves a thousand clients each time a line is read.
fn main() {
    let mut hub = Hub::default();
    let mut line = String::with_capacity(80);
    println!("ready");
    while std::io::stdin()
        .lock()
        .read_line(&mut line)
        .is_ok_and(|bytes| bytes > 0)
    {
        let bytes: usize = (0..1000).map(|_| answer(hub.subscribe())).sum();
        println!("{bytes} bytes sent");
        line.clear();
    }
}
