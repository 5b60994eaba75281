"""Reading ahead where a request is slow: what a fold of many runs will ask for, asked for at once."""

from __future__ import annotations

import builtins
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice

from msgspec import Struct

from molexp._record.attempts import attempts_to_read
from molexp._storage import layout
from molexp._storage.wrapper import WrappedStore
from molexp.contracts import Listing, Stat, Store
from molexp.errors import KeyNotFoundError, StoreError

_LARGE = 1 << 20  # bytes; what is larger is read when it is needed
_PAGE = 1000  # keys that one request lists
_READ = (layout.EXECUTIONS, layout.EDITS)  # folders of a run, in which a fold reads


class ReadAhead(WrappedStore):
    """A store as it was a moment ago, for what was fetched: some runs' definitions, attempts and edits.

    Listings are taken before what they list is read: who is told by one that a key is there reads, here, what was there
    with it or later. A run is listed as a whole; one with very many payloads, by its attempts and edits alone.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._folders: dict[str, _Listed | StoreError] = {}
        self._documents: dict[str, bytes | StoreError] = {}
        self._looked_for: dict[str, bool | None] = {}

    def fetch(self, paths: Iterable[str], keys: Iterable[str] = ()) -> None:
        """Read what a fold of the runs among `paths` asks for, and look for those of some keys that lie in no run."""
        runs = [layout.folder(path) for path in paths if layout.is_run(path)]
        found = zip(runs, self._store.each(self._list_first, runs), strict=True)
        self._folders.update((run, listed) for run, listed in found if listed is not None)
        large = [f"{run}/{name}" for run in runs if run not in self._folders for name in _READ]
        self._folders.update(zip(large, self._store.each(self._list, large), strict=True))
        wanted = [key for run in runs for key in self._wanted(run)]
        for some in (wanted, [f"{run}/run.json" for run in runs]):  # definitions last, see `read_run`
            self._documents.update(zip(some, self._store.read_many(some), strict=True))
        outside = [key for key in keys if not layout.is_run(layout.owner_of(key))]
        self._looked_for.update(zip(outside, self._store.each(self._look_for, outside), strict=True))

    def _look_for(self, key: str) -> bool | None:
        with suppress(StoreError):  # whoever asks again is told
            return self._store.exists(key)
        return None

    def _wanted(self, run: str) -> Iterator[str]:
        """Yield the keys that a fold of a run reads, besides its definition."""
        for folder in (f"{run}/{name}" for name in _READ):
            with suppress(StoreError):
                stats = [stat for stat in self.list(folder) if stat.size <= _LARGE]
                yield from (
                    [stat.key for stat in stats] if folder.endswith("/edits") else attempts_to_read(folder, stats)
                )

    def list_run(self, path: str) -> None:
        """List all of a run, unless it is large."""
        folder = layout.folder(path)
        if (listed := self._list_first(folder)) is not None:
            self._folders[folder] = listed

    def list_runs(self, experiment: str) -> None:
        """List all of the runs of an experiment, and read their edits."""
        folder = layout.members(experiment)
        self._folders[folder] = listed = self._list(folder)
        if isinstance(listed, _Listed):
            begin = len(folder) + 1
            edits = [
                stat.key
                for stat in listed.stats
                if stat.size <= _LARGE and stat.key[begin:].split("/")[1:2] == [layout.EDITS]
            ]
            self._documents.update(zip(edits, self._store.read_many(edits), strict=True))

    def _list_first(self, folder: str) -> _Listed | StoreError | None:
        """Return all of a folder, if one request lists it."""
        try:
            stats = tuple(islice(self._store.list(folder), _PAGE))
        except StoreError as error:
            return error
        return _Listed(tuple(sorted(stats, key=_key))) if len(stats) < _PAGE else None

    def _list(self, folder: str) -> _Listed | StoreError:
        try:
            return _Listed(tuple(sorted(self._store.list(folder), key=_key)))
        except StoreError as error:
            return error

    def _listed(self, key: str) -> _Listed | None:
        """Return the listing of the folder that a key or prefix lies in, if it was fetched."""
        folder = key
        while folder:
            found = self._folders.get(folder)
            if isinstance(found, StoreError):
                raise found
            if found is not None:
                return found
            folder = folder.rpartition("/")[0]
        return None

    def children(self, prefix: str = "") -> Listing:
        """Return one level below a prefix, as it was."""
        listed = self._listed(prefix)
        return self._store.children(prefix) if listed is None else listed.level(prefix)

    def list(self, prefix: str = "") -> Iterator[Stat]:
        """Return every key below a prefix, as it was."""
        listed = self._listed(prefix)
        return self._store.list(prefix) if listed is None else iter(listed.below(prefix))

    def exists(self, key: str) -> bool:
        """Tell whether a key was there."""
        if (found := self._looked_for.get(key)) is not None:
            return found
        if key in self._documents:
            return not isinstance(self._documents[key], KeyNotFoundError)
        try:
            self.stat(key)
        except KeyNotFoundError:
            return False
        return True

    def stat(self, key: str) -> Stat:
        """Describe a key, as it was."""
        if (listed := self._listed(key)) is None:
            return self._store.stat(key)
        if (found := listed.find(key)) is None:
            raise KeyNotFoundError(key, url=self.url)
        return found

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Return the bytes under a key, as they were."""
        found = self._documents.get(key)
        if found is None:
            if (listed := self._listed(key)) is not None and listed.find(key) is None:
                raise KeyNotFoundError(key, url=self.url)
            return self._store.read(key, start, length)
        if isinstance(found, StoreError):
            raise found
        return found[start:] if length is None else found[start : start + length]

    def read_many(self, keys: Sequence[str]) -> builtins.list[bytes | StoreError]:
        """Return the bytes under several keys, as they were."""
        missing = [key for key in keys if key not in self._documents]
        fresh = dict(zip(missing, self._store.read_many(missing), strict=True)) if missing else {}
        return [fresh[key] if key in fresh else self._documents[key] for key in keys]

    def write(self, key: str, data: bytes) -> None:
        """Write, and forget what was there."""
        self._documents.pop(key, None)
        self._store.write(key, data)


class _Listed(Struct, frozen=True):
    """All keys below a folder, sorted."""

    stats: tuple[Stat, ...]

    def below(self, prefix: str) -> tuple[Stat, ...]:
        start = bisect_left(self.stats, f"{prefix}/", key=_key)
        return self.stats[start : bisect_left(self.stats, f"{prefix}0", start, key=_key)]  # "0" comes after "/"

    def find(self, key: str) -> Stat | None:
        at = bisect_left(self.stats, key, key=_key)
        return self.stats[at] if at < len(self.stats) and self.stats[at].key == key else None

    def level(self, prefix: str) -> Listing:
        start = len(prefix) + 1
        entries: list[Stat] = []
        folders: set[str] = set()
        for stat in self.below(prefix):
            name, mark, _ = stat.key[start:].partition("/")
            if mark:
                folders.add(name)
            else:
                entries.append(stat)
        return Listing(tuple(entries), tuple(sorted(folders)))


def _key(stat: Stat) -> str:
    return stat.key
