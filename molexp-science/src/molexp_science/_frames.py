"""Frames of pandas as tables of Arrow, which a Parquet file holds, and back: the same frame, or an error that says why not."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

_CATEGORIES: Final = {str, int, float, bool}

Hint = dict[str, Any]
"""Says what a column, or the index, was: its dtype, its categories, its missing values."""


def encode(frame: pd.DataFrame) -> tuple[Any, dict[str, Any]]:
    """Return a frame as a table, and hints for what Arrow and Parquet do not keep of it.

    Raises:
        ValueError: a column would be loaded as another one.
    """
    _refuse(frame)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of what is lost
            table = _as_parquet_has_it(pa.Table.from_pandas(frame))
            hints = json.loads(json.dumps(_hints(frame, table.to_pandas(), table.schema.names)))
            again = decode(table, hints)
    except (TypeError, ValueError, NotImplementedError, OverflowError, Warning) as error:
        raise ValueError(f"The frame does not become a table of Parquet: {' '.join(map(str, error.args))}") from error
    if lost := next(_differences(frame, again), ""):
        raise ValueError(
            f"The frame would not be loaded as it is: {lost}. Convert it, as by frame.convert_dtypes(), astype(...) or reset_index()."
        )
    return table, hints


def _refuse(frame: pd.DataFrame) -> None:
    """Raise `ValueError` for names and categories that no file holds."""
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise ValueError(f"Two columns have the name {twice!r}: rename one.")
    for name, dtype in frame.dtypes.items():
        if isinstance(dtype, pd.CategoricalDtype) and not {*map(type, dtype.categories.tolist())} <= _CATEGORIES:
            raise ValueError(
                f"The column {name!r} has categories of {dtype.categories.dtype}, and a file holds those of text and numbers "
                "alone: convert it by astype(str)."
            )


def decode(table: Any, hints: dict[str, Any]) -> pd.DataFrame:
    """Return the frame that a table was, or some of its columns."""
    frame: pd.DataFrame = table.to_pandas()
    for position, name in enumerate(table.schema.names[: frame.shape[1]]):
        if hint := hints["columns"].get(name):
            column: Any = _restored(frame.iloc[:, position], hint)  # as an array, its type would be guessed
            frame.isetitem(position, column)
    if "labels" in hints:
        frame.columns = frame.columns.astype(hints["labels"])
    if "range" in hints and len(whole := pd.RangeIndex(*hints["range"])) == frame.shape[1]:
        frame.columns = whole.rename(frame.columns.name)
    if "index" in hints:
        index = _restored(_column_of(frame.index), hints["index"])
        frame.index = pd.Index(index, dtype=index.dtype, name=frame.index.name)
    frame.attrs.update(hints.get("attrs", {}))
    if "freq" in hints and isinstance(frame.index, pd.DatetimeIndex | pd.TimedeltaIndex):
        frame.index.freq = pd.tseries.frequencies.to_offset(hints["freq"])  # type: ignore[misc]  # the stubs say that it is read only
    return frame


def _as_parquet_has_it(table: Any) -> Any:
    """Return a table with the types to which Parquet would turn some of its columns."""
    schema = table.schema
    for position, field in enumerate(schema):
        type_ = field.type
        if pa.types.is_dictionary(type_):
            type_ = type_.value_type
        if pa.types.is_timestamp(type_) and type_.unit == "s":
            type_ = pa.timestamp("ms", type_.tz)
        if type_ != field.type:
            schema = schema.set(position, field.with_type(type_))
    return table if schema is table.schema else table.cast(schema)


def _hints(frame: pd.DataFrame, raw: pd.DataFrame, names: list[str]) -> dict[str, Any]:
    """Return what has to be done to the frame that Arrow makes of a table."""
    columns: dict[str, Hint] = {}
    for position, name in enumerate(names[: frame.shape[1]]):
        if hint := _hint(frame.iloc[:, position], raw.iloc[:, position]):
            columns[name] = hint
    found: dict[str, Any] = {"columns": columns}
    if isinstance(labels := frame.columns, pd.RangeIndex):
        found["range"] = [labels.start, labels.stop, labels.step]
    elif raw.columns.nlevels == 1 and frame.columns.dtype != raw.columns.dtype:
        found["labels"] = str(frame.columns.dtype)
    if frame.index.nlevels == 1 and (hint := _hint(_column_of(frame.index), _column_of(raw.index))):
        found["index"] = hint
    if (
        freq := getattr(frame.index, "freqstr", None)
        if isinstance(frame.index, pd.DatetimeIndex | pd.TimedeltaIndex)
        else None
    ):
        found["freq"] = freq
    if frame.attrs != raw.attrs:
        found["attrs"] = frame.attrs
    return found


def _hint(was: pd.Series[Any], raw: pd.Series[Any]) -> Hint:
    dtype = was.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return {
            "categories": dtype.categories.tolist(),
            "dtype": str(dtype.categories.dtype),
            "ordered": bool(dtype.ordered),
        }
    if _is_of_objects(was):
        missing = {type(value) for value in was[was.isna()]}
        first = next((value for value in was if value is not None), None)
        hint: Hint = {} if _is_of_objects(raw) else {"dtype": "object"}
        hint |= {"nan": True} if missing == {float} else {}
        return hint | ({"lists": True} if isinstance(first, list) else {})
    return {} if dtype == raw.dtype else {"dtype": str(dtype)}


def _column_of(index: pd.Index[Any]) -> pd.Series[Any]:
    return pd.Series(index.array, dtype=index.dtype)


def _restored(column: pd.Series[Any], hint: Hint) -> pd.Series[Any]:
    if "categories" in hint:
        categories = pd.Index(hint["categories"], dtype=hint["dtype"])
        return column.astype(pd.CategoricalDtype(categories, ordered=hint["ordered"]))
    if hint.get("lists"):
        return column.map(_listed).astype(object)
    if "dtype" in hint:
        column = column.astype(hint["dtype"])
    if _is_of_objects(column):
        missing = column.isna()
        column = column.copy()
        column[missing] = float("nan") if hint.get("nan") else None
    return column


def _listed(value: Any) -> Any:
    """Return the arrays that Arrow makes of lists as lists, at every depth."""
    return [_listed(one) for one in value.tolist()] if isinstance(value, np.ndarray) else value


def _differences(one: pd.DataFrame, other: pd.DataFrame) -> Iterator[str]:
    """Yield how two frames differ, for people."""
    for what, first, second in (("index", one.index, other.index), ("columns' names", one.columns, other.columns)):
        if type(first) is not type(second) or _dtypes(first) != _dtypes(second):
            yield f"the {what} would be {type(second).__name__} of {_dtypes(second)}, not {type(first).__name__} of {_dtypes(first)}"
        elif not first.equals(second) or [*first.names] != [*second.names]:
            yield f"the {what} would be {second!r}"
    for position, name in enumerate(one.columns):
        was, now = one.iloc[:, position], other.iloc[:, position]
        if was.dtype != now.dtype:
            yield f"the column {name!r} is of {was.dtype}, and would be of {now.dtype}"
        elif not (all(map(_is_same, was.array, now.array)) if _is_of_objects(was) else was.equals(now)):
            yield f"the column {name!r} of {was.dtype} would have other values"
    if one.attrs != other.attrs:
        yield f"its attrs would be {other.attrs!r}"


def _dtypes(index: pd.Index[Any]) -> str:
    return ", ".join(map(str, index.dtypes)) if isinstance(index, pd.MultiIndex) else str(index.dtype)


def _is_of_objects(column: pd.Series[Any]) -> bool:
    return isinstance(column.dtype, np.dtype) and column.dtype.kind == "O"


def _is_same(one: Any, other: Any) -> bool:
    """Tell whether two objects are equal and of one type, also within lists, dicts and arrays."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and all(map(_is_same, one.ravel(), other.ravel()))
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_is_same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_is_same(one[key], other[key]) for key in one)
    return bool(one == other or (one != one and other != other))  # noqa: PLR0124 - NaN, whatever its type
