"""The states of a writer, and how an attempt ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from molexp._values.status import RunStatus

State = Literal["recording", "stopped", "ending", "ended", "inert"]
"""State of a writer.

- ``recording``: events are recorded.
- ``stopped``: nothing is recorded, because of the writer's `stopped_by`: it was asked to stop, or somebody else ended it.
- ``ending``: the end is being written, or is pending because it could not be written.
- ``ended``: there is an end. Should it turn out that it could not be written, this goes back to ``ending``.
- ``inert``: this process was forked from the one that the writer belongs to.
"""


class Ending(NamedTuple):
    """An attempt's end.

    Attributes:
        status: a status that is final.
        reason: the reason, for people.
        cause: the cause, for programs.
        error: the description of the error that it failed with.
    """

    status: RunStatus
    reason: str = ""
    cause: str | None = None
    error: Mapping[str, Any] | None = None
