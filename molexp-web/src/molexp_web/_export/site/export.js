"use strict";
// The pages: what is shown depends on the part of the address behind "#", and changes with it.

const ROWS = 50;
const EVERY = 10_000; // ms between looks whether the copy was written again
const main = document.getElementById("main");

function place() {
  const [path, search = ""] = location.hash.slice(1).split("?");
  return { parts: path.split("/").filter(Boolean).map(decodeURIComponent), asked: new URLSearchParams(search) };
}

/** Return the address of the table with some of what is asked changed. */
function tableAddress(asked, changes = {}) {
  const next = new URLSearchParams(asked);
  for (const [name, value] of Object.entries(changes)) value ? next.set(name, value) : next.delete(name);
  return `#/runs${next.size ? `?${next}` : ""}`;
}

async function overview() {
  const { manifest } = molexp;
  const total = totalRuns(), newest = Array.from({ length: Math.min(10, total) }, (_, at) => total - 1 - at);
  const [running, failed, fresh] = await Promise.all([listedNow(manifest.running, ["running", "silent"]), listedNow(manifest.failed, ["failed", "interrupted"]), runsAt(newest)]);
  const counts = statusesNow(manifest.statuses).map(([status, number]) => make("a", { href: tableAddress({}, { q: `status == "${status}"` }), class: "count" },
    make("b", {}, counted(number)), " ", statusMark(status)));
  const experiments = experimentsNow().map((one) => make("tr", {}, make("th", { scope: "row" }, make("a", { href: tableAddress({}, { q: `${one.path}/` }) }, one.path)),
    make("td", { class: "number" }, counted(Object.values(one.statuses).reduce((a, b) => a + b, 0))), make("td", {}, ...Object.entries(one.statuses).flatMap(([status, number]) => [`${counted(number)} `, statusMark(status), " "])), make("td", { class: "time" }, when(one.newest))));
  const head = make("thead", {}, make("tr", {}, ...["Experiment", "Runs", "Statuses", "Newest"].map((name) => make("th", { scope: "col", class: name === "Runs" ? "number" : null }, name))));
  return [make("h1", {}, manifest.workspace), make("p", { class: "counts" }, make("a", { href: "#/runs", class: "count" }, make("b", {}, counted(total)), " runs"), ...counts),
    runList("Running", running, tableAddress({}, { q: 'status == "running"' })), runList("Failed or interrupted", failed, tableAddress({}, { q: 'status == "failed"' })),
    runList("Newest", fresh, "#/runs"),
    experiments.length ? make("section", {}, make("h2", {}, "Experiments"), scrolling("Experiments", make("table", {}, head, make("tbody", {}, ...experiments)))) : null];
}

function chosenColumns(asked) {
  const given = asked.get("columns")?.split(",").filter((name) => molexp.columns.has(name));
  if (given?.length) return given;
  const rank = (name) => ["params", "results", "metrics"].indexOf(name.split(".")[0]);
  const worth = [...molexp.columns.values()].filter(({ name, varies }) => varies && rank(name) >= 0 && (!name.startsWith("metrics.") || name.endsWith(".last")));
  worth.sort((a, b) => rank(a.name) - rank(b.name) || b.some - a.some);
  const chosen = [4, 3, 2].flatMap((most, group) => worth.filter(({ name }) => rank(name) === group).slice(0, most));
  return [...chosen.map(({ name }) => name), "seconds", "created_at"].filter((name) => molexp.columns.has(name));
}

async function table(asked) {
  const query = asked.get("q") || "", sort = asked.get("sort") || "";
  const box = make("input", { type: "search", name: "q", value: query, "aria-label": "Query", placeholder: "words, or params.lr < 0.01 and status == \"failed\"", spellcheck: "false" });
  const form = make("form", { class: "query", onsubmit: (event) => { event.preventDefault(); location.hash = tableAddress(asked, { q: box.value, page: "" }); } }, box, make("button", {}, "Find"));
  let found;
  try {
    found = await answer(query, sort);
  } catch (error) {
    return [make("h1", {}, "Runs"), form, make("p", { role: "alert" }, error.message)];
  }
  const last = Math.max(0, Math.ceil(found.length / ROWS) - 1), page = Math.min(Math.max(0, Math.trunc(Number(asked.get("page"))) || 0), last);
  const runs = await runsAt(found.slice(page * ROWS, (page + 1) * ROWS));
  const columns = chosenColumns(asked);
  const heads = columns.map((name) => {
    const on = sort.replace(/^-/, "") === name, down = sort.startsWith("-");
    const address = tableAddress(asked, { sort: on && !down ? `-${name}` : name, page: "" });
    return make("th", { scope: "col", class: molexp.columns.get(name).numeric ? "number" : null, "aria-sort": on ? (down ? "descending" : "ascending") : null },
      make("a", { href: address, title: `Sort by ${name}` }, name.replace(/^(params|results|metrics)\./, ""), on ? (down ? " ↓" : " ↑") : ""));
  });
  const rows = runs.map((run) => make("tr", {}, make("th", { scope: "row" }, runLink(run)), make("td", {}, statusMark(run.status)),
    ...columns.map((name) => make("td", { class: molexp.columns.get(name).numeric ? "number" : null }, make("span", { class: "cell" }, shown(cellOf(run, name)))))));
  const head = make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Run"), make("th", { scope: "col" }, "Status"), ...heads));
  const toPage = (number, text) => make("a", { href: tableAddress(asked, { page: number ? String(number) : "" }) }, text);
  return [make("h1", {}, "Runs"), form, chooser(asked, columns), make("p", { class: "found" }, `${counted(found.length)} of ${counted(totalRuns())} runs`),
    rows.length ? scrolling("Runs", make("table", { class: "runs" }, head, make("tbody", {}, ...rows)))
      : make("p", {}, query ? "No run matches. " : "There are no runs yet.", query ? make("a", { href: tableAddress({}) }, "Show all runs") : ""),
    make("nav", { class: "pages", "aria-label": "Pages of runs" }, page ? toPage(page - 1, "Newer") : null, last ? `Page ${page + 1} of ${counted(last + 1)}` : null, page < last ? toPage(page + 1, "More") : null)];
}

function chooser(asked, chosen) {
  const boxes = [...molexp.columns.keys()].filter((name) => !["path", "id", "status"].includes(name)).map((name) => make("label", {}, make("input", { type: "checkbox", name, checked: chosen.includes(name) }), name));
  const use = (event) => {
    event.preventDefault();
    const names = [...event.target.querySelectorAll("input:checked")].map((one) => one.name);
    location.hash = tableAddress(asked, { columns: names.join(",") });
  };
  return make("details", { class: "chooser" }, make("summary", {}, "Columns"), make("form", { onsubmit: use }, make("div", {}, ...boxes), make("button", {}, "Show")));
}

async function runPage(path) {
  const number = await numberOf(path);
  if (number < 0) return [make("h1", {}, "No such run"), make("p", {}, `This copy has no run ${path}.`)];
  const [run] = await runsAt([number]);
  const { curves = [], logs = {}, files: assets = [], pictures, trace, gap } = await detailsOf(run);
  const newest = run.attempts.at(-1) || {};
  const error = newest.error ? `${newest.error.type}: ${newest.error.message}` : newest.reason;
  const attempts = run.attempts.map((one) => make("tr", {}, make("td", { class: "number" }, shown(one.attempt)), make("td", {}, statusMark(one.status)), make("td", {}, when(one.started_at)), make("td", {}, when(one.ended_at)), make("td", {}, shown(one.host)), make("td", {}, shown(one.reason))));
  const head = make("thead", {}, make("tr", {}, ...["Attempt", "Status", "Started", "Ended", "Host", "Reason"].map((name) => make("th", { scope: "col", class: name === "Attempt" ? "number" : null }, name))));
  const files = assets.map((one) => make("li", {}, `${one.name} (${one.kind}${one.size == null ? "" : `, ${counted(one.size)} bytes`})`));
  const plots = curves.length ? make("section", {}, make("h2", {}, "Metrics"), make("div", { class: "plots" })) : null;
  if (plots) requestAnimationFrame(() => plots.isConnected && drawCurves(curves, plots.lastChild));
  return [make("p", { class: "crumbs" }, make("a", { href: "#/runs" }, "Runs"), ` / ${run.path.split("/").slice(0, 2).join(" / ")}`),
    make("h1", {}, run.path.split("/").at(-1), " ", statusMark(run.status)),
    make("p", {}, [when(run.created_at), lasting(run.seconds), run.host, run.profile, (run.tags || []).join(", ")].filter(Boolean).join(" · ")),
    error ? make("section", { class: "error" }, make("h2", {}, "Error"), make("p", {}, error), trace ? make("pre", { tabindex: "0" }, trace) : null) : null,
    run.silent ? make("p", { role: "status" }, `No sign of life for ${lasting(run.silent)}: its process may have died. Whoever uses MolExp there finds out, and this page then shows it.`) : null,
    run.unread ? make("p", { role: "alert" }, `This run could not be read whole: ${run.unread}`) : null,
    make("div", { class: "columns" }, definitions("Parameters", run.parameters), definitions("Results", run.results), definitions("Metrics, last", Object.fromEntries(Object.entries(run.metrics || {}).map(([name, one]) => [name, one.last]))), definitions("Configuration", run.config)),
    plots, gap ? make("p", {}, "Of long curves, only the newest points are shown.") : null, pictures?.length ? make("section", {}, make("h2", {}, "Pictures"), make("div", { class: "pictures" }, ...pictures.map((one) => make("figure", {}, make("img", { src: one.file, alt: one.name, loading: "lazy" }), make("figcaption", {}, one.name))))) : null,
    ...Object.entries(logs).map(([name, text]) => make("section", {}, make("h2", {}, `Log ${name}`), make("pre", { tabindex: "0" }, text))),
    attempts.length ? make("section", {}, make("h2", {}, "Attempts"), scrolling("Attempts", make("table", {}, head, make("tbody", {}, ...attempts)))) : null,
    files.length ? make("section", {}, make("h2", {}, "Files"), make("ul", {}, ...files)) : null];
}

let drawing = 0;

/** Remember where the reader is on a page; the answer brings the same page there again. */
function keep() {
  const boxes = () => [...main.querySelectorAll("pre, .scroll")], link = main.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  const [x, y] = [scrollX, scrollY];
  const places = boxes().map((one) => [one.scrollLeft, one.scrollHeight - one.scrollTop - one.clientHeight < 8 ? Infinity : one.scrollTop]);
  return () => {
    boxes().forEach((one, at) => places[at] && one.scrollTo(...places[at].map((far) => Math.min(far, 1e9))));
    requestAnimationFrame(() => scrollTo(x, y)); // when curves have their heights again
    if (link) [...main.querySelectorAll("a")].find((one) => one.getAttribute("href") === link)?.focus({ preventScroll: true });
  };
}

/** Show the page of the address. */
async function draw({ moved = false } = {}) {
  const mine = ++drawing;
  let children;
  live.shown.clear();
  try {
    const { parts, asked } = place();
    children = await (parts[0] === "runs" ? (parts.length > 1 ? runPage(parts.slice(1).join("/")) : table(asked)) : overview());
  } catch (error) {
    children = [make("h1", {}, "This page cannot be shown"), make("p", { role: "alert" }, `${error.message} The copy may have been written again: load the page once more.`)];
  }
  if (mine !== drawing) return; // somebody went on meanwhile
  const kept = moved ? null : keep();
  main.replaceChildren(...children.filter((child) => child != null));
  kept?.();
  document.title = `${main.querySelector("h1").textContent.trim()} · ${molexp.manifest?.workspace || "MolExp"}`;
  if (moved) { main.focus({ preventScroll: true }); scrollTo(0, 0); }
}

function drawFrame() {
  const { manifest } = molexp;
  document.querySelector(".home").textContent = manifest.workspace;
  document.getElementById("made").textContent = `A copy as of ${manifest.made.replace("T", " ").replace("Z", " UTC")}, by ${manifest.by}.`;
  const left = document.getElementById("left-out");
  left.hidden = !manifest.left_out.length;
  left.querySelector("ul").replaceChildren(...manifest.left_out.map((one) => make("li", {}, one)));
}

let timer = 0, due = false, looking = Promise.resolve();

/** Look whether the copy was written again, or the record has more. */
function look() {
  looking = looking.then(lookOnce);
  return looking;
}

async function lookOnce() {
  clearTimeout(timer);
  try {
    if (!document.hidden) {
      const renewed = await refresh();
      if (renewed) drawFrame();
      const moved = await lookAtRecord();
      document.getElementById("record").textContent = noteOnRecord();
      due ||= renewed || moved;
      if (due && !document.activeElement?.closest("form, details")) {
        due = false;
        await draw();
      }
    }
  } catch { /* The place cannot be reached now; the page stays as it is. */ }
  timer = setTimeout(look, EVERY);
}

refresh().then(drawFrame).catch((error) => { molexp.manifest = null; throw error; }).then(() => draw()).catch((error) => {
  main.replaceChildren(make("h1", {}, "This copy cannot be read"), make("p", { role: "alert" }, error.message));
}).finally(look);
document.addEventListener("visibilitychange", () => document.hidden || look());
addEventListener("hashchange", async () => {
  await draw({ moved: true });
  if (live.root) look();
});
