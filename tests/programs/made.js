// A function that V8 compiles, and that leaks: 40,000 bytes a call, allocated by its C++ code.
const fs = require("fs");
const v8 = require("v8");
const held = [];

// V8 opens a log beside the map, in which nothing is written.
for (const name of fs.readdirSync(".")) if (name.endsWith(`-${process.pid}-v8.log`)) fs.unlinkSync(name);

v8.setFlagsFromString("--no-turbo-inlining");
v8.setFlagsFromString("--expose-gc");
const gc = require("vm").runInNewContext("gc");

function leak() {
  held.push(new ArrayBuffer(40000));
}

function step(word) {
  fs.writeSync(1, word + "\n");
  const line = Buffer.alloc(1);
  let first = "";
  while (fs.readSync(0, line, 0, 1, null) === 1 && line[0] !== 10) first += String.fromCharCode(line[0]);
  return first;
}

// Until it is compiled, and what was held of it is let go.
for (let i = 0; i < 20000; i++) {
  leak();
  if (held.length >= 100) held.length = 0;
}
// The second waits for the thread that frees what the first has found.
gc();
gc();
while (step("ready") === "go") for (let i = 0; i < 1000; i++) leak();
