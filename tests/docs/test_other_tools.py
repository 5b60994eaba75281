"""The scripts of pages about other tools do what those pages say, where these tools are installed.

`uv run --group bench` installs MLflow. The others are in no group: `uv pip install optuna "hydra-core>=1.3" lightning`.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import molexp as me
from tests.docs.pages import blocks
from tests.repository import ROOT

pytestmark = pytest.mark.long

HOW_TO = ROOT / "docs/how-to"

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
    mlflow.log_params({"sha": "1234e56789", "version": "3.10"})
    mlflow.pyfunc.log_model(name="net", loader_module="json", data_path="w.txt", pip_requirements=[])
    with mlflow.start_run(nested=True):
        mlflow.log_param("fold", 1)
mlflow.set_experiment("???")
try:
    with mlflow.start_run():
        mlflow.log_param("lr", 9 / 0)
except ZeroDivisionError:
    print(known.info.run_id)
"""


def needs(module: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(importlib.util.find_spec(module) is None, reason=f"{module} is not installed")


def python(*words: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def save(page: str, file: str) -> None:
    """Save a script of a page in the current folder."""
    (script,) = (block for block in blocks(HOW_TO / page, (HOW_TO / page).read_text("utf-8")) if block.file == file)
    Path(file).write_text(script.code, encoding="utf-8")


@needs("optuna")
def test_a_study_of_optuna_leaves_a_run_for_each_trial():
    save("optuna-hydra-lightning.md", "search.py")
    told = python("search.py").stderr
    runs = list(me.Workspace("lab").Project("tune").Experiment("quadratic").runs)
    assert sorted(run.parameters["trial"] for run in runs) == list(range(20))
    pruned = {run.parameters["trial"] for run in runs if run.status == "cancelled"}
    assert pruned == {number for number in range(20) if f"Trial {number} pruned" in told}
    assert {run.execution_history[-1]["reason"] for run in runs if run.status == "cancelled"} == {"pruned"}
    assert all("loss" in run.results for run in runs if run.status == "succeeded")


@needs("hydra")
def test_a_sweep_of_hydra_executes_only_what_is_new():
    save("optuna-hydra-lightning.md", "train.py")
    python("train.py", "-m", "+lr=0.1,0.2,0.3")
    python("train.py", "-m", "+lr=0.1,0.2,0.3,0.4")
    runs = list(me.Workspace("lab").Project("nets").Experiment("mlp").runs)
    assert sorted(run.parameters["lr"] for run in runs) == [0.1, 0.2, 0.3, 0.4]
    assert {len(run.execution_history) for run in runs} == {1}


@needs("lightning")
@pytest.mark.parametrize("ranks", [1, 2])
def test_lightning_trains_in_one_run(ranks):
    save("optuna-hydra-lightning.md", "fit.py")
    python("-m", "torch.distributed.run", "--nproc-per-node", str(ranks), "fit.py")
    (run,) = me.Workspace("lab").Project("nets").Experiment("line").runs
    assert run.status == "succeeded"
    assert run.results["loss"] < 1
    assert run.metrics.last["epoch"] == 4
    assert run.asset("last.ckpt").size


@needs("mlflow")
@pytest.mark.parametrize("store", ["sqlite:///mlflow.db", "mlruns"])
def test_a_store_of_mlflow_becomes_runs(store, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    known = python("-c", FILL, store).stdout.strip()
    save("come-from-mlflow.md", "from_mlflow.py")
    for _ in range(2):  # the second call adds nothing
        assert "run " not in python("from_mlflow.py", store, "metals").stderr, "it left a run out"
    exp = me.Workspace("lab").Project("metals").Experiment("the-best-of-cu")
    assert [run.status for run in exp.runs] == ["succeeded", "succeeded"]
    assert [run.status for other in exp.project.experiments if other != exp for run in other.runs] == ["failed"]
    run = exp.run(known)
    values = {"lr": 0.1, "optimizer": "adam", "layers": [1, 2], "nesterov": True, "weights": None}
    assert run.parameters == {**values, "sha": "1234e56789", "version": "3.10"}
    assert run.metrics.last == {"loss": 0.2, "val/acc": 4.0, "time_value": 3.0}
    assert run.tags == {"first", "stage=try"}
    assert run.asset("best/w.txt").read_bytes() == b"weights"
    assert sorted(asset.name.count("/") for asset in run.assets if asset.name.endswith("w.txt")) == [1, 3]
    assert run.to_dict()["imported_from"]["folder"].endswith(f"/runs/{run.id}")
