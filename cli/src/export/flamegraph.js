// A click widens a box to the whole width; what is beside it goes, what is below it is shown full.
(function () {
  const svg = document.documentElement;
  const width = svg.viewBox.baseVal.width;
  const boxes = Array.from(svg.querySelectorAll("g[data-depth]"), function (g) {
    const rect = g.querySelector("rect");
    return {
      g: g, rect: rect, text: g.querySelector("text"), name: g.dataset.name, depth: +g.dataset.depth,
      left: +rect.getAttribute("x"), width: +rect.getAttribute("width")
    };
  });
  function fitting(text, width) {
    const room = Math.floor((width - 6) / 7);
    if (text.length <= room) return text;
    return room < 4 ? "" : text.slice(0, room - 1) + "\u2026";
  }
  function place(box, left, width) {
    box.g.style.display = "";
    box.rect.setAttribute("x", left);
    box.rect.setAttribute("width", width);
    box.text.setAttribute("x", left + 3);
    box.text.textContent = fitting(box.name, width);
  }
  function zoom(to) {
    const scale = width / to.width, right = to.left + to.width, slack = 0.01;
    for (const box of boxes) {
      const within = box.left >= to.left - slack && box.left + box.width <= right + slack;
      const around = box.left <= to.left + slack && box.left + box.width >= right - slack;
      if (box.depth >= to.depth && within) place(box, (box.left - to.left) * scale, box.width * scale);
      else if (box.depth < to.depth && around) place(box, 0, width);
      else box.g.style.display = "none";
    }
  }
  for (const box of boxes) {
    box.g.style.cursor = "pointer";
    box.g.addEventListener("click", function () { zoom(box); });
  }
})();
