"""The two sides of a sync: what lies there, by one listing, sorted by the entity that it belongs to."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from molexp._storage import layout
from molexp._storage.listing import all_entries
from molexp._storage.progress import NOTHING
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
        try:
            self._take(self.store.list() if self.within is None else self.some())
        except (UnavailableError, CredentialsError):
            raise
        except StoreError:
            if self.within is not None:
                raise
            self._take(all_entries(self.store, self.unreadable))

    def _take(self, found: Iterator[Stat]) -> None:
        for entry in found:
            if not entry.key.startswith(f"{layout.DERIVED}/"):
                self.entries[entry.key] = entry
            elif entry.key.startswith(f"{layout.LIVE}/"):
                self.leases.add(entry.key)
            elif entry.key.startswith(f"{layout.ARRIVING}/"):
                self.arrivals.add(entry.key)

    def some(self) -> Iterator[Stat]:
        """Yield what lies there now, as far as it is of interest, leases included; whose parts are listed is asked at once."""
        within = self.within or ()
        scopes = [path for path in within if not layout.is_run(path)]
        folders = [layout.LIVE, *(layout.folder(path) for path in within if layout.is_run(path))]
        folders += [layout.below(path, name) for path in scopes for name in _PARTS]
        folders += [layout.SETTINGS, layout.PROVENANCE, layout.SUBMISSIONS] if "" in within else []
        for listed in self.store.each(lambda folder: list(self.store.list(folder)), folders):
            yield from listed
        for path in scopes:
            yield from self.store.children(layout.folder(path)).entries

    def look_again(self, folder: str) -> dict[str, Stat]:
        """Return what lies in one folder now, by the keys below it."""
        return {entry.key.removeprefix(f"{folder}/"): entry for entry in self.store.list(folder)}

    def version(self, key: str) -> str:
        """Return the version of a file as it was listed; `NOTHING` if it was not there."""
        found = self.entries.get(key)
        return NOTHING if found is None else found.version

    def hides(self, key: str) -> str | None:
        """Return the folder that could not be listed in which `key` would be; None if there is none."""
        return next((at for at in _above(key) if at in self.unreadable), None) if self.unreadable else None

    def follow(self, key: str, view: Store) -> None:
        """Read what is behind the link `key` by `view` from now on."""
        self._linked[key] = view

    def reading(self, key: str) -> Store:
        """Return the store to read one of the entries from: one that follows a link where a record names it."""
        return (
            next((self._linked[at] for at in _above(key) if at in self._linked), self.store)
            if self._linked
            else self.store
        )


def _above(key: str) -> Iterator[str]:
    """Yield a key and all folders above it, the workspace's last."""
    while key:
        yield key
        key = key.rpartition("/")[0]
    yield ""
