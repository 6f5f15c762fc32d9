"use strict";
(() => {
  const get = (id) => document.getElementById(id);

  get("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });

  const links = [...document.querySelectorAll(".contents a")];
  const places = links.map((link) => document.querySelector(link.getAttribute("href")));
  const here = () => {
    let last = 0;
    places.forEach((place, i) => { if (i === 0 || place.getBoundingClientRect().top < 160) last = i; });
    links.forEach((link, i) => {
      link.classList.toggle("here", i === last);
      if (i === last) link.setAttribute("aria-current", "true"); else link.removeAttribute("aria-current");
    });
  };
  addEventListener("scroll", () => requestAnimationFrame(here), { passive: true });
  here();

  // What is told of a mark of a figure: by pointer, by finger, and by keyboard (arrows move on).
  const hint = document.createElement("div");
  hint.id = "hint";
  hint.hidden = true;
  hint.setAttribute("aria-hidden", "true");
  document.body.append(hint);
  const marked = (event) => event.target.closest?.("[data-hint]");
  const tell = (mark) => {
    hint.hidden = !mark;
    if (!mark) return;
    hint.textContent = mark.dataset.hint;
    const box = mark.getBoundingClientRect(), own = hint.getBoundingClientRect();
    const left = box.left + box.width / 2 - own.width / 2;
    hint.style.left = `${Math.max(8, Math.min(innerWidth - own.width - 8, left))}px`;
    hint.style.top = `${box.top > own.height + 66 ? box.top - own.height - 7 : box.bottom + 7}px`;
  };
  document.addEventListener("pointerover", (event) => tell(marked(event)));
  document.addEventListener("focusin", (event) => tell(marked(event)));
  document.addEventListener("focusout", () => tell(null));
  document.addEventListener("scroll", () => tell(null), { passive: true, capture: true });
  document.addEventListener("keydown", (event) => {
    const mark = marked(event);
    if (!mark) return;
    if (event.key === "Escape") tell(null);
    const [sort, row, column] = mark.dataset.mark.split("-").map((part, at) => (at ? Number(part) : part));
    const [down, right] = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key] ?? [0, 0];
    const next = (down || right) && mark.closest("svg, .tokens").querySelector(`[data-mark="${sort}-${row + down}-${column + right}"]`);
    if (!next) return;
    event.preventDefault();
    mark.setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
  });

  // What is wider than its place fades at the side that goes on.
  const fade = (box) => {
    box.classList.toggle("before", box.scrollLeft > 1);
    box.classList.toggle("after", box.scrollWidth - box.clientWidth - box.scrollLeft > 1);
  };
  const sizes = new ResizeObserver((entries) => entries.forEach((entry) => fade(entry.target)));
  document.querySelectorAll(".scroll").forEach((box) => {
    sizes.observe(box);
    box.addEventListener("scroll", () => fade(box), { passive: true });
  });
})();
