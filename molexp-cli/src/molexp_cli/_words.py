"""Format values, times and sizes for people."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import isfinite, prod
from typing import Any

_NUMBER = r"[-+]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][-+]?\d+)?"
_LITERAL = re.compile(rf"|{_NUMBER}|true|false|null|nan|-?inf|\[.*]|\{{.*}}")  # texts that look like other values
_METRICS = 4  # a row has room for this many
_LIST = 12  # characters of a list that is shown as it is
_UNITS = ((86400 * 365, "y"), (86400 * 30, "mo"), (86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def counted(number: int, what: str) -> str:
    """Return a number with what is counted, as in "1 run" and "2 runs"."""
    return f"{number:,}".replace(",", " ") + f" {what}{'' if number == 1 else 's'}"


def first(names: Sequence[str], most: int, between: str = ", ") -> str:
    """Join the first names, and count the others."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return between.join(names[:most]) + more


def place(url: str) -> str:
    """Return where a workspace lies: the path of a folder, or a URL."""
    if not url.startswith("file://"):
        return url
    from urllib.parse import unquote

    return unquote(url.removeprefix("file://"))


def nearby(url: str) -> str:
    """Return how you name a workspace from here: a relative path if it lies in this folder, else a path or a URL."""
    import os

    path = place(url)
    here = os.getcwd() + os.sep
    return path.removeprefix(here) if path.startswith(here) else path


def value(found: Any) -> str:
    """Format a value on one line: plain text as it is; everything else as JSON, also text that looks like another value."""
    if isinstance(found, str) and found.isprintable() and found.strip() == found and not _LITERAL.fullmatch(found):
        return found
    if isinstance(found, float) and not isfinite(found):
        return str(found)
    import molexp

    return molexp.to_json(found)


def settings(found: Mapping[str, Any]) -> str:
    """Format names and values on one line, numbers with six digits."""
    return " ".join(f"{name}={short(one)}" for name, one in found.items())


def metrics(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Format the last values of the first metrics on one line, and count the others."""
    names = list(found)
    shown = settings({name: found[name].get("last") for name in names[:_METRICS]})
    return f"{shown} +{len(names) - _METRICS}" if len(names) > _METRICS else shown


def row(found: Sequence[Any]) -> list[str]:
    """Format the values of a row with `short`, or in full where different values would look the same."""
    shown, exact = [short(one) for one in found], [value(one) for one in found]
    return exact if len(set(shown)) < len(set(exact)) else shown


def short(found: Any) -> str:
    """Format a value on one line, numbers with six digits."""
    return f"{found:.6g}" if isinstance(found, float) else value(found)


def moment(time: Any) -> str:
    """Format a time, in UTC or as the record has it, to the second."""
    shown = time.strftime("%Y-%m-%dT%H:%M:%SZ") if hasattr(time, "strftime") else str(time or "")
    return f"{shown[:10]} {shown[11:19]}Z" if len(shown) > 19 and shown[10] == "T" else shown


def standing(status: Any, as_of: Any) -> str:
    """Format a status; add the time of the last sync to that of a run that continues elsewhere."""
    return f"{status} elsewhere, as of {moment(as_of)}" if as_of and status == "running" else str(status)


def size(number: Any) -> str:
    """Format a number of bytes with a unit."""
    if not isinstance(number, int):
        return ""
    amount, unit = float(number), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if amount < 1000 or unit == "TB":
            break
        amount /= 1000
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


def brief(found: Any, figures: int = 4) -> str:
    """Format a value for a cell: numbers with some digits, long lists as their shape, "" for none."""
    if found is None or found == ():
        return ""
    if isinstance(found, float):
        return f"{found:.{figures}g}"
    if isinstance(found, list | tuple):
        if all(isinstance(one, str) for one in found):
            return " ".join(found)
        text = value(found)
        return text if len(text) <= _LIST else f"[{'x'.join(map(str, _shape(found)))}]"
    if name := getattr(found, "name", None):
        return str(name)  # an asset
    return value(found)


def _shape(found: Any) -> list[int]:
    """Return the lengths of lists within lists, as far as all of one level have one length."""
    shape = [len(found)]
    while found and all(isinstance(one, list | tuple) and len(one) == len(found[0]) for one in found):
        found = [inner for one in found for inner in one]
        shape.append(len(found) // max(1, prod(shape)))
    return shape


def digits(numbers: Sequence[float]) -> int:
    """Return how many digits `brief` needs to tell some numbers apart: four, or more where they would look the same."""
    different = len({*numbers})
    return next((some for some in (4, 6, 9) if len({brief(one, some) for one in numbers}) == different), 17)


def cut(text: str, width: int) -> str:
    """Return a text, cut to a width."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def age(time: str) -> str:
    """Format how long ago a time was: "3 min ago"; "" if it is none."""
    seconds = _since(time)
    if seconds is None:
        return ""
    if seconds < 10:
        return "now"
    for size, unit in _UNITS:
        if seconds >= size or size == 1:
            return f"{int(seconds // size)} {unit} ago"
    return ""


def took(started: Any, ended: Any) -> str:
    """Format how long something took, or takes already if it has not ended."""
    since, until = _since(started), _since(ended) if ended else 0.0
    return "" if since is None or until is None else duration(max(0.0, since - until))


def duration(seconds: float) -> str:
    """Format a duration: "0.4 s", "12 s", "4 min 5 s", "2 h 13 min", "3 d 4 h"."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} d {hours % 24} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _since(time: Any) -> float | None:
    """Return the seconds since a time, in ISO 8601; None if it is none."""
    from datetime import UTC, datetime

    try:
        return (datetime.now(UTC) - datetime.fromisoformat(str(time))).total_seconds()
    except (TypeError, ValueError):
        return None
