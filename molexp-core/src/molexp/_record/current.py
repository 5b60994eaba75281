"""Which attempt the code that is running belongs to, for what is made through other doors than its context."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from molexp._record.writer import Writer
    from molexp.contracts import Store

_current: ContextVar[Writer | None] = ContextVar("molexp_attempt", default=None)

enter = _current.set
leave = _current.reset


def current_attempt(store: Store) -> Writer | None:
    """The attempt whose block is being executed, if it is going on, in this process and in the workspace of `store`."""
    attempt = _current.get()
    if attempt is None or attempt.closed or attempt.inert or attempt.store.url != store.url:
        return None
    return attempt
