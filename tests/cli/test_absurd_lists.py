"""Lists and comparisons of what nobody expects: vast integers, no standard input, no columns, no rows."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress

import pytest

from tests.cli.helpers import PROGRAM, Terminal

VAST = 10**400


@pytest.fixture
def vast(in_lab):
    exp = in_lab.Project("p").Experiment("e")
    exp.Run({"n": VAST, "x": 1.5}, id="vast")
    exp.Run({"n": 2, "x": 2.5}, id="small")
    return exp


def test_integers_that_are_too_large_for_a_float_are_listed_and_compared(vast, here, molexp):
    for words in (("runs", "list"), ("compare", "vast", "small"), ("compare", "--baseline", "vast", "small")):
        terminal = Terminal(here, *words, columns=600)
        assert terminal.end() == 0
        assert str(VAST)[:20] in terminal.text
        assert molexp(*words).code == 0
    assert "2.5 (+1)" in molexp("compare", "--baseline", "vast", "small").out


def test_a_long_list_needs_no_standard_input(in_lab, here):
    in_lab.Project("p").Experiment("e").runs.create_many({"n": number} for number in range(60))
    terminal, its = os.openpty()
    with subprocess.Popen(["sh", "-c", '"$0" runs list <&-', PROGRAM], stdout=its, stderr=its) as process:
        os.close(its)
        text = b""
        with suppress(OSError):  # the program has ended
            while part := os.read(terminal, 65536):
                text += part
    os.close(terminal)
    assert process.returncode == 0, text
    assert b"60 runs" in text


@pytest.mark.parametrize("columns", [",", "", " , "])
def test_columns_without_a_name_are_an_error(vast, here, molexp, columns):
    done = molexp("runs", "list", "--columns", columns)
    assert (done.code, done.err) == (2, "molexp: --columns names no column.\n")


def test_a_list_of_no_rows_does_not_say_that_nothing_matches(vast, molexp):
    done = molexp("runs", "list", "params.n == 2", "--limit", "0")
    assert (done.code, done.err) == (0, "")


def test_a_comparison_says_that_nothing_matches(vast, molexp):
    done = molexp("compare", "--where", "params.m == 2")
    assert (done.code, done.out) == (2, "")
    assert "No run has the field 'params.m'." in done.err
    assert "No run matches 'params.m == 2', so there is nothing to compare." in done.err
    done = molexp("compare", "vast", "small", "--where", "params.n == 3")
    assert (done.code, done.err) == (0, "molexp: No run matches 'params.n == 3'.\n")
