"""Answers of any length, a page at a time."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import filterfalse
from typing import Any

from msgspec.structs import replace

from molexp._catalog.index.index import Index
from molexp._catalog.query.answers import Asking, Plan, Question, Row
from molexp._catalog.query.sql import status_of
from molexp._catalog.query.totals import count_runs

_AT_ONCE = 500  # rows of a page
_TRIES = 5


def in_pages(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Yield rows that are there already in pages."""
    for start in range(0, len(rows), _AT_ONCE):
        yield rows[start : start + _AT_ONCE]


class Pager:
    """Reads the rows of an answer in the memory of one page.

    Of those after the first page, only the numbers are kept. What changed by its turn is shown as it is then, and left out if
    it does not belong to the answer any more.

    Args:
        index: the index.
        question: the question; SQL must be able to sort it.
        ask: brings the index up to date, and returns who answers by it.
    """

    def __init__(self, index: Index, question: Question, ask: Callable[[], Asking]) -> None:
        self._index = index
        self._question = question
        self._ask = ask
        self._passed = 0  # rows that were on earlier pages
        self._begin(_AT_ONCE)

    @property
    def sorts(self) -> bool:
        """True if SQL can sort the answer."""
        return self._plan.sorts

    @property
    def is_empty(self) -> bool:
        """True if SQL finds no row."""
        return not self._numbers

    def statuses(self) -> dict[str, int] | None:
        """Return how many rows of each status there are; None if only reading them all tells."""
        question = self._question
        if len(question.where) == question.hides and not question.checks:  # all runs
            every = Counter[str]()
            with self._index.reading():
                for _, status, archived, runs in count_runs(self._index):
                    every[status] += runs if not (archived and question.hides) else 0
            return {status: runs for status, runs in sorted(every.items()) if runs}
        found = self._counted(status_of(self._index), "1")
        return None if found is None else dict(found)

    def days(self) -> dict[str, dict[str, int]] | None:
        """Return how many rows of each status were created on each day, in UTC; None if only reading them all tells."""
        day = "coalesce(substr(e.created_at, 1, 10), '')"
        found = self._counted(f"{day}, {status_of(self._index)}", "1, 2")
        days: dict[str, dict[str, int]] = {}
        for name, status, count in found or ():
            days.setdefault(name, {})[status] = count
        return None if found is None else days

    def _counted(self, columns: str, groups: str) -> list[Any] | None:
        """Count rows in the index alone: no document is read."""
        with self._index.reading():
            plan = self._asking.plan(self._question)
            # A run in thousands is not shown: to read all of them costs a tenth of looking each up in the order of an index.
            tables = "entities e NOT INDEXED WHERE e.shown = 1"
            sql = f"SELECT {columns}, count(*) FROM {tables}{plan.where} GROUP BY {groups}"  # noqa: S608 - compiled
            return None if plan.checks else self._index.select(sql, plan.bound)

    def page(self) -> list[Row]:
        """Return the next rows; none at the end."""
        tries = _TRIES
        while self._position < len(self._numbers) or not self._is_whole:
            with self._index.reading():
                is_current = self._index.generation == self._asking.generation
                rows = self._read() if is_current else []
            if not is_current:  # another process has begun the index anew: the rows have other numbers
                self._begin(None)
                continue
            paths = {path for path, _ in rows}
            there = self._asking.is_there(paths)
            tries -= 1
            if tries and there < paths:  # some were looked at again: the index knows better now
                continue
            self._position += _AT_ONCE
            self._passed += _AT_ONCE
            tries = _TRIES
            if found := [row for row in rows if row[0] in there]:
                return found
        return []

    def _begin(self, limit: int | None) -> None:
        for _ in range(_TRIES):
            self._asking = self._ask()
            with self._index.reading():
                self._find(limit)
                if self._index.generation == self._asking.generation:
                    break
        self._position = self._passed

    def _find(self, limit: int | None) -> None:
        self._plan: Plan = self._asking.plan(self._question)
        self._numbers: array[int] = self._asking.numbers(self._plan, replace(self._question, limit=limit))
        self._is_whole = limit is None or bool(self._plan.checks) or len(self._numbers) < limit
        self._news = self._index.news

    def _read(self) -> list[Row]:
        """Return the rows of the page, of one state of the index with what decides that they belong to the answer."""
        if not self._is_whole and self._position:  # the first page was found by itself
            first = set(self._numbers)
            self._find(None)
            self._numbers, self._position = array("q", filterfalse(first.__contains__, self._numbers)), 0
        elif self._index.news != self._news:
            left, was_whole = self._numbers[self._position :], self._is_whole
            self._find(None if was_whole else _AT_ONCE)
            if was_whole:
                still = set(self._numbers)
                self._numbers, self._position = array("q", filter(still.__contains__, left)), 0
        return self._asking.page(self._numbers[self._position : self._position + _AT_ONCE], self._plan.checks)
