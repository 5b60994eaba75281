"""The script of docs/how-to/come-from-mlflow.md records what an MLflow store holds, where MLflow is installed."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

import molexp as me
from tests.docs.pages import blocks
from tests.repository import ROOT

PAGE = ROOT / "docs/how-to/come-from-mlflow.md"

FILL = """
import sys
from pathlib import Path

import mlflow

mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_experiment("the best of/cu")
with mlflow.start_run(run_name="first") as known:
    mlflow.log_params({"lr": 0.1, "optimizer": "adam", "layers": [1, 2], "nesterov": True, "weights": None})
    for step in range(5):
        mlflow.log_metrics({"loss": 1 / (step + 1), "val/acc": step, "time": 3.0}, step=step)
    mlflow.set_tag("stage", "try")
    Path("w.txt").write_text("weights")
    mlflow.log_artifact("w.txt", "best")
    with mlflow.start_run(nested=True):
        mlflow.log_param("fold", 1)
try:
    with mlflow.start_run():
        mlflow.log_param("lr", 9 / 0)
except ZeroDivisionError:
    print(known.info.run_id)
"""


@pytest.mark.long
@pytest.mark.skipif(importlib.util.find_spec("mlflow") is None, reason="MLflow is in the dependency group bench")
@pytest.mark.parametrize("store", ["sqlite:///mlflow.db", "mlruns"])
def test_the_script_brings_the_runs_of_a_store(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")

    def python(*words: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done

    known = python("-c", FILL, store).stdout.strip()
    (script,) = (block for block in blocks(PAGE, PAGE.read_text(encoding="utf-8")) if block.file == "from_mlflow.py")
    (tmp_path / "from_mlflow.py").write_text(script.code, encoding="utf-8")
    for _ in range(2):  # the second call adds nothing
        assert "run " not in python("from_mlflow.py", store, "metals").stderr, "it left a run out"
    exp = me.Workspace("lab").Project("metals").Experiment("the-best-of-cu")
    assert sorted(run.status for run in exp.runs) == ["failed", "succeeded", "succeeded"]
    run = exp.run(known)
    assert run.parameters == {"lr": 0.1, "optimizer": "adam", "layers": [1, 2], "nesterov": True, "weights": None}
    assert run.metrics.last == {"loss": 0.2, "val/acc": 4.0, "time_value": 3.0}
    assert run.tags == {"first", "stage=try"}
    assert run.asset("best/w.txt").read_bytes() == b"weights"
    assert run.to_dict()["imported_from"]["folder"].endswith(f"/runs/{run.id}")
