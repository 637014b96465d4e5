// What was alive when, of a recording: a filled line in which the part that is compared stands out. It is a slider: the arrow keys go from step to step, with Shift to the
// next that something happened in, and what a step came to is said under the picture. What happened is drawn and listed by `happened.js`.

const HIGH = 1000;

/** As the command writes times: three digits, s below five minutes, min below two hours. */
function time(ns) {
  const ms = Math.floor(ns / 1e6), tenths = function (every, unit) { return (Math.floor(ms * 10 / every) / 10).toFixed(1) + " " + unit; };
  if (ms < 1000) return ms + " ms";
  if (ms < 300000) return tenths(1000, "s");
  if (ms < 7200000) return tenths(60000, "min");
  return ms < 172800000 ? tenths(3600000, "h") : tenths(86400000, "d");
}

function shape(name, className, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  made.setAttribute("class", className);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

class Timeline {
  constructor(data) {
    Object.assign(this, data);
    this.count = this.live.length;
    this.most = this.highest.reduce(function (most, bytes) { return Math.max(most, bytes); }, 1);
    this.selected = this.highest.indexOf(this.most);
    this.element = document.getElementById("timeline");
    this.status = document.getElementById("timeline-status");
    document.getElementById("timeline-part").hidden = false;
    this.draw();
    this.instants = new Happened(this);
    this.listen();
    this.select(Math.max(this.selected, 0));
  }

  /** Where a time is, in steps. */
  place(ns) { return this.step_ns > 0 ? Math.min(ns / this.step_ns, this.count) : 0; }

  /** The line along these amounts, each as wide as its step. */
  line(amounts) {
    const most = this.most;
    const tall = function (bytes) { return HIGH - HIGH * Math.max(bytes, 0) / most; };
    return amounts.map(function (bytes, at) { return at + "," + tall(bytes) + " " + (at + 1) + "," + tall(bytes); }).join(" ");
  }

  draw() {
    const view = shape("svg", "", { viewBox: "0 0 " + this.count + " " + HIGH, preserveAspectRatio: "none", "aria-hidden": "true" });
    const [from, to] = this.between.map(this.place, this);
    view.append(shape("rect", "between", { x: from, y: 0, width: Math.max(to - from, 0), height: HIGH }),
      shape("polygon", "highest", { points: "0," + HIGH + " " + this.line(this.highest) + " " + this.count + "," + HIGH }),
      shape("polygon", "live", { points: "0," + HIGH + " " + this.line(this.live) + " " + this.count + "," + HIGH }));
    this.element.append(view);
    this.cursor = element("span", "cursor");
    this.element.append(this.cursor);
    document.getElementById("timeline-most").textContent = size(this.most);
    document.getElementById("timeline-end").textContent = time(this.step_ns * this.count);
    this.element.setAttribute("aria-valuemax", this.count - 1);
  }

  listen() {
    const timeline = this;
    const at = function (event) {
      const bounds = timeline.element.getBoundingClientRect();
      return Math.floor((event.clientX - bounds.left) / bounds.width * timeline.count);
    };
    this.element.addEventListener("click", function (event) { timeline.select(at(event)); });
    this.element.addEventListener("mousemove", function (event) { timeline.say(timeline.step(at(event))); });
    this.element.addEventListener("mouseleave", function () { timeline.say(timeline.selected); });
    this.element.addEventListener("keydown", function (event) { if (timeline.key(event.key, event.shiftKey)) event.preventDefault(); });
  }

  /** True where the key meant something. */
  key(key, shift) {
    const to = { ArrowLeft: -1, ArrowRight: 1 }[key];
    if (shift && to) { this.select(this.instants.next(this.selected, to)); return true; }
    const far = Math.max(Math.round(this.count / 10), 1), last = this.count - 1;
    const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -far, PageUp: far, Home: -last, End: last };
    if (steps[key] === undefined) return false;
    this.select(this.selected + steps[key]);
    return true;
  }

  /** The step that a time is in: the last has what is later than that, too. */
  stepAt(ns) { return this.step(Math.floor(this.place(ns))); }

  step(number) { return Math.min(Math.max(number, 0), this.count - 1); }

  select(number) {
    this.selected = this.step(number);
    this.cursor.style.left = 100 * (this.selected + 0.5) / this.count + "%";
    this.element.setAttribute("aria-valuenow", this.selected);
    this.element.setAttribute("aria-valuetext", this.words(this.selected));
    this.say(this.selected);
  }

  words(step) {
    const begin = this.step_ns * step, end = begin + this.step_ns;
    return [time(begin) + " to " + time(end), size(this.live[step]) + " alive at its end", "at most " + size(this.highest[step]), ...this.instants.words(step)].join(" · ");
  }

  say(step) { this.status.textContent = this.words(step); }
}
