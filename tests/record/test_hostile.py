"""Surroundings that nobody wishes for: closed descriptors, clocks that differ, folders that vanish."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

import molexp as me

RUN = "projects/metals/experiments/cu/runs/one"

posix = pytest.mark.skipif(sys.platform == "win32", reason="file descriptors of POSIX")


# -------------------------------------------------------------------------------------------------- closed descriptors


CAPTURING = """
    import os, subprocess, sys, molexp as me
    run = me.Workspace(sys.argv[1]).Project("p").Experiment("e").Run(id="one")

    def is_open(number):
        try:
            os.fstat(number)
        except OSError:
            return False
        return True

    before = [is_open(number) for number in range(3)]
    for _ in range(2):
        with run.start(capture=True, fresh=True) as ctx:
            print("printed", flush=True)
            print("complained", file=sys.stderr, flush=True)
            os.write(1, b"from C\\n")
            subprocess.run("echo from a child; echo so did a child >&2", shell=True, check=True)
            ctx.set_result("x", 1)
            ctx.artifact.save("large.bin", b"x" * 3_000_000)
        after = [is_open(number) for number in range(3)]
        assert after == before, (before, after)
    with open(sys.argv[2], "w") as file:
        file.write("done")
"""

OUT = "printed\nfrom C\nfrom a child\n"
ERR = "complained\nso did a child\n"


def run_with_closed(closed: str, code: str, lab: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process that has no such file descriptors; it writes ``done`` when it gets to its end."""
    program = folder / "program.py"
    program.write_text(dedent(code), encoding="utf-8")
    closing = " ".join(f"{number}>&-" for number in closed)
    command = ["sh", "-c", f'exec {closing}; exec "$@"', "sh", sys.executable, program, lab, folder / "done"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=300)
    assert (folder / "done").exists(), done.stderr
    return done


@posix
@pytest.mark.parametrize("closed", ["", "0", "1", "2", "01", "02", "12", "012"])
def test_streams_are_captured_where_standard_descriptors_are_closed(lab, tmp_path, closed):
    done = run_with_closed(closed, CAPTURING, lab.folder, tmp_path)

    run = lab.load().run("p/e/one")
    assert run.status == "succeeded"
    assert run.results == {"x": 1}
    history = run.execution_history
    assert not [attempt for attempt in history if attempt.get("problem") or attempt.get("late")]
    for attempt in ("", "executions/2/"):
        logs = lab.folder / "projects/p/experiments/e/runs/one" / attempt / "logs"
        assert ((logs / "stdout.log").read_text(), (logs / "stderr.log").read_text()) == (OUT, ERR)
    assert done.stdout == ("" if "1" in closed else OUT * 2)
    assert done.stderr == ("" if "2" in closed else ERR * 2)
    assert lab.load().fsck().findings == ()


@posix
def test_what_is_printed_blindly_does_not_land_in_the_record(lab, tmp_path):
    code = """
        import os, sys, molexp as me
        run = me.Workspace(sys.argv[1]).Project("p").Experiment("e").Run(id="one")
        with run.start() as ctx:
            ctx.log("train").append("line")
            with run._session.store.open_write(".molexp/payload") as payload:
                payload.write(b"x")
                for number in range(3):
                    try:
                        os.write(number, b"a C library speaks\\n")
                    except OSError:
                        pass
            ctx.set_result("x", 1)
        with open(sys.argv[2], "w") as file:
            file.write("done")
    """
    run_with_closed("012", code, lab.folder, tmp_path)

    run = lab.load().run("p/e/one")
    assert (run.status, run.results, run.logs["train"].text()) == ("succeeded", {"x": 1}, "line\n")
    assert not [key for key, data in lab.everything().items() if b"a C library speaks" in data]
    assert lab.load().fsck().findings == ()


@posix
def test_a_start_that_fails_leaves_closed_descriptors_closed(lab, tmp_path):
    code = """
        import os, sys, molexp as me
        exp = me.Workspace(sys.argv[1]).Project("p").Experiment("e")
        with exp.Run(id="a").start(capture=True):
            try:
                exp.Run(id="b").start(capture=True)
            except me.RunError:
                os.write(1, b"still captured\\n")
        for number in range(3):
            try:
                os.fstat(number)
            except OSError:
                continue
            sys.exit(1)
        with open(sys.argv[2], "w") as file:
            file.write("done")
    """
    run_with_closed("012", code, lab.folder, tmp_path)

    assert lab.load().run("p/e/a").logs["stdout"].text() == "still captured\n"


# ------------------------------------------------------------------------------------------------------- edits in order


def in_years(place, years):
    """The newest edit was written by somebody whose clock is years ahead of this machine's."""
    newest = max(stat.key for stat in place.store.list(f"{RUN}/edits"))
    folder, _, name = newest.rpartition("/")
    later = f"{int(name[:4]) + years}{name[4:21]}-{os.urandom(4).hex()}"
    place.store.create(f"{folder}/{later}.json", place.store.read(newest).replace(name[:-5].encode(), later.encode()))
    place.store.delete(newest)


def test_a_tag_is_removed_by_somebody_whose_clock_is_behind(place, run):
    run.annotate(tags=["a", "b"], note="first")
    in_years(place, 20)
    run.annotate(untag=["a"], note="second")
    run.annotate(untag=["b"], tags=["c"], note="third")
    run.annotate(untag=["c"], note="fourth")
    run.annotate(tags=["a"], note="fifth")
    in_years(place, 20)

    for found in (run, place.load().run("metals/cu/one")):
        assert found.tags == {"a"}
        assert [note["text"] for note in found.notes] == ["first", "second", "third", "fourth", "fifth"]


@pytest.mark.parametrize(
    "newest",
    [
        "99991231-235959-999999-ffffffff",
        "99991231-235959-999999-ffffffff_999999999-ffffffff",
        "zzzz",
        "z" * 100,
        "z_999999998-ffffffff",
    ],
    ids=len,
)
def test_the_id_of_an_edit_from_the_far_future_is_followed_too(place, run, newest):
    run.annotate(tags=["tag"])
    (key,) = (stat.key for stat in place.store.list(f"{RUN}/edits"))
    place.store.create(f"{RUN}/edits/{newest}.json", place.store.read(key))

    for _ in range(20):
        run.annotate(untag=["tag"])
        assert run.tags == set()
        run.annotate(tags=["tag"])
        assert run.tags == {"tag"}
    for stat in place.store.list(f"{RUN}/edits"):
        name = stat.key.rpartition("/")[2].removesuffix(".json")
        assert run.experiment.Run(id=name).id == name, "which is a proper id"
    assert place.load().fsck().findings == ()


def test_a_name_that_nothing_fits_behind_is_not_followed(place, run):
    place.store.create(f"{RUN}/edits/{'z' * 125}.json", b'{"type": "edit", "op": "annotate", "tags": ["tag"]}')
    run.annotate(tags=["other"])

    assert run.tags == {"tag", "other"}
    assert place.load().fsck().findings == ()


def test_edits_by_one_clock_are_called_by_it(place, run):
    run.annotate(tags=["a"])
    run.annotate(untag=["a"])

    names = sorted(stat.key.rpartition("/")[2] for stat in place.store.list(f"{RUN}/edits"))
    assert [name.count("-") for name in names] == [3, 3]
    assert not any("_" in name for name in names)


# --------------------------------------------------------------------------------------- a workspace removed and remade


def provenance_of(place, path: str) -> str:
    """The provenance that a run names, which has to be there."""
    name = place.load().run(path).execution_history[-1]["provenance"]
    assert place.store.exists(f"provenance/{name}.json"), name
    return str(name)


def finish_one(exp: me.Experiment) -> str:
    with exp.Run().start() as ctx:
        ctx.set_result("x", 1)
    return ctx.run.path


def remove_all(place) -> None:
    if "local_path" in place.store.capabilities:
        shutil.rmtree(place.folder)
    for stat in list(place.store.list()):
        place.store.delete(stat.key)


@pytest.mark.parametrize("runs", [0, 1, 2])
def test_a_workspace_that_was_removed_under_an_open_handle_is_made_anew(place, ws, runs):
    exp = ws.Project("metals").Experiment("cu")
    for _ in range(runs):
        finish_one(exp)
    old = ws.id
    remove_all(place)

    path = finish_one(ws.Project("metals").Experiment("cu"))

    assert place.load().id == ws.id != old
    provenance_of(place, path)
    assert [row.path for row in ws.catalog.runs()] == [row.path for row in place.load().catalog.runs()] == [path]
    assert place.load().fsck().findings == ()


def test_it_is_noticed_with_the_first_run_that_is_announced(lab, lab_exp):
    finish_one(lab_exp)
    finish_one(lab_exp)
    shutil.rmtree(lab.folder)

    finish_one(lab_exp)  # by a handle whose project is gone

    assert lab.load().id
    assert len(list((lab.folder / "provenance").iterdir())) == 1


def test_a_workspace_that_another_handle_made_anew_is_taken_for_what_it_is(place, ws):
    finish_one(ws.Project("metals").Experiment("cu"))
    remove_all(place)
    path = finish_one(place.workspace().Project("metals").Experiment("cu"))
    provenance_of(place, path)

    provenance_of(place, finish_one(ws.Project("gold").Experiment("au")))
    assert ws.id == place.load().id


def test_settings_of_a_workspace_that_was_removed_are_gone(place, ws):
    ws.configure(durability="never")
    remove_all(place)
    ws.materialize()

    assert ws.settings == {}


# ------------------------------------------------------------------------------------------------ no home, no current folder


@posix
def test_without_a_home_the_index_is_in_memory(lab, lab_run, monkeypatch):
    for name in ("MOLEXP_CACHE_DIR", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)

    def nobody(uid):
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr("pwd.getpwuid", nobody)
    with lab_run.start():
        pass

    workspace = lab.load()
    assert [row.path for row in workspace.catalog.runs()] == [lab_run.path]
    assert workspace._session.index.location == ""


def test_a_cache_below_no_home_is_not_made_in_the_current_folder(lab, lab_run, here, monkeypatch):
    monkeypatch.delenv("MOLEXP_CACHE_DIR", raising=False)
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_, **__: "~/.cache/molexp")

    assert [row.path for row in lab.load().catalog.runs()] == [lab_run.path]
    assert list(here.iterdir()) == []


@posix
def test_a_process_whose_current_folder_was_removed_records_its_provenance(lab):
    code = """
        import os, sys, tempfile, molexp as me
        folder = tempfile.mkdtemp()
        os.chdir(folder)
        os.rmdir(folder)
        with me.Workspace(sys.argv[1]).Project("p").Experiment("e").Run(id="one").start():
            pass
    """
    subprocess.run([sys.executable, "-c", dedent(code), lab.url], check=True, timeout=300)

    document = lab.document(f"provenance/{provenance_of(lab, 'p/e/one')}.json")
    assert "problem" not in document
    assert document["git"] is None
    assert "pytest" in document["packages"]
