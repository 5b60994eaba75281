"use strict";
// The record itself, where the page can reach the workspace: what has happened since the copy was written. It is only read.
// What a document of it says is checked before it is used: anybody may have written it.

const SLACK = 600_000; // ms by which the clocks of writers, of the server and of whoever exported may differ
const MOST = 2 << 20; // bytes that are read of a file at a time
const WHOLE = 16 << 20; // bytes of a file that a server without ranges may send
const LOG = 4000; // characters of a log that are shown, its end
const POINTS = 20_000; // of a curve
const LISTED = 1000; // runs of an experiment that is listed whole
const BLIND = 20; // times as long a run may be silent whose sign of life a server may hide
const EXPERIMENTS = 500; // that the copy names
const FOLDERS = 100; // of experiments that are listed at a time
const AT_ONCE = 20; // runs, of those that nobody looks at, that are read at a look
const ATTEMPTS = 500; // that are read at once of a run of which nothing is known
const METRICS = 1000; // that have a summary
const PATIENCE = 18; // looks at a server that refuses to list folders as if it were busy
const ID = /^[a-z0-9][a-z0-9._-]*$/;

/** What is known of the record since the manifest was read. */
const live = { shown: new Map() };

function forgetRecord() {
  const { record, open = [] } = molexp.manifest, same = JSON.stringify(record) === JSON.stringify(live.record);
  Object.assign(live, {
    record, how: same && live.how === "away" ? "away" : null, now: 0, looks: 0, tries: 0, partial: false, mute: false, missed: false, unread: new Set(),
    gap: 0, checked: new Map(), // the look at which announcements may have been missed, and those at which runs were read
    docs: new Map(), // by path, what is now true of a run
    fresh: [], // paths of runs that the copy has not, in the order of their creation
    numbers: new Map(open), // in the copy, by path: of runs that went on, and of others that were looked at
    going: new Set(open.map(([path]) => path)), // paths of runs that go on
    told: new Map(), // by path, the files of a run that a journal named, and how often they were looked for in vain
    journals: new Map(), files: new Map(), seen: new Map(), details: new Map(), leases: new Map(), entries: new Map(), snapshot: null,
  });
}

// ------------------------------------------------------------------------------------------------------------------- reading

const isObject = (one) => typeof one === "object" && one !== null && !Array.isArray(one);
const objectOf = (one) => (isObject(one) ? one : {});
const listOf = (one) => (Array.isArray(one) ? one : []);
const textOf = (one) => (typeof one === "string" ? one : null);

/** Return the folder of a run. */
function folderOf(path) {
  const [project, experiment, run] = path.split("/");
  return `projects/${project}/experiments/${experiment}/runs/${run}/`;
}

/** Parse JSON; integers that would lose digits become texts. */
function parsed(text) {
  const exactly = (_, value, told) => (Number.isInteger(value) && !Number.isSafeInteger(value) && /^-?\d+$/.test(told?.source) ? told.source : value);
  return JSON.parse(text, exactly);
}

/** Return a value as a page shows it: {"$float": "nan"} is nan. */
function plainly(value) {
  if (Array.isArray(value)) return value.map(plainly);
  if (!isObject(value)) return value;
  const entries = Object.entries(value);
  if (entries.length === 1 && /^\$(float|asset|key)$/.test(entries[0][0])) return String(entries[0][1]);
  return Object.fromEntries(entries.map(([name, one]) => [name, plainly(one)]));
}

/** Return the address of a key; of one that leads out of the workspace there is none. */
function addressIn(key) {
  const names = key.split("/");
  if (names.some((name, at) => (!name && at < names.length - 1) || name === "." || name === "..")) throw new Error("A key leads out of the workspace.");
  return live.root + names.map(encodeURIComponent).join("/");
}

async function ask(address, options = {}) {
  const answer = await fetch(address, { cache: "no-store", signal: AbortSignal.timeout(60_000), ...options });
  live.now = Date.parse(answer.headers.get("date")) || live.now;
  if (!answer.ok) throw Object.assign(new Error(`${answer.status} ${answer.statusText}`), { status: answer.status, gone: answer.status === 404 });
  return answer;
}

/** Tell whether an error may pass: the server is busy or is started again. */
const passes = (error) => error.name === "TimeoutError" || [408, 429, 500, 502, 503, 504].includes(error.status);

/** Return size, time and a signature of a file, as a listing or the server tells them. */
async function about(key) {
  if (live.entries.get(key)?.sig) return live.entries.get(key);
  const { headers } = await ask(addressIn(key), { method: "HEAD" });
  const [size, at, tag] = ["content-length", "last-modified", "etag"].map((name) => headers.get(name));
  const found = { size: size === null ? NaN : Number(size), at: Date.parse(at) || 0, sig: `${size} ${at} ${tag}` };
  live.entries.set(key, found); // until the next look
  return found;
}

/** Return a document; it is asked for again if it looks different, unless it never changes. */
async function documentOf(key, final = false) {
  const known = live.files.get(key);
  if (known && final) return known.value;
  const { sig, size } = final ? {} : await about(key);
  if (known && known.sig === sig) return known.value;
  if (size > MOST) throw new Error(`${key} is too large.`);
  const answer = await ask(addressIn(key));
  if (Number(answer.headers.get("content-length")) > WHOLE) throw new Error(`${key} is too large.`);
  const value = parsed(await answer.text());
  if (!isObject(value)) throw new Error(`${key} is no document.`);
  if (live.files.size > 5000) live.files.clear();
  live.files.set(key, { sig, value });
  return value;
}

/** Return what was added to a file since it was read last, in whole lines; of a long part only the end. */
async function added(key, state) {
  const { size, sig } = await about(key);
  if (sig === state.sig || size <= state.at) return "";
  const from = Math.max(state.at, (size || 0) - MOST);
  const answer = await ask(addressIn(key), from ? { headers: { range: `bytes=${from}-` } } : {});
  if (answer.status === 200 && size > WHOLE) {
    answer.body.cancel();
    throw new Error("This server sends no parts of files, and one is too large to be read whole.");
  }
  let data = new Uint8Array(await answer.arrayBuffer());
  if (answer.status === 200) data = data.subarray(from);
  const end = data.lastIndexOf(10) + 1, begin = from > state.at ? data.indexOf(10) + 1 : 0;
  state.gap ||= from > state.at;
  Object.assign(state, { at: from + end, sig: end === data.length ? sig : null });
  return new TextDecoder().decode(data.subarray(begin, end));
}

/** Yield the documents of lines; one that is damaged is left out. */
function* linesOf(text) {
  for (const line of text.split("\n")) {
    let found = null;
    try { found = parsed(line); } catch { /* It is torn, or somebody's. */ }
    if (isObject(found)) yield found;
  }
}

// ------------------------------------------------------------------------------------------------------------------- listing

/** Return what is in a folder: by name, whether it is a folder, and what the listing tells of a file. */
async function list(folder, { flat = false, after = "" } = {}) {
  return live.how === "bucket" ? listBucket(folder, flat, after) : listPage(folder);
}

async function listBucket(folder, flat, after) {
  const found = new Map(), prefix = live.record.prefix + folder;
  const asked = new URLSearchParams({ "list-type": 2, prefix, ...(flat ? {} : { delimiter: "/" }), ...(after ? { "start-after": prefix + after } : {}) });
  for (let page = 0; page < 3; page++) {
    const told = new DOMParser().parseFromString(await (await ask(`${live.bucket}?${asked}`)).text(), "text/xml");
    if (told.documentElement.localName !== "ListBucketResult") throw new Error("This is no listing.");
    const text = (one, name) => one.getElementsByTagName(name)[0]?.textContent ?? "";
    for (const one of told.getElementsByTagName("Contents")) {
      const key = text(one, "Key"), size = Number(text(one, "Size")), at = text(one, "LastModified");
      const entry = { size, at: Date.parse(at) || 0, sig: `${size} ${at} ${text(one, "ETag")}` };
      if (!key.startsWith(prefix)) continue;
      found.set(key.slice(prefix.length), entry);
      live.entries.set(key.slice(live.record.prefix.length), entry);
    }
    for (const one of told.getElementsByTagName("CommonPrefixes")) found.set(text(one, "Prefix").slice(prefix.length, -1), { folder: true });
    const next = text(told, "NextContinuationToken");
    if (!next) return found;
    asked.set("continuation-token", next);
  }
  return Object.assign(found, { more: true });
}

async function listPage(folder) {
  const base = new URL(addressIn(folder)), found = new Map();
  // Only links are looked for: a parsed page of Caddy's has styles and handlers, of which the browser says that they are refused.
  for (const [, href] of (await (await ask(base)).text()).matchAll(/<a\s[^>]*?href\s*=\s*["']?([^"'\s>]+)/gi)) {
    try {
      const target = new URL(href, base);
      if (target.origin !== base.origin || target.search || !target.pathname.startsWith(base.pathname)) continue;
      const [, name, end] = target.pathname.slice(base.pathname.length).match(/^([^/]+)(\/?)$/) ?? [];
      if (name) found.set(decodeURIComponent(name), { folder: end === "/" });
    } catch { /* It leads to no file. */ }
  }
  return found;
}

/** Find out whether the workspace can be reached, and how its folders are listed. */
async function reach() {
  const { record } = live;
  live.how = "away";
  if (!record || location.protocol === "file:") return;
  const page = new URL(".", location.href), steps = record.at.match(/^(\.\.\/)*/)[0].length / 3;
  if (page.pathname.split("/").length - 2 < steps) return; // it lies above what this server shows
  live.root = new URL(record.at, page).href;
  if ((await documentOf("workspace.json")).id !== record.id) throw new Error("Another workspace lies there.");
  live.how = record.bucket === undefined ? "pages" : "bucket";
  if (record.bucket !== undefined) live.bucket = new URL(record.bucket, page).href;
  try {
    if (!(await list("projects/")).size) throw new Error("This is no listing.");
  } catch (error) {
    if (passes(error) && live.tries < PATIENCE) throw error;
    live.how = "unlisted";
  }
}

// --------------------------------------------------------------------------------------------------------------------- a run

/** Return the names of the files that tell the state of a run, below its folder. */
async function namesOf(base, known) {
  if (live.how === "bucket") return [...(await list(`${base}e`, { flat: true })).keys()].map((name) => `e${name}`);
  if (live.how === "unlisted") {
    const told = listOf((await documentOf(`${base}run.json`)).execution_history).length, many = Math.max(told, known?.attempts.length ?? 0);
    return Array.from({ length: many }, (_, at) => `executions/${at + 1}.${at < told ? "end.json" : "jsonl"}`);
  }
  const names = [], there = await list(base), into = async (folder) => {
    const found = await list(base + folder);
    names.push(...[...found].filter(([, one]) => !one.folder).map(([name]) => folder + name));
    return found;
  };
  if (there.has("edits")) await into("edits/");
  if (!there.has("executions")) return names;
  const found = await into("executions/"), newest = Math.max(0, ...[...found.keys()].map((name) => parseInt(name, 10) || 0));
  if (!found.has(`${newest}.end.json`)) for (const name of [`${newest}`, `${newest}.s`]) if (found.get(name)?.folder) await into(`executions/${name}/`);
  return names;
}

/** Return an attempt: as its end tells it, or else its events. */
async function attemptOf(base, number, names) {
  const has = (name) => names.includes(`executions/${name}`), key = `${base}executions/${number}`;
  if (has(`${number}.end.json`)) {
    const end = await documentOf(`${key}.end.json`, true);
    if (textOf(end.status)) return { number, head: end, ended: true, status: end.status, results: new Map(Object.entries(objectOf(end.results))), assets: listOf(end.assets).filter(isObject) };
  }
  const files = names.filter((name) => name === `executions/${number}.jsonl` || (name.endsWith(".jsonl") && (name.startsWith(`executions/${number}/w-`) || name.startsWith(`executions/${number}.s/`))));
  const found = { number, head: {}, status: "running", results: new Map(), assets: [], signs: [] };
  const said = [], retries = new Map(), accepted = new Set(), assets = new Map();
  for (const name of files) {
    const state = live.files.get(base + name) ?? { at: 0, events: [] };
    live.files.set(base + name, state);
    for (const event of linesOf(await added(base + name, state))) if (["claim", "void", "result", "asset", "task"].includes(event.type)) state.events.push(event);
    found.signs.push(await about(base + name));
    for (const event of state.events) {
      const task = textOf(event.task), retry = Number(event.retry) || 0;
      if (event.type === "claim" || event.type === "void") found.head = event;
      if (task !== null) retries.set(task, Math.max(retry, retries.get(task) ?? 0));
      if (event.type === "task" && !/^(pending|running)$/.test(event.status)) accepted.add(`${retry} ${task}`);
      if (event.type === "result" && textOf(event.name) !== null) said.push({ ...event, task, retry });
      if (event.type === "asset" && isObject(event.asset)) assets.set(event.asset.key, event.asset);
    }
  }
  const ranks = new Map(); // by result: of several ranks, the lowest one's counts
  for (const { task, retry, name, value, rank } of said) {
    if (!(task === null || retry === retries.get(task) || accepted.has(`${retry} ${task}`)) || (Number(rank) || 0) > (ranks.get(name) ?? Infinity)) continue;
    ranks.set(name, Number(rank) || 0);
    found.results.set(name, value);
  }
  found.assets = [...assets.values()];
  return found;
}

/** Return for how many seconds an attempt has given no sign of life, if that is longer than it may. */
async function silence(path, { number, head, signs, assets }) {
  const lease = `.molexp/live/${path.replaceAll("/", "~")}~${number}`, { beat = 30, ttl = 180 } = objectOf(head.lease);
  const known = live.leases.get(lease), old = live.now - Date.parse(head.started_at) > 3000 * beat;
  let told = null;
  if (known || (live.how === "unlisted" && old)) told = await about(lease).catch(() => null);
  const logs = told ? [] : await Promise.all(assets.filter((one) => /^(log|metrics)$/.test(one.kind)).slice(0, 8).map((one) => about(String(one.key)).catch(() => null)));
  const found = [...signs, told, ...logs].filter(Boolean), sig = found.map((one) => one.sig).join();
  if (live.seen.get(path)?.sig !== sig) live.seen.set(path, { sig, since: performance.now() });
  const last = Math.max(0, ...found.map((one) => one.at));
  const age = Math.max(live.now && last ? live.now - last : 0, performance.now() - live.seen.get(path).since) / 1000;
  const patience = Math.max(Number(ttl) || 180, 2 * (Number(beat) || 30)) * (!told && (live.mute || live.how === "unlisted") ? BLIND : 1);
  return { silent: age > patience ? age : 0, lease: told && lease };
}

const ofBoth = (pick, a, b) => (typeof a !== "number" ? b : typeof b !== "number" ? a : pick(a, b));

/** Fold summaries of metrics: of files of one attempt, or of attempts, of which the later one has the last value. */
function summed(found, summaries, again) {
  for (const summary of summaries) {
    for (const [name, one] of Object.entries(objectOf(objectOf(summary).metrics)).slice(0, METRICS)) {
      const { last = null, min = null, max = null } = plainly(objectOf(one)), before = found.get(name);
      // Of points that a later attempt replaces, only the points tell whether they were the least or the greatest.
      if (again && before) found.set(name, { last });
      else found.set(name, before ? { last, min: ofBoth(Math.min, before.min, min), max: ofBoth(Math.max, before.max, max) } : { last, min, max });
    }
  }
}

/** Return what is true of a run now; one that is deleted or archived is as it was known, with that status. */
async function readRun(path, known) {
  const base = folderOf(path), names = await namesOf(base, known);
  if (names.some((name) => name.endsWith(".copy.json"))) return { status: "deleted", ...known, path, read: [] }; // it goes on elsewhere: the copy says as of when
  let definition = await documentOf(`${base}run.json`);
  if (definition.type === "void") definition = await documentOf(`${base}run.2.json`);
  const numbers = [...new Set(names.map((name) => name.match(/^executions\/([1-9]\d*)\.(?:jsonl|end\.json)$/)?.[1]).filter(Boolean).map(Number))].sort((a, b) => a - b);
  let attempts = [];
  // Of very many attempts the newest are read; what was known of the others stays.
  const told = listOf(known?.attempts), many = Math.min(ATTEMPTS, Math.max(AT_ONCE, numbers.length - told.length)), cut = numbers.length > many, read = numbers.slice(-many);
  for (const number of read) attempts.push(await attemptOf(base, number, names));
  attempts = attempts.filter((one) => one.head.type !== "void");
  attempts.slice(0, -1).filter((one) => !one.ended).forEach((one) => { one.status = "interrupted"; });
  const last = attempts.at(-1), results = new Map(Object.entries((cut && known?.results) || {})), metrics = new Map(Object.entries((cut && known?.metrics) || {})), logged = new Set(metrics.keys());
  const edits = await editsOf(base, names, known);
  if (edits.hidden) return { ...known, path, status: edits.hidden, read: [] };
  const unstarted = edits.cancelled ? "cancelled" : (known?.before ?? "pending");
  const waits = known?.before === "queued" && attempts.length + numbers.length - read.length <= known.exported; // for one more attempt
  const doc = { ...known, path, status: waits && !edits.cancelled ? "queued" : last?.status ?? unstarted, silent: 0 };
  for (const one of attempts) {
    if (one.head.fresh === true) [results, metrics, logged].forEach((all) => all.clear());
    for (const [name, value] of one.results) { results.delete(name); results.set(name, plainly(value)); }
    let summaries = one.assets.map((asset) => asset.summary).filter(Boolean);
    if (one === last && !one.ended) {
      const { silent, lease } = await silence(path, one);
      if (silent) Object.assign(doc, { status: "silent", silent });
      if (lease) summaries = Object.values(objectOf((await documentOf(lease).catch(() => ({}))).metrics));
      if (!summaries.length) for (const [name, value] of Object.entries(known?.metrics ?? {})) metrics.set(name, value);
    }
    const mine = new Map();
    summed(mine, summaries, false);
    for (const [name, value] of mine) metrics.set(name, logged.has(name) ? { last: value.last } : value);
    for (const name of mine.keys()) logged.add(name);
  }
  const owner = objectOf(last?.head.owner), ends = Date.parse(last?.head.ended_at), starts = Date.parse(last?.head.started_at);
  return Object.assign(doc, {
    created_at: textOf(definition.created_at) ?? "", replica: definition.replica, profile: textOf(definition.profile),
    parameters: plainly(objectOf(definition.parameters)), config: plainly(objectOf(definition.config)), results: Object.fromEntries(results), metrics: Object.fromEntries(metrics),
    cause: textOf(last?.head.cause) ?? (!last && edits.cancelled ? "cancel" : null), tags: edits.tags, notes: edits.notes, host: textOf(owner.host), seconds: ends - starts >= 0 ? (ends - starts) / 1000 : null,
    attempts: told.filter((one) => one.attempt < read[0]).concat(attempts.map(({ number, status, head }) => ({ attempt: number, status: number === last.number && doc.silent ? "silent" : status, started_at: textOf(head.started_at), ended_at: textOf(head.ended_at), host: textOf(objectOf(head.owner).host), reason: textOf(head.reason),
      error: isObject(head.error) ? { type: String(head.error.type), message: String(head.error.message).slice(0, 20_000) } : null }))),
    read: attempts,
  });
}

async function editsOf(base, names, known) {
  const keys = names.filter((name) => /^edits\/[a-z0-9][a-z0-9._-]*\.json$/.test(name)).sort();
  if (live.how === "unlisted" || keys.length > 200) return { tags: known?.tags, notes: known?.notes };
  const found = { tags: new Set(), notes: [], cancelled: false };
  let deleted = false, archived = false;
  for (const key of keys) {
    const edit = await documentOf(base + key, true).catch(() => ({}));
    if (/^(delete|restore)$/.test(edit.op)) deleted = edit.op === "delete";
    if (/^(archive|unarchive)$/.test(edit.op)) archived = edit.op === "archive";
    if (edit.op === "cancel" && edit.attempt === 0) found.cancelled = true; // it counts until somebody starts the run all the same
    if (edit.op !== "annotate") continue;
    listOf(edit.tags).forEach((tag) => found.tags.add(String(tag)));
    listOf(edit.untag).forEach((tag) => found.tags.delete(String(tag)));
    if (edit.note) found.notes.push({ at: textOf(edit.at), text: String(edit.note) });
  }
  return { ...found, tags: [...found.tags].sort(), hidden: deleted ? "deleted" : archived ? "archived" : "" };
}
