"""Tell the first values that a test is played with from the others, which say nothing more about S3."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

PLACES = ("pair", "place")  # parameters that are no values


def later_values(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """Return all but the first item of each test, at each place where it is played."""
    seen, later = set(), []
    for item in items:
        varied = getattr(item, "callspec", None)
        test = (item.nodeid.partition("[")[0], *(varied.params.get(name) for name in PLACES if varied))
        if test in seen:
            later.append(item)
        seen.add(test)
    return later
