// What happened in a recording besides events: programs executed, objects loaded, threads, children, the target's own marks. Each is a line through the timeline, with its name
// in a strip above the picture where there is room for it; a step says what happened in it; and a list below has all, each with its time, which goes there.

// Of one step, how many are said.
const SAID = 5;
// In the list at first, and with each "more".
const LISTED = 100;

class Happened {
  constructor(timeline) {
    this.timeline = timeline;
    this.all = timeline.happened.map(function ([ns, kind, name, words]) { return { step: timeline.stepAt(ns), ns: ns, kind: kind, name: name, words: words }; });
    this.listed = 0;
    const more = document.getElementById("happened-more"), happened = this;
    more.addEventListener("click", function () { happened.list(); });
    this.draw();
    document.getElementById("happened-part").hidden = this.all.length === 0;
    document.getElementById("happened-title").textContent = "What happened: " + this.all.length.toLocaleString("en-US") + this.leftOut();
    this.list();
    new ResizeObserver(function () { happened.layOut(); }).observe(timeline.element);
  }

  leftOut() {
    const count = this.timeline.happened_left_out;
    return count > 0 ? ", and " + count.toLocaleString("en-US") + " that are not in this page" : "";
  }

  /** A name with what it is of; a mark's name is its own. */
  label(one) { return one.kind === "mark" ? one.name : one.kind + " " + one.name; }

  draw() {
    const timeline = this.timeline;
    const marks = this.all.filter(function (one) { return one.kind === "mark"; }).length;
    timeline.element.classList.toggle("two", marks > 0 && marks < this.all.length);
    for (const one of this.all) {
      one.text = element("span", "", this.label(one));
      one.element = element("span", "at " + one.kind, one.text);
      one.element.title = time(one.ns) + "  " + one.kind + " " + one.words;
      one.element.style.left = 100 * timeline.place(one.ns) / timeline.count + "%";
      timeline.element.append(one.element);
    }
    this.layOut();
  }

  /** Of names that lie over each other the first stays, in each of the two strips; what would leave the picture stands before its line. All are measured before any is changed. */
  layOut() {
    const wide = this.timeline.element.clientWidth, free = { true: 0, false: 0 };
    const places = this.all.map(function (one) { return [one.element.offsetLeft, one.text.offsetWidth]; });
    this.all.forEach(function (one, at) {
      const [left, width] = places[at], strip = one.kind === "mark", before = left + width > wide;
      const from = before ? left - width : left;
      const hidden = from < free[strip];
      if (!hidden) free[strip] = from + width;
      one.text.classList.toggle("before", before);
      one.text.classList.toggle("hidden", hidden);
    });
  }

  /** What happened in a step, in a few words. */
  words(step) {
    const these = this.all.filter(function (one) { return one.step === step; });
    const said = these.slice(0, SAID).map(function (one) { return one.kind + " " + one.name; });
    return these.length > SAID ? [...said, "and " + (these.length - SAID) + " more"] : said;
  }

  /** The next step that something happened in, or the last one's before; where there is none, the same. */
  next(step, to) {
    const steps = this.all.map(function (one) { return one.step; });
    const further = steps.filter(function (one) { return to > 0 ? one > step : one < step; });
    const found = to > 0 ? further[0] : further[further.length - 1];
    return found === undefined ? step : found;
  }

  /** Some more of the list. */
  list() {
    const timeline = this.timeline, some = this.all.slice(this.listed, this.listed + LISTED);
    const lines = some.map(function (one) {
      const button = element("button", "", element("span", "when", time(one.ns)), " ", element("span", "kind", one.kind), " " + one.words);
      button.type = "button";
      button.addEventListener("click", function () { timeline.select(one.step); });
      return element("li", one.kind, button);
    });
    document.getElementById("happened").append(...lines);
    this.listed += some.length;
    const left = this.all.length - this.listed, more = document.getElementById("happened-more");
    more.hidden = left <= 0;
    more.textContent = "Show " + Math.min(left, LISTED) + " more of " + this.all.length.toLocaleString("en-US");
  }
}
