"""A static copy of the pages: which files it has, what a second export writes, and what it leaves alone."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

import molexp as me
from molexp_cli._main import run
from molexp_web._export.export import export
from tests.web import labs


def part(copy: Path, name: str) -> Any:
    """Return the content of a part, as the page reads it."""
    found = re.fullmatch(r'molexp\.part\("(.*?)",("(?:.*)")\);\n', (copy / f"{name}.js").read_text("utf-8"))
    assert found is not None
    assert found[1] == name
    return json.loads(json.loads(found[2]))


def manifest(copy: Path) -> Any:
    return part(copy, re.findall('"(.*)"', (copy / "now.js").read_text())[0])


def files_of(copy: Path) -> set[str]:
    return {str(path.relative_to(copy)) for path in copy.rglob("*") if path.is_file()}


@pytest.fixture
def lab(tmp_path) -> me.Workspace:
    return labs.ordinary(tmp_path / "lab", runs=45)


def test_it_has_every_run_once_and_every_value(lab, tmp_path):
    copy = tmp_path / "copy"
    done = export(lab, str(copy), details=10)
    found = manifest(copy)
    runs = [one for name in found["runs"] for one in part(copy, name)]
    rows = [*lab.catalog.runs(sort="created_at")]
    assert done.runs == found["total"] == 46
    assert [one["path"] for one in runs] == [row.path for row in rows]
    columns = {one["name"]: [value for name in one["parts"] for value in part(copy, name)] for one in found["columns"]}
    assert columns["results.energy"] == [row.results.get("energy") for row in rows]
    assert columns["metrics.force.min"] == [row.metrics.get("force", {}).get("min") for row in rows]
    assert found["statuses"] == {"failed": 4, "succeeded": 42}
    assert [runs[number]["path"] for number in found["failed"]] == [f"solvation/relax/r{n}" for n in (41, 29, 17, 5)]
    assert [one["path"].rpartition("/")[2] for one in runs if "logs" in one] == [f"r{n}" for n in range(36, 45)]
    curve = part(copy, runs[40]["curves"])[0]
    assert (curve["name"], curve["x"][-1], len(curve["y"])) == ("energy", 29, 30)
    assert copy.joinpath(runs[44]["pictures"][0]["file"]).read_bytes() == labs.png()
    assert "RuntimeError: SCF did not converge" in runs[41]["trace"]
    assert any("36 oldest runs" in one for one in done.left_out)


def test_a_second_export_writes_what_is_new_and_keeps_what_open_pages_read(lab, tmp_path):
    copy = tmp_path / "copy"
    export(lab, str(copy))
    first, before = files_of(copy), manifest(copy)
    with lab.project("potentials").experiment("train").Run(id="new").start():
        pass
    changed = {name: os.stat(copy / name).st_mtime_ns for name in first}
    export(lab, str(copy))
    assert first <= files_of(copy), "an open page may ask for any of them"
    assert manifest(copy)["runs"][:2] == before["runs"][:2]
    kept = [name for name in first if os.stat(copy / name).st_mtime_ns == changed[name]]
    assert len(kept) > 0.8 * len(first)
    lab.run("solvation/relax/r0").delete()
    export(lab, str(copy))
    assert manifest(copy)["total"] == 46
    last = files_of(copy)
    assert f"{before['runs'][-1]}.js" not in last, "no page reads what the copy before the last had alone"
    export(lab, str(copy))
    told = json.loads((copy / "molexp-export.json").read_text())
    assert files_of(copy) == {*told["files"], *told["before"], "now.js", "molexp-export.json"}


def test_it_leaves_alone_what_is_no_copy(lab, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    mine.joinpath("thesis.tex").write_text("mine")
    for target in (mine, tmp_path / "lab"):
        with pytest.raises(ValueError, match="something else"):
            export(lab, str(target))
    assert files_of(mine) == {"thesis.tex"}


def test_a_damaged_run_is_said_and_the_others_are_there(lab, tmp_path):
    (log,) = tmp_path.glob("lab/projects/*/experiments/*/runs/r3/logs/metrics.jsonl")
    log.unlink()
    copy = tmp_path / "copy"
    done = export(lab, str(copy))
    assert done.runs == 46
    assert any("solvation/relax/r3: " in one for one in done.left_out)
    (damaged,) = [one for name in manifest(copy)["runs"] for one in part(copy, name) if one["path"].endswith("/r3")]
    assert damaged["results"] == {"energy": -20.3}
    assert damaged["unread"]


def test_the_command_says_what_it_wrote(lab, tmp_path, capfd):
    place = str(tmp_path / "site")
    assert run(["ui", "-w", lab.url, "--export", place, "--details", "3"]) == 0
    told = capfd.readouterr()
    assert told.out == f"{place}\n"
    assert "46 runs; " in told.err
    assert "43 oldest runs" in told.err
    assert run(["ui", "-w", lab.url, "-w", lab.url, "--export", place]) == 2
    assert run(["ui", "-w", lab.url, "--export", str(tmp_path / "lab")]) == 2
    assert "something else" in capfd.readouterr().err


def test_nothing_of_it_is_markup_or_a_key_of_every_object(tmp_path):
    copy = tmp_path / "copy"
    export(labs.hostile(tmp_path / "lab"), str(copy))
    found = [one for name in manifest(copy)["runs"] for one in part(copy, name)]
    assert found[0]["parameters"]["__proto__"] == "polluted"
    assert {path.suffix for path in copy.joinpath("files").glob("*")} == set(), "neither HTML nor SVG is in it"
    for path in copy.rglob("*.js"):
        assert "</script" not in path.read_text("utf-8") or path.parent != copy
