//! Examples at the foot of each `--help`. The command's tests run every line of them: what stands here is true.

/// `heapshim --help`
pub(crate) const ALL: &str = "\
Examples:
  heapshim demo               see a leak found
  heapshim run -- ./server    trace a command, and report when it ends
  heapshim help diff          options and examples of a command";

/// `heapshim run --help`
pub(crate) const RUN: &str = "\
Examples:
  heapshim run -- ./server                 report on stderr when it ends
  heapshim run -o report.txt -- ./server   … in a file
  heapshim run --save marks -- make        keep a mark of each process
  heapshim run --merge -- make             the whole tree in one table
  heapshim run --sample 512K -- ./server   a sample: each number with its ±
  heapshim run --quiet -- ./server         no report: look at it meanwhile";

/// `heapshim lib --help`
pub(crate) const LIB: &str = "\
Examples:
  LD_PRELOAD=$(heapshim lib) ./server      the same tracing without `run`";

/// `heapshim ls --help`
pub(crate) const LS: &str = "\
Examples:
  heapshim ls
  heapshim ls --format json";

/// `heapshim top --help`
pub(crate) const TOP: &str = "\
Examples:
  heapshim top                       the only traced process
  heapshim top -p server --every 5s
Keys: ? shows them all. docs/TOP.md has them, too.";

/// `heapshim mark --help`
pub(crate) const MARK: &str = "\
Examples:
  heapshim mark warm                 of the only traced process
  heapshim mark -p server hot        of that name (or pid)
  heapshim mark -o before.heapmark   in a file, to be compared later
  heapshim mark --bundle -o all.heapmark   … and on any machine
  heapshim mark --survivors filled   for `heapshim diff filled --sort survivors`";

/// `heapshim marks --help`
pub(crate) const MARKS: &str = "\
Examples:
  heapshim marks
  heapshim marks --prune";

/// `heapshim diff --help`
pub(crate) const DIFF: &str = "\
Examples:
  heapshim diff                      since the last mark, else since the start
  heapshim diff warm                 since the mark warm
  heapshim diff --for 1s             what grows within a second from now
  heapshim diff -p server start      a process by its name (or pid)
  heapshim diff --by function --top 3 --stacks
  heapshim diff start before.heapmark
  heapshim diff run.heaptrace --from 500ms --sort survivors
  heapshim diff warm --format json -o growth.json
  heapshim diff warm --format json --no-stacks --top 20";

/// `heapshim doctor --help`
pub(crate) const DOCTOR: &str = "\
Examples:
  heapshim doctor                    this system
  heapshim doctor ./server           a command, before it is started
  heapshim doctor -p server          a process that runs (or its pid)";

/// `heapshim mode --help`
pub(crate) const MODE: &str = "\
Examples:
  heapshim mode                      what the only traced process records
  heapshim mode sample=512K          of 512 KiB one byte on average
  heapshim mode -p server exact      every block again, from now on
docs/SAMPLING.md says what is known across a switch.";

/// `heapshim export --help`
pub(crate) const EXPORT: &str = "\
Examples:
  heapshim export --format markdown warm now
  heapshim export --format pprof warm -o growth.pb.gz
  heapshim export --format flamegraph warm -o growth.svg
  heapshim export --format folded start before.heapmark
  heapshim export --format csv run.heaptrace --from 500ms
Then: go tool pprof -http=: growth.pb.gz. docs/EXPORT.md has each viewer.";

/// `heapshim report --help`
pub(crate) const REPORT: &str = "\
Examples:
  heapshim report warm -o report.html
  heapshim report start before.heapmark -o report.html
  heapshim report run.heaptrace --from 500ms -o report.html
docs/REPORT.md says what is on the page.";

/// `heapshim check --help`
pub(crate) const CHECK: &str = "\
Examples:
  heapshim check --max-growth 64K -- ./server
  heapshim check --repeat 3 --per-line 4K -- ./server
  heapshim check --repeat 5 -- ./server --times={}      5 runs: 1, 2 … 5 times
  heapshim check --max-growth 64K --format junit -o growth.xml -- ./server
docs/CHECK.md says what is judged, and how pytest, CTest and cargo use it.";

/// `heapshim serve --help`
pub(crate) const SERVE: &str = "\
Examples:
  heapshim serve --metrics 9464      http://127.0.0.1:9464/metrics
  heapshim serve --metrics 9464 -p server
docs/METRICS.md says what is served.";

/// `heapshim completions --help`
pub(crate) const COMPLETIONS: &str = "\
Examples:
  heapshim completions bash >heapshim.bash   for /etc/bash_completion.d
  heapshim completions zsh >_heapshim        for a directory of $fpath
  heapshim completions fish >heapshim.fish   for ~/.config/fish/completions";

/// `heapshim record --help`
pub(crate) const RECORD: &str = "\
Examples:
  heapshim record --for 1s -o run.heaptrace
  heapshim record -p server --for 1s --lossless --bundle -o all.heaptrace
  heapshim record --for 1s --free-stacks -o run.heaptrace
Then: heapshim diff, peak, lifetimes … docs/TRACE.md has them all.";

/// `heapshim peak --help`
pub(crate) const PEAK: &str = "\
Examples:
  heapshim run --record run.heaptrace -- ./server
  heapshim peak run.heaptrace
  heapshim peak run.heaptrace --by function --stacks";

/// `heapshim temporary --help`
pub(crate) const TEMPORARY: &str = "\
Examples:
  heapshim temporary run.heaptrace
  heapshim temporary run.heaptrace --sort blocks
  heapshim temporary run.heaptrace --within 10   … or one of its next ten
Growth is what was freed so; total is all that the line allocated.";

/// `heapshim lifetimes --help`
pub(crate) const LIFETIMES: &str = "\
Examples:
  heapshim lifetimes run.heaptrace
  heapshim lifetimes run.heaptrace --by function --sort live
  heapshim lifetimes run.heaptrace --format json
Of blocks allocated and freed in it; each place of the bar is a power of two.";

/// `heapshim sizes --help`
pub(crate) const SIZES: &str = "\
Examples:
  heapshim sizes run.heaptrace
  heapshim sizes run.heaptrace --by thread
  heapshim sizes run.heaptrace --format json
Of all blocks allocated in it; each place of the bar is a power of two.";

/// `heapshim timeline --help`
pub(crate) const TIMELINE: &str = "\
Examples:
  heapshim timeline run.heaptrace
  heapshim timeline run.heaptrace --steps 1000 --format json
Live is at the end of a step, highest within it; then the blocks that were
allocated and freed in it.";

/// `heapshim watch --help`
pub(crate) const WATCH: &str = "\
Examples:
  heapshim watch --every 100ms --for 1s
  heapshim watch -p server --wait --per 1000:request
  heapshim watch --every 1s --for 5s --format json
docs/WATCH.md says what the words mean, and how sure they are.";
