"""The root of the tree, and what is not there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def _restore(cls: type[MolexpError], args: tuple[Any, ...], facts: dict[str, Any]) -> MolexpError:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(facts)
    return error


class MolexpError(Exception):
    """The root of the tree; catch it to catch whatever MolExp raises on purpose.

    Attributes:
        hint: the end of the message, if that says what to do next.

    Example:
        >>> try:
        ...     ws.run("metals/cu/missing")
        ... except me.MolexpError as error:  # any error of MolExp
        ...     print(type(error).__name__)
        NotFoundError
    """

    hint: str = ""

    def __init__(self, message: str) -> None:
        super().__init__(message)

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""  # KeyError and friends would quote it

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.args, {k: v for k, v in self.__dict__.items() if k != "__notes__"})


def nearest_names(names: Sequence[str]) -> str:
    """Return a question for the end of a message; "" if there are no names."""
    return f" Did you mean {' or '.join(repr(n) for n in names)}?" if names else ""


class NotFoundError(MolexpError, KeyError):
    """Something that was asked for by name is not there.

    Attributes:
        what: the sort of thing ("run", "experiment", "asset", ...).
        name: the name that was asked for.
        where: the place that was searched.
        nearest: names that exist and look similar, best first.

    Example:
        >>> try:
        ...     ws.project("metal")
        ... except me.NotFoundError as error:
        ...     print(error.nearest)
        ('metals',)
    """

    def __init__(self, what: str, name: str, *, where: str = "", nearest: Iterable[str] = (), hint: str = "") -> None:
        self.what = what
        self.name = name
        self.where = where
        self.nearest: tuple[str, ...] = tuple(nearest)
        place = f" in {where}" if where else ""
        self.hint = f"{nearest_names(self.nearest)} {hint}".strip()
        super().__init__(f"There is no {what} {name!r}{place}. {self.hint}".rstrip())


def signal_name(exit_code: int | None) -> str:
    """Name of the signal that a negative exit code stands for; "" for any other."""
    if exit_code is None or exit_code >= 0:
        return ""
    import signal

    try:
        return signal.Signals(-exit_code).name
    except ValueError:
        return f"signal {-exit_code}"
