"""Interruptions that come just as a `with` statement is left, before its context is told."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import ref

from molexp._recording.signals.handlers import Terminated
from molexp._values.process_id import HERE
from molexp.errors import RunCancelledError

if TYPE_CHECKING:
    from molexp._recording.writer import Writer

F = TypeVar("F", bound=Callable[..., Any])


class Leavable:
    """A context whose attempt ends also if its ``__exit__``, which is `noticed`, is interrupted before it has ended that.

    A signal that comes during the last statement of a block, if that is C code, is raised as ``__exit__`` is called, before
    its first line. But the `with` statement alone holds what it calls, and lets go of that when it is over, however that
    came about: a weak reference tells.
    """

    _attempt: Writer
    _left_by: BaseException | None = None  # once `__exit__` has been told
    _way_out: ref[Callable[..., None]] | None = None  # the newest one that was given out
    _watched: ref[Callable[..., None]] | None = None  # the one that a `with` statement holds

    def _watch(self) -> None:
        """Watch the `with` statement that is calling ``__enter__``, if one is: it has asked for the way out by now."""
        if self._way_out is not None and (way_out := self._way_out()) is not None:
            self._watched = ref(way_out, self._let_go)

    def _let_go(self, _way_out: ref[Callable[..., None]]) -> None:
        """End the attempt, unless it has ended or its end is pending: the statement is over."""
        error, self._left_by, self._watched = self._left_by, None, None
        if not self._attempt.closed and self._attempt.state != "ending":
            number = HERE.asked_by
            with suppress(RunCancelledError):  # another error is on its way
                self.__exit__(None, error or (Terminated(number) if number else KeyboardInterrupt()), None)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        raise NotImplementedError


class _Noticed:
    """An ``__exit__`` of which everybody who asks for it gets another object.

    A bound method would not do: Python takes it apart to call it.
    """

    def __init__(self, function: Callable[..., None]) -> None:
        self.__wrapped__ = function

    def __get__(self, context: Leavable | None, _owner: Any = None) -> Callable[..., None]:
        if context is None:
            return self.__wrapped__
        way_out = partial(self.__wrapped__, context)
        context._way_out = ref(way_out)
        return way_out


if TYPE_CHECKING:

    def noticed(function: F) -> F:
        """Return an ``__exit__`` as type checkers know it."""
else:
    noticed = _Noticed
