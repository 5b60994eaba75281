"""Queries that are refused: where, why, and what to do; however long or deep they are."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molexp._query.evaluation import matches
from molexp._query.expressions import Condition, Field, Joined
from molexp._query.parser import MAX_LENGTH, parse, parse_field
from molexp.errors import QueryError
from tests.values.query_text import text_of

ROOTS = ("params", "results", "status", "tags", "id", "created_at")
ID = Field(("id",))


def refused(text, roots=ROOTS):
    with pytest.raises(QueryError) as caught:
        parse(text, roots)
    return caught.value


@pytest.mark.parametrize(
    ("text", "position", "reason", "advice"),
    [
        # Fields that are not there.
        ("status == failed", 10, "no field 'failed'", "If it is text, quote it: 'failed'."),
        ("status in (failed, running)", 11, "found failed", "quote it: 'failed'."),
        ("status == cu-large", 10, "'cu-large' is not a name", "quote it: 'cu-large'."),
        ("statis == 'x'", 0, "no field 'statis'", "Did you mean 'status'?"),
        ("id == 1 and parms.lr < 1", 12, "no field 'parms.lr'", "Did you mean 'params'?"),
        ("lr < 1", 0, "no field 'lr'", "A parameter is params.lr, a result results.lr."),
        ("zzz.lr < 1", 0, "no field 'zzz.lr'", "Fields begin with created_at, id, params,"),
        # Names that want quotes.
        ("results.final-loss < 1", 13, "unexpected '-'", 'quote it: results."final-loss".'),
        ("params.learning rate < 1", 16, "expected a comparison", 'quote it: params."learning rate".'),
        ("params.layers[0] == 1", 13, "single elements", "64 in params.layers"),
        ("params[x] == 1", 7, "expected a name in quotes", 'params."learning rate"'),
        ("params['x' == 1", 11, "expected ]", 'params["learning rate"]'),
        ("params. x == 1", 7, "expected a name after the dot", "As in params.lr"),
        ("params.x == .", 12, "unexpected '.'", "begins with a word"),
        ("created_at > 2026-01-01", 13, "'2026-01-01' is not a number", "quote it: '2026-01-01'."),
        ("params.x == 0x10", 12, "'0x10' is not a number", "quote it"),
        # Texts.
        ('params.x == "abc', 12, "no end", 'Put " behind it.'),
        ("params.x == 'abc\\", 12, "no end", "Put ' behind it."),
        (r"params.x == 'a\d'", 14, r"\d means nothing", "written twice"),
        (r"params.x == '\u12'", 13, r"\u means nothing", "written twice"),
        (r"params.x == '\ud800'", 13, r"\ud800 is not a character", "Write the character"),
        (r"params.x == '\U00110000'", 13, "is not a character", "Write the character"),
        ("params.x == “a”", 12, "unexpected '“'", "Quotes are straight"),
        ("params.x == '\ud800'", 13, "lone surrogate (U+D800)", "leave it out"),
        # Other languages.
        ("id == 1 && id == 2", 8, "unexpected '&&'", "Write and."),
        ("id == 1 || id == 2", 8, "unexpected '||'", "Write or."),
        ("!id", 0, "unexpected '!'", "Write not"),
        ("id === 1", 3, "unexpected '==='", "written =="),
        ("id =< 1", 3, "unexpected '=<'", "Write <=."),
        ("id => 1", 3, "unexpected '=>'", "Write >=."),
        ("params.x * 2 == 1", 9, "unexpected '*'", "no arithmetic"),
        ("params.x +1 == 2", 9, "expected a comparison, in, like, between or is, found +1", "As in"),
        ("id is 'a'", 6, "expected null after is", "written ==."),
        ("id is not 'a'", 10, "expected null after is", "written !=."),
        ("id == 1; id == 2", 7, "unexpected ';'", "joined by and, or"),
        ("id == ?", 6, "unexpected '?'", "quoted"),
        # Conditions that are none, or no longer.
        ("", 0, "empty", "params.lr < 0.01"),
        ("  \n ", 4, "empty", "params.lr < 0.01"),
        ("params.x", 0, "params.x alone is not a condition", "params.x == true"),
        ("params.x and id == 1", 0, "params.x alone is not a condition", "params.x is not null"),
        ("not (params.x) < 1", 5, "params.x alone is not a condition", "params.x == true"),
        ("true", 0, "a value alone", "Compare a field with it"),
        ("params.x <", 10, "expected a value or a field, found the end", ""),
        ("params.x < and id == 1", 11, "expected a value or a field, found and", ""),
        ("id == 1 and", 11, "expected a field or a value, found the end", ""),
        ("or id == 1", 0, "expected a field or a value, found or", ""),
        ("id == 1 status == 2", 8, "expected and, or, or the end, found status", "joined by and, or"),
        ("id == 1 in (2)", 8, "expected and, or, or the end, found in", "complete"),
        ("id not == 1", 7, "expected in, like or between after not", "not (...)"),
        ("1 < 2", 0, "two values", "One side is a field"),
        ("0 < 1 < params.x", 0, "two values", "One side is a field"),
        ("params.x < null", 11, "null has no order", "== and !="),
        ("params.x between null and 1", 17, "null has no order", "== and !="),
        ("params.x between 1 or 2", 19, "expected and after the lower bound, found or", "between 0.001 and 0.1"),
        ("params.x > [1]", 11, "lists have no order", "== and !="),
        ("params.x == (1, 2)", 12, "expected a value or a field, found (", "brackets: [1, 2]"),
        ("params.x in 3", 12, "expected a list or a field", "params.lr in (1, 2)"),
        ("params.x in 'abc'", 12, "expected a list or a field", "params.lr in (1, 2)"),
        ("params.x in tags", 0, "looked for in another", '"good" in tags'),
        ("1 in (1, 2)", 0, "a value is looked for in values", '"good" in tags'),
        ("tags == 'good'", 8, "tags is a list, which no single value equals", '"good" in tags'),
        ("'good' != tags", 0, "tags is a list", '"good" not in tags'),
        ("tags in ('good', 'bad')", 0, "tags is a list", '"good" in tags'),
        ("tags not like 'g%'", 0, "tags is a list", '"good" in tags'),
        ("1 in [1, 2]", 0, "a value is looked for in values", '"good" in tags'),
        ("params.x like 3", 14, "expected a text in quotes after like, found 3", 'like "cu-%"'),
        ("params.x like id", 14, "expected a text in quotes after like, found id", 'like "cu-%"'),
        ("'a' like 'b'", 0, "expected a field before like", 'like "cu-%"'),
        (r"id like 'a\\'", 8, "ends in a backslash", "escaped"),
        ("3 is null", 0, "expected a field before is", "results.loss is null"),
        # Parentheses.
        ("(id == 1", 0, "this ( is not closed", "Put a )"),
        ("id == 1)", 7, "nothing is open", "Put a ("),
        ("(id == 1 id", 9, "expected and, or, or the end, found id", "joined"),
        ("params.x in (1, 2", 12, "this ( is not closed", "Put a )"),
        ("params.x == [1, [2]", 12, "this [ is not closed", "Put a ]"),
        ("params.x in (1 2)", 15, "expected , or ), found 2", ""),
        ("params.x in (,)", 13, "expected a value or ), found ,", ""),
        ("params.x in (1]", 14, "expected , or ), found ]", ""),
        ("()", 1, "expected a field or a value, found )", ""),
    ],
)
def test_what_is_refused_and_where(text, position, reason, advice):
    error = refused(text)
    assert error.text == text
    assert error.position == position
    assert reason in error.reason
    assert error.reason in str(error)
    assert advice in str(error)


def test_an_error_shows_the_query_and_a_caret_below_the_place():
    assert str(refused("params.lr < 1 and status == failed")).splitlines() == [
        "The query cannot be understood: there is no field 'failed'.",
        "  params.lr < 1 and status == failed",
        "                              ^",
        "If it is text, quote it: 'failed'.",
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("params.x == 1\nand\tparams.数 == 1 ?", "and params.数 == 1 ?"),
        ("id == 1 or " * 20 + "?" + " or id == 1" * 20, None),
        ("'\0' == ?", "'\ufffd' == ?"),
    ],
)
def test_only_the_line_is_shown_and_only_what_is_near(text, shown):
    _, line, caret, *_ = str(refused(text)).splitlines()
    wide = line.count("数")  # takes two columns
    assert line[len(caret) - 1 - wide] == "?"
    assert len(line) < 100
    assert shown is None or line.strip() == shown


def test_an_error_survives_pickling_with_its_facts():
    error = refused("statis == 1")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.position, again.nearest) == (str(error), 0, ("status",))
    assert isinstance(again, ValueError)


# ------------------------------------------------------------------------------------------------------------- limits


@pytest.mark.parametrize("opening", ["(", "not ", "not(", "params.x == " + "[" * 300, "params.x in (" + "[" * 300])
def test_what_is_nested_too_deep_is_refused_however_deep_it_is(opening):
    error = refused(opening * (10_000 if len(opening) < 5 else 1))
    assert "nested more than 200 levels deep" in error.reason


def test_two_hundred_levels_are_fine():
    assert parse("(" * 200 + "id == 1" + ")" * 200) == Condition(ID, "==", 1)
    assert "200" in refused("(" * 201 + "id == 1" + ")" * 201).reason
    assert isinstance(parse(f"params.x == {'[' * 200}{']' * 200}"), Condition)


def test_levels_that_parentheses_do_not_count_are_counted():
    def nested(times):
        return "id == 1 or status == 'x' and (" * times + "id == 2" + ")" * times

    deepest = parse(nested(100))
    assert parse(text_of(deepest)) == deepest
    assert hash(deepest) == hash(parse(nested(100)))
    assert matches(deepest, lambda found: "x" if found.name == "status" else 2)
    assert "200" in refused(nested(101)).reason


@pytest.mark.parametrize("word", [" or ", " and "])
def test_thousands_of_terms_are_one_level(word):
    terms = [f"id=={number}" for number in range(4_000)]
    found = parse(word.join(terms))
    assert isinstance(found, Joined)
    assert found.word == word.strip()
    assert len(found.parts) == 4_000
    text = text_of(found)[:MAX_LENGTH].rpartition(word)[0]
    assert text_of(parse(text)) == text
    assert matches(found, lambda _: 3_999) is (word == " or ")


def test_a_query_has_a_greatest_length():
    text = "id == 1".ljust(MAX_LENGTH)
    assert parse(text) == Condition(ID, "==", 1)
    error = refused(text + " ")
    assert (error.position, len(str(error)) < 500) == (MAX_LENGTH, True)
    assert "65537 characters" in error.reason


def test_a_name_has_no_more_parts_than_a_record_has_levels():
    assert len(parse_field("a" + ".a" * 199).parts) == 200
    for rest in (".a" * 200, f".'{'.' * 200}'"):
        with pytest.raises(QueryError, match="more than 200 parts"):
            parse_field("a" + rest)


def test_long_words_are_not_repeated_in_full():
    for text in ("x" * 60_000, "9" * 60_000 + "x", f"params.{'x' * 60_000}", f"params.x == 1 {'y' * 60_000}"):
        assert len(str(refused(text))) < 600


# fmt: off
WORDS = [
    "params.x", "status", "tags", "lr", "and", "or", "not", "in", "between", "like", "is", "null", "true", "inf", "-inf",
    "(", ")", "[", "]", ",", "==", "=", "!=", "<", "<=", "<>", "1", "-2.5", ".5", "'a'", '"b"', "'open", "\\", ".", "-",
    "+", "&", "数", "params.'", "params[", "params[0]", "not(1", "\n",
]
# fmt: on


@given(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join) | st.text(max_size=30))
def test_any_text_is_understood_or_refused_at_a_place_in_it(text):
    try:
        found = parse(text, ROOTS)
    except QueryError as error:
        problem = error
    else:
        assert parse(text_of(found), ROOTS) == found
        return
    assert 0 <= problem.position <= len(text)
    assert problem.reason
    assert "^" in str(problem)
