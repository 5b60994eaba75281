"""molexp compare: fields as rows, runs as columns."""

from __future__ import annotations

import pytest

from tests.cli.helpers import Terminal, program


@pytest.fixture
def two(in_lab):
    exp = in_lab.Project("metals").Experiment("cu", params={"a": 3.6})
    for name, lr in (("small", 0.1), ("large", 0.25)):
        with exp.Run({"lr": lr}, id=name).start() as ctx:
            ctx.set_result("loss", float("nan") if name == "small" else lr)
            if name == "large":
                ctx.set_result("text", "one\ntwo")
    return in_lab


def test_a_line_for_each_field_in_which_they_differ(two, molexp):
    done = molexp("compare", "metals/cu/small", "large")
    assert (done.code, done.err) == (0, "")
    head, *lines = done.lines()
    assert head.split() == ["FIELD", "metals/cu/small", "metals/cu/large"]
    assert [line.split() for line in lines] == [
        ["params.lr", "0.1", "0.25"],
        ["results.loss", "nan", "0.25"],
        ["results.text", '"one\\ntwo"'],
    ]


def test_text_that_looks_like_another_value_is_quoted(in_lab, molexp):
    exp = in_lab.Project("metals").Experiment("cu")
    for name, values in (("values", [3, 0.5, True, None, [1]]), ("texts", ["3", "5e-1", "true", "null", "[1]"])):
        exp.Run(dict(zip("abcde", values, strict=True)), id=name)
    exp.Run({"a": "3 K", "b": "v1.0", "c": "True", "d": "007", "e": "(1)"}, id="plain")
    lines = [line.split() for line in molexp("compare", "values", "texts", "plain").lines()]
    assert lines[1] == ["params.a", "3", '"3"', "3", "K"]
    assert lines[2:4] == [["params.b", "0.5", '"5e-1"', "v1.0"], ["params.c", "true", '"true"', "True"]]
    assert [line[-2:] for line in lines[4:]] == [['"null"', "007"], ['"[1]"', "(1)"]]
    assert 'a="3" b="5e-1" c="true" d="null" e="[1]"' in molexp("runs", "list", "id == 'texts'").out


def test_json_has_the_rows(two, molexp):
    assert molexp("compare", "small", "@latest", "--json").json() == [
        {"path": "metals/cu/small", "params.lr": 0.1, "results.loss": {"$float": "nan"}},
        {"path": "metals/cu/large", "params.lr": 0.25, "results.loss": 0.25, "results.text": "one\ntwo"},
    ]


def test_three_runs_are_three_columns(two, molexp):
    two.Project("metals").Experiment("cu").Run({"lr": 0.1}, id="third")
    head, *lines = molexp("compare", "small", "third", "large").lines()
    assert head.split() == ["FIELD", "metals/cu/small", "metals/cu/third", "metals/cu/large"]
    assert ["params.lr", "0.1", "0.1", "0.25"] in [line.split() for line in lines]


def test_where_nothing_differs_a_message_says_so(two, molexp):
    done = molexp("compare", "small", "small")
    assert (done.code, done.lines()) == (0, ["FIELD  metals/cu/small  metals/cu/small"])
    assert done.err == "molexp: The runs do not differ in anything on record.\n"
    assert molexp("compare", "small", "small", "--json").json() == [{"path": "metals/cu/small"}] * 2


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "Name two or more runs, or give --where."),
        (["small"], 2, "There must be at least two runs to compare; only 'metals/cu/small' was given."),
        (["small", "lrage"], 3, "There is no run 'lrage'"),
    ],
)
def test_what_cannot_be_compared_is_a_sentence(two, molexp, arguments, code, words):
    done = molexp("compare", *arguments)
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith("molexp: ")
    assert words in done.err


def test_a_terminal_and_a_pipe(two, here):
    terminal = Terminal(here, "compare", "small", "large", columns=80)
    assert terminal.end() == 0
    assert "\x1b[" in terminal.text
    assert "results.loss" in terminal.text
    lines = Terminal(here, "compare", "small", "large", columns=80, env={"NO_COLOR": "1"})
    assert lines.end() == 0
    assert [line.split() for line in lines.text.splitlines()] == [
        ["FIELD", "small", "large"],
        ["params.lr", "0.1", "0.25"],
        [],
        ["results.loss", "nan", "0.25"],
        ["results.text", '"one\\ntwo"'],
    ]
    piped = program(here, "compare", "small", "large", env={"COLUMNS": "20"})
    assert piped.code == 0
    assert "\x1b" not in piped.out
    assert "metals/cu/small" in piped.lines()[0]


def test_a_query_chooses_the_runs_and_a_baseline_is_the_first(two, molexp):
    exp = two.Project("metals").Experiment("cu")
    with exp.Run({"lr": 0.5}, id="third").start() as ctx:
        ctx.set_result("loss", 0.375)
    done = molexp("compare", "--where", "results.loss > 0", "--baseline", "large")
    assert [line.split(maxsplit=2) for line in done.lines()[:3]] == [
        ["FIELD", "metals/cu/large", "metals/cu/third"],
        ["params.lr", "0.25", "0.5 (+0.25)"],
        ["results.loss", "0.25", "0.375 (+0.125)"],
    ]
    assert len(molexp("compare", "--where", "params.lr < 1", "--json").json()) == 3
    assert molexp("compare", "--where", "params.lr > 9", "--json").code == 2


def test_runs_that_do_not_fit_side_by_side_stand_below_each_other(two, here):
    exp = two.Project("metals").Experiment("cu")
    for number in range(12):
        with exp.Run({"lr": 0.5 + number}, id=f"more-{number}").start() as ctx:
            ctx.set_result("loss", 1 / (number + 3))
    terminal = Terminal(here, "compare", "--where", "params.lr >= 0.5", columns=60, env={"NO_COLOR": "1"})
    assert terminal.end() == 0
    head, *rows = terminal.text.splitlines()
    assert head.split() == ["RUN", "lr", "loss"]
    assert rows[0].split() == ["more-0", "0.5", "0.3333"]
    assert len(rows) == 12
