"""A command works on the workspace of -w, else of MOLEXP_WORKSPACE, else on the nearest one upwards."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import molexp as me
from tests.cli.helpers import program


def paths(done):
    assert done.code == 0, done.err
    return [row["path"] for row in done.json()]


@pytest.fixture
def two(here):
    for name in ("lab", "other"):
        me.Workspace(name).Project("p").Experiment("e").Run(id=name)
    return here


def test_an_option_before_or_after_the_command_names_it(two, molexp):
    assert paths(molexp("-w", "lab", "runs", "list", "--json")) == ["p/e/lab"]
    assert paths(molexp("runs", "list", "--json", "-w", "other")) == ["p/e/other"]
    assert paths(molexp("-w", "lab", "runs", "list", "--json", "--workspace", "other")) == ["p/e/other"]
    assert paths(molexp("-w", (two / "lab").as_uri(), "runs", "list", "--json")) == ["p/e/lab"]


def test_else_the_environment_names_it(two, molexp, monkeypatch):
    monkeypatch.setenv("MOLEXP_WORKSPACE", "lab")
    assert paths(molexp("runs", "list", "--json")) == ["p/e/lab"]
    assert paths(molexp("-w", "other", "runs", "list", "--json")) == ["p/e/other"]
    monkeypatch.chdir("other")
    monkeypatch.setenv("MOLEXP_WORKSPACE", "../lab")
    assert paths(molexp("runs", "list", "--json")) == ["p/e/lab"]


def test_else_it_is_the_nearest_one_around(two, molexp, monkeypatch):
    deep = two / "lab" / "projects" / "p" / "experiments"
    monkeypatch.chdir(deep)
    monkeypatch.setenv("MOLEXP_WORKSPACE", "")  # as good as unset
    assert paths(molexp("runs", "list", "--json")) == ["p/e/lab"]


def test_a_file_of_that_name_that_another_program_wrote_is_none(two, molexp, monkeypatch):
    below = two / "lab" / "frontend"
    below.mkdir()
    (below / "workspace.json").write_text(json.dumps({"version": 1, "projects": {}}))
    monkeypatch.chdir(below)
    assert paths(molexp("runs", "list", "--json")) == ["p/e/lab"]


def test_a_damaged_one_is_read_and_said_to_be_damaged(two, molexp, monkeypatch):
    below = two / "lab" / "inner"
    below.mkdir()
    (below / "workspace.json").write_text('{"type": "works')
    monkeypatch.chdir(below)
    done = molexp("runs", "list")
    assert (done.code, "1 file or folder could not be read" in done.err) == (0, True)
    assert "'workspace.json' cannot be read" in molexp("catalog", "unreadable").out
    assert molexp("fsck", "--repair").code == 0
    assert "could not be read" not in molexp("runs", "list").err


def test_without_any_the_error_names_the_three_ways(here):
    done = program(here, "runs", "list")
    assert (done.code, done.out) == (3, "")
    for way in ("-w URL", "MOLEXP_WORKSPACE", "workspace.json", str(here)):
        assert way in done.err
    assert "Traceback" not in done.err


def test_one_that_is_named_and_not_there_is_an_error_and_not_made(here, molexp, monkeypatch):
    done = molexp("-w", "labb", "runs", "list")
    assert done.code == 3
    assert "labb" in done.err
    monkeypatch.setenv("MOLEXP_WORKSPACE", "labb")
    done = molexp("runs", "list")
    assert done.code == 3
    assert "MOLEXP_WORKSPACE says 'labb'" in done.err
    assert not Path("labb").exists()


def test_a_name_without_text_is_an_error_and_not_the_nearest_one(two, molexp, monkeypatch):
    monkeypatch.chdir("lab")
    done = molexp("-w", "", "runs", "list")
    assert done.code == 2
    assert "empty" in done.err


def test_a_path_that_is_a_file_is_an_error(here, molexp):
    Path("notes.txt").write_text("x")
    for arguments in (("runs", "list"), ("exec", "p/e", "--", "true")):
        done = molexp("-w", "notes.txt", *arguments)
        assert done.code in {3, 4, 125}, done
        assert "notes.txt" in done.err
        assert "Traceback" not in done.err
    assert Path("notes.txt").read_text() == "x"


def test_a_scheme_that_nothing_provides_names_what_to_install(here, molexp):
    pytest.importorskip("molexp_s3_store", reason="which knows what fsspec could open")
    done = molexp("-w", "gs://bucket/lab", "runs", "list")
    assert done.code == 4
    assert "gs://bucket/lab cannot be opened: Please install gcsfs" in done.err


PAIR = """
import molexp as me
from molexp.workflow import WorkflowBuilder

wf = WorkflowBuilder("pair")
wf.task(name="one")(lambda ctx: 1)
ws = me.Workspace("lab")
wf.build().bind_to(ws.Project("p").Experiment("e", space=[{}]))
me.entry(ws)
"""


def test_a_script_that_makes_a_workspace_within_another_one_is_warned(here, molexp, monkeypatch):
    Path("pair.py").write_text(PAIR)
    assert "lies within" not in molexp("run", "pair.py").err
    monkeypatch.chdir("lab")

    done = molexp("run", "../pair.py")

    lab = here / "lab"
    assert f"The new workspace {str(lab / 'lab')!r} lies within the workspace {str(lab)!r}." in done.err
    assert f"start from {str(here)!r}" in done.err


def test_a_script_says_that_the_environment_does_not_count_for_it(here, molexp, monkeypatch):
    Path("pair.py").write_text(PAIR)
    monkeypatch.setenv("MOLEXP_WORKSPACE", "other")
    assert "MOLEXP_WORKSPACE does not count here" in molexp("run", "pair.py").err
    assert not Path("other").exists()


def test_python_runs_the_command_by_the_name_of_the_package(two):
    done = subprocess.run(
        [sys.executable, "-m", "molexp", "-w", "lab", "runs", "list", "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert [row["path"] for row in json.loads(done.stdout)] == ["p/e/lab"]
