"""Watch what is flushed, when, and in which order, through the calls that flush."""

from __future__ import annotations

import errno
import os
import re
import time

import pytest

import molexp as me
from molexp.workflow import WorkflowBuilder
from tests.record.helpers import amid
from tests.stores.local import linux

pytestmark = linux

EXP = "projects/metals/experiments/cu"
RUN = f"{EXP}/runs/one"
END = "executions/1.end.json"


@pytest.fixture
def flushed(lab, monkeypatch):
    """Return what is flushed, in order; ``""`` is the workspace's folder."""
    found: list[str] = []
    real = os.fsync

    def fsync(fd):
        path = os.readlink(f"/proc/self/fd/{fd}")
        found.append(os.path.relpath(path, lab.folder).removeprefix("."))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    return found


def finish(run):
    with run.start() as ctx:
        ctx.set_result("x", 1)
        ctx.artifact.save("a.txt", "x")
        ctx.log("l").append("line")


def test_what_is_made_is_on_the_disk_when_the_call_returns(lab, flushed):
    ws = lab.workspace()
    project = ws.Project("metals")
    assert {"workspace.json", "projects/metals/project.json", "projects/metals", "projects", ""} <= set(flushed)
    flushed.clear()
    project.Experiment("cu")
    assert {f"{EXP}/experiment.json", EXP, "projects/metals/experiments", "projects/metals"} <= set(flushed)
    assert "workspace.json" not in flushed
    flushed.clear()
    project.Experiment("cu", params={"a": 1}, update=True)
    assert set(flushed) == {f"{EXP}/experiment.2.json", EXP}
    flushed.clear()
    ws.configure(run_id_scheme="molexp-1")
    assert {"settings/1.json", "settings"} <= set(flushed)


def test_a_workspace_alone_is_on_the_disk(lab, flushed):
    lab.workspace().materialize()

    assert flushed[:2] == ["workspace.json", ""]


def test_a_sweep_is_flushed_as_one(lab_exp, flushed):
    flushed.clear()
    runs = lab_exp.runs.create_many([{"s": 1}, {"s": 2}, {"s": 3}])

    folders = [f"{EXP}/runs/{run.id}" for run in runs]
    assert flushed[:3] == [f"{folder}/run.json" for folder in folders]
    assert {*folders, f"{EXP}/runs", EXP} <= set(flushed)
    assert flushed.count(f"{EXP}/runs") == 1


def test_a_sweep_that_fails_halfway_is_flushed_as_far_as_it_came(lab_exp, lab, flushed, monkeypatch):
    def full():
        raise OSError(errno.ENOSPC, "no space")

    flushed.clear()
    ids = [lab_exp.derived_id({"s": number}) for number in (1, 2)]
    amid(monkeypatch, lab.store, ["create"], f"runs/{ids[1]}/", full)
    with pytest.raises(OSError, match="no space"):
        lab_exp.runs.create_many([{"s": 1}, {"s": 2}])
    assert f"{EXP}/runs/{ids[0]}/run.json" in flushed


def test_a_large_sweep_is_flushed_by_one_call(lab_exp, flushed):
    flushed.clear()
    lab_exp.runs.create_many([{"s": number} for number in range(120)])

    assert flushed == []


@pytest.mark.parametrize("make", ["Run", "derived_run"])
def test_a_run_that_is_not_started_is_flushed_before_the_next_thing(lab_exp, flushed, make):
    def new(number):
        return lab_exp.Run(id=f"r{number}") if make == "Run" else lab_exp.derived_run({"s": number})

    first = new(1)
    assert f"{EXP}/runs/{first.id}/run.json" not in flushed
    second = new(2)
    assert {f"{EXP}/runs/{first.id}/run.json", f"{EXP}/runs/{first.id}", f"{EXP}/runs"} <= set(flushed)
    second.annotate(tags=["t"])
    assert f"{EXP}/runs/{second.id}/run.json" in flushed


def test_a_run_that_nobody_starts_is_flushed_when_the_process_ends(script):
    done = script(
        """
        import os, molexp as me
        exp = me.Workspace(os.environ["LAB"]).Project("p").Experiment("e")
        real = os.fsync
        def fsync(fd):
            print(os.readlink(f"/proc/self/fd/{fd}"), flush=True)
            real(fd)
        os.fsync = fsync
        exp.Run(id="one")
        print("made", flush=True)
        """
    )

    assert done.code == 0, done.err
    before, _, after = done.out.partition("made")
    assert "run.json" not in before
    assert "runs/one/run.json" in after


def test_the_end_comes_after_all_that_it_names_and_its_content_before_its_name(lab_exp, flushed):
    finish(lab_exp.Run(id="zero"))
    flushed.clear()
    finish(lab_exp.Run(id="one"))

    at = flushed.index(f"{RUN}/{END}")
    before, after = flushed[:at], flushed[at + 1 :]
    contents = [f"{RUN}/artifacts/a.txt", f"{RUN}/logs/l.log", f"{RUN}/run.json"]
    names = [f"{RUN}/artifacts", f"{RUN}/logs", RUN, f"{EXP}/runs"]
    assert before == contents + names
    assert after == [f"{RUN}/executions"]


def test_the_end_does_not_bear_its_name_before_what_it_names_is_on_the_disk(lab_exp, lab, flushed, monkeypatch):
    there: list[bool] = []
    real = os.fsync

    def fsync(fd):
        if os.readlink(f"/proc/self/fd/{fd}").endswith(("a.txt", "/artifacts", "/runs")):
            there.append((lab.folder / RUN / END).exists())
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    finish(lab_exp.Run(id="one"))

    assert there
    assert not any(there)


def test_every_process_flushes_what_others_made_and_its_runs_rely_on_once(lab_exp, lab, script):
    done = script(
        """
        import os, molexp as me
        exp = me.Workspace(os.environ["LAB"]).Project("metals").Experiment("cu", params={"a": 3.6})
        real = os.fsync
        def fsync(fd):
            print(os.path.relpath(os.readlink(f"/proc/self/fd/{fd}"), os.environ["LAB"]))
            real(fd)
        os.fsync = fsync
        for number in range(10):
            with exp.Run(id=f"r{number}").start() as ctx:
                ctx.set_result("x", 1)
        """
    )

    assert done.code == 0, done.err
    told = done.out.split()
    relied = ["workspace.json", "projects/metals/project.json", f"{EXP}/experiment.json"]
    assert [told.count(key) for key in relied] == [1, 1, 1]
    assert sum(key.startswith("provenance/") for key in told) == 1
    end = told.index(f"{EXP}/runs/r0/{END}")
    assert max(told.index(key) for key in (*relied, "projects", EXP, ".")) < end


def test_the_graph_of_a_workflow_is_on_the_disk_before_the_end_and_flushed_once(lab, lab_exp, flushed):
    wf = WorkflowBuilder("w")
    wf.add(lambda ctx: None, name="one")
    workflow = wf.build()
    for number in range(3):
        workflow.execute_sync(run=lab_exp.Run(id=f"r{number}"))
    document = lab_exp.run("r0").execution_history[0]["provenance"]
    (graph,) = {f"provenance/{file.name}" for file in lab.folder.glob("provenance/*") if file.stem != document}
    assert flushed.count(graph) == 1
    assert flushed.index(graph) < flushed.index(f"{EXP}/runs/r0/{END}")


def test_provenance_that_is_out_of_reach_in_one_workspace_is_flushed_in_another(lab, lab_exp, flushed, tmp_path):
    def run_in(name):
        with me.Workspace(tmp_path / name).Project("p").Experiment("e").Run().start():
            pass

    run_in("first")
    (known,) = (tmp_path / "first" / "provenance").iterdir()
    (tmp_path / "second" / "provenance").mkdir(parents=True)
    (tmp_path / "second" / "provenance" / known.name).symlink_to("nowhere")
    with pytest.warns(UserWarning, match="not on record"):
        run_in("second")
    flushed.clear()

    with lab_exp.Run(id="one").start():
        pass

    assert flushed.index(f"provenance/{known.name}") < flushed.index(f"{RUN}/{END}")


def test_nothing_is_flushed_where_nobody_wants_it(lab, flushed):
    exp = lab.workspace().Project("metals").Experiment("cu")
    exp.project.workspace.configure(durability="never")
    exp = lab.workspace().Project("metals").Experiment("cu")
    flushed.clear()
    finish(exp.Run())

    assert flushed == []


def test_a_hard_link_is_flushed_at_once_where_every_change_is(lab, tmp_path, flushed):
    source = tmp_path / "big"
    source.write_text("x")
    ws = me.Workspace(lab.url, storage_options={"durability": "always"})
    ws.data_assets.import_asset("ref", source, action="hardlink")

    assert any(re.search(r"(^|/)big$", path) for path in flushed)


def test_what_was_freed_stays_hidden_until_it_is_gone(lab_exp, lab, flushed):
    run = lab_exp.Run(id="one")
    finish(run)
    run.delete()
    flushed.clear()
    lab.load().gc(dry_run=False)

    assert flushed.index(f"{RUN}/artifacts") < flushed.index(f"{RUN}/edits")
    assert flushed.index(RUN) < flushed.index(f"{RUN}/edits")


# ------------------------------------------------------------------------------------------- what a power loss left blank


def blank(lab, key: str, *, long_ago: bool = True) -> None:
    """Leave a name without content, as a power loss does."""
    path = lab.folder / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    if long_ago:
        os.utime(path, (then := time.time() - 3600, then))


@pytest.mark.parametrize(
    "key", ["workspace.json", "projects/metals/project.json", f"{EXP}/experiment.json", f"{RUN}/run.json"]
)
def test_a_name_that_has_been_blank_for_long_is_taken(lab, key):
    if key != "workspace.json":
        lab.workspace().materialize()
    blank(lab, key)

    run = lab.workspace().Project("metals").Experiment("cu", params={"a": 1}).Run({"b": 2}, id="one")
    finish(run)

    assert lab.load().run("metals/cu/one").parameters == {"a": 1, "b": 2}
    assert lab.load().fsck().findings == ()


def test_of_many_who_find_it_blank_one_puts_something_in_its_place(lab, script):
    lab.workspace().materialize()
    for number in range(20):
        blank(lab, f"projects/p{number}/project.json")
    done = script(
        """
        import os, subprocess, sys
        code = '''
        import json, os, molexp as me
        for number in range(20):
            me.Workspace(os.environ["LAB"]).Project(f"p{number}")
            with open(os.environ["LAB"] + f"/projects/p{number}/project.json") as file:
                print(number, json.load(file)["token"])
        '''
        import textwrap
        args = [sys.executable, "-c", textwrap.dedent(code)]
        several = [subprocess.Popen(args, stdout=subprocess.PIPE, text=True) for _ in range(4)]
        print("".join(one.communicate()[0] for one in several))
        """
    )

    assert done.code == 0, done.err
    told = [line for line in done.out.splitlines() if line]
    assert len(told) == 80, done.err
    assert len(set(told)) == 20


@pytest.mark.parametrize("what", ["settings", "revision"])
def test_the_one_before_counts_where_the_newest_is_blank(lab, lab_exp, what):
    ws = lab.load()
    ws.configure(run_id_scheme="molexp-1")
    lab_exp.project.Experiment("cu", params={"a": 4}, update=True)
    blank(lab, "settings/2.json" if what == "settings" else f"{EXP}/experiment.3.json")

    assert dict(lab.load().settings) == {"run_id_scheme": "molexp-1"}
    assert dict(lab.load().project("metals").experiment("cu").params) == {"a": 4}
    lab.load().project("metals").Experiment("cu", params={"a": 5}, update=True)
    assert dict(lab.load().project("metals").experiment("cu").params) == {"a": 5}
    (finding,) = lab.load().fsck(repair=True).findings
    assert finding.done == "written again as the one before it"
    assert lab.load().fsck().findings == ()


def test_what_is_torn_is_written_again_from_what_repeats_it(lab, lab_exp):
    finish(lab_exp.Run({"b": 1}, id="one"))
    for key in ("workspace.json", "projects/metals/project.json", f"{EXP}/experiment.json", f"{RUN}/run.json"):
        path = lab.folder / key
        path.write_bytes(path.read_bytes()[:30])
    (lab.folder / RUN / "executions/1.jsonl").write_bytes(b"")

    found = {one.key: one.done for one in lab.workspace().fsck(repair=True).findings}

    assert all(found[key] for key in found if key.endswith(".json"))
    assert lab.load().fsck().ok
    assert dict(lab.load().project("metals").experiment("cu").params) == {"a": 3.6}
    run = lab.load().run("metals/cu/one")
    assert run.parameters == {"a": 3.6, "b": 1}
    assert run.results == {"x": 1}


def test_a_torn_end_is_written_again_from_its_events(lab, lab_run):
    finish(lab_run)
    (lab.folder / RUN / END).write_bytes(b"")

    assert lab.load().run(lab_run.path).status is me.RunStatus.INTERRUPTED
    lab.load().fsck(repair=True)

    assert lab.load().fsck().findings == ()
    assert lab.load().run(lab_run.path).results == {"x": 1}


def test_a_sync_flushes_what_an_end_names_before_the_end_and_each_file_once(lab, lab_exp, flushed):
    finish(lab_exp.Run(id="one"))
    flushed.clear()
    me.sync_workspace(lab.load(), lab.folder.parent / "copy")

    copy = f"./copy/{RUN}"
    at = flushed.index(f"{copy}/{END}")
    for name in ("artifacts/a.txt", "artifacts", "logs/l.log", "logs", "run.json"):
        assert flushed.index(f"{copy}/{name}") < at
    files = [name for name in flushed if re.search(r"\.\w+$", name) and not name.endswith(("run.json", "1.jsonl"))]
    assert len(files) == len(set(files))
    assert {name for name in flushed if not name.startswith("./copy")} <= {"."}


def test_a_sync_of_many_runs_flushes_by_one_call_before_their_ends_and_by_one_at_last(lab, lab_exp, flushed):
    for number in range(20):
        finish(lab_exp.Run(id=f"r{number}"))
    flushed.clear()
    me.sync_workspace(lab.load(), lab.folder.parent / "copy")

    assert set(flushed) <= {"./copy/workspace.json", "./copy", "."}
