"""The recorder of the code that is running, for what reaches an asset without its context."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from molexp._recording.writer import Recorder
    from molexp.contracts import Store

_current: ContextVar[Recorder | None] = ContextVar("molexp_scope", default=None)

enter = _current.set
leave = _current.reset


def current_recorder(store: Store) -> Recorder | None:
    """Return who records for the block or task that is being executed.

    None if its attempt does not go on, or not in this process, or not in the workspace of `store`.
    """
    recorder = _current.get()
    if recorder is None or recorder.writer.closed or recorder.writer.store.url != store.url:
        return None
    return recorder
