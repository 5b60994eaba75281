"""List the keys of a store although some of its folders cannot be read."""

from __future__ import annotations

from collections.abc import Iterator

from molexp.contracts import Stat, Store
from molexp.errors import StoreError


def all_entries(store: Store, unreadable: dict[str, str]) -> Iterator[Stat]:
    """Yield all keys, folder by folder; fill `unreadable` with the folders that cannot be read."""
    waiting = [""]
    while waiting:
        at = waiting.pop()
        try:
            listing = store.children(at)
        except StoreError as error:
            unreadable[at] = str(error)
            continue
        yield from listing.entries
        waiting += [f"{at}/{name}" if at else name for name in listing.folders]
