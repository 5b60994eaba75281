"""Answers from an index that turns out to be damaged are answered again, from a new one."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Protocol, TypeVar

from molexp._catalog.index.database import BUSY, is_busy
from molexp.errors import CorruptRecordError, MolexpError

if TYPE_CHECKING:
    from molexp._catalog.index.index import Index
    from molexp._hierarchy.session import Session


class Answering(Protocol):
    """An object that answers from the index of its session."""

    _session: Session

    def _read_all(self, index: Index) -> dict[str, int]:
        """Read all files into an index."""


P = ParamSpec("P")
T = TypeVar("T")
C = TypeVar("C", bound=Answering)

_EITHER = (
    *(sqlite3.DataError, sqlite3.IntegrityError, sqlite3.NotSupportedError, sqlite3.ProgrammingError),
    *(ArithmeticError, AttributeError, LookupError, TypeError, ValueError),
)
"""Errors that come from a fault of ours or of the caller, or from a damaged index: the index is checked."""


def _kept(location: str) -> MolexpError:
    return MolexpError(
        f"The index {location!r} is kept locked by another process for more than {BUSY:g} s: one that was stopped, or a "
        "program that looks into it. End that, or let MOLEXP_CACHE_DIR name another folder."
    )


def from_a_sound_index(answer: Callable[Concatenate[C, P], T]) -> Callable[Concatenate[C, P], T]:
    """Answer again from a new index if the one at hand turns out to be damaged, or gone."""

    @wraps(answer)
    def answer_again(self: C, /, *args: P.args, **kwargs: P.kwargs) -> T:
        # The first time a file was damaged; the second time a folder cannot hold one, or a snapshot is no better.
        for again in (False, True):
            try:
                return answer(self, *args, **kwargs)
            except (sqlite3.DatabaseError, CorruptRecordError, *_EITHER) as error:
                if isinstance(error, sqlite3.Error) and is_busy(error):
                    raise _kept(self._session.index.location) from error
                if isinstance(error, _EITHER) and (isinstance(error, MolexpError) or not self._session.index.damage()):
                    raise
                self._session.index.discard()
                if again and self._session.workspace.exists():
                    self._session.index.anew(self._read_all)
        return answer(self, *args, **kwargs)

    return answer_again
