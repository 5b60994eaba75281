"""molexp runs list on a terminal: columns that say something, within its width, and what stands below them."""

from __future__ import annotations

import os
import platform
import re
import shutil

import pytest

from tests.cli.helpers import Terminal

FAILING = (2, 5)


@pytest.fixture
def sweep(in_lab):
    experiment = in_lab.Project("metals").Experiment("cu", params={"xc": "PBE"})
    for number in range(8):
        run = experiment.derived_run({"a": 3.5 + number / 100, "cell": {"n": number % 2}})
        try:
            with run.start() as ctx:
                ctx.metrics.log(step=0, loss=1 / (number + 3), rate=0.1)
                ctx.set_result("energy", -3.712345678 + number)
                ctx.set_result("forces", [[0.1, 0.2, 0.3]] * 2)
                ctx.set_result("remark", "a remark that is too long to stand in a table")
                if number in FAILING:
                    raise ValueError("no convergence")
        except ValueError:
            pass
    return experiment


def shown(here, *words, columns=100, **env):
    terminal = Terminal(here, "runs", "list", *words, columns=columns, env={"NO_COLOR": "1", **env})
    assert terminal.end() == 0, terminal.text
    return terminal.text.splitlines()


def test_parameters_that_vary_results_and_metrics_are_columns(sweep, here):
    head, *rows = shown(here)[:9]
    assert head.split() == ["RUN", "STATUS", "CREATED", "TIME", "a", "n", "energy", "forces", "loss", "rate", "cause"]
    assert re.fullmatch(
        r"[0-9a-f]{8}  succeeded  \S.*  0\.\d s  3\.5   0  -3\.712   \[2x3\]   0\.3333   0\.1", rows[0].rstrip()
    )
    assert [row.split()[1] for row in rows].count("failed") == len(FAILING)
    assert "exception" in rows[FAILING[0]]


def test_numbers_stand_with_their_points_below_each_other(sweep, here):
    _, *rows = shown(here, "--columns", "a,energy,loss")[:9]
    for column in range(3):
        points = {[found.start() for found in re.finditer(r"\.", row)][column] for row in rows}
        assert len(points) == 1


def test_a_line_below_counts_them_and_tells_what_all_have(sweep, here):
    assert shown(here, columns=80)[9:] == [
        "8 runs: 6 succeeded, 2 failed. All have xc=PBE",
        "+2 more columns: remark, forces (--wide, --columns)",
    ]


@pytest.mark.parametrize("columns", [34, 45, 60, 80])
def test_columns_that_do_not_fit_are_named_and_nothing_breaks(sweep, here, columns):
    lines = shown(here, columns=columns)
    assert max(map(len, lines)) <= columns
    assert [line.split()[:2] for line in lines[1:9]] == [line.split()[:2] for line in shown(here, columns=300)[1:9]]
    assert re.search(r"^\+\d+ more columns?.* \(--wide.*\)$", "\n".join(lines), re.MULTILINE)


def test_a_short_id_finds_the_run(sweep, here, molexp):
    ids = [line.split()[0] for line in shown(here)[1:9]]
    paths = [molexp("show", short, "--json").json()["path"] for short in ids]
    assert paths == [row.path for row in sweep.project.workspace.catalog.runs()]


def test_an_id_that_was_generated_is_known_by_its_end_and_a_given_one_whole(in_lab, here, molexp):
    generated = in_lab.Project("p").Experiment("e").Run()
    in_lab.Project("p").Experiment("e").Run(id="a-name-that-somebody-gave")
    in_lab.Project("p").Experiment("two").Run(id="a-name-that-somebody-gave")
    _, first, second, third, *_ = shown(here)
    assert first.split()[0] == generated.id[-8:]
    assert molexp("show", generated.id[-8:], "--json").json()["path"] == generated.path
    assert second.split()[:2] == ["p/e/a-name-that-somebody-gave", "p/e"]
    assert third.split()[0] == "p/two/a-name-that-somebody-gave"


def test_you_choose_columns_by_the_ends_of_their_names(sweep, here, molexp):
    head, first, *_ = shown(here, "--columns", "run,time,params.a,energy,metrics.loss.min")
    assert head.split() == ["RUN", "TIME", "params.a", "energy", "metrics.loss.min"]
    assert first.split()[-3:] == ["3.5", "-3.712", "0.3333"]
    piped = molexp("runs", "list", "--columns", "run,energy", "-n", "1")
    assert [line.split() for line in piped.lines()] == [["RUN", "energy"], [sweep.runs[0].path, "-3.712345678"]]
    csv = molexp("runs", "list", "--columns", "id,energy", "-n", "1", "--output", "csv")
    assert csv.lines() == ["id,results.energy", f"{sweep.runs[0].id},-3.712345678"]
    row, asked = sweep.project.workspace.catalog.runs()[0], ["ended_at", "cause", "notes", "user"]
    asked_for = molexp("runs", "list", "--columns", f"status,{','.join(asked)}", "-n", "1", "--output", "csv")
    assert asked_for.lines()[1] == ",".join(["succeeded", *(row[name] or "" for name in asked)]), asked_for.err
    assert (row["cause"], row["ended_at"], "energy" in row) == (None, row.execution_history[-1]["ended_at"], False)
    wrong = molexp("runs", "list", "--columns", "enrgy")
    assert (wrong.code, wrong.err) == (2, "molexp: No run has the column 'enrgy'. Did you mean 'energy'?\n")
    assert "'endedat'. Did you mean 'ended_at'?" in molexp("runs", "list", "--columns", "endedat").err


def test_notes_are_their_text_in_lists_and_rows_as_in_queries(in_lab, here, molexp):
    run = in_lab.Project("p").Experiment("e").Run(id="r")
    for note in ("converged", "checked"):
        assert molexp("runs", "note", note, run.path).code == 0
    (row,) = in_lab.catalog.runs('notes == "converged\\nchecked"')
    assert row["notes"] == "converged\nchecked"
    assert molexp("runs", "list", "--columns", "notes", "--output", "csv").lines()[1:] == ['"converged', 'checked"']


def test_columns_of_where_the_code_came_from_are_known_to_rows_lists_and_sorting(in_lab, here, molexp):
    experiment = in_lab.Project("p").Experiment("e")
    with experiment.Run({"python": 2}, id="done").start():
        pass
    experiment.Run({"python": 1}, id="new")
    version = platform.python_version()
    new, done = in_lab.catalog.runs(sort="params.python")
    assert (done["provenance.python"], "provenance.python" in new, "provenance.python" in [*done]) == (
        version,
        False,
        False,
    )
    assert done.get("provenance.packages.pytest") == pytest.__version__

    named = ("--columns", "id,provenance.python,packages.pytest,python", "--sort", "-provenance.python")
    csv = molexp("runs", "list", *named, "--output", "csv").lines()
    assert csv == [
        "id,provenance.python,provenance.packages.pytest,params.python",
        f"done,{version},{pytest.__version__},2",
        "new,,,1",
    ]
    assert [line.split() for line in molexp("runs", "list", *named).lines()[1:]] == [
        ["done", version, pytest.__version__, "2"],
        ["new", "1"],
    ]
    wrong = molexp("runs", "list", "--columns", "provenance.pyton")
    assert (wrong.code, "Did you mean 'provenance.python'" in wrong.err) == (2, True)


def test_a_column_that_only_a_late_run_has_is_known_in_every_form(in_lab, here, molexp):
    experiment = in_lab.Project("p").Experiment("e")
    experiment.runs.create_many({"n": number} for number in range(60))
    experiment.Run({"late": 1, "cell": {"size": 7}}, id="last")
    for columns in ("run,late,size", "run,params.late,params.cell.size"):
        titles = columns.replace("run", "RUN").split(",")
        assert shown(here, "--columns", columns)[0].split() == titles
        assert shown(here, "--columns", columns, "-n", "100")[61].split() == ["last", "1", "7"]
        assert molexp("runs", "list", "--columns", columns).lines()[-1].split() == ["p/e/last", "1", "7"]
        csv = molexp("runs", "list", "--columns", columns, "--output", "csv").lines()
        assert (csv[0], csv[-1]) == ("run,params.late,params.cell.size", "p/e/last,1,7")
        assert molexp("runs", "list", "--columns", columns, "-n", "3").code == 0
    experiment.Run({"box": {"size": 8}}, id="other")
    done = molexp("runs", "list", "--columns", "size")
    assert (done.code, "Did you mean 'params.box.size' or 'params.cell.size'?" in done.err) == (2, True)


def test_all_of_it_is_there_if_you_ask_for_it(sweep, here):
    head, first, *_ = shown(here, "--wide", columns=60)
    assert head.split()[-1] == "cause"
    assert "a remark that is too long to stand in a table" in first


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["params.xc == 'PBEE'"], "No run of 8 has params.xc == \"PBEE\".\nhint: Did you mean 'PBE'?"),
        (["params.a > 9"], "No run of 8 has params.a > 9."),
        (
            ["params.xc == 'PBE' and results.energy < -9", "--tag", "best"],
            'No run matches all of it: of 8, 8 have params.xc == "PBE", none has results.energy < -9, none has "best" in tags.',
        ),
        (["--status", "failed", "--param", "a=3.5"], 'No run matches all of it: of 8, 2 have status == "failed", 1 has params.a == 3.5.'),
    ],
)  # fmt: skip
def test_nothing_is_explained_by_what_is_near(sweep, molexp, words, message):
    assert molexp("runs", "list", *words).err == f"molexp: {message}\n"


def test_a_workspace_without_runs_says_how_to_make_some(in_lab, molexp, here):
    done = molexp("runs", "list")
    assert (
        done.err
        == f"molexp: There are no runs in {here / 'lab'} yet.\nhint: `molexp run SCRIPT` and `molexp exec` make some.\n"
    )


@pytest.mark.skipif(not shutil.which("cat"), reason="there is no cat")
def test_a_long_list_goes_through_the_pager_whole(in_lab, here, tmp_path):
    in_lab.Project("p").Experiment("e").runs.create_many({"n": number} for number in range(700))
    pager = tmp_path / "pager"
    pager.write_text('#!/bin/sh\necho "LESS=$LESS"\nexec cat\n')
    pager.chmod(0o755)
    lines = shown(here, PAGER=str(pager), LESS="FRX")
    assert lines[0] == "LESS=FRX"
    assert len(lines) == 1 + 1 + 700 + 1
    assert lines[-1] == "700 runs: 700 pending"
    assert len({line.split()[0] for line in lines[2:-1]}) == 700
    assert shown(here, "-n", "3", PAGER=str(pager))[0].startswith("RUN")
    assert len(shown(here, PAGER="head -n 20")) == 20


@pytest.mark.skipif(not shutil.which("cat"), reason="there is no cat")
def test_later_rows_of_a_long_list_are_not_cut_to_the_widths_of_the_first(in_lab, here):
    experiment = in_lab.Project("p").Experiment("e")
    experiment.runs.create_many({"n": number, "word": f"w{number}"} for number in range(50))
    name = "a-name-that-is-longer-than-those-before"
    experiment.Run({"n": 123456789012, "word": "longer than it"}, id=name)
    last = shown(here, PAGER="cat")[51]
    assert last.split() == [name, "pending", "now", "123456789012", "longer", "than", "it"]


def test_a_number_that_is_wider_than_the_terminal_is_not_cut(in_lab, here):
    in_lab.Project("p").Experiment("e").Run({"n": 10**100}, id="vast")
    assert str(10**100) in "".join(shown(here, "--columns", "n", columns=60))


def test_wide_letters_and_escaped_ones_are_measured_as_they_are_drawn(in_lab, here):
    experiment = in_lab.Project("p").Experiment("e")
    experiment.Run({"word": "銅の格子定数", "other": "a\x07b"}, id="one")
    experiment.Run({"word": "銀", "other": "plain"}, id="two")
    lines = shown(here)
    assert "銅の格子定数" in lines[1]
    assert "a\\u0007b" in lines[1]


@pytest.mark.skipif(os.name == "nt", reason="there are no terminals to open")
def test_a_pager_that_is_not_there_is_none(in_lab, here):
    in_lab.Project("p").Experiment("e").runs.create_many({"n": number} for number in range(60))
    for missing in ("", "no-such-pager -R", "'"):
        assert len(shown(here, PAGER=missing)) == 1 + 50 + 2
