//! As check.c: a vector that doubles, and a box that a leaky time forgets.

use std::os::raw::{c_char, c_int, c_void};

extern "C" {
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// As heapshim_mark_if_active does it: the library may not be there.
fn mark(name: &[u8]) {
    // SAFETY: null is RTLD_DEFAULT; the name ends in a zero byte.
    let found = unsafe { dlsym(std::ptr::null_mut(), b"heapshim_mark\0".as_ptr().cast()) };
    // SAFETY: of this name there is only heapshim.h's function; None is null.
    let mark: Option<extern "C" fn(*const c_char) -> c_int> = unsafe { std::mem::transmute(found) };
    if let Some(mark) = mark {
        mark(name.as_ptr().cast());
    }
}

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
        if time == 6 {
            mark(b"steady\0");
        }
    }
    mark(b"end\0");
    std::mem::forget(times);
}
