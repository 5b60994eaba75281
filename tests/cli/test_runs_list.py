"""molexp runs list: which runs there are, as a table and as JSON."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from molexp_cli import _main
from tests.cli.helpers import Terminal, program
from tests.internals import at, tune


@pytest.fixture
def several(in_lab):
    cu = in_lab.Project("metals").Experiment("cu", params={"a": 3.6})
    for number, size in enumerate((1, 2, 3)):
        with cu.Run({"cell": {"n": size}, "kind": "fcc"}, id=f"n{size}").start() as ctx:
            ctx.set_result("energy", -number)
    in_lab.run("metals/cu/n3").annotate(tags=["best", "last"])
    in_lab.Project("metals").Experiment("ag").Run({"a": 4.1}, id="waits")
    in_lab.Project("oxides").Experiment("cu").Run(id="other")
    return in_lab


def ids(done):
    assert done.code == 0, done.err
    return [row["id"] for row in done.json()]


def test_a_table_has_a_line_for_each_run(several, molexp):
    done = molexp("runs", "list")
    assert (done.code, done.err) == (0, "")
    head, *lines = done.lines()
    assert head.split() == ["RUN", "STATUS", "CREATED", "PARAMETERS", "RESULTS", "TAGS"]
    assert [line.split()[0] for line in lines] == [
        "metals/cu/n1", "metals/cu/n2", "metals/cu/n3", "metals/ag/waits", "oxides/cu/other",
    ]  # fmt: skip
    assert "succeeded" in lines[2]
    assert 'a=3.6 cell={"n":3} kind=fcc' in lines[2]
    assert "energy=-2" in lines[2]
    assert lines[2].endswith("best last")
    assert "pending" in lines[3]


def test_json_is_one_document_of_what_run_json_says(several, molexp):
    done = molexp("runs", "list", "--experiment", "metals/cu", "--limit", "1", "--json")
    (row,) = done.json()
    assert row["path"] == "metals/cu/n1"
    assert row["parameters"] == {"a": 3.6, "cell": {"n": 1}, "kind": "fcc"}
    assert row["results"] == {"energy": 0}
    assert row["execution_history"][0]["status"] == "succeeded"
    assert (row["schema"], row["status"]) == (1, "succeeded")


def test_nothing_is_an_empty_list_and_an_empty_table(in_lab, molexp):
    assert molexp("runs", "list", "--json").json() == []
    assert len(molexp("runs", "list").lines()) == 1


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (["--project", "oxides"], ["other"]),
        (["--experiment", "cu"], ["n1", "n2", "n3", "other"]),
        (["-e", "metals/cu"], ["n1", "n2", "n3"]),
        (["--project", "metals", "--experiment", "ag"], ["waits"]),
        (["--status", "pending"], ["waits", "other"]),
        (["-s", "succeeded", "-s", "pending", "-p", "metals"], ["n1", "n2", "n3", "waits"]),
        (["--tag", "best"], ["n3"]),
        (["-t", "best", "-t", "first"], []),
        (["--param", "a=3.6"], ["n1", "n2", "n3"]),
        (["--param", "a=36e-1", "--param", "cell.n=2"], ["n2"]),
        (["--param", "cell={n: 1}"], ["n1"]),
        (["--param", "kind=fcc", "--sort", "-results.energy", "-n", "2"], ["n1", "n2"]),
        (["--param", "kind=fcc", "--sort", "results.energy"], ["n3", "n2", "n1"]),
        (["--limit", "0"], []),
        (["results.energy < 0"], ["n2", "n3"]),
        (["params.a > 3 and results.energy < 0 and not params.cell.n == 3"], ["n2"]),
        (['"best" in tags or status == "pending"'], ["n3", "waits", "other"]),
        (["results.energy < 0", "--param", "cell.n=3"], ["n3"]),
        (["results.energy <= 0", "--sort", "results.energy", "-n", "1"], ["n3"]),
        (['status != "failed"', "--status", "failed"], []),
    ],
)
def test_filters_are_joined_by_and(several, molexp, filters, found):
    assert ids(molexp("runs", "list", "--json", *filters)) == found


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--status", "fialed"], 2, "Did you mean 'failed'?"),
        (["--sort", "results.enrgy"], 2, "Did you mean 'results.energy'?"),
        (["--param", "a"], 2, "'a' sets no parameter: write NAME=VALUE"),
        (["--param", "a=[1"], 2, "cannot be used"),
        (["--limit", "-1"], 2, "-1"),
        (["--limit", "few"], 2, "few"),
        (["--project", "metal"], 3, "Did you mean 'metals'?"),
        (["--experiment", "metals/ca"], 3, "There is no experiment 'ca'"),
        (["extra"], 2, "there is no field 'extra'"),
        (["status == failed"], 2, "\n  status == failed\n            ^\n"),
        (["params.a >"], 2, "\n  params.a >\n            ^"),
        (["params.a > 3", "extra"], 2, "extra"),
    ],
)
def test_what_is_mistyped_is_named_with_the_nearest(several, molexp, arguments, code, words):
    done = molexp("runs", "list", *arguments)
    assert (done.code, done.out) == (code, "")
    assert words in done.err
    assert done.err.startswith("molexp: ")


def test_fields_that_no_run_has_are_named_where_nothing_is_found(several, molexp):
    done = molexp("runs", "list", "params.kimd == 'fcc' and results.energy < 0 and results.gap > 1", "--json")
    assert (done.code, done.json()) == (0, [])
    assert done.err.splitlines() == [
        "molexp: No run has the field 'params.kimd'. Did you mean 'params.kind'?",
        "molexp: No run has the field 'results.gap'.",
    ]
    assert molexp("runs", "list", "params.a > 100", "--json").err == ""
    assert molexp("runs", "list", "params.kimd == 'fcc' or results.energy < 0").err == ""


def test_a_pipe_gets_whole_lines_however_long(several, here):
    several.Project("long").Experiment("e").Run({"text": "word " * 200 + "end", "two": "a\nb"}, id="one")
    done = program(here, "runs", "list", env={"COLUMNS": "40"})
    assert done.lines()[-1].count("word") == 200
    assert "end" in done.lines()[-1]
    assert len(done.lines()) == 7
    assert "\x1b" not in done.out


def test_a_terminal_gets_a_table_that_fits_and_has_colours(several, here):
    several.Project("long").Experiment("e").Run({"text": "word " * 200 + "end"}, id="one")
    terminal = Terminal(here, "runs", "list", columns=90)
    assert terminal.end() == 0
    assert "\x1b[" in terminal.text
    assert "succeeded" in terminal.text
    plain = Terminal(here, "runs", "list", columns=90, env={"NO_COLOR": "1"})
    assert plain.end() == 0
    assert "\x1b" not in plain.text
    assert max(map(len, plain.text.splitlines())) <= 90
    assert "\n+1 more column: text (--wide, --columns)\n" in plain.text
    wide = Terminal(here, "runs", "list", "--wide", columns=90)
    assert wide.end() == 0
    assert wide.text.count("word") == 200
    dumb = Terminal(here, "runs", "list", env={"TERM": "dumb"})
    assert dumb.end() == 0
    assert "\x1b" not in dumb.text


def test_what_a_terminal_would_obey_is_shown_instead(in_lab, molexp):
    run = in_lab.Project("p").Experiment("e").Run({"text": "\x1b[31mred", "α": "β"}, id="one")
    run.annotate(tags=["\x1b]0;title\x07"])
    out = molexp("runs", "list").out
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "α=β" in out


def test_a_run_that_died_is_listed_as_interrupted(in_lab, here, molexp, tmp_path):
    import subprocess
    import sys

    script = (
        "import os, molexp as me; me.Workspace('lab').Project('p').Experiment('e').Run(id='dead').start(); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", script], cwd=here, check=False)
    assert molexp("runs", "list", "--status", "interrupted", "--json").json()[0]["id"] == "dead"
    assert Path("lab/projects/p/experiments/e/runs/dead/executions/1.end.json").is_file()


def test_profiles_and_configurations_are_shown_where_there_are_any(in_lab, molexp):
    exp = in_lab.Project("metals").Experiment("cu")
    exp.Run(id="plain")
    assert "CONFIG" not in molexp("runs", "list").lines()[0]
    exp.Run(id="other", overrides={"optimizer.lr": 0.1})
    head, *lines = molexp("runs", "list").lines()
    assert head.split() == ["RUN", "STATUS", "CREATED", "PARAMETERS", "CONFIG", "RESULTS"]
    assert 'optimizer={"lr":0.1}' in lines[1]


# ---------------------------------------------------------------------------------------------------------- many runs


@pytest.fixture
def many(in_lab, monkeypatch):
    """A hundred and twenty runs, of which the catalog reads twenty at a time. One of the last has a tag."""
    tune(monkeypatch, "rows of a page", 20)
    experiment = in_lab.Project("metals").Experiment("cu")
    for number in range(120):
        experiment.Run({"n": number}, id=f"n{number:03}")
    experiment.run("n110").annotate(tags=["late"])
    return in_lab


def test_the_first_lines_come_before_the_last_runs_are_read(many, monkeypatch):
    events: list[int | bytes] = []

    def write(data):
        events.append(bytes(data))
        return len(data)

    at(
        monkeypatch,
        "the documents of an answer are read",
        lambda _, numbers, __: events.append(len(numbers)),
        every=True,
    )

    class Pipe:
        encoding = "utf-8"
        buffer: Any = SimpleNamespace(write=write, flush=lambda: None)

        def isatty(self):
            return False

        def flush(self):
            pass

    text, document = b"metals/cu/n000", b'"path": "metals/cu/n000"'
    for arguments, first, count in (
        ((), text, 120),
        (("-n", "100"), text, 100),
        (("--json",), document, 120),
        (("--json", "-n", "100"), document, 100),
    ):
        events.clear()
        monkeypatch.setattr(sys, "stdout", Pipe())
        assert _main.run(["runs", "list", *arguments]) == 0
        read = [one for one in events if isinstance(one, int)]
        before = events[: next(place for place, one in enumerate(events) if isinstance(one, bytes) and first in one)]
        assert sum(read) == count
        assert sum(one for one in before if isinstance(one, int)) == 20


def test_a_column_that_comes_late_repeats_the_titles(many, molexp):
    lines = molexp("runs", "list").lines()
    titles = [place for place, line in enumerate(lines) if line.startswith("RUN")]
    assert [lines[place].split()[-1] for place in titles] == ["RESULTS", "TAGS"]
    assert len(lines) == 122
    assert [line.split()[0] for line in lines if not line.startswith("RUN")] == [
        f"metals/cu/n{number:03}" for number in range(120)
    ]
    assert lines[titles[1] + 1 + 10].split()[0] == "metals/cu/n110"
    assert lines[titles[1] + 1 + 10].endswith("  late")


def test_json_in_parts_is_one_document(many, molexp):
    rows = molexp("runs", "list", "--json").json()

    assert [row["id"] for row in rows] == [f"n{number:03}" for number in range(120)]
    assert molexp("runs", "list", "--json").out == molexp("runs", "list", "--json", "-n", "200").out


def test_a_terminal_shows_a_page_and_how_many_there_are(many, here):
    terminal = Terminal(here, "runs", "list")
    terminal.wait_for("120 runs: 120 pending. The first 50 are shown; add --limit")
    assert terminal.end() == 0
    assert ("n049" in terminal.text, "n050" in terminal.text) == (True, False)

    terminal = Terminal(here, "runs", "list", "-n", "60")
    terminal.wait_for("n059")
    assert terminal.end() == 0
    assert "shown" not in terminal.text
