// Who freed a line's blocks, of a recording with the stacks of frees: as `diff --freed-by` has it. The lines that no longer do stand under the line itself, all of them
// where it is opened.

/** What is known of a line: null where that is nothing (nobody asked, it has not grown, or it is what is left over of several); `by` is empty where nothing was freed. */
function freedOf(model, line) {
  const grew = line.growth > 0 || line.growth === 0 && line.blocks > 0;
  if (!model.lines.freed || !grew) return null;
  const freed = model.lines.freed[line.number];
  if (freed === 0) return { by: [], has_no_room: true };
  if (!freed) return null;
  const by = freed.by.map(function ([place, name, blocks, last, since, stopped]) {
    return { place: model.text(place), name: model.text(name), blocks: blocks, last: last, since: since, stopped: stopped };
  });
  return { by: by, more: freed.more, unknown: freed.unknown, left_out: freed.left_out };
}

/** Its place, and its function where that is not its place already. */
function freeing(one) { return one.name === "" || one.name === one.place ? one.place : one.place + "  " + one.name; }

/** A line for each that stopped. */
function stoppedFreeing(freed) {
  return freed.by.filter(function (one) { return one.stopped; }).map(function (one) {
    return element("span", "stopped", "no longer freed by " + freeing(one));
  });
}

/** All that is known of who freed its blocks, with a heading. */
function freedList(freed) {
  const list = element("ul", "");
  for (const one of freed.by) {
    const blocks = counted(one.blocks, "block"), last = time(one.last);
    const words = one.stopped
      ? blocks + " until " + last + ", none since, while " + one.since.toLocaleString("en-US") + " were allocated: "
      : blocks + ", the last at " + last;
    list.append(element("li", "", element("span", "place", freeing(one)), ": " + words, one.stopped ? element("strong", "stopped", "stopped") : ""));
  }
  const rest = function (blocks, what) { if (blocks > 0) list.append(element("li", "reason", what + ": " + counted(blocks, "block"))); };
  if (freed.more) {
    rest(freed.more[1], counted(freed.more[0], "more line"));
    rest(freed.unknown, "by what is not known");
    rest(freed.left_out, "by lines beyond what there is room for");
  }
  if (freed.has_no_room) list.append(element("li", "reason", "heapshim diff --freed-by has it: too many lines for this page"));
  else if (!list.firstChild) list.append(element("li", "reason", "none of its blocks was freed"));
  return element("div", "freed", element("h3", "", "Freed by"), list);
}
