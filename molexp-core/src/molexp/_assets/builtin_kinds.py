"""The built-in asset kinds, registered like anybody's."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from molexp._assets.assets import (
    ArtifactAsset,
    CheckpointAsset,
    DataAsset,
    ErrorTraceAsset,
    ExecutionStateAsset,
    LogAsset,
    MetricsAsset,
    own_fields,
)
from molexp._record.folding import Contents
from molexp._record.metrics import whole_lines
from molexp._storage.hashing import CHUNK
from molexp._values.documents import decode, decode_lines, encode_line, encode_pretty
from molexp._values.numbers import integer
from molexp._values.paths import is_remote
from molexp._values.plain import plain, restore
from molexp._values.text_files import refuse_special
from molexp.contracts import AssetKind, Sink, Source
from molexp.contracts._assets import Asset
from molexp.errors import AssetError, CorruptRecordError, MolexpError, NoKindError

WHAT_FILES_TAKE = (
    "dict and list are saved as JSON, str as text, bytes as they are, a pathlib.Path as a copy of its file; for "
    "anything else write a file with `with ctx.artifact.writing(NAME) as path`, or install a kind that accepts it."
)


class FileKind(AssetKind[Any]):
    """Anything that is a file by nature: dict and list as JSON, str as text, bytes as they are, `Path` as a copy."""

    def save(self, obj: Any, sink: Sink) -> Mapping[str, Any]:
        """Write the bytes; returns their format."""
        if isinstance(obj, dict | list | tuple):
            data, form = encode_pretty(plain(obj, where=sink.name, nan=True)), "json"
        elif isinstance(obj, str):
            _refuse_file_name(sink.name, obj)
            data, form = obj.encode(), "text"
        elif isinstance(obj, bytes | bytearray | memoryview):
            data, form = bytes(obj), "binary"
        elif isinstance(obj, Path) or is_remote(obj):
            return self._copy(obj, sink)
        else:
            raise NoKindError(sink.name, type(obj).__qualname__, hint=WHAT_FILES_TAKE)
        sink.write(data)
        return {"format": form}

    def load(self, source: Source) -> Any:
        """Return a JSON value, a text, or bytes, as its record says.

        Raises:
            AssetError: a file that was given is not JSON, though its name says so.
        """
        data = _bytes_of(source)
        match source.fields.get("format"):
            case "json":
                if source.fields.get("from_file"):
                    return _read_json(data, source.name)
                try:
                    return restore(decode(data, source.name))
                except CorruptRecordError:  # a file, given when records did not say so
                    return _read_json(data, source.name)
            case "text":
                return data.decode("utf-8")
            case _:
                return data

    def describe(self, asset: Asset) -> str:
        """Return one line for people."""
        return f"{self.name} {asset.name!r}, {asset.size} bytes, {asset.fields.get('format', 'binary')}"

    def _copy(self, path: Path, sink: Sink) -> Mapping[str, Any]:
        if path.is_dir():
            raise NoKindError(
                sink.name, "folder", hint="Save its files one by one, or import it with data_assets.import_asset."
            )
        refuse_special(path)
        with path.open("rb") as file, sink.open() as stream:
            while chunk := file.read(CHUNK):
                stream.write(chunk)
        return {"format": format_of(path.name), "from_file": True}


def _bytes_of(source: Source) -> bytes:
    with source.open() as stream:
        return stream.read()


def format_of(name: str) -> str:
    """Return the format of a file of this name."""
    return "json" if name.lower().endswith(".json") else "binary"


def _read_json(data: bytes, name: str) -> Any:
    """Return what is in somebody else's file, by the rules of Python's `json`: with NaN, in UTF-8, -16 or -32; nothing is a tag."""
    with suppress(CorruptRecordError):
        return decode(data, name)
    import json

    try:
        return json.loads(data, parse_int=integer)
    except (ValueError, RecursionError) as error:
        raise AssetError(
            f"{name!r} is a file as it was given, and no JSON document ({error}). Read it with read_bytes() or open().",
            name=name,
        ) from None


def _refuse_file_name(name: str, text: str) -> None:
    if 0 < len(text) < 1024 and "\n" not in text and "\0" not in text and os.path.isfile(text):
        raise NoKindError(
            name,
            "str that names an existing file",
            hint=f"To save the file, pass Path({text!r}); to save the text itself, pass it as bytes.",
        )


class ArtifactKind(FileKind):
    """A file that a run produced."""

    name = "artifact"
    fields = own_fields(ArtifactAsset)
    record = ArtifactAsset

    def accepts(self, obj: Any, /) -> bool:
        """Tell whether `save` can write it."""
        return isinstance(obj, dict | list | tuple | str | bytes | bytearray | memoryview | Path) or is_remote(obj)


class CheckpointKind(FileKind):
    """A state from which work can go on."""

    name = "checkpoint"
    fields = own_fields(CheckpointAsset)
    folder = "checkpoints"
    record = CheckpointAsset


class _Written(AssetKind[Any]):
    """A kind whose payload a context writes as the run goes on, never by `save`."""

    unsaved = True

    def save(self, obj: Any, sink: Sink) -> Mapping[str, Any]:
        """Raise, always: there is another way to write one."""
        how = {"data": "import it with data_assets.import_asset", "log": "append to ctx.log(NAME)"}.get(self.name)
        raise MolexpError(
            f"Nothing is saved as {self.name!r} ({sink.name!r}): {how or 'the context writes these by itself'}."
        )


class LogKind(_Written):
    """Lines that a run wrote as it went; loads as text."""

    name = "log"
    suffix = ".log"
    folder = "logs"
    record = LogAsset

    def load(self, source: Source) -> str:
        """Return the whole text."""
        return _bytes_of(source).decode("utf-8", "replace")


class MetricsKind(_Written):
    """Numbers by step; loads as a sequence of dicts with ``step``, ``time`` and the values."""

    name = "metrics"
    suffix = ".jsonl"
    folder = "logs"
    record = MetricsAsset

    def load(self, source: Source) -> Sequence[dict[str, Any]]:
        """Return the points in the order in which they were logged; a torn last line of a killed run is left out."""
        from molexp._assets.metric_columns import Points, pieces_of

        return Points(pieces_of(self.pieces(source)))

    @staticmethod
    def pieces(source: Source) -> Iterator[list[dict[str, Any]]]:
        """Yield the points, many at a time. That a line is none, a warning says."""
        wrong = 0
        for data in whole_lines(source.open()):
            points, _, bad = decode_lines(data, source.name)
            wrong += bad
            yield list(map(restore, points)) if b"$" in data else points
        if wrong:
            warnings.warn(f"{wrong} lines of {source.name!r} are no points, and are left out.", stacklevel=3)


class ErrorTraceKind(_Written):
    """The traceback of what ended an attempt or a task; loads as text."""

    name = "error_trace"
    fields = own_fields(ErrorTraceAsset)
    suffix = ".txt"
    folder = "logs"
    record = ErrorTraceAsset

    def save(self, obj: Any, sink: Sink) -> Mapping[str, Any]:
        """Write a traceback's text."""
        sink.write(str(obj).encode("utf-8", "backslashreplace"))
        return {}

    def load(self, source: Source) -> str:
        """Return the traceback."""
        return _bytes_of(source).decode("utf-8", "replace")


class ExecutionStateKind(_Written):
    """Tell what became of the tasks of a workflow; this loads as a dict with ``workflow`` and ``tasks``.

    Its payload is the attempt's own events, in which every task was recorded as it went; on storage without append a
    document that says the same.
    """

    name = "execution_state"
    suffix = ".json"
    folder = "checkpoints"
    record = ExecutionStateAsset

    def save(self, obj: Any, sink: Sink) -> Mapping[str, Any]:
        """Write one document."""
        sink.write(encode_line(obj))
        return {}

    def load(self, source: Source) -> dict[str, Any]:
        """Return the newest record of each task, by name."""
        events, _, _ = decode_lines(_bytes_of(source), source.name)
        if len(events) == 1 and "tasks" in events[0]:
            return events[0]
        contents = Contents()
        for event in events:
            contents.add(event)
        return {"workflow": contents.workflow, "tasks": contents.tasks}


class DataKind(_Written):
    """Imported files; loads as the local path to them."""

    name = "data"
    fields = own_fields(DataAsset)
    record = DataAsset

    def load(self, source: Source) -> Path:
        """Return the path to the file or folder."""
        return source.path()


BUILTIN: tuple[type[AssetKind[Any]], ...] = (
    ArtifactKind,
    CheckpointKind,
    DataKind,
    ErrorTraceKind,
    ExecutionStateKind,
    LogKind,
    MetricsKind,
)
