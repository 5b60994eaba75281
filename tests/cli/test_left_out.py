"""Lists that had to leave something out say so: how much, and where to see which."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

RUNS = Path("lab/projects/metals/experiments/cu/runs")
SAYS = "could not be read, so this answer is incomplete. `molexp catalog unreadable` lists the reasons."


@pytest.fixture
def torn(in_lab):
    """Three runs, of which one cannot be read."""
    exp = in_lab.Project("metals").Experiment("cu")
    for name in ("one", "two", "three"):
        with exp.Run(id=name).start() as ctx:
            ctx.artifact.save("a.json", [1])
    in_lab.Project("other").Experiment("cu").Run(id="four")
    in_lab.catalog.runs()
    (RUNS / "two/run.json").write_text("{")
    shutil.rmtree(RUNS / "two/executions")
    return in_lab


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["table", "json"])
@pytest.mark.parametrize(
    "command",
    [
        ["runs", "list"],
        ["runs", "list", "--project", "metals"],
        ["runs", "list", "--experiment", "metals/cu", "--limit", "1"],
        ["assets", "list"],
        ["show", "@latest"],
        ["show", "metals/cu/on"],
        ["lineage", "metals/cu/one"],
        ["compare", "metals/cu/one", "metals/cu/@latest"],
    ],
    ids=" ".join,
)
def test_an_answer_from_which_something_is_missing_says_so(torn, molexp, command, form):
    assert molexp("runs", "list").code == 0
    done = molexp(*command, *form)

    assert done.code == 0
    assert f"1 file or folder {SAYS}\n" in done.err
    if form:
        done.json()


@pytest.mark.parametrize(
    "command",
    [["runs", "list", "--project", "other"], ["show", "metals/cu/one"], ["assets", "list", "--scope", "other/cu"]],
)
def test_an_answer_from_which_nothing_is_missing_says_nothing(torn, molexp, command):
    assert molexp("runs", "list").code == 0
    done = molexp(*command)
    assert (done.code, done.err) == (0, "")


def test_rows_say_what_could_not_be_read(torn):
    rows = torn.catalog.runs()
    key = "projects/metals/experiments/cu/runs/two/run.json"
    assert [row.id for row in rows] == ["one", "three", "four"]
    assert list(rows.unreadable) == list(rows[:1].unreadable) == list(torn.catalog.assets().unreadable) == [key]
    assert repr(rows).endswith("(some may be missing: 1 could not be read, see `unreadable`)")
    assert not torn.catalog.runs(project="other").unreadable


def test_a_run_of_which_something_cannot_be_read_is_shown_with_a_word(in_lab, molexp):
    with in_lab.Project("metals").Experiment("cu").Run(id="one").start():
        pass
    (RUNS / "one/executions/1.end.json").write_text("{")

    listed = molexp("runs", "list")
    assert "one" in listed.out, "its status is not known"
    assert SAYS in listed.err
    assert molexp("catalog", "verify").code == 1
