"""The place of a problem in a nested value, collected while the stack unwinds, so that good values pay nothing."""

from __future__ import annotations

from molexp.errors import SerializationError

__all__ = ["MAX_DEPTH", "Unfit", "nests_deeper", "too_deep"]

MAX_DEPTH = 200
"""Containers may be nested this deep; beyond it a value is taken to contain itself."""

_SHOWN_STEPS = 12


class Unfit(Exception):  # noqa: N818 - never leaves this package: it becomes a SerializationError at the entrance
    """Something that JSON cannot carry, on its way up to whoever knows what the whole value is called.

    Attributes:
        value: the value.
        type_name: the type of it.
        reason: the problem, and the remedy.
        steps: the keys and indices that lead there, innermost first.
    """

    def __init__(self, value: object, reason: str) -> None:
        super().__init__(reason)
        self.value = value
        self.type_name = type(value).__name__
        self.reason = reason
        self.steps: list[str | int] = []

    def error(self, where: str) -> SerializationError:
        """Return the error for the caller, with its path under ``where``."""
        steps = self.steps[::-1]
        if len(steps) > _SHOWN_STEPS:
            path = where + "".join(map(_step, steps[: _SHOWN_STEPS // 2])) + "..."
        else:
            path = where + "".join(map(_step, steps))
        return SerializationError(path if where else path.removeprefix("."), self.type_name, self.reason)


def too_deep(value: object) -> Unfit:
    """Return the problem of a value that is nested deeper than `MAX_DEPTH`."""
    return Unfit(value, f"it is nested more than {MAX_DEPTH} levels deep, or contains itself; flatten it")


def nests_deeper(value: object, levels: int) -> bool:
    """Return whether a plain value has more than so many levels of containers, however many there are."""
    level = [value] if type(value) is dict or type(value) is list else []
    for _ in range(levels):
        members = (one.values() if type(one) is dict else one for one in level)
        level = [member for one in members for member in one if type(member) is dict or type(member) is list]
        if not level:
            return False
    return bool(level)


def _step(step: str | int) -> str:
    if isinstance(step, str) and step.isidentifier():
        return f".{step}"
    return f"[{step!r}]"
