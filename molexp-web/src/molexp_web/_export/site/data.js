"use strict";
// Parts of the copy, loaded when they are looked at. They are scripts, because a page opened from a disk may load nothing else.

const molexp = {
  parts: new Map(),
  waiting: new Map(),
  manifest: null,
  /** Take a part: its name, and its content as JSON. */
  part(name, text) {
    molexp.parts.set(name, JSON.parse(text));
  },
  /** Take the name of the newest manifest. */
  now(name) {
    molexp.newest = name;
  },
};

/** Load a script. */
function loadScript(address) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = address;
    script.onload = () => { script.remove(); resolve(); };
    script.onerror = () => { script.remove(); reject(new Error(`${address.split("?")[0]} cannot be loaded.`)); };
    document.head.append(script);
  });
}

/** Return the content of a part. */
async function load(name) {
  if (!molexp.parts.has(name)) {
    if (!molexp.waiting.has(name)) molexp.waiting.set(name, loadScript(`${name}.js`).finally(() => molexp.waiting.delete(name)));
    await molexp.waiting.get(name);
  }
  return molexp.parts.get(name);
}

/** Load the newest manifest; tell whether it is another one. */
async function refresh() {
  await loadScript(`now.js?${Date.now()}`);
  const found = await load(molexp.newest);
  const changed = found !== molexp.manifest;
  molexp.manifest = found;
  if (changed) {
    molexp.columns = new Map(found.columns.map((column) => [column.name, column]));
    forget();
    forgetRecord();
  }
  return changed;
}

/** Forget parts that pages ask for no more, so that one that stays open for days does not grow. */
function forget() {
  const { index, tail } = molexp.manifest, needed = new Set([molexp.newest, tail, ...index]);
  const crowded = molexp.parts.size > 1000;
  for (const name of [...molexp.parts.keys()])
    if (!needed.has(name) && (crowded || /^(manifests|tails|index)\//.test(name))) molexp.parts.delete(name);
}

/** Return what is true of runs, by their numbers: those of the copy, and after them those that came since. */
async function runsAt(numbers) {
  const { total } = molexp.manifest, known = await exportedAt(numbers.filter((number) => number < total));
  const runs = numbers.map((number) => (number < total ? nowOf(known.shift()) : live.docs.get(live.fresh[number - total])));
  runs.forEach((run, at) => live.shown.set(run.path, { run, number: numbers[at] }));
  return runs;
}

/** Return the documents of runs as the copy has them, by their numbers. */
async function exportedAt(numbers) {
  const { index, runs_a_part: many, parts_an_index: names } = molexp.manifest;
  const part = async (at) => load((await load(index[Math.floor(at / names)]))[at % names]);
  const wanted = [...new Set(numbers.map((number) => Math.floor(number / many)))];
  const parts = new Map(await Promise.all(wanted.map(async (at) => [at, await part(at)])));
  return numbers.map((number) => parts.get(Math.floor(number / many))[number % many]);
}

/** Return all values of a column: its parts, and what the newest runs have, which one part has of all columns. */
async function valuesOf(name) {
  const { tail, total } = molexp.manifest, { parts: names } = molexp.columns.get(name);
  if (!names) return patched(Array(total).fill(null), name);
  const [rest, ...parts] = await Promise.all([tail, ...names].map(load));
  return patched([...parts, rest[name]].flat(), name);
}

/** Return the number of a run, or -1: newer ones are looked at first. */
async function numberOf(path) {
  const { total, sizes, tail } = molexp.manifest;
  if (live.fresh.includes(path)) return total + live.fresh.indexOf(path);
  if (!total) return -1;
  let found = (await load(tail)).path.lastIndexOf(path);
  let begin = sizes.reduce((sum, size) => sum + size, 0);
  for (let at = sizes.length - 1; at >= 0 && found < 0; at--) {
    begin -= sizes[at];
    found = (await load(molexp.columns.get("path").parts[at])).lastIndexOf(path);
  }
  return found < 0 ? -1 : begin + found;
}

// ---------------------------------------------------------------------------------------------------------------- questions

/** Return the conditions of a query: comparisons joined by "and", or words that a path contains. */
function conditionsOf(query) {
  return query.trim().split(/\s+and\s+|\s+(?=[\w.]+\s*(?:==|!=|<=|>=|<|>|=))/).filter(Boolean).map((text) => {
    const found = text.match(/^([^\s<>=!]+)\s*(==|!=|<=|>=|<|>|=)\s*(.*)$/);
    if (!found) return { column: "path", operator: "contains", value: text };
    const [, key, operator, given] = found;
    const names = [...molexp.columns.keys()].filter((name) => name === key || name.endsWith(`.${key}`));
    if (!names.length) throw new Error(`There is no column ${key}.`);
    const quoted = given.match(/^(["'])(.*)\1$/);
    const value = quoted ? quoted[2] : { true: true, false: false }[given] ?? (given !== "" && !Number.isNaN(Number(given)) ? Number(given) : given);
    return { column: names.includes(key) ? key : names[0], operator: operator === "=" ? "==" : operator, value };
  });
}

function holds(found, { operator, value }) {
  if (found == null) return false;
  if (operator === "contains") return String(found).toLowerCase().includes(String(value).toLowerCase());
  if (operator === "==") return found === value || String(found) === String(value);
  if (operator === "!=") return found !== value && String(found) !== String(value);
  if (typeof found !== typeof value) return false;
  return { "<": found < value, "<=": found <= value, ">": found > value, ">=": found >= value }[operator];
}

/** Return the numbers of the runs that a query finds, in order; only columns that it names are loaded. */
async function answer(query, sort) {
  const conditions = conditionsOf(query);
  const columns = await Promise.all(conditions.map((one) => valuesOf(one.column)));
  const found = [];
  for (let number = totalRuns() - 1; number >= 0; number--)
    if (conditions.every((one, at) => holds(columns[at][number], one))) found.push(number);
  const down = sort.startsWith("-"), key = down ? sort.slice(1) : sort;
  if (!molexp.columns.has(key)) return found;
  const values = await valuesOf(key);
  const rank = (value) => (value == null ? 2 : typeof value === "number" ? 0 : 1);
  return found.sort((a, b) => {
    const x = values[a], y = values[b];
    const kinds = rank(x) - rank(y);
    if (kinds || x == null) return kinds;
    const order = typeof x === "number" ? x - y : x < y ? -1 : x > y ? 1 : 0;
    return down ? -order : order;
  });
}
