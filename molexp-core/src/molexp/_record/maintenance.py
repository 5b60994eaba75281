"""Freeing what is not needed, and looking for what should not be."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from molexp._record import keys
from molexp._record.attempts import attempt_numbers
from molexp._record.definitions import member_ids
from molexp._record.reading import read_edits, read_run
from molexp._record.reports import Finding, Report
from molexp._values.documents import decode_object, encode_pretty
from molexp.errors import CorruptRecordError, KeyNotFoundError, MolexpError, NotFoundError

if TYPE_CHECKING:
    from molexp._record.fold import RunState
    from molexp._record.home import Home

_ABANDONED = 24 * 3600.0  # seconds after which an unfinished temporary file or import is nobody's any more

_RUN_FILES = ("run.json", "executions", "artifacts", "logs", "checkpoints", "edits")


def run_paths(home: Home) -> Iterator[str]:
    """Every run, by the names of folders."""
    for project in member_ids(home, ""):
        for experiment in member_ids(home, project):
            for run in member_ids(home, f"{project}/{experiment}"):
                yield f"{project}/{experiment}/{run}"


def scope_paths(home: Home) -> Iterator[str]:
    """The workspace, every project and every experiment."""
    yield ""
    for project in member_ids(home, ""):
        yield project
        for experiment in member_ids(home, project):
            yield f"{project}/{experiment}"


def collect(home: Home, *, dry_run: bool) -> Report:
    """See `Workspace.gc`."""
    findings: list[Finding] = []
    freed = 0
    if not dry_run and home.exists():
        home.materialize()  # refuses what a newer MolExp made
    done = "" if dry_run else "freed"
    for path in run_paths(home):
        if not read_edits(home.store, path).deleted:
            continue
        entries = list(home.store.list(keys.folder(path)))
        findings.append(Finding(keys.folder(path), f"deleted run, {sum(e.size for e in entries)} bytes", done))
        freed += sum(entry.size for entry in entries)
        if not dry_run:
            # the edit that hides it goes last: at every moment the run is hidden, or gone
            for entry in sorted(entries, key=lambda entry: "/edits/" in entry.key):
                home.store.delete(entry.key)
            home.store.prune(keys.folder(path))
    for key, size in _unreferenced(home):
        findings.append(Finding(key, f"imported data without a record, {size} bytes", done))
        freed += size
        if not dry_run:
            home.store.delete(key)
    findings += [Finding(key, "unfinished temporary file", done) for key in home.store.leftovers(_ABANDONED)]
    if not dry_run:
        home.store.remove_leftovers(_ABANDONED)
    return Report("gc", tuple(findings), {"found": len(findings), "bytes": freed})


def _unreferenced(home: Home) -> Iterator[tuple[str, int]]:
    """Payloads of imports that were never published: older than any import takes."""
    now = time.time()
    for scope in scope_paths(home):
        base = keys.below(scope, "data")
        for folder in home.store.children(base).folders:
            listing = home.store.children(f"{base}/{folder}")
            used = set()
            for entry in listing.entries:
                try:
                    used.add(str(decode_object(home.store.read(entry.key), entry.key).get("key")))
                except (CorruptRecordError, KeyNotFoundError):
                    return  # what a record that cannot be read names must not be freed
            for token in listing.folders:
                prefix = f"{base}/{folder}/{token}"
                if any(key.startswith(prefix + "/") for key in used):
                    continue
                for entry in home.store.list(prefix):
                    if entry.modified and now - entry.modified > _ABANDONED:
                        yield entry.key, entry.size


def check(home: Home, *, repair: bool) -> Report:
    """See `Workspace.fsck`."""
    findings: list[Finding] = []
    runs = 0
    if repair and home.exists():
        home.materialize()  # refuses what a newer MolExp made
    for path in run_paths(home):
        runs += 1
        findings += _check_run(home, path, repair)
    findings += _foreign(home)
    return Report("fsck", tuple(findings), {"runs": runs, "findings": len(findings)})


def _check_run(home: Home, path: str, repair: bool) -> list[Finding]:
    folder = keys.folder(path)
    try:
        state = read_run(home.store, path, home.observer)
    except NotFoundError:
        return [Finding(folder, "a folder without a run")]
    except MolexpError as error:
        return [Finding(keys.document(path), str(error))]
    found = []
    for key, reason in state.problems.items():
        done = ""
        if key == keys.document(path) and repair and not home.read_only:
            home.store.write(key, encode_pretty(state.to_document()))
            done = "written again from an attempt's claim"
        found.append(Finding(key, reason, done))
    found += _check_published(home, path, state, repair=repair)
    found += [
        Finding(key, f"{size} bytes came after the attempt's end; they are no part of it")
        for attempt in state.attempts
        for key, size in attempt.late.items()
    ]
    for record in state.assets():
        key = str(record.get("key"))
        try:
            size = home.store.stat(key).size
        except KeyNotFoundError:
            found.append(Finding(key, f"the bytes of asset {record.get('id')} are gone"))
            continue
        if record.get("size") is not None and size != record["size"] and state.attempts[-1].ended:
            found.append(Finding(key, f"{size} bytes, and its record says {record['size']}"))
    return found


def _check_published(home: Home, path: str, state: RunState, *, repair: bool) -> list[Finding]:
    """Whether ``run.json`` tells people what the newest end says: whoever wrote the end may have died before it did."""
    key = keys.document(path)
    if key in state.problems or not state.attempts or not state.attempts[-1].ended:
        return []
    shown = decode_object(home.store.read(key), key)
    if shown.get("status") == str(state.status) and len(shown.get("execution_history") or ()) == len(state.attempts):
        return []
    if repair and not home.read_only:
        home.store.write(key, encode_pretty(state.to_document()))
    return [Finding(key, "it does not show the newest end", "written again" if repair else "")]


def _foreign(home: Home) -> Iterator[Finding]:
    """Files that no part of MolExp wrote: they are ignored, and named here."""
    known_top = {keys.WORKSPACE}
    for entry in home.store.children("").entries:
        if entry.key not in known_top:
            yield Finding(entry.key, "a foreign file; it is ignored")
    for path in run_paths(home):
        folder = keys.folder(path)
        listing = home.store.children(folder)
        for entry in listing.entries:
            name = entry.key.rpartition("/")[2]
            if name not in _RUN_FILES and not name.startswith("run."):
                yield Finding(entry.key, "a foreign file; it is ignored")
        executions = home.store.children(f"{folder}/executions")
        numbers = {str(number) for number in attempt_numbers(executions)}
        for entry in executions.entries:
            if entry.key.rpartition("/")[2].partition(".")[0] not in numbers:
                yield Finding(entry.key, "a foreign file; it is ignored")
