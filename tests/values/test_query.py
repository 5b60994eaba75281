"""Queries: what each spelling means, and that an expression's text means the same again."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from molexp._query.expressions import (
    And,
    Comparison,
    Contains,
    Field,
    FieldComparison,
    IsNull,
    Like,
    Not,
    OneOf,
    Or,
    fields_of,
)
from molexp._query.parser import parse, parse_field
from molexp.errors import QueryError
from tests.values.query_text import text_of

ROOTS = ("params", "results", "status", "tags", "id", "created_at")


def field(name):
    return Field(tuple(name.split(".")))


X, Y, LR, LOSS, TAGS, ID = map(field, ["params.x", "params.y", "params.lr", "results.loss", "tags", "id"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("params.x == 1", Comparison(X, "==", 1)),
        ("params.x = 1", Comparison(X, "==", 1)),
        ("params.x != 1", Comparison(X, "!=", 1)),
        ("params.x <> 1", Comparison(X, "!=", 1)),
        ("params.x < 1", Comparison(X, "<", 1)),
        ("params.x<=1", Comparison(X, "<=", 1)),
        ("params.x > 1", Comparison(X, ">", 1)),
        ("params.x>=1", Comparison(X, ">=", 1)),
        ("3 == params.x", Comparison(X, "==", 3)),
        ("3 != params.x", Comparison(X, "!=", 3)),
        ("0.1 > params.x", Comparison(X, "<", 0.1)),
        ("0.1 >= params.x", Comparison(X, "<=", 0.1)),
        ("0.1 < params.x", Comparison(X, ">", 0.1)),
        ("0.1 <= params.x", Comparison(X, ">=", 0.1)),
        ("results.loss < params.x", FieldComparison(LOSS, "<", X)),
        ("results.loss == params.x", FieldComparison(LOSS, "==", X)),
        ("params.x == [64, 64]", Comparison(X, "==", (64, 64))),
        ("[] != params.x", Comparison(X, "!=", ())),
        ("params.x == [1, [null, 'a'], nan]", Comparison(X, "==", (1, (None, "a"), math.nan))),
        ("0 < params.x < 1", And((Comparison(X, ">", 0), Comparison(X, "<", 1)))),
        ("params.x == params.y == 1", And((FieldComparison(X, "==", Y), Comparison(Y, "==", 1)))),
        ("params.x == null", IsNull(X)),
        ("null == params.x", IsNull(X)),
        ("params.x != null", Not(IsNull(X))),
        ("params.x is null", IsNull(X)),
        ("params.x is not null", Not(IsNull(X))),
        ("params.x in (1, 2.5, 'a', true)", OneOf(X, (1, 2.5, "a", True))),
        ("params.x in [1,2,]", OneOf(X, (1, 2))),
        ("params.x in ()", OneOf(X, ())),
        ("params.x in ([1, 2], [3])", OneOf(X, ((1, 2), (3,)))),
        ("params.x in (null)", IsNull(X)),
        ("params.x in (1, null)", Or((OneOf(X, (1,)), IsNull(X)))),
        ("params.x not in (1, 2)", Not(OneOf(X, (1, 2)))),
        ("'good' in tags", Contains(TAGS, "good")),
        ("'good' not in tags", Not(Contains(TAGS, "good"))),
        ("[1, 2] in params.x", Contains(X, (1, 2))),
        ("null in params.x", Contains(X, None)),
        ("params.x between 1 and 2", And((Comparison(X, ">=", 1), Comparison(X, "<=", 2)))),
        ("params.x not between 1 and 2", Not(And((Comparison(X, ">=", 1), Comparison(X, "<=", 2))))),
        ("results.loss between params.x and 2", And((FieldComparison(LOSS, ">=", X), Comparison(LOSS, "<=", 2)))),
        ("id like 'cu-%'", Like(ID, "cu-%")),
        ("id not like 'cu-%'", Not(Like(ID, "cu-%"))),
        (r"id like '50\%'", Like(ID, r"50\%")),
        (r"id like '50\\%'", Like(ID, r"50\%")),
    ],
)
def test_conditions(text, expected):
    assert parse(text) == expected


A, B, C = (Comparison(field(f"params.{name}"), "==", 1) for name in "abc")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{a} and {b} or {c}", Or((And((A, B)), C))),
        ("{a} or {b} and {c}", Or((A, And((B, C))))),
        ("({a} or {b}) and {c}", And((Or((A, B)), C))),
        ("{a} and {b} and {c}", And((A, B, C))),
        ("{a} or {b} or {c}", Or((A, B, C))),
        ("{a} and ({b} and {c})", And((A, And((B, C))))),
        ("not {a} and {b}", And((Not(A), B))),
        ("not ({a} and {b})", Not(And((A, B)))),
        ("not not {a}", Not(Not(A))),
        ("{a} and not {b} or not {c}", Or((And((A, Not(B))), Not(C)))),
        ("((({a})))", A),
        ("NOT {a} AnD {b} OR {c}", Or((And((Not(A), B)), C))),
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
    assert found == Comparison(X, "==", value)
    assert type(found.value) is type(value)


def test_integers_are_exact_as_far_as_they_are_recorded():
    digits = "7" * 4300
    assert parse(f"params.x == {digits}") == Comparison(X, "==", 7 * (10**4300 - 1) // 9)
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
    assert parse(f"{text} == 1") == Comparison(Field(parts), "==", 1)
    assert parse_field(Field(parts).name) == Field(parts)


def test_a_name_is_quoted_only_where_it_must_be():
    assert Field(("params", "lr", "learning rate", "in", "a-b", "2d")).name == 'params.lr."learning rate".in."a-b".2d'


def test_a_field_knows_where_it_stands_which_makes_it_no_other_field():
    first, second = fields_of(parse("params.x == 1 or 2 < params.x"))
    assert (first.start, first.end, second.start, second.end) == (0, 8, 21, 29)
    assert first == second
    assert hash(first) == hash(second)


def test_fields_come_in_the_order_of_the_query():
    text = "params.a == 1 and not (id like 'x' or results.b < params.c) and 'd' in tags and params.e is null"
    names = [found.name for found in fields_of(parse(text))]
    assert names == ["params.a", "id", "results.b", "params.c", "tags", "params.e"]


def test_roots_are_what_names_may_begin_with_and_without_them_any_word_may():
    assert parse("anything.x == other", None) == FieldComparison(field("anything.x"), "==", field("other"))
    assert parse("parameters.x == 1", ROOTS) == Comparison(X, "==", 1)
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


@pytest.mark.parametrize(
    "make",
    [
        (And, (A,)),
        (Or, ()),
        (Comparison, X, "~", 1),
        (Comparison, X, "<", (1,)),
        (Comparison, X, "==", None),
        (FieldComparison, X, "in", Y),
        (OneOf, X, (1, None)),
        (Like, X, "a\\"),
        (Field, ("not", "x")),
        (Field, ("a b",)),
    ],
)
def test_what_no_query_could_say_cannot_be_built(make):
    kind, *arguments = make
    with pytest.raises(ValueError, match=r"."):
        kind(*arguments)


def test_literals_of_different_types_make_different_conditions():
    values: list[Any] = [1, 1.0, True, "1", (1,), (True,)]
    assert len({Comparison(X, "==", value) for value in values}) == len(values)
    assert Comparison(X, "==", float("nan")) == Comparison(X, "==", float("nan"))


names = st.text(max_size=5) | st.sampled_from(
    ["lr", "learning rate", "in", "NULL", "a.b", "$x", "2d", "α", "a-b", "'\"\\"]
)
fields = st.builds(
    lambda root, rest: Field((root, *rest)), st.sampled_from(["params", "results", "tags"]), st.lists(names, max_size=3)
)
scalars = st.booleans() | st.integers() | st.integers(-(10**700), 10**700) | st.floats() | st.text(max_size=6)
lists = st.recursive(
    st.lists(scalars | st.none(), max_size=3).map(tuple),
    lambda inner: st.lists(scalars | inner, max_size=3).map(tuple),
    max_leaves=4,
)
equalities, ops = st.sampled_from(["==", "!="]), st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
conditions = st.one_of(
    st.builds(Comparison, fields, ops, scalars),
    st.builds(Comparison, fields, equalities, lists),
    st.builds(FieldComparison, fields, ops, fields),
    st.builds(OneOf, fields, st.lists(scalars | lists, max_size=3).map(tuple)),
    st.builds(Contains, fields, scalars | lists | st.none()),
    st.builds(Like, fields, st.text(st.sampled_from("aB%_\\\"'é"), max_size=6).filter(lambda p: not p.endswith("\\"))),
    st.builds(IsNull, fields),
)
expressions = st.recursive(
    conditions,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(tuple).map(And),
        st.lists(inner, min_size=2, max_size=3).map(tuple).map(Or),
        st.builds(Not, inner),
    ),
    max_leaves=8,
)


@given(expressions)
@example(Not(Not(IsNull(X))))
@example(Not(Or((And((A, And((B, C)))), Or((A, B))))))
@example(And((And((A, B)), Not(Contains(TAGS, None)))))
def test_the_text_of_an_expression_means_the_same_again(expression):
    text = text_of(expression)
    assert parse(text) == expression
    assert text_of(parse(text)) == text
