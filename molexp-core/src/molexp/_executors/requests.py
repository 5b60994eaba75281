"""Calls as bytes, and errors for those that cannot be pickled: they name the part and tell what to do."""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from typing import Any

from molexp.contracts import Call, Outcome
from molexp.errors import NotPicklableError

_TOP_LEVEL = "Define it at the top level of a module."


def pickled_call(call: Call, name: str) -> bytes:
    """Return the bytes from which a worker makes the call.

    Raises:
        NotPicklableError: with the part that cannot be pickled.
    """
    try:
        return _dumped((call.function, call.args, dict(call.kwargs)))
    except Exception as error:
        raise _explained(call, name, error) from error


def unloadable(name: str, reason: str) -> NotPicklableError:
    """Return the error of a call that its worker could not load."""
    return NotPicklableError(
        name,
        what="The function or an argument",
        reason=f"a worker could not load it ({reason.rstrip('.')})",
        hint="Workers import what they need: define functions and classes at the top level of a module or script, not "
        "in an interactive session, a notebook, or below a guard.",
    )


def unreadable_reply(name: str, error: Exception) -> NotPicklableError:
    """Return the error of a reply that could not be loaded here."""
    return NotPicklableError(
        name,
        what="The result",
        reason=f"it could not be loaded here ({type(error).__name__}: {error})",
        hint="Return plain data, or save it and return its name.",
    )


def outcome_of(reply: bytes, name: str) -> tuple[Outcome, float]:
    """Return the outcome of a call, and the seconds that it took, if it returned."""
    try:
        kind, content, trace, took = pickle.loads(reply)  # noqa: S301 - from our worker
    except Exception as error:  # noqa: BLE001 - unpickling runs foreign code
        return Outcome(error=unreadable_reply(name, error)), 0.0
    if kind == "value":
        return Outcome(value=content), took
    raised: BaseException = unloadable(name, content) if kind == "unloadable" else content
    if trace:
        from molexp._executors.worker import RemoteTraceback

        raised.__cause__ = RemoteTraceback(trace)
    return Outcome(error=raised), 0.0


def _explained(call: Call, name: str, error: Exception) -> NotPicklableError:
    for what, part in _parts(call):
        try:
            _dumped(part)
        except Exception as own:  # noqa: BLE001 - pickling runs foreign code
            reason, hint = _reason(part, own)
            return NotPicklableError(name, what=what, reason=reason, hint=hint)
    reason, hint = _reason(None, error)
    return NotPicklableError(name, what="Something", reason=reason, hint=hint)


def _parts(call: Call) -> Iterator[tuple[str, Any]]:
    shown = getattr(call.function, "__qualname__", "") or f"of type {type(call.function).__qualname__}"
    yield f"The function {shown}", call.function
    for place, value in enumerate(call.args, 1):
        yield f"Argument {place}, of type {type(value).__qualname__},", value
    for key, value in call.kwargs.items():
        yield f"The argument {key!r}, of type {type(value).__qualname__},", value


def _reason(part: Any, error: Exception) -> tuple[str, str]:
    reason = f"{error}".strip().rstrip(".") or type(error).__name__
    own = str(getattr(part, "__qualname__", ""))
    if own.endswith("<lambda>"):
        return "it is a lambda, which has no name to find it by", _TOP_LEVEL
    if "<locals>" in own:
        return "it is defined inside another function", _TOP_LEVEL
    if "<lambda>" in reason or "<locals>" in reason:
        return reason, _TOP_LEVEL
    if isinstance(part, io.IOBase) or "'_io." in reason:
        return reason, "Pass the file's path, and open it in the function."
    if isinstance(error, pickle.PicklingError) and "not the same object" in reason:
        return reason, "Give the function that a decorator returns another name than the function that it decorates."
    return reason, "Pass plain data, from which the function can make the object."


def _dumped(thing: Any) -> bytes:
    return pickle.dumps(thing, pickle.HIGHEST_PROTOCOL)
