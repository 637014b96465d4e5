# node: an HTTP server and client in one process, and a worker thread
# for: JIT, threads, own heap
# needs: node
# program: node
# within 3%: its collector and compiler run on other threads
# truncated: code that V8 made has no unwind information, and a stack ends there
cd "$1" || exit 98
cat > a.js <<'J'
const http = require('http'), { Worker, isMainThread, parentPort } = require('worker_threads');
if (!isMainThread) { parentPort.postMessage([...Array(5000).keys()].map(String).join('').length); }
else new Worker(__filename).on('message', (length) => {
  console.log(length);
  const server = http.createServer((q, r) => r.end('x'.repeat(1000))).listen(0, '127.0.0.1', async () => {
    let sum = 0;
    for (let i = 0; i < 100; i++) sum += (await (await fetch(`http://127.0.0.1:${server.address().port}/`)).text()).length;
    console.log(sum); server.close(); process.exit(0);
  });
});
J
node a.js
