// The page: what it consists of, and what changes when somebody filters.

const state = { text: "", statuses: new Set(), x: "", y: "", colour: "status", logX: false, logY: false, curveLogX: false, curveLogY: false, smoothing: 0, metrics: 6, images: 48 };
const LOGS = ["logX", "logY", "curveLogX", "curveLogY"];
const parts = {};

function filtered() {
  const test = searched(state.text);
  const tests = [...table.filters].filter(([, text]) => text.trim()).map(([key, text]) => [columnOf.get(key), wanted(text.trim())]);
  return allRuns.filter((run) => (!state.statuses.size || state.statuses.has(statusOf(run))) && test(run) && tests.every(([column, one]) => one(column.get(run))));
}

/** Draw everything for the runs that are left. With `keep`, the head of the table stays, because somebody is writing in it. */
function update({ keep = false } = {}) {
  const runs = filtered();
  const drawn = drawTable(runs);
  if (keep) parts.table.querySelector("tbody").replaceWith(drawn.body);
  else parts.table.replaceChildren(make("caption", { class: "unseen" }, "Runs"), drawn.head, drawn.body);
  parts.more.hidden = !drawn.left;
  parts.more.textContent = `Show more: ${counted(drawn.left)} left`;
  parts.count.textContent = runs.length === data.count ? counted(runs.length, "run") : `${counted(runs.length)} of ${counted(data.count, "run")}`;
  const said = [state.text, [...state.statuses].join(" or "), ...[...table.filters].filter(([, text]) => text.trim()).map(([key, text]) => `${key}: ${text.trim()}`)];
  parts.count.dataset.filter = said.some(Boolean) ? ` (${said.filter(Boolean).join("; ")})` : ""; // for paper
  parts.empty.hidden = runs.length > 0;
  parts.clear.hidden = runs.length === data.count && !state.text && !state.statuses.size;
  for (const chip of document.querySelectorAll(".chips button")) chip.setAttribute("aria-pressed", state.statuses.has(chip.dataset.status));
  drawCharts(runs);
  drawImages(runs);
  remember();
}

let waiting = 0;
function drawCharts(runs) {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    const colours = colouring(state.colour, runs);
    parts.legend?.replaceChildren(drawLegend(columnOf.get(state.colour)?.title || "status", colours));
    const x = columnOf.get(state.x), y = columnOf.get(state.y);
    if (parts.scatter && x && y) parts.scatter.show(scatterPlan(runs, x, y, colours, state));
    const left = new Set(runs);
    (parts.curves || []).forEach((chart, at) => {
      const settings = { smoothing: state.smoothing, logX: state.curveLogX, logY: state.curveLogY };
      chart.show(curvePlan(data.metrics[at], curvesOf[at].filter((curve) => left.has(curve.run)), colours, settings));
    });
  }, 0);
}

function drawImages(runs) {
  if (!parts.images) return;
  const left = new Set(runs);
  const some = data.images.filter((image) => left.has(image.run));
  parts.images.replaceChildren(...some.slice(0, state.images).map((image) =>
    make("figure", {}, make("img", { src: image.uri, alt: `${image.name} of ${pathOf(image.run)}` }), make("figcaption", {}, runButton(image.run), " ", make("span", { class: "muted" }, image.name)))));
  parts.moreImages.hidden = some.length <= state.images;
  parts.moreImages.textContent = `Show more: ${counted(some.length - state.images)} left`;
}

// ----------------------------------------------------------------------------------------------------------------- controls

function select(label, key, options) {
  const box = make("select", { onchange: (event) => { state[key] = event.target.value; update(); } });
  for (const [group, some] of Map.groupBy ? Map.groupBy(options, ([, , of]) => of) : grouped(options)) {
    const made = some.map(([value, text]) => make("option", { value, selected: state[key] === value }, text));
    box.append(...(group ? [make("optgroup", { label: group }, ...made)] : made));
  }
  return make("label", { class: "field" }, make("span", {}, label), box);
}

function grouped(options) {
  const found = new Map();
  for (const option of options) found.set(option[2], [...(found.get(option[2]) || []), option]);
  return found;
}

function check(label, key) {
  return make("label", { class: "check" }, make("input", { type: "checkbox", checked: state[key], onchange: (event) => { state[key] = event.target.checked; update(); } }), label);
}

function section(id, title, ...children) {
  return make("section", { id, "aria-labelledby": `${id}-title` }, make("h2", { id: `${id}-title` }, title), ...children);
}

const TITLES = { params: "Parameters", results: "Results", metrics: "Metrics", run: "Run", config: "Configuration" };

function options(test) {
  const order = Object.keys(TITLES);
  return columns.filter(test).sort((a, b) => order.indexOf(a.group) - order.indexOf(b.group) || a.place - b.place).map((column) => [column.key, column.title, TITLES[column.group]]);
}

/** Tell whether the values of a column are best seen on a logarithmic axis. */
function spreads(column) {
  const numbers = column?.numeric ? allRuns.map(column.get).filter((value) => typeof value === "number") : [];
  const low = numbers.reduce((a, b) => Math.min(a, b), Infinity);
  return low > 0 && numbers.reduce((a, b) => Math.max(a, b), 0) / low >= 200;
}

function few(column) {
  return new Set(allRuns.map(column.get)).size <= 60;
}

// ----------------------------------------------------------------------------------------------------------------- sections

function drawHeader() {
  const counts = Object.entries(data.statuses).map(([status, count]) => {
    const toggle = () => {
      state.statuses.has(status) ? state.statuses.delete(status) : state.statuses.add(status);
      update();
    };
    return make("button", { type: "button", "data-status": status, class: status, "aria-pressed": "false", onclick: toggle }, make("b", {}, counted(count)), ` ${status}`);
  });
  const made = `${data.made.at.replace("T", " ").replace("Z", " UTC")} by ${data.made.by}`;
  const themes = ["", "light", "dark"];
  const theme = make("button", { type: "button", class: "theme", onclick: () => {
    const next = themes[(themes.indexOf(document.documentElement.dataset.theme || "") + 1) % 3];
    setTheme(next);
    theme.textContent = next ? `Theme: ${next}` : "Theme: system";
  } }, "Theme: system");
  const query = data.query ? make("p", { class: "query" }, "Runs that match ", make("code", {}, data.query)) : null;
  document.getElementById("top").append(
    make("div", { class: "title" }, make("h1", {}, data.workspace.name), theme),
    ...(query ? [query] : []),
    make("p", { class: "muted" }, `${counted(data.count, "run")}${shared ? ` of ${shared.slice(0, -1)}` : ""}, as of ${made}`),
    make("div", { class: "chips", role: "group", "aria-label": "Show only these statuses" }, ...counts),
  );
}

function setTheme(name) {
  if (name) document.documentElement.dataset.theme = name;
  else delete document.documentElement.dataset.theme;
  update();
}

function drawRuns() {
  const search = make("input", { type: "search", id: "search", placeholder: "Search: words, or lr<0.01", "aria-label": "Search runs: words, or comparisons such as lr<0.01", value: state.text, spellcheck: "false", oninput: (event) => { state.text = event.target.value; update(); } });
  const clear = () => {
    search.value = state.text = "";
    state.statuses.clear();
    table.filters.clear();
    update();
    search.focus();
  };
  parts.search = search;
  parts.clear = make("button", { type: "button", hidden: true, onclick: clear }, "Clear");
  parts.count = make("output", { class: "count", "aria-live": "polite" });
  parts.table = make("table", {});
  parts.empty = make("p", { class: "empty", hidden: true }, data.count ? "No run is as the filters want it." : "There are no runs.");
  parts.more = make("button", { type: "button", class: "more", onclick: () => { table.room += 500; update(); } });
  const filters = make("button", { type: "button", "aria-pressed": "false", onclick: () => filters.setAttribute("aria-pressed", parts.table.classList.toggle("filtering")) }, "Filter by column");
  return section("runs", "Runs",
    make("div", { class: "controls" }, search, parts.clear, filters, drawChooser(), parts.count),
    make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table of runs" }, parts.table), parts.empty, parts.more);
}

function drawPlots() {
  const numeric = (column) => column.numeric && column.some;
  const worth = columns.filter((column) => numeric(column) && column.varies);
  const first = (group) => worth.find((column) => column.group === group);
  const y = first("results") || worth.find((column) => column.key.endsWith(".last")) || columnOf.get("seconds");
  const x = first("params") || columns.find((column) => column.group === "params" && column.varies && few(column)) || first("results") || columnOf.get("seconds");
  state.x ||= x?.key || "";
  state.y ||= y?.key || "";
  [state.logX, state.logY] = [spreads(x), spreads(y)];
  recall();
  parts.legend = make("div", {});
  const colours = select("Colour by", "colour", options((column) => column.key === "status" || (column.key === "run" && data.count <= 60) || ((column.group === "params" || column.key === "host" || column.group === "results") && column.varies && (column.numeric || few(column)))));
  const able = (column) => numeric(column) || (column.key !== "run" && column.some && few(column) && column.group !== "metrics");
  parts.scatter = new Chart("");
  parts.scatter.element.querySelector("figcaption").remove();
  const scatter = section("relations", "Parameters and results",
    make("div", { class: "controls" }, select("Horizontal", "x", options(able)), select("Vertical", "y", options(numeric)), check("log x", "logX"), check("log y", "logY"), colours),
    parts.legend, parts.scatter.element);
  return [scatter];
}

function drawCurves() {
  if (!data.metrics.length) return [];
  const grid = make("div", { class: "grid" });
  parts.curves = [];
  const add = () => {
    for (const name of data.metrics.slice(parts.curves.length, state.metrics)) {
      const chart = new Chart(name);
      parts.curves.push(chart);
      grid.append(chart.element);
    }
    more.hidden = parts.curves.length >= data.metrics.length;
  };
  const more = make("button", { type: "button", class: "more", onclick: () => { state.metrics += 12; add(); update(); } }, "Show more metrics");
  const value = make("output", {}, String(state.smoothing));
  const slider = make("input", { type: "range", min: "0", max: "0.99", step: "0.01", value: state.smoothing, oninput: (event) => { state.smoothing = +event.target.value; value.textContent = event.target.value; update({ keep: true }); } });
  add();
  return [section("curves", "Metrics",
    make("div", { class: "controls" }, make("label", { class: "field" }, make("span", {}, "Smoothing"), slider, value), check("log steps", "curveLogX"), check("log values", "curveLogY")), grid, more)];
}

function drawPictures() {
  if (!data.images.length) return [];
  parts.images = make("div", { class: "pictures" });
  parts.moreImages = make("button", { type: "button", class: "more", onclick: () => { state.images += 96; update(); } });
  return [section("images", "Images", parts.images, parts.moreImages)];
}

function drawFailures() {
  if (!data.failures.length) return [];
  const some = data.failures.map((failure, at) => {
    const names = failure.runs.slice(0, 30).map((run) => make("li", {}, runButton(run)));
    const more = failure.runs.length > 30 ? [make("li", { class: "muted" }, `and ${counted(failure.runs.length - 30)} more`)] : [];
    return make("details", { class: "failure", open: at === 0 && data.failures.length < 4 },
      make("summary", {}, make("span", { class: "badge" }, counted(failure.runs.length, "run")), make("b", {}, failure.type.replace(/^builtins\./, "")), failure.message ? ": " : "", make("span", {}, failure.message)),
      ...(failure.frames ? [make("pre", { tabindex: "0" }, failure.frames)] : []), make("ul", { class: "names" }, ...names, ...more));
  });
  return [section("failures", "Failures", ...some)];
}

function drawOrigins() {
  if (!data.origins.length) return [];
  const rows = data.origins.map((origin) => {
    const hosts = [...new Set(origin.runs.map((run) => columnOf.get("host")?.get(run)).filter(Boolean))];
    const cells = [counted(origin.runs.length), origin.commit ? origin.commit.slice(0, 12) : "none", origin.branch, origin.commit ? (origin.changed ? "yes" : "no") : "", origin.python, origin.platform, hosts.slice(0, 4).join(", ") + (hosts.length > 4 ? ` and ${hosts.length - 4} more` : ""), origin.packages >= 0 ? `set ${origin.packages + 1}` : "left out"];
    return make("tr", {}, ...cells.map((text, at) => make("td", { class: at === 0 ? "number" : null, title: at === 1 ? `${origin.remote} ${origin.commit}` : null }, at === 1 ? make("code", {}, text) : text)));
  });
  const head = ["runs", "commit", "branch", "uncommitted changes", "Python", "platform", "hosts", "packages"].map((name, at) => make("th", { scope: "col", class: at === 0 ? "number" : null }, name));
  const sets = data.packages;
  const names = [...new Set(sets.flatMap(Object.keys))].sort();
  const differing = names.filter((name) => sets.some((set) => set[name] !== sets[0][name]));
  const list = (some, set) => make("ul", { class: "packages" }, ...some.map((name) => make("li", {}, name, " ", make("span", { class: "muted" }, set[name] || "not installed"))));
  const details = sets.map((set, at) => make("details", {}, make("summary", {}, `Packages, set ${at + 1} (${counted(Object.keys(set).length)})`), ...(sets.length > 1 && at ? [make("p", { class: "muted" }, `${differing.length} differ among the sets; those are listed.`), list(differing, set)] : [list(Object.keys(set), set)])));
  return [section("provenance", "Provenance", make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table of origins" }, make("table", { class: "plain" }, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows))), ...details)];
}

function drawAbout() {
  const left = data.left_out.length ? [make("h3", {}, "Left out"), make("ul", {}, ...data.left_out.map((what) => make("li", {}, what)))] : [make("p", {}, "All runs that match are in it.")];
  return section("about", "About this report", ...left,
    make("p", { class: "muted" }, "Curves are thinned to what a screen shows; the least and the greatest values of each part are kept. Images are thumbnails. The workspace is ", make("code", {}, data.workspace.url), ". The page asks no network for anything."));
}

// ------------------------------------------------------------------------------------------------------------- the address

/** Keep the view in the address, so that it can be bookmarked, and found again after a reload. */
function remember() {
  const found = new URLSearchParams();
  if (state.text) found.set("q", state.text);
  if (state.statuses.size) found.set("status", [...state.statuses].join(","));
  found.set("sort", (table.down ? "-" : "") + table.sort);
  for (const key of ["x", "y", "colour"]) if (state[key]) found.set(key, state[key]);
  for (const key of LOGS) found.set(key, +state[key]);
  if (state.smoothing) found.set("smoothing", state.smoothing);
  try {
    history.replaceState(null, "", "#" + found);
  } catch { /* some viewers of mail keep no address */ }
}

function recall() {
  const found = new URLSearchParams(location.hash.slice(1));
  state.text = found.get("q") || "";
  state.statuses = new Set((found.get("status") || "").split(",").filter((status) => status in data.statuses));
  const sort = found.get("sort") || "";
  if (columnOf.has(sort.replace(/^-/, ""))) [table.sort, table.down] = [sort.replace(/^-/, ""), sort.startsWith("-")];
  for (const key of ["x", "y", "colour"]) if (columnOf.has(found.get(key))) state[key] = found.get(key);
  for (const key of LOGS) if (found.has(key)) state[key] = found.get(key) === "1";
  state.smoothing = Math.min(Math.max(+found.get("smoothing") || 0, 0), 0.99);
}

function start() {
  chooseColumns();
  const usual = columns.find((column) => column.group === "params" && column.varies && column.numeric);
  state.colour = data.count > 1 && data.count <= PALETTE.length ? "run" : usual?.key || "status";
  recall();
  drawHeader();
  const sections = [drawRuns(), ...(data.count ? drawPlots() : []), ...drawCurves(), ...drawPictures(), ...drawFailures(), ...drawOrigins(), drawAbout()];
  const links = sections.map((one) => make("a", { href: `#${one.id}`, onclick: (event) => { event.preventDefault(); one.scrollIntoView({ behavior: "auto" }); one.querySelector("h2").tabIndex = -1; one.querySelector("h2").focus({ preventScroll: true }); } }, one.querySelector("h2").textContent));
  document.getElementById("top").append(make("nav", { "aria-label": "Sections" }, ...links));
  document.getElementById("main").append(...sections);
  document.body.append(card);
  card.addEventListener("click", (event) => event.target === card && card.close());
  let before = "";
  addEventListener("beforeprint", () => {
    before = document.documentElement.dataset.theme || "";
    document.documentElement.dataset.theme = "light";
    for (const chart of [parts.scatter, ...(parts.curves || [])]) chart?.plan && chart.draw();
  });
  addEventListener("afterprint", () => setTheme(before));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => update());
  update();
}

start();
