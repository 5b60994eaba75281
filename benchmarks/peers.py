"""The runs of the dataset in what we compare with, filled in bulk, and checked against what its own writer makes."""

from __future__ import annotations

import importlib.util
import json
import os
import sqlite3
import tempfile
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataset import Values

_CHECKED = 20  # runs that are written by their own writer, too
_NEEDS = {"signac": ("signac",), "mlflow": ("mlflow", "sqlalchemy", "alembic")}


def installed(name: str) -> bool:
    """Tell whether a peer can be compared with."""
    return all(importlib.util.find_spec(module) is not None for module in _NEEDS[name])


# --------------------------------------------------------------------------------------------------------------- signac


def write_signac(folder: Path, runs: Iterable[Values]) -> None:
    """Make a signac project: state points are parameters, documents are results.

    ``plain`` is as signac leaves it; ``cached`` is the same with the cache of state points that a user may ask for.
    """
    import signac

    runs = iter(runs)
    first = list(islice(runs, _CHECKED))
    with tempfile.TemporaryDirectory(dir=folder) as base:
        real, bulk = Path(base, "real"), Path(base, "bulk")
        project = signac.init_project(str(real))
        for values in first:
            job = project.open_job(values.parameters).init()
            job.doc.update(values.results)
        _fill_signac(bulk, first)
        if _files(real) != _files(bulk):
            raise SystemExit("signac lays out its files in another way than benchmarks/peers.py does.")
    plain, cached = folder / "plain", folder / "cached"
    _fill_signac(plain, first)
    _fill_signac(plain, runs)
    cached.mkdir()
    (cached / "workspace").symlink_to("../plain/workspace")
    signac.init_project(str(cached)).update_cache()


def _fill_signac(folder: Path, runs: Iterable[Values]) -> None:
    import signac

    project = signac.init_project(str(folder))
    for values in runs:
        path = f"{project.workspace}/{project.open_job(values.parameters).id}"
        os.makedirs(path)
        for name, content in (
            ("signac_statepoint.json", values.parameters),
            ("signac_job_document.json", values.results),
        ):
            with open(f"{path}/{name}", "w", encoding="utf-8") as file:
                file.write(json.dumps(content))


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --------------------------------------------------------------------------------------------------------------- MLflow


def write_mlflow(folder: Path, runs: Iterable[Values]) -> None:
    """Make an SQLite store with the schema of MLflow.

    MLflow compares parameters as text, so the learning rate is logged as a metric, too: that is how one asks for a range
    of them.
    """
    runs = iter(runs)
    first = list(islice(runs, _CHECKED))
    with tempfile.TemporaryDirectory(dir=folder) as base:
        real, bulk = Path(base, "real.sqlite3"), Path(base, "bulk.sqlite3")
        experiments = _new_mlflow(real)
        for values in first:
            _log_to_mlflow(real, experiments, values)
        _fill_mlflow(bulk, first)
        if _found(real) != _found(bulk):
            raise SystemExit("MLflow reads what benchmarks/peers.py writes as something else than it was.")
    _fill_mlflow(folder / "mlflow.sqlite3", [*first, *runs])


def _client(path: Path) -> Any:
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # it would call home
    from mlflow import MlflowClient

    return MlflowClient(f"sqlite:///{path}")


def _new_mlflow(path: Path) -> list[str]:
    client = _client(path)
    return [client.create_experiment(f"e{number}", artifact_location="artifacts") for number in range(10)]


def _metrics(values: Values) -> Mapping[str, float]:
    return {"lr": values.parameters["lr"], **values.results}


def _log_to_mlflow(path: Path, experiments: list[str], values: Values) -> str:
    """Write a run as a user's program does, with the tags of ``mlflow.start_run``."""
    from mlflow.entities import Metric, Param

    client = _client(path)
    tags = {"mlflow.user": "user", "mlflow.source.name": "train.py", "mlflow.source.type": "LOCAL"}
    name = f"run-{values.parameters['seed']}"
    run_id: str = client.create_run(experiments[values.experiment], tags=tags, run_name=name).info.run_id
    params = [Param(name, str(value)) for name, value in values.parameters.items()]
    metrics = [Metric(name, value, 1_700_000_000_000, 0) for name, value in _metrics(values).items()]
    client.log_batch(run_id, params=params, metrics=metrics)
    client.set_terminated(run_id)
    return run_id


def _fill_mlflow(path: Path, runs: list[Values]) -> None:
    """Write the first run with MLflow's writer, and the others as copies of its rows with other values."""
    experiments = _new_mlflow(path)
    pattern = _log_to_mlflow(path, experiments, runs[0])
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    rows = {
        table: [dict(row) for row in connection.execute(f"SELECT * FROM {table} WHERE run_uuid = ?", (pattern,))]
        for table in ("runs", "params", "metrics", "latest_metrics", "tags")
    }
    with connection:
        for table, copied in rows.items():
            columns = list(copied[0])
            connection.executemany(
                f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
                (
                    [{**row, **_changes(table, row, values, experiments)}[column] for column in columns]
                    for values in runs[1:]
                    for row in copied
                ),
            )
    connection.close()


def _changes(table: str, row: Mapping[str, Any], values: Values, experiments: list[str]) -> dict[str, Any]:
    seed = values.parameters["seed"]
    run_id = f"{seed:032x}"
    if table == "params":
        return {"run_uuid": run_id, "value": str(values.parameters[row["key"]])}
    if table in {"metrics", "latest_metrics"}:
        return {"run_uuid": run_id, "value": float(_metrics(values)[row["key"]])}
    if table == "tags":
        return {"run_uuid": run_id, "value": f"run-{seed}" if row["key"] == "mlflow.runName" else row["value"]}
    return {
        "run_uuid": run_id,
        "name": f"run-{seed}",
        "start_time": row["start_time"] + 10 * seed,
        "end_time": row["end_time"] + 10 * seed,
        "artifact_uri": row["artifact_uri"].replace(row["run_uuid"], run_id),
        "experiment_id": int(experiments[values.experiment]),
    }


def _found(path: Path) -> list[tuple[Any, ...]]:
    """Return what MLflow finds: all that does not depend on when and under which id a run was made."""
    client = _client(path)
    experiments = [found.experiment_id for found in client.search_experiments()]
    return sorted(
        (
            run.info.run_name,
            run.info.experiment_id,
            run.info.status,
            run.info.lifecycle_stage,
            run.info.artifact_uri.replace(run.info.run_id, "-"),
            sorted(run.data.params.items()),
            sorted(run.data.metrics.items()),
            sorted(run.data.tags.items()),
        )
        for run in client.search_runs(experiments, "metrics.lr > 0 and metrics.loss >= 0")
    )
