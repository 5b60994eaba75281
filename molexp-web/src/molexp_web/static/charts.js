// Curves of metrics by uPlot: the points come from the API, thinned so that least and greatest values are kept.

const COLOURS = ["#2f6fd0", "#d9622b", "#2a9467", "#a44fc4", "#c79a12", "#c93c5b", "#1a9fb0", "#7c6a4d", "#5d63d8", "#6c9a1f", "#b0567f", "#64748b"];
const LIVE = 4000; // milliseconds between looks at a run that goes on
const HEIGHT = 210;

const colour = (place) => COLOURS[place % COLOURS.length];
const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export function shortNumber(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e6) return String(value);
  return size >= 1e6 || size < 1e-3 ? value.toExponential(2).replace("e+", "e") : String(Number(value.toPrecision(5)));
}

// Exponential smoothing whose first values are not drawn towards nought; gaps stay gaps.
export function smoothed(values, weight) {
  if (!weight) return values;
  let last = 0, mass = 0;
  return values.map((value) => {
    if (value === null || value === undefined) return value;
    last = last * weight + (1 - weight) * value;
    mass = mass * weight + (1 - weight);
    return last / mass;
  });
}

// Address and page agree: what is chosen stands in the address, and a link brings it back.
export class Choices {
  constructor(form) {
    this.form = form;
    const given = new URLSearchParams(location.search);
    for (const field of form.elements) {
      if (!field.name) continue;
      if (given.has(field.name)) {
        if (field.type === "checkbox") field.checked = given.get(field.name) === "1";
        else field.value = given.get(field.name);
      }
      field.dataset.default ??= field.type === "checkbox" ? String(field.defaultChecked) : field.type === "range" ? "0" : field.options?.[0]?.value ?? "";
    }
    form.hidden = false;
    form.addEventListener("submit", (event) => event.preventDefault());
  }
  get(name) {
    const field = this.form.elements[name];
    return field.type === "checkbox" ? field.checked : field.type === "range" ? Number(field.value) : field.value;
  }
  remember() {
    const address = new URL(location.href);
    for (const field of this.form.elements) {
      if (!field.name) continue;
      const value = field.type === "checkbox" ? String(field.checked) : field.value;
      if (value === field.dataset.default) address.searchParams.delete(field.name);
      else address.searchParams.set(field.name, field.type === "checkbox" ? (field.checked ? "1" : "0") : value);
    }
    history.replaceState(history.state, "", address);
  }
}

function horizontal(series, how) {
  if (how === "step" || series.times.includes(null)) return series.steps;
  return how === "time" ? series.times : series.times.map((time) => time - series.start);
}

class Chart {
  constructor(holder, name, runs) {
    this.name = name;
    this.runs = runs;
    this.figure = document.createElement("figure");
    this.figure.className = "chart";
    this.caption = document.createElement("figcaption");
    this.title = document.createElement("strong");
    this.title.textContent = name;
    this.read = document.createElement("span");
    this.read.className = "muted";
    this.caption.append(this.title, this.read);
    this.place = document.createElement("div");
    this.figure.append(this.caption, this.place);
    holder.append(this.figure);
    this.series = [];
  }

  draw(choices) {
    this.plot?.destroy();
    this.plot = null;
    const how = choices.get("x"), weight = choices.get("smooth");
    const logx = choices.get("logx") && how !== "time", logy = choices.get("logy");
    const some = this.series.filter((one) => one.steps.length);
    if (!some.length) {
      this.place.textContent = "No points yet.";
      this.place.className = "muted";
      return;
    }
    this.place.textContent = "";
    this.place.className = "";
    const tables = [], drawn = [];
    for (const one of some) {
      const across = horizontal(one, how);
      const keep = across.map((value, at) => (!logx || value > 0) && (at === 0 || value >= across[at - 1]));
      const xs = across.filter((_, at) => keep[at]);
      const ys = one.values.filter((_, at) => keep[at]).map((value) => (logy && !(value > 0) ? null : value));
      if (!xs.length) continue;
      if (weight && choices.get("raw")) {
        tables.push([xs, ys]);
        drawn.push({ of: one, faint: true });
      }
      tables.push([xs, smoothed(ys, weight)]);
      drawn.push({ of: one, faint: false });
    }
    if (!tables.length) {
      this.place.textContent = "It has no positive values, which a logarithmic axis needs.";
      this.place.className = "muted";
      return;
    }
    const data = tables.length > 1 ? uPlot.join(tables) : tables[0];
    const ink = style("--muted"), line = style("--line"), font = "11px system-ui, sans-serif";
    const axis = { stroke: ink, font, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1, size: 4 } };
    const options = {
      width: Math.max(220, this.figure.clientWidth - 2),
      height: HEIGHT,
      legend: { show: false },
      cursor: { points: { size: 6 }, focus: { prox: 24 }, sync: { key: "metrics" }, y: false },
      focus: { alpha: drawn.length > 2 ? 0.35 : 1 },
      scales: { x: { time: how === "time", distr: logx ? 3 : 1 }, y: { distr: logy ? 3 : 1 } },
      axes: [
        { ...axis, size: 30, values: how === "time" ? undefined : (_, ticks) => ticks.map((tick) => (tick === null ? "" : shortNumber(tick))) },
        { ...axis, size: 58, values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : shortNumber(tick))) },
      ],
      series: [{}, ...drawn.map(({ of, faint }) => ({
        label: of.run,
        stroke: colour(of.place) + (faint ? "55" : ""),
        width: faint ? 1 : 1.6,
        points: { show: !faint && of.steps.length < 40 && some.length < 5, size: 4 },
        spanGaps: false,
      }))],
      hooks: { setCursor: [(plot) => this.tell(plot, drawn, how)] },
    };
    this.plot = new uPlot(options, data, this.place);
    this.drawn = drawn;
    this.rest();
  }

  rest() {
    const only = this.series.length === 1 ? this.series[0] : null;
    this.read.textContent = only && only.values.length ? shortNumber(only.values.findLast((one) => one !== null)) : "";
  }

  tell(plot, drawn, how) {
    const at = plot.cursor.idx;
    if (at === null || at === undefined) return this.rest();
    const x = plot.data[0][at], y = plot.posToVal(plot.cursor.top, "y");
    let best = null;
    drawn.forEach(({ of, faint }, number) => {
      if (faint && drawn.length > 1) return;
      let place = at; // joined curves have no point at most places: look for the nearest
      while (place > 0 && plot.data[number + 1][place] === undefined) place--;
      const value = plot.data[number + 1][place];
      if (value === null || value === undefined) return;
      const far = Math.abs(value - y);
      if (best === null || far < best.far) best = { of, value, far };
    });
    if (best === null) return;
    const where = how === "time" ? new Date(x * 1000).toLocaleString() : `${how === "step" ? "step " : ""}${shortNumber(x)}${how === "relative" ? " s" : ""}`;
    const whose = this.runs.length > 1 ? `${best.of.label}: ` : "";
    this.read.textContent = `${whose}${shortNumber(best.value)} at ${where}`;
  }
}

class Board {
  constructor(holder) {
    this.holder = holder;
    this.settings = JSON.parse(holder.dataset.charts);
    this.choices = new Choices(holder.closest("section").querySelector("[data-chart-tools]"));
    const { runs, names, labels } = this.settings;
    this.labels = new Map(runs.map((run, place) => [run, labels[place]]));
    if (runs.length > 1) this.legend();
    this.charts = new Map(names.map((name) => [name, new Chart(holder, name, runs)]));
    this.choices.form.addEventListener("input", () => {
      this.choices.remember();
      this.draw();
    });
    new ResizeObserver(() => this.resized()).observe(holder);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  legend() {
    const list = document.createElement("ul");
    list.className = "legend";
    this.settings.runs.forEach((run, place) => {
      const item = document.createElement("li");
      const key = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      key.setAttribute("width", "18");
      key.setAttribute("height", "4");
      const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      bar.setAttribute("width", "18");
      bar.setAttribute("height", "4");
      bar.setAttribute("rx", "2");
      bar.setAttribute("fill", colour(place));
      key.append(bar);
      item.append(key, this.labels.get(run));
      list.append(item);
    });
    this.holder.before(list);
  }

  async load() {
    const { runs, names, points, address, limit } = this.settings;
    const query = new URLSearchParams([["limit", String(limit)], ...runs.map((run) => ["run", run]), ...names.map((name) => ["name", name]), ["points", String(points)]]);
    const response = await fetch(`${address}?${query}`, { headers: { accept: "application/json" } });
    if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
    const tag = response.headers.get("etag");
    if (tag !== null && tag === this.tag) return;
    this.tag = tag;
    this.take(await response.json());
    this.draw();
  }

  take(found) {
    for (const chart of this.charts.values()) chart.series = [];
    const starts = new Map(); // of each run, the time of its first point
    for (const one of found.series) starts.set(one.run, Math.min(one.times[0] ?? Infinity, starts.get(one.run) ?? Infinity));
    for (const one of found.series) {
      const place = this.settings.runs.indexOf(one.run);
      const label = this.labels.get(one.run) + (one.task ? `, ${one.task}` : "");
      this.charts.get(one.name)?.series.push({ ...one, place, label, start: starts.get(one.run) });
    }
  }

  draw() {
    const output = this.choices.form.querySelector("output");
    const weight = this.choices.get("smooth");
    output.textContent = weight ? weight.toFixed(2) : "off";
    for (const chart of this.charts.values()) chart.draw(this.choices);
    this.width = this.holder.clientWidth;
  }

  resized() {
    if (this.width === undefined || Math.abs(this.width - this.holder.clientWidth) < 2) return;
    this.width = this.holder.clientWidth;
    for (const chart of this.charts.values()) chart.plot?.setSize({ width: Math.max(220, chart.figure.clientWidth - 2), height: HEIGHT });
  }

  // Show metrics that have come, behind those that are there.
  widen(settings) {
    const names = settings.names.filter((name) => !this.charts.has(name));
    if (!names.length) return;
    this.settings = { ...settings, names: [...this.charts.keys(), ...names] };
    for (const name of names) this.charts.set(name, new Chart(this.holder, name, settings.runs));
    this.load().catch(() => undefined);
  }

  async start() {
    try {
      await this.load();
    } catch (error) {
      const text = document.createElement("p");
      text.className = "problem";
      text.textContent = `The points cannot be read: ${error.message}`;
      this.holder.append(text);
      return;
    }
    const again = async () => {
      const goesOn = document.querySelector("[data-parts]");
      if (!document.hidden || !goesOn) await this.load().catch(() => undefined); // once more when it has ended
      if (goesOn) setTimeout(again, LIVE);
    };
    if (document.querySelector("[data-parts]")) setTimeout(again, LIVE);
  }
}

const boards = new Map();
function begin() {
  for (const holder of document.querySelectorAll("[data-charts]")) {
    if (!JSON.parse(holder.dataset.charts).names.length) continue;
    boards.set(holder, new Board(holder));
    boards.get(holder).start();
  }
}
begin();

// A run that goes on may log its first metric, or another one, while somebody looks.
document.addEventListener("refreshed", ({ detail: page }) => {
  const fresh = page.getElementById("metrics"), old = document.getElementById("metrics");
  const settings = fresh?.querySelector("[data-charts]")?.dataset.charts;
  if (!old || !settings) return;
  const board = boards.get(old.querySelector("[data-charts]"));
  if (board) board.widen(JSON.parse(settings));
  else {
    old.replaceWith(document.adoptNode(fresh));
    begin();
  }
});
