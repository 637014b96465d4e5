// The table of lines: sorted by a click on a heading, cut to what is looked for, each line opening to its heaviest stacks.

// Lines at first, so that the stacks are not far below, and with each "more".
const FIRST = 10;
const ROWS = 100;
const STACKS = 3;

class Table {
  constructor(model) {
    this.model = model;
    this.lines = model.lineSums();
    this.by = "growth";
    this.down = true;
    this.shown = FIRST;
    this.wanted = "";
    this.opened = new Set();
    this.element = document.getElementById("lines");
    this.more = document.getElementById("more");
    const table = this;
    this.element.querySelectorAll("thead button").forEach(function (button) {
      button.addEventListener("click", function () { table.sort(button.dataset.sort); });
    });
    this.more.addEventListener("click", function () { table.shown += ROWS; table.draw(); });
    this.draw();
  }

  /** The same heading again turns the order around. */
  sort(by) {
    this.down = by === this.by ? !this.down : by !== "place";
    this.by = by;
    for (const heading of this.element.querySelectorAll("thead th")) {
      const is = heading.firstElementChild.dataset.sort === by;
      if (is) heading.setAttribute("aria-sort", this.down ? "descending" : "ascending");
      else heading.removeAttribute("aria-sort");
    }
    this.draw();
  }

  search(wanted) {
    this.wanted = wanted;
    this.shown = FIRST;
    this.draw();
  }

  has(line) {
    const model = this.model, wanted = this.wanted;
    const texts = [line.place, line.via, model.text(model.frames.label[line.frame]), model.text(model.frames.file[line.frame])];
    return texts.some(function (text) { return text.toLowerCase().includes(wanted); });
  }

  draw() {
    const by = this.by, sign = this.down ? -1 : 1, table = this;
    const order = function (one, other) {
      const first = by === "place" ? one.place.localeCompare(other.place) : one[by] - other[by];
      return sign * first || other.growth - one.growth || one.number - other.number;
    };
    const found = this.lines.filter(function (line) { return table.wanted === "" || table.has(line); }).sort(order);
    const rows = found.slice(0, this.shown).flatMap(function (line) { return table.rows(line); });
    this.element.tBodies[0].replaceChildren(...rows);
    this.foot(found);
    const left = found.length - this.shown;
    this.more.hidden = left <= 0;
    this.more.textContent = "Show " + Math.min(left, ROWS) + " more of " + found.length + " lines";
  }

  /** The sum of the lines that were found, of which some may not be shown yet. */
  foot(found) {
    const sum = function (column) { return found.reduce(function (all, line) { return all + line[column]; }, 0); };
    const row = element("tr", "");
    this.numbers(row, { growth: sum("growth"), blocks: sum("blocks"), live: sum("live"), total: sum("total") });
    const what = this.wanted === "" ? "lines in all" : "lines found";
    const head = element("th", "", found.length.toLocaleString("en-US") + " " + what);
    head.scope = "row";
    row.append(head);
    this.element.tFoot.replaceChildren(row);
  }

  numbers(row, line) {
    const growth = element("td", "number growth " + (line.growth > 0 ? "grew" : line.growth < 0 ? "shrank" : ""), signed(line.growth));
    growth.title = grouped(line.growth) + " B";
    const live = element("td", "number live", size(line.live));
    live.title = line.live.toLocaleString("en-US") + " B";
    row.append(growth, element("td", "number blocks", grouped(line.blocks)), live, element("td", "number total", size(line.total)));
  }

  rows(line) {
    const model = this.model, table = this, open = this.opened.has(line.number);
    const row = element("tr", "line");
    this.numbers(row, line);
    const button = element("button", "", line.place);
    button.type = "button";
    button.setAttribute("aria-expanded", String(open));
    button.title = model.text(model.frames.file[line.frame]);
    button.addEventListener("click", function () { table.toggle(line, row, button); });
    const label = model.text(model.frames.label[line.frame]);
    const name = label.replace(/ \([^()]*\)$/, "");
    const cell = element("td", "place", button);
    if (name !== line.place) cell.append("  ", element("span", "function", name));
    if (line.via !== "") cell.append("  ", element("span", "via", "(via " + line.via + ")"));
    const reason = model.text(model.frames.reason[line.frame]);
    if (reason !== "" && !line.place.startsWith("[not")) cell.append("  ", element("span", "reason", reason));
    const source = model.text(model.frames.source[line.frame]);
    if (source !== "") cell.append(element("code", "source", source));
    const freed = freedOf(model, line);
    if (freed) cell.append(...stoppedFreeing(freed));
    row.append(cell);
    return open ? [row, this.stacks(line)] : [row];
  }

  toggle(line, row, button) {
    if (this.opened.delete(line.number)) {
      row.nextSibling.remove();
    } else {
      this.opened.add(line.number);
      row.after(this.stacks(line));
    }
    button.setAttribute("aria-expanded", String(this.opened.has(line.number)));
  }

  /** Who freed its blocks, where that is known, and its heaviest stacks, innermost frame first. */
  stacks(line) {
    const model = this.model, stacks = model.stacks;
    const weight = function (at) { return Math.abs(stacks.growth[at]); };
    const heaviest = line.stacks.slice().sort(function (one, other) { return weight(other) - weight(one); });
    const cell = element("td", "");
    cell.colSpan = 5;
    const all = element("div", "stacks");
    const freed = freedOf(model, line);
    if (freed) all.append(freedList(freed));
    heaviest.slice(0, STACKS).forEach(function (at) {
      const what = signed(stacks.growth[at]) + ", " + grouped(stacks.blocks[at]) + (Math.abs(stacks.blocks[at]) === 1 ? " block, " : " blocks, ") + size(stacks.live[at]) + " alive";
      const list = element("ol", "");
      let charged = false;
      for (const frame of model.path(stacks.node[at])) {
        const item = element("li", "place", model.text(model.frames.label[frame]));
        if (!charged && frame === line.frame) { item.className += " charged"; charged = true; }
        const source = model.text(model.frames.source[frame]);
        if (source !== "") item.append(element("code", "source", source));
        list.append(item);
      }
      all.append(element("h3", "", what), list);
    });
    const left = heaviest.length - STACKS;
    if (left > 0) all.append(element("p", "reason", left.toLocaleString("en-US") + " more stacks of this line: the flamegraph has them"));
    cell.append(all);
    return element("tr", "opened", cell);
  }
}
