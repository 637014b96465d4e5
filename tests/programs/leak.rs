//! Known answer in Rust: memory of the standard library's types is charged to the line that asks for it.
use std::collections::VecDeque;
use std::io::{Read, Write};

fn step(word: &str) {
    // SAFETY: descriptor 1 is open as long as the process is, and `ManuallyDrop` does not close it.
    let mut out = std::mem::ManuallyDrop::new(unsafe { <std::fs::File as std::os::fd::FromRawFd>::from_raw_fd(1) });
    // No allocation here: a block that is freed after the word was said would be a race with whoever heard it.
    out.write_all(word.as_bytes()).unwrap();
    out.write_all(b"\n").unwrap();
    // SAFETY: the same of descriptor 0.
    let mut stdin = std::mem::ManuallyDrop::new(unsafe { <std::fs::File as std::os::fd::FromRawFd>::from_raw_fd(0) });
    let mut byte = [0];
    while stdin.read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {}
}

fn boxed(times: usize) {
    for _ in 0..times {
        let block = Box::new([7u8; 37]); // row: growth=111/3 total=111/3 function=leak::boxed
        std::hint::black_box(Box::leak(block));
    }
}

fn collected(count: usize) -> Vec<u8> {
    let mut list = Vec::with_capacity(53); // row: growth=0/0 total=53/1 function=leak::collected
    list.resize(53, 1u8);
    list.reserve_exact(count); // row: growth=1062/1 total=1062/1 function=leak::collected
    list
}

fn zeroed() -> Box<[u8]> {
    vec![0u8; 100_003].into_boxed_slice() // row: growth=100003/1 total=100003/1 function=leak::zeroed
}

fn named(letters: usize) -> String {
    "x".repeat(letters) // row: growth=71/1 total=71/1 function=leak::named
}

fn given_back() {
    let line = VecDeque::<u8>::with_capacity(97); // row: growth=0/0 total=97/1 function=leak::given_back
    drop(std::hint::black_box(line));
}

fn main() {
    step("warm");
    boxed(3);
    std::mem::forget(std::hint::black_box(collected(1009)));
    std::mem::forget(std::hint::black_box(zeroed()));
    std::mem::forget(std::hint::black_box(named(71)));
    given_back();
    step("done");
}
