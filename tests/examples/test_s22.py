"""The S22 benchmark: real energies, on record once, however often, and however rudely, `molexp run` is called."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest

import molexp as me
from tests import warm
from tests.examples.running import EXAMPLES, LIMIT, PROGRAM, molexp, python, run_example

pytestmark = pytest.mark.skipif(find_spec("tblite") is None, reason="the example computes with tblite")

SCRIPT = EXAMPLES / "s22" / "s22.py"
SAID = "GFN2-xTB on S22, 22 dimers: mean absolute error 0.784 kcal/mol\n"

# GFN2-xTB interaction energies (kcal/mol) that any correct way to compute them gives.
KNOWN = {"Water_dimer": -4.95, "Methane_dimer": -0.39, "Uracil_dimer_h-bonded": -19.63, "Benzene-HCN_complex": -2.60}

HINDERED = """
import os, signal, sys
sys.path.insert(0, {folder!r})
import s22
single_point, calls = s22.single_point, 0
def hindered(method, molecule, log):
    global calls
    calls += 1
    if calls == {call}:
        {hindrance}
    return single_point(method, molecule, log)
s22.single_point = hindered
"""

HINDERED_BEFORE = "molexp run --changed executes 21 of the skipped runs; they have changed since, or may have\n"


def hindered(folder: Path, *options: str, call: int, hindrance: str) -> subprocess.CompletedProcess[str]:
    """Run the example, in which something happens at a certain calculation."""
    script = folder / "hindered.py"
    script.write_text(HINDERED.format(folder=str(SCRIPT.parent), call=call, hindrance=hindrance), encoding="utf-8")
    return molexp("run", script, *options, cwd=folder)


def statuses(folder: Path) -> Counter[str]:
    return Counter(str(row.status) for row in me.Workspace.load(folder / "lab").catalog.runs())


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("s22")
    done = molexp("run", SCRIPT, cwd=folder)
    assert (done.returncode, done.stdout) == (0, f"{SAID}23 succeeded\n"), done.stderr
    return folder, me.Workspace.load(folder / "lab"), done


def test_one_run_per_dimer_with_energy_geometry_and_log(finished):
    _, ws, _ = finished
    rows = ws.catalog.runs(experiment="s22/gfn2-xtb")
    assert [row.status for row in rows] == ["succeeded"] * 22
    assert [dict(point) for point in ws.project("s22").experiment("gfn2-xtb").space] == [
        {"dimer": row.params["dimer"]} for row in rows
    ]
    for row in rows:
        run = ws.run(row.path)
        geometry = run.asset("dimer.xyz").path.read_text(encoding="utf-8").splitlines()
        assert len(geometry) == int(geometry[0]) + 2
        assert row.params["dimer"] in geometry[1]
        assert run.logs["scf"].own.text().count("total energy") == 3  # of the attempt; the failed one logged before it
        assert row.workflow["tasks"] == ["geometry", "energies", "analysis"]
    energies = {row.params["dimer"]: row.results["interaction_energy_kcal_mol"] for row in rows}
    assert {name: energies[name] for name in KNOWN} == pytest.approx(KNOWN, abs=0.01)


def test_the_summary_comes_last_reports_the_error_and_saves_a_plot(finished):
    _, ws, done = finished
    *_, started, _ = done.stderr.splitlines()
    assert re.fullmatch(r"molexp: s22/summary/\w+ started \(new\)", started)
    (row,) = ws.catalog.runs(experiment="s22/summary")
    rows = ws.catalog.runs(experiment="s22/gfn2-xtb")
    errors = [row.results["interaction_energy_kcal_mol"] - row.results["reference_kcal_mol"] for row in rows]
    assert row.results["mae_kcal_mol"] == pytest.approx(sum(map(abs, errors)) / 22)
    assert row.results["mae_kcal_mol"] == pytest.approx(0.784, abs=0.001)
    assert row.results["largest_error"]["dimer"] == "Benzene-HCN_complex"
    plot = ws.run(row.path).asset("parity.png")
    assert plot.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert plot.size > 10_000


def test_another_call_computes_nothing_and_says_so(finished, tmp_path):
    folder, ws, _ = finished
    before = {row.path: row.document for row in ws.catalog.runs()}
    done = molexp("run", SCRIPT, cwd=folder)
    assert (done.returncode, done.stdout) == (0, "23 skipped\n")
    assert "22 of 22 runs ended: 22 skipped" in done.stderr
    assert done.stderr.count("skipped: it succeeded before") == 1  # of few runs, each is told
    assert {row.path: row.document for row in ws.catalog.runs()} == before

    shutil.copytree(folder / "lab", tmp_path / "lab", ignore=shutil.ignore_patterns(".molexp"))
    assert molexp("run", SCRIPT, cwd=tmp_path).stdout == "23 skipped\n"  # nor does it for a copy of the folder


def test_called_by_python_it_shows_what_is_on_record(finished, tmp_path):
    folder, ws, _ = finished
    said = run_example("s22/s22.py", cwd=folder)
    assert re.search(r"^Water_dimer +-4\.95 +-5\.0", said, re.MULTILINE)
    (row,) = ws.catalog.runs(experiment="s22/summary")
    assert f"Parity plot: {ws.run(row.path).asset('parity.png').path}\n" in said
    assert "molexp run" in python(SCRIPT, cwd=tmp_path).stdout


@pytest.mark.soak
def test_however_rudely_it_is_stopped_the_next_call_goes_on(tmp_path):
    killed = hindered(tmp_path, call=3 * 4 + 2, hindrance="os.kill(os.getpid(), signal.SIGKILL)")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert statuses(tmp_path) == {"succeeded": 4, "interrupted": 1}

    # It makes up for the one that was killed, and for three more.
    stopped = hindered(tmp_path, call=3 * 4 + 2, hindrance="os.kill(os.getpid(), signal.SIGINT)")
    assert stopped.returncode == 130, stopped.stderr
    assert statuses(tmp_path) == {"succeeded": 8, "cancelled": 1}

    failed = hindered(tmp_path, call=3 * 4 + 2, hindrance="raise RuntimeError('no convergence')")
    assert failed.returncode == 1
    assert "RuntimeError: no convergence" in failed.stdout
    assert re.search(r"s22/summary +not begun: run s22/gfn2-xtb/\w+ failed", failed.stdout)
    assert statuses(tmp_path) == {"succeeded": 21, "failed": 1}

    resumed = molexp("run", SCRIPT, "--resume", cwd=tmp_path)
    said = f"{SAID}2 succeeded, 21 skipped\n{HINDERED_BEFORE}"
    assert (resumed.returncode, resumed.stdout) == (0, said), resumed.stderr
    ws = me.Workspace.load(tmp_path / "lab")
    rows = ws.catalog.runs()
    assert sorted(len(row.execution_history) for row in rows) == [1] * 20 + [2] * 3
    assert {row.execution_history[0]["status"] for row in rows if len(row.execution_history) == 2} == {
        "interrupted",
        "cancelled",
        "failed",
    }
    (again,) = [row for row in rows if row.execution_history[0]["status"] == "failed"]
    run = ws.run(again.path)
    assert run.logs["scf"].own.text().count("total energy") == 3  # of the attempt; the failed one logged before it
    producer = run.asset("dimer.xyz").producer
    assert producer is not None
    assert producer.attempt == 1  # that task had succeeded: it was not executed again


@pytest.mark.soak
def test_two_at_once_share_the_work(tmp_path):
    both = [
        warm.Popen([PROGRAM, "run", SCRIPT], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    for process in both:
        process.communicate(timeout=LIMIT)
    last = molexp("run", SCRIPT, cwd=tmp_path)  # whoever left a run to the other one has left the summary, too
    assert last.returncode == 0
    rows = me.Workspace.load(tmp_path / "lab").catalog.runs()
    assert [len(row.execution_history) for row in rows if row.status == "succeeded"] == [1] * 23
