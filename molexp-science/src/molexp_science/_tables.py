"""Tables of pandas, polars, Arrow and whatever speaks its protocols, as Parquet files."""

from __future__ import annotations

import base64
import json
import time
import weakref
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, Final

from msgspec import Struct

from molexp import Asset
from molexp.contracts import AssetKind, Preview, Sink, Source
from molexp_science._libraries import class_name, imported, library, shorten

_OURS: Final = b"molexp"  # the key of what we add to the metadata of the file
_LISTED: Final = 1000
_SHOWN: Final = (6, 8)  # rows and columns
_WIDEST: Final = 24  # characters of a cell
_LETTING_GO: Final = 1.0  # seconds to wait for threads of Arrow at most


class TableFields(Struct, frozen=True):
    """The fields of a table.

    Attributes:
        rows: the number of its rows.
        width: the number of its columns, without the index that pandas has beside them.
        columns: the types of its columns by their names, as Arrow spells them: ``int64``, ``double``, ``string``,
            ``timestamp[us, tz=UTC]``. Of a table that has more than 1000, the first 1000.
        package: the library that it is of: ``pandas``, ``polars``, ``pyarrow``, or ``arrow`` for all others.

    Example:
        >>> import pandas as pd
        >>> with exp.Run().start() as ctx:
        ...     asset = ctx.save("scan", pd.DataFrame({"r": [0.9, 1.0], "step": [1, 2]}))
        >>> asset.fields.rows, asset.fields.columns
        (2, {'r': 'double', 'step': 'int64'})
        >>> [one.name for one in ws.catalog.assets("columns.r is not null and rows < 10")]
        ['scan']
    """

    rows: int
    width: int
    columns: dict[str, str]
    package: str


class TableAsset(Asset[Any, TableFields], frozen=True):
    """A table that was saved.

    Example:
        >>> import pandas as pd
        >>> with exp.Run().start() as ctx:
        ...     asset = ctx.save("scan", pd.DataFrame({"r": [0.9, 1.0], "step": [1, 2]}))
        >>> list(asset.read(["step"]).columns), asset.to_arrow(["r"]).to_pydict()
        (['step'], {'r': [0.9, 1.0]})
    """

    def read(self, columns: Sequence[str] | None = None) -> Any:
        """Return the table with some columns alone; the others are not read from the file.

        Args:
            columns: their names as the file has them; None for all.

        Raises:
            ModuleNotFoundError: pyarrow, or the library that the table is of, is not installed.
            KeyError: there is no such column.
        """
        with self.open() as stream:
            return _given_back(*_read(stream, self.name, columns), self.name)

    def to_arrow(self, columns: Sequence[str] | None = None) -> Any:
        """Return the table as a `pyarrow.Table`, also where the library that it is of is not installed. See `read`."""
        with self.open() as stream:
            return _read(stream, self.name, columns)[0]


class TableKind(AssetKind[Any, TableFields]):
    """Tables as Parquet files, restored as what they were: a frame of pandas with its index and types, one of polars, a table of Arrow.

    Tables of other libraries that have ``__arrow_c_stream__`` or ``__dataframe__`` become a `pyarrow.Table`. A table of which a
    file would give back another one is refused, before anything is written: the message names the column.

    Example:
        >>> import pandas as pd
        >>> from molexp_science import TableKind
        >>> with exp.Run().start() as ctx:
        ...     asset = ctx[TableKind].save("scan", pd.DataFrame({"r": [0.9, 1.0]}))
        >>> asset.load()["r"].tolist(), asset.describe()
        ([0.9, 1.0], 'table of 2 rows: r (double)')
    """

    name = "table"
    suffix = ".parquet"
    types = ("pandas.DataFrame", "polars.DataFrame", "polars.LazyFrame", "pyarrow.Table", "pyarrow.RecordBatch")
    record = TableAsset

    def accepts(self, obj: object, /) -> bool:
        """Tell whether it is a table, or may become one."""
        return bool(_package_of(obj)) or isinstance(obj, _series())  # of which `validate` says more

    def validate(self, obj: Any, /) -> None:
        """Raise `ValueError` for what is no table, or would be loaded as something else."""
        if isinstance(obj, imported("polars", "LazyFrame")):
            raise ValueError("A LazyFrame is a plan and has no rows yet: save frame.collect().")
        if isinstance(obj, _series()):
            raise ValueError("A Series is one column: save series.to_frame().")
        package = _package_of(obj)
        if package in ("pandas", "polars") and type(obj) is not library(package, "a table").DataFrame:
            raise ValueError(
                f"A table of the class {class_name(obj)} would be loaded as {package}.DataFrame: save {package}.DataFrame(table)."
            )

    def save(self, obj: Any, sink: Sink) -> TableFields:
        """Write the table, after it was made sure that it would be loaded as it is."""
        parquet = library("pyarrow.parquet", sink.name)
        package = _package_of(obj)
        table, note = _ENCODERS[package](obj)
        metadata = {**(table.schema.metadata or {}), _OURS: json.dumps(note, separators=(",", ":"))}
        with sink.open() as stream:
            parquet.write_table(table.replace_schema_metadata(metadata), stream, compression="zstd")
        width = obj.shape[1] if package == "pandas" else table.num_columns
        types = {field.name: str(field.type) for field in islice(table.schema, min(width, _LISTED))}
        return TableFields(rows=table.num_rows, width=width, columns=types, package=package)

    def load(self, source: Source[TableFields]) -> Any:
        """Read the table."""
        with source.open() as stream:
            return _given_back(*_read(stream, source.name), source.name)

    def describe(self, asset: Asset[Any, TableFields], /) -> str:
        """Return the number of rows, and the columns."""
        fields = asset.fields
        columns = [f"{' '.join(name.split())} ({type_})" for name, type_ in fields.columns.items()]
        return f"table of {fields.rows} rows: {shorten(columns) or 'no columns'}"

    def preview(self, source: Source[TableFields], /) -> Preview:
        """Return the first rows of the first columns."""
        rows, columns = _SHOWN
        names = [*islice(source.fields.columns, columns)]
        with source.open() as stream:
            first = _from_parquet(
                stream, source.name, lambda file: next(file.iter_batches(batch_size=rows, columns=names), None)
            )
        values = first.to_pydict() if first is not None and names else {}
        cells = [[name, *map(str, values.get(name, ()))] for name in names]
        head = f"{source.fields.rows} rows, {source.fields.width} columns"
        return Preview(text="\n".join([head, *_aligned(cells)]))


def _series() -> tuple[type[Any], ...]:
    return (*imported("pandas", "Series"), *imported("polars", "Series"))


def _package_of(obj: object) -> str:
    """Return the library of a table; ``arrow`` for whatever has one of the protocols, and "" for what is no table."""
    if isinstance(obj, imported("pandas", "DataFrame")):
        return "pandas"
    if isinstance(obj, (*imported("polars", "DataFrame"), *imported("polars", "LazyFrame"))):
        return "polars"
    if isinstance(obj, (*imported("pyarrow", "Table"), *imported("pyarrow", "RecordBatch"))):
        return "pyarrow"
    return "arrow" if hasattr(type(obj), "__arrow_c_stream__") or hasattr(type(obj), "__dataframe__") else ""


# ------------------------------------------------------------------------------------------------------------- writing


def _from_pandas(frame: Any) -> tuple[Any, dict[str, Any]]:
    from molexp_science._frames import encode

    table, hints = encode(frame)
    return table, _exactly(table, {"package": "pandas", "hints": hints})


def _from_polars(frame: Any) -> tuple[Any, dict[str, Any]]:
    """Return a frame as a table, and its schema, in which the file may differ."""
    import polars

    table = frame.to_arrow(compat_level=polars.CompatLevel.oldest())
    note = _exactly(table, {"package": "polars"})
    again: Any = polars.from_arrow(_emptied(table, note))
    for name, type_ in frame.schema.items():
        if (other := again.schema[name]) != type_:
            raise ValueError(f"The column {name!r} is of {type_}, and would be loaded as {other}: cast it.")
    return table, note


def _from_arrow(table: Any) -> tuple[Any, dict[str, Any]]:
    """Return a table of Arrow, or a batch of rows, as a table, and its schema."""
    import pyarrow

    note = {"package": "pyarrow"}
    if isinstance(table, pyarrow.RecordBatch):
        table, note["class"] = pyarrow.Table.from_batches([table]), "RecordBatch"
    _refuse_namesakes(table)
    return table, _exactly(table, note)


def _from_protocol(obj: Any) -> tuple[Any, dict[str, Any]]:
    """Return what speaks a protocol of Arrow as a table."""
    import pyarrow
    from pyarrow import interchange

    try:
        if hasattr(obj, "__arrow_c_stream__"):
            table = pyarrow.RecordBatchReader.from_stream(obj).read_all()
        else:
            table = interchange.from_dataframe(obj)
    except (TypeError, ValueError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"A {class_name(obj)} does not become a table of Arrow: {error}") from error
    _refuse_namesakes(table)
    return table, _exactly(table, {"package": "arrow"})


_ENCODERS: Final = {"pandas": _from_pandas, "polars": _from_polars, "pyarrow": _from_arrow, "arrow": _from_protocol}


def _refuse_namesakes(table: Any) -> None:
    names = table.schema.names
    if twice := sorted({name for name in names if names.count(name) > 1} if len({*names}) < len(names) else ()):
        raise ValueError(f"Two columns have the name {twice[0]!r}: rename one.")


def _exactly(table: Any, note: dict[str, Any]) -> dict[str, Any]:
    """Return a note with the schema of a table, which is restored where the file has other types.

    Raises:
        ValueError: it cannot be restored.
    """
    exact = note | {"schema": _text_of(table.schema)}
    for one, other in zip(table.schema, _emptied(table, exact).schema, strict=True):
        if not one.equals(other, check_metadata=True):
            raise ValueError(f"The column {one.name!r} is of {one.type}, and would be loaded as {other.type}: cast it.")
    return exact


def _emptied(table: Any, note: dict[str, Any]) -> Any:
    """Return a table without rows as a file gives it back.

    Raises:
        ValueError: a column is of a type that no file holds.
    """
    import io

    from pyarrow import parquet

    buffer = io.BytesIO()
    try:
        parquet.write_table(table.slice(0, 0), buffer)
        return _cast(_from_parquet(buffer, "", lambda file: file.read()), note)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise ValueError(f"The table has a type that Parquet does not hold: {error}") from error


def _text_of(schema: Any) -> str:
    return base64.b64encode(schema.serialize().to_pybytes()).decode()


# ------------------------------------------------------------------------------------------------------------- reading


def _read(stream: Any, name: str, columns: Sequence[str] | None = None) -> tuple[Any, dict[str, Any]]:
    """Return what lies in a file as a table of Arrow, and what was noted of it."""

    def read(file: Any) -> Any:
        if unknown := [one for one in columns or () if one not in file.schema_arrow.names]:
            raise KeyError(f"{name!r} has no column {unknown[0]!r}; it has {shorten(file.schema_arrow.names)}")
        return file.read(columns=columns if columns is None else [*columns], use_pandas_metadata=True)

    table = _from_parquet(stream, name, read)
    metadata = dict(table.schema.metadata or {})
    note = json.loads(metadata.pop(_OURS, b'{"package": "pyarrow"}'))
    return _cast(table.replace_schema_metadata(metadata or None), note), note


class _Readable:
    """A binary stream for Arrow, and what Arrow's threads hold of it."""

    closed = False

    def __init__(self, stream: Any) -> None:
        self.seek, self.tell, self._read = stream.seek, stream.tell, stream.read
        self.held: list[weakref.ref[Any]] = [weakref.ref(self)]

    def read(self, size: int = -1) -> memoryview:
        """Return the next bytes, in an object of which one can tell whether somebody has it."""
        data = memoryview(self._read(size))
        self.held.append(weakref.ref(data))
        return data

    def close(self) -> None:
        """Leave the stream to whoever has opened it."""


def _from_parquet(stream: Any, name: str, read: Callable[[Any], Any]) -> Any:
    """Return what `read` takes from a Parquet file in a binary stream, once Arrow's threads have let go of the stream.

    They do so a moment after they have given the table. A process that ends in between is aborted, whatever it has done
    (https://github.com/apache/arrow/issues/34314).
    """
    parquet = library("pyarrow.parquet", name)
    import pyarrow

    readable = _Readable(stream)
    held = readable.held
    file = parquet.ParquetFile(pyarrow.PythonFile(readable, mode="r"))
    del readable
    found = read(file)
    del file
    deadline = time.monotonic() + _LETTING_GO
    while any(one() is not None for one in held) and time.monotonic() < deadline:
        time.sleep(0.0005)
    return found


def _cast(table: Any, note: dict[str, Any]) -> Any:
    """Return a table with the types that were noted, where the file has others."""
    if "schema" not in note:
        return table
    import pyarrow

    schema = pyarrow.ipc.read_schema(pyarrow.py_buffer(base64.b64decode(note["schema"])))
    wanted = pyarrow.schema([schema.field(name) for name in table.schema.names], schema.metadata)
    return table if table.schema.equals(wanted, check_metadata=True) else table.cast(wanted)


def _given_back(table: Any, note: dict[str, Any], name: str) -> Any:
    """Return a table as what it was."""
    package = note["package"]
    if package == "pandas":
        library("pandas", name)
        from molexp_science._frames import decode

        return decode(table, note["hints"])
    if package == "polars":
        return library("polars", name).from_arrow(table)
    if note.get("class") == "RecordBatch":
        import pyarrow

        batches = table.combine_chunks().to_batches()
        return batches[0] if batches else pyarrow.RecordBatch.from_pylist([], schema=table.schema)
    return table


def _aligned(columns: list[list[str]]) -> list[str]:
    """Return the lines of some columns of cells."""
    cut = [[cell if len(cell) <= _WIDEST else f"{cell[: _WIDEST - 1]}…" for cell in one] for one in columns]
    widths = [max(map(len, one)) for one in cut]
    rows = zip(*cut, strict=True)
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
