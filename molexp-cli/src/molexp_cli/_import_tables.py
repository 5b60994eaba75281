"""Tables in text files: CSV with commas or semicolons, tabs, blanks, and JSON lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TABLES = (".csv", ".tsv", ".dat", ".txt", ".jsonl")


def rows_of(file: Path) -> list[dict[str, Any]]:
    """Return the rows of a table by the names in its first line, which may begin with ``#``. Empty cells are left out.

    Raises:
        ValueError: it is none: it has no line of names, or a line with more cells than names.
        OSError: it cannot be read.
    """
    text = file.read_text(encoding="utf-8-sig")
    if file.suffix == ".jsonl":
        return [_object(line, number) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    try:
        lines = [cells for cells in _cells(text, file.suffix) if any(cells)]
    except csv.Error as error:
        raise ValueError(str(error)) from None
    if not lines:
        return []
    names, rows = [name.strip() for name in lines[0]], lines[1:]
    if not all(names) or any(isinstance(_value(name), float | int) for name in names) or len({*names}) < len(names):
        raise ValueError("its first line has no names of columns")
    if any(len(row) > len(names) for row in rows):
        raise ValueError("a line has more cells than there are names in the first")
    return [{name: _value(cell) for name, cell in zip(names, row, strict=False) if cell.strip()} for row in rows]


def _object(line: str, number: int) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except RecursionError:
        raise ValueError(f"line {number} is nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError(f"line {number} is no object")
    return found


def _cells(text: str, suffix: str) -> Iterator[list[str]]:
    lines = text.splitlines()
    if suffix in (".dat", ".txt"):
        lines = [lines[0].lstrip("# ")] + [line for line in lines[1:] if not line.startswith("#")] if lines else []
        return (line.split() for line in lines)
    if lines:
        lines[0] = lines[0].lstrip("# ")
    head = lines[0] if lines else ""
    delimiter = "\t" if suffix == ".tsv" else ";" if head.count(";") > head.count(",") else ","
    return iter(csv.reader(lines, delimiter=delimiter))


def _value(cell: str) -> Any:
    for read in (int, float) if "_" not in cell else ():
        try:
            return read(cell)
        except ValueError:
            continue
    return cell.strip()
