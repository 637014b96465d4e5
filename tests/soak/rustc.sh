# rustc: a crate of generic code and threads is compiled, linked and run
# for: an allocator that nobody sees, threads, big code
# needs: rustc cc
# program: rustc
# uncounted: its malloc is its own (jemalloc, exported by the program itself), which its report says first
cd "$1" || exit 98
cat > a.rs <<'R'
use std::collections::HashMap;
fn main() {
    let made: Vec<_> = (0..4).map(|n| std::thread::spawn(move || (0..1000u64).map(|i| (i * n).to_string()).collect::<Vec<_>>())).collect();
    let mut count = HashMap::new();
    for text in made.into_iter().flat_map(|thread| thread.join().unwrap()) { *count.entry(text.len()).or_insert(0) += 1; }
    let mut count: Vec<_> = count.into_iter().collect();
    count.sort_unstable();
    println!("{count:?}");
}
R
# A version manager keeps its compilers in the home directory.
export HOME="$(getent passwd "$(id -un)" | cut -d: -f6)"
rustc --edition 2021 -O a.rs && ./a
