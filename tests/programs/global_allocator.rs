//! A Rust program with an allocator of its own, which counts: what is allocated through it is charged to the lines that want it.
use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

struct Counting;

static BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the system's allocator does all of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps `dealloc`'s contract.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn step(word: &str) {
    // Its buffer is there before anybody is told that this step has come.
    let mut input = std::io::stdin();
    println!("{word}");
    std::io::stdout().flush().unwrap();
    let mut byte = [0];
    while input.read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {}
}

fn main() {
    step("warm");
    let boxed = Box::new([7u8; 37]); // row: growth=37/1
    std::mem::forget(std::hint::black_box(boxed));
    let bytes: Vec<u8> = (0..std::hint::black_box(53)).collect(); // row: growth=53/1
    std::mem::forget(std::hint::black_box(bytes));
    let text = std::hint::black_box("a word").repeat(9); // row: growth=54/1
    std::mem::forget(std::hint::black_box(text));
    step("done");
}
