//! What the symbolizer is asked for; the comments at line ends are how the tests find the lines.
#[inline(never)]
fn fill(count: usize) -> Vec<u64> {
    Vec::with_capacity(count) // the vector
}

fn main() {
    let count = std::env::args().count();
    println!("{}", fill(count).capacity());
}
