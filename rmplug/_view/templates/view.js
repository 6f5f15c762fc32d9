"use strict";
(() => {
  document.getElementById("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });

  // A heading sorts its table; what is missing stands last, whatever the direction.
  const sort = (table, column, down) => {
    const body = table.tBodies[0];
    const numeric = table.tHead.rows[0].cells[column].dataset.kind === "number";
    const key = (row) => {
      const cell = row.cells[column];
      if (!numeric) return cell.textContent.trim().toLowerCase();
      const value = parseFloat(cell.dataset.value ?? cell.textContent);
      return Number.isNaN(value) ? null : value;
    };
    const rows = [...body.rows].map((row, place) => ({ row, place, value: key(row) }));
    rows.sort((a, b) => {
      if (a.value === null || b.value === null) return (a.value === null) - (b.value === null) || a.place - b.place;
      return (a.value < b.value ? -1 : a.value > b.value ? 1 : 0) * (down ? -1 : 1) || a.place - b.place;
    });
    body.append(...rows.map((one) => one.row));
    [...table.tHead.rows[0].cells].forEach((cell, at) => {
      if (at === column) cell.setAttribute("aria-sort", down ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    });
  };
  const makeSortable = (root) => root.querySelectorAll("table[data-sortable]").forEach((table) => {
    [...table.tHead.rows[0].cells].forEach((cell, column) => {
      if (!cell.dataset.kind) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...cell.childNodes);
      button.addEventListener("click", () => sort(table, column, cell.getAttribute("aria-sort") === "ascending"));
      cell.append(button);
    });
  });

  const search = document.querySelector("[data-filter]");
  const refresh = () => {
    const rows = [...document.getElementById("runs").tBodies[0].rows];
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const status = document.querySelector("[data-filter-status]").value;
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !((status === "" || row.dataset.status === status) && words.every((word) => text.includes(word)));
      if (!row.hidden) shown += 1;
    }
    document.querySelector("[data-found]").textContent = shown === rows.length ? `${shown} runs` : `${shown} of ${rows.length} runs`;
  };
  if (search) {
    search.addEventListener("input", refresh);
    document.querySelector("[data-filter-status]").addEventListener("change", refresh);
    search.addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
  }

  const prepare = (root) => {
    root.querySelectorAll(".needs-script").forEach((one) => { one.hidden = false; });
    makeSortable(root);
  };
  prepare(document);
  if (search) refresh();

  // The page of a running run is made anew when its record has changed.
  const PAUSE = 1000;
  let tag = null;
  const follow = async () => {
    const live = document.getElementById("live");
    if (!live?.dataset.record) return;
    try {
      const answer = await fetch(live.dataset.record, { method: "HEAD", cache: "no-store" });
      const now = answer.headers.get("etag");
      if (answer.ok && tag !== null && now !== tag) {
        const text = await (await fetch(location.href, { cache: "no-store" })).text();
        const next = new DOMParser().parseFromString(text, "text/html").getElementById("live");
        if (next) { prepare(next); live.replaceWith(next); }
      }
      if (answer.ok) tag = now;
    } catch { /* the server has ended: what is shown stays */ }
    setTimeout(follow, PAUSE);
  };
  follow();
})();
