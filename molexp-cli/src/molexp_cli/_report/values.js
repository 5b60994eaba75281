// The document of the page: columns, their values, and how they are written. All of it is data: it becomes text, never HTML.

const data = JSON.parse(document.getElementById("data").textContent);

/** Make an element; a child that is no element becomes text. */
function make(tag, settings = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(settings)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

const GROUPS = { run: "", params: "parameter", results: "result", metrics: "metric", config: "config" };

const columns = data.columns.map((found, place) => {
  const get = found.values ? (run) => found.values[run] ?? null : () => found.same ?? null;
  const name = found.name.startsWith(found.group + ".") ? found.name.slice(found.group.length + 1) : found.name;
  const some = found.values ? found.values.filter((one) => one != null) : found.same != null ? [found.same] : [];
  const numeric = some.some((one) => typeof one === "number") && some.every((one) => typeof one === "number" || isOdd(one));
  const title = found.group === "run" ? name.replaceAll("_", " ") : name;
  return { place, key: found.name, name, title, group: found.group, get, numeric, varies: !!found.values, some: some.length };
});
const columnOf = new Map(columns.map((column) => [column.key, column]));
const allRuns = [...Array(data.count).keys()];

/** Tell whether a text stands for a number that JSON has not. */
function isOdd(value) {
  return value === "nan" || value === "inf" || value === "-inf";
}

/** Return a whole number with thin spaces between its thousands. */
function counted(number, what) {
  const digits = String(number).replace(/\B(?=(\d{3})+$)/g, "\u202f");
  return what ? `${digits} ${what}${number === 1 ? "" : "s"}` : digits;
}

/** Return a number for people, with so many digits. */
function brief(number, digits = 5) {
  if (number === 0) return "0";
  if (Number.isInteger(number) && Math.abs(number) < 1e7) return String(number).replace("-", "\u2212");
  const size = Math.abs(number);
  const text = size >= 1e6 || size < 1e-4 ? number.toExponential(digits - 1) : number.toPrecision(digits);
  return text.replace(/(\.\d*?)0+(?=e|$)/, "$1").replace(/\.(?=e|$)/, "").replace("e+", "e").replace(/-/g, "\u2212");
}

function shown(column, value) {
  if (value == null) return "";
  if (column.key === "created_at") return value.replace("T", " ").slice(0, 16);
  if (column.key === "seconds") return lasting(value);
  if (column.key === "run") return nameOf(value);
  if (typeof value === "number") return brief(value, column.group === "params" ? 6 : 5);
  return String(value);
}

function lasting(seconds) {
  if (seconds < 60) return `${brief(seconds, 3)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  const hours = Math.floor(seconds / 3600);
  return hours < 48 ? `${hours} h ${Math.round((seconds % 3600) / 60)} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** The path of a run without what all paths begin with. */
const shared = (() => {
  const paths = allRuns.map((run) => columnOf.get("run").get(run));
  let parts = paths.length ? paths[0].split("/").slice(0, -1) : [];
  for (const path of paths) {
    const other = path.split("/");
    const differs = parts.findIndex((part, at) => part !== other[at]);
    if (differs >= 0) parts = parts.slice(0, differs);
  }
  return parts.length ? parts.join("/") + "/" : "";
})();

function nameOf(path) {
  return path.startsWith(shared) ? path.slice(shared.length) : path;
}

function pathOf(run) {
  return columnOf.get("run").get(run);
}

function statusOf(run) {
  return columnOf.get("status").get(run);
}

// ---------------------------------------------------------------------------------------------------------------- filters

const COMPARISON = /^(>=|<=|!=|=|>|<)\s*(.*)$/s;
const RANGE = /^(-?[\d.]+(?:e[+-]?\d+)?)\.\.(-?[\d.]+(?:e[+-]?\d+)?)$/i;

/** Return what tells whether a value is as a text wants it: `>3`, `<=1e-3`, `1..5`, `=PBE`, `!=PBE`, or what it contains. */
function wanted(text) {
  const range = RANGE.exec(text);
  if (range) return (value) => typeof value === "number" && value >= +range[1] && value <= +range[2];
  const [, sign, rest] = COMPARISON.exec(text) || [null, "", text];
  const low = rest.trim().toLowerCase();
  const number = low === "" ? NaN : Number(low);
  const equals = (value) => (typeof value === "number" && !isNaN(number) ? value === number : String(value ?? "").toLowerCase() === low);
  if (sign === "=") return equals;
  if (sign === "!=") return (value) => !equals(value);
  if (sign) {
    const compare = { ">": (a, b) => a > b, "<": (a, b) => a < b, ">=": (a, b) => a >= b, "<=": (a, b) => a <= b }[sign];
    return (value) => value != null && (typeof value === "number" ? compare(value, number) : isNaN(number) && compare(String(value).toLowerCase(), low));
  }
  return (value) => value != null && String(value).toLowerCase().includes(low);
}

/** Return the column that somebody means by a name, or by the end of one; undefined if there is none. */
function meant(name) {
  const low = name.toLowerCase();
  const ends = (column) => column.key.toLowerCase().endsWith("." + low);
  return columns.find((column) => column.key.toLowerCase() === low) || columns.find((column) => column.name.toLowerCase() === low) || columns.find(ends);
}

const texts = [];
/** Return all texts of a run, in lower case, to search in. */
function textOf(run) {
  return (texts[run] ??= columns.map((column) => column.get(run)).filter((value) => value != null).join("\n").toLowerCase());
}

/** Return what tells whether a run is as the search box wants it: words, `"several words"`, and comparisons such as `lr<0.01`. */
function searched(text) {
  const terms = text.match(/[^\s"]*"[^"]*"?|\S+/g) || [];
  const tests = terms.map((term) => {
    const [, name, rest] = /^([^<>=!"]+)((?:>=|<=|!=|=|>|<).+)$/s.exec(term) || [];
    const column = name && meant(name);
    const bare = (part) => part.replaceAll('"', "");
    if (column) {
      const test = wanted(bare(rest));
      return (run) => test(column.get(run));
    }
    const low = bare(term).toLowerCase();
    return (run) => textOf(run).includes(low);
  });
  return (run) => tests.every((test) => test(run));
}
