// The flamegraph: boxes on a canvas, of which only those are drawn that can be seen; and what belongs to all parts.

const TALL = 20;
const NARROWEST = 0.5;
const CHARACTER = 7;
// The sheet of dark colours: it holds where its condition does, which is the system's word or the reader's.
const DARK = document.getElementById("dark");

class Flame {
  constructor(model) {
    this.model = model;
    this.element = document.getElementById("flame");
    this.canvas = this.element.firstElementChild;
    this.status = document.getElementById("flame-status");
    this.whole = document.getElementById("whole");
    this.by = "growth";
    this.flip = false;
    this.zoomed = 0;
    this.selected = 0;
    this.boxes = [];
    this.listen();
    this.draw();
    this.say(0);
  }

  listen() {
    const flame = this;
    document.querySelectorAll("input[name=width]").forEach(function (input) {
      input.addEventListener("change", function () { flame.by = input.value; flame.zoom(0); });
    });
    document.getElementById("flip").addEventListener("change", function (event) { flame.flip = event.target.checked; flame.draw(); });
    this.whole.addEventListener("click", function () { flame.zoom(0); flame.element.focus(); });
    this.canvas.addEventListener("click", function (event) {
      const box = flame.at(event);
      if (box) flame.zoom(box.node);
    });
    this.canvas.addEventListener("mousemove", function (event) {
      const box = flame.at(event);
      flame.say(box ? box.node : flame.selected);
    });
    this.canvas.addEventListener("mouseleave", function () { flame.say(flame.selected); });
    this.element.addEventListener("keydown", function (event) { if (flame.key(event.key)) event.preventDefault(); });
    new ResizeObserver(function () { flame.draw(); }).observe(this.element);
    document.querySelectorAll("input[name=colors]").forEach(function (input) {
      input.addEventListener("change", function () { DARK.media = input.value; flame.draw(); });
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", function () { flame.draw(); });
  }

  weight(node) { return this.model.weights[this.by][node]; }

  /** The boxes that can be seen, from the zoomed one and what it is in. */
  layout(width) {
    const boxes = [], model = this.model, open = [];
    for (let node = this.zoomed; node >= 0; node = model.parent[node]) {
      boxes.push({ node: node, left: 0, width: width, depth: model.nodes.depth[node] });
    }
    const scale = width / (this.weight(this.zoomed) || 1);
    open.push({ node: this.zoomed, left: 0 });
    while (open.length > 0) {
      const parent = open.pop();
      let left = parent.left;
      for (const child of model.children(parent.node)) {
        const wide = this.weight(child) * scale;
        if (wide >= NARROWEST) {
          boxes.push({ node: child, left: left, width: wide, depth: model.nodes.depth[child] });
          open.push({ node: child, left: left });
        }
        left += wide;
      }
    }
    return boxes;
  }

  draw() {
    const width = this.element.clientWidth;
    if (width === 0) return;
    this.boxes = this.layout(width);
    this.depth = this.boxes.reduce(function (most, box) { return Math.max(most, box.depth); }, 0);
    const tall = (this.depth + 1) * TALL, ratio = Math.min(devicePixelRatio || 1, 32000 / tall);
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(tall * ratio);
    this.canvas.style.width = width + "px";
    this.canvas.style.height = tall + "px";
    const pen = this.canvas.getContext("2d");
    pen.scale(ratio, ratio);
    pen.font = "12px ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace";
    pen.textBaseline = "middle";
    const style = getComputedStyle(document.documentElement);
    const color = function (name) { return style.getPropertyValue(name); };
    const looks = { dark: matchMedia(DARK.media).matches, ink: color("--ink"), paper: color("--paper"), mark: color("--mark") };
    for (const box of this.boxes) this.box(pen, box, looks);
    this.whole.disabled = this.zoomed === 0;
    this.element.setAttribute("aria-label", "Flamegraph of what " + (this.by === "growth" ? "changed" : "is alive"));
  }

  top(depth) { return (this.flip ? this.depth - depth : depth) * TALL; }

  box(pen, box, looks) {
    const model = this.model, top = this.top(box.depth);
    const matches = model.matches && box.node > 0 ? model.matches[model.nodes.frame[box.node]] : false;
    pen.globalAlpha = model.matches && !matches ? 0.35 : 1;
    pen.fillStyle = this.fill(box.node, looks.dark);
    pen.fillRect(box.left, top, Math.max(box.width - 0.5, 0.4), TALL - 1);
    if (matches) {
      pen.fillStyle = looks.mark;
      pen.fillRect(box.left, top + TALL - 4, Math.max(box.width - 0.5, 0.4), 3);
    }
    const room = Math.floor((box.width - 6) / CHARACTER);
    if (room >= 3) {
      const label = model.label(box.node);
      pen.fillStyle = looks.ink;
      pen.fillText(label.length <= room ? label : label.slice(0, room - 1) + "…", box.left + 3, top + TALL / 2);
    }
    pen.globalAlpha = 1;
    if (box.node === this.selected) {
      pen.strokeStyle = looks.ink;
      pen.lineWidth = 2;
      pen.strokeRect(box.left + 1, top + 1, Math.max(box.width - 2, 1), TALL - 3);
    }
  }

  /** Red or blue, the deeper the more of the box is change. */
  fill(node, dark) {
    const weights = this.model.weights, net = weights.net[node];
    const whole = Math.max(weights.growth[node], this.by === "live" ? weights.live[node] : 0, 1);
    const share = Math.min(Math.abs(net) / whole, 1);
    if (net === 0) return dark ? "#33333b" : "#ececf1";
    const hue = net > 0 ? 4 : 212;
    return dark ? "hsl(" + hue + " " + (15 + 45 * share) + "% " + (24 + 12 * share) + "%)" : "hsl(" + hue + " 85% " + (93 - 25 * share) + "%)";
  }

  at(event) {
    const bounds = this.canvas.getBoundingClientRect();
    const x = event.clientX - bounds.left, row = Math.floor((event.clientY - bounds.top) / TALL);
    const depth = this.flip ? this.depth - row : row;
    return this.boxes.find(function (box) { return box.depth === depth && x >= box.left && x < box.left + box.width; });
  }

  zoom(node) {
    this.zoomed = node;
    this.selected = node;
    this.draw();
    this.say(node);
  }

  select(node) {
    if (node === undefined) return;
    this.selected = node;
    this.draw();
    this.say(node);
    const top = this.top(this.model.nodes.depth[node]), view = this.element;
    if (top < view.scrollTop || top + TALL > view.scrollTop + view.clientHeight) view.scrollTop = top - view.clientHeight / 2;
  }

  /** True where the key meant something. */
  key(key) {
    const model = this.model, node = this.selected;
    const inward = this.flip ? "ArrowUp" : "ArrowDown", outward = this.flip ? "ArrowDown" : "ArrowUp";
    const visible = new Set(this.boxes.map(function (box) { return box.node; }));
    const seen = function (nodes) { return nodes.filter(function (one) { return visible.has(one); }); };
    const beside = model.parent[node] >= 0 ? seen(model.children(model.parent[node])) : [node];
    const place = beside.indexOf(node);
    switch (key) {
      case inward: this.select(seen(model.children(node))[0]); return true;
      case outward: if (node > 0) this.select(model.parent[node]); return true;
      case "ArrowLeft": this.select(beside[place - 1]); return true;
      case "ArrowRight": this.select(beside[place + 1]); return true;
      case "Home": this.select(0); return true;
      case "Enter": this.zoom(node); return true;
      case "Escape": this.zoom(0); return true;
      default: return false;
    }
  }

  /** What a box stands for, in words: for the eye under the picture, and for the ear. */
  say(node) {
    const model = this.model, weights = model.weights;
    const share = this.weight(0) > 0 ? (100 * this.weight(node) / this.weight(0)).toFixed(1) + " %" : "";
    const parts = [model.label(node) + ": growth " + signed(weights.net[node]) + " (" + grouped(weights.net[node]) + " B)",
      size(weights.exact[node]) + " alive", share + " of the width"];
    const frame = model.nodes.frame[node];
    const file = node > 0 ? model.text(model.frames.file[frame]) : "";
    const source = node > 0 ? model.text(model.frames.source[frame]) : "";
    this.status.replaceChildren(parts.join(" · "));
    if (file !== "") this.status.append(element("span", "reason", " · " + file));
    if (source !== "") this.status.append(element("code", "source", source));
  }
}

/** The words that are looked for: typed, or gone by Escape; "/" goes there from wherever no text is typed. */
function listenToSearch(model, table, flame) {
  const search = document.getElementById("search"), found = document.getElementById("found");
  const look = function () {
    const sums = model.search(search.value);
    found.textContent = sums ? counted(sums.frames, "frame") + ": growth " + signed(sums.growth) + ", " + size(sums.live) + " alive" : "";
    table.search(sums ? sums.wanted : "");
    flame.draw();
  };
  search.form.addEventListener("submit", function (event) { event.preventDefault(); });
  search.addEventListener("input", look);
  search.addEventListener("keydown", function (event) {
    if (event.key !== "Escape") return;
    event.preventDefault();
    search.value = "";
    look();
  });
  document.addEventListener("keydown", function (event) {
    if (event.key !== "/" || event.target === search || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    search.focus();
    search.select();
  });
}

read().then(function (model) {
  const table = new Table(model);
  performance.mark("lines");
  const flame = new Flame(model);
  performance.mark("stacks");
  if (model.timeline) new Timeline(model.timeline);
  listenToSearch(model, table, flame);
  document.documentElement.dataset.ready = "true";
  document.dispatchEvent(new Event("ready"));
}).catch(function (error) {
  document.getElementById("trouble").textContent = "The data could not be read: " + error.message;
});
