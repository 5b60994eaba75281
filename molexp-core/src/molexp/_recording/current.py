"""Which attempt, or task of it, the code that is running belongs to, for what is done through other doors than its context."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from molexp._recording.writer import Recording
    from molexp.contracts import Store

_current: ContextVar[Recording | None] = ContextVar("molexp_attempt", default=None)

enter = _current.set
leave = _current.reset


def current_attempt(store: Store) -> Recording | None:
    """Return who records for the block or task that is being executed.

    None if its attempt does not go on, or not in this process, or not in the workspace of `store`.
    """
    attempt = _current.get()
    if attempt is None or attempt.closed or attempt.store.url != store.url:
        return None
    return attempt
