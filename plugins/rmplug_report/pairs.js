"use strict";
// The table of pairs, and the reader of one pair.
(() => {
  const get = (id) => document.getElementById(id);
  if (!("DecompressionStream" in window)) {
    get("pairs").insertAdjacentHTML("beforeend", "<p class='lead'>This browser is too old to open the packed pairs; any from 2023 on can.</p>");
    return;
  }
  const head = JSON.parse(get("pairs-head").textContent);
  const blocks = [...document.querySelectorAll(".pairs-texts")];
  const panel = document.querySelector(".browser");
  const scroller = get("rows"), body = get("body"), reader = get("reader");
  const phone = matchMedia("(max-width: 720px)");
  const collate = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

  const unpack = async (element) => {
    const raw = atob(JSON.parse(element.textContent));
    const bytes = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  };

  // Control and direction marks are shown instead of obeyed.
  const visible = (text) => text
    .replace(/\r\n?/g, "\n")
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/g, (c) => String.fromCharCode(0x2400 + c.charCodeAt(0)))
    .replace(/\u007f/g, "\u2421")
    .replace(/[\u202a-\u202e\u2066-\u2069]/g, (c) => `\u2039U+${c.charCodeAt(0).toString(16).toUpperCase()}\u203a`);

  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) {
      if (key === "class") element.className = value;
      else if (key.startsWith("--")) element.style.setProperty(key, value);
      else element.setAttribute(key, value);
    }
    element.append(...children);
    return element;
  };
  // Two significant digits of what is below 0.01; what rounds to zero has no sign.
  const decimals = (size, digits) => size >= 100 ? 1 : size >= 0.01 || size < 1e-12 ? digits : 1 - Math.floor(Math.log10(size));
  const unsigned = (text) => (/[1-9]/.test(text) ? text.replace("-", "−") : text.replace("-", ""));
  const number = (value, digits = 3) => value === null || value === undefined || Number.isNaN(value) ? "–"
    : unsigned(value.toLocaleString("en", { maximumFractionDigits: decimals(Math.abs(value), digits) }));
  let digits = 3;
  const steady = (value) => value === null ? "–" : unsigned(value.toFixed(digits));
  const signed = (value) => (value > 0 ? "+" : "") + number(value);

  let columns, gap, view = new Int32Array(0), active = 0, ticket = 0, top99 = 1;
  const texts = new Array(blocks.length), waiting = new Array(blocks.length), hay = new Array(blocks.length);
  const state = { find: "", subset: "", verdict: "", against: "", reward: 0, fit: 0, sort: "", down: false };

  const load = (block) => {
    waiting[block] ??= unpack(blocks[block]).then((rows) => { texts[block] = rows; });
    return waiting[block];
  };
  const textOf = (row) => {
    const block = Math.floor(row / head.chunk);
    return texts[block] ? texts[block][row - block * head.chunk] : null;
  };
  const haystack = (block) => {
    hay[block] ??= texts[block].map(([turns, chosen, rejected], i) =>
      [columns.ids[block * head.chunk + i], ...turns.map((turn) => turn[1]), chosen, rejected].join("\n").toLowerCase());
    return hay[block];
  };

  // Of a long id the table shows what others do not have, too; where all are files and numbers, the end.
  const LONGEST = 14;
  let before = 0, after = 0;
  const measure = (ids) => {
    const [first, ...rest] = ids, shortest = Math.min(...ids.map((id) => id.length));
    const same = (letter, other) => rest.every((id) => letter(id) === other);
    for (before = 0; before < shortest && same((id) => id[before], first[before]);) before++;
    for (after = 0; after < shortest - before && same((id) => id[id.length - 1 - after], first[first.length - 1 - after]);) after++;
  };
  const briefly = (id) => {
    if (id.length <= LONGEST) return id;
    const end = Math.max(id.length - after, LONGEST - 1), start = Math.max(0, end - LONGEST + 1);
    if (start > before) return `${id.slice(before, before + 6)}…${id.slice(end - 7, end)}`;
    return (start ? "…" : "") + id.slice(start, end) + (end < id.length ? "…" : "");
  };

  const margin = () => columns.margin[state.reward];
  const residual = () => columns.residual[state.fit];
  const fields = () => [
    { key: "prompt", label: "Prompt" },
    ...(head.subsets.length ? [{ key: "subset", label: "Subset", of: (i) => columns.subset[i] < 0 ? null : head.subsets[columns.subset[i]] }] : []),
    ...(head.rewards.length ? [{ key: "margin", label: "Margin", value: true, of: (i) => margin()[i] }] : []),
    ...(columns.disagreement ? [{ key: "disagreement", label: "Disagreement", value: true, of: (i) => columns.disagreement[i] }] : []),
    { key: "gap", label: "Length gap", value: true, of: (i) => gap[i] },
    ...(head.fits.length ? [{ key: "residual", label: "Residual", value: true, of: (i) => residual()[i] }] : []),
    { key: "id", label: "Id", of: (i) => columns.ids[i] },
  ];

  const verdictOf = (i) => {
    const value = margin()[i];
    return value === null ? "missing" : value > 0 ? "right" : value < 0 ? "wrong" : "tie";
  };
  const opposite = (i) => margin()[i] * columns.margin[+state.against][i] < 0;
  const passes = (i) => (state.subset === "" || columns.subset[i] === +state.subset)
    && (state.verdict === "" || verdictOf(i) === state.verdict)
    && (state.against === "" || opposite(i));

  const sorted = (rows) => {
    const field = fields().find((one) => one.key === state.sort);
    if (!field || !field.of) return Int32Array.from(rows);
    const sign = state.down ? -1 : 1;
    const keys = new Array(head.rows);
    for (const i of rows) keys[i] = field.of(i);
    const full = rows.filter((i) => keys[i] !== null && keys[i] !== undefined);
    const empty = rows.filter((i) => keys[i] === null || keys[i] === undefined);
    full.sort((a, b) => sign * collate(keys[a], keys[b]) || a - b);
    return Int32Array.from(full.concat(empty));
  };

  const say = (text) => { get("found").textContent = text; };
  const pause = () => new Promise((resolve) => setTimeout(resolve));

  // Texts are searched block by block, so that typing and scrolling stay quick meanwhile.
  const refresh = async (keep = false) => {
    const mine = ++ticket;
    let rows = [];
    for (let i = 0; i < head.rows; i++) if (passes(i)) rows.push(i);
    const words = state.find.toLowerCase().split(/\s+/).filter(Boolean);
    if (words.length) {
      const hits = [];
      let from = 0, since = performance.now();
      for (let block = 0; block < blocks.length; block++) {
        if (!texts[block]) await load(block);
        if (mine !== ticket) return;
        const inside = haystack(block), end = (block + 1) * head.chunk;
        for (; from < rows.length && rows[from] < end; from++) {
          const straw = inside[rows[from] - block * head.chunk];
          if (words.every((word) => straw.includes(word))) hits.push(rows[from]);
        }
        if (performance.now() - since > 14) {
          say(`Searching … ${number(Math.min(end, head.rows))} of ${number(head.rows)} pairs`);
          await pause();
          if (mine !== ticket) return;
          since = performance.now();
        }
      }
      rows = hits;
    }
    view = sorted(rows);
    active = 0;
    if (!keep) scroller.scrollTop = 0;
    say(view.length === head.rows ? `${number(head.rows)} pairs` : `${number(view.length)} of ${number(head.rows)} pairs`);
    get("list").setAttribute("aria-rowcount", view.length + 1);
    draw();
  };

  const stick = (value, colour) => {
    const span = make("span", { class: value < 0 ? "stick minus" : "stick", "aria-hidden": "true" });
    const i = make("i", { "--c": `var(--${colour})`, "--w": Math.min(1, Math.abs(value ?? 0) / top99) });
    span.append(i);
    return span;
  };
  const snippet = (row) => {
    const text = textOf(row);
    if (!text) return null;
    const turns = text[0].filter((turn) => turn[0] !== "assistant");
    const last = (turns.length ? turns[turns.length - 1] : text[0][text[0].length - 1] || ["", ""])[1];
    return visible(last.slice(0, 220)).replace(/\s+/g, " ");
  };
  const margins = (row) => head.rewards.map((reward, k) => `${reward.name} ${number(columns.margin[k][row])}`).join(", ");
  const line = (place) => {
    const row = view[place];
    const tr = make("tr", { class: "row", tabindex: place === active ? "0" : "-1", "aria-rowindex": place + 2, "data-place": place });
    const said = snippet(row);
    if (said === null) load(Math.floor(row / head.chunk)).then(draw);
    for (const field of fields()) {
      const td = make("td", { class: field.key + (field.value ? " value" : "") });
      if (field.key === "prompt") { td.dir = "auto"; td.textContent = said ?? "…"; }
      else if (field.key === "margin") td.append(stick(field.of(row), head.rewards[state.reward].colour), make("span", { class: "amount" }, steady(field.of(row))));
      else if (field.key === "gap") td.textContent = signed(field.of(row));
      else if (field.key === "disagreement") { td.textContent = number(field.of(row), 2); td.dataset.hint = margins(row); }
      else if (field.key === "id") { td.textContent = visible(briefly(field.of(row))); td.title = visible(field.of(row)); }
      else td.textContent = field.value ? number(field.of(row)) : visible(field.of(row) ?? "–");
      tr.append(td);
    }
    return tr;
  };
  const space = (height) => {
    const td = make("td", { colspan: fields().length });
    td.style.height = `${height}px`;
    return make("tr", { class: "space", "aria-hidden": "true" }, td);
  };
  let drawing = 0;
  // a resize may come before the columns are unpacked
  const draw = () => { if (columns) drawing ||= requestAnimationFrame(drawNow); };
  const drawNow = () => {
    drawing = 0;
    const height = phone.matches ? 84 : 46;
    const focused = body.contains(document.activeElement);
    const first = Math.max(0, Math.floor(scroller.scrollTop / height) - 6);
    const last = Math.min(view.length, first + Math.ceil(scroller.clientHeight / height) + 14);
    const rows = [];
    if (first > 0) rows.push(space(first * height));
    for (let place = first; place < last; place++) rows.push(line(place));
    if (last < view.length) rows.push(space((view.length - last) * height));
    if (!view.length) rows.push(make("tr", {}, make("td", { class: "none", colspan: fields().length }, "No pair matches. Clear the search or choose another subset.")));
    body.replaceChildren(...rows);
    if (focused) body.querySelector(`[data-place="${active}"]`)?.focus({ preventScroll: true });
    else if (!body.querySelector('[tabindex="0"]')) body.querySelector(".row")?.setAttribute("tabindex", "0");
  };

  const moveTo = (place) => {
    active = Math.max(0, Math.min(view.length - 1, place));
    const height = phone.matches ? 84 : 46, above = phone.matches ? 0 : 40;
    const start = active * height, room = scroller.clientHeight - above;
    if (start < scroller.scrollTop) scroller.scrollTop = start;
    else if (start + height > scroller.scrollTop + room) scroller.scrollTop = start + height - room;
    drawNow();
    body.querySelector(`[data-place="${active}"]`)?.focus({ preventScroll: true });
  };

  const heads = () => {
    const list = get("list");
    list.querySelector("colgroup")?.remove();
    list.prepend(make("colgroup", {}, ...fields().map((field) => make("col", { class: `c-${field.key}` }))));
    get("heads").replaceChildren(...fields().map((field) => {
      const on = state.sort === field.key;
      const button = make("button", { type: "button" }, field.label + (on ? (state.down ? " ↓" : " ↑") : ""));
      if (!field.of) button.disabled = true;
      button.addEventListener("click", () => { state.down = on ? !state.down : false; state.sort = field.key; heads(); refresh(); });
      const th = make("th", { scope: "col", class: field.value ? "value" : "" }, button);
      if (on) th.setAttribute("aria-sort", state.down ? "descending" : "ascending");
      return th;
    }));
    get("sort").value = state.sort ? `${state.sort} ${state.down ? "down" : "up"}` : "";
  };

  const cutNote = (shown, length) => length > shown.length
    ? [make("span", { class: "cut" }, `cut here: ${number(shown.length)} of ${number(length)} characters`)] : [];
  const side = (title, text, length, colour) => {
    const box = make("div", { class: "text", dir: "auto" });
    box.textContent = visible(text) || "(empty)";
    return make("article", { class: "side", "--c": `var(--${colour})` },
      make("h4", {}, make("strong", {}, title), `${number(length)} characters`), box, ...cutNote(Array.from(text), length));
  };
  const scores = (row) => {
    const table = make("table", { class: "numbers scores" });
    const several = Boolean(columns.disagreement);
    table.append(make("thead", {}, make("tr", {}, ...["reward", "chosen", "rejected", "margin", ...(several ? ["in its own unit"] : [])].map((label) => make("th", { scope: "col" }, label)))));
    const inUnit = (k) => columns.margin[k][row] === null || !head.rewards[k].unit ? null : columns.margin[k][row] / head.rewards[k].unit;
    const rows = head.rewards.map((reward, k) => make("tr", {},
      make("th", { scope: "row" }, make("i", { class: "dot", "--c": `var(--${reward.colour})` }), reward.name),
      ...[columns.chosen[k]?.[row], columns.rejected[k]?.[row], columns.margin[k][row]].map((value) => make("td", { class: "n" }, number(value))),
      ...(several ? [make("td", { class: "n" }, number(inUnit(k), 2))] : [])));
    head.fits.forEach((fit, k) => rows.push(make("tr", {}, make("th", { scope: "row" }, `residual of ${fit.name}`), make("td"), make("td"),
      make("td", { class: "n" }, number(columns.residual[k][row])), ...(several ? [make("td")] : []))));
    if (several) rows.push(make("tr", {}, make("th", { scope: "row" }, "disagreement"), make("td"), make("td"), make("td"), make("td", { class: "n" }, number(columns.disagreement[row], 2))));
    table.append(make("tbody", {}, ...rows));
    return make("div", { class: "scroll" }, table);
  };
  // What each attribute adds to either side, so that the numbers add up to the scores.
  const parts = (row) => {
    const told = head.parts;
    if (!told || row >= told.rows) return [];
    const [chosen, rejected, weights] = columns.parts.map((side) => side.map((values) => values[row]));
    if (chosen.concat(rejected).every((value) => value === null)) return [];
    const most = Math.max(...chosen.concat(rejected).map((value) => Math.abs(value ?? 0))) || 1;
    const bar = (value, colour) => make("td", { class: "n" }, make("span", { class: value < 0 ? "stick minus" : "stick", "aria-hidden": "true" },
      make("i", { "--c": `var(--${colour})`, "--w": Math.abs(value ?? 0) / most })), number(value));
    const sum = (values) => values.reduce((total, value) => total + (value ?? 0), 0);
    const order = told.attributes.map((_, k) => k).sort((a, b) =>
      Math.abs(chosen[b] - rejected[b]) - Math.abs(chosen[a] - rejected[a]) || a - b);
    const weighed = weights.length > 0;
    const table = make("table", { class: "numbers" },
      make("thead", {}, make("tr", {}, ...["attribute", ...(weighed ? ["weight"] : []), "chosen", "rejected", "difference"].map((label) => make("th", { scope: "col" }, label)))),
      make("tbody", {}, ...order.map((k) => make("tr", {}, make("th", { scope: "row" }, visible(told.attributes[k])),
        ...(weighed ? [make("td", { class: "n" }, number(weights[k]))] : []), bar(chosen[k], "good"), bar(rejected[k], "m2"),
        make("td", { class: "n" }, signed(chosen[k] - rejected[k]))))),
      make("tfoot", {}, make("tr", {}, make("th", { scope: "row" }, "sum"), ...(weighed ? [make("td", { class: "n" }, number(sum(weights)))] : []),
        make("td", { class: "n" }, number(sum(chosen))), make("td", { class: "n" }, number(sum(rejected))),
        make("td", { class: "n" }, signed(sum(chosen) - sum(rejected))))));
    return [make("div", { class: "parts" }, make("h4", {}, `What each attribute adds, by ${visible(told.name)}`), make("div", { class: "scroll" }, table))];
  };
  const show = async (place) => {
    active = Math.max(0, Math.min(view.length - 1, place));
    const row = view[active];
    await load(Math.floor(row / head.chunk));
    const [turns, chosen, rejected] = textOf(row);
    const prompt = turns.map(([role, text]) => {
      const box = make("div", { class: "text", dir: "auto" });
      box.textContent = visible(text) || "(empty)";
      return make("div", { class: "turn" }, make("b", {}, visible(role)), box);
    });
    const subset = columns.subset[row] >= 0 ? ` · ${head.subsets[columns.subset[row]]}` : "";
    get("reader-title").textContent = visible(columns.ids[row] + subset);
    get("reader-place").textContent = `${number(active + 1)} of ${number(view.length)}`;
    get("reading").replaceChildren(...prompt,
      make("div", { class: "sides" }, side("Chosen", chosen, columns.chosenLength[row], "good"), side("Rejected", rejected, columns.rejectedLength[row], "bad")),
      ...parts(row), ...(head.rewards.length ? [scores(row)] : []));
    get("reading").scrollTop = 0;
    if (!reader.open) reader.showModal();
  };

  const rowOf = (event) => event.target.closest?.("tr.row");
  body.addEventListener("click", (event) => { const tr = rowOf(event); if (tr) show(+tr.dataset.place); });
  body.addEventListener("keydown", (event) => {
    const tr = rowOf(event);
    if (!tr) return;
    const page = Math.floor(scroller.clientHeight / (phone.matches ? 84 : 46)) - 1;
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -view.length, End: view.length };
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); show(+tr.dataset.place); }
    else if (event.key in steps) { event.preventDefault(); moveTo(+tr.dataset.place + steps[event.key]); }
  });
  reader.addEventListener("keydown", (event) => {
    if (event.key === "ArrowRight") show(active + 1);
    if (event.key === "ArrowLeft") show(active - 1);
  });
  reader.addEventListener("click", (event) => { if (event.target === reader) reader.close(); });
  reader.addEventListener("close", () => moveTo(active));
  get("close").addEventListener("click", () => reader.close());
  get("before").addEventListener("click", () => show(active - 1));
  get("after").addEventListener("click", () => show(active + 1));
  scroller.addEventListener("scroll", draw, { passive: true });
  phone.addEventListener("change", draw);
  addEventListener("resize", draw);

  const scale = () => {
    if (!head.rewards.length) return;
    const sizes = margin().filter((value) => value !== null).map(Math.abs).sort((a, b) => a - b);
    top99 = sizes[Math.floor(sizes.length * 0.98)] || 1;
    digits = top99 >= 100 ? 1 : top99 >= 1 ? 2 : top99 >= 0.1 ? 3 : Math.max(4, decimals(top99, 4) + 1);
  };
  const options = (id, entries) => get(id).append(...entries.map(([value, label]) => make("option", { value }, label)));
  const listen = (id, apply) => get(id).addEventListener("change", (event) => { apply(event.target.value); heads(); refresh(); });

  const start = async () => {
    columns = await unpack(get("pairs-columns"));
    measure(columns.ids);
    gap = columns.chosenLength.map((length, i) => length - columns.rejectedLength[i]);
    options("subset", head.subsets.map((subset, i) => [i, subset]));
    options("reward", head.rewards.map((reward, i) => [i, reward.name]));
    options("against", head.rewards.map((reward, i) => [i, reward.name]));
    options("fit", head.fits.map((fit, i) => [i, fit.name]));
    options("sort", [["", "As in the data"], ...fields().filter((field) => field.of).flatMap((field) =>
      [[`${field.key} up`, `${field.label} ↑`], [`${field.key} down`, `${field.label} ↓`]])]);
    get("subset").parentElement.hidden = !head.subsets.length;
    document.querySelectorAll(".needs-reward").forEach((label) => { label.hidden = head.rewards.length < 1; });
    document.querySelectorAll(".needs-rewards").forEach((label) => { label.hidden = head.rewards.length < 2; });
    document.querySelectorAll(".needs-fits").forEach((label) => { label.hidden = head.fits.length < 2; });
    if (head.rewards.length) state.sort = "margin";
    let typing = 0;
    get("find").addEventListener("input", (event) => {
      clearTimeout(typing);
      typing = setTimeout(() => { state.find = event.target.value; refresh(); }, 120);
    });
    listen("subset", (value) => { state.subset = value; });
    listen("verdict", (value) => { state.verdict = value; });
    listen("against", (value) => { state.against = value; });
    listen("reward", (value) => { state.reward = +value; scale(); });
    listen("fit", (value) => { state.fit = +value; });
    listen("sort", (value) => { [state.sort, state.down] = value ? [value.split(" ")[0], value.endsWith("down")] : ["", false]; });
    panel.hidden = false;
    scale();
    heads();
    await refresh();
  };
  start();
})();
