"""Fewer points for a picture: the first, the last, and the least and greatest of each stretch are among them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import molexp as me

numbers = st.floats(width=32, allow_nan=True, allow_infinity=True)


@given(st.lists(numbers, max_size=200), st.integers(4, 60), st.booleans())
def test_what_is_kept_are_points_in_order_with_the_first_last_least_and_greatest(y, points, log):
    x = [number + 1 for number in range(len(y))]
    across, up = me.downsample(x, y, points, log=log)
    assert len(across) == len(up) <= points
    assert across == sorted(set(across))
    assert repr(up) == repr([y[place - 1] for place in across])
    if y:
        assert (across[0], across[-1]) == (1, len(y))
    if there := [value for value in y if not math.isnan(value)]:
        assert {min(there), max(there)} <= set(up)
    if len(y) <= points:
        assert repr(up) == repr(y)


def test_every_column_of_a_picture_has_its_least_and_greatest():
    y = [math.sin(step / 7) * step for step in range(1000)]
    across, up = me.downsample(range(1000), y, 42)
    for column in range(20):
        inside = [value for step, value in enumerate(y) if min(int(step / 999 * 20), 19) == column]
        kept = [value for step, value in zip(across, up, strict=True) if min(int(step / 999 * 20), 19) == column]
        assert (min(kept), max(kept)) == (min(inside), max(inside))


def test_on_a_logarithmic_axis_the_beginning_is_not_one_point():
    across, _ = me.downsample(range(1, 100_001), [0.0] * 100_000, 40, log=True)
    assert sum(step <= 1000 for step in across) > 10
    across, _ = me.downsample(range(1, 100_001), [0.0] * 100_000, 40)
    assert sum(step <= 1000 for step in across) == 1


def test_steps_that_repeat_are_one_place():
    assert me.downsample([5] * 100, [*range(100)], 6) == ([5, 5], [0, 99])


@pytest.mark.parametrize(
    ("x", "y", "points", "log", "message"),
    [
        ([1, 2], [1], 4, False, "2 values of x and 1 of y are no series."),
        ([1], [1], 3, False, "A series has 4 points or more, not 3: its first, last, least and greatest."),
        ([0, 1], [1, 1], 4, True, "x begins with 0, which has no place on a logarithmic axis."),
    ],
)
def test_what_is_no_series_is_refused(x, y, points, log, message):
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        me.downsample(x, y, points, log=log)
