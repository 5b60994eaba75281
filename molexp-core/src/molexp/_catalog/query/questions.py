"""Users' queries, columns and limits, checked and turned into questions."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from operator import attrgetter
from typing import Any, Protocol, TypedDict

from molexp._catalog.index.columns import STATISTICS
from molexp._catalog.index.index import Index
from molexp._catalog.index.place import ELEMENTS
from molexp._catalog.index.tables import ASSETS, RUNS, WHOLE
from molexp._catalog.query.answers import ASSET_ROOTS, RUN_ROOTS, Question
from molexp._query.evaluation import ABSENT, reach
from molexp._query.expressions import ALIASES, Condition, Expression, Field, fields_of, renamed
from molexp._values.canonical import canonical_equal
from molexp._values.ids import did_you_mean, named, nearest
from molexp._values.numbers import whole
from molexp._values.paths import path_text
from molexp._values.plain import plain
from molexp._values.status import RunStatus
from molexp.errors import QueryError
from molexp.errors._base import nearest_names


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


class AssetFilters(TypedDict, total=False):
    """The arguments of a question about assets, but for the kind; `Catalog.assets` explains each."""

    name: str | None
    scope: str | None
    producer: Any
    sort: str | None
    limit: int | None


class RunFilters(TypedDict, total=False):
    """The arguments of a question about runs; `Catalog.runs` explains each."""

    project: str | None
    experiment: str | None
    status: str | Iterable[str] | None
    params: Mapping[str, Any] | None
    tags: Iterable[str]
    archived: bool
    sort: str | None


def about_runs(where: str | None, filters: RunFilters, limit: int | None = None, after: str | None = None) -> Question:
    """Return the question that a query and filters make up.

    Raises:
        QueryError, TypeError, ValueError: something in them makes no sense.
    """
    question = Question(
        limit=checked_limit(limit), after="" if after is None else named(after, "The run to begin after")
    )
    ask = question.where.append
    if where is not None:
        ask(parse_run_query(where))
    project, experiment, status = filters.get("project"), filters.get("experiment"), filters.get("status")
    project = None if project is None else named(project, "A project", "id")
    above, slash, experiment = (
        named(experiment, "An experiment").rpartition("/") if experiment is not None else ("", "", None)
    )
    for name, wanted in (("project", project), ("project", above if slash else None), ("experiment", experiment)):
        if wanted is not None:
            ask(Condition(Field((name,)), "==", wanted))
    within = project or above or ""
    question.scope = f"{within}/{experiment}" if within and experiment else within
    if status is not None:
        ask(Condition(Field(("status",)), "in", _statuses(status)))
    tags = filters.get("tags", ())
    for tag in [tags] if isinstance(tags, str) else tags:
        ask(Condition(Field(("tags",)), "contains", tag))
    params = filters.get("params") or {}
    if params and not (isinstance(params, Mapping) and all(isinstance(name, str) for name in params)):
        raise TypeError(f"params are a mapping of names to values, not {params!r:.80}.")
    for name, value in params.items():
        ask_for_parameter(question, name, plain(value, where=f"params.{name}", nan=True, refer=path_text))
    if (sort := filters.get("sort")) is not None:
        question.descending = (sort := named(sort, "A column")).startswith("-")
        question.sort = sort_field(sort.removeprefix("-"))
    if not filters.get("archived") and ("archived",) not in map(attrgetter("parts"), question.fields()):
        question.hides = True
        ask(Condition(Field(("archived",)), "==", False))
    return question


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


class Kinds(Protocol):
    """The kinds of assets, as far as questions need them."""

    def fields_of_kinds(self, kinds: Iterable[str], /) -> Iterator[tuple[str, str, bool, bool]]:
        """Yield the fields of some kinds: kind, field, and whether it has a default, and is upgraded where it is older."""

    def as_read(self, record: Mapping[str, Any], /) -> Mapping[str, Any]:
        """Return a record with its fields as its kind reads them now."""


def about_assets(
    index: Index,
    kinds: Kinds,
    where: str | None,
    equal: Mapping[str, str | None],
    sort: str | None,
    limit: int | None,
) -> Question:
    """Return the question about assets that a query and columns with wanted values make up.

    Raises:
        QueryError, TypeError, ValueError: something in them makes no sense.
    """
    question = Question(limit=checked_limit(limit))
    sort = None if sort is None else named(sort, "A column")
    if where is not None or sort is not None:
        known = list[tuple[str, str, bool, bool]]()
        if _is_about_fields(where, sort):  # else no kind is imported for it
            found = index.select("SELECT DISTINCT kind FROM assets WHERE kind IS NOT NULL")
            known += kinds.fields_of_kinds([equal["kind"]] if equal["kind"] else [one for (one,) in found])
        own = {*recorded_fields(index), *(field for _, field, *_ in known)} - {*ASSET_ROOTS}

        def recorded(field: Field) -> Field:
            return Field(("fields", *field.parts)) if field.parts[0] in own else field

        if where is not None:
            question.where.append(renamed(parse_query(where, (*ASSET_ROOTS, *own)), recorded))
        if sort is not None:
            question.descending = sort.startswith("-")
            question.sort = recorded(_asset_column(sort.removeprefix("-"), {*ASSET_ROOTS, *own}))
        asked = {one.parts[1] for one in question.fields() if one.parts[0] == "fields" and len(one.parts) > 1}
        if any(
            upgrades or (fills and one in asked and _lacks(index, kind, one)) for kind, one, fills, upgrades in known
        ):
            question.as_read = kinds.as_read
    for name, wanted in equal.items():
        if wanted is not None:
            question.where.append(Condition(Field((name,)), "==", named(wanted, f"The {name} of an asset")))
    return question


def _lacks(index: Index, kind: str, field: str) -> bool:
    """Tell whether the record of an asset of this kind lacks a field, or has null in it: the asset may have its default."""
    names = "SELECT id FROM names WHERE name = ? OR (name > ? AND name < ?)"
    sql = (
        f"SELECT 1 FROM assets WHERE kind = ? AND id NOT IN (SELECT owner FROM fields WHERE name IN ({names})) LIMIT 1"  # noqa: S608 - constants
    )
    name = f"@fields.{field}"
    return bool(index.select(sql, (kind, name, f"{name}.", f"{name}/")))


def _is_about_fields(where: str | None, sort: str | None) -> bool:
    """Tell whether a question about assets may name a field of a kind."""
    plain = {*ASSET_ROOTS} - {"fields"}
    try:
        if where is not None:
            parse_query(where, plain)
    except QueryError:
        return True
    return sort is not None and sort.removeprefix("-").partition(".")[0] not in plain


def _asset_column(name: str, roots: Collection[str]) -> Field:
    """Return the field of assets that a column's name stands for.

    Raises:
        ValueError: no asset has it; names the nearest.
    """
    field = Field(tuple(name.split(".")))
    if field.parts[0] not in roots or field.parts == ("fields",):
        there = ", ".join(sorted({*roots} - {"fields"}))
        raise ValueError(f"No asset has the column {name!r}.{did_you_mean(name, roots)} There are: {there}.")
    return field


def recorded_fields(index: Index) -> tuple[str, ...]:
    """Return the fields of kinds that some asset has."""
    names = index.select("SELECT name FROM names WHERE name > '@fields.' AND name < '@fields/'")
    return tuple({name.removeprefix("@fields.").partition(".")[0].rstrip(ELEMENTS) for (name,) in names})


def known_fields(index: Index, containing: str, limit: int | None) -> list[str]:
    """Return the names of fields that some run has, or had, in the order of the alphabet."""
    sql = "SELECT name FROM names WHERE substr(name, 1, 1) <> '@' AND substr(name, ?) <> ? ORDER BY name"
    names = (name for (name,) in index.select(sql, (-len(ELEMENTS), ELEMENTS)))
    wanted = named(containing, "A field", "name").casefold()  # SQLite knows the capitals of ASCII only
    return [*islice((name for name in names if wanted in name.casefold()), limit)]


def unknown_fields(index: Index, expression: Expression) -> dict[str, tuple[str, ...]]:
    """Return fields of a query that no run has, each with those that look similar."""
    found = {}
    below = "SELECT name FROM names WHERE (name > ? AND name < ?)"
    for one in fields_of(expression):
        root, *rest = (one.parts[0] == "metrics" and one.parts[:-1]) or one.parts
        name = ".".join([root, *rest])
        if root in RUNS.owners and not index.select(f"{below} OR name = ? LIMIT 1", (f"{name}.", f"{name}/", name)):
            rows = index.select(below, (f"{root}.", f"{root}/"))
            beside = (other.removeprefix(f"{root}.").rstrip(ELEMENTS) for (other,) in rows)
            found[name] = tuple(f"{root}.{close}" for close in nearest(".".join(rest), beside))
    return dict(sorted(found.items()))


def refuse_unknown(index: Index, field: Field) -> None:
    """Refuse a column that no run has while some have others beside it: it is mistyped, rather than not there yet.

    Raises:
        ValueError: there is none.
    """
    root = field.parts[0]
    if root not in RUNS.owners or ".".join(field.parts) in WHOLE:
        return
    beside = index.select("SELECT 1 FROM names WHERE name > ? AND name < ? LIMIT 1", (f"{root}.", f"{root}/"))
    for unknown, close in unknown_fields(index, Condition(field, "null")).items() if beside else ():
        raise ValueError(f"No run has the column {unknown!r}.{nearest_names(close[:1])}")


def ask_for_parameter(question: Question, name: str, value: Any) -> None:
    """Ask for runs with a parameter of this value, whatever it is."""
    if isinstance(value, str | int | float) and value == value:  # noqa: PLR0124 - NaN
        question.where.append(Condition(Field(("params", *name.split("."))), "==", value))
    else:
        question.checks.append(partial(_has_parameter, name=name, wanted=value))


def _has_parameter(document: Mapping[str, Any], *, name: str, wanted: Any) -> bool:
    found = document.get("parameters")
    value = found.get(name, ABSENT) if isinstance(found, dict) else ABSENT
    if value is ABSENT:
        value = reach({"params": found}, ("params", name))
    return value is not ABSENT and canonical_equal(value, wanted)


def checked_limit(limit: int | None) -> int | None:
    """Return a limit, checked.

    Raises:
        TypeError, ValueError: it is not.
    """
    if limit is None:
        return None
    if (number := whole(limit)) is None:
        raise TypeError(f"A limit is a whole number, not {limit!r}.")
    if number < 0:
        raise ValueError(f"limit={limit} is below 0.")
    return min(number, sys.maxsize)


def _statuses(given: str | Iterable[str]) -> tuple[str, ...]:
    if not isinstance(given, Iterable):
        raise TypeError(f"A status is text, not {type(given).__name__}: {', '.join(RunStatus)}.")
    return tuple(map(checked_status, [given] if isinstance(given, str) else given))


def checked_status(word: str) -> str:
    """Return a status, checked.

    Raises:
        ValueError: there is not; names the nearest.
    """
    try:
        return str(RunStatus(word))
    except ValueError:
        hint = did_you_mean(str(word), map(str, RunStatus))
        raise ValueError(f"Unknown status {word!r}. Choose from {', '.join(RunStatus)}.{hint}") from None
