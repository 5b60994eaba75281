"""Values, times and sizes as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any


def value(found: Any) -> str:
    """A value on one line: text as it is if that is clear, everything else as JSON."""
    if isinstance(found, str) and found and found.isprintable() and found.strip() == found:
        return found
    if isinstance(found, float) and not isfinite(found):
        return str(found)
    import molexp

    return molexp.to_json(found)


def settings(found: Mapping[str, Any]) -> str:
    """Values by name on one line; numbers to six digits."""
    return " ".join(f"{name}={short(one)}" for name, one in found.items())


def short(found: Any) -> str:
    """A value on one line, numbers to six digits."""
    return f"{found:.6g}" if isinstance(found, float) else value(found)


def moment(text: Any) -> str:
    """A time of the record, without what nobody reads."""
    shown = str(text or "")
    return f"{shown[:10]} {shown[11:19]}Z" if len(shown) > 19 and shown[10] == "T" else shown


def standing(status: Any, as_of: Any) -> str:
    """Where a run or an attempt stands; of one that goes on elsewhere, as of when."""
    return f"{status} elsewhere, as of {moment(as_of)}" if as_of and status == "running" else str(status)


def size(number: Any) -> str:
    """Bytes."""
    if not isinstance(number, int):
        return ""
    amount, unit = float(number), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if amount < 1000 or unit == "TB":
            break
        amount /= 1000
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
