"""Tables as other libraries have them: pandas, polars, Arrow, CSV and Parquet, from the values by columns."""

from __future__ import annotations

import csv
import io
import json
import os
from array import array
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib import import_module
from itertools import chain
from typing import Any

from molexp._values.numbers import EXACT
from molexp._values.tables import Column
from molexp._values.times import parse_time

_WORD = 2**63  # the least integer that no column of integers holds
_TIMES = ("created_at", "started_at", "ended_at")
_SIMPLE = (bool, int, float, str, datetime)


def to_pandas(columns: Mapping[str, Column]) -> Any:
    """Return a `pandas.DataFrame`; see `Table.to_pandas`."""
    pandas = _required("pandas", "to_pandas()")
    return pandas.DataFrame({name: _series(pandas, _clean(name, column)) for name, column in columns.items()})


def _series(pandas: Any, column: Column) -> Any:
    """Return a column of its own type, which integers and truth values keep where some are missing."""
    if isinstance(column, array):
        return import_module("numpy").asarray(column)  # pandas has imported it
    kinds = _kinds(column)
    if kinds == {bool} or (kinds == {int} and _fit(column, _WORD)):
        whole, gaps = ("bool", "boolean") if kinds == {bool} else ("int64", "Int64")
        return pandas.Series(column, dtype=gaps if None in column else whole)
    if kinds == {datetime}:
        return pandas.to_datetime(pandas.Series(column))
    if kinds == {str} or (kinds and kinds <= {int, float} and _fit(column, EXACT)):
        return pandas.Series(column)
    return pandas.Series(column, dtype=object)


def to_polars(columns: Mapping[str, Column]) -> Any:
    """Return a `polars.DataFrame`; see `Table.to_polars`."""
    polars = _required("polars", "to_polars()")
    return polars.DataFrame([polars.Series(name, _of_one_type(name, column)) for name, column in columns.items()])


def to_arrow(columns: Mapping[str, Column]) -> Any:
    """Return a `pyarrow.Table`."""
    arrow = _required("pyarrow", "an Arrow table")
    arrays = [arrow.array(_of_one_type(name, column)) for name, column in columns.items()]
    return arrow.Table.from_arrays(arrays, names=[*columns])


def to_parquet(columns: Mapping[str, Column], path: str | os.PathLike[str]) -> None:
    """Write a file; see `Table.to_parquet`."""
    _required("pyarrow", "to_parquet()")
    import_module("pyarrow.parquet").write_table(to_arrow(columns), os.fspath(path))


def to_csv(columns: Mapping[str, Column], path: str | os.PathLike[str] | None) -> str | None:
    """Write a file, or return its text; see `Table.to_csv`."""
    if path is None:
        text = io.StringIO(newline="")
        _write(columns, text)
        return text.getvalue()
    with open(os.fspath(path), "w", encoding="utf-8", newline="") as file:
        _write(columns, file)
    return None


def _write(columns: Mapping[str, Column], file: Any) -> None:
    lines = csv.writer(file, lineterminator="\n")
    lines.writerow(columns)
    cleaned = [_clean(name, column) for name, column in columns.items()]
    lines.writerows([_cell(value) for value in row] for row in zip(*cleaned, strict=True))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, datetime) else _text(value)


# ---------------------------------------------------------------------------------------------------------- types of columns


def _clean(name: str, column: Column) -> Column:
    """Return a column whose texts are plain ones, and in which times are times where all can be read."""
    if isinstance(column, array):
        return column
    found = [str(value) if isinstance(value, str) else value for value in column]
    if name not in _TIMES:
        return found
    try:
        return [parse_time(value) if isinstance(value, str) else value for value in found]
    except (TypeError, ValueError):
        return found


def _of_one_type(name: str, column: Column) -> Column:
    """Return a column all values of which are of one type that Arrow has; text, if they are not."""
    column = _clean(name, column)
    if isinstance(column, array):
        return column
    kinds = _kinds(column)
    if len(kinds) <= 1 and kinds <= {*_SIMPLE} and _fit(column, _WORD):
        return column
    if kinds == {int, float} and _fit(column, EXACT):
        return [value if value is None else float(value) for value in column]
    inner = chain.from_iterable(value for value in column if isinstance(value, list | tuple))
    if kinds <= {list, tuple} and len(of := _kinds(items := [*inner])) <= 1 and of <= {*_SIMPLE} and _fit(items, _WORD):
        return column
    return [value if value is None else _text(value) for value in column]


def _kinds(column: Sequence[Any]) -> set[type]:
    return set(map(type, column)) - {type(None)}


def _fit(column: Sequence[Any], limit: int) -> bool:
    """Tell whether the integers among some values are below a limit."""
    return all(-limit <= value < limit for value in column if type(value) is int)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


def _required(module: str, what: str) -> Any:
    """Return a module that is not required to be installed.

    Raises:
        ModuleNotFoundError: it is not; the message says how to install it.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise ModuleNotFoundError(f"{what} needs {module}: pip install {module}", name=module) from error
