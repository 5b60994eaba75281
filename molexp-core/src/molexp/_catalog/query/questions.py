"""Users' queries, columns and limits, checked and turned into questions."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from typing import Any

from molexp._catalog.index.cells import STATISTICS
from molexp._catalog.query.answers import ASSET_ROOTS, RUN_ROOTS, Question
from molexp._catalog.query.sql import ASSETS, RUNS
from molexp._query.evaluation import ABSENT, reach
from molexp._query.expressions import ALIASES, Condition, Expression, Field, fields_of, renamed
from molexp._values.canonical import canonical_equal
from molexp._values.ids import nearest
from molexp._values.status import RunStatus
from molexp.errors import QueryError


def parse_query(where: str, roots: Collection[str]) -> Expression:
    """Parse a query, whose fields begin with one of `roots`.

    Raises:
        QueryError: it cannot be understood.
    """
    from molexp._query.parser import parse

    if not isinstance(where, str):
        raise TypeError(f"A query is text, not {type(where).__name__}.")
    found = parse(where, frozenset(roots))
    plain = RUNS.columns if "params" in roots else ASSETS.columns
    for field in fields_of(found):
        root = field.parts[0]
        if len(field.parts) > 1 and root in plain:
            raise QueryError(where, max(where.find(root), 0), f"nothing is in the column {root!r}", nearest=(root,))
    return found


def parse_run_query(where: str) -> Expression:
    """Parse a query about runs.

    Raises:
        QueryError: it cannot be understood.
    """
    return renamed(parse_query(where, RUN_ROOTS), statistic)


def statistic(field: Field) -> Field:
    """Return a field; for a metric that is named without one of its statistics, its last value."""
    if field.parts[0] != "metrics" or len(field.parts) == 1 or (len(field.parts) > 2 and field.parts[-1] in STATISTICS):
        return field
    return Field((*field.parts, "last"))


def sort_field(name: str) -> Field:
    """Return the field of runs that a column's name stands for; parts of it may be in quotes, as in queries.

    Raises:
        ValueError: there is no such column; names the nearest.
    """
    if '"' in name or "'" in name:
        from molexp._query.parser import parse_field

        parts = parse_field(name).parts
    else:
        parts = tuple(name.split("."))
    root, *below = parts
    root = ALIASES.get(root, root)
    if root not in RUN_ROOTS:
        close = nearest(root, RUN_ROOTS)
        hint = f" Did you mean {'.'.join((close[0], *below))!r}?" if close else ""
        raise ValueError(f"There is no column {name!r}.{hint} There are: {', '.join(sorted(RUN_ROOTS))}.")
    if below and root in RUNS.columns:
        raise ValueError(f"There is no column {name!r}: nothing is in {root!r}. Did you mean {root!r}?")
    if not below and root in _MAPPINGS:
        raise ValueError(f"{name!r} is no column, but several. Name one, such as '{root}.{_MAPPINGS[root]}'.")
    return statistic(Field((root, *below)))


_MAPPINGS = {
    "params": "lr",
    "results": "loss",
    "metrics": "loss",
    "config": "cutoff",
    "provenance": "python",
    "workflow": "workflow_id",
}
"""Roots that stand for several columns, with an example."""


def of_kinds(expression: Expression, own: Iterable[str]) -> Expression:
    """Return a query with the fields of kinds where records have them."""
    names = frozenset(own) - frozenset(ASSET_ROOTS)
    return renamed(expression, lambda field: Field(("fields", *field.parts)) if field.parts[0] in names else field)


def ask_for_parameter(question: Question, name: str, value: Any) -> None:
    """Ask for runs with a parameter of this value, whatever it is."""
    if isinstance(value, str | int | float) and value == value:  # noqa: PLR0124 - NaN
        question.where.append(Condition(Field(("params", *name.split("."))), "==", value))
    else:
        question.checks.append(partial(_has_parameter, name=name, wanted=value))


def _has_parameter(document: Mapping[str, Any], *, name: str, wanted: Any) -> bool:
    found = document.get("parameters")
    whole = found.get(name, ABSENT) if isinstance(found, dict) else ABSENT
    if whole is ABSENT:
        whole = reach({"params": found}, ("params", name))
    return whole is not ABSENT and canonical_equal(whole, wanted)


def checked_limit(limit: int | None) -> int | None:
    """Return a limit, checked.

    Raises:
        TypeError, ValueError: it is not.
    """
    if limit is None:
        return None
    if isinstance(limit, bool) or not isinstance(limit, int):
        raise TypeError(f"A limit is a whole number, not {limit!r}.")
    if limit < 0:
        raise ValueError(f"limit={limit} is below 0.")
    return min(limit, sys.maxsize)


def checked_status(word: str) -> str:
    """Return a status, checked.

    Raises:
        ValueError: there is not; names the nearest.
    """
    try:
        return str(RunStatus(word))
    except ValueError:
        close = nearest(str(word), [str(status) for status in RunStatus])
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"Unknown status {word!r}. Choose from {', '.join(RunStatus)}.{hint}") from None
