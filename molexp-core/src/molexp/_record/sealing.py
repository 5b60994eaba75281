"""Sealing a journal that grows: it gets another name."""

from __future__ import annotations

from molexp._record.incomplete import is_claim
from molexp._storage import layout
from molexp._values.times import new_token
from molexp.contracts import Store
from molexp.errors import KeyExistsError, KeyNotFoundError


def seal_file(store: Store, key: str) -> bool:
    """Rename a journal, so that nothing is appended to it any more; returns whether it is sealed now.

    Where there are no hard links, whoever was killed on the way has left the new name without content: it is moved aside.
    Moved rather than deleted, because it may be filled at this very moment.
    """
    sealed = f"{layout.SEALED}/{key.rpartition('/')[2]}"
    aside = f"{layout.MENDED}/{new_token()}"
    try:
        try:
            store.rename(key, sealed)
        except KeyExistsError:
            if not is_claim(store, sealed):
                return False
            store.rename(sealed, aside)
            if is_claim(store, aside):
                store.rename(key, sealed)
            else:
                store.write(sealed, store.read(aside))
            store.delete(aside)
    except KeyNotFoundError:
        return True  # somebody else was first
    except KeyExistsError:
        return False
    return True
