// Charts on canvases: scatter and curves, with linear, logarithmic and categorical axes.

const PALETTE = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5fd0", "#8c6d46", "#5c6670", "#b5a800"];
const RAMP = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [225, 205, 40]]; // viridis, its end less bright

function themed(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function ramp(part) {
  const dark = themed("color-scheme") === "dark" ? 0.2 : 0; // its beginning is too dark there
  const place = Math.min(Math.max(dark + part * (1 - dark), 0), 1) * (RAMP.length - 1);
  const at = Math.min(Math.floor(place), RAMP.length - 2);
  return `rgb(${RAMP[at].map((low, n) => Math.round(low + (RAMP[at + 1][n] - low) * (place - at))).join(" ")})`;
}

/** Return the colour of each run by a column, and what explains it. */
function colouring(key, runs) {
  if (key === "status" || !columnOf.has(key)) {
    const statuses = [...new Set(runs.map(statusOf))].sort();
    const colour = Object.fromEntries(statuses.map((status) => [status, themed(`--${status}`) || themed("--muted")]));
    return { of: (run) => colour[statusOf(run)], legend: statuses.map((status) => [status, colour[status]]) };
  }
  const column = columnOf.get(key);
  const numbers = runs.map(column.get).filter((value) => typeof value === "number");
  const different = [...new Set(runs.map(column.get).filter((value) => value != null))];
  if (column.numeric && different.length > 6 && numbers.length) {
    const low = numbers.reduce((a, b) => Math.min(a, b)), high = numbers.reduce((a, b) => Math.max(a, b));
    const log = low > 0 && high / low >= 100;
    const part = (value) => (high === low ? 0.5 : log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low));
    return { of: (run) => (typeof column.get(run) === "number" ? ramp(part(column.get(run))) : themed("--muted")), range: [low, high], log };
  }
  different.sort((a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true })));
  const colours = new Map(different.map((value, at) => [value, at < PALETTE.length ? PALETTE[at] : themed("--muted")]));
  const legend = different.slice(0, PALETTE.length).map((value) => [shown(column, value), colours.get(value)]);
  if (different.length > PALETTE.length) legend.push([`${different.length - PALETTE.length} more`, themed("--muted")]);
  return { of: (run) => colours.get(column.get(run)) || themed("--muted"), legend };
}

function drawLegend(title, colours) {
  if (colours.range) {
    const canvas = make("canvas", { width: 120, height: 10, "aria-hidden": "true" });
    const pen = canvas.getContext("2d");
    for (let x = 0; x < 120; x++) {
      pen.fillStyle = ramp(x / 119);
      pen.fillRect(x, 0, 1, 10);
    }
    return make("p", { class: "legend" }, make("span", {}, `${title}:`), brief(colours.range[0], 3), canvas, brief(colours.range[1], 3), colours.log ? " (logarithmic)" : "");
  }
  return make("p", { class: "legend" }, make("span", {}, `${title}:`), ...colours.legend.map(([name, colour]) => {
    const swatch = make("i", { class: "swatch", "aria-hidden": "true" });
    swatch.style.background = colour;
    return make("span", {}, swatch, name);
  }));
}

// -------------------------------------------------------------------------------------------------------------------- axes

/** Return an axis over some values: where a value lies between 0 and 1, and its ticks. */
function axis(values, { log = false, names = null } = {}) {
  if (names) {
    const place = new Map(names.map((name, at) => [name, (at + 0.5) / names.length]));
    const step = Math.ceil(names.length / 12);
    return { at: (value) => place.get(value) ?? NaN, ticks: names.filter((_, at) => at % step === 0).map((name) => [place.get(name), String(name)]) };
  }
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    if (typeof value !== "number" || (log && value <= 0)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (low > high) return null;
  if (log) {
    let from = Math.log10(low), to = Math.log10(high);
    const margin = (to - from) * 0.04 || 0.3;
    from -= margin, to += margin;
    const every = Math.ceil((to - from) / 7) || 1;
    const ticks = [];
    for (let power = Math.ceil(from); power <= to; power++) if (power % every === 0) ticks.push([(power - from) / (to - from), tenTo(power)]);
    if (ticks.length < 2) for (const part of [0.1, 0.5, 0.9]) ticks.push([part, brief(10 ** (from + part * (to - from)), 3)]);
    return { at: (value) => (value > 0 ? (Math.log10(value) - from) / (to - from) : NaN), ticks: ticks.length > 3 && ticks[0][1].startsWith("10") ? ticks : unlike(ticks) };
  }
  const margin = (high - low) * 0.04 || Math.abs(high) * 0.1 || 1;
  const from = low - margin, to = high + margin;
  const rough = (to - from) / 5, size = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((times) => times * size).find((one) => one >= rough);
  const ticks = [];
  const digits = Math.max(3, Math.ceil(Math.log10(Math.max(Math.abs(from), Math.abs(to)) / step)) + 1);
  const first = Math.ceil(from / step);
  for (let more = 0, n = first; more < 12 && n * step <= to; n = first + ++more) ticks.push([(n * step - from) / (to - from), brief(+(n * step).toPrecision(12), Math.min(digits, 12))]);
  return { at: (value) => (value - from) / (to - from), ticks };
}

function tenTo(power) {
  if (power >= -4 && power <= 4) return brief(10 ** power);
  return "10" + [...String(power)].map((digit) => (digit === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit])).join("");
}

function unlike(ticks) {
  return [...ticks].sort((a, b) => a[0] - b[0]).filter((tick, at, all) => !at || tick[0] - all[at - 1][0] > 0.12);
}

// ------------------------------------------------------------------------------------------------------------------ charts

/** A canvas with two axes. `marks` are what can be pointed at, {x, y, run, text}, once it is drawn. */
class Chart {
  constructor(title) {
    this.canvas = make("canvas", { tabindex: "0", role: "img" });
    this.tip = make("div", { class: "tip", hidden: true, role: "status" });
    this.frame = make("div", { class: "chart" }, this.canvas, this.tip);
    this.element = make("figure", { class: "plot" }, make("figcaption", {}, title), this.frame);
    this.marks = [];
    this.chosen = -1;
    this.canvas.addEventListener("pointermove", (event) => this.point(event));
    this.canvas.addEventListener("pointerdown", (event) => this.point(event));
    this.canvas.addEventListener("pointerleave", () => this.choose(-1));
    this.canvas.addEventListener("blur", () => this.choose(-1));
    this.canvas.addEventListener("click", () => this.chosen >= 0 && openCard(this.marks[this.chosen].run));
    this.canvas.addEventListener("keydown", (event) => this.press(event));
    new ResizeObserver(() => this.plan && this.draw()).observe(this.frame);
  }

  /** Show a plan: {x, y, xName, yName, paint(pen, px, py, wide, chosen) -> marks, label}; null says that there is nothing. */
  show(plan) {
    this.plan = plan;
    this.chosen = -1;
    this.tip.hidden = true;
    this.draw();
  }

  draw() {
    const wide = this.frame.clientWidth, high = this.frame.clientHeight;
    if (!wide || !high) return;
    const dense = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(wide * dense);
    this.canvas.height = Math.round(high * dense);
    const pen = this.canvas.getContext("2d");
    pen.scale(dense, dense);
    pen.font = `12px ${getComputedStyle(document.body).fontFamily}`;
    const { x, y, xName, yName, paint, label } = this.plan;
    this.canvas.setAttribute("aria-label", label + (this.marks.length ? " The arrow keys go from one to the next, Enter shows the run." : ""));
    if (!x || !y) {
      pen.fillStyle = themed("--muted");
      pen.textAlign = "center";
      pen.fillText("Nothing to draw for these runs and axes.", wide / 2, high / 2);
      this.marks = [];
      return;
    }
    const left = 16 + Math.max(28, ...y.ticks.map(([, text]) => pen.measureText(text).width)), right = 12, top = 22, bottom = 40;
    const px = (value) => left + x.at(value) * (wide - left - right);
    const py = (value) => high - bottom - y.at(value) * (high - top - bottom);
    pen.lineWidth = 1;
    pen.strokeStyle = themed("--line");
    pen.fillStyle = themed("--muted");
    pen.textBaseline = "middle";
    for (const [part, text] of y.ticks) {
      const at = Math.round(high - bottom - part * (high - top - bottom)) + 0.5;
      line(pen, left, at, wide - right, at);
      pen.textAlign = "right";
      pen.fillText(text, left - 8, at);
    }
    let free = -Infinity;
    for (const [part, text] of x.ticks) {
      const at = Math.round(left + part * (wide - left - right)) + 0.5;
      line(pen, at, high - bottom, at, high - bottom + 4);
      const short = text.length > 14 ? text.slice(0, 13) + "…" : text;
      const half = pen.measureText(short).width / 2;
      if (at - half < free) continue;
      free = at + half + 8;
      pen.textAlign = "center";
      pen.fillText(short, Math.min(Math.max(at, half + 2), wide - half - 2), high - bottom + 14);
    }
    pen.fillStyle = themed("--ink");
    pen.textAlign = "right";
    pen.fillText(xName, wide - right, high - 8);
    pen.textAlign = "left";
    pen.fillText(yName, 4, 8);
    pen.save();
    pen.beginPath();
    pen.rect(left, top - 8, wide - left - right + 8, high - top - bottom + 9);
    pen.clip();
    this.marks = paint(pen, px, py, this.chosen);
    pen.restore();
    if (this.chosen >= 0 && this.marks[this.chosen]) this.say(this.marks[this.chosen], wide);
  }

  say(mark, wide) {
    this.tip.hidden = false;
    this.tip.replaceChildren(make("b", {}, nameOf(pathOf(mark.run))), make("br"), mark.text);
    const size = this.tip.getBoundingClientRect();
    this.tip.style.left = `${Math.min(Math.max(mark.x - size.width / 2, 0), wide - size.width)}px`;
    this.tip.style.top = `${mark.y > size.height + 14 ? mark.y - size.height - 12 : mark.y + 12}px`;
  }

  choose(at) {
    if (at === this.chosen) return;
    this.chosen = at;
    if (at < 0) this.tip.hidden = true;
    this.draw();
  }

  point(event) {
    const box = this.canvas.getBoundingClientRect();
    const x = event.clientX - box.left, y = event.clientY - box.top;
    let best = -1, least = 30 ** 2;
    this.marks.forEach((mark, at) => {
      const far = (mark.x - x) ** 2 + (mark.y - y) ** 2;
      if (far < least) [best, least] = [at, far];
    });
    this.choose(best);
  }

  press(event) {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step && this.marks.length) {
      event.preventDefault();
      const stops = this.plan.stops ? this.plan.stops(this.marks) : this.marks.map((_, at) => at);
      const at = stops.indexOf(this.chosen);
      this.choose(stops[at < 0 ? (step > 0 ? 0 : stops.length - 1) : (at + step + stops.length) % stops.length]);
    } else if (event.key === "Enter" && this.chosen >= 0) {
      event.preventDefault(); // or the button that has the focus then is pressed, too
      openCard(this.marks[this.chosen].run);
    } else if (event.key === "Escape") this.choose(-1);
  }
}

function line(pen, ...points) {
  pen.beginPath();
  pen.moveTo(points[0], points[1]);
  pen.lineTo(points[2], points[3]);
  pen.stroke();
}

// ----------------------------------------------------------------------------------------------------------------- scatter

/** Plan points of one column against another; a column of texts has its values as places. */
function scatterPlan(runs, xColumn, yColumn, colours, { logX, logY }) {
  const some = runs.filter((run) => xColumn.get(run) != null && yColumn.get(run) != null);
  const side = (column, log) => {
    const values = some.map(column.get);
    if (column.numeric) return axis(values, { log });
    const names = [...new Set(values)].sort((a, b) => String(a).localeCompare(String(b), "en", { numeric: true }));
    return names.length ? axis(values, { names }) : null;
  };
  const x = side(xColumn, logX), y = side(yColumn, logY);
  const paint = (pen, px, py, chosen) => {
    const marks = [];
    for (const run of some) {
      const mark = { run, x: px(xColumn.get(run)), y: py(yColumn.get(run)), text: `${xColumn.name} ${shown(xColumn, xColumn.get(run))}, ${yColumn.name} ${shown(yColumn, yColumn.get(run))}` };
      if (isFinite(mark.x) && isFinite(mark.y)) marks.push(mark);
    }
    marks.sort((a, b) => a.x - b.x || b.y - a.y);
    const size = marks.length > 400 ? 3 : marks.length > 100 ? 4 : 5;
    pen.globalAlpha = marks.length > 300 ? 0.65 : 0.85;
    for (const mark of marks) dot(pen, mark, size, colours.of(mark.run), statusOf(mark.run));
    pen.globalAlpha = 1;
    if (marks[chosen]) {
      pen.strokeStyle = themed("--ink");
      pen.lineWidth = 2;
      pen.beginPath();
      pen.arc(marks[chosen].x, marks[chosen].y, size + 3, 0, 7);
      pen.stroke();
    }
    return marks;
  };
  return { x, y, xName: xColumn.name, yName: yColumn.name, paint, label: `${counted(some.length, "run")}: ${yColumn.key} against ${xColumn.key}.` };
}

/** Draw a point; what did not succeed is a cross, so that colour is not all that tells. */
function dot(pen, mark, size, colour, status) {
  pen.fillStyle = pen.strokeStyle = colour;
  if (status === "succeeded" || status === "running") {
    pen.beginPath();
    pen.arc(mark.x, mark.y, size, 0, 7);
    status === "running" ? pen.stroke() : pen.fill();
    return;
  }
  pen.lineWidth = 2;
  line(pen, mark.x - size, mark.y - size, mark.x + size, mark.y + size);
  line(pen, mark.x - size, mark.y + size, mark.x + size, mark.y - size);
}

// ------------------------------------------------------------------------------------------------------------------ curves

const curvesOf = data.curves.map((some) => some.map(([run, differences, values]) => {
  let step = 0;
  return { run, steps: differences.map((more) => (step += more)), values };
}));

/** Smooth values by an exponential mean that counts steps, not points: some points of a long curve are left out. */
function smoothed({ steps, values }, weight) {
  if (!weight) return values;
  const usual = Math.max(1, (steps[steps.length - 1] - steps[0]) / 100);
  let mean = 0, sum = 0, before = steps[0];
  return values.map((value, at) => {
    if (value == null) return null;
    const keep = weight ** Math.max(Math.min((steps[at] - before) / usual, 50), 0.02);
    before = steps[at];
    mean = keep * mean + (1 - keep) * value;
    sum = keep * sum + (1 - keep);
    return sum ? mean / sum : value;
  });
}

function curvePlan(name, curves, colours, { smoothing, logX, logY }) {
  const drawn = curves.map((curve) => ({ ...curve, smooth: smoothed(curve, smoothing) }));
  const x = axis(drawn.flatMap((curve) => curve.steps), { log: logX });
  const y = axis(drawn.flatMap((curve) => (smoothing ? [...curve.smooth, ...(drawn.length <= 12 ? curve.values : [])] : curve.values)), { log: logY });
  const paint = (pen, px, py, chosen) => {
    const marks = [];
    const stroke = (curve, values, alpha, width) => {
      pen.strokeStyle = colours.of(curve.run);
      pen.globalAlpha = alpha;
      pen.lineWidth = width;
      pen.beginPath();
      let on = false, count = 0, last = null;
      values.forEach((value, at) => {
        const there = value == null ? NaN : py(value), here = px(curve.steps[at]);
        if (!isFinite(there) || !isFinite(here)) return void (on = false);
        on ? pen.lineTo(here, there) : pen.moveTo(here, there);
        on = true;
        count++;
        last = [here, there];
      });
      pen.stroke();
      if (count === 1) dot(pen, { x: last[0], y: last[1] }, 2.5, colours.of(curve.run), "succeeded");
    };
    const alpha = drawn.length > 300 ? 0.25 : drawn.length > 60 ? 0.45 : 0.9;
    if (smoothing && drawn.length <= 12) for (const curve of drawn) stroke(curve, curve.values, 0.25, 1);
    for (const curve of drawn) {
      stroke(curve, curve.smooth, alpha, 1.5);
      const every = Math.ceil((curve.steps.length * drawn.length) / 8000);
      curve.smooth.forEach((value, at) => {
        if (at % every && at !== curve.steps.length - 1) return;
        const mark = { run: curve.run, curve, x: px(curve.steps[at]), y: value == null ? NaN : py(value), text: `step ${counted(curve.steps[at])}, ${name} ${value == null ? "" : brief(value)}` };
        if (isFinite(mark.x) && isFinite(mark.y)) marks.push(mark);
      });
    }
    pen.globalAlpha = 1;
    if (marks[chosen]) {
      stroke(marks[chosen].curve, marks[chosen].curve.smooth, 1, 3);
      dot(pen, marks[chosen], 4, themed("--ink"), "succeeded");
    }
    pen.globalAlpha = 1;
    return marks;
  };
  // the arrow keys go from the end of one curve to that of the next
  const stops = (marks) => marks.flatMap((mark, at) => (marks[at + 1]?.curve === mark.curve ? [] : [at]));
  return { x, y, xName: "step", yName: "", paint, stops, label: `${name} over steps: ${counted(drawn.length, "run")}.` };
}
