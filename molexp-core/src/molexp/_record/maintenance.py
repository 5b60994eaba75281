"""Freeing what is not needed, and looking for what should not be."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

import attrs

from molexp._record import keys
from molexp._record.attempts import read_attempts
from molexp._record.definitions import member_ids
from molexp._record.reading import read_edits, read_run
from molexp._record.reports import Finding, Report
from molexp._values.documents import decode_object, encode_pretty
from molexp._values.ids import check_id
from molexp.contracts import Stat, Store
from molexp.errors import CorruptRecordError, KeyNotFoundError, MolexpError, NotFoundError, StoreError

if TYPE_CHECKING:
    from molexp._record.fold import RunState
    from molexp._record.home import Home

_ABANDONED = 24 * 3600.0  # seconds after which an unfinished temporary file or import is nobody's any more

UNNAMED = "no record names it: a killed writer left it, or it is foreign"

_TOKEN = re.compile(r"[0-9a-f]{16}")
_NUMBER = r"[1-9][0-9]*"
_DEPTH_OF_RUNS = 3
_LAYOUT = tuple(
    re.compile(pattern)
    for pattern in (
        rf"workspace\.json|settings/{_NUMBER}\.json|provenance/[0-9a-f]{{64}}\.json|\.molexp/.+",
        r"project\.json",
        rf"experiment(\.{_NUMBER})?\.json",
        rf"run(\.{_NUMBER})?\.json|executions/{_NUMBER}(\.jsonl|\.end\.json|(/w-|\.s/)[^/]+\.jsonl)",
    )
)
_EDIT = re.compile(r"edits/([^/]+)\.json")
_DATA = re.compile(rf"data/([^/]+)/(?:{_NUMBER}\.json|({_TOKEN.pattern}/.+))")
_PAYLOAD = re.compile(rf"(executions/{_NUMBER}/)?(artifacts|logs|checkpoints)/.+")


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
        if _is_live(home, path):
            findings.append(Finding(keys.folder(path), "deleted run that is still being executed"))
            continue
        entries = list(_entries(home.store, keys.folder(path)))
        findings.append(Finding(keys.folder(path), f"deleted run, {sum(e.size for e in entries)} bytes", done))
        freed += sum(entry.size for entry in entries)
        if not dry_run:
            # the edit that hides it goes last: at every moment the run is hidden, or gone
            for entry in sorted(entries, key=lambda entry: "/edits/" in entry.key):
                home.store.delete(entry.key)
            home.store.prune(keys.folder(path))
    for folder, entry in list(_abandoned(home)):
        findings.append(Finding(entry.key, f"imported data without a record, {entry.size} bytes", done))
        freed += entry.size
        if not dry_run:
            home.store.delete(entry.key)
            home.store.prune(folder)
    findings += [Finding(key, "unfinished temporary file", done) for key in home.store.leftovers(_ABANDONED)]
    if not dry_run:
        home.store.remove_leftovers(_ABANDONED)
    findings += _prune_empty(home, dry_run=dry_run)
    return Report("gc", tuple(findings), {"found": len(findings), "bytes": freed})


def _abandoned(home: Home) -> Iterator[tuple[str, Stat]]:
    """Payloads of imports that were never published, each with its import's folder: older than any import takes.

    All of an import or nothing: as long as it goes on, something in it is young.
    """
    now = time.time()
    old = {}
    for folder in _unnamed_imports(home):
        entries = list(_entries(home.store, folder))
        came = [_came(home.store, entry) for entry in entries]
        if entries and all(then and now - then > _ABANDONED for then in came):
            old[folder] = entries
    still = set(_unnamed_imports(home))  # what was published meanwhile is no longer unnamed
    for folder, entries in old.items():
        if folder in still:
            yield from ((folder, entry) for entry in entries)


def _came(store: Store, entry: Stat) -> float:
    """When an entry came to where it is. Moved and linked files keep the time of modification that they had elsewhere."""
    if "local_path" not in store.capabilities:
        return entry.modified
    try:
        found = store.local_path(entry.key).lstat()
    except OSError:
        return 0.0
    return max(found.st_ctime, found.st_mtime)


def _prune_empty(home: Home, *, dry_run: bool) -> Iterator[Finding]:
    """Folders without a file: of imports that came to nothing, and of runs that were never created."""
    empty = [(folder, "empty folder of an import") for folder in _unnamed_imports(home)]
    empty += [(keys.folder(path), "a folder without a run, empty") for path in run_paths(home)]
    for folder, what in empty:
        if home.store.children(folder).entries or next(_entries(home.store, folder), None) is not None:
            continue
        if not dry_run:
            home.store.prune(folder)
            parent, _, name = folder.rpartition("/")
            if name in home.store.children(parent).folders:
                continue  # a temporary file is in it: somebody is writing there
        yield Finding(folder, what, "" if dry_run else "removed")


def _entries(store: Store, prefix: str, unreadable: dict[str, str] | None = None) -> Iterator[Stat]:
    """What lies below `prefix`; a link to a folder is one entry, for what is in that folder is somebody else's.

    Args:
        store: the store.
        prefix: a folder.
        unreadable: filled with the folders that cannot be read; without it, they are errors.
    """
    if "local_path" not in store.capabilities:
        yield from store.list(prefix)
        return
    waiting = [prefix]
    while waiting:
        at = waiting.pop()
        try:
            listing = store.children(at)
        except StoreError as error:
            if unreadable is None:
                raise
            unreadable[at] = str(error)
            continue
        yield from listing.entries
        for name in listing.folders:
            key = f"{at}/{name}" if at else name
            path = store.local_path(key)
            if path.is_symlink():
                yield Stat(key, 0, "", path.lstat().st_mtime)
            else:
                waiting.append(key)


def _unnamed_imports(home: Home) -> Iterator[str]:
    """The folders of imports that no record names: under way, given up, or killed."""
    for scope in scope_paths(home):
        base = keys.below(scope, "data")
        for name in home.store.children(base).folders:
            named = _named_data(home.store, f"{base}/{name}", {})
            if named is None:
                continue  # what a record that cannot be read names must not be freed
            for token in home.store.children(f"{base}/{name}").folders:
                folder = f"{base}/{name}/{token}"
                if _TOKEN.fullmatch(token) and not any(key.startswith(folder + "/") for key in named):
                    yield folder


def _named_data(store: Store, folder: str, problems: dict[str, str]) -> set[str] | None:
    """The keys that the records of a data asset's versions name; None if one of them cannot be read."""
    named: set[str] = set()
    for entry in store.children(folder).entries:
        if not entry.key.endswith(".json"):
            continue
        try:
            named.add(str(decode_object(store.read(entry.key), entry.key).get("key")))
        except (CorruptRecordError, StoreError) as error:
            problems[entry.key] = str(error)
    return None if problems else named


def _is_live(home: Home, path: str) -> bool:
    """Whether somebody executes a run: it was started before it was seen to be deleted."""
    attempts = read_attempts(home.store, keys.folder(path))
    return bool(attempts) and not home.observer.settle(path, attempts[-1]).ended


def check(home: Home, *, repair: bool) -> Report:
    """See `Workspace.fsck`."""
    findings: list[Finding] = []
    runs = 0
    if repair and home.exists():
        home.materialize()  # refuses what a newer MolExp made
    # the files are listed before the records are read: what a record that comes later names is not looked for
    seen = _walk(home)
    findings += [Finding(folder, reason) for folder, reason in seen.unreadable.items()]
    for path in _readable_runs(home, findings):
        runs += 1
        try:
            findings += _check_run(home, path, seen.payloads.pop(path, ()), repair)
        except Exception as error:  # noqa: BLE001 - whatever a malformed record makes of it, the others are looked at
            findings.append(Finding(keys.folder(path), f"it cannot be checked ({type(error).__name__}: {error})"))
    for folder, found in seen.data.items():
        findings += _check_data(home, folder, found)
    findings += [Finding(key, "a foreign file; it is ignored") for key in sorted(seen.foreign)]
    return Report("fsck", tuple(findings), {"runs": runs, "findings": len(findings)})


def _readable_runs(home: Home, findings: list[Finding]) -> Iterator[str]:
    """As `run_paths`; a folder that cannot be read is a finding."""
    level = [""]
    for _ in range(_DEPTH_OF_RUNS):
        below = []
        for path in level:
            try:
                below += [f"{path}/{name}" if path else name for name in member_ids(home, path)]
            except StoreError as error:
                if not any(finding.key == keys.members(path) for finding in findings):
                    findings.append(Finding(keys.members(path), str(error)))
        level = below
    yield from level


def _check_run(home: Home, path: str, payloads: Iterable[str], repair: bool) -> list[Finding]:
    folder = keys.folder(path)
    try:
        state = read_run(home.store, path, home.observer)
    except NotFoundError:
        return [Finding(folder, "a folder without a run")]
    except MolexpError as error:
        return [Finding(getattr(error, "key", "") or keys.document(path), str(error))]
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
        except StoreError as error:  # no key at all, or nothing that may be looked at
            found.append(Finding(key, f"the bytes of asset {record.get('id')} are out of reach: {error}"))
            continue
        if record.get("size") is not None and size != record["size"] and state.attempts[-1].ended:
            found.append(Finding(key, f"{size} bytes, and its record says {record['size']}"))
    if not state.attempts or state.attempts[-1].ended:  # who is at work writes first and records then
        found += _unnamed(payloads, {str(record.get("key")) for record in state.assets()})
    return found


def _check_data(home: Home, folder: str, payloads: Iterable[str]) -> Iterator[Finding]:
    problems: dict[str, str] = {}
    named = _named_data(home.store, folder, problems)
    for key, reason in problems.items():
        yield Finding(key, reason)
    if named is not None:
        yield from _unnamed(payloads, named)


def _unnamed(payloads: Iterable[str], named: Container[str]) -> Iterator[Finding]:
    for key in sorted(payloads):
        at = key
        while at and at not in named:  # a record of a folder names all that is in it
            at = at.rpartition("/")[0]
        if not at:
            yield Finding(key, UNNAMED)


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


@attrs.define
class _Seen:
    """What lies in a workspace.

    Attributes:
        payloads: of runs, by their paths.
        data: what was imported, by the folder of its name; names without anything imported, too.
        foreign: what is no part of the layout.
        unreadable: folders that cannot be looked into, and why.
    """

    payloads: defaultdict[str, list[str]] = attrs.field(factory=lambda: defaultdict(list))
    data: defaultdict[str, list[str]] = attrs.field(factory=lambda: defaultdict(list))
    foreign: list[str] = attrs.field(factory=list)
    unreadable: dict[str, str] = attrs.field(factory=dict)


def _walk(home: Home) -> _Seen:
    """Every key of the store, sorted by what it is."""
    seen = _Seen()
    try:
        entries = list(home.store.list())
    except StoreError:  # folder by folder, then
        entries = list(_entries(home.store, "", seen.unreadable))
    for entry in entries:
        path, rest = _split(entry.key)
        depth = path.count("/") + 1 if path else 0
        if depth < _DEPTH_OF_RUNS and (match := _DATA.fullmatch(rest)) and _is_id(match[1]):
            imported = seen.data[keys.below(path, f"data/{match[1]}")]
            if match[2]:
                imported.append(entry.key)
        elif depth == _DEPTH_OF_RUNS and _PAYLOAD.fullmatch(rest):
            seen.payloads[path].append(entry.key)
        elif not (_LAYOUT[depth].fullmatch(rest) or ((match := _EDIT.fullmatch(rest)) and _is_id(match[1]))):
            seen.foreign.append(entry.key)
    return seen


def _split(key: str) -> tuple[str, str]:
    """The path of the entity whose file `key` is, and the key below its folder; what is no id names no entity."""
    path = keys.owner_of(key)
    while path and not all(_is_id(part) for part in path.split("/")):
        path = path.rpartition("/")[0]
    return path, key.removeprefix(f"{keys.folder(path)}/") if path else key


@lru_cache(maxsize=1024)
def _is_id(text: str) -> bool:
    try:
        check_id(text)
    except ValueError:
        return False
    return True
