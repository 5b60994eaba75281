"""The two sides of a sync: what lies there, by one listing, sorted by the entity that it belongs to."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from molexp._storage import layout
from molexp._values.ids import is_id
from molexp.contracts import Stat, Store
from molexp.errors import CredentialsError, StoreError, UnavailableError

if TYPE_CHECKING:
    from molexp._hierarchy.session import Session

_PARTS = (layout.DATA, layout.EDITS)  # folders of a scope that are its own


class Side:
    """One of the two workspaces, as it was listed.

    Args:
        home: the workspace.
        within: the paths of the runs and scopes that are listed; None for all there are.

    Attributes:
        home: the workspace.
        store: its store.
        entries: The entries, by key; derived ones are left out.
        leases: keys of the leases that were seen.
        arrivals: keys of the files in which syncs say what they are bringing.
        arriving: the key of the file in which this sync says so; "" between its batches.
        unreadable: folders that could not be listed, and why.
    """

    def __init__(self, home: Session, within: Collection[str] | None = None) -> None:
        self.home = home
        self.within = within
        self.store = home.store
        self.entries: dict[str, Stat] = {}
        self.leases: set[str] = set()
        self.arrivals: set[str] = set()
        self.arriving: str = ""
        self.unreadable: dict[str, str] = {}
        self._linked: dict[str, Store] = {}  # views that follow the links which records name

    def look(self) -> None:
        """List it."""
        if self.within is not None:
            for entry in self.some():
                self._take(entry)
            return
        try:
            for entry in self.store.list():
                self._take(entry)
        except (UnavailableError, CredentialsError):
            raise
        except StoreError:
            for entry in self._folder_by_folder(""):
                self._take(entry)

    def some(self) -> Iterator[Stat]:
        """Yield what lies there now, as far as it is of interest, leases included; whose parts are listed is asked at once."""
        runs = [path for path in self.within or () if layout.is_run(path)]
        scopes = [path for path in self.within or () if not layout.is_run(path)]
        folders = [layout.folder(path) for path in runs]
        folders += [layout.below(path, name) for path in scopes for name in _PARTS]
        folders += (
            [layout.SETTINGS, layout.PROVENANCE, layout.LIVE]
            if self.within is None or "" in self.within
            else [layout.LIVE]
        )
        for listed in self.store.each(lambda folder: list(self.store.list(folder)), folders):
            yield from listed
        for path in scopes:
            yield from self.store.children(layout.folder(path)).entries

    def look_again(self, folder: str) -> dict[str, Stat]:
        """Return what lies in one folder now, by the keys below it."""
        return {entry.key.removeprefix(f"{folder}/"): entry for entry in self.store.list(folder)}

    def hides(self, key: str) -> str | None:
        """Return the folder that could not be listed in which `key` would be; None if there is none."""
        at = key if self.unreadable else ""
        while at and at not in self.unreadable:
            at = at.rpartition("/")[0]
        return at if at in self.unreadable else None

    def follow(self, key: str, view: Store) -> None:
        """Read what is behind the link `key` by `view` from now on."""
        self._linked[key] = view

    def reading(self, key: str) -> Store:
        """Return the store to read one of the entries from: one that follows a link where a record names it."""
        at = key if self._linked else ""
        while at and at not in self._linked:
            at = at.rpartition("/")[0]
        return self._linked.get(at, self.store)

    def _take(self, entry: Stat) -> None:
        if not entry.key.startswith(f"{layout.DERIVED}/"):
            self.entries[entry.key] = entry
        elif entry.key.startswith(f"{layout.LIVE}/"):
            self.leases.add(entry.key)
        elif entry.key.startswith(f"{layout.ARRIVING}/"):
            self.arrivals.add(entry.key)

    def _folder_by_folder(self, prefix: str) -> Iterator[Stat]:
        """Yield the entries of all folders that can be read."""
        try:
            listing = self.store.children(prefix)
        except StoreError as error:
            self.unreadable[prefix] = str(error)
            return
        yield from listing.entries
        for name in listing.folders:
            folder = f"{prefix}/{name}" if prefix else name
            yield from self._folder_by_folder(folder)


def place(key: str) -> tuple[str, str]:
    """Return the path of the entity that `key` lies in, and the rest of the key; a name that is no id names no entity."""
    parts = key.split("/")
    if len(parts) > 6 and parts[4] == "runs" and parts[2] == "experiments" and parts[0] == "projects":
        path = f"{parts[1]}/{parts[3]}/{parts[5]}"
        if _are_ids(path):
            return path, "/".join(parts[6:])
    path = layout.owner_of(key)
    while path and not _are_ids(path):
        path = path.rpartition("/")[0]
    return path, key.removeprefix(f"{layout.folder(path)}/") if path else key


@lru_cache(maxsize=4096)
def _are_ids(path: str) -> bool:
    return all(is_id(part) for part in path.split("/"))
