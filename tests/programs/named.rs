//! Rust's threads take their names when they start; one that is given none has its creator's.
use std::io::{Read, Write};
use std::thread;

fn step(word: &str) {
    println!("{word}");
    std::io::stdout().flush().unwrap();
    let mut byte = [0];
    while std::io::stdin().read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {}
}

fn keep(bytes: usize) {
    std::mem::forget(std::hint::black_box(vec![1u8; bytes]));
}

fn main() {
    step("warm");
    for number in 0..4 {
        let name = format!("compactor {number}");
        let builder = thread::Builder::new().name(name);
        builder.spawn(|| keep(10_007)).unwrap().join().unwrap();
    }
    thread::spawn(|| keep(20_011)).join().unwrap();
    step("done");
}
