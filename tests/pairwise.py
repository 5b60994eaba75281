"""Choose, of all combinations of some values, those that bring every two of them together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, product
from typing import Any

import pytest


def pairwise(*axes: Sequence[object]) -> list[Any]:
    """Return all combinations as parameters; those whose pairs of values are in others, too, are marked `long`."""
    left = {one: {*combinations(enumerate(one), 2)} for one in product(*axes)}
    chosen = set()
    while any(left.values()):
        best = max(left, key=lambda one: len(left[one]))
        chosen.add(best)
        left = {one: pairs - left[best] for one, pairs in left.items()}
    return [pytest.param(*one, marks=[] if one in chosen else [pytest.mark.long]) for one in left]
