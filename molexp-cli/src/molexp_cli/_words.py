"""Format values, times and sizes for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

_METRICS = 4  # a row has room for this many


def counted(number: int, what: str) -> str:
    """Return a number with what is counted, as in "1 run" and "2 runs"."""
    return f"{number:,}".replace(",", " ") + f" {what}{'' if number == 1 else 's'}"


def place(url: str) -> str:
    """Return where a workspace lies: the path of a folder, or a URL."""
    if not url.startswith("file://"):
        return url
    from urllib.parse import unquote

    return unquote(url.removeprefix("file://"))


def value(found: Any) -> str:
    """Format a value on one line: plain text as it is, everything else as JSON."""
    if isinstance(found, str) and found and found.isprintable() and found.strip() == found:
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
