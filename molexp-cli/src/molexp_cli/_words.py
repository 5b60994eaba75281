"""Values, times and sizes as people read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

_METRICS = 4  # that a row has room for


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


def metrics(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The last values of the first metrics by name on one line, and how many more there are."""
    names = list(found)
    shown = settings({name: found[name].get("last") for name in names[:_METRICS]})
    return f"{shown} +{len(names) - _METRICS}" if len(names) > _METRICS else shown


def row(found: Sequence[Any]) -> list[str]:
    """Values beside each other, as `short` has them, unless two that differ would look the same."""
    shown, exact = [short(one) for one in found], [value(one) for one in found]
    return exact if len(set(shown)) < len(set(exact)) else shown


def short(found: Any) -> str:
    """A value on one line, numbers to six digits."""
    return f"{found:.6g}" if isinstance(found, float) else value(found)


def moment(text: Any) -> str:
    """A time of the record, without what nobody reads."""
    shown = str(text or "")
    return f"{shown[:10]} {shown[11:19]}Z" if len(shown) > 19 and shown[10] == "T" else shown


def standing(status: Any, as_of: Any) -> str:
    """Return where a run or an attempt stands; of one that goes on elsewhere, as of when."""
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
