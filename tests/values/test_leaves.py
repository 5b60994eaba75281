"""Queries compare scalars and lists of a recorded value, each under its name."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molexp._query.evaluation import ABSENT, reach
from molexp._values.documents import leaf
from molexp._values.plain import plain
from tests.values.strategies import plain_values


def leaves(document):
    """Flatten nested mappings to names and what they hold; of two with one name, the first is the one that counts."""
    waiting: list[tuple[tuple[str, ...], object]] = [((), document)]
    while waiting:
        parts, found = waiting.pop()
        normal = leaf(found)
        if isinstance(normal, dict):
            yield ".".join(parts), {}
            longest_first = sorted(normal, key=len, reverse=True)
            waiting.extend(((*parts, key), normal[key]) for key in reversed(longest_first))
        elif normal is not None:
            yield ".".join(parts), normal


@pytest.mark.parametrize(
    "value", [None, True, False, 0, 1, 10**400, 0.5, "", "text", "$float", [], [1, "a", None, True]]
)
def test_plain_scalars_and_lists_are_what_they_are(value):
    assert leaf(value) == value
    assert type(leaf(value)) is type(value)


@pytest.mark.parametrize(
    ("recorded", "normal"),
    [
        ({"$float": "inf"}, math.inf),
        ({"$float": "-inf"}, -math.inf),
        ({"$asset": "20261123-083021-482913-4f2a9c1d"}, "20261123-083021-482913-4f2a9c1d"),
        ({"$key": "metals/data/a.json"}, "metals/data/a.json"),
        ({"$run": "metals/cu/1"}, "metals/cu/1"),
        ({"$new": "text"}, "text"),
        ({"$float": "1e5"}, "1e5"),
        ({"$dict": [["$x", 1], ["b", {"$float": "inf"}]]}, {"$x": 1, "b": {"$float": "inf"}}),
        ({"$dict": []}, {}),
        ([{"$float": "inf"}, [{"$key": "a"}], {"b": {"$key": "a"}}], [math.inf, ["a"], {"b": {"$key": "a"}}]),
    ],
)
def test_tags_are_what_they_stand_for(recorded, normal):
    assert leaf(recorded) == normal
    assert type(leaf(recorded)) is type(normal)


def test_a_tagged_nan_is_nan():
    found = leaf({"$float": "nan"})
    assert isinstance(found, float)
    assert math.isnan(found)


@pytest.mark.parametrize(
    "value", [{}, {"a": 1}, {"$a": "x", "b": 1}, {"$new": [1]}, {"$dict": [["a"]]}, {"$dict": 3}, {"$float": 1}]
)
def test_any_other_mapping_is_a_mapping(value):
    assert leaf(value) == value
    assert isinstance(leaf(value), dict)


@pytest.mark.parametrize("depth", [3, 300])
def test_names_reach_as_deep_as_mappings_are(depth):
    value: object = [1]
    for _ in range(depth):
        value = {"a": value}
    assert reach({"params": value}, ["params", *"a" * depth]) == [1]


def test_lists_are_followed_as_deep_as_a_query_can_say():
    def nested(depth):
        return [nested(depth - 1)] if depth > 1 else []

    assert leaf(nested(200)) == nested(200)
    assert leaf(nested(300)) != nested(300)
    assert isinstance(leaf(nested(300)), list)


def same(found, expected):
    return repr(found) == repr(expected)


dotted: st.SearchStrategy[object] = st.recursive(
    st.none() | st.integers(0, 9) | st.just([]),
    lambda inner: st.dictionaries(st.sampled_from(["a", "b", "a.b", "a.b.a", "", "."]), inner, max_size=4),
    max_leaves=12,
)


@given(plain_values | dotted)
def test_leaves_are_what_is_found_under_their_names(value):
    document = {"params": plain(value, where="params", nan=True)}
    first: dict[str, object] = {}
    for name, found in leaves(document):
        first.setdefault(name, found)
    for name, expected in first.items():
        normal = leaf(reach(document, [name])) if name else {}
        assert same({} if isinstance(normal, dict) else normal, expected)
    for name in ["params.a", "params.a.b", "params.a.b.a.b", "params.", "params..", "params.$"]:
        if name not in first:
            assert reach(document, name.split(".")) in (None, ABSENT)
