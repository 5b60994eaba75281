"""Queries: what each spelling means, and that an expression's text means the same again."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from molexp._query.expressions import Condition, Field, fields_of, negated
from molexp._query.parser import parse, parse_field
from molexp.errors import QueryError
from tests.values.query_text import And, Or, contains, is_null, matching, one_of, text_of

ROOTS = ("params", "results", "status", "tags", "id", "created_at")


def field(name):
    return Field(tuple(name.split(".")))


X, Y, LR, LOSS, TAGS, ID = map(field, ["params.x", "params.y", "params.lr", "results.loss", "tags", "id"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("params.x == 1", Condition(X, "==", 1)),
        ("params.x = 1", Condition(X, "==", 1)),
        ("params.x != 1", Condition(X, "!=", 1)),
        ("params.x <> 1", Condition(X, "!=", 1)),
        ("params.x < 1", Condition(X, "<", 1)),
        ("params.x<=1", Condition(X, "<=", 1)),
        ("params.x > 1", Condition(X, ">", 1)),
        ("params.x>=1", Condition(X, ">=", 1)),
        ("3 == params.x", Condition(X, "==", 3)),
        ("3 != params.x", Condition(X, "!=", 3)),
        ("0.1 > params.x", Condition(X, "<", 0.1)),
        ("0.1 >= params.x", Condition(X, "<=", 0.1)),
        ("0.1 < params.x", Condition(X, ">", 0.1)),
        ("0.1 <= params.x", Condition(X, ">=", 0.1)),
        ("results.loss < params.x", Condition(LOSS, "<", X)),
        ("results.loss == params.x", Condition(LOSS, "==", X)),
        ("params.x == [64, 64]", Condition(X, "==", (64, 64))),
        ("[] != params.x", Condition(X, "!=", ())),
        ("params.x == [1, [null, 'a'], nan]", Condition(X, "==", (1, (None, "a"), math.nan))),
        ("0 < params.x < 1", And((Condition(X, ">", 0), Condition(X, "<", 1)))),
        ("params.x == params.y == 1", And((Condition(X, "==", Y), Condition(Y, "==", 1)))),
        ("params.x == null", is_null(X)),
        ("null == params.x", is_null(X)),
        ("params.x != null", negated(is_null(X))),
        ("params.x is null", is_null(X)),
        ("params.x is not null", negated(is_null(X))),
        ("params.x in (1, 2.5, 'a', true)", one_of(X, (1, 2.5, "a", True))),
        ("params.x in [1,2,]", one_of(X, (1, 2))),
        ("params.x in ()", one_of(X, ())),
        ("params.x in ([1, 2], [3])", one_of(X, ((1, 2), (3,)))),
        ("params.x in (null)", is_null(X)),
        ("params.x in (1, null)", Or((one_of(X, (1,)), is_null(X)))),
        ("params.x not in (1, 2)", negated(one_of(X, (1, 2)))),
        ("'good' in tags", contains(TAGS, "good")),
        ("'good' not in tags", negated(contains(TAGS, "good"))),
        ("[1, 2] in params.x", contains(X, (1, 2))),
        ("null in params.x", contains(X, None)),
        ("params.x between 1 and 2", And((Condition(X, ">=", 1), Condition(X, "<=", 2)))),
        ("params.x not between 1 and 2", negated(And((Condition(X, ">=", 1), Condition(X, "<=", 2))))),
        ("results.loss between params.x and 2", And((Condition(LOSS, ">=", X), Condition(LOSS, "<=", 2)))),
        ("id like 'cu-%'", matching(ID, "cu-%")),
        ("id not like 'cu-%'", negated(matching(ID, "cu-%"))),
        (r"id like '50\%'", matching(ID, r"50\%")),
        (r"id like '50\\%'", matching(ID, r"50\%")),
    ],
)
def test_conditions(text, expected):
    assert parse(text) == expected


A, B, C = (Condition(field(f"params.{name}"), "==", 1) for name in "abc")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{a} and {b} or {c}", Or((And((A, B)), C))),
        ("{a} or {b} and {c}", Or((A, And((B, C))))),
        ("({a} or {b}) and {c}", And((Or((A, B)), C))),
        ("{a} and {b} and {c}", And((A, B, C))),
        ("{a} or {b} or {c}", Or((A, B, C))),
        ("{a} and ({b} and {c})", And((A, And((B, C))))),
        ("not {a} and {b}", And((negated(A), B))),
        ("not ({a} and {b})", negated(And((A, B)))),
        ("not not {a}", negated(negated(A))),
        ("{a} and not {b} or not {c}", Or((And((A, negated(B))), negated(C)))),
        ("((({a})))", A),
        ("NOT {a} AnD {b} OR {c}", Or((And((negated(A), B)), C))),
        ("params.a == 1 and params.x between 1 and 2 and {c}", And((A, parse("params.x between 1 and 2"), C))),
    ],
)
def test_not_binds_more_than_and_and_that_more_than_or(text, expected):
    assert parse(text.format(a="params.a == 1", b="params.b == 1", c="params.c == 1")) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12),
        ("-2", -2),
        ("+2", 2),
        ("007", 7),
        ("9007199254740993", 2**53 + 1),
        (str(10**400), 10**400),
        ("1e-3", 0.001),
        (".5", 0.5),
        ("-.5", -0.5),
        ("5.", 5.0),
        ("1E+2", 100.0),
        ("inf", math.inf),
        ("-inf", -math.inf),
        ("NaN", math.nan),
        ("true", True),
        ("FALSE", False),
        ("''", ""),
        ('"it\'s"', "it's"),
        (r"'it\'s'", "it's"),
        (r'"a\\b\n\t\r\"c"', 'a\\b\n\t\r"c'),
        (r'"\u00e9 \U0001F600"', "é 😀"),
        ("'a\nb'", "a\nb"),
        ("'and'", "and"),
        ("'5'", "5"),
    ],
)
def test_literals(text, value):
    found = parse(f"params.x == {text}")
    assert isinstance(found, Condition)
    assert found == Condition(X, "==", value)
    assert type(found.value) is type(value)


def test_integers_are_exact_as_far_as_they_are_recorded():
    digits = "7" * 4300
    assert parse(f"params.x == {digits}") == Condition(X, "==", 7 * (10**4300 - 1) // 9)
    assert text_of(parse(f"params.x == {digits}")) == f"params.x == {digits}"
    with pytest.raises(QueryError, match="has 60000 digits, more than 4300"):
        parse(f"params.x == -{'7' * 60_000}")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("params.lr", ("params", "lr")),
        ("parameters.lr", ("params", "lr")),
        ("results.parameters", ("results", "parameters")),
        ('params."learning rate"', ("params", "learning rate")),
        ("params.'learning rate'", ("params", "learning rate")),
        ('params["learning rate"]', ("params", "learning rate")),
        ('params[ "a" ].b["c d"].e', ("params", "a", "b", "c d", "e")),
        ('params."a.b"', ("params", "a.b")),
        ('params.""', ("params", "")),
        ("params.in", ("params", "in")),
        ("params.NOT.null", ("params", "NOT", "null")),
        ("params.2theta", ("params", "2theta")),
        ("params.7", ("params", "7")),
        ("params.größe_α", ("params", "größe_α")),
        ("status", ("status",)),
        ("infinite.x", ("infinite", "x")),
    ],
)
def test_names_of_fields(text, parts):
    assert parse_field(text).parts == parts
    assert parse(f"{text} == 1") == Condition(Field(parts), "==", 1)
    assert parse_field(Field(parts).name) == Field(parts)


def test_a_name_is_quoted_only_where_it_must_be():
    assert Field(("params", "lr", "learning rate", "in", "a-b", "2d")).name == 'params.lr."learning rate".in."a-b".2d'


def test_a_field_knows_where_it_stands_which_makes_it_no_other_field():
    first, second = fields_of(parse("params.x == 1 or 2 < params.x"))
    assert (first.start, second.start) == (0, 21)
    assert first == second
    assert hash(first) == hash(second)


def test_fields_come_in_the_order_of_the_query():
    text = "params.a == 1 and not (id like 'x' or results.b < params.c) and 'd' in tags and params.e is null"
    names = [found.name for found in fields_of(parse(text))]
    assert names == ["params.a", "id", "results.b", "params.c", "tags", "params.e"]


def test_roots_are_what_names_may_begin_with_and_without_them_any_word_may():
    assert parse("anything.x == other", None) == Condition(field("anything.x"), "==", field("other"))
    assert parse("parameters.x == 1", ROOTS) == Condition(X, "==", 1)
    with pytest.raises(QueryError, match=r"no field 'parameters\.x'"):
        parse("parameters.x == 1", ["kind", "size"])


@pytest.mark.parametrize(
    ("text", "position"), [("", 0), ("-results.loss", 0), ("results.loss desc", 13), ("in", 0), ("3", 0), ("los", 0)]
)
def test_what_is_no_name_of_a_field(text, position):
    with pytest.raises(QueryError) as caught:
        parse_field(text, ROOTS)
    assert caught.value.position == position


# ------------------------------------------------------------------------------------------------------ what is built


def test_literals_of_different_types_make_different_conditions():
    values: list[Any] = [1, 1.0, True, "1", (1,), (True,)]
    assert len({Condition(X, "==", value) for value in values}) == len(values)
    assert Condition(X, "==", float("nan")) == Condition(X, "==", float("nan"))


names = st.text(max_size=5) | st.sampled_from(
    ["lr", "learning rate", "in", "NULL", "a.b", "$x", "2d", "α", "a-b", "'\"\\"]
)
fields = st.builds(
    lambda root, rest: Field((root, *rest)),
    st.sampled_from(["params", "results", "config"]),
    st.lists(names, max_size=3),
)
scalars = st.booleans() | st.integers() | st.integers(-(10**700), 10**700) | st.floats() | st.text(max_size=6)
lists = st.recursive(
    st.lists(scalars | st.none(), max_size=3).map(tuple),
    lambda inner: st.lists(scalars | inner, max_size=3).map(tuple),
    max_leaves=4,
)
equalities, ops = st.sampled_from(["==", "!="]), st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
conditions = st.one_of(
    st.builds(Condition, fields, ops, scalars),
    st.builds(Condition, fields, equalities, lists),
    st.builds(Condition, fields, ops, fields),
    st.builds(one_of, fields, st.lists(scalars | lists, max_size=3).map(tuple)),
    st.builds(contains, fields, scalars | lists | st.none()),
    st.builds(
        matching, fields, st.text(st.sampled_from("aB%_\\\"'é"), max_size=6).filter(lambda p: not p.endswith("\\"))
    ),
    st.builds(is_null, fields),
)
expressions = st.recursive(
    conditions,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(tuple).map(And),
        st.lists(inner, min_size=2, max_size=3).map(tuple).map(Or),
        st.builds(negated, inner),
    ),
    max_leaves=8,
)


@given(expressions)
@example(negated(negated(is_null(X))))
@example(negated(Or((And((A, And((B, C)))), Or((A, B))))))
@example(And((And((A, B)), negated(contains(TAGS, None)))))
def test_the_text_of_an_expression_means_the_same_again(expression):
    text = text_of(expression)
    assert parse(text) == expression
    assert text_of(parse(text)) == text
