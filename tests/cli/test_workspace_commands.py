"""molexp init, info and ls: make a workspace, and see what is in one."""

from __future__ import annotations

from pathlib import Path

import pytest

import molexp as me
from tests.cli.helpers import Terminal, program


@pytest.fixture
def metals(in_lab):
    for name in ("cu", "ag"):
        exp = in_lab.Project("Precious metals", id="metals").Experiment(name)
        for number in range(2):
            with exp.Run({"n": number}, id=f"{name}-{number}").start() as ctx:
                ctx.artifact.save("volumes.json", [1, 2, 3])
    in_lab.Project("empty")
    Path("reference.csv").write_text("a,1\n")
    in_lab.project("metals").data_assets.import_asset("reference", "reference.csv")
    return in_lab


def test_init_makes_a_workspace_and_again_says_what_is_there(here, molexp):
    done = molexp("init", "lab", "--name", "Our lab")
    assert (done.code, done.out, done.err) == (0, f"Made the workspace {here / 'lab'}\n", "")
    before = me.Workspace.load("lab").id
    me.Workspace("lab").Project("p").Experiment("e").Run()
    done = molexp("init", "lab")
    assert (done.code, done.out, done.err) == (0, f"The workspace {here / 'lab'} is there already, with 1 run\n", "")
    assert me.Workspace.load("lab").id == before
    assert "Its name stays 'Our lab'." in molexp("init", "lab", "--name", "Other").err


def test_init_takes_the_current_folder_or_that_of_w(here, molexp):
    assert molexp("init", "--json").json()["created"] is True
    assert molexp("init", "--json").json()["created"] is False
    assert (here / "workspace.json").is_file()
    assert molexp("-w", str(here.parent / "there"), "init").code == 0
    assert (here.parent / "there" / "workspace.json").is_file()
    done = molexp("init", "x", "-w", "y")
    assert (done.code, "not both" in done.err) == (2, True)


def test_init_takes_the_workspace_of_the_environment_unless_another_is_given(here, molexp, monkeypatch):
    monkeypatch.setenv("MOLEXP_WORKSPACE", str(here / "usual"))
    assert molexp("init").out == f"Made the workspace {here / 'usual'}\n"
    assert molexp("init", "other").out == f"Made the workspace {here / 'other'}\n"
    assert not (here / "workspace.json").exists()


def test_init_within_another_workspace_warns_and_names_both(here, lab, molexp):
    done = program(here, "init", "lab/inner")
    assert done.code == 0
    assert (
        f"The new workspace {str(here / 'lab' / 'inner')!r} lies within the workspace {str(here / 'lab')!r}" in done.err
    )
    assert molexp("init", "lab/inner").err == "", "it is there now"


def test_init_does_not_touch_what_is_no_workspace(here, molexp):
    Path("workspace.json").write_text('{"packages": []}')
    assert molexp("init").code == 4
    assert Path("workspace.json").read_text() == '{"packages": []}'


@pytest.mark.parametrize("command", ["info", "status"])
def test_info_says_what_is_there(metals, molexp, command):
    metals.run("cu-0").archive()
    done = molexp(command)
    assert (done.code, done.err) == (0, "")
    said = dict(line.split(maxsplit=1) for line in done.lines()[1:])
    assert said["projects"] == "2"
    assert said["experiments"] == "2"
    assert said["runs"] == "3 (3 succeeded; 1 archived)"
    assert said["newest"].startswith("metals/ag/ag-1, ")
    assert said["writing"] == "nobody"
    assert said["storage"].startswith("file (append")
    assert said["id"] == metals.id
    assert molexp(command, "--json").json()["statuses"] == {"succeeded": 3}


def test_info_names_who_executes_runs_now(metals, molexp):
    with metals.project("metals").experiment("cu").Run(id="now").start():
        assert ": metals/cu/now\n" in molexp("info").out


def test_ls_shows_one_level_after_the_other(metals, molexp):
    first = molexp("ls")
    assert first.lines()[0].split() == ["PROJECT", "NAME", "EXPERIMENTS", "RUNS", "STATUS", "SIZE", "NEWEST"]
    assert first.lines()[1].split()[0] == "empty"
    assert first.lines()[2].split()[:7] == ["metals", "Precious", "metals", "2", "4", "4", "succeeded"]
    second = molexp("ls", "metals").lines()
    assert [line.split()[0] for line in second[1:3]] == ["ag", "cu"]
    assert second[-3:][0] == "data"
    assert second[-1].split()[0] == "reference"
    assert [line.split()[:2] for line in molexp("ls", "metals/cu/").lines()[1:]] == [
        ["cu-0", "succeeded"],
        ["cu-1", "succeeded"],
    ]
    for name in ("metals/cu/cu-0", "metals/cu/@latest", "@latest"):
        assert molexp("ls", name).lines()[1].split()[:2] == ["volumes.json", "artifact"]


def test_ls_answers_in_json(metals, molexp):
    found = molexp("ls", "--json").json()
    assert [one["path"] for one in found["entries"]] == ["empty", "metals"]
    assert found["entries"][1]["name"] == "Precious metals"
    assert found["entries"][1]["statuses"] == {"succeeded": 4}
    assert [one["name"] for one in molexp("ls", "metals", "--json").json()["data"]] == ["reference"]
    assert [one["path"] for one in molexp("ls", "metals/cu", "--json").json()["entries"]] == [
        "metals/cu/cu-0",
        "metals/cu/cu-1",
    ]


def test_ls_of_what_is_empty_or_not_there_says_so(metals, molexp, here):
    done = molexp("ls", "empty")
    assert (done.code, done.out, done.err) == (0, "", "molexp: There are no experiments in empty yet.\n")
    done = molexp("ls", "metal")
    assert (done.code, "'metals'" in done.err) == (3, True)
    molexp("init", "new")
    assert molexp("-w", "new", "ls").err == f"molexp: There are no projects in {here / 'new'} yet.\n"


@pytest.mark.parametrize(("columns", "words"), [(120, ["SIZE", "NEWEST"]), (60, ["no room for size, newest"])])
def test_ls_fits_the_terminal_and_says_what_has_no_room(metals, here, columns, words):
    terminal = Terminal(here, "ls", columns=columns, env={"NO_COLOR": "1"})
    assert terminal.end() == 0
    assert all(len(line) <= columns for line in terminal.text.splitlines())
    assert all(word in terminal.text for word in ("metals", "4 succeeded", *words)), terminal.text


def test_ls_of_runs_on_a_terminal_has_the_columns_of_lists_and_whole_ids(metals, here):
    terminal = Terminal(here, "ls", "metals/cu", columns=80, env={"NO_COLOR": "1"})
    assert terminal.end() == 0
    lines = [line.split() for line in terminal.text.splitlines()]
    assert lines[0][:3] == ["RUN", "STATUS", "CREATED"]
    assert [line[:2] for line in lines[1:3]] == [["cu-1", "succeeded"], ["cu-0", "succeeded"]], "the newest first"
