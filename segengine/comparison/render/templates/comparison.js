"use strict";
(() => {
  const said = document.getElementById("said");

  const value = (row, column) => {
    const stored = row.cells[column].dataset.sort;
    if (stored === undefined) return null;
    const number = Number(stored);
    return stored !== "" && !Number.isNaN(number) ? number : stored;
  };

  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });

  const sort = (table, column, heading) => {
    const numeric = heading.classList.contains("number");
    const before = heading.getAttribute("aria-sort");
    const descending = before === "none" ? numeric : before === "ascending";
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [value(row, column), row]);
    rows.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      return descending ? compare(b, a) : compare(a, b);
    });
    body.append(...rows.map(([, row]) => row));
    for (const other of table.tHead.rows[0].cells) other.setAttribute("aria-sort", "none");
    heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
    said.textContent = `Sorted by ${heading.textContent.trim()}, ${descending ? "descending" : "ascending"}`;
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((heading, column) => {
      heading.querySelector("button").addEventListener("click", () => sort(table, column, heading));
    });
  }

  // A drawing that is wider than its place can be scrolled by keyboard; the others are no stops on the way.
  const reach = () => {
    for (const canvas of document.querySelectorAll(".canvas")) {
      if (canvas.scrollWidth <= canvas.clientWidth + 1) continue;
      canvas.tabIndex = 0;
      canvas.setAttribute("role", "group");
      canvas.setAttribute("aria-label", canvas.querySelector("title").textContent);
    }
  };
  window.addEventListener("resize", reach);
  reach();

  const hint = document.getElementById("hint");
  const show = (point) => {
    hint.replaceChildren(...point.dataset.tip.split("\n").map((line) => {
      const part = document.createElement("div");
      part.textContent = line;
      return part;
    }));
    hint.hidden = false;
    const at = point.getBoundingClientRect();
    const left = Math.min(Math.max(at.left + at.width / 2 - hint.offsetWidth / 2, 8), document.documentElement.clientWidth - hint.offsetWidth - 8);
    const above = at.top - hint.offsetHeight - 6;
    hint.style.left = `${left + window.scrollX}px`;
    hint.style.top = `${(above > 0 ? above : at.bottom + 6) + window.scrollY}px`;
  };
  const hide = () => { hint.hidden = true; };
  for (const point of document.querySelectorAll("[data-tip]")) {
    point.addEventListener("pointerenter", () => show(point));
    point.addEventListener("pointerleave", hide);
    point.addEventListener("focus", () => show(point));
    point.addEventListener("blur", hide);
  }
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
})();
