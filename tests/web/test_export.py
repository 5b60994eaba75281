"""A static copy of the pages: which files it has, what a second export writes, and what it leaves alone."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import molexp as me
from molexp_cli._main import run
from molexp_fs import LocalStore
from molexp_web._export.export import export
from molexp_web._export.gathering import cut
from molexp_web._export.writing import Copy
from tests import warm
from tests.web import labs


def part(copy: Path, name: str) -> Any:
    """Return the content of a part, as the page reads it."""
    found = re.fullmatch(r'molexp\.part\("(.*?)",("(?:.*)")\);\n', (copy / f"{name}.js").read_text("utf-8"))
    assert found is not None
    assert found[1] == name
    return json.loads(json.loads(found[2]))


def manifest(copy: Path) -> Any:
    return part(copy, re.findall('"(.*)"', (copy / "now.js").read_text())[0])


def runs_of(copy: Path) -> list[Any]:
    """Return what the copy has of each run, oldest first."""
    return [one for index in manifest(copy)["index"] for name in part(copy, index) for one in part(copy, name)]


def files_of(copy: Path) -> set[str]:
    return {str(path.relative_to(copy)) for path in copy.rglob("*") if path.is_file()}


@pytest.fixture
def lab(tmp_path) -> me.Workspace:
    return labs.ordinary(tmp_path / "lab", runs=45)


def test_it_has_every_run_once_and_every_value(lab, tmp_path):
    copy = tmp_path / "copy"
    done = export(lab, str(copy), details=10)
    found = manifest(copy)
    runs = runs_of(copy)
    rows = [*lab.catalog.runs(sort="created_at")]
    assert done.runs == found["total"] == 46
    assert [one["path"] for one in runs] == [row.path for row in rows]
    assert found["sizes"] == []
    columns = part(copy, found["tail"])
    assert columns.keys() == {one["name"] for one in found["columns"]}
    assert columns["results.energy"] == [row.results.get("energy") for row in rows]
    assert columns["metrics.force.min"] == [row.metrics.get("force", {}).get("min") for row in rows]
    assert found["statuses"] == {"failed": 4, "succeeded": 42}
    assert [runs[number]["path"] for number in found["failed"]] == [f"solvation/relax/r{n}" for n in (41, 29, 17, 5)]
    details = {one["path"].rpartition("/")[2]: part(copy, one["details"]) for one in runs if "details" in one}
    assert [name for name, one in details.items() if "logs" in one] == [f"r{n}" for n in range(36, 45)]
    curve = details["r40"]["curves"][0]
    assert (curve["name"], curve["x"][-1], len(curve["y"])) == ("energy", 29, 30)
    assert copy.joinpath(details["r44"]["pictures"][0]["file"]).read_bytes() == labs.png()
    assert "RuntimeError: SCF did not converge" in details["r41"]["trace"]
    assert any("36 oldest runs" in one for one in done.left_out)


def test_a_second_export_writes_what_is_new_and_keeps_what_open_pages_read(lab, tmp_path):
    copy = tmp_path / "copy"
    assert export(lab, str(copy)).read == 46
    first, before = files_of(copy), manifest(copy)
    changed = {name: os.stat(copy / name).st_mtime_ns for name in first}
    again = export(lab, str(copy))
    assert (again.runs, again.written, again.read) == (46, 0, 0), "nothing is new, so no run is read"
    with lab.project("potentials").experiment("train").Run(id="new").start() as ctx:
        ctx.log("out").append("new")
    more = export(lab, str(copy))
    assert more.read == 1
    assert first <= files_of(copy), "an open page may ask for any of them"
    new = {name for name in files_of(copy) if changed.get(name) != os.stat(copy / name).st_mtime_ns}
    folders = sorted(name.partition("/")[0] for name in new)
    assert folders == ["details", "index", "manifests", "molexp-export.json", "now.js", "runs", "tails"]
    assert more.written == len(new)
    lab.run("solvation/relax/r0").delete()
    assert export(lab, str(copy)).read == 0
    assert manifest(copy)["total"] == 46
    last = files_of(copy)
    assert f"{before['tail']}.js" not in last, "no page reads what the copy before the last had alone"
    export(lab, str(copy))
    told = json.loads((copy / "molexp-export.json").read_text())
    assert files_of(copy) == {*told["files"], *told["before"], "now.js", "molexp-export.json"}


def test_a_run_that_goes_on_is_read_again_and_the_others_are_not(lab, tmp_path):
    copy = str(tmp_path / "copy")
    with lab.project("potentials").experiment("train").Run(id="live").start() as ctx:
        ctx.log("out").append("begun")
        export(lab, copy)
        ctx.log("out").append("goes on")
        again = export(lab, copy)
        assert again.read == 1
    assert "goes on" in part(Path(copy), runs_of(Path(copy))[-1]["details"])["logs"]["out"]
    assert export(lab, copy).read == 1, "it has ended"
    assert export(lab, copy).written == 0


@pytest.mark.parametrize(
    ("total", "sizes"),
    [(0, []), (99, []), (100, [100]), (23_456, [10_000, 10_000, 1000, 1000, 1000, 100, 100, 100, 100])],
)
def test_columns_are_cut_so_that_a_run_more_changes_no_long_part(total, sizes):
    assert cut(total) == sizes


def test_a_column_of_many_runs_is_in_several_parts_in_order(tmp_path):
    lab = labs.ordinary(tmp_path / "lab", runs=2)
    exp = lab.project("potentials").experiment("train")
    for number in range(100):
        exp.Run({"n": number}, id=f"n{number}")
    copy = tmp_path / "copy"
    export(lab, str(copy), details=0)
    found = manifest(copy)
    (n,) = [one for one in found["columns"] if one["name"] == "params.n"]
    values = [value for name in n["parts"] for value in part(copy, name)]
    assert (found["sizes"], len(values)) == ([100], 100)
    assert [*values, *part(copy, found["tail"])["params.n"]] == [
        row.parameters.get("n") for row in lab.catalog.runs(sort="created_at")
    ]


def test_a_copy_is_kept_up_to_date_until_somebody_stops_it(tmp_path):
    lab = labs.ordinary(tmp_path / "lab", runs=1)
    place = tmp_path / "copy"
    command = [sys.executable, "-m", "molexp_cli", "ui", "-w", lab.url, "--export", str(place), "--follow"]
    with warm.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == f"{place}\n"
        with lab.project("potentials").experiment("train").Run(id="fresh").start():
            pass
        told = next(line for line in process.stderr if line.startswith("3 runs; "))
        assert runs_of(place)[-1]["path"] == "potentials/train/fresh", told
        process.send_signal(signal.SIGINT)
        assert process.wait(300) == 0


def test_it_leaves_alone_what_is_no_copy(lab, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    mine.joinpath("thesis.tex").write_text("mine")
    for target in (mine, tmp_path / "lab"):
        with pytest.raises(ValueError, match="something else"):
            export(lab, str(target))
    assert files_of(mine) == {"thesis.tex"}
    tmp_path.joinpath("link").symlink_to(tmp_path / "lab/projects")
    for target in (tmp_path / "lab/site", tmp_path / "link/site"):
        with pytest.raises(ValueError, match="lies inside of the workspace"):
            export(lab, str(target))
        assert not target.exists()
    with pytest.raises(ValueError, match="The workspace lies inside of this place"):
        export(lab, str(tmp_path))


@pytest.fixture
def small(tmp_path) -> me.Workspace:
    return labs.ordinary(tmp_path / "lab", runs=2)


def having(copy: Path, text: str) -> list[str]:
    """Return the files in which a text is."""
    return [str(path) for path in copy.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def test_it_tells_neither_who_wrote_a_note_nor_where_the_workspace_is(small, tmp_path):
    run = small.run("solvation/relax/r0")
    run.annotate(note="read me")
    assert run.notes[-1]["by"]["user"]
    copy = tmp_path / "copy"
    export(small, str(copy))
    (noted,) = [one for one in runs_of(copy) if one["path"] == run.path]
    assert (noted["notes"][-1].keys(), noted["notes"][-1]["text"]) == ({"at", "text"}, "read me")
    assert having(copy, str(tmp_path)) == []


def test_what_was_deleted_leaves_the_copy_though_nothing_else_changes(small, tmp_path, monkeypatch):
    copy = tmp_path / "copy"
    small.run("solvation/relax/r0").annotate(note="a secret")
    export(small, str(copy))
    small.run("solvation/relax/r0").delete()
    export(small, str(copy))
    assert (export(small, str(copy)).written, len(having(copy, "a secret"))) == (0, 1), "an open page may ask for it"
    monkeypatch.setattr("molexp_web._export.writing.OPEN", 0)
    export(small, str(copy))
    told = json.loads((copy / "molexp-export.json").read_text())
    assert (having(copy, "a secret"), told["before"]) == ([], [])
    assert files_of(copy) == {*told["files"], "now.js", "molexp-export.json"}
    assert export(small, str(copy)).written == 0


def test_an_export_that_was_stopped_is_begun_again(small, tmp_path, monkeypatch):
    copy = tmp_path / "copy"

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(small, str(copy), progress=stop)
    told = json.loads((copy / "molexp-export.json").read_text())
    assert files_of(copy) == {*told["before"], "molexp-export.json"}, "the next one deletes what it does not need"
    assert export(small, str(copy)).runs == manifest(copy)["total"] == 3
    small.run("solvation/relax/r0").annotate(tags=["new"])
    last = iter(["molexp-export.json", "now.js"])
    write = Copy._write

    def stop_at_the_second(self, name, data):
        if name in ("molexp-export.json", "now.js") and next(last) == "now.js":
            raise KeyboardInterrupt
        write(self, name, data)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Copy, "_write", stop_at_the_second)
        export(small, str(copy))
    export(small, str(copy))
    assert [one["tags"] for one in runs_of(copy) if one["path"] == "solvation/relax/r0"] == [["good", "new"]]


def test_of_two_exports_at_once_the_later_one_begins_again(small, tmp_path):
    copy = tmp_path / "copy"
    export(small, str(copy))
    run = small.run("solvation/relax/r0")
    run.annotate(tags=["new"])
    export(small, str(copy))
    run.annotate(untag=["new"])  # it is again as the first copy has it, whose files are still there
    others = iter([run])

    def other():
        for one in others:
            one.annotate(tags=["newer"])
            export(small, str(copy))  # this deletes what the first copy had alone

    export(small, str(copy), progress=other)
    told = json.loads((copy / "molexp-export.json").read_text())
    assert {*told["files"], *told["before"]} <= files_of(copy), "each file that is named is there"
    assert [one["tags"] for one in runs_of(copy) if one["path"] == run.path] == [["good", "newer"]]


def test_what_another_export_is_writing_stays(small, tmp_path):
    copy = tmp_path / "copy"
    others = iter([copy])

    def other():
        for one in others:
            mine = {name for name in files_of(copy) if name.startswith("details/")}
            small.run("solvation/relax/r0").delete()
            export(small, str(one))
            assert mine, "this one has written some by then"
            assert mine <= files_of(copy)

    export(small, str(copy), progress=other)


def test_what_an_export_left_that_was_killed_is_removed_by_the_next(small, tmp_path):
    copy = tmp_path / "copy"
    program = (
        "import os, sys, molexp as me\nfrom molexp_web._export.export import export\n"
        "export(me.Workspace.load(sys.argv[1]), sys.argv[2], progress=lambda: os.kill(os.getpid(), 9))"
    )
    with warm.Popen([sys.executable, "-c", program, small.url, str(copy)]) as process:
        assert process.wait(300) == -signal.SIGKILL
    left = files_of(copy) - {"molexp-export.json"}
    assert any(name.startswith("details/") for name in left)
    mine, torn = copy / "details/mine.txt", copy / "details/.tmp-torn"
    mine.write_text("mine")
    torn.write_text("a beginning")
    ago = time.time() - 7200  # what was written just now may be another export's that is going on
    for path in (torn, *(copy / name for name in left)):
        os.utime(path, (ago, ago))
    for path in ("solvation/relax/r0", "potentials/train/only"):
        small.run(path).delete()
    export(small, str(copy))
    assert not {name for name in left if name.startswith("details/")} & files_of(copy)
    told = json.loads((copy / "molexp-export.json").read_text())
    named = {*told["files"], *told["before"], "now.js", "molexp-export.json"}
    assert files_of(copy) == {*named, "details/mine.txt"}, "what an export has not written stays"


@pytest.mark.parametrize(
    ("copy", "given", "record", "policy"),
    [
        ("copy", None, {"at": "../lab/"}, "'self'"),
        ("pages/a/copy", None, {"at": "../../../lab/"}, "'self'"),
        ("copy", "../../data/lab", {"at": "../../data/lab/"}, "'self'"),
        ("copy", "https://host:8443/lab", {"at": "https://host:8443/lab/"}, "'self' https://host:8443"),
        ("copy", "none", None, "'none'"),
    ],
)
def test_pages_are_told_where_they_reach_the_workspace_and_may_read_from_nowhere_else(
    small, tmp_path, copy, given, record, policy
):
    export(small, str(tmp_path / copy), record=given)
    found = manifest(tmp_path / copy)
    assert found["record"] == (record and {**record, "id": small.id})
    assert f"connect-src {policy};" in (tmp_path / copy / "index.html").read_text()
    assert having(tmp_path / copy, str(tmp_path)) == []


def test_a_workspace_elsewhere_is_not_named(small, tmp_path_factory):
    copy = tmp_path_factory.mktemp("site")
    export(small, str(copy))
    assert manifest(copy)["record"] is None
    assert having(copy, "lab/") == []


@pytest.mark.parametrize(
    "given", ["file:///lab", "https://host/lab?x=1", "../lab/#", "https://a b/lab", "//host/lab", "/\\\\host/lab", ""]
)
def test_an_address_that_pages_cannot_read_is_refused(small, tmp_path, given):
    with pytest.raises(ValueError, match="give the address of the workspace for a browser"):
        export(small, str(tmp_path / "copy"), record=given)


def test_what_a_copy_has_lost_is_written_again(small, tmp_path):
    copy = tmp_path / "copy"
    export(small, str(copy))
    assert export(small, str(copy)).written == 0
    whole = {name: (copy / name).read_bytes() for name in files_of(copy) - {"molexp-export.json"}}
    for name in whole.keys() - {"now.js"}:
        (copy / name).unlink()
    export(small, str(copy))
    assert files_of(copy) >= {*json.loads((copy / "molexp-export.json").read_text())["files"], "now.js"}
    for name in ("now.js", "index.html", *(f"{one}.js" for one in manifest(copy)["index"])):
        (copy / name).write_bytes(b"")  # a power loss leaves names without contents
        export(small, str(copy))
        assert (copy / name).stat().st_size > 0, name
    assert (copy / "index.html").read_bytes() == whole["index.html"]
    assert export(small, str(copy)).written == 0


def test_neither_an_empty_picture_nor_what_somebody_has_beside_a_copy_keeps_an_export_busy(
    small, tmp_path, monkeypatch
):
    copy = tmp_path / "copy"
    with small.run("solvation/relax/r0").start() as ctx:
        ctx.artifact.save("cut.png", b"")
    export(small, str(copy))
    (copy / "lost+found").mkdir()
    walk, walked = LocalStore.list, set()

    def noted(store, at=""):
        walked.add((store.url, at))
        return walk(store, at)

    monkeypatch.setattr(LocalStore, "list", noted)

    assert export(small, str(copy)).written == 0
    assert {at for url, at in walked if url == copy.as_uri()}.isdisjoint({"", "lost+found"}), (
        "they may be unreadable, or many"
    )


@pytest.mark.parametrize(
    "told",
    [
        {"files": ["runs/../../lab/workspace.json"], "before": []},
        {"files": [], "before": ["files/thesis.tex"]},
        [],
        {"files": []},
        {"files": [{}], "before": []},
        {"files": [], "before": [], "details": {"a": 5}},
    ],
)
def test_a_file_that_says_something_else_is_left_alone(small, tmp_path, told):
    copy = tmp_path / "copy"
    copy.mkdir()
    mark = copy / "molexp-export.json"
    mark.write_text(json.dumps(told))
    with pytest.raises(ValueError, match="is not by molexp ui --export"):
        export(small, str(copy))
    assert json.loads(mark.read_text()) == told


def test_a_damaged_run_is_said_and_the_others_are_there(lab, tmp_path):
    (log,) = tmp_path.glob("lab/projects/*/experiments/*/runs/r3/logs/metrics.jsonl")
    log.unlink()
    copy = tmp_path / "copy"
    done = export(lab, str(copy))
    assert done.runs == 46
    assert any("solvation/relax/r3: " in one for one in done.left_out)
    (damaged,) = [one for one in runs_of(copy) if one["path"].endswith("/r3")]
    assert damaged["results"] == {"energy": -20.3}
    assert "in the workspace" in damaged["unread"]
    assert having(copy, str(tmp_path / "lab")) == []
    assert export(lab, str(copy)).read == 1, "somebody may have mended it"


def test_the_command_says_what_it_wrote(lab, tmp_path, capfd):
    place = str(tmp_path / "site")
    assert run(["ui", "-w", lab.url, "--export", place, "--details", "3"]) == 0
    told = capfd.readouterr()
    assert told.out == f"{place}\n"
    assert "46 runs; " in told.err
    assert "43 oldest runs" in told.err
    assert run(["ui", "-w", lab.url, "-w", lab.url, "--export", place]) == 2
    assert run(["ui", "-w", lab.url, "--follow"]) == 2
    assert run(["ui", "-w", lab.url, "--export", str(tmp_path / "lab")]) == 2
    assert "something else" in capfd.readouterr().err


def test_nothing_of_it_is_markup_or_a_key_of_every_object(tmp_path):
    copy = tmp_path / "copy"
    export(labs.hostile(tmp_path / "lab"), str(copy))
    found = runs_of(copy)
    assert found[0]["parameters"]["__proto__"] == "polluted"
    assert {path.suffix for path in copy.joinpath("files").glob("*")} == set(), "neither HTML nor SVG is in it"
    for path in copy.rglob("*.js"):
        assert "</script" not in path.read_text("utf-8") or path.parent != copy
