"""An attempt whose start is interrupted: nobody gets to know of it who could end it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from molexp._record.causes import Ending
from molexp._running.endings import judge
from molexp._values.status import RunStatus
from molexp.errors import MolexpError

if TYPE_CHECKING:
    from molexp._recording.session import RecordingSession


def give_up(session: RecordingSession, path: str, claim: Mapping[str, Any], problem: BaseException) -> None:
    """End an attempt of this process, if its claim is there, and remember that it is over: the claim may get there later."""
    process, token = session.process, claim["token"]
    if isinstance(problem, MolexpError):
        how = Ending(RunStatus.INTERRUPTED, f"it could not be started: {problem}"[:1024])
    else:
        how = judge(problem, path)
    process.given_up[token] = how
    with suppress(MolexpError):
        for own in process.heart.attempts():
            if own.token == token:
                own.end(how)
                return
        if isinstance(problem, MolexpError):
            return  # the store is out of order
        from molexp._record.reading import read_run

        read_run(session.store, path, session.observer)
