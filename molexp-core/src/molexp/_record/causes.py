"""The end of an attempt and its cause: told by what ended it, or from the record of one that names none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from molexp._values.loaded import loaded_types
from molexp._values.status import Cause, RunStatus
from molexp.errors import CommandError, RunSupersededError, WorkerDiedError

LEFT = "its process ended without finishing it"
"""The reason of an attempt that its process left behind."""

REQUEUED = "was requeued (restart"
"""In the reason of an attempt whose job was started again."""

_BY_NAME = {"MemoryError": Cause.OUT_OF_MEMORY, "OutOfMemoryError": Cause.OUT_OF_MEMORY}  # the latter is PyTorch's
_BY_NAME["TaskTimeoutError"] = Cause.TIMEOUT
ENDED_BADLY = (*map(str, (RunStatus.CANCELLED, RunStatus.FAILED, RunStatus.INTERRUPTED)),)  # no other end has a cause


class Ending(Struct, frozen=True):
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


def is_cancellation(error: BaseException) -> bool:
    """Tell whether an event loop ends its task by this, asyncio's or trio's."""
    of_loops = (*loaded_types("asyncio", "CancelledError"), *loaded_types("trio", "Cancelled"))
    return isinstance(error, (GeneratorExit, *of_loops))


def leaves_of(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors that a group consists of; of any other error, itself."""
    waiting = [error]
    while waiting:  # groups may be nested deeper than calls can be
        one = waiting.pop()
        if isinstance(one, BaseExceptionGroup):
            waiting += reversed(one.exceptions)
        else:
            yield one


def cause_of_error(error: BaseException) -> Cause:
    """Return the cause of a failure by this error; of several in a group, what they have in common."""
    causes = {_cause_of_one(one) for one in leaves_of(error)}
    return causes.pop() if len(causes) == 1 else Cause.EXCEPTION


def _cause_of_one(error: BaseException) -> Cause:
    if isinstance(error, MemoryError):
        return Cause.OUT_OF_MEMORY
    if isinstance(error, RunSupersededError):
        return Cause.SUPERSEDED
    if isinstance(error, CommandError):
        return cause_of_exit(error.exit_code)
    if isinstance(error, WorkerDiedError) and error.signal:
        return Cause.OUT_OF_MEMORY if error.out_of_memory else Cause.SIGNAL
    return _BY_NAME.get(type(error).__name__, Cause.EXCEPTION)


def cause_of_exit(code: int | None) -> Cause:
    """Return the cause of a command's failure by its exit code: negative is the signal that killed it, None that time ran out."""
    if code is None:
        return Cause.TIMEOUT
    return Cause.SIGNAL if code < 0 else Cause.EXCEPTION


def cause_of(said: Mapping[str, Any]) -> str | None:
    """Return the cause that an end names, or the entry in ``execution_history``; what can be told of one that names none."""
    if isinstance(known := said.get("cause"), str) and known:
        return known
    told = _told(said)
    return str(told) if told is not None else None


def _told(said: Mapping[str, Any]) -> Cause | None:
    status, reason, error = said.get("status"), str(said.get("reason") or ""), said.get("error")
    if status == RunStatus.CANCELLED:
        return Cause.CANCEL
    if status == RunStatus.FAILED and isinstance(error, Mapping):
        return _BY_NAME.get(str(error.get("type")).rpartition(".")[2], Cause.EXCEPTION)
    if status == RunStatus.INTERRUPTED and (said.get("ended_by") or reason == LEFT):
        return Cause.SUPERSEDED if REQUEUED in reason else Cause.OWNER_DIED
    if status == RunStatus.INTERRUPTED and reason.startswith("received SIG"):
        return Cause.SIGNAL
    return None
