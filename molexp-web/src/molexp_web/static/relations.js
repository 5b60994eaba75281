// Parameters against results: a scatter plot, and parallel coordinates in which a range of an axis chooses runs.

import { Choices, shortNumber } from "./charts.js";

const NAMESPACE = "http://www.w3.org/2000/svg";
const AXES = 7; // that are shown at first
const HEIGHT = 300, TOP = 34, BOTTOM = 26, SIDE = 46;

function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  made.append(...children);
  return made;
}

const plainName = (name) => name.replace(/^(params|results|metrics)\./, "").replace(/\.last$/, "");

// A scale of a column: numbers on an axis, texts at equal distances.
class Scale {
  constructor(values, log, from, to) {
    const known = values.filter((one) => one !== null && one !== undefined);
    this.isNumber = known.length > 0 && known.every((one) => typeof one === "number");
    this.from = from;
    this.to = to;
    if (this.isNumber) {
      this.log = log && known.some((one) => one > 0);
      const some = this.log ? known.filter((one) => one > 0) : known;
      this.low = Math.min(...some);
      this.high = Math.max(...some);
      if (this.low === this.high) [this.low, this.high] = this.log ? [this.low / 2, this.high * 2] : [this.low - 1, this.high + 1];
    } else this.words = [...new Set(known.map(String))].sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
  }
  share(value) {
    if (value === null || value === undefined) return null;
    if (!this.isNumber) return this.words.length > 1 ? this.words.indexOf(String(value)) / (this.words.length - 1) : 0.5;
    if (this.log) return value > 0 ? Math.log(value / this.low) / Math.log(this.high / this.low) : null;
    return (value - this.low) / (this.high - this.low);
  }
  at(value) {
    const share = this.share(value);
    return share === null ? null : this.from + share * (this.to - this.from);
  }
  ticks(most = 5) {
    if (!this.isNumber) {
      const step = Math.ceil(this.words.length / 12);
      return this.words.filter((_, at) => at % step === 0).map((word) => [this.at(word), word]);
    }
    if (this.log) {
      const found = [];
      for (let power = Math.ceil(Math.log10(this.low) - 1e-9); power <= Math.log10(this.high) + 1e-9; power++) found.push(10 ** power);
      const some = found.length >= 2 ? found : [this.low, this.high];
      return some.map((value) => [this.at(value), shortNumber(value)]);
    }
    const rough = (this.high - this.low) / most, size = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((one) => one * size).find((one) => one >= rough);
    const found = [];
    for (let value = Math.ceil(this.low / step) * step; value <= this.high + step / 1e6; value += step) found.push(value);
    return found.map((value) => [this.at(value), shortNumber(Math.abs(value) < step / 1e6 ? 0 : value)]);
  }
}

// From blue to orange, legible on light and on dark ground.
function shade(share) {
  if (share === null) return "var(--muted)";
  const hue = [[47, 111, 208], [120, 110, 190], [190, 90, 140], [224, 110, 60], [226, 160, 30]];
  const place = Math.min(Math.max(share, 0), 1) * (hue.length - 1), low = Math.min(Math.floor(place), hue.length - 2);
  return `rgb(${hue[low].map((one, at) => Math.round(one + (place - low) * (hue[low + 1][at] - one))).join(" ")})`;
}

class Relations {
  constructor(holder) {
    this.holder = holder;
    this.data = JSON.parse(holder.dataset.relations);
    this.columns = new Map(this.data.columns.map((one) => [one.name, one]));
    this.ranges = new Map();
    const names = [...this.columns.keys()];
    const params = names.filter((name) => name.startsWith("params.")), others = names.filter((name) => !name.startsWith("params."));
    const form = holder.closest("section").querySelector("[data-relation-tools]");
    for (const field of ["px", "py", "pc"]) {
      for (const name of names) form.elements[field].append(new Option(plainName(name), name));
    }
    form.elements.px.value = params[0] ?? names[0];
    form.elements.py.value = form.elements.pc.value = others[0] ?? names.at(-1);
    for (const field of ["px", "py", "pc"]) form.elements[field].dataset.default = form.elements[field].value;
    const positive = (name) => this.columns.get(name).values.filter((one) => typeof one === "number");
    const wide = (name) => {
      const some = positive(name);
      return some.length > 1 && Math.min(...some) > 0 && Math.max(...some) / Math.min(...some) > 100;
    };
    form.elements.plogx.checked = wide(form.elements.px.value);
    form.elements.plogx.dataset.default = String(form.elements.plogx.checked);
    this.wide = wide;
    this.choices = new Choices(form);
    this.axes = [...params.slice(0, AXES - 2), ...others.slice(0, Math.max(2, AXES - params.length))].slice(0, AXES + 1);
    this.scatter = document.createElement("div");
    this.parallel = document.createElement("div");
    this.told = document.createElement("p");
    this.told.className = "muted told";
    this.chips = document.createElement("p");
    this.chips.className = "chips";
    for (const name of names) {
      const chip = document.createElement("button");
      chip.type = "button";
      chip.className = "tag";
      chip.textContent = plainName(name);
      chip.setAttribute("aria-pressed", String(this.axes.includes(name)));
      chip.addEventListener("click", () => {
        this.axes = this.axes.includes(name) ? this.axes.filter((one) => one !== name) : names.filter((one) => one === name || this.axes.includes(one));
        this.ranges.delete(name);
        chip.setAttribute("aria-pressed", String(this.axes.includes(name)));
        this.draw();
      });
      this.chips.append(chip);
    }
    holder.append(this.scatter, this.told, this.parallel, this.chips);
    form.addEventListener("input", (event) => {
      if (event.target.name === "px") form.elements.plogx.checked = wide(event.target.value);
      if (event.target.name === "py") form.elements.plogy.checked = wide(event.target.value);
      this.choices.remember();
      this.draw();
    });
    new ResizeObserver(() => {
      if (Math.abs((this.width ?? 0) - holder.clientWidth) > 2) this.draw();
    }).observe(holder);
    this.say(null);
  }

  say(place) {
    const chosen = this.data.runs.filter((_, at) => this.isChosen(at)).length;
    if (place === null) this.told.textContent = this.ranges.size ? `${chosen} of ${this.data.runs.length} runs are within the ranges.` : `${chosen} runs. Drag along an axis below to choose some.`;
    else {
      const values = [this.choices.get("px"), this.choices.get("py"), this.choices.get("pc")].map((name) => `${plainName(name)} ${this.word(name, place)}`);
      this.told.textContent = `${this.data.runs[place]}: ${[...new Set(values)].join(", ")}`;
    }
  }

  word(name, place) {
    const value = this.columns.get(name).values[place];
    return typeof value === "number" ? shortNumber(value) : value ?? "–";
  }

  isChosen(place) {
    for (const [name, [low, high]] of this.ranges) {
      const share = this.scales?.get(name)?.share(this.columns.get(name).values[place]);
      if (share === null || share === undefined || share < low || share > high) return false;
    }
    return true;
  }

  link(place) {
    const [project, experiment, run] = this.data.runs[place].split("/").map(encodeURIComponent);
    return this.holder.dataset.runLink.replace("PROJECT", project).replace("EXPERIMENT", experiment).replace("RUN", run);
  }

  draw() {
    this.width = this.holder.clientWidth;
    const width = Math.max(280, this.width);
    const colour = this.columns.get(this.choices.get("pc"));
    const scale = new Scale(colour.values, this.wide(this.choices.get("pc")), 0, 1);
    this.paint = colour.values.map((value) => shade(scale.share(value)));
    this.drawScatter(width);
    this.drawParallel(width);
    this.say(null);
  }

  drawScatter(width) {
    const px = this.columns.get(this.choices.get("px")), py = this.columns.get(this.choices.get("py"));
    const across = new Scale(px.values, this.choices.get("plogx"), SIDE + 22, width - 14), up = new Scale(py.values, this.choices.get("plogy"), HEIGHT - BOTTOM - 14, 14);
    const picture = svg("svg", { width, height: HEIGHT, class: "scatter", role: "img", "aria-label": `${py.name} against ${px.name}` });
    for (const [x, text] of across.ticks(Math.max(3, width / 120))) picture.append(svg("line", { x1: x, x2: x, y1: 10, y2: HEIGHT - BOTTOM - 10, class: "grid" }), svg("text", { x, y: HEIGHT - BOTTOM + 4, class: "tick middle" }, text));
    for (const [y, text] of up.ticks()) picture.append(svg("line", { x1: SIDE + 14, x2: width - 8, y1: y, y2: y, class: "grid" }), svg("text", { x: SIDE + 8, y: y + 4, class: "tick end" }, text));
    picture.append(svg("text", { x: (SIDE + width) / 2, y: HEIGHT - 4, class: "tick middle strong" }, plainName(px.name)));
    picture.append(svg("text", { x: 12, y: HEIGHT / 2, class: "tick middle strong", transform: `rotate(-90 12 ${HEIGHT / 2})` }, plainName(py.name)));
    this.points = this.data.runs.map((_, place) => {
      const x = across.at(px.values[place]), y = up.at(py.values[place]);
      if (x === null || y === null) return null;
      const point = svg("circle", { cx: x, cy: y, r: this.data.runs.length > 300 ? 3.5 : 5, fill: this.paint[place], class: "point" });
      point.addEventListener("pointerenter", () => this.point(place));
      point.addEventListener("pointerleave", () => this.point(null));
      point.addEventListener("click", () => (location.href = this.link(place)));
      picture.append(point);
      return point;
    });
    this.scatter.replaceChildren(picture);
  }

  drawParallel(width) {
    const step = this.axes.length > 1 ? (width - 2 * SIDE - 20) / (this.axes.length - 1) : 0, first = SIDE + 10;
    const least = 92, wide = step && step < least ? first * 2 + least * (this.axes.length - 1) : width;
    const gap = this.axes.length > 1 ? (wide - 2 * first) / (this.axes.length - 1) : 0;
    this.scales = new Map(this.axes.map((name) => [name, new Scale(this.columns.get(name).values, this.wide(name), HEIGHT - BOTTOM, TOP)]));
    const picture = svg("svg", { width: wide, height: HEIGHT, class: "parallel", role: "img", "aria-label": "Parallel coordinates" });
    this.paths = this.data.runs.map((_, place) => {
      let d = "", open = false;
      this.axes.forEach((name, at) => {
        const y = this.scales.get(name).at(this.columns.get(name).values[place]);
        if (y === null) return (open = false);
        d += `${open ? "L" : "M"}${(first + at * gap).toFixed(1)} ${y.toFixed(1)}`;
        open = true;
      });
      const path = svg("path", { d, stroke: this.paint[place], class: "thread" });
      path.addEventListener("pointerenter", () => this.point(place));
      path.addEventListener("pointerleave", () => this.point(null));
      path.addEventListener("click", () => (location.href = this.link(place)));
      picture.append(path);
      return path;
    });
    this.axes.forEach((name, at) => picture.append(this.axis(name, first + at * gap, gap)));
    const scroller = document.createElement("div");
    scroller.className = "scroll";
    scroller.append(picture);
    this.parallel.replaceChildren(scroller);
    this.dim();
  }

  axis(name, x, gap) {
    const scale = this.scales.get(name), group = svg("g", { class: "axis" });
    const title = plainName(name), room = Math.max(8, Math.floor((gap || 200) / 7));
    group.append(svg("line", { x1: x, x2: x, y1: TOP, y2: HEIGHT - BOTTOM }));
    group.append(svg("text", { x, y: 16, class: "tick middle strong" }, svg("title", {}, name), title.length > room ? `${title.slice(0, room - 1)}…` : title));
    for (const [y, text] of scale.ticks(4)) group.append(svg("text", { x: x + 6, y: y + 4, class: "tick halo" }, text));
    const brush = svg("rect", { x: x - 7, width: 14, y: TOP, height: 0, rx: 3, class: "brush" });
    const grip = svg("rect", { x: x - 14, width: 28, y: TOP - 6, height: HEIGHT - BOTTOM - TOP + 12, class: "grip" });
    const show = () => {
      const range = this.ranges.get(name), long = HEIGHT - BOTTOM - TOP;
      brush.setAttribute("height", range ? (range[1] - range[0]) * long : 0);
      if (range) brush.setAttribute("y", TOP + (1 - range[1]) * long);
    };
    let start = null;
    const share = (event) => Math.min(1, Math.max(0, 1 - (event.clientY - grip.getBoundingClientRect().top - 6) / (HEIGHT - BOTTOM - TOP)));
    grip.addEventListener("pointerdown", (event) => {
      start = share(event);
      grip.setPointerCapture(event.pointerId);
      event.preventDefault();
    });
    grip.addEventListener("pointermove", (event) => {
      if (start === null) return;
      const end = share(event);
      this.ranges.set(name, [Math.min(start, end) - 0.004, Math.max(start, end) + 0.004]);
      show();
      this.dim();
    });
    grip.addEventListener("pointerup", (event) => {
      if (start !== null && Math.abs(share(event) - start) < 0.015) this.ranges.delete(name);
      start = null;
      show();
      this.dim();
      this.say(null);
    });
    show();
    group.append(brush, grip);
    return group;
  }

  dim() {
    this.data.runs.forEach((_, place) => {
      const off = !this.isChosen(place);
      this.paths[place]?.classList.toggle("off", off);
      this.points[place]?.classList.toggle("off", off);
    });
  }

  point(place) {
    for (const found of this.holder.querySelectorAll(".at")) found.classList.remove("at");
    if (place !== null) {
      for (const found of [this.paths[place], this.points[place]]) {
        found?.classList.add("at");
        found?.parentNode.tagName === "svg" && found.classList.contains("point") && found.parentNode.append(found);
      }
    }
    this.say(place);
  }
}

for (const holder of document.querySelectorAll("[data-relations]")) new Relations(holder).draw();
