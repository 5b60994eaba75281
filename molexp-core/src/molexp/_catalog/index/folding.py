"""Folding the files of runs, and of the data of scopes, into entries of the index."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from molexp._catalog.index.columns import packed
from molexp._catalog.index.entries import BORN, Entry
from molexp._catalog.refresh.journals import OUTAGES
from molexp._record.document_types import VOID, decode_document, is_defined
from molexp._record.folding import RunState, absurd
from molexp._record.leases import Observer
from molexp._record.metrics import run_metrics
from molexp._record.reading import read_definition, read_run
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
            read = self._run if layout.is_run(path) else partial(self._data, problems=(problems or {}).get(path, {}))
            entry = read(path)
            if entry is not None and entry.problems:
                stamps = {key: stamp for key in entry.problems if (stamp := self._look(key))}
                # They have to be older than what is read: that may be mended meanwhile.
                if stamps and (entry := read(path)) is not None:
                    entry.stamps = stamps
            if entry is None:
                missing.add(path)
            else:
                entries.append(entry)
        return entries, missing

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
        document, stamp = layout.document(path), ""
        try:
            if not self._store.slow:  # looking is cheap
                with suppress(StoreError):
                    stamp = self._store.stat(document).version
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
        cover = {**state.cover, f"{BORN}{state.definition.get('token')}": 0}
        if state.edits.deleted:  # unless an edit that cannot be read has restored it
            unclear = {key: why for key, why in state.problems.items() if layout.is_edit(key)}
            return Entry(path, None, False, cover, problems=unclear, stamp=stamp)
        is_open = bool(state.attempts) and not state.attempts[-1].ended
        entry = Entry(path, full_row(self._store, state, path), is_open, cover, problems=state.problems, stamp=stamp)
        _add_recorded(entry, state)
        return entry

    def _data(self, scope: str, problems: Mapping[str, str]) -> Entry | None:
        entry = Entry(scope, None, False, problems=dict(problems))
        document, base = layout.document(scope), layout.below(scope, layout.DATA)
        with _noting(entry, document), suppress(KeyNotFoundError):
            decode_document(self._store.read(document), document)
        with _noting(entry, base):
            for folder in self._store.children(base).folders:
                self._versions(f"{base}/{folder}", entry)
        return entry if entry.assets or entry.problems or self.is_there(scope) else None

    def _versions(self, folder: str, entry: Entry) -> None:
        with _noting(entry, folder):
            for file in self._store.children(folder).entries:
                name = file.key.rpartition("/")[2]
                if name.endswith(".json") and is_number(name[:-5]) and file.size != len(VOID):
                    entry.cover[file.key] = 0
                    with _noting(entry, file.key):
                        self._version(file.key, entry)

    def _version(self, key: str, entry: Entry) -> None:
        record = decode_document(self._store.read(key), key)
        if record.get("type") == "data":
            entry.assets.append(record)
            if reason := absurd(record):
                entry.problems[key] = reason


@contextmanager
def _noting(entry: Entry, key: str) -> Iterator[None]:
    """Note what cannot be read in an entry, unless that says nothing of the record."""
    try:
        yield
    except OUTAGES:
        raise
    except (CorruptRecordError, StoreError) as error:
        entry.problems[key] = str(error)


def _key_of(path: str, name: str) -> str:
    """Return the key of a file that the cover of a run or scope names."""
    if not layout.is_run(path):
        return name
    return layout.below(path, name if layout.is_edit(name) else f"{layout.EXECUTIONS}/{name}")


def full_row(store: Store, state: RunState, path: str) -> dict[str, Any]:
    """Return a run's row: ``run.json`` as it would be, its metrics, and how many requests to cancel it there are."""
    row = state.to_document()
    if state.edits.cancels:
        row["cancels"] = len(state.edits.cancels)
    row.pop("token", None)
    row["project"], row["experiment"], folder = path.split("/")  # wherever it was moved to
    row["id"] = spelled(row.get("id"), folder)
    if found := run_metrics(store, path, state):
        row |= found | {"metrics": packed(found["metrics"])}
    return row


def _add_recorded(entry: Entry, state: RunState) -> None:
    """Add to the entry of a run the records of its assets, and what it used."""
    for attempt in state.attempts:
        for record in attempt.contents.assets.values():
            if "summary" in record:  # of its metrics, which its own row has
                record = {**record}  # noqa: PLW2901
                del record["summary"]
            entry.assets.append(record)
        for one in attempt.contents.used:
            entry.uses.append((str(one.get("asset")), attempt.number, str(one.get("task") or "")))
