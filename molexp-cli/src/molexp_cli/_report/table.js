// The table of runs, and the card with all that is known of one.

const table = { sort: "created_at", down: true, shown: new Set(), filters: new Map(), room: 100 };

/** Choose the columns that are worth a look at first: what varies among parameters, then results and last metrics. */
function chooseColumns() {
  const rank = (column) => ({ params: 0, results: 1, metrics: 2 })[column.group];
  const worth = columns.filter((column) =>
    (column.group === "params" && column.varies) ||
    (column.group === "results" && column.some) ||
    (column.group === "metrics" && column.key.endsWith(".last")));
  worth.sort((a, b) => rank(a) - rank(b) || b.some - a.some || a.place - b.place);
  const keys = worth.slice(0, 12).map((column) => column.key);
  table.shown = new Set(["run", "status", ...keys, "seconds", "created_at"].filter((key) => columnOf.has(key)));
}

function visibleColumns() {
  const order = { run: 0, params: 1, results: 2, metrics: 3, config: 4 };
  const late = (column) => (column.group === "run" && !["run", "status"].includes(column.key) ? 9 : order[column.group]);
  return columns.filter((column) => table.shown.has(column.key)).sort((a, b) => late(a) - late(b) || a.place - b.place);
}

function sorted(runs) {
  const column = columnOf.get(table.sort) || columnOf.get("run");
  const direction = table.down ? -1 : 1;
  const rank = (value) => (value == null ? 2 : typeof value === "number" ? 0 : 1);
  return [...runs].sort((a, b) => {
    const x = column.get(a), y = column.get(b);
    const kinds = rank(x) - rank(y);
    if (kinds) return kinds;
    const order = x == null ? 0 : typeof x === "number" ? x - y : String(x).localeCompare(String(y), "en", { numeric: true });
    return order ? order * direction : a - b;
  });
}

function statusMark(status) {
  return make("span", { class: `status ${status}` }, status);
}

function runButton(run) {
  return make("button", { class: "link run", type: "button", title: pathOf(run), onclick: () => openCard(run) }, nameOf(pathOf(run)));
}

function drawTable(runs) {
  const chosen = visibleColumns();
  const rows = sorted(runs);
  const heads = chosen.map((column) => {
    const on = table.sort === column.key;
    const sort = () => {
      table.down = on ? !table.down : column.numeric || column.key === "created_at";
      table.sort = column.key;
      update();
      document.querySelector(`#runs th[data-key="${CSS.escape(column.key)}"] button`)?.focus();
    };
    const arrow = make("span", { class: "arrow", "aria-hidden": "true" }, on ? (table.down ? "↓" : "↑") : "");
    const label = [make("small", {}, GROUPS[column.group]), make("span", { class: "name" }, column.title, arrow)];
    return make("th", { scope: "col", "data-key": column.key, class: column.numeric ? "number" : null, "aria-sort": on ? (table.down ? "descending" : "ascending") : null },
      make("button", { type: "button", onclick: sort, title: `Sort by ${column.key}` }, ...label));
  });
  const boxes = chosen.map((column) => make("td", {}, make("input", {
    type: "text", value: table.filters.get(column.key) || "", "aria-label": `Filter ${column.key}`, placeholder: column.numeric ? ">0  1..5" : "text", spellcheck: "false",
    oninput: (event) => {
      table.filters.set(column.key, event.target.value);
      update({ keep: true });
    },
  })));
  const body = make("tbody", {}, ...rows.slice(0, table.room).map((run) => drawRow(run, chosen)));
  const head = make("thead", {}, make("tr", {}, ...heads), make("tr", { class: "filters" }, ...boxes));
  return { head, body, left: rows.length - Math.min(rows.length, table.room) };
}

function drawRow(run, chosen) {
  const cells = chosen.map((column) => {
    const value = column.get(run);
    if (column.key === "run") return make("th", { scope: "row" }, runButton(run));
    if (column.key === "status") return make("td", {}, statusMark(value));
    const text = shown(column, value);
    const full = value == null || String(value) === text ? null : String(value);
    return make("td", { class: column.numeric ? "number" : null, title: full }, make("span", { class: "cell" }, text));
  });
  return make("tr", {}, ...cells);
}

function drawChooser() {
  const groups = Object.keys(GROUPS).map((group) => {
    const some = columns.filter((column) => column.group === group && column.key !== "run");
    if (!some.length) return null;
    const boxes = some.map((column) => {
      const toggle = (event) => {
        if (event.target.checked) table.shown.add(column.key);
        else table.shown.delete(column.key);
        update();
      };
      return make("label", {}, make("input", { type: "checkbox", checked: table.shown.has(column.key), onchange: toggle }), make("span", {}, column.title));
    });
    return make("fieldset", {}, make("legend", {}, { run: "Run", params: "Parameters", results: "Results", metrics: "Metrics", config: "Configuration" }[group]), ...boxes);
  });
  return make("details", { class: "chooser" }, make("summary", {}, "Columns"), make("div", {}, ...groups.filter(Boolean)));
}

// ------------------------------------------------------------------------------------------------------------------- a run

const card = make("dialog", { id: "card", "aria-label": "A run" });

function openCard(run) {
  const path = pathOf(run);
  const close = make("button", { type: "button", class: "close", "aria-label": "Close", onclick: () => card.close() }, "×");
  const parts = Object.keys(GROUPS).map((group) => cardPart(run, group));
  const images = data.images.filter((image) => image.run === run);
  const pictures = images.map((image) => make("figure", {}, make("img", { src: image.uri, alt: image.name }), make("figcaption", {}, image.name)));
  card.replaceChildren(
    make("header", {}, make("h2", {}, path), close),
    make("div", { class: "parts" }, ...parts.filter(Boolean), cardOrigin(run)),
    ...(pictures.length ? [make("div", { class: "pictures" }, ...pictures)] : []),
  );
  card.showModal();
  card.scrollTop = 0;
}

function cardPart(run, group) {
  const some = columns.filter((column) => column.group === group && column.key !== "run" && column.get(run) != null);
  if (!some.length) return null;
  const titles = { run: "Run", params: "Parameters", results: "Results", metrics: "Metrics", config: "Configuration" };
  const pairs = some.map((column) => {
    const value = column.get(run);
    const text = column.key === "status" ? statusMark(value) : column.key === "seconds" ? lasting(value) : typeof value === "number" ? String(value) : String(value);
    return make("div", {}, make("dt", {}, column.title), make("dd", {}, text));
  });
  return make("section", {}, make("h3", {}, titles[group]), make("dl", {}, ...pairs));
}

function cardOrigin(run) {
  const origin = data.origins.find((one) => one.runs.includes(run));
  if (!origin) return null;
  const rows = [["commit", origin.commit], ["branch", origin.branch], ["repository", origin.remote], ["uncommitted changes", origin.commit ? (origin.changed ? "yes" : "none") : ""], ["Python", origin.python], ["platform", origin.platform]];
  const pairs = rows.filter(([, text]) => text).map(([name, text]) => make("div", {}, make("dt", {}, name), make("dd", {}, text)));
  return make("section", {}, make("h3", {}, "Provenance"), make("dl", {}, ...pairs));
}
