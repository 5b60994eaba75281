"""Show people the files of built-in kinds: the beginning of a text, the end of a log, JSON on several lines, an image."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import IO, Any

import msgspec

from molexp.contracts import Preview

_READ = 1 << 16  # bytes that are read of a text
_IMAGE = 1 << 23  # bytes up to which an image is shown
_LINES, _WIDTH = 40, 160  # of a preview
_PNG = b"\x89PNG\r\n\x1a\n"


def preview_of_file(stream: IO[bytes], *, is_json: bool) -> Preview:
    """Return a preview of a file: a PNG image as it is, or the beginning of a text; of other bytes, nothing."""
    with stream:
        data = stream.read(_READ)
        more = len(data) == _READ
        if data.startswith(_PNG):
            size = f"PNG image, {_number(data[16:20])} x {_number(data[20:24])}"
            rest = stream.read(_IMAGE + 1 - len(data))
            return Preview(text=size, png=data + rest if len(data) + len(rest) <= _IMAGE else b"")
    text = _text_of(data, is_cut=more)
    if text is None:
        return Preview()
    if is_json and not more:
        try:
            text = msgspec.json.format(text, indent=2)
        except msgspec.DecodeError:
            pass  # a file as it was given, which is no JSON
    lines = text.splitlines()
    return Preview(text=_shown(lines[:_LINES], more=more or len(lines) > _LINES))


def preview_of_end(stream: IO[bytes]) -> Preview:
    """Return a preview of what grew line by line: the end of it."""
    with stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - _READ))
        lines = stream.read(_READ).decode("utf-8", "replace").splitlines()
    shown = _shown(lines[-_LINES:], more=False)
    return Preview(text=f"...\n{shown}" if size > _READ or len(lines) > _LINES else shown)


def preview_of_tasks(tasks: Mapping[str, Any]) -> Preview:
    """Return a preview of the state of a workflow: a line for each task."""
    lines = [f"{name}: {record.get('status')}" for name, record in tasks.items() if isinstance(record, Mapping)]
    return Preview(text=_shown(lines[:_LINES], more=len(lines) > _LINES))


def _shown(lines: Iterable[str], *, more: bool) -> str:
    """Return lines as they are shown: no longer than people read, and without what a terminal would take for a command."""
    shown = [line if len(line) <= _WIDTH else f"{line[: _WIDTH - 3]}..." for line in lines]
    clean = [
        "".join(c if c.isprintable() or c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in line) for line in shown
    ]
    return "\n".join([*clean, "..."] if more else clean)


def _text_of(data: bytes, *, is_cut: bool) -> str | None:
    """Return bytes as text, without half a character at the end; None if they are none."""
    if b"\0" in data:
        return None
    for end in range(4 if is_cut else 1):
        try:
            return data[: len(data) - end].decode("utf-8")
        except UnicodeDecodeError:
            continue
    return None


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")
