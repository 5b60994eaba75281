"""Previews of assets, by their kinds and by the ends of their names; only as much is read as is shown."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import IO, TYPE_CHECKING, Any

from molexp.errors import MolexpError
from molexp_web.panels import Panel

if TYPE_CHECKING:
    from molexp import Asset

IMAGES = {"png", "jpg", "jpeg", "gif", "webp", "svg", "bmp", "avif"}
ATOMS = {"xyz": "xyz", "extxyz": "xyz", "cif": "cif", "pdb": "pdb", "sdf": "sdf", "mol": "sdf", "mol2": "mol2"}
_TABLES = {"csv": ",", "tsv": "\t"}
_TEXTS = {
    "txt",
    "log",
    "md",
    "rst",
    "py",
    "toml",
    "yaml",
    "yml",
    "ini",
    "cfg",
    "in",
    "out",
    "xml",
    "html",
    "htm",
    "jsonl",
}
_TEXTS |= {"json", "inp", "err", "sh", "dat", "tex"}

OUTSIDE = "Its bytes are those of a file outside of the workspace, and not shown here. `molexp assets get` copies them."
_LARGEST_IMAGE = 20 << 20  # bytes of an image that a page shows
_LARGEST_ATOMS = 4 << 20
_READ = 64 << 10  # bytes of a text that are read, and shown
_WHOLE_JSON = 1 << 20  # bytes of a JSON file that is written anew, on several lines
_LONGEST_VALUE = 4 << 20  # bytes of a value of a Parquet file, on average
_ROWS, _COLUMNS, _CELL = 50, 40, 200


@dataclass(frozen=True)
class Preview:
    """The preview of an asset.

    Attributes:
        form: ``image``, ``pdf``, or "" where panels are all there is.
        panels: the panels, in their order.
        problem: in words, why it cannot be read.
    """

    form: str = ""
    panels: tuple[Panel, ...] = ()
    problem: str = ""


def suffix_of(asset: Asset) -> str:
    """Return the end of a name, without the dot: of the file, else of the asset."""
    for name in (asset.key.rpartition("/")[2], asset.name):
        _, dot, end = name.rpartition(".")
        if dot:
            return end.lower()
    return ""


def is_image(asset: Asset) -> bool:
    """Tell whether a browser shows it as an image."""
    return suffix_of(asset) in IMAGES and asset.size <= _LARGEST_IMAGE and not lies_outside(asset)


def lies_outside(asset: Asset) -> bool:
    """Tell whether its bytes lie outside of the workspace: data by a link, of which a stranger's record may name any file."""
    return asset.kind == "data" and asset.to_dict()["fields"].get("external") is True


def preview_of(asset: Asset, plugins: Iterable[Panel] = ()) -> Preview:
    """Return the preview of an asset; what cannot be read is a problem in words.

    Args:
        asset: the asset.
        plugins: panels of plugins for its kind, which come first.
    """
    if lies_outside(asset):
        return Preview("", (), OUTSIDE)
    first = tuple(plugins)
    suffix = suffix_of(asset)
    if is_image(asset):
        return Preview("image", first)
    if suffix == "pdf":
        return Preview("pdf", first)
    if first:
        return Preview("", first)
    try:
        return Preview("", tuple(_panels(asset, suffix)))
    except (MolexpError, OSError, ValueError, RecursionError) as error:
        return Preview("", (), str(error) or type(error).__name__)


def _panels(asset: Asset, suffix: str) -> Iterator[Panel]:
    if suffix in ATOMS and asset.size <= _LARGEST_ATOMS:
        with asset.open() as stream:
            yield Panel(structure=_read(stream, _LARGEST_ATOMS).decode("utf-8", "replace"), format=ATOMS[suffix])
    elif suffix in _TABLES:
        yield _csv(asset, _TABLES[suffix])
    elif suffix in ("parquet", "pq"):
        yield parquet_rows(asset)
    elif suffix == "json" and asset.size <= _WHOLE_JSON:
        yield _json(asset)
    elif suffix in _TEXTS or asset.kind in ("log", "error_trace", "metrics"):
        yield _text(asset)
    else:
        found = asset.preview()
        if found is not None and (found.png or found.html or found.text):
            yield Panel(
                png=found.png,
                html="" if found.png else found.html,
                text="" if found.png or found.html else found.text,
            )


def _json(asset: Asset) -> Panel:
    with asset.open() as stream:
        data = _read(stream, _WHOLE_JSON)
    text = ""
    try:
        for piece in json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(json.loads(data)):
            if len(text) > _READ:  # indents may be a thousand times as long as the file
                break
            text += piece
    except ValueError:
        return _text(asset)
    return Panel(text=text[:_READ], note=f"The first {_READ} letters." if len(text) > _READ else "")


def _text(asset: Asset) -> Panel:
    with asset.open() as stream:
        data = _read(stream, _READ)
    if b"\0" in data:
        return Panel(note="It is no text, and no plugin shows files of its kind.")
    return Panel(text=data.decode("utf-8", "replace"), note=_left(asset.size, _READ, "bytes"))


def _csv(asset: Asset, separator: str) -> Panel:
    with asset.open() as stream:
        text = _read(stream, _READ).decode("utf-8-sig", "replace")
    lines = text.splitlines()
    whole = asset.size <= _READ
    rows = [*islice(csv.reader(lines if whole else lines[:-1], delimiter=separator), _ROWS + 1)]
    if not rows:
        return Panel(text=text)
    head, *body = rows
    shown = [[_cell(one) for one in row[:_COLUMNS]] + [""] * (min(len(head), _COLUMNS) - len(row)) for row in body]
    notes = [f"The first {len(shown)} rows." if len(lines) > len(rows) or not whole else ""]
    notes.append(_left(len(head), _COLUMNS, "columns"))
    return Panel(columns=head[:_COLUMNS], rows=shown, note=" ".join(filter(None, notes)))


def parquet_rows(asset: Asset) -> Panel:
    """Return the first rows of a Parquet file: only these are read."""
    try:
        from pyarrow import ArrowException, parquet
    except ModuleNotFoundError:
        return Panel(note="To see the rows of a Parquet file here, install pyarrow.")
    try:
        with asset.open() as stream:
            # With a buffer, pages are read one by one, and not whole groups of rows.
            facts = parquet.read_metadata(stream)
            texts = [*_texts(facts)]
            file = parquet.ParquetFile(
                stream, metadata=facts, buffer_size=_READ, pre_buffer=False, read_dictionary=texts
            )
            names = file.schema_arrow.names
            batch = next(file.iter_batches(_ROWS, columns=names[:_COLUMNS]), None)
            total = file.metadata.num_rows
        # A value that a dictionary has once may be long: it becomes a cell before the next one is looked at.
        cells = [] if batch is None else [[_cell(one.as_py()) for one in column] for column in batch.columns]
    except ArrowException as error:  # not all of these are ValueErrors
        raise ValueError(f"It cannot be read as Parquet: {error}") from None
    rows = [*zip(*cells, strict=True)]
    notes = [
        f"The first {len(rows)} of {total} rows." if total > len(rows) else "",
        _left(len(names), _COLUMNS, "columns"),
    ]
    return Panel(
        columns=names[:_COLUMNS],
        rows=rows,
        note=" ".join(filter(None, notes)),
    )


def _texts(facts: Any) -> Iterator[str]:
    """Yield the columns of texts, whose repeated values are read once.

    Raises:
        ValueError: the values of a column are too long to be read for a preview.
    """
    for number in range(min(facts.num_columns, _COLUMNS)):
        column = facts.schema.column(number)
        if column.physical_type != "BYTE_ARRAY":
            continue
        if column.logical_type.type in ("STRING", "NONE") and "." not in column.path:
            yield str(column.path)
        if facts.num_row_groups:
            chunk = facts.row_group(0).column(number)
            if chunk.total_uncompressed_size > max(chunk.num_values, 1) * _LONGEST_VALUE:
                raise ValueError(
                    f"The values of {column.path!r} are too long to be shown: {_LONGEST_VALUE} bytes and more."
                )


def _cell(value: Any) -> Any:
    if isinstance(value, int | float) or value is None:
        return value
    text = str(value)
    return text if len(text) <= _CELL else f"{text[:_CELL]}…"


def _left(size: int, shown: int, what: str) -> str:
    return f"The first {shown} of {size} {what}." if size > shown else ""


def _read(stream: IO[bytes], size: int) -> bytes:
    """Return at most so many bytes; raw streams may return fewer at a time."""
    found = b""
    while len(found) < size and (piece := stream.read(size - len(found))):
        found += piece
    return found
