"""Answers of any length, a page at a time."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence

from molexp._catalog.index.index import Index
from molexp._catalog.query.answers import Asking, Plan, Question, Row

_AT_ONCE = 500  # rows of a page
_TRIES = 5


def in_pages(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Yield rows that are there already in pages."""
    for start in range(0, len(rows), _AT_ONCE):
        yield rows[start : start + _AT_ONCE]


class Pager:
    """Reads the rows of an answer in the memory of one page.

    Only their numbers are kept from the beginning. What changed by its turn is shown as it is then, and left out if it does
    not belong to the answer any more.

    Args:
        index: the index.
        question: the question; SQL must be able to sort it.
        ask: brings the index up to date, and returns who answers by it.
        is_there: asked which of some paths are there, before they are returned.
    """

    def __init__(
        self,
        index: Index,
        question: Question,
        ask: Callable[[], Asking],
        is_there: Callable[[Sequence[str]], set[str]],
    ) -> None:
        self._index = index
        self._question = question
        self._ask = ask
        self._is_there = is_there
        self._passed = 0  # rows that were on earlier pages
        self._begin()

    @property
    def sorts(self) -> bool:
        """True if SQL can sort the answer."""
        return self._plan.sorts

    @property
    def total(self) -> int | None:
        """The number of rows; None if only reading them all tells."""
        return None if self._plan.checks else len(self._numbers)

    def page(self) -> list[Row]:
        """Return the next rows; none at the end."""
        tries = _TRIES
        while self._position < len(self._numbers):
            with self._index.reading():
                is_current = self._index.generation == self._asking.generation
                rows = self._read() if is_current else []
            if not is_current:  # another process has begun the index anew: the rows have other numbers
                self._begin()
                continue
            there = self._is_there([path for path, _ in rows])
            tries -= 1
            if tries and len(there) < len(rows):  # some were looked at again: the index knows better now
                continue
            self._position += _AT_ONCE
            self._passed += _AT_ONCE
            tries = _TRIES
            if found := [row for row in rows if row[0] in there]:
                return found
        return []

    def _begin(self) -> None:
        for _ in range(_TRIES):
            self._asking = self._ask()
            with self._index.reading():
                self._find()
                if self._index.generation == self._asking.generation:
                    break
        self._position = self._passed

    def _find(self) -> None:
        self._plan: Plan = self._asking.plan(self._question)
        self._numbers: array[int] = self._asking.numbers(self._plan, self._question)
        self._news = self._index.news

    def _read(self) -> list[Row]:
        """Return the rows of the page, of one state of the index with what decides that they belong to the answer."""
        if self._index.news != self._news:
            left, self._position = self._numbers[self._position :], 0
            self._find()
            still = set(self._numbers)
            self._numbers = array("q", filter(still.__contains__, left))
        return self._asking.page(self._numbers[self._position : self._position + _AT_ONCE], self._plan)
