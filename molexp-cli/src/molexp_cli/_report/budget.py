"""Bytes of a page: how many each part may take, and what was left out for want of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

ROWS, IMAGES, TEXTS = 0.4, 0.25, 0.08
"""Shares of the page that the table, the images, and each of failures and provenance may take at most."""

_POINT = 13  # bytes of a point of a curve, about
_FEWEST, _MOST_POINTS = 24, 2000  # points of a curve


def encoded(found: Any) -> str:
    """Return the JSON text of plain values, as short as it is, in which nothing ends a script or begins a comment."""
    text = json.dumps(found, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode("utf-8", "replace").decode()


def size_of(found: Any) -> int:
    """Return the bytes that plain values take in the page."""
    return len(encoded(found).encode())


class CurvePlan(NamedTuple):
    """The curves that a page has room for.

    Attributes:
        names: names of metrics.
        runs: the number of runs, from the first on.
        points: the greatest number of points of a curve.
        left_out: in words, the curves that there is no room for.
    """

    names: Sequence[str]
    runs: int
    points: int
    left_out: Sequence[str] = ()


def plan_curves(metrics: Sequence[Mapping[str, Any]], room: int) -> CurvePlan:
    """Plan the curves of runs, by the summaries of their metrics: names that more runs have come first.

    Args:
        metrics: for each run, its summaries by name.
        room: bytes for all curves.
    """
    counts = Counter(name for one in metrics for name in one)
    ordered = sorted(counts, key=lambda name: (-counts[name], name))
    if not ordered:
        return CurvePlan((), 0, 0)
    most = max(1, room // (_POINT * _FEWEST))
    names, curves = ordered[:1], counts[ordered[0]]
    for name in ordered[1:]:
        if curves + counts[name] > most:
            break
        names.append(name)
        curves += counts[name]
    runs, left_out = len(metrics), []
    if len(names) < len(ordered):
        left_out.append(f"the curves of {len(ordered) - len(names)} of {len(ordered)} metrics")
    if curves > most:
        with_curves = [at for at, one in enumerate(metrics) if names[0] in one]
        runs, left = with_curves[most - 1] + 1, len(with_curves) - most
        left_out.append(f"the curves of the {left} oldest runs")
    points = room // (_POINT * min(curves, most))
    return CurvePlan(names, runs, max(_FEWEST, min(points, _MOST_POINTS)), left_out)
