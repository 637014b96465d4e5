# chromium: a page with a script is rendered without a window, in processes of its own
# for: an allocator that nobody sees, zygotes, many threads, JIT
# needs: chromium
# program: chromium
# uncounted: its malloc is its own (PartitionAlloc), which its report says first
# truncated: code that V8 made has no unwind information
cd "$1" || exit 98
cat > a.html <<'H'
<p id=p></p><script>p.textContent = Array.from({length: 1000}, (_, i) => i * i).reduce((a, b) => a + b)</script>
H
HOME=$1 chromium --headless --no-sandbox --disable-gpu --user-data-dir="$1/profile" --dump-dom "file://$1/a.html" 2>/dev/null
rm -rf profile .config .cache .pki .local
