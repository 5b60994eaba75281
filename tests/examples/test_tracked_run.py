"""The tracked run of the founding page: a workflow under a run, what it prints, and what it leaves."""

from __future__ import annotations

import json
import re

import pytest

import molexp as me
from tests.examples.running import run_example

EXAMPLE = "getting_started/03_tracked_run.py"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tracked")
    return folder, run_example(EXAMPLE, cwd=folder)  # without an argument, it is ./lab


def test_the_run_is_on_record(lab):
    folder, said = lab
    assert said.startswith("argon-300k: computed relax, tabulate, virial; succeeded\n")
    run = me.Workspace.load(folder / "lab", read_only=True).run("argon/dimer/argon-300k")
    assert run.status == "succeeded"
    assert run.results["distance_angstrom"] == pytest.approx(2 ** (1 / 6) * 3.405, abs=1e-6)
    assert run.results["well_depth_kelvin"] == pytest.approx(119.8)
    assert run.results["second_virial_cm3_per_mol"] == pytest.approx(-15.4, abs=0.1)
    assert run.results["table"] == run.experiment.data_assets["pair-potential"]
    assert run.logs["relax"].tail(1)[0].startswith("converged after")
    assert "argon/dimer:data:pair-potential@1" in run.logs["tasks/virial"].text()
    assert run.asset("pair.json").load()["symbols"] == ["Ar", "Ar"]
    assert {
        ("artifact", "pair.json"),
        ("log", "relax"),
        ("metrics", "tasks/relax/metrics"),
        ("checkpoint", "outputs/tabulate.json"),
    } <= {(asset.kind, asset.name) for asset in run.assets}
    assert run.to_dict()["workflow"]["tasks"] == ["relax", "tabulate", "virial"]


def test_it_prints_the_layout_that_there_is(lab):
    folder, said = lab
    layout = said.split("What lies in lab:")[1].split("What lab/projects")[0]
    names = re.findall(r"^ +([^ \n/]+)", layout, re.MULTILINE)
    there = {
        path.name
        for path in (folder / "lab").rglob("*")
        if ".molexp" not in path.relative_to(folder / "lab").parts[:-1]
    }
    assert set(names) == there
    assert {"run.json", "1.jsonl", "1.end.json", "pair.json", "relax.log", "argon.csv"} <= there


def test_it_prints_every_field_of_run_json(lab):
    folder, said = lab
    saved = json.loads((folder / "lab/projects/argon/experiments/dimer/runs/argon-300k/run.json").read_text())
    fields = dict(re.findall(r"^    (\w+): (.*)$", said.split("run.json says:")[1], re.MULTILINE))
    assert fields.keys() == saved.keys()
    assert fields["status"] == '"succeeded"'
    assert "well_depth_kelvin" in fields["results"]


def test_another_call_says_what_it_found_and_computes_nothing(tmp_path):
    first = run_example(EXAMPLE, tmp_path / "here", cwd=tmp_path)
    second = run_example(EXAMPLE, tmp_path / "here", cwd=tmp_path)
    assert ": computed " in first
    assert "; nothing was computed" in second
    assert first.split("What lies in")[1] == second.split("What lies in")[1]
    runs = me.Workspace.load(tmp_path / "here").catalog.runs()
    assert [len(row.execution_history) for row in runs] == [1]
