"""Metrics by columns: an array for each name, filled piece by piece."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any, TypeAlias

from molexp._values.tables import import_pandas

Column: TypeAlias = "array[Any] | list[Any]"

_GAP = float("nan")


def columns_of(pieces: Iterable[list[dict[str, Any]]]) -> dict[str, Column]:
    """Return the values of points by their names: integers of ``step``, floats, or a list of what is no number."""
    columns: dict[str, Column] = {"step": array("q"), "time": array("d")}
    count = 0
    for points in pieces:
        for name in columns | dict.fromkeys(chain.from_iterable(points)):
            if name not in columns:
                columns[name] = array("d", [_GAP]) * count
            columns[name] = _with_values(columns[name], [point.get(name, _GAP) for point in points])
        count += len(points)
    return columns


def _with_values(column: Column, values: list[Any]) -> Column:
    """Return a column with more values; it becomes a list with the first that its array cannot hold."""
    if isinstance(column, array):
        try:
            column.fromlist(values)
            return column
        except (OverflowError, TypeError):
            column = column.tolist()
    column.extend(values)
    return column


def frame_of(columns: Mapping[str, Column]) -> Any:
    """Return a `pandas.DataFrame` of columns; arrays become its own without a list between.

    Raises:
        ModuleNotFoundError: pandas is not installed.
    """
    pandas = import_pandas()
    numpy = sys.modules["numpy"]  # pandas has imported it
    arrays = {name: numpy.asarray(column) if isinstance(column, array) else column for name, column in columns.items()}
    return pandas.DataFrame(arrays)
