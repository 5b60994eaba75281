"""Words for what the record has: values as cells, logs as text, times between moments."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import molexp as me
from molexp_web._pages.rendering import moment

_ESCAPES = re.compile(r"\x1b(?:\[[0-9;:?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_DEEPEST = 6
_CELL = 400  # letters of a value that are shown in a cell


def flat(found: Mapping[str, Any], above: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield nested values under dotted names."""
    for name, value in found.items():
        if isinstance(value, Mapping) and value and depth < _DEEPEST:
            yield from flat(value, f"{above}{name}.", depth + 1)
        else:
            yield f"{above}{name}", value


def cell(value: Any) -> Any:
    """Return a value for a cell: numbers as they are, everything else as text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple | set | frozenset) and all(isinstance(one, str) for one in value):
        value = ", ".join(sorted(value) if isinstance(value, set | frozenset) else value)
    if not isinstance(value, str):
        try:
            value = me.to_json(value)
        except (me.errors.SerializationError, TypeError):
            value = str(value)
    return value if len(value) <= _CELL else f"{value[:_CELL]}…"


def is_number(value: Any) -> bool:
    """Tell whether a cell stands on the right."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def lines_of(lines: Iterable[str]) -> str:
    """Return lines of a log as text: without colours, and of a line that was written over, what was seen last."""
    return "\n".join(_CONTROL.sub("", _ESCAPES.sub("", line.rstrip("\r\n").rpartition("\r")[2])) for line in lines)


def took(start: Any, end: Any) -> float | None:
    """Return the seconds between two moments of the record; None where one of them is missing."""
    began, ended = moment(start), moment(end)
    return (ended - began).total_seconds() if began and ended else None
