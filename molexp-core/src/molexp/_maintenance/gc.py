"""Freeing what is not needed."""

from __future__ import annotations

import os
import re
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from molexp._catalog.compaction.cleanup import unfilled
from molexp._record.attempts import read_attempts
from molexp._record.definitions import member_ids
from molexp._record.deletions import (
    KEPT,
    Deletion,
    Deletions,
    delete_edit_of,
    expired,
    remember_freed,
    tokens_of,
)
from molexp._record.document_types import VOID, decode_document, is_defined
from molexp._record.folding import absurd
from molexp._record.reading import edit_keys, read_documents
from molexp._record.reports import Finding, Report
from molexp._record.submissions import listed as submissions_listed
from molexp._storage import key_patterns, layout
from molexp._storage.listing import all_entries
from molexp._values.documents import decode_object
from molexp._values.numbers import is_number
from molexp._values.status import RunStatus
from molexp.contracts import Stat, Store
from molexp.errors import MolexpError, ReadOnlyError, StoreError

if TYPE_CHECKING:
    from molexp._maintenance.session import MaintenanceSession

_ABANDONED = 24 * 3600.0  # seconds after which an unfinished temporary file or import is nobody's any more

_PRINTED = 30 * 24 * 3600.0  # seconds for which the output of jobs is kept

_TOKEN = re.compile(key_patterns.RANDOM_NAME)


def collect(session: MaintenanceSession, *, dry_run: bool) -> Report:
    """See `Workspace.gc`."""
    if not dry_run and session.workspace.exists():
        session.materialize()  # refuses what a newer MolExp made
    collector = _Collector(session, dry_run)
    collector.deleted_runs()
    collector.old_deletions()
    collector.abandoned_imports()
    collector.leftovers()
    collector.unfilled()
    collector.outputs()
    collector.empty_folders()
    unreadable = [Finding(key, reason) for key, reason in collector.unreadable.items()]
    counts = {"found": len(collector.findings), "bytes": collector.freed, "unreadable": len(unreadable)}
    return Report("gc", (*collector.findings, *unreadable), counts)


class _Collector:
    """Frees what is not needed, or only tells of it; what it cannot read it leaves alone, and names."""

    def __init__(self, session: MaintenanceSession, dry_run: bool) -> None:
        self.findings: list[Finding] = []
        self.unreadable: dict[str, str] = {}
        self.freed = 0
        self._session = session
        self._store = session.store
        self._dry_run = dry_run

    def _found(self, key: str, what: str, done: str = "freed") -> None:
        self.findings.append(Finding(key, what, "" if self._dry_run else done))

    def _free(self, entry: Stat, what: str, folder: str) -> None:
        """Free a file, and the folders that are empty then."""
        if not self._dry_run:
            self._store.delete(entry.key)
            self._store.prune(folder)
        self._found(entry.key, what)
        self.freed += entry.size

    def outputs(self) -> None:
        """Free what jobs of submissions printed that have ended, once it is old; runs have logs of their own."""
        with self._naming(layout.JOB_OUTPUT):
            ended = {name for name, parts in submissions_listed(self._store).items() if ".end" in parts}
            for entry in self._store.list(layout.JOB_OUTPUT):
                submission = entry.key.removeprefix(f"{layout.JOB_OUTPUT}/").partition("/")[0]
                if submission in ended and time.time() - entry.modified > _PRINTED:
                    self._free(entry, "output of a job, which has ended", f"{layout.JOB_OUTPUT}/{submission}")

    def deleted_runs(self) -> None:
        """Free runs that were deleted. Before their bytes go, their experiment remembers that they were deleted."""
        deleted: defaultdict[str, dict[str, Deletion]] = defaultdict(dict)
        for path in paths(self._session, self.unreadable)[1]:
            experiment, _, run = path.rpartition("/")
            with self._naming(layout.folder(path)):
                if (edit := delete_edit_of(self._store, path, certainly=True)) is None:
                    continue
                if self._is_live(path):
                    self._found(layout.folder(path), "deleted run that is still being executed", "")
                else:
                    deleted[experiment][run] = Deletion(tokens_of(self._store, path), edit)
        for experiment, runs in deleted.items():
            with self._naming(layout.folder(experiment)):
                self._deleted_of(experiment, runs)

    def _deleted_of(self, experiment: str, runs: Mapping[str, Deletion]) -> None:
        known = Deletions()
        known.read(self._store, edit_keys(self._store, experiment))
        new = {run: one for run, one in runs.items() if one.tokens and known.of(run, one.tokens) is None}
        if new and not self._dry_run:
            remember_freed(self._session, experiment, new)
        edits: dict[str, list[str]] = {}
        others: list[str] = []
        for run in runs:
            path = f"{experiment}/{run}"
            with self._naming(layout.folder(path)):
                # Unless somebody has restored it meanwhile.
                if delete_edit_of(self._store, path, certainly=True) is not None:
                    edits[path] = self._deleted_run(path, others)
        if not self._dry_run:
            self._gone(edits, others)

    def _deleted_run(self, path: str, others: list[str]) -> list[str]:
        """Free all of a run but its edits, whose keys are returned; add the keys of the rest to `others`."""
        entries = list(self._store.list(layout.folder(path)))
        edits = [entry.key for entry in entries if entry.key.startswith(f"{layout.edits(path)}/")]
        for key in [entry.key for entry in entries if entry.key not in edits]:
            others.append(key)
            if not self._dry_run:
                self._store.delete(key)
        size = sum(entry.size for entry in entries)
        self._found(layout.folder(path), f"deleted run, {size} bytes")
        self.freed += size
        return edits

    def _gone(self, edits: Mapping[str, list[str]], others: list[str]) -> None:
        """Delete the edits that hide runs last, also at a power loss: at every moment a run is hidden, or gone."""
        self._store.sync(others, content=False)
        last = [key for of in edits.values() for key in of]
        for key in last:
            self._store.delete(key)
        self._store.sync(last, content=False)
        for path in edits:
            self._store.prune(layout.folder(path))

    def old_deletions(self) -> None:
        """Forget runs that were freed long ago."""
        for experiment in filter(layout.is_experiment, paths(self._session, self.unreadable)[0]):
            with self._naming(layout.edits(experiment)):
                for key, runs in expired(self._store, experiment).items():
                    if not self._dry_run:
                        self._store.delete(key)
                    self._found(key, f"how {runs} runs were deleted, known for {KEPT:.0f} days", "forgotten")

    def _is_live(self, path: str) -> bool:
        """Tell whether somebody executes a run: it was started before it was seen to be deleted."""
        attempts = read_attempts(self._store, layout.folder(path))
        if not attempts:
            return False
        observer = self._session.observer
        if self._dry_run:
            observer = replace(observer, may_write=False)
        newest = observer.settle(path, attempts[-1])
        if newest.as_of:  # a copy: what it is a copy of goes on
            return False
        return not newest.ended and (not self._dry_run or newest.status is RunStatus.RUNNING)

    def abandoned_imports(self) -> None:
        """Free payloads of imports that were never published: older than any import takes.

        All of an import or nothing: as long as it goes on, something in it is young.
        """
        old = {}
        for folder in _unnamed_imports(self._session, self.unreadable):
            with self._naming(folder):
                entries = list(self._store.list(folder))
                if entries and all(self._is_old(entry) for entry in entries):
                    old[folder] = entries
        still = set(_unnamed_imports(self._session, {}))  # a payload that was published meanwhile is named now
        for folder in old.keys() & still:
            for entry in old[folder]:
                with self._naming(entry.key):
                    self._free(entry, f"imported data without a record, {entry.size} bytes", folder)

    def _is_old(self, entry: Stat) -> bool:
        """Tell whether an entry came to where it is long ago, as far as is known.

        Moved and linked files keep the time of modification that they had elsewhere.
        """
        came = entry.modified
        if "local_path" in self._store.capabilities:
            try:
                found = os.lstat(self._store.locate(entry.key))
            except OSError:
                return False
            came = max(found.st_ctime, found.st_mtime)
        return bool(came) and time.time() - came > _ABANDONED

    def leftovers(self) -> None:
        """Temporary files of killed processes."""
        named = self._leftovers()
        left = named
        if not self._dry_run:
            with self._naming(""):
                self._store.remove_leftovers(_ABANDONED)
            left = self._leftovers()
        for key in named:
            self._found(key, "unfinished temporary file", "" if key in left else "freed")

    def unfilled(self) -> None:
        """Free names that a killed process had only claimed, as it does where there are no hard links, and who filled them."""
        with self._naming(layout.DERIVED):
            found = [(entry, "a name without content") for entry in unfilled(self._store)]
            found += [(entry, "who filled a name without content") for entry in self._store.list(layout.MENDED)]
            for entry, what in found:
                if self._is_old(entry):
                    self._free(entry, what, entry.key.rpartition("/")[0])

    def _leftovers(self) -> list[str]:
        named: list[str] = []
        try:
            for key in self._store.leftovers(_ABANDONED):
                named.append(key)  # noqa: PERF402 - what was named before an error counts
        except StoreError:
            for _ in all_entries(self._store, self.unreadable):
                pass  # only to know all that cannot be read
        return named

    def empty_folders(self) -> None:
        """Remove folders without a file: of imports that came to nothing, and of runs that were never created."""
        for folder in [*_unnamed_imports(self._session, self.unreadable)]:
            with self._naming(folder):
                self._empty_folder(folder, "empty folder of an import")
        for path in paths(self._session, self.unreadable)[1]:
            with self._naming(layout.folder(path)):
                left = list(filter(self._is_old, orphans(self._store, path) or ()))
                for entry in left:
                    self._free(entry, "an edit of a run that is gone", layout.folder(path))
                if not left:
                    self._empty_folder(layout.folder(path), "a folder without a run, empty")

    def _empty_folder(self, folder: str, what: str) -> None:
        if self._store.children(folder).entries or next(self._store.list(folder), None) is not None:
            return
        parent, _, name = folder.rpartition("/")
        if not self._dry_run:
            self._store.prune(folder)
        if self._dry_run or name not in self._store.children(parent).folders:  # else somebody is writing there
            self._found(folder, what, "removed")

    @contextmanager
    def _naming(self, key: str) -> Iterator[None]:
        """Turn an error in the block into a finding about `key`, or the key that it names."""
        try:
            yield
        except ReadOnlyError:
            raise
        except MolexpError as error:
            self.unreadable.setdefault(getattr(error, "key", "") or key, str(error))


def paths(session: MaintenanceSession, unreadable: dict[str, str]) -> tuple[list[str], list[str]]:
    """Return the scopes (the workspace, every project and every experiment) and the runs, by the names of folders.

    Args:
        session: The workspace.
        unreadable: filled with the folders that cannot be read.
    """
    scopes: list[str] = []
    level = [""]
    for _ in layout.ENTITIES[1:]:
        scopes += level
        below = []
        for path in level:
            try:
                below += [f"{path}/{name}" if path else name for name in member_ids(session.store, path)]
            except StoreError as error:
                unreadable.setdefault(layout.members(path), str(error))
        level = below
    return scopes, level


def _unnamed_imports(session: MaintenanceSession, unreadable: dict[str, str]) -> Iterator[str]:
    """Yield the folders of imports that no record names: under way, given up, or killed."""
    for scope in paths(session, unreadable)[0]:
        base = layout.below(scope, layout.DATA)
        for name in _folders(session.store, base, unreadable):
            tokens = _folders(session.store, f"{base}/{name}", unreadable)
            problems: dict[str, str] = {}
            named = named_data(session.store, f"{base}/{name}", problems)
            if problems:
                continue  # an unreadable record may name it: it must not be freed
            for token in tokens:
                folder = f"{base}/{name}/{token}"
                if _TOKEN.fullmatch(token) and not any(key.startswith(folder + "/") for key in named):
                    yield folder


def orphans(store: Store, path: str) -> list[Stat] | None:
    """Return the edits of a run that is not there, if there is nothing else but numbers that were given up; else None."""
    if is_defined(store, path):
        return None
    folder = layout.folder(path)
    left = [entry for entry in store.list(folder) if not (entry.size == len(VOID) and store.read(entry.key) == VOID)]
    return left if all(entry.key.startswith(f"{layout.edits(path)}/") for entry in left) else None


def _folders(store: Store, prefix: str, unreadable: dict[str, str]) -> tuple[str, ...]:
    try:
        return store.children(prefix).folders
    except StoreError as error:
        unreadable.setdefault(prefix, str(error))
        return ()


def named_data(store: Store, folder: str, problems: dict[str, str]) -> dict[str, Mapping[str, Any]]:
    """Return the records of a data asset's versions, by the keys that they name.

    Args:
        store: the store.
        folder: the folder of the asset's name.
        problems: filled with what cannot be read; then not all that is named is known.
    """
    named: dict[str, Mapping[str, Any]] = {}
    try:
        keys = [entry.key for entry in store.children(folder).entries if entry.key.endswith(".json")]
    except StoreError as error:
        problems[folder] = str(error)
        return named
    for key, record in read_documents(store, keys, _decode_record):
        if not isinstance(record, dict):
            problems[key] = str(record)
            continue
        if isinstance(at := record.get("key"), str):
            named[at] = record
        if reason := absurd(record):
            problems[key] = reason
    return named


def _decode_record(data: bytes, key: str) -> dict[str, Any]:
    """Return the record of a version of data; of a foreign file, whatever it has."""
    is_ours = is_number(key.rpartition("/")[2].removesuffix(".json"))
    return decode_document(data, key) if is_ours else decode_object(data, key)
