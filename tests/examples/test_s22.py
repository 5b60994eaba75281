"""The S22 benchmark: real energies, on record once, however often, and however rudely, it is called."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import molexp as me
from tests.examples.running import EXAMPLES, altered, run_example

pytest.importorskip("tblite", reason="the example computes with tblite")

EXAMPLE = "s22/s22.py"

# GFN2-xTB interaction energies (kcal/mol) that any correct way to compute them gives.
KNOWN = {"Water_dimer": -4.95, "Methane_dimer": -0.39, "Uracil_dimer_h-bonded": -19.63, "Benzene-HCN_complex": -2.60}

DIE_AT = """
import os, signal
calls = 0
single_point = example.single_point
def dying(*arguments):
    global calls
    calls += 1
    if calls == {call}:
        os.kill(os.getpid(), signal.SIGKILL)
    return single_point(*arguments)
example.single_point = dying
"""

FAIL_AT_WATER = """
single_point = example.single_point
def failing(method, atoms, log):
    if atoms.get_chemical_formula() == "H4O2":
        raise RuntimeError("no convergence")
    return single_point(method, atoms, log)
example.single_point = failing
"""


def dimers(ws):
    return ws.catalog.runs(experiment="s22/gfn2-xtb")


def computed(said: str) -> int:
    found = re.search(r"^(\d+) of 22 dimers computed; (\d+) were on record\.$", said, re.MULTILINE)
    assert found, said
    assert int(found[1]) + int(found[2]) == 22
    return int(found[1])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("s22") / "lab"
    return me.Workspace(folder), run_example(EXAMPLE, folder), folder


def test_one_run_per_dimer_with_energy_geometry_and_log(finished):
    ws, said, _ = finished
    assert computed(said) == 22
    rows = dimers(ws)
    assert [row.status for row in rows] == ["succeeded"] * 22
    assert len({row.parameters["dimer"] for row in rows}) == 22
    assert [dict(point) for point in ws.project("s22").experiment("gfn2-xtb").space] == [
        {"dimer": row.parameters["dimer"]} for row in rows
    ]
    for row in rows:
        run = ws.run(row.path)
        geometry = run.asset("dimer.xyz").path.read_text(encoding="utf-8").splitlines()
        assert len(geometry) == int(geometry[0]) + 2
        assert row.parameters["dimer"] in geometry[1]
        assert run.logs["scf"].text().count("total energy") == 3
    energies = {row.parameters["dimer"]: row.results["interaction_energy_kcal_mol"] for row in rows}
    assert {name: energies[name] for name in KNOWN} == pytest.approx(KNOWN, abs=0.01)


def test_the_summary_reports_the_error_and_saves_a_plot(finished):
    ws, said, _ = finished
    (row,) = ws.catalog.runs(experiment="s22/summary")
    rows = dimers(ws)
    errors = [row.results["interaction_energy_kcal_mol"] - row.results["reference_kcal_mol"] for row in rows]
    assert row.results["mae_kcal_mol"] == pytest.approx(sum(map(abs, errors)) / 22)
    assert 0.6 < row.results["mae_kcal_mol"] < 1.0
    assert row.results["largest_error"]["dimer"] == "Benzene-HCN_complex"
    plot = ws.run(row.path).asset("parity.png")
    assert plot.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert plot.size > 10_000
    assert str(plot.path) in said


def test_another_call_computes_nothing_and_says_so(finished):
    ws, _, folder = finished
    before = {row.path: row.document for row in ws.catalog.runs()}
    said = run_example(EXAMPLE, folder)
    assert computed(said) == 0
    assert "Nothing was computed in this call." in said
    assert {row.path: row.document for row in ws.catalog.runs()} == before


def test_killed_in_the_middle_it_goes_on_with_what_is_missing(tmp_path):
    folder = tmp_path / "lab"
    killed = altered(EXAMPLE, DIE_AT.format(call=3 * 7 + 2), folder)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    ws = me.Workspace(folder)
    statuses = [row.status for row in dimers(ws)]
    assert (statuses.count("succeeded"), statuses.count("interrupted"), statuses.count("pending")) == (7, 1, 14)

    assert computed(run_example(EXAMPLE, folder)) == 15
    rows = dimers(ws)
    assert [row.status for row in rows] == ["succeeded"] * 22
    assert sorted(len(row.execution_history) for row in rows) == [1] * 21 + [2]
    (again,) = [row for row in rows if len(row.execution_history) == 2]
    assert [attempt["status"] for attempt in again.execution_history] == ["interrupted", "succeeded"]
    assert ws.run(again.path).logs["scf"].text().count("total energy") == 3


def test_a_dimer_that_fails_is_on_record_and_made_up_for(tmp_path):
    folder = tmp_path / "lab"
    failed = altered(EXAMPLE, FAIL_AT_WATER, folder)
    assert failed.returncode == 1
    assert "Water_dimer" in failed.stdout
    assert "21 of 22 dimers computed; 0 were on record; 1 failed." in failed.stdout
    assert "Only 21 of 22 dimers have succeeded" in failed.stdout
    ws = me.Workspace(folder)
    (row,) = ws.catalog.runs(status="failed")
    assert "no convergence" in row.execution_history[-1]["error"]["message"]
    assert not ws.catalog.runs(experiment="s22/summary")
    assert computed(run_example(EXAMPLE, folder)) == 1
    assert ws.run(row.path).status == "succeeded"


def test_two_at_once_share_the_work(tmp_path):
    command = [sys.executable, str(EXAMPLES / EXAMPLE), str(tmp_path / "lab")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=200)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sum(map(computed, said)) == 22
    ws = me.Workspace(tmp_path / "lab")
    assert [len(row.execution_history) for row in ws.catalog.runs(status="succeeded")] == [1] * 23


def test_a_copy_of_the_folder_is_the_same_record(finished, tmp_path):
    _, _, folder = finished
    copy = Path(shutil.copytree(folder, tmp_path / "copy", ignore=shutil.ignore_patterns(".molexp")))
    assert computed(run_example(EXAMPLE, copy)) == 0
