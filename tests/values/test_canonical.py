"""Canonical JSON is one text for all values that mean the same."""

from __future__ import annotations

import hashlib
import json
import math
import random
import re
import sys
from enum import IntEnum, StrEnum
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molexp._values.canonical import canonical_equal, canonical_hash, canonical_json
from molexp.errors import SerializationError
from tests.repository import ROOT
from tests.values.strategies import plain_values

PAGE = (ROOT / "docs/explanation/run-ids.md").read_text(encoding="utf-8")
VECTORS = re.findall(r"^\| `(.*)` \| `(.*)` \| `([0-9a-f]{64})` \|$", PAGE, re.MULTILINE)


def same(a, b):
    """The rules of the page, said in Python."""
    if isinstance(a, bool) or isinstance(b, bool) or a is None or b is None:
        return a is b
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def shuffled(value, rng):
    """An equal value: keys in another order, integers and floats exchanged where they are equal."""
    if isinstance(value, dict):
        items = list(value.items())
        rng.shuffle(items)
        return {key: shuffled(item, rng) for key, item in items}
    if isinstance(value, list):
        return tuple(shuffled(item, rng) for item in value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if type(value) is int and abs(value) <= 2**53:
        return float(value)
    return value


def test_the_page_has_its_vectors():
    assert len(VECTORS) == 19


@pytest.mark.parametrize(("source", "text", "digest"), VECTORS)
def test_vectors_of_the_page(source, text, digest):
    value = json.loads(source)
    assert canonical_json(value) == text
    assert canonical_hash(value) == digest == hashlib.sha256(text.encode()).hexdigest()


def test_a_vector_that_does_not_come_from_the_page():
    value = {"n": 1e22, "b": [True, -0.0, 0.1], "a": {"é": None}}
    assert canonical_json(value) == '{"a":{"é":null},"b":[true,0,0.1],"n":10000000000000000000000}'


@given(plain_values, plain_values)
def test_equal_texts_are_equal_values_and_no_others(a, b):
    assert canonical_equal(a, b) == same(a, b)
    assert (canonical_hash(a) == canonical_hash(b)) == same(a, b)


@given(plain_values, st.randoms(use_true_random=False))
def test_order_of_keys_and_kinds_of_numbers_and_sequences_do_not_matter(value, rng):
    assert canonical_json(shuffled(value, rng)) == canonical_json(value)


@given(plain_values)
def test_the_text_reads_back_as_the_value(value):
    read = json.loads(canonical_json(value))
    assert same(read, value)
    assert canonical_json(read) == canonical_json(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_keep_every_bit_except_the_sign_of_zero(number):
    assert float(canonical_json(number)) == number


def test_true_is_not_one_and_a_number_is_not_its_text():
    assert len({canonical_json(value) for value in (True, 1, "1", "true", None, "null", [1], {"1": 1})}) == 8


@pytest.mark.parametrize("digits", [4299, 4301, 20_000])
def test_integers_are_exact_beyond_the_interpreters_limit(digits):
    number = 10**digits + 7
    assert canonical_json(number) == "1" + "0" * (digits - 1) + "7"
    assert canonical_json(-number) == "-1" + "0" * (digits - 1) + "7"
    assert not canonical_equal(number, number + 1)


def test_the_interpreters_limit_is_left_alone():
    before = sys.get_int_max_str_digits()
    canonical_json(10**5000)
    assert sys.get_int_max_str_digits() == before


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("wrap", "path"),
    [
        (lambda x: {"lr": x}, "params.lr"),
        (lambda x: {"grid": [0, 1, 2, {"x": x}]}, "params.grid[3].x"),
        (lambda x: {"a b": (x,)}, "params['a b'][0]"),
        (lambda x: x, "params"),
    ],
)
def test_what_is_not_finite_is_refused_by_its_path(bad, wrap, path):
    with pytest.raises(SerializationError) as caught:
        canonical_json(wrap(bad), where="params")
    assert caught.value.path == path
    assert caught.value.type_name == "float"


@pytest.mark.parametrize("key", [1, None, True, (1,), b"a"])
def test_keys_are_text(key):
    with pytest.raises(SerializationError) as caught:
        canonical_json({"a": {key: 1}}, where="params")
    assert caught.value.path == "params.a"
    assert repr(key) in str(caught.value)


@pytest.mark.parametrize("value", [b"x", {1, 2}, 1j, object(), range(3)])
def test_other_types_are_refused(value):
    with pytest.raises(SerializationError, match=re.escape("params.a[0]")):
        canonical_json({"a": [value]}, where="params")


@pytest.mark.parametrize("value", ["\ud800", "a\udc80b", {"\udfff": 1}])
def test_lone_surrogates_are_refused(value):
    with pytest.raises(SerializationError, match="lone surrogate"):
        canonical_json({"a": value})


def test_what_contains_itself_is_refused():
    inner: list[object] = []
    inner.extend([inner, inner])
    mapping: dict[str, object] = {}
    mapping["self"] = mapping
    for value in (inner, mapping):
        with pytest.raises(SerializationError, match="contains itself") as caught:
            canonical_json(value)
        assert len(caught.value.path) < 100


def nested(depth):
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


def test_depth_is_bounded():
    assert canonical_json(nested(200)) == "[" * 200 + "1" + "]" * 200
    for depth in (201, 5000):
        with pytest.raises(SerializationError, match="200 levels"):
            canonical_json(nested(depth))


def test_a_deep_stack_is_not_a_recursion_error():
    def descend(levels):
        return descend(levels - 1) if levels else canonical_json(nested(150))

    refused = 0
    for levels in range(sys.getrecursionlimit() - 400, sys.getrecursionlimit() - 200, 10):
        try:
            descend(levels)
        except SerializationError:
            refused += 1
    assert refused


def test_subclasses_count_as_what_they_are():
    class Level(IntEnum):
        HIGH = 3

    class Colour(StrEnum):
        RED = "red"

    class Loud(float):
        def __repr__(self):
            return "LOUD"

    value = MappingProxyType({Colour.RED: [Level.HIGH, Loud(0.5), Colour.RED]})
    assert canonical_json(value) == '{"red":[3,0.5,"red"]}'


def test_numpy_scalars_that_are_floats():
    numpy = pytest.importorskip("numpy")
    assert canonical_json(numpy.float64(0.1)) == "0.1"


def test_every_control_character_is_escaped():
    text = "".join(map(chr, range(0x20))) + '"\\\x7f\u2028'
    assert json.loads(canonical_json(text)) == text
    assert not re.search(r"[\x00-\x1f]", canonical_json(text))
    assert canonical_json("\b\t\n\f\r\x0b\x1f") == r'"\b\t\n\f\r\u000b\u001f"'


def test_order_is_by_code_point_not_utf16():
    keys = ["\uff5e", "\U0001f600", "z", "Z", "é", "10", "9", ""]
    random.Random(1).shuffle(keys)
    assert list(json.loads(canonical_json(dict.fromkeys(keys, 0)))) == sorted(keys)
