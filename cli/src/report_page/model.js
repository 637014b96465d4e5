"use strict";
// The data, read once, and what the other two scripts ask of it. All text reaches the page as text: nothing here makes markup of a name.

/** As the command writes sizes: by 1024, one decimal. */
function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
  let value = Math.abs(bytes), unit = 0;
  while (unit < 6 && (unit === 0 ? value : Math.round(value * 10) / 10) >= 1024) { value /= 1024; unit += 1; }
  return (bytes < 0 ? "-" : "") + (unit === 0 ? String(value) : (Math.round(value * 10) / 10).toFixed(1)) + " " + units[unit];
}
function signed(bytes) { return (bytes > 0 ? "+" : "") + size(bytes); }
function counted(count, what) { return count.toLocaleString("en-US") + " " + what + (count === 1 ? "" : "s"); }
function grouped(count) { return (count > 0 ? "+" : "") + count.toLocaleString("en-US"); }

/** An element with a class, text and children; empty texts are left out. */
function element(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children.filter(function (child) { return child !== ""; }));
  return made;
}

class Model {
  constructor(data) {
    Object.assign(this, data);
    const count = this.nodes.depth.length;
    this.parent = new Int32Array(count).fill(-1);
    const open = [];
    for (let node = 0; node < count; node += 1) {
      const depth = this.nodes.depth[node];
      if (depth > 0) this.parent[node] = open[depth - 1];
      open[depth] = node;
    }
    // Where the nodes below one end: they follow it.
    this.end = new Int32Array(count);
    for (let node = count - 1; node >= 0; node -= 1) {
      if (this.end[node] === 0) this.end[node] = node + 1;
      const parent = this.parent[node];
      if (parent >= 0 && this.end[parent] === 0) this.end[parent] = this.end[node];
    }
    this.weigh();
    this.matches = null;
  }

  /** What passes through each node. */
  weigh() {
    const count = this.nodes.depth.length, stacks = this.stacks;
    const weights = { net: new Float64Array(count), growth: new Float64Array(count), live: new Float64Array(count), exact: new Float64Array(count) };
    stacks.node.forEach(function (node, at) {
      weights.net[node] += stacks.growth[at];
      weights.growth[node] += Math.abs(stacks.growth[at]);
      weights.live[node] += Math.max(stacks.live[at], 0);
      weights.exact[node] += stacks.live[at];
    });
    for (const weight of Object.values(weights)) {
      for (let node = count - 1; node > 0; node -= 1) weight[this.parent[node]] += weight[node];
    }
    this.weights = weights;
  }

  text(number) { return this.texts[number]; }
  label(node) { return node === 0 ? "all" : this.text(this.frames.label[this.nodes.frame[node]]); }

  children(node) {
    const all = [];
    for (let child = node + 1; child < this.end[node]; child = this.end[child]) all.push(child);
    return all;
  }

  /** The frames of a stack's node, innermost first. */
  path(node) {
    const frames = [];
    for (; node > 0; node = this.parent[node]) frames.push(this.nodes.frame[node]);
    return frames;
  }

  /** The lines that are charged, with their sums. */
  lineSums() {
    const model = this;
    const lines = this.lines.place.map(function (place, number) {
      return { number: number, place: model.text(place), frame: model.lines.frame[number], via: model.text(model.lines.via[number]),
        growth: 0, blocks: 0, live: 0, total: 0, allocations: 0, stacks: [] };
    });
    this.stacks.line.forEach(function (number, at) {
      const line = lines[number];
      for (const column of ["growth", "blocks", "live", "total", "allocations"]) line[column] += model.stacks[column][at];
      line.stacks.push(at);
    });
    return lines;
  }

  /** Remembers which frames have the words, and says what their stacks come to; null where nothing is looked for. */
  search(words) {
    const wanted = words.trim().toLowerCase();
    if (wanted === "") { this.matches = null; return null; }
    const model = this;
    const has = function (number) { return model.text(number).toLowerCase().includes(wanted); };
    this.matches = this.frames.label.map(function (label, frame) { return has(label) || has(model.frames.file[frame]); });
    const within = new Uint8Array(this.nodes.depth.length);
    const sums = { frames: this.matches.filter(Boolean).length, growth: 0, live: 0, wanted: wanted };
    for (let node = 1; node < within.length; node += 1) {
      within[node] = within[this.parent[node]] || (this.matches[this.nodes.frame[node]] ? 1 : 0);
    }
    this.stacks.node.forEach(function (node, at) {
      if (within[node]) { sums.growth += model.stacks.growth[at]; sums.live += model.stacks.live[at]; }
    });
    return sums;
  }
}

async function read() {
  const packed = atob(document.getElementById("data").textContent);
  const bytes = Uint8Array.from(packed, function (char) { return char.charCodeAt(0); });
  const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Model(await new Response(plain).json());
}
