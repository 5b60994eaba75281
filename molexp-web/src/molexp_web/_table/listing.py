"""One page of runs, asked of the catalog: as many rows as are shown are read, however many there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import molexp as me
from molexp_web._table import cells
from molexp_web._table.asking import NEWEST, Asked
from molexp_web._table.filters import Filter, filters_of, query_of

MANY = 20_000
"""Of more runs, those that match a query are counted after the page is shown."""

SAMPLE = 40  # the newest runs, whose values decide which columns there are
_KEPT = 200  # counts that are remembered
_ORDER = ("running", "queued", "succeeded", "failed", "interrupted", "cancelled", "pending")
_MOST = {"params": 4, "results": 4, "metrics": 3}


class Heading(NamedTuple):
    """The head of a column.

    Attributes:
        name: its name.
        title: the shortest heading that tells it apart.
        root: ``params``, ``results``, ``metrics`` or "".
        number: its values are numbers.
        sorts: the order of the table by it: ``ascending``, ``descending`` or "".
    """

    name: str
    title: str
    root: str = ""
    number: bool = False
    sorts: str = ""


class Line(NamedTuple):
    """A run in the table."""

    row: me.RunRow
    name: str
    cells: Sequence[cells.Cell]


class Problem(NamedTuple):
    """An error of the query, or of the order."""

    message: str
    hint: str = ""


class Listing(NamedTuple):
    """A page of the table.

    Attributes:
        lines: the runs.
        headings: the columns.
        last: the path of the last run, if more follow.
        filters: the conditions of the query.
        status: the status that the query asks for, if that is all that it says of it.
        counts: the number of runs with each status, whatever status the query asks for; None if they were not counted.
        problem: the reason why there is nothing.
        unknown: fields of the query that no run has, each with those that are similar.
        lost: the page began after a run that is not there any more, so this is the first page.
        unreadable: the number of records that could not be read.
        hidden: the number of archived runs that are left out.
        names: columns that can be chosen.
    """

    lines: Sequence[Line] = ()
    headings: Sequence[Heading] = ()
    last: str = ""
    filters: Sequence[Filter] = ()
    status: str = ""
    counts: Mapping[str, int] | None = None
    problem: Problem | None = None
    unknown: Mapping[str, Sequence[str]] = {}
    lost: bool = False
    unreadable: int = 0
    hidden: int = 0
    names: Sequence[str] = ()

    @property
    def total(self) -> int | None:
        """The number of runs on all pages, if it is known."""
        if self.counts is None:
            return None
        return self.counts.get(self.status, 0) if self.status else sum(self.counts.values())


def listing_of(
    workspace: me.Workspace, asked: Asked, known: dict[Any, Any], version: str, *, counted: bool = False
) -> Listing:
    """Return the page that an address asks for.

    Args:
        workspace: the workspace.
        asked: the question of the address.
        known: the findings of earlier questions, right for as long as nothing changes.
        version: the version of the catalog, asked for before this.
        counted: count the runs now, however many there are.
    """
    catalog = workspace.catalog
    filters = filters_of(asked.query)
    lost = False
    try:
        rows = _page(catalog, asked, asked.after)
    except me.NotFoundError:
        rows, lost = _page(catalog, asked, None), True
    except (me.QueryError, ValueError) as error:
        return Listing(filters=filters, problem=problem_of(error))
    shown = [cells.Seen(row) for row in rows[: asked.size]]
    newest = shown[:SAMPLE] if asked.sort == NEWEST and (lost or not asked.after) else None
    names, usual = _usual(catalog, asked, known, (workspace.url, version), newest)
    chosen = asked.columns or with_order(usual, asked.sort)
    columns = [cells.column_of([cells.read(one, name) for one in shown], name) for name in chosen]
    numbers = [
        any(cell.kind == "number" for cell in one) and all(cell.kind in ("number", "none") for cell in one)
        for one in columns
    ]
    unknown = catalog.unknown_fields(asked.query) if asked.query and not rows else {}
    return Listing(
        [Line(one.row, short(one.row), [column[place] for column in columns]) for place, one in enumerate(shown)],
        [*headings(chosen, numbers, asked.sort)],
        shown[-1].row.path if len(rows) > asked.size else "",
        filters,
        status_of(filters),
        counts_of(workspace, asked, known, version, surely=counted),
        None,
        unknown,
        lost,
        len(rows.unreadable),
        rows.archived,
        names,
    )


def _page(catalog: me.Catalog, asked: Asked, after: str | None) -> me.Rows[me.RunRow]:
    return catalog.runs(
        asked.query or None, archived=asked.archived, sort=asked.sort, limit=asked.size + 1, after=after
    )


def _usual(
    catalog: me.Catalog,
    asked: Asked,
    known: dict[Any, Any],
    state: tuple[str, str],
    newest: Sequence[cells.Seen] | None,
) -> tuple[Sequence[str], Sequence[str]]:
    """Return the columns that can be chosen, and those that are shown if nobody does.

    The newest of the runs that match decide on them, so that they stay from page to page; they are asked for unless they are at hand.
    """
    key = ("columns", *state, asked.query, asked.archived)
    if (found := known.get(key)) is None:  # another request may push it out at any moment
        seen = newest
        if seen is None:
            rows = catalog.runs(asked.query or None, archived=asked.archived, sort=NEWEST, limit=SAMPLE)
            seen = [cells.Seen(row) for row in rows]
        names = [*dict.fromkeys(name for one in seen for name in cells.names_of(one))]
        found = names, default_columns(seen, names)
        keep(known, key, found)
    return found


def counts_of(
    workspace: me.Workspace, asked: Asked, known: dict[Any, Any], version: str, *, surely: bool = False
) -> Mapping[str, int] | None:
    """Return how many runs of each status match the rest of the query; None if that takes long and is not known."""
    filters = filters_of(asked.query)
    others = [one for one in filters if one.field != "status" or one.operator != "=="]
    query = query_of(others)
    key = ("counts", workspace.url, version, query, asked.archived)
    if (seen := known.get(key)) is not None:
        return seen  # type: ignore[no-any-return]  # as it was put there
    many = known.get(("many", workspace.url), 0) > MANY
    if many and query and not surely:
        return None
    pages = workspace.catalog.run_pages(query or None, archived=asked.archived)
    found = pages.statuses
    if found is None:  # fields are compared with each other: only the documents tell
        if not surely and many:
            return None
        found = Counter(str(row.status) for page in pages for row in page)
    found = {name: found[name] for name in _ORDER if found.get(name)}
    if not query:
        known["many", workspace.url] = sum(found.values())
    keep(known, key, found)
    return found


def keep(known: dict[Any, Any], key: Any, value: Any) -> None:
    """Remember a finding; the oldest one makes room for it."""
    while len(known) >= _KEPT:
        known.pop(next(iter([*known])), None)
    known[key] = value


def status_of(filters: Iterable[Filter]) -> str:
    """Return the status that a query asks for by one simple condition; "" otherwise."""
    found = [one.value.strip("\"'") for one in filters if one.field == "status"]
    simple = [one for one in filters if one.field == "status" and one.operator == "=="]
    return found[0] if len(found) == len(simple) == 1 else ""


def problem_of(error: Exception) -> Problem:
    """Return an error as it is shown beside the query."""
    hint = str(getattr(error, "hint", "") or "")
    return Problem(str(error).removesuffix(hint).rstrip(), hint)


def short(row: me.RunRow) -> str:
    """Return the name of a run in a table: of an id that was generated, its end; of one that was derived, its beginning."""
    name = row.id
    if len(name) == 31 and name.count("-") == 3 and name[:8].isdigit():
        return name[-8:]
    return name[:12] if len(name) >= 32 and all(one in "0123456789abcdef" for one in name) else name


def default_columns(rows: Sequence[cells.Seen], names: Iterable[str]) -> list[str]:
    """Return the columns that say most about some runs: those that vary, numbers first; then what came of them."""
    columns = ["status"]
    if len({cells.read(row, "experiment") for row in rows}) > 1:
        columns.append("experiment")
    found: dict[str, list[tuple[int, str]]] = {root: [] for root in _MOST}
    for name in names:
        values = [cells.read(row, name) for row in rows]
        root = name.partition(".")[0]
        varies = len({repr(value) for value in values}) > 1
        if varies or (root != "params" and any(value is not None for value in values)):
            found[root].append((_weight(values) + 4 * (not varies), name))
    for root, most in _MOST.items():
        columns += [name for _, name in sorted(found[root], key=lambda one: one[0])[:most]]
    columns += [name for name in ("cause", "tags") if any(cells.read(row, name) for row in rows)]
    return [*columns, "seconds", "created_at"]


def with_order(columns: Sequence[str], sort: str) -> list[str]:
    """Return columns with that by which runs are sorted among them."""
    by = sort.removeprefix("-")
    if by in (*columns, "id", "path"):
        return [*columns]
    return [*columns[:-2], by, *columns[-2:]]


def _weight(values: Iterable[Any]) -> int:
    kinds = {type(value) for value in values if value is not None}
    return 0 if kinds <= {int, float, bool} else 1 if kinds <= {int, float, bool, str} else 2


_TITLES = {"created_at": "created", "seconds": "time"}


def headings(columns: Sequence[str], numbers: Sequence[bool], sort: str) -> Iterable[Heading]:
    """Yield the heads of columns, with the shortest titles that tell them apart."""
    ends = {name: _ends(name) for name in columns}
    used = Counter(end for found in ends.values() for end in found)
    for name, number in zip(columns, numbers, strict=True):
        title = next((end for end in ends[name] if used[end] == 1), name)
        root = name.partition(".")[0] if "." in name else ""
        sorts = "" if sort.removeprefix("-") != name else "descending" if sort.startswith("-") else "ascending"
        yield Heading(name, _TITLES.get(name, title), root, number, sorts)


def _ends(name: str) -> list[str]:
    base, dot, statistic = name.rpartition(".")
    suffix = ""
    if name.startswith("metrics.") and dot and statistic in cells.STATISTICS and base != "metrics":
        name, suffix = base, "" if statistic == "last" else f" {statistic}"
    return [name.split(".", part)[-1] + suffix for part in range(name.count("."), -1, -1)]
