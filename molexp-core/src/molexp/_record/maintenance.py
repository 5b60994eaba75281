"""Freeing what is not needed, and looking for what should not be."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import attrs

from molexp._record import keys
from molexp._record.attempts import read_attempt, read_attempts
from molexp._record.definitions import member_ids
from molexp._record.fold import absurd
from molexp._record.reading import read_edits, read_run
from molexp._record.reports import Finding, Report
from molexp._record.spool.draining import abandoned, drain
from molexp._values.documents import decode_object, encode_pretty
from molexp._values.ids import is_id
from molexp._values.numbers import NUMBER
from molexp._values.status import RunStatus
from molexp.contracts import Stat, Store
from molexp.errors import CorruptRecordError, KeyNotFoundError, MolexpError, NotFoundError, ReadOnlyError, StoreError

if TYPE_CHECKING:
    from molexp._record.fold import RunState
    from molexp._record.home import Home

_ABANDONED = 24 * 3600.0  # seconds after which an unfinished temporary file or import is nobody's any more

UNNAMED = "no record names it: a killed writer left it, or it is foreign"

_TOKEN = re.compile(r"[0-9a-f]{16}")
_DEPTH_OF_RUNS = 3
_LAYOUT = tuple(
    re.compile(pattern)
    for pattern in (
        rf"workspace\.json|settings/{NUMBER}\.json|provenance/[0-9a-f]{{64}}\.json|\.molexp/.+",
        r"project\.json",
        rf"experiment(\.{NUMBER})?\.json",
        rf"run(\.{NUMBER})?\.json|executions/{NUMBER}(\.jsonl|\.end\.json|(/w-|\.s/)[^/]+\.jsonl)",
    )
)
_EDIT = re.compile(r"edits/([^/]+)\.json")
_DATA = re.compile(rf"data/([^/]+)/(?:{NUMBER}\.json|({_TOKEN.pattern}/.+))")
_PAYLOAD = re.compile(rf"(executions/{NUMBER}/)?(artifacts|logs|checkpoints)/.+")


def collect(home: Home, *, dry_run: bool) -> Report:
    """See `Workspace.gc`."""
    if not dry_run and home.exists():
        home.materialize()  # refuses what a newer MolExp made
    collector = _Collector(home, dry_run)
    collector.deleted_runs()
    collector.abandoned_imports()
    collector.leftovers()
    collector.empty_folders()
    findings = collector.findings + [Finding(key, reason) for key, reason in collector.unreadable.items()]
    return Report("gc", tuple(findings), {"found": len(findings), "bytes": collector.freed})


class _Collector:
    """Frees what is not needed, or only tells of it; what it cannot read it leaves alone, and names."""

    def __init__(self, home: Home, dry_run: bool) -> None:
        self.findings: list[Finding] = []
        self.unreadable: dict[str, str] = {}
        self.freed = 0
        self._home = home
        self._store = home.store
        self._dry_run = dry_run
        self._done = "" if dry_run else "freed"

    def deleted_runs(self) -> None:
        for path in _paths(self._home, self.unreadable)[1]:
            with self._naming(keys.folder(path)):
                if read_edits(self._store, path).deleted:
                    self._deleted_run(path, keys.folder(path))

    def _deleted_run(self, path: str, folder: str) -> None:
        if self._is_live(path):
            self.findings.append(Finding(folder, "deleted run that is still being executed"))
            return
        entries = list(_entries(self._store, folder))
        if not self._dry_run:
            # the edit that hides it goes last: at every moment the run is hidden, or gone
            for entry in sorted(entries, key=lambda entry: "/edits/" in entry.key):
                self._store.delete(entry.key)
            self._store.prune(folder)
        size = sum(entry.size for entry in entries)
        self.findings.append(Finding(folder, f"deleted run, {size} bytes", self._done))
        self.freed += size

    def _is_live(self, path: str) -> bool:
        """Whether somebody executes a run: it was started before it was seen to be deleted."""
        attempts = read_attempts(self._store, keys.folder(path))
        if not attempts:
            return False
        observer = self._home.observer
        if self._dry_run:
            observer = attrs.evolve(observer, may_write=False)
        newest = observer.settle(path, attempts[-1])
        return not newest.ended and (not self._dry_run or newest.status is RunStatus.RUNNING)

    def abandoned_imports(self) -> None:
        """Payloads of imports that were never published: older than any import takes.

        All of an import or nothing: as long as it goes on, something in it is young.
        """
        now = time.time()
        old = {}
        for folder in _unnamed_imports(self._home, self.unreadable):
            with self._naming(folder):
                entries = list(_entries(self._store, folder))
                came = [_came(self._store, entry) for entry in entries]
                if entries and all(then and now - then > _ABANDONED for then in came):
                    old[folder] = entries
        still = set(_unnamed_imports(self._home, {}))  # what was published meanwhile is no longer unnamed
        for folder in old.keys() & still:
            for entry in old[folder]:
                with self._naming(entry.key):
                    if not self._dry_run:
                        self._store.delete(entry.key)
                        self._store.prune(folder)
                    what = f"imported data without a record, {entry.size} bytes"
                    self.findings.append(Finding(entry.key, what, self._done))
                    self.freed += entry.size

    def leftovers(self) -> None:
        """Temporary files of killed processes."""
        named = self._leftovers()
        left = named
        if not self._dry_run:
            with self._naming(""):
                self._store.remove_leftovers(_ABANDONED)
            left = self._leftovers()
        for key in named:
            self.findings.append(Finding(key, "unfinished temporary file", "" if key in left else self._done))

    def _leftovers(self) -> list[str]:
        named: list[str] = []
        try:
            for key in self._store.leftovers(_ABANDONED):
                named.append(key)  # noqa: PERF402 - what was named before an error counts
        except StoreError:
            for _ in _entries(self._store, "", self.unreadable):
                pass  # only to know all that cannot be read
        return named

    def empty_folders(self) -> None:
        """Folders without a file: of imports that came to nothing, and of runs that were never created."""
        empty = [(folder, "empty folder of an import") for folder in _unnamed_imports(self._home, self.unreadable)]
        runs = _paths(self._home, self.unreadable)[1]
        empty += [(keys.folder(path), "a folder without a run, empty") for path in runs]
        for folder, what in empty:
            with self._naming(folder):
                self._empty_folder(folder, what)

    def _empty_folder(self, folder: str, what: str) -> None:
        if self._store.children(folder).entries or next(_entries(self._store, folder), None) is not None:
            return
        if not self._dry_run:
            self._store.prune(folder)
            parent, _, name = folder.rpartition("/")
            if name in self._store.children(parent).folders:
                return  # a temporary file is in it: somebody is writing there
        self.findings.append(Finding(folder, what, "" if self._dry_run else "removed"))

    @contextmanager
    def _naming(self, key: str) -> Iterator[None]:
        """An error in here is a finding about `key`, or the key that it names."""
        try:
            yield
        except ReadOnlyError:
            raise
        except MolexpError as error:
            self.unreadable.setdefault(getattr(error, "key", "") or key, str(error))


def _paths(home: Home, unreadable: dict[str, str]) -> tuple[list[str], list[str]]:
    """The scopes (the workspace, every project and every experiment) and the runs, by the names of folders.

    Args:
        home: the workspace.
        unreadable: filled with the folders that cannot be read.
    """
    scopes: list[str] = []
    level = [""]
    for _ in range(_DEPTH_OF_RUNS):
        scopes += level
        below = []
        for path in level:
            try:
                below += [f"{path}/{name}" if path else name for name in member_ids(home, path)]
            except StoreError as error:
                unreadable.setdefault(keys.members(path), str(error))
        level = below
    return scopes, level


def _came(store: Store, entry: Stat) -> float:
    """When an entry came to where it is. Moved and linked files keep the time of modification that they had elsewhere."""
    if "local_path" not in store.capabilities:
        return entry.modified
    try:
        found = store.local_path(entry.key).lstat()
    except OSError:
        return 0.0
    return max(found.st_ctime, found.st_mtime)


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


def _unnamed_imports(home: Home, unreadable: dict[str, str]) -> Iterator[str]:
    """The folders of imports that no record names: under way, given up, or killed."""
    for scope in _paths(home, unreadable)[0]:
        base = keys.below(scope, "data")
        for name in _folders(home.store, base, unreadable):
            tokens = _folders(home.store, f"{base}/{name}", unreadable)
            named = _named_data(home.store, f"{base}/{name}", {})
            if named is None:
                continue  # what a record that cannot be read names must not be freed
            for token in tokens:
                folder = f"{base}/{name}/{token}"
                if _TOKEN.fullmatch(token) and not any(key.startswith(folder + "/") for key in named):
                    yield folder


def _folders(store: Store, prefix: str, unreadable: dict[str, str]) -> tuple[str, ...]:
    try:
        return store.children(prefix).folders
    except StoreError as error:
        unreadable.setdefault(prefix, str(error))
        return ()


def _named_data(store: Store, folder: str, problems: dict[str, str]) -> set[str] | None:
    """The keys that the records of a data asset's versions name; None if one of them cannot be read."""
    named: set[str] = set()
    try:
        entries = store.children(folder).entries
    except StoreError as error:
        problems[folder] = str(error)
        return None
    for entry in entries:
        if not entry.key.endswith(".json"):
            continue
        try:
            record = decode_object(store.read(entry.key), entry.key)
        except (CorruptRecordError, StoreError) as error:
            problems[entry.key] = str(error)
            continue
        named.add(str(record.get("key")))
        if reason := absurd(record):
            problems[entry.key] = reason
    return None if problems else named


def check(home: Home, *, repair: bool) -> Report:
    """See `Workspace.fsck`."""
    runs = 0
    findings = [*_check_spools(home, repair=repair)]
    if repair and home.exists():
        home.materialize()  # refuses what a newer MolExp made
    # the files are listed before the records are read: what a record that comes later names is not looked for
    seen = _walk(home)
    _, paths = _paths(home, seen.unreadable)
    findings += [Finding(folder, reason) for folder, reason in seen.unreadable.items()]
    for path in paths:
        runs += 1
        try:
            findings += _check_run(home, path, seen.payloads.pop(path, ()), repair)
        except Exception as error:  # noqa: BLE001 - whatever a malformed record makes of it, the others are looked at
            findings.append(Finding(keys.folder(path), f"it cannot be checked ({type(error).__name__}: {error})"))
    for folder, found in seen.data.items():
        findings += _check_data(home, folder, found)
    findings += [Finding(key, "a foreign file; it is ignored") for key in sorted(seen.foreign)]
    return Report("fsck", tuple(findings), {"runs": runs, "findings": len(findings)})


def _check_spools(home: Home, *, repair: bool) -> Iterator[Finding]:
    """What writers that died on this machine recorded, and the store does not have."""
    if "append" in home.store.capabilities:
        return
    before = dict(abandoned(home.store.url))
    problem = ""
    if repair and before and not home.read_only:
        try:
            for run, number in drain(home.store, home.process.owner).brought:
                home.observer.settle(run, read_attempt(home.store, keys.folder(run), number))
        except StoreError as error:
            problem = f": {error}"
    after = dict(abandoned(home.store.url))
    for name, what in before.items():
        yield Finding(name, what + problem if name in after else what, "" if name in after else "sent")


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
        if depth < _DEPTH_OF_RUNS and (match := _DATA.fullmatch(rest)) and is_id(match[1]):
            imported = seen.data[keys.below(path, f"data/{match[1]}")]
            if match[2]:
                imported.append(entry.key)
        elif depth == _DEPTH_OF_RUNS and _PAYLOAD.fullmatch(rest):
            seen.payloads[path].append(entry.key)
        elif not (_LAYOUT[depth].fullmatch(rest) or ((match := _EDIT.fullmatch(rest)) and is_id(match[1]))):
            seen.foreign.append(entry.key)
    return seen


def _split(key: str) -> tuple[str, str]:
    """The path of the entity whose file `key` is, and the key below its folder; what is no id names no entity."""
    path = keys.owner_of(key)
    while path and not all(is_id(part) for part in path.split("/")):
        path = path.rpartition("/")[0]
    return path, key.removeprefix(f"{keys.folder(path)}/") if path else key
