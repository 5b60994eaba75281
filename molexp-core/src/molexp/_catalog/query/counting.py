"""Counting the runs of an answer, in the index alone: no document is read."""

from __future__ import annotations

from collections import Counter
from typing import Any

from molexp._catalog.index.index import Index
from molexp._catalog.query.answers import Asking, Question
from molexp._catalog.query.standing import count_runs, status_of


def count_statuses(index: Index, asking: Asking, question: Question) -> dict[str, int] | None:
    """Return how many runs of each status there are; None if only reading them all tells."""
    if len(question.where) == question.hides and not (question.conditions or question.checks):  # all runs
        every = Counter[str]()
        with index.reading():
            for _, status, archived, runs in count_runs(index):
                every[status] += runs if not (archived and question.hides) else 0
        return {status: runs for status, runs in sorted(every.items()) if runs}
    found = _counted(index, asking, question, status_of(index), "1")
    return None if found is None else dict(found)


def count_days(index: Index, asking: Asking, question: Question) -> dict[str, dict[str, int]] | None:
    """Return how many runs of each status were created on each day, in UTC; None if only reading them all tells."""
    day = "coalesce(substr(e.created_at, 1, 10), '')"
    found = _counted(index, asking, question, f"{day}, {status_of(index)}", "1, 2")
    days: dict[str, dict[str, int]] = {}
    for name, status, count in found or ():
        days.setdefault(name, {})[status] = count
    return None if found is None else days


def _counted(index: Index, asking: Asking, question: Question, columns: str, groups: str) -> list[Any] | None:
    with index.reading():
        plan = asking.plan(question)
        # A run in thousands is not shown: to read all of them costs a tenth of looking each up in the order of an index.
        tables = "entities e NOT INDEXED WHERE e.shown = 1"
        sql = f"SELECT {columns}, count(*) FROM {tables}{plan.where} GROUP BY {groups}"  # noqa: S608 - compiled
        return None if plan.checks else index.select(sql, plan.bound)
