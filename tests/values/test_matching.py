"""An expression matches documents by the rules of docs/reference/query-language.md, one by one."""

from __future__ import annotations

import math
import sqlite3

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from molexp._query.evaluation import ABSENT, like, matches, reach
from molexp._query.expressions import Condition, Field, negated
from molexp._query.parser import parse
from molexp._values.plain import plain
from tests.values.query_text import And, Or
from tests.values.strategies import plain_values

X = Field(("params", "x"))
NAN, INF = {"$float": "nan"}, {"$float": "inf"}


def found(text, /, **params):
    """Tell whether a run with these parameters is found by a query."""
    document = {"params": params}
    return matches(parse(text), lambda field: reach(document, field.parts))


@pytest.mark.parametrize(
    ("recorded", "true", "false"),
    [
        (
            1,
            "== 1, == 1.0, != 2, <= 1, >= 1, < 1.5, > 0, < inf, > -inf",
            "== true, == '1', != 1, < 1, == [1], < '2', < true",
        ),
        (0.5, "== 0.5, != 0, < 1, > 0", "== 1, > 0.5, == nan, < nan, >= nan"),
        (2**53 + 1, "> 9007199254740992.0, == 9007199254740993, != 9007199254740992", "== 9007199254740992.0"),
        (10**400, f"== {10**400}, > 1e308, < inf, != {10**400 + 1}", "== inf, < 1e308"),
        (True, "== true, != false, != 1, != 'true'", "== 1, == 1.0, != true, < 2, > false, >= true, == 'true'"),
        (False, "== false, != 0", "== 0, < 1, == null"),
        ("b", "== 'b', != 'B', < 'c', > 'B', > '', != 1, < 'é', < 'b0'", "== 'B', < 1, > 1, == true, >= 'c', == ['b']"),
        ("Z", "< 'a', == 'Z'", "> 'a'"),
        ("", "== '', != null, <= ''", "== null, < ''"),
        (NAN, "!= 1, != nan, != 'nan', != null", "== nan, < 1, > 1, <= nan, >= nan, == null, < inf"),
        (INF, "== inf, > 1e308, != nan, >= inf", "== 1e308, < inf, == 'inf'"),
        ([64, 64], "== [64, 64], == [64.0, 64], != [64], != 64, != []", "== [64], == 64, == [64, true], != [64, 64]"),
        ([1, None, [True, "a"]], "== [1, null, [true, 'a']], != [1, null, [1, 'a']]", "== [1, null, [1, 'a']]"),
        ([NAN], "!= [nan], != [1]", "== [nan]"),
        ([{"a": 1}], "!= [1], != []", "== [1], == []"),
        ([], "== [], != [null], != 0", "== [null], == null, != []"),
        ({"a": 1}, "!= 1, != 'a', != [], != null", "== 1, < 1, > 1, == null, == ['a']"),
        ({}, "!= 1, != null", "== 1, == null"),
        ({"$asset": "7f"}, "== '7f', < '8', != 1", "== 'x', == null"),
        (None, "== null", "== 1, != 1, < 1, >= 1, == '', != [], != null"),
    ],
)
def test_comparisons(recorded, true, false):
    for condition in comma_separated(true):
        assert found(f"params.x {condition}", x=recorded), condition
        assert not found(f"not params.x {condition}", x=recorded), condition
    for condition in comma_separated(false):
        assert not found(f"params.x {condition}", x=recorded), condition
        assert found(f"not params.x {condition}", x=recorded), condition


def comma_separated(text):
    """The conditions of a list, whose own lists have commas too."""
    pieces, depth = [""], 0
    for character in text:
        depth += {"[": 1, "]": -1}.get(character, 0)
        if character == "," and not depth:
            pieces.append("")
        else:
            pieces[-1] += character
    return pieces


@pytest.mark.parametrize(
    "condition",
    [
        "== 1",
        "!= 1",
        "< 1",
        "in (1)",
        "like '%'",
        "== params.y",
        "!= params.y",
        "between 0 and 2",
        "!= [1]",
        "is not null",
    ],
)
@pytest.mark.parametrize("params", [{}, {"x": None}, {"y": 1}, {"x": None, "y": 1}])
def test_nothing_is_true_of_a_field_that_is_absent_or_null_but_that_it_is(condition, params):
    assert not found(f"params.x {condition}", **params)
    assert found(f"not params.x {condition}", **params)
    assert found("params.x is null and not 1 in params.x", **params)


@pytest.mark.parametrize("value", [0, False, "", [], {}, NAN, "null", {"$asset": "a"}])
def test_whatever_else_is_recorded_is_not_null(value):
    assert found("params.x is not null", x=value)
    assert not found("params.x is null or params.x == null", x=value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("params.x in (1, 3)", True),
        ("params.x in (3.0)", True),
        ("params.x in (1, '3', true)", False),
        ("params.x in ()", False),
        ("params.x not in (1, 2)", True),
        ("params.x in (1, null)", False),
        ("params.none in (1, null)", True),
        ("params.none not in (1, 2)", True),
        ("params.nan in (nan)", False),
        ("params.list in ([1, 2], [3])", True),
        ("params.x between 3 and 3", True),
        ("params.x between 4 and 2", False),
        ("params.x not between 4 and 9", True),
        ("params.text between 'a' and 'z'", True),
        ("params.text between 1 and 3", False),
        ("0 < params.x < 3", False),
        ("0 < params.x <= 3", True),
        ("2 in params.list", True),
        ("2.0 in params.list", True),
        ("true in params.list", False),
        ("'1' in params.list", False),
        ("3 not in params.list", True),
        ("1 in params.x", False),
        ("'e' in params.text", False),
        ("'a' in params.map", False),
        ("null in params.mixed", True),
        ("'seven' in params.mixed", True),
        ("[2] in params.mixed", True),
        ("nan in params.mixed", False),
        ("null in params.list", False),
    ],
)
def test_membership_and_ranges(text, expected):
    values = {"x": 3, "nan": NAN, "text": "hello", "list": [1, 2], "map": {"a": 1}}
    assert found(text, **values, mixed=[None, {"$key": "seven"}, [2], NAN]) is expected


@pytest.mark.parametrize(
    ("left", "op", "right", "expected"),
    [
        (1, "==", 1.0, True),
        (1, "<", 2, True),
        (1, "!=", True, True),
        ("a", "<", "b", True),
        ("a", "<", 1, False),
        ([1, None], "==", [1.0, None], True),
        ([1], "<", [2], False),
        ({"a": 1}, "==", {"a": 1}, False),
        ({"a": 1}, "!=", {"a": 1}, True),
        (NAN, "==", NAN, False),
        (None, "==", None, False),
        (None, "!=", 1, False),
        (1, "!=", None, False),
        (True, "==", True, True),
        (True, ">=", True, False),
    ],
)
def test_fields_against_fields(left, op, right, expected):
    assert found(f"params.x {op} params.y", x=left, y=right) is expected


@pytest.mark.parametrize(
    ("text", "pattern", "expected"),
    [
        ("cu-large", "cu-%", True),
        ("Cu-LARGE", "cU-%e", True),
        ("cu", "cu-%", False),
        ("", "%", True),
        ("", "_", False),
        ("a\nb", "a_b", True),
        ("a\nb\n", "a%", True),
        ("ab", "a", False),
        ("50%", r"50\%", True),
        ("50x", r"50\%", False),
        ("a_b", r"a\_b", True),
        ("axb", r"a\_b", False),
        ("a\\b", r"a\\b", True),
        ("AB", r"\a\b", True),
        ("É", "é", False),
        ("\u212a", "k", False),  # the Kelvin sign, which is a K to other rules
        ("😀", "_", True),
        ("a.b", "a.b", True),
        ("axb", "a.b", False),
        ("abcabc", "%abc", True),
        ("abab", "ab%ab%ab", False),
        ("aXbYc", "%x%y%", True),
        ("aXbYc", "%y%x%", False),
    ],
)
def test_patterns(text, pattern, expected):
    assert like(text, pattern) is expected


@pytest.mark.parametrize("value", [3, True, ["a"], {"a": 1}, NAN])
def test_only_text_is_like_something(value):
    assert not found("params.x like '%'", x=value)
    assert found("params.x not like '%'", x=value)


pieces = st.text(st.sampled_from("aAbB%_éÉ\\\n.*["), max_size=10)


@given(pieces, pieces.filter(lambda pattern: not pattern.endswith("\\")))
@example("aab", "%ab")
@example("K", "\u212a")
def test_patterns_are_those_of_sqlite(text, pattern):
    with sqlite3.connect(":memory:") as database:
        ((expected,),) = database.execute(r"SELECT ? LIKE ? ESCAPE '\'", (text, pattern)).fetchall()
    database.close()
    assert like(text, pattern) is bool(expected)


def test_many_wildcards_cost_no_more_than_the_text_is_long():
    assert not like("a" * 20_000, "%a" * 1_000 + "b")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("params.lr", 0.1),
        ("params.cell.a", 3.6),
        ("params.cell", {"a": 3.6}),
        ("params.a.b", "whole"),
        ("params.a.c", "nested"),
        ("params.v1.0.x", 1),
        ("params.$key", "tagged"),
        ("params.null", None),
        ("params.late.x", 2),
        ("params.", "empty"),
        ("params.list.0", ABSENT),
        ("params.lr.x", ABSENT),
        ("params.ref.$asset", ABSENT),
        ("params.lr ", ABSENT),
        ("results.x", ABSENT),
        ("params.never.x", ABSENT),
    ],
)
def test_names_reach_into_mappings_also_where_keys_hold_dots(name, expected):
    params = {
        "lr": 0.1,
        "cell": {"a": 3.6},
        "a.b": "whole",
        "a": {"b": "part", "c": "nested"},
        "v1.0": {"x": 1},
        "null": None,
        "late.x": None,
        "late": {"x": 2},
        "": "empty",
        "list": [1],
        "ref": {"$asset": "7f"},
        "$key": "tagged",
    }
    document = {"params": {"$dict": [[key, value] for key, value in params.items()]}}
    assert reach(document, name.split(".")) == expected
    assert reach(document, [name]) == expected


@pytest.mark.parametrize("document", [None, 3, [1], "text", {}])
def test_nothing_is_in_what_is_no_mapping(document):
    assert reach(document, ["a", "b"]) is ABSENT


numbers = (
    st.integers() | st.integers(-(2**60), 2**60) | st.floats() | st.sampled_from([2**53, 2**53 + 1, 2.0**53, 0, -0.0])
)


def recorded(value):
    return plain(value, where="params", nan=True)


@given(numbers, numbers)
def test_numbers_are_less_equal_or_greater_and_of_nan_only_unequal_is_true(mine, other):
    def holds(op):
        return matches(Condition(X, op, other), lambda _: recorded(mine))

    known = not (math.isnan(mine) or math.isnan(other))
    assert [holds("<"), holds("=="), holds(">")].count(True) == known
    assert holds("<=") == (holds("<") or holds("=="))
    assert holds(">=") == (holds(">") or holds("=="))
    assert holds("!=") == (not holds("=="))
    assert holds("<") == (known and mine < other)


few = st.sampled_from([0, 1, 0.0, 1.0, True, False, "", "a", 2**53, 2.0**53, math.nan, math.inf])
literals = st.recursive(few, lambda inner: st.lists(inner | st.none(), max_size=3), max_leaves=5)


@given(plain_values | literals, literals, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]))
def test_a_literal_compares_as_a_field_that_holds_it(mine, other, op):
    if isinstance(other, list) and op not in ("==", "!="):
        op = "=="  # lists have no order
    values = {"x": recorded(mine), "y": recorded(other)}
    by_literal = matches(Condition(X, op, as_literal(other)), lambda field: values["x"])
    assert by_literal is found(f"params.x {op} params.y", **values)


def as_literal(value):
    return tuple(map(as_literal, value)) if isinstance(value, list) else value


@given(st.booleans(), st.booleans(), st.booleans())
def test_and_or_and_not_are_those_of_logic(a, b, c):
    first, second, third = (Condition(Field((name,)), "==", True) for name in "abc")
    values = {"a": a, "b": b, "c": c}

    def holds(expression):
        return matches(expression, lambda field: values[field.name])

    assert holds(And((first, second, third))) is (a and b and c)
    assert holds(Or((first, second, third))) is (a or b or c)
    assert holds(Or((And((first, negated(second))), third))) is ((a and not b) or c)


def test_no_more_is_looked_up_than_decides():
    asked = []

    def lookup(field):
        asked.append(field.name)
        return 1

    assert matches(parse("a == 1 or b == 1"), lookup)
    assert not matches(parse("c == 2 and d == 1"), lookup)
    assert asked == ["a", "c"]
