"""The address of a table of runs: what it asks for, and the addresses of the tables beside it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

SIZES = (50, 100, 200)
"""Rows of a page."""

NEWEST = "-created_at"
_BACK = 12  # pages that the address remembers the way back to
_COLUMNS = 60  # of a table


class Asked(NamedTuple):
    """The table that an address asks for.

    Attributes:
        query: a query.
        sort: the column that runs are sorted by, with ``-`` for descending order.
        columns: the columns that somebody chose; none for those that say most.
        cursors: the runs after which this page and those before it begin.
        at: the number of runs on the pages before.
        group: the column by whose values runs are counted; "" for a table of runs.
        size: rows of a page.
        archived: archived runs are listed, too.
    """

    query: str = ""
    sort: str = NEWEST
    columns: tuple[str, ...] = ()
    cursors: tuple[str, ...] = ()
    at: int = 0
    group: str = ""
    size: int = SIZES[0]
    archived: bool = False

    @property
    def after(self) -> str | None:
        """The run after which the page begins."""
        return self.cursors[-1] if self.cursors else None

    def pairs(self, **changes: Any) -> list[tuple[str, str]]:
        """Return the query of the address that asks for the same but for some changes; what is usual is left out.

        Another query, order or group begins with the first page.
        """
        if changes.keys() - {"columns", "cursors", "at"}:
            changes = {"cursors": (), "at": 0, **changes}
        one = self._replace(**changes)
        found = [
            ("q", one.query),
            ("sort", one.sort if one.sort != NEWEST else ""),
            ("columns", listed(one.columns)),
            ("group", one.group),
            ("size", str(one.size) if one.size != SIZES[0] else ""),
            ("archived", "1" if one.archived else ""),
            *(("cursor", cursor) for cursor in one.cursors[-_BACK:]),
            ("at", str(one.at) if one.at else ""),
        ]
        return [(name, value) for name, value in found if value]


def asked_of(params: Any) -> Asked:
    """Return what the query of an address asks for; whatever makes no sense there counts for nothing.

    Args:
        params: Starlette's ``request.query_params``.
    """
    size, at = _whole(params.get("size")), _whole(params.get("at"))
    cursors = tuple(one for one in params.getlist("cursor") if one)
    return Asked(
        query=params.get("q", "").strip(),
        sort=params.get("sort", "").strip() or NEWEST,
        columns=columns_of(params.get("columns", "")),
        cursors=cursors[-_BACK:],
        at=at if cursors else 0,
        group=params.get("group", "").strip(),
        size=size if size in SIZES else SIZES[0],
        archived=params.get("archived") == "1",
    )


def columns_of(text: str) -> tuple[str, ...]:
    """Return the columns that a list names: separated by commas, in quotes where a name has one."""
    try:
        found = next(csv.reader([" ".join(text.splitlines())], skipinitialspace=True), [])
    except csv.Error:
        return ()
    return tuple(dict.fromkeys(one.strip() for one in found if one.strip()))[:_COLUMNS]


def listed(columns: Iterable[str]) -> str:
    """Return a list of columns as `columns_of` reads it."""
    names = [*columns]
    if not names:
        return ""
    written = io.StringIO()
    csv.writer(written, lineterminator="").writerow(names)
    return written.getvalue()


def view_of(asked: Asked) -> dict[str, Any]:
    """Return the document of a view: what it asks for, from the first page on."""
    return dict(asked.pairs(cursors=(), at=0))


def asked_by(document: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    """Return the query of an address for a view, as far as its document makes sense."""
    known = ("q", "sort", "columns", "group", "size", "archived")
    return [(name, value) for name in known if isinstance(value := document.get(name), str) and value]


def _whole(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else 0
