"""Counters of the index: the runs of each experiment by status, and the assets of each scope, kept as rows come and go.

To count the rows themselves would take as long as there are many.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping
from typing import Any

from molexp._catalog.index.columns import COLUMNS
from molexp._storage import layout

_COUNTED = tuple(column for column in COLUMNS if column.name in ("status", "archived"))
_HALF = 32  # bits: the sums of two halves of sizes cannot overflow, and a record may name any size below 2**63
_SIZES = ("runs", "assets", "upper", "lower")
_ADD_SIZES = (
    f"INSERT INTO sizes (experiment, {', '.join(_SIZES)}) VALUES (?, {', '.join('?' * len(_SIZES))}) "  # noqa: S608 - constants
    f"ON CONFLICT (experiment) DO UPDATE SET {', '.join(f'{name} = {name} + excluded.{name}' for name in _SIZES)}"
)
_ADD_STATUSES = (
    "INSERT INTO statuses (experiment, status, archived, runs) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (experiment, status, archived) DO UPDATE SET runs = runs + excluded.runs"
)


class Counters:
    """The changes of the counters within one transaction."""

    def __init__(self) -> None:
        self._sizes: dict[str, list[int]] = {}
        self._statuses: Counter[tuple[str, Any, Any]] = Counter()

    def know(self, path: str, by: int) -> None:
        """Count a run, or with -1 one less, of which something is known, whether or not it is shown."""
        if layout.is_run(path):
            self._sizes_of(path)[0] += by

    def show(self, path: str, document: Mapping[str, Any]) -> None:
        """Count a run that is shown."""
        status, archived = (column.read_from(document) for column in _COUNTED)
        self._statuses[scope_of(path), status, archived] += 1

    def hold(self, path: str, size: int, by: int = 1) -> None:
        """Count an asset of a run or scope, or with -1 one less."""
        sizes = self._sizes_of(path)
        sizes[1] += by
        sizes[2] += by * (size >> _HALF)
        sizes[3] += by * (size & ((1 << _HALF) - 1))

    def clear(self, connection: sqlite3.Connection, path: str, number: int) -> None:
        """Count what there is of a run or scope no longer, whose rows are about to be taken out."""
        shown = connection.execute("SELECT status, archived FROM entities WHERE id = ? AND shown = 1", (number,))
        for status, archived in shown.fetchall():
            self._statuses[scope_of(path), status, archived] -= 1
        for (size,) in connection.execute("SELECT size FROM assets WHERE owner = ?", (number,)).fetchall():
            self.hold(path, size, -1)

    def write(self, connection: sqlite3.Connection) -> None:
        """Write the changes, and begin again."""
        connection.executemany(_ADD_SIZES, ((path, *sizes) for path, sizes in self._sizes.items()))
        connection.executemany(_ADD_STATUSES, ((*key, by) for key, by in self._statuses.items() if by))
        self._sizes.clear()
        self._statuses.clear()

    def _sizes_of(self, path: str) -> list[int]:
        return self._sizes.setdefault(scope_of(path), [0] * len(_SIZES))


def scope_of(path: str) -> str:
    """Return the experiment of a run; of a scope, itself."""
    return path.rpartition("/")[0] if layout.is_run(path) else path


def joined(upper: int, lower: int) -> int:
    """Return the sum of sizes whose halves were summed."""
    return (upper << _HALF) + lower
