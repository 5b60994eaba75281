"""Charts of any numbers are drawn in terminals of any size, with everything inside of the frame."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from molexp_cli._axes import axis_of, ticks_of
from molexp_cli._drawing import Look, draw
from molexp_cli._series import Chart, Series

numbers = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(10**300), 10**300).map(float))
positive = st.floats(min_value=5e-324, allow_nan=False, allow_infinity=False)


@given(st.lists(numbers, min_size=1), st.integers(1, 40))
@example([1e308, -1e308], 5)
@example([5e-324, 0.0], 5)
@example([1.0, math.nextafter(1.0, 2)], 5)
@example([1e17, 1e17 + 16], 5)
def test_numbers_along_an_axis_are_few_rising_and_different(values, most):
    ticks = ticks_of(axis := axis_of(values), most)
    places = [axis.share(value) for value, _ in ticks]
    assert places == sorted(places)
    assert len({text for _, text in ticks}) == len(ticks)
    assert len(ticks) <= most + 2
    assert all(0 <= axis.share(value) <= 1 for value in values)


@given(st.lists(positive, min_size=1), st.integers(2, 40))
@example([3.0], 5)
@example([1.0, 1.0000001], 5)
@example([2.1, 2.4], 4)
def test_so_are_those_along_a_logarithmic_one(values, most):
    ticks = ticks_of(axis := axis_of(values, log=True), most)
    assert [value for value, _ in ticks] == sorted(value for value, _ in ticks)
    assert len({text for _, text in ticks}) == len(ticks) <= most + 2
    assert all(0 <= axis.share(value) <= 1 for value in values)


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([3.4, 3.7], ["3.4", "3.5", "3.6", "3.7"]),
        ([0, 3], ["0", "1", "2", "3"]),
        ([0, 400], ["0", "100", "200", "300", "400"]),
        ([0, 2e7], ["0", "5e6", "1e7", "1.5e7", "2e7"]),
        ([1e-9, 3e-9], ["1e-9", "1.5e-9", "2e-9", "2.5e-9", "3e-9"]),
        ([-1, 1], ["-1", "0", "1"]),
        ([7], ["6", "7", "8"]),
        ([0.5], ["0.48", "0.50", "0.52"]),
    ],
)
def test_they_are_round(values, texts):
    assert [text for _, text in ticks_of(axis_of(values), 4)] == texts


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([1e-6, 1], ["1e-6", "0.0001", "0.01", "1"]),
        ([1, 100], ["1", "10", "100"]),
        ([0.04, 1.1], ["0.1", "0.3", "1"]),
        ([2, 9], ["2", "5"]),
        ([3.1, 3.3], ["3.10", "3.15", "3.20", "3.25", "3.30"]),
    ],
)
def test_logarithms_are_too(values, texts):
    assert [text for _, text in ticks_of(axis_of(values, log=True), 4)] == texts


@settings(max_examples=30)
@given(
    st.lists(st.lists(st.tuples(positive, positive), min_size=1, max_size=20), min_size=1, max_size=12),
    st.integers(1, 130),
    st.integers(1, 30),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_every_drawing_fits(points, width, height, log, marked, has_categories):
    series = []
    for number, some in enumerate(points):
        x, y = zip(*sorted(some), strict=True)
        if has_categories:
            x = tuple(float(place) for place in range(len(y)))
        series.append(Series(f"a name {number}", {}, x, y, [value / 3 for value in y], y, y, [2] * len(y)))
    categories = [f"日本 {place}" for place in range(20)] if has_categories else ()
    chart = Chart("params.x", "results.y", series, categories, True, marked)
    drawn = draw(chart, Look(width, height, log and not has_categories, log))
    lines = drawn.plain.splitlines()
    assert len(lines) <= max(height, 5 + 4 + 3)
    frame = [line for line in lines if "┤" in line or "│" in line]
    assert len({len(line) for line in frame}) == 1
    beside = frame[0].index("┤" if "┤" in frame[0] else "│")
    assert all(line[beside] in "┤│" for line in frame)
    assert max(map(len, frame)) <= max(width, beside + 13)
