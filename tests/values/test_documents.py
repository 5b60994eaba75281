"""Documents survive a round trip, and what cannot be read is named, never more than itself."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molexp._values.documents import (
    check_schema,
    decode,
    decode_lines,
    decode_object,
    encode,
    encode_line,
    encode_pretty,
)
from molexp.errors import CorruptRecordError, SchemaError
from tests.values.strategies import plain_values


@given(plain_values)
def test_round_trip(value):
    assert repr(decode(encode(value), "k")) == repr(value)
    assert repr(decode(encode_pretty(value), "k")) == repr(value)
    assert repr(json.loads(encode(value))) == repr(value)


@given(plain_values)
def test_a_line_is_one_line(value):
    line = encode_line(value)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1


def test_pretty_is_for_people():
    assert encode_pretty({"a": 1, "b": [True]}) == b'{\n  "a": 1,\n  "b": [\n    true\n  ]\n}\n'


@pytest.mark.parametrize("digits", [20, 30, 4300])
def test_integers_are_exact(digits):
    doc = {"n": [10 ** (digits - 1) + 7, -(10 ** (digits - 1))], "x": 1.5, "flag": True, "none": None}
    assert decode(encode(doc), "k") == doc
    assert decode(encode_pretty(doc), "k") == doc
    assert decode_lines(encode_line(doc), "k") == ([doc], len(encode_line(doc)), 0)


def test_lone_surrogates_are_written_visibly():
    assert decode(encode({"argv": ["a\udc80", "é"], "\ud800": 1}), "k") == {"argv": ["a\\udc80", "é"], "\\ud800": 1}


def test_what_is_not_plain_is_refused():
    with pytest.raises(TypeError):
        encode({"a": object()})


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b'{"a": 1', "not valid JSON"),
        (b"\x00\x00", "it has zero bytes only"),
        (b'"\xff"', "not valid JSON"),
        (b"NaN", "not valid JSON"),
        (b"1e999", "out of range"),
        (b"[" * 100_000, "nested too deep"),
        (b"[" * 400 + b"]" * 400, "nested too deep"),
        (b'{"a":' * 400 + b"1" + b"}" * 400, "nested too deep"),
        (b"1" * 4301, "has 4301 digits, more than 4300"),
        (b"-" + b"1" * 1_000_000, "has 1000000 digits, more than 4300"),
        (b"\xef\xbb\xbf{}", "not valid JSON"),
    ],
)
def test_what_cannot_be_read_is_named(data, reason):
    with pytest.raises(CorruptRecordError, match=reason) as caught:
        decode(data, "projects/metals/project.json")
    assert caught.value.key == "projects/metals/project.json"


@pytest.mark.parametrize(
    ("data", "found"), [(b"[]", "array"), (b"1", "number"), (b"null", "null"), (b'"a"', "string"), (b"true", "boolean")]
)
def test_an_object_is_asked_for(data, found):
    with pytest.raises(CorruptRecordError, match=found):
        decode_object(data, "k")
    assert decode_object(b'{"a":1}', "k") == {"a": 1}


class TestLines:
    def test_whole_lines(self):
        assert decode_lines(b'{"a":1}\n{"b":2}\n', "k") == ([{"a": 1}, {"b": 2}], 16, 0)
        assert decode_lines(b"", "k") == ([], 0, 0)

    @pytest.mark.parametrize("tail", [b'{"b":', b'{"b":2}', b"\xff", b"x"])
    def test_a_torn_last_line_is_left_alone(self, tail):
        assert decode_lines(b'{"a":1}\n' + tail, "k") == ([{"a": 1}], 8, 0)
        assert decode_lines(tail, "k") == ([], 0, 0)

    @pytest.mark.parametrize(
        "bad",
        [
            b'{"x":',
            b"\x00\x00x\x00",
            b'"\xff"',
            b"nonsense",
            b"[1]",
            b"3",
            b"[" * 50_000,
            b'{"x":1e999}',
            b'{"x":%b}' % (b"1" * 10**6),
        ],
    )
    def test_a_bad_line_does_not_hide_the_others(self, bad):
        data = b'{"a":1}\n' + bad + b'\n{"b":2}\n'
        assert decode_lines(data, "k") == ([{"a": 1}, {"b": 2}], len(data), 1)

    def test_a_line_that_is_nested_too_deep_is_bad(self):
        data = b'{"a":1}\n' * 300 + b'{"b":' * 300 + b"1" + b"}" * 300 + b"\n"
        assert decode_lines(data, "k") == ([{"a": 1}] * 300, len(data), 1)

    def test_blank_lines_count_for_nothing(self):
        assert decode_lines(b'\n{"a":1}\r\n \n', "k") == ([{"a": 1}], 12, 0)
        assert decode_lines(b'\n{"a":1}\n \nx\n', "k") == ([{"a": 1}], 13, 1)

    @given(
        st.lists(st.dictionaries(st.text(max_size=3), st.integers(), max_size=2), max_size=5), st.integers(min_value=0)
    )
    def test_reading_on_from_any_cut_loses_nothing(self, docs, cut):
        data = b"".join(map(encode_line, docs))
        cut = cut % (len(data) + 1)
        first, length, bad = decode_lines(data[:cut], "k")
        rest, _, worse = decode_lines(data[length:], "k")
        assert first + rest == docs
        assert bad == worse == 0


class TestSchema:
    def test_known_ones_pass(self):
        check_schema({"schema": 1}, "k", 2)
        check_schema({"schema": 2}, "k", 2)

    def test_newer_ones_are_refused(self):
        with pytest.raises(SchemaError) as caught:
            check_schema({"schema": 3}, "k", 2)
        assert (caught.value.key, caught.value.found, caught.value.known) == ("k", 3, 2)

    @pytest.mark.parametrize("doc", [{}, {"schema": "1"}, {"schema": None}, {"schema": True}, {"schema": 0}])
    def test_none_is_corrupt(self, doc):
        with pytest.raises(CorruptRecordError, match="schema"):
            check_schema(doc, "k", 1)
