"use strict";
// Follow the record: which runs are looked at again, and what the pages show of them instead of the copy.

const PICTURE = /\.(png|jpe?g|gif|webp)$/i;
const PLACES = ["path", "status", "created_at", "seconds", "host", "profile", "replica"];
const RUN_KEY = /^projects\/([^/]+)\/experiments\/([^/]+)\/runs\/([^/]+)\//;

const TOLD = 5000; // runs that wait to be read

const goesOn = (run) => !["succeeded", "failed", "cancelled", "interrupted", "deleted", "archived"].includes(run.status);
const totalRuns = () => molexp.manifest.total + live.fresh.length;

/** Return what is true of a run, by what the copy says of it. */
const nowOf = (run) => live.docs.get(run.path) ?? run;

/** Return the value of a column as the copy would have it. */
function valueOf(run, name) {
  const found = name.includes(".") || !PLACES.includes(name) ? cellOf(run, name) : run[name];
  return found === undefined ? null : isObject(found) || Array.isArray(found) ? JSON.stringify(found) : found;
}

/** Write into the values of a column what is true now, by the runs' numbers. */
function patched(values, name) {
  for (const [path, run] of live.docs) {
    const number = live.numbers.get(path), fresh = number === undefined ? live.fresh.indexOf(path) : -1;
    if (number !== undefined) values[number] = valueOf(run, name);
    else if (fresh >= 0) values[molexp.manifest.total + fresh] = valueOf(run, name);
  }
  return values;
}

/** Let runs that came since have columns of their own. */
function widen(run) {
  const names = Object.entries({ params: run.parameters, results: run.results }).flatMap(([group, inner]) => Object.keys(inner ?? {}).map((name) => `${group}.${name}`));
  names.push(...Object.keys(run.metrics ?? {}).flatMap((name) => ["last", "min", "max"].map((which) => `metrics.${name}.${which}`)), "seconds", "host");
  for (const name of names) {
    const value = valueOf(run, name);
    if (value !== null && !molexp.columns.has(name) && molexp.columns.size < 500)
      molexp.columns.set(name, { name, numeric: typeof value === "number", some: 1, varies: true, parts: null });
  }
}

/** Return how many runs have each status now, in all or of one experiment. */
function statusesNow(statuses, path = "") {
  const found = new Map(Object.entries(statuses));
  const count = (status, by) => found.set(status, (found.get(status) ?? 0) + by);
  for (const [one, run] of live.docs) {
    if (!one.startsWith(path)) continue;
    if (run.before) count(run.before, -1);
    count(run.status, 1);
  }
  return [...found].filter(([, number]) => number > 0).sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Return the newest runs of some statuses: those that the copy names, and those that have one of them now. */
async function listedNow(numbers, statuses) {
  const moved = [...live.docs].filter(([, run]) => statuses.includes(run.status)).map(([path]) => live.numbers.get(path) ?? molexp.manifest.total + live.fresh.indexOf(path));
  const runs = await runsAt([...new Set([...numbers, ...moved])].sort((a, b) => b - a));
  return runs.filter((run) => statuses.includes(run.status)).slice(0, 10);
}

/** Return the experiments now: those of the copy, and new ones. */
function experimentsNow() {
  const found = new Map(molexp.manifest.experiments.map((one) => [one.path, one]));
  for (const path of live.fresh) {
    const experiment = path.split("/").slice(0, 2).join("/"), known = found.get(experiment), { created_at: newest } = live.docs.get(path);
    found.set(experiment, { path: experiment, statuses: {}, ...known, newest: newest > (known?.newest ?? "") ? newest : known?.newest });
  }
  return [...found.values()].map((one) => ({ ...one, statuses: Object.fromEntries(statusesNow(one.statuses, `${one.path}/`)) }));
}

// ------------------------------------------------------------------------------------------------ curves, logs and pictures

/** Return what the page of a run shows beside its document: what the copy has, and what came since. */
async function detailsOf(run) {
  const base = run.details ? await load(run.details) : {}, now = live.details.get(run.path);
  return now ? { ...base, ...now.shown } : base;
}

async function readDetails(run) {
  const base = run.details ? await load(run.details) : {};
  let now = live.details.get(run.path);
  if (!now) {
    const curves = new Map(listOf(base.curves).map((one) => [one.name, { attempt: run.exported, until: one.x.at(-1), x: [...one.x], y: [...one.y] }]));
    const settled = !run.details ? 0 : goesOn({ status: run.before }) ? run.exported - 1 : run.exported; // attempts of which the copy has all
    now = { curves, logs: new Map(Object.entries(base.logs ?? {})), places: new Map(Object.entries(base.read ?? {}).map(([key, at]) => [key, { at }])), settled, shown: {} };
    live.details.set(run.path, now);
  }
  const assets = run.read.flatMap((one) => one.assets.map((asset) => ({ ...asset, attempt: one.number })));
  const fresh = run.read.findLast((one) => one.head.fresh === true)?.number ?? 0;
  if (fresh > (run.exported ?? 0) && now.fresh !== fresh) now.curves.clear(); // no points of earlier attempts are kept
  now.fresh = fresh;
  let gap = now.shown.gap ?? false;
  for (const { key, kind, name, producer, attempt } of assets.slice(0, 200)) {
    if (textOf(key) === null || !["metrics", "log", "error_trace"].includes(kind)) continue;
    let state = now.places.get(key);
    if (attempt <= now.settled || (kind === "metrics" && attempt < fresh)) continue;
    if (!state) now.places.set(key, state = { at: 0 });
    try {
      if (kind !== "metrics" && !state.at) state.at = Math.max(0, ((await about(key)).size || 0) - 2 * LOG);
      const text = await added(key, state), task = textOf(objectOf(producer).task);
      if (kind === "metrics") addPoints(now.curves, text, task ? `${task}: ` : "", attempt);
      else if (kind === "log") now.logs.set(String(name), ((now.logs.get(String(name)) ?? "") + text).slice(-LOG));
      else now.trace = (now.trace ?? "") + text;
      gap ||= kind === "metrics" && state.gap === true;
    } catch { /* It is not there yet, or damaged: the rest is shown. */ }
  }
  const curves = [...now.curves].filter(([, one]) => one.x.length).slice(0, 60).map(([name, { x, y }]) => ({ name, x, y }));
  for (const { name, x, y } of curves) {
    const last = y.findLast((one) => one !== null);
    if (!name.includes(": ") && goesOn(run)) run.metrics = Object.fromEntries([...Object.entries(run.metrics), [name, { ...(Object.hasOwn(run.metrics, name) ? run.metrics[name] : {}), last }]]);
  }
  const seen = new Set(listOf(base.pictures).map((one) => one.name));
  const pictures = assets.filter((one) => PICTURE.test(one.name) && one.size <= MOST && one.kind !== "data" && !seen.has(one.name)).slice(0, 8);
  now.shown = {
    curves, gap, logs: Object.fromEntries(now.logs), ...(now.trace ? { trace: now.trace } : {}),
    files: assets.slice(0, 200).map((one) => ({ name: String(one.name), kind: String(one.kind), size: typeof one.size === "number" ? one.size : null })),
    pictures: [...listOf(base.pictures), ...pictures.flatMap((one) => { try { return [{ name: one.name, file: addressIn(String(one.key)) }]; } catch { return []; } })],
  };
  now.of = run;
  if (live.details.size > 20) live.details.delete(live.details.keys().next().value);
}

/** Add points to curves. Those of a later attempt replace points of earlier ones at the same or a later step. */
function addPoints(curves, text, before, attempt) {
  for (const point of linesOf(text)) {
    if (!Number.isInteger(point.step)) continue;
    for (const [name, told] of Object.entries(point)) {
      const value = plainly(told);
      if (name === "step" || name === "time" || (typeof value !== "number" && !isObject(told))) continue;
      if (!curves.has(before + name)) { if (curves.size >= 60) continue; curves.set(before + name, { attempt, x: [], y: [] }); }
      const curve = curves.get(before + name);
      if (curve.attempt !== attempt) {
        const keep = curve.x.findIndex((step) => step >= point.step);
        if (keep >= 0) { curve.x.length = keep; curve.y.length = keep; }
        curve.attempt = attempt;
        curve.until = -Infinity;
      }
      else if (point.step <= curve.until) continue; // the copy has it
      const last = curve.x.length ? curve.x.at(-1) : -Infinity;
      if (point.step < last) { // several writers: the points are kept in order
        const at = curve.x.findIndex((step) => step > point.step);
        curve.x.splice(at, 0, point.step); curve.y.splice(at, 0, value);
      } else { curve.x.push(point.step); curve.y.push(value); }
      if (curve.x.length > POINTS) thin(curve);
    }
  }
}

/** Keep the least and the greatest of each four points. */
function thin(curve) {
  const kept = [];
  for (let at = 0; at < curve.x.length; at += 4) {
    const four = [at, at + 1, at + 2, at + 3].filter((one) => one < curve.x.length).sort((a, b) => curve.y[a] - curve.y[b]);
    kept.push(...[...new Set([four[0], four.at(-1)])].sort((a, b) => a - b));
  }
  curve.x = kept.map((at) => curve.x[at]);
  curve.y = kept.map((at) => curve.y[at]);
}

// ----------------------------------------------------------------------------------------------------- which runs have moved

const made = () => Date.parse(molexp.manifest.began ?? molexp.manifest.made) - SLACK; // what came while it was written is read

const isRun = (path) => path.split("/").length === 3 && path.split("/").every((id) => ID.test(id));

/** Remember that a run may have changed: by a file of it, if one is known. */
function tell(path, file = "") {
  if (!isRun(path)) return;
  if (live.told.size >= TOLD && !live.told.has(path)) { live.missed = true; return; }
  if (!live.told.has(path)) live.told.set(path, { times: 0, files: new Set() });
  live.told.get(path).files.add(file);
}

/** Tell whether the copy has all files of a run that are named: ends of attempts. */
function isKnown(run, files) {
  const ended = (file) => goesOn({ status: run.attempts.find((one) => `executions/${one.attempt}.end.json` === file)?.status }) === false;
  return files.size > 0 && [...files].every(ended);
}

/** Read what writers announced, and which attempts give signs of life; tell whether a snapshot may have taken in announcements. */
async function readJournals() {
  const there = live.how === "bucket" ? null : await list(".molexp/");
  const inside = async (name) => (there && !there.has(name) ? new Map() : list(`.molexp/${name}/`));
  const [journals, sealed, leases, snapshots] = await Promise.all([inside("journals"), there ? inside("sealed") : new Map(), inside("live"), inside("snapshots")]);
  live.leases = new Map([...leases].map(([name, entry]) => [`.molexp/live/${name}`, entry]));
  for (const name of leases.keys()) {
    const path = name.split("~").slice(0, 3).join("/");
    if (!live.docs.has(path) && !live.numbers.has(path)) tell(path);
  }
  const files = [...sealed].map(([name]) => [name, `.molexp/sealed/${name}`]).concat([...journals].map(([name]) => [name, `.molexp/journals/${name}`])).filter(([name]) => name.endsWith(".jsonl"));
  const states = files.map(([name, key]) => {
    if (!live.journals.has(name)) live.journals.set(name, { at: 0, looked: -1 });
    return [key, live.journals.get(name)];
  });
  let missed = false;
  for (const [key, state] of states.filter(([, one]) => !one.done).sort(([, a], [, b]) => a.looked - b.looked).slice(0, 40)) {
    state.looked = live.looks;
    const found = await about(key).catch(() => null);
    if (!found) continue;
    const old = state.at === 0 && found.at && found.at < made();
    if (old) state.at = found.size;
    else for (const line of linesOf(await added(key, state))) for (const one of listOf(line.keys).slice(0, 5000)) { const run = textOf(one)?.match(RUN_KEY); if (run) tell(run.slice(1).join("/"), one.slice(run[0].length)); }
    if (state.gap) { // a line was too long to be read whole: it told of very many runs
      missed = true;
      state.gap = false;
    }
    state.done = !key.startsWith(".molexp/journals/") || (live.how === "bucket" && state.at > 0); // nothing is added any more
  }
  const newest = Math.max(0, ...[...snapshots.keys()].map((name) => Number(name.match(/^(\d+)\.json$/)?.[1] ?? 0)));
  const before = live.snapshot;
  live.snapshot = newest;
  if (missed || before !== null) return missed || newest !== before;
  return newest > 0 && !((await about(`.molexp/snapshots/${newest}.json`).catch(() => ({ at: 0 }))).at < made());
}

/** List the runs of experiments that are small; of large ones only the names that were made by the time, where that can be asked. */
async function listRuns() {
  const { manifest } = molexp, sizes = new Map(manifest.experiments.map((one) => [one.path, Object.values(one.statuses).reduce((a, b) => a + b, 0)]));
  const known = manifest.total > 0 && manifest.total <= AT_ONCE * LISTED ? new Set(await valuesOf("path")) : new Set();
  const since = new Date(made()).toISOString().replace(/[-:]/g, "").replace("T", "-").slice(0, 15);
  const folders = async (folder) => [...await list(folder)].filter(([name, one]) => one.folder && ID.test(name)).map(([name]) => name).slice(0, 200);
  const sure = known.size > 0 || manifest.total === 0, all = manifest.experiments.length < EXPERIMENTS;
  let left = FOLDERS;
  live.partial = false;
  for (const project of await folders("projects/")) {
    for (const experiment of await folders(`projects/${project}/experiments/`).catch(() => [])) {
      const path = `${project}/${experiment}`, many = sizes.get(path) ?? 0;
      const small = sure ? many <= LISTED : all && many === 0;
      if (!small) live.partial = true;
      if (left-- <= 0) live.partial = true;
      if (left < 0 || (!small && live.how !== "bucket")) continue;
      const found = await list(folderOf(`${path}/`).slice(0, -1), small ? {} : { after: since }).catch(() => new Map());
      if (found.more) live.partial = true;
      for (const name of found.keys()) if (!known.has(`${path}/${name}`) && !live.docs.has(`${path}/${name}`)) tell(`${path}/${name}`);
    }
  }
}

/** Read a run again; tell whether something is new. */
async function readAgain(path, whole, files) {
  let known = live.docs.get(path), number = live.numbers.get(path);
  if (!known && number === undefined) {
    const { created_at: created } = await documentOf(`${folderOf(path)}run.json`);
    const at = live.last && !(created > live.last) ? await numberOf(path) : -1;
    if (at >= 0) live.numbers.set(path, number = at);
  }
  if (!known && number !== undefined) {
    [known] = await exportedAt([number]);
    if (!whole && files && isKnown(known, files)) return false;
    known = { ...known, before: known.status, exported: known.attempts.length };
  }
  let found;
  try {
    found = await readRun(path, known);
  } catch (error) {
    if (!error.gone || !known) throw error;
    found = { ...known, status: "deleted", read: [] };
  }
  live.unread.delete(path);
  if (number === undefined && /^(deleted|archived)$/.test(found.status)) {
    live.fresh = live.fresh.filter((one) => one !== path);
    live.going.delete(path);
    return live.docs.delete(path);
  }
  if (whole) await readDetails(found);
  const old = live.docs.get(path);
  live.docs.set(path, found);
  live.going[/^(running|silent)$/.test(found.status) ? "add" : "delete"](path);
  if (number === undefined && !live.fresh.includes(path)) {
    live.fresh.push(path);
    live.fresh.sort((a, b) => (live.docs.get(a).created_at < live.docs.get(b).created_at ? -1 : 1));
  }
  widen(found);
  const told = (run) => run && JSON.stringify([{ ...run, read: 0, silent: Math.round(run.silent / 60) }, whole && live.details.get(path)?.shown]);
  const fresh = told(found), same = whole ? live.pageTold === fresh : old && told(old) === fresh;
  if (whole) live.pageTold = fresh;
  return !same;
}

/** Look at the record; tell whether something that is shown may have changed. */
async function lookAtRecord() {
  live.entries.clear();
  if (live.how === null) {
    if (live.tries++ % 6) return false;
    try { await reach(); } catch (error) { live.how = error instanceof TypeError || passes(error) ? null : "away"; }
    if (live.how === null) return false; // nobody answered
    if (live.how !== "away" && molexp.manifest.total) live.last = (await exportedAt([molexp.manifest.total - 1]))[0].created_at;
  }
  if (live.how === "away") return false;
  live.looks++;
  if (live.how !== "unlisted") {
    const every = live.looks % 6 === 1; // a server may hide what begins with a dot
    const heard = (gap) => { live.mute = false; return gap; }, refused = (error) => { live.mute ||= error.status >= 400 && !passes(error); return every; };
    const gap = live.mute && !every ? false : await readJournals().then(heard, refused);
    if (gap && !(live.mute && live.gap)) live.gap = live.looks;
    if (gap) await listRuns().catch(() => {});
  }
  const { parts } = place(), page = parts[0] === "runs" && isRun(parts.slice(1).join("/")) ? parts.slice(1).join("/") : "", open = live.shown.get(page)?.run;
  const doubted = (path) => (live.checked.get(path) ?? 0) < live.gap; // what changed may not be announced any more
  const looked = page && (!open || goesOn(nowOf(open)) || doubted(page) || live.told.has(page) || (live.docs.has(page) ? live.details.get(page)?.of !== live.docs.get(page) : !open.details));
  for (const [path, { number }] of live.shown) if (number < molexp.manifest.total) live.numbers.set(path, number);
  const planned = live.looks % 6 === 1; // of those that only wait, a journal tells that they begin
  const shown = [...live.shown].filter(([, { run }]) => goesOn(nowOf(run)) && (planned || nowOf(run).status !== "pending")).map(([path]) => path).slice(0, ROWS);
  const again = [...live.shown.keys()].filter(doubted).slice(0, AT_ONCE);
  const leased = new Set([...live.leases.keys()].map((name) => name.split("/").at(-1).split("~").slice(0, 3).join("/")));
  const going = [...live.going].filter((path) => !leased.has(path)); // those with a sign of life are read when they are shown
  const from = going.length ? (live.looks * AT_ONCE) % going.length : 0;
  const wanted = new Set([looked && page, ...shown, ...again, ...[...live.told.keys()].slice(-ROWS), ...going.slice(from, from + AT_ONCE)].filter(Boolean));
  let changed = false;
  const one = async (path) => {
    const told = live.told.get(path), files = doubted(path) ? null : told?.files;
    live.told.delete(path);
    live.checked.set(path, live.looks);
    try {
      if (await readAgain(path, path === page, files)) changed = true;
    } catch (error) {
      if (error.gone && told?.times < 3) live.told.set(path, { ...told, times: told.times + 1 }); // it was announced, and may come to be
      else if (!error.gone) live.unread.add(path);
    }
  };
  const queue = [...wanted];
  await Promise.all(Array.from({ length: 4 }, async () => { while (queue.length) await one(queue.shift()); }));
  return changed;
}

/** Return a sentence about how the page follows the workspace. */
function noteOnRecord() {
  const few = [];
  if (live.how === null || live.how === "away") return "";
  few.push(live.how === "unlisted" ? "Runs that go on are read from the workspace itself. This server lists no folders: new runs appear with the next export." : "This page reads what is new from the workspace itself.");
  if (live.partial) few.push("Some experiments are too large to be listed: runs that ended before this page was opened may appear with the next export only.");
  if (live.gap) few.push("Of runs that had ended, what changed since the copy shows when they are looked at.");
  if (live.missed) few.push("More is new than a page can read: the rest appears with the next export.");
  else if (live.told.size > ROWS) few.push(`${counted(live.told.size)} more runs are still to be read.`);
  if (live.unread.size) few.push(`${counted(live.unread.size)} ${live.unread.size === 1 ? "run" : "runs"} cannot be read.`);
  return few.join(" ");
}
