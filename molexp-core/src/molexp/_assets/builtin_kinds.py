"""The built-in asset kinds, registered like anybody's."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from molexp._assets.assets import (
    ArtifactAsset,
    ArtifactFields,
    CheckpointAsset,
    CheckpointFields,
    DataAsset,
    DataFields,
    ErrorTraceAsset,
    ErrorTraceFields,
    ExecutionStateAsset,
    FileFields,
    LogAsset,
    MetricsAsset,
)
from molexp._record.folding import Contents
from molexp._values.documents import decode, decode_lines, encode_line, encode_pretty, integer
from molexp._values.paths import is_local, is_remote
from molexp._values.plain import plain, restore
from molexp._values.text_files import refuse_special
from molexp.contracts import AssetKind, NoFields, Preview, Sink, Source
from molexp.contracts._assets import Asset
from molexp.contracts._copying import copy_stream
from molexp.errors import AssetError, CorruptRecordError, MolexpError, NoKindError

if TYPE_CHECKING:
    from pathlib import Path

FILE_TYPES = (
    *("builtins.dict", "builtins.list", "builtins.tuple", "builtins.str"),
    *("builtins.bytes", "builtins.bytearray", "builtins.memoryview", "pathlib.Path"),
)
"""The types that are saved as artifacts; no other kind can have them."""

WHAT_FILES_TAKE = (
    "dict and list are saved as JSON, str as text, bytes as they are, a pathlib.Path as a copy of its file; for "
    "anything else write a file with `with ctx.artifact.writing(NAME) as path`, or install a kind that accepts it."
)


_AS_JSON = (dict, list, tuple)
_AS_BYTES = (bytes, bytearray, memoryview)
_TAKEN = (*_AS_JSON, str, *_AS_BYTES)

Files = TypeVar("Files", bound=FileFields)
T = TypeVar("T")
F = TypeVar("F")


class FileKind(AssetKind[Any, Files]):
    """Anything that is a file by nature: dict and list as JSON, str as text, bytes as they are, `Path` as a copy."""

    def save(self, obj: Any, sink: Sink) -> Files:
        """Write the bytes; returns their format."""
        data: bytes | None = None
        if isinstance(obj, _AS_JSON):
            data, form = encode_pretty(plain(obj, where=sink.name, nan=True)), "json"
        elif isinstance(obj, str):
            _refuse_file_name(sink.name, obj)
            data, form = _encoded(obj, sink.name), "text"
        elif isinstance(obj, _AS_BYTES):
            data, form = bytes(obj), "binary"
        elif is_local(obj) or is_remote(obj):
            form = self._copy(obj, sink)
        else:
            raise NoKindError(sink.name, type(obj).__qualname__, hint=WHAT_FILES_TAKE)
        if data is not None:
            sink.write(data)
        found: Files = self.fields(format=form, from_file=data is None)
        return found

    def load(self, source: Source[Files]) -> Any:
        """Return a JSON value, a text, or bytes, as its record says.

        Raises:
            AssetError: a file that was given is not JSON, though its name says so.
        """
        data = _bytes_of(source)
        match source.fields.format:
            case "json":
                if source.fields.from_file:
                    return _read_json(data, source.name)
                try:
                    return restore(decode(data, source.name))
                except CorruptRecordError:  # a file, given when records did not say so
                    return _read_json(data, source.name)
            case "text":
                return data.decode("utf-8")
            case _:
                return data

    def describe(self, asset: Asset, /) -> str:
        """Return one line for people."""
        return f"{self.name} {asset.name!r}, {asset.size} bytes, {asset.fields.format}"

    def preview(self, source: Source[Files], /) -> Preview:
        """Show JSON on several lines, the beginning of a text, or an image."""
        from molexp._assets.previews import preview_of_file

        return preview_of_file(source.open(), is_json=source.fields.format == "json")

    def _copy(self, path: Path, sink: Sink) -> str:
        """Write the bytes of a file; returns its format."""
        if path.is_dir():
            raise NoKindError(
                sink.name, "folder", hint="Save its files one by one, or import it with data_assets.import_asset."
            )
        refuse_special(path)
        with path.open("rb") as file, sink.open() as stream:
            copy_stream(file, stream)
        return format_of(path.name)


def _bytes_of(source: Source[Any]) -> bytes:
    with source.open() as stream:
        return stream.read()


def in_order(texts: Iterable[str]) -> str:
    """Return texts of several attempts, one after the other; each begins on a line of its own."""
    found = ""
    for text in texts:
        found += f"\n{text}" if text and found and found[-1] not in "\r\n" else text
    return found


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


def _encoded(text: str, name: str) -> bytes:
    """Return the bytes of a text.

    Raises:
        SerializationError: it has a lone surrogate; says where.
    """
    try:
        return text.encode()
    except UnicodeEncodeError:
        plain(text, where=name, nan=True)
        raise


def _refuse_file_name(name: str, text: str) -> None:
    if 0 < len(text) < 1024 and "\n" not in text and "\0" not in text and os.path.isfile(text):
        raise NoKindError(
            name,
            "str that names an existing file",
            hint=f"To save the file, pass Path({text!r}); to save the text itself, pass it as bytes.",
        )


class ArtifactKind(FileKind[ArtifactFields]):
    """A file that a run produced."""

    name = "artifact"
    types = FILE_TYPES
    record = ArtifactAsset

    def accepts(self, obj: Any, /) -> bool:
        """Tell whether `save` can write it."""
        return isinstance(obj, _TAKEN) or is_local(obj) or is_remote(obj)

    def restores(self, obj: Any, /) -> bool:
        """Tell whether it is bytes: a bytearray, say, would come back as such, too."""
        return type(obj) is bytes


class CheckpointKind(FileKind[CheckpointFields]):
    """A state from which work can go on."""

    name = "checkpoint"
    folder = "checkpoints"
    record = CheckpointAsset

    def describe(self, asset: Asset, /) -> str:
        """Return one line for people."""
        step = asset.fields.step
        return super().describe(asset) + (f", at step {step}" if step is not None else "")


class _Written(AssetKind[T, F]):
    """A kind whose payload a context writes as the run goes on, never by `save`."""

    unsaved = True

    def save(self, obj: T, sink: Sink) -> F:
        """Raise, always: there is another way to write one."""
        how = {"data": "import it with data_assets.import_asset", "log": "append to ctx.log(NAME)"}.get(self.name)
        raise MolexpError(
            f"Nothing is saved as {self.name!r} ({sink.name!r}): {how or 'the context writes these by itself'}."
        )


class LogKind(_Written[str, NoFields]):
    """Lines that a run wrote as it went; loads as text."""

    name = "log"
    suffix = ".log"
    folder = "logs"
    record = LogAsset

    def load(self, source: Source[NoFields]) -> str:
        """Return the whole text."""
        return _bytes_of(source).decode("utf-8", "replace")

    def merge(self, parts: Sequence[str], /) -> str:
        """Return the text of all attempts, one after the other."""
        return in_order(parts)

    def preview(self, source: Source[NoFields], /) -> Preview:
        """Show the last lines."""
        from molexp._assets.previews import preview_of_end

        return preview_of_end(source.open())


class MetricsKind(_Written[Sequence[dict[str, Any]], NoFields]):
    """Numbers by step; loads as a sequence of dicts with ``step``, ``time`` and the values."""

    name = "metrics"
    suffix = ".jsonl"
    folder = "logs"
    record = MetricsAsset

    def load(self, source: Source[NoFields]) -> Sequence[dict[str, Any]]:
        """Return the points in the order in which they were logged; a torn last line of a killed run is left out."""
        from molexp._assets.metric_columns import Points
        from molexp._assets.metric_files import read_pieces

        return Points(read_pieces(source))

    def preview(self, source: Source[NoFields], /) -> Preview:
        """Show the last points."""
        from molexp._assets.previews import preview_of_end

        return preview_of_end(source.open())


class ErrorTraceKind(AssetKind[str, ErrorTraceFields]):
    """The traceback of what ended an attempt or a task; loads as text."""

    name = "error_trace"
    unsaved = True
    suffix = ".txt"
    folder = "logs"
    record = ErrorTraceAsset

    def save(self, obj: str, sink: Sink) -> ErrorTraceFields:
        """Write a traceback's text."""
        sink.write(obj.encode("utf-8", "backslashreplace"))
        return ErrorTraceFields()

    def load(self, source: Source[ErrorTraceFields]) -> str:
        """Return the traceback."""
        return _bytes_of(source).decode("utf-8", "replace")

    def describe(self, asset: Asset, /) -> str:
        """Return the error in one line."""
        fields = asset.fields
        message = " ".join(fields.message.split())[:200]
        return f"traceback of {fields.type}: {message}" + (f", in the task {fields.task!r}" if fields.task else "")

    def preview(self, source: Source[ErrorTraceFields], /) -> Preview:
        """Show the last lines."""
        from molexp._assets.previews import preview_of_end

        return preview_of_end(source.open())


class ExecutionStateKind(AssetKind[dict[str, Any], NoFields]):
    """Tell what became of the tasks of a workflow; this loads as a dict with ``workflow`` and ``tasks``.

    Its payload is the attempt's own events, in which every task was recorded as it went; on storage without append a
    document that says the same.
    """

    name = "execution_state"
    unsaved = True
    suffix = ".json"
    folder = "checkpoints"
    record = ExecutionStateAsset

    def save(self, obj: dict[str, Any], sink: Sink) -> NoFields:
        """Write one document."""
        sink.write(encode_line(obj))
        return NoFields()

    def load(self, source: Source[NoFields]) -> dict[str, Any]:
        """Return the newest record of each task, by name."""
        events, _, _ = decode_lines(_bytes_of(source), source.name)
        if len(events) == 1 and "tasks" in events[0]:
            return events[0]
        contents = Contents()
        for event in events:
            contents.add(event)
        return {"workflow": contents.workflow, "tasks": contents.tasks}

    def describe(self, asset: Asset, /) -> str:
        """Return one line for people."""
        return f"the outcomes of the tasks of a workflow, {asset.size} bytes"

    def preview(self, source: Source[NoFields], /) -> Preview:
        """Show what became of each task."""
        from molexp._assets.previews import preview_of_tasks

        return preview_of_tasks(self.load(source)["tasks"])


class DataKind(_Written["Path", DataFields]):
    """Imported files; loads as the local path to them."""

    name = "data"
    record = DataAsset

    def load(self, source: Source[DataFields]) -> Path:
        """Return the path to the file or folder."""
        return source.path()

    def describe(self, asset: Asset, /) -> str:
        """Return one line for people."""
        fields = asset.fields
        files = f"{fields.files} file{'' if fields.files == 1 else 's'}"
        what = f"a folder of {files}" if fields.directory else "a file"
        whence = fields.source or fields.source_asset or fields.source_key
        return f"{what} of {asset.size} bytes" + (f", imported from {whence}" if whence else "")

    def preview(self, source: Source[DataFields], /) -> Preview:
        """Show the beginning of a text, or an image; of a folder, nothing."""
        from molexp._assets.previews import preview_of_file

        if source.fields.directory:
            return Preview()
        return preview_of_file(source.open(), is_json=source.name.lower().endswith(".json"))


BUILTIN: tuple[type[AssetKind[Any, Any]], ...] = (
    ArtifactKind,
    CheckpointKind,
    DataKind,
    ErrorTraceKind,
    ExecutionStateKind,
    LogKind,
    MetricsKind,
)
