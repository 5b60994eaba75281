// The table of runs: keys, selection, suggestions of columns, and rows that come by themselves.
import { renew } from "./site.js";

const PERIOD = 4000;
const chosen = new Set();
let place = -1;

const live = () => document.getElementById("live");
const rows = () => [...document.querySelectorAll("table.runs tbody tr")];
const boxes = () => [...document.querySelectorAll('input[name="run"][type="checkbox"]')];

function mark() {
  for (const box of boxes()) box.checked = chosen.has(box.value);
  const button = document.getElementById("compare");
  if (button) {
    button.disabled = chosen.size < 2;
    button.textContent = chosen.size ? `Compare ${chosen.size} selected` : "Compare selected";
  }
  const summary = document.querySelector("#change > summary"); // only where runs may be changed
  if (!summary) return;
  summary.textContent = chosen.size ? `Change ${chosen.size} selected` : "Change selected";
  document.querySelector(".below")?.classList.toggle("stays", chosen.size > 0);
  const all = document.getElementById("all");
  if (!all) return;
  all.hidden = false;
  const marked = boxes().filter((box) => box.checked).length;
  all.checked = marked > 0 && marked === boxes().length;
  all.indeterminate = marked > 0 && !all.checked;
}

function move(to, focus = true) {
  const all = rows();
  if (!all.length) return;
  place = Math.max(0, Math.min(to, all.length - 1));
  all.forEach((row, number) => row.classList.toggle("current", number === place));
  if (focus) {
    all[place].querySelector("th a")?.focus();
    all[place].scrollIntoView({ block: "nearest" });
  }
}

// ---- what is shown stays up to date, as long as somebody may look

async function fetched(address) {
  const response = await fetch(address, { headers: { "x-part": "live" } });
  if (response.status !== 200) return null;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  return page.getElementById("live");
}

function swap(fresh) {
  const before = new Set([...document.querySelectorAll("table.runs th a")].map((link) => link.href));
  const focused = document.activeElement?.closest?.("table.runs th a, table.runs td.pick");
  const current = rows()[place]?.querySelector("th a")?.href;
  const left = document.querySelector("#live .scroll")?.scrollLeft ?? 0;
  live().replaceWith(document.adoptNode(fresh));
  for (const row of rows()) {
    const link = row.querySelector("th a");
    if (link && before.size && !before.has(link.href)) row.classList.add("new");
  }
  place = rows().findIndex((row) => row.querySelector("th a")?.href === current); // keys mean a run, wherever it is now
  if (place >= 0) move(place, focused?.matches("a") ?? false);
  if (place >= 0 && focused?.matches("td")) rows()[place].querySelector('input[name="run"]')?.focus();
  const scroll = document.querySelector("#live .scroll");
  if (scroll) scroll.scrollLeft = left;
  renew(live());
  mark();
  count();
}

async function refresh() {
  const now = live();
  if (!now || document.hidden) return;
  const busy = document.querySelector("details.menu[open]"); // somebody types there
  if (busy) return;
  try {
    const fresh = await fetched(`${now.dataset.live}&version=${encodeURIComponent(now.dataset.version)}`);
    if (fresh && live() === now) swap(fresh);
  } catch { /* the server is away: try again later */ }
}

async function count() {
  const now = live();
  if (!now || !("uncounted" in now.dataset)) return;
  const fresh = await fetched(now.dataset.live.replace("part=live", "part=counted")).catch(() => null);
  if (fresh && live() === now) swap(fresh);
}

async function later() {
  for (const part of document.querySelectorAll("[data-later]")) {
    const response = await fetch(part.dataset.later).catch(() => null);
    if (!response?.ok) continue;
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    part.replaceWith(...[...page.body.childNodes].map((node) => document.adoptNode(node)));
    renew();
  }
}

// ---- names of columns, found as they are typed

function offer(input, names) {
  const list = document.getElementById("known-fields");
  const known = new Set([...list.children].map((one) => one.value));
  for (const name of names) if (!known.has(name)) list.append(new Option(name, name));
  const boxes = input.form?.querySelector(".boxes");
  if (!boxes || input.id !== "more") return;
  const there = new Set([...boxes.querySelectorAll("input")].map((box) => box.value));
  const found = names.flatMap((name) => (name.startsWith("metrics.") ? [name, `${name}.min`, `${name}.max`] : [name]));
  for (const name of found) {
    if (there.has(name)) continue;
    const label = document.createElement("label");
    const box = Object.assign(document.createElement("input"), { type: "checkbox", name: "column", value: name });
    label.append(box, ` ${name}`);
    boxes.append(label);
  }
  const wanted = input.value.toLowerCase();
  for (const label of boxes.children) {
    const box = label.querySelector("input");
    label.hidden = Boolean(wanted) && !box.value.toLowerCase().includes(wanted); // one that is ticked stays so
  }
}

let waiting = 0;
document.addEventListener("input", (event) => {
  const input = event.target;
  if (!input.dataset?.fields) return;
  clearTimeout(waiting);
  waiting = setTimeout(async () => {
    const response = await fetch(`${input.dataset.fields}?containing=${encodeURIComponent(input.value)}`).catch(() => null);
    if (response?.ok) offer(input, await response.json());
  }, 150);
});

// In the chooser, Enter ticks what was typed if it is the name of a column, and adds nothing else.
document.addEventListener("submit", (event) => {
  const more = event.target.querySelector?.("#more");
  if (!more) return;
  const boxes = [...event.target.querySelectorAll(".boxes input")];
  const visible = boxes.filter((box) => !box.closest("label").hidden && !box.checked);
  if (more.value && visible.length === 1) visible[0].checked = true;
  more.disabled = Boolean(more.value) && !boxes.some((box) => box.value === more.value) && visible.length !== 0;
});

document.addEventListener("change", (event) => {
  if (event.target.id === "all") {
    for (const box of boxes()) if (event.target.checked) chosen.add(box.value); else chosen.delete(box.value);
    mark();
  }
  if (event.target.name !== "run") return;
  if (event.target.checked) chosen.add(event.target.value); else chosen.delete(event.target.value);
  mark();
});

// ---- keys

const KEYS = {
  "/": () => { const box = document.getElementById("query"); box?.focus(); box?.select(); },
  "?": () => document.getElementById("keys")?.showModal(),
  ArrowDown: () => move(place + 1),
  ArrowUp: () => move(place - 1),
  j: () => move(place + 1),
  k: () => move(place - 1),
  x: () => rows()[place]?.querySelector('input[name="run"]')?.click(),
  c: () => { if (chosen.size > 1) document.getElementById("compare")?.click(); },
  t: () => {
    const menu = document.getElementById("change");
    if (!menu) return;
    menu.open = true;
    menu.querySelector('input[name="tag"]').focus();
  },
};

document.addEventListener("keydown", (event) => {
  const target = event.target;
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.key === "Enter" && (target.name === "run" || target.id === "all")) { // the first button of the form is another one
    event.preventDefault();
    KEYS.c();
    return;
  }
  if (target.closest?.("input:not([type=checkbox]), select, textarea, details.menu[open]")) {
    if (event.key === "Escape" && target.id === "query") target.blur();
    return;
  }
  const act = KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});
document.addEventListener("focusin", (event) => {
  const row = event.target.closest?.("table.runs tbody tr");
  if (row) move(rows().indexOf(row), false);
});
// Also those that were selected on other pages take part.
document.addEventListener("submit", (event) => {
  if (event.target.id !== "chosen") return;
  const there = new Set(boxes().map((box) => box.value));
  for (const value of chosen) {
    if (!there.has(value)) event.target.append(Object.assign(document.createElement("input"), { type: "hidden", name: "run", value }));
  }
});

for (const box of boxes()) if (box.checked) chosen.add(box.value);
mark();
count();
later();
setInterval(refresh, PERIOD);
document.addEventListener("visibilitychange", refresh);
