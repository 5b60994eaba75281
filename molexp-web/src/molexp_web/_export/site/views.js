"use strict";
// Pieces of pages. All text of the record becomes text nodes, never markup.

/** Make an element: its attributes, and what is in it. */
function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value == null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

const counted = (number) => number.toLocaleString("en").replaceAll(",", "\u202f");

function shown(value) {
  if (value == null) return "";
  if (typeof value !== "number") return typeof value === "object" ? JSON.stringify(value) : String(value);
  if (Number.isInteger(value)) return String(value).replace("-", "−");
  return String(+value.toPrecision(6)).replace("-", "−");
}

function lasting(seconds) {
  if (seconds == null) return "";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds.toPrecision(2)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

const when = (time) => (time || "").slice(0, 16).replace("T", " ");
const statusMark = (status) => make("span", { class: `status status-${status}`, title: status === "silent" ? SILENT : null }, status);
const SILENT = "It was running, and gives no sign of life: its process may have died.";
const addressOf = (path) => `#/runs/${path.split("/").map(encodeURIComponent).join("/")}`;
const runLink = (run) => make("a", { href: addressOf(run.path) }, run.path.split("/").at(-1));

/** Return the value of a column in a run's document. */
function cellOf(run, name) {
  const [group, ...rest] = name.split(".");
  if (group === "metrics" && rest.length > 1) return run.metrics?.[rest.slice(0, -1).join(".")]?.[rest.at(-1)];
  const inner = { params: run.parameters, results: run.results, config: run.config }[group];
  if (rest.length) return rest.reduce((value, _, at) => (value != null && at === 0 ? deep(inner, rest) : value), inner);
  if (name === "attempts") return run.attempts.length;
  const [project, experiment, id] = run.path.split("/");
  return { project, experiment, id, tags: run.tags?.join(" "), created_at: when(run.created_at), seconds: lasting(run.seconds) }[name] ?? run[name];
}

function deep(value, keys) {
  if (!keys.length || value == null) return value;
  for (let many = keys.length; many > 0; many--) { // names may have dots
    const key = keys.slice(0, many).join(".");
    if (typeof value === "object" && Object.hasOwn(value, key)) return deep(value[key], keys.slice(many));
  }
  return undefined;
}

function definitions(title, found) {
  const entries = Object.entries(found || {});
  if (!entries.length) return null;
  return make("section", {}, make("h2", {}, title), make("dl", {}, ...entries.map(([name, value]) =>
    make("div", {}, make("dt", {}, name), make("dd", {}, shown(value))))));
}

/** A list of runs, for the overview. */
function runList(title, runs, address) {
  if (!runs.length) return null;
  const rows = runs.map((run) => make("tr", {}, make("th", { scope: "row" }, runLink(run)), make("td", {}, statusMark(run.status)),
    make("td", {}, run.path.split("/").slice(0, 2).join("/")), make("td", { class: "time" }, when(run.created_at))));
  const head = make("thead", {}, make("tr", {}, ...["Run", "Status", "Experiment", "Created"].map((name) => make("th", { scope: "col" }, name))));
  return make("section", {}, make("h2", {}, make("a", { href: address }, title)), scrolling(title, make("table", {}, head, make("tbody", {}, ...rows))));
}

function scrolling(name, table) {
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": name }, table);
}

/** Draw curves of a run, once their figures are on the page. */
function drawCurves(curves, where) {
  for (const curve of curves) {
    const figure = make("figure", { class: "plot" }, make("figcaption", {}, `${curve.name}: ${shown(curve.y.at(-1))} at step ${curve.x.at(-1)}`));
    where.append(figure);
    const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") } };
    const y = curve.y.map((value) => (typeof value === "number" ? value : null));
    new uPlot({ width: figure.clientWidth, height: 200, legend: { show: false }, scales: { x: { time: false } }, axes: [axis, { ...axis, size: 64 }],
      series: [{}, { stroke: colour("--accent"), width: 1.5, points: { show: curve.x.length < 3 } }] }, [curve.x, y], figure);
  }
}
