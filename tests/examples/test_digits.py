"""The training loop: a grid with replicas, trained once, and the best of it found by the catalog."""

from __future__ import annotations

import re
from importlib.util import find_spec

import pytest

import molexp as me
from tests.examples.running import run_example

pytestmark = pytest.mark.skipif(find_spec("sklearn") is None, reason="the example trains with scikit-learn")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    return folder, run_example("training/digits.py", cwd=folder)


def test_it_trains_every_point_and_replica_and_finds_the_best(finished):
    folder, said = finished
    assert "12 of 12 runs trained" in said
    ws = me.Workspace.load(folder / "lab")
    rows = ws.catalog.runs(experiment="linear", status="succeeded")
    points = [(row.params["learning_rate"], row.params["alpha"], row.replica) for row in rows]
    assert points == [(rate, alpha, i) for rate in (1e-4, 1e-3, 1e-2) for alpha in (1e-4, 1e-1) for i in (0, 1)]
    runs = [ws.run(row.path) for row in rows]
    assert len({run.seed for run in runs}) == 12
    for run in runs:
        points = run.asset("metrics").load()
        assert [point["step"] for point in points] == list(range(10))
        accuracies = [point["accuracy"] for point in points]
        assert run.results["accuracy"] == max(accuracies)
        checkpoint = run.asset("best.npz")
        assert isinstance(checkpoint, me.CheckpointAsset)
        assert checkpoint.step == accuracies.index(max(accuracies))

    best = max(runs, key=lambda run: run.results["accuracy"])
    assert best.results["accuracy"] > 0.9
    assert f"best: {best.id}" in said
    found = re.search(r"accuracy on the test set: (\S+)", said)
    assert found
    assert float(found[1]) > 0.9


def test_another_call_trains_nothing(finished):
    folder, said = finished
    catalog = me.Workspace.load(folder / "lab").catalog
    before = {row.path: row.document for row in catalog.runs()}
    again = run_example("training/digits.py", cwd=folder)
    assert "0 of 12 runs trained" in again
    assert again.split("\n", 1)[1] == said.split("\n", 1)[1]
    assert {row.path: row.document for row in catalog.runs()} == before


def test_the_seeds_make_it_the_same_everywhere(finished, tmp_path):
    run_example("training/digits.py", cwd=tmp_path)
    here, there = (
        {row.id: row.results for row in me.Workspace.load(folder / "lab").catalog.runs()}
        for folder in (finished[0], tmp_path)
    )
    assert here == there
