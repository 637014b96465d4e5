//! Memory through the libraries that Rust programs are made of: each line keeps what its comment says, bytes/blocks.
//!
//! The suite builds it with cargo, unoptimised, optimised and with link-time optimisation: the row is always this file's line.

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::future::FutureExt;
use smallvec::SmallVec;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{Read, Write};
use std::rc::Rc;
use std::sync::Arc;

fn step(word: &str) {
    // No allocation here: plain files on the descriptors, which are not closed.
    let file = |number| {
        // SAFETY: descriptors 0 and 1 are open as long as the process is, and `ManuallyDrop` does not close them.
        let file = unsafe { <std::fs::File as std::os::fd::FromRawFd>::from_raw_fd(number) };
        std::mem::ManuallyDrop::new(file)
    };
    file(1).write_all(word.as_bytes()).unwrap();
    file(1).write_all(b"\n").unwrap();
    let mut byte = [0];
    while file(0).read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {}
}

fn keep<T>(thing: T) {
    std::mem::forget(std::hint::black_box(thing));
}

fn many() -> usize {
    std::hint::black_box(1009)
}

fn standard() {
    keep(Arc::new([7_u8; 53])); // row: growth=72/1
    keep(Rc::new(many())); // row: growth=24/1
    keep(format!("{:>200}", many())); // row:
    keep((0..many()).map(|n| n as u16).collect::<Vec<_>>()); // row: growth=2018/1
    let mut table = HashMap::new();
    table.insert(many(), many()); // row: growth=84/1
    keep(table);
    let mut tree = BTreeMap::new();
    tree.insert(many(), many()); // row: growth=192/1
    keep(tree);
    let mut queue = VecDeque::new();
    queue.push_back(many()); // row: growth=32/1
    keep(queue);
    keep(many().to_string()); // row:
}

fn crates() {
    let mut buffer = BytesMut::with_capacity(71); // row:
    buffer.put_slice(&[7; 71]);
    keep(buffer);
    keep(Bytes::from(vec![7; many()])); // row: growth=1009/1
    let mut small: SmallVec<[usize; 4]> = SmallVec::new();
    small.extend(0..9); // row: growth=128/1
    keep(small);
    let mut table = hashbrown::HashMap::new();
    table.insert(many(), many()); // row:
    keep(table);
    keep(serde_json::from_str::<serde_json::Value>("{\"a\": [1, {\"b\": null}]}").unwrap()); // row:
    keep(serde_json::to_string(&[many(); 7]).unwrap()); // row:
}

async fn task(count: usize) -> Vec<u8> {
    tokio::task::yield_now().await; // row: growth=0/0
    vec![7; count] // row: growth=2018/2
}

fn asynchronous() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap(); // row:
    runtime.block_on(async { // row:
        keep(task(many()).await);
        let spawned = tokio::spawn(task(many())); // row:
        keep(spawned.await.unwrap());
        keep(async { many() }.boxed()); // row:
    });
    keep(runtime);
}

fn main() {
    step("warm");
    standard();
    crates();
    asynchronous();
    step("done");
}
