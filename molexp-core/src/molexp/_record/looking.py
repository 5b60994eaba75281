"""Look at runs where a request may be slow: what is asked for next is fetched at once then."""

from __future__ import annotations

from molexp._storage import layout
from molexp._values.loaded import loaded_types
from molexp.contracts import Store


def look_at(store: Store, path: str) -> Store:
    """Return the store, with what a look at a run, or at all runs of an experiment, asks for at hand where asking is slow.

    Most runs are listed by one request, and those of an experiment by as few as their keys take.
    """
    if not store.slow:
        return store
    from molexp._record.prefetch import ReadAhead

    ahead = ReadAhead(store)
    (ahead.list_run if layout.is_run(path) else ahead.list_runs)(path)
    return ahead


def as_it_is(store: Store) -> Store:
    """Return the store without what was fetched a while ago."""
    is_ahead = store.slow and type(store) in loaded_types("molexp._record.prefetch", "ReadAhead")  # it is asked often
    found: Store = vars(store)["_store"] if is_ahead else store
    return found
