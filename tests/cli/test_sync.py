"""molexp sync: a workspace is copied to another place; what is not the same on both sides is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import molexp as me
from tests.cli.helpers import Terminal

NOTHING = "conflicts 0, mismatches 0, unreadable 0, unfinished 0"


@pytest.fixture
def filled(lab):
    """A workspace with two runs, one of them large."""
    exp = lab.Project("metals").Experiment("cu")
    with exp.Run(id="one").start() as ctx:
        ctx.set_result("x", 1)
        ctx.artifact.save("a.json", [1])
    with exp.Run(id="two").start() as ctx, ctx.artifact.writing("big.bin") as path:
        path.write_bytes(bytes(2 << 20))
    return lab


def test_a_workspace_is_copied_and_copied_again(filled, molexp):
    told = molexp("sync", "lab", "copy", "--dry-run")
    assert (told.code, told.err) == (0, "")
    assert told.out.startswith("sync (nothing was written): runs 2, copied ")
    assert not Path("copy").exists()

    done = molexp("sync", "lab", "copy")
    assert (done.code, done.err) == (0, ""), "no bar where nobody looks"
    assert done.out == told.out.replace(" (nothing was written)", "")
    assert me.Workspace.load("copy").run("metals/cu/one").results == {"x": 1}
    assert molexp("sync", "lab", "copy").out == f"sync: runs 2, copied 0, bytes 0, {NOTHING}\n"
    assert molexp("sync", "lab", "copy", "--check").out == f"sync: runs 2, copied 0, bytes 0, {NOTHING}\n"


def test_json_has_all_of_the_report(filled, molexp):
    found = molexp("sync", "lab", "copy", "--json").json()
    assert found["source"] == filled.url
    assert found["destination"] == me.Workspace("copy").url
    assert found["counts"]["runs"] == 2
    assert found["conflicts"] == found["mismatches"] == found["unreadable"] == found["unfinished"] == []
    assert found["dry_run"] is False


def test_conflicts_and_mismatches_are_told_and_the_exit_code_is_1(filled, molexp):
    molexp("sync", "lab", "copy")
    for place in ("lab", "copy"):
        with me.Workspace(place).run("metals/cu/one").start():
            pass
    payload = Path("lab/projects/metals/experiments/cu/runs/new/artifacts/a.json")
    with filled.project("metals").experiment("cu").Run(id="new").start() as ctx:
        ctx.artifact.save("a.json", [1])
    payload.write_text("[2]")

    done = molexp("sync", "lab", "copy")

    assert done.code == 1
    assert "conflicts 1, mismatches 1" in done.lines()[0]
    assert done.lines()[1].startswith(
        "  conflict: projects/metals/experiments/cu/runs/one/executions/2.end.json: attempt 2 "
    )
    assert done.lines()[2].startswith(f"  mismatch: {payload.relative_to('lab').as_posix()}: its bytes are sha256:")
    assert me.Workspace.load("copy").run("metals/cu/new").status == "succeeded"


def test_what_goes_on_is_told_and_no_failure(filled, molexp):
    with filled.project("metals").experiment("cu").Run(id="live").start():
        done = molexp("sync", "lab", "copy")
    assert done.code == 0
    assert done.lines()[1].startswith(
        "  unfinished: projects/metals/experiments/cu/runs/live/executions/1.jsonl: attempt 1 "
    )


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("nowhere", "copy"), 3, "There is no workspace "),
        (("lab", "lab"), 2, "cannot be synced with itself"),
        (("lab", "lab/backup"), 2, "lies in"),
        (("lab", "mine"), 4, "--merge"),
        (("lab", "file"), 4, "is a file"),
        (("lab", "nosuch://copy"), 4, "nosuch"),
        (("lab",), 2, "DST"),
    ],
)
def test_what_cannot_be_is_explained(filled, molexp, arguments, code, says):
    me.Workspace("mine").materialize()
    Path("file").write_text("")
    done = molexp("sync", *arguments)
    assert done.code == code
    assert done.out == ""
    assert says in done.err
    assert "Traceback" not in done.err


def test_another_workspace_is_merged_on_request(filled, molexp):
    mine = me.Workspace("mine").materialize()
    assert molexp("sync", "lab", "mine", "--merge").code == 0
    assert me.Workspace.load("mine").id == mine.id
    assert me.Workspace.load("mine").run("metals/cu/one").status == "succeeded"


def test_on_a_terminal_there_is_a_bar_and_then_the_answer(filled, here):
    terminal = Terminal(here, "sync", "lab", "copy")
    terminal.wait_for(f"copied {len(record(Path('lab'))) - 1}, ")
    assert terminal.end() == 0
    assert "files" in terminal.text
    assert "\x1b[" in terminal.text


def record(folder):
    return [path for path in folder.rglob("*") if path.is_file() and ".molexp" not in path.parts]


def test_the_answer_is_json_even_where_there_is_a_bar(filled, here):
    terminal = Terminal(here, "sync", "lab", "copy", "--json", env={"TERM": "dumb"})
    terminal.wait_for('"unfinished": []')
    assert terminal.end() == 0
    assert json.loads(terminal.text)["counts"]["runs"] == 2


def test_a_run_that_was_deleted_and_freed_comes_back_only_if_it_is_named(filled, molexp):
    molexp("sync", "lab", "copy")
    filled.run("metals/cu/one").delete()
    molexp("-w", "lab", "gc", "--yes")

    told = molexp("sync", "copy", "lab")
    assert told.code == 0
    assert ", deleted 1\n  deleted: projects/metals/experiments/cu/runs/one: deleted on 20" in told.out
    assert "`molexp sync --restore metals/cu/one` brings it" in told.out
    assert molexp("sync", "copy", "lab", "--restore", "metals/cu/nothing").code == 3
    done = molexp("sync", "copy", "lab", "--restore", "metals/cu/one", "--json")
    assert done.code == 0
    assert done.json()["counts"]["returned"] == 1
    assert me.Workspace.load("lab").run("metals/cu/one").results == {"x": 1}
