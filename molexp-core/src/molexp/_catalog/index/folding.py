"""Folding the files of runs, and of the data of scopes, into entries of the index."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from molexp._catalog.index.cells import packed
from molexp._catalog.index.entries import BORN, Entry
from molexp._catalog.refresh.journals import OUTAGES
from molexp._record.fences import VOID, is_defined
from molexp._record.folding import RunState, absurd
from molexp._record.leases import Observer
from molexp._record.metrics import run_metrics
from molexp._record.reading import read_definition, read_run
from molexp._record.validation import decode_document
from molexp._storage import layout
from molexp._values.ids import spelled
from molexp._values.numbers import is_number
from molexp.errors import CorruptRecordError, KeyNotFoundError, NotFoundError, StoreError

if TYPE_CHECKING:
    from molexp.contracts import Store


class Folder:
    """Folds what lies at paths.

    Args:
        store: the workspace's.
        observer: judges the owners of attempts without an end.
        look: returns what a key looks like, as `Walker.stamp` does; "" where that is not to be had.
    """

    def __init__(self, store: Store, observer: Observer, look: Callable[[str], str]) -> None:
        self._store = store
        self._observer = observer
        self._look = look

    def fold(
        self, paths: Iterable[str], problems: Mapping[str, Mapping[str, str]] | None = None
    ) -> tuple[list[Entry], set[str]]:
        """Return what is true of runs and scopes now, and which of them are not there.

        Args:
            paths: of runs and scopes.
            problems: of scopes, that are known already.
        """
        entries: list[Entry] = []
        missing: set[str] = set()
        for path in sorted(paths):
            known = (problems or {}).get(path, {})
            entry = self._one(path, known)
            if entry is not None and entry.problems and (stamps := self._stamps(entry)):
                # The stamps have to be older than what is read: they may be mended meanwhile.
                entry = self._one(path, known)
                if entry is not None:
                    entry.stamps = stamps
            if entry is None:
                missing.add(path)
            else:
                entries.append(entry)
        return entries, missing

    def _one(self, path: str, problems: Mapping[str, str]) -> Entry | None:
        return self._run(path) if layout.is_run(path) else self._data(path, problems)

    def _stamps(self, entry: Entry) -> dict[str, str]:
        return {key: stamp for key in entry.problems if (stamp := self._look(key))}

    def is_there(self, path: str) -> bool:
        """Tell whether there is a run or scope at a path, as far as can be told."""
        try:
            return is_defined(self._store, path)
        except OUTAGES:
            raise
        except StoreError:
            return False

    def lacks(self, path: str, names: Iterable[str]) -> bool:
        """Tell whether some of the files that a cover names is not there.

        So the run is being freed, or was brought back, or another copy of it was put in its place: that cover says nothing
        any more.
        """
        return any(not self._still(path, name) for name in names)

    def _still(self, path: str, name: str) -> bool:
        """Tell whether what a cover names is there: a file, or the run that bears this token."""
        try:
            if not name.startswith(BORN):
                # Whoever waited for what is gone may have fenced it.
                return self._store.stat(_key_of(path, name)).size != len(VOID)
            return f"{BORN}{read_definition(self._store, path, {}).get('token')}" == name
        except OUTAGES:
            raise
        except NotFoundError:
            return False
        except (CorruptRecordError, StoreError):
            return name.startswith(BORN)

    def _run(self, path: str) -> Entry | None:
        document = layout.document(path)
        stamp = self._stamp(document)
        try:
            state = read_run(self._store, path, self._observer)
        except OUTAGES:
            raise
        except NotFoundError as error:
            if not self.is_there(path):
                return None
            # A file of it vanished while it was read: it is read again.
            return replace(Entry.unreadable(path, document, error), open=True)
        except (CorruptRecordError, StoreError) as error:
            return Entry.unreadable(path, error.key or document, error)
        except Exception as error:  # noqa: BLE001 - one record that nobody foresaw must not block the rest
            return Entry.unreadable(path, document, f"{type(error).__name__}: {error}")
        last = next((one for one in reversed(state.attempts) if not one.void), None)
        cover = {**state.cover, f"{BORN}{state.definition.get('token')}": 0}
        if state.edits.deleted:
            unclear = {
                key: why for key, why in state.problems.items() if layout.is_edit(key)
            }  # it may have been restored
            return Entry(path, None, False, cover, problems=unclear, stamp=stamp)
        is_open = last is not None and not last.ended
        row = full_row(self._store, state, path)
        return Entry(path, row, is_open, cover, _assets(state), _uses(state), state.problems, stamp=stamp)

    def _stamp(self, key: str) -> str:
        """Return what a document looks like, where looking is cheap."""
        if self._store.slow:
            return ""
        try:
            return self._store.stat(key).version
        except StoreError:
            return ""

    def _data(self, scope: str, problems: Mapping[str, str]) -> Entry | None:
        entry = Entry(scope, None, False, problems=dict(problems))
        self._definition(scope, entry)
        base = layout.below(scope, layout.DATA)
        try:
            folders = self._store.children(base).folders
        except OUTAGES:
            raise
        except StoreError as error:
            entry.problems[base] = str(error)
            return entry
        for folder in folders:
            self._versions(f"{base}/{folder}", entry)
        return entry if entry.assets or entry.problems or self.is_there(scope) else None

    def _definition(self, scope: str, entry: Entry) -> None:
        key = layout.document(scope)
        try:
            decode_document(self._store.read(key), key)
        except OUTAGES:
            raise
        except KeyNotFoundError:
            return
        except (CorruptRecordError, StoreError) as error:
            entry.problems[key] = str(error)

    def _versions(self, folder: str, entry: Entry) -> None:
        try:
            files = self._store.children(folder).entries
        except OUTAGES:
            raise
        except StoreError as error:
            entry.problems[folder] = str(error)
            return
        for file in files:
            name = file.key.rpartition("/")[2]
            if not (name.endswith(".json") and is_number(name[:-5])) or file.size == len(VOID):
                continue
            entry.cover[file.key] = 0
            try:
                record = decode_document(self._store.read(file.key), file.key)
            except OUTAGES:
                raise
            except (CorruptRecordError, StoreError) as error:
                entry.problems[file.key] = str(error)
                continue
            if record.get("type") == "data":
                entry.assets.append(record)
                if reason := absurd(record):
                    entry.problems[file.key] = reason


def _key_of(path: str, name: str) -> str:
    """Return the key of a file that the cover of a run or scope names."""
    if not layout.is_run(path):
        return name
    return layout.below(path, name if layout.is_edit(name) else f"{layout.EXECUTIONS}/{name}")


def full_row(store: Store, state: RunState, path: str) -> dict[str, Any]:
    """Return a run's row as the index has it, with its metrics."""
    row = {**row_of(state, path), **(found := run_metrics(store, path, state))}
    if found:
        row["metrics"] = packed(found["metrics"])
    return row


def row_of(state: RunState, path: str) -> dict[str, Any]:
    """Return a run's row, as ``run.json`` would have it, with the number of requests to cancel the run if there are any."""
    document = state.to_document()
    if state.edits.cancels:
        document["cancels"] = len(state.edits.cancels)
    document.pop("token", None)
    document["project"], document["experiment"], folder = path.split("/")  # wherever it was moved to
    document["id"] = spelled(document.get("id"), folder)
    return document


def _assets(state: RunState) -> list[dict[str, object]]:
    """Return the records of its assets; the summary of its metrics is in its own row."""
    return [
        {name: value for name, value in record.items() if name != "summary"} if "summary" in record else record
        for record in state.assets()
    ]


def _uses(state: RunState) -> list[tuple[str, int, str]]:
    found: list[tuple[str, int, str]] = []
    for attempt in state.attempts:
        used = attempt.contents.used
        found += [(str(one.get("asset")), attempt.number, str(one.get("task") or "")) for one in used]
    return found
