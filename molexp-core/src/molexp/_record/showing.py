"""Let ``run.json`` show people an end that was written in the place of a dead owner."""

from __future__ import annotations

from contextlib import suppress

from molexp._record.ends import show_run
from molexp._record.leases import Observer
from molexp._record.reading import read_run
from molexp._storage import layout
from molexp._values.times import boot_clock
from molexp.errors import MolexpError


def show_ended(observer: Observer, path: str) -> None:
    """Write the ``run.json`` of a run after this process has ended its newest attempt, as whoever ends one does.

    Args:
        observer: the one that ended it.
        path: the run's path.
    """
    began = boot_clock()
    with suppress(MolexpError):  # it is for people; the end tells
        state = read_run(observer.store, path, None)
        has_end = bool(state.attempts) and state.attempts[-1].ended
        if has_end and not state.edits.deleted and layout.document(path) not in state.problems:
            show_run(observer.store, path, state, began)
