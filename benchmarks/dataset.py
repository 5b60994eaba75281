"""The runs that the catalog is asked about: made once by the real writer, and the same ones in what we compare with.

They lie outside the repository, in ``MOLEXP_BENCH_CACHE`` or else the user's cache folder, one folder for each number of
runs, and are used again. Each part of it (``lab``, ``bare``, ``signac``, ``mlflow``) is made under a temporary name, and
renamed when it is complete, so that one whose making was killed is never taken for whole. Nothing here is ever deleted:
some file systems are slow for a while after that. After a change of what the writer writes, count `VERSION` up.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import attrs
import peers
from platformdirs import user_cache_dir

import molexp as me

VERSION = 1
"""Of what is written below: datasets of another version are not used."""

EXPERIMENTS = 10
PROJECT = "sweep"

WHERE = "params.lr < 0.01 and results.loss == 3"
"""The question: about 900 of 100 000 runs are an answer."""

SELECT = "SELECT id, document FROM runs WHERE loss = 3 AND lr < 0.01"
"""The same, as bare as can be."""

NAMES = ("loss", *(f"metric_{number}" for number in range(1, 20)))
"""Of the metrics that each run of the second dataset has logged."""

WHERE_METRICS = "metrics.loss.min < 0.009"
"""The question about these: about 900 of 100 000 runs are an answer, too."""

SELECT_METRICS = "SELECT id, document FROM runs WHERE least < 0.009"
"""The same, as bare as can be."""

_WRITERS = 2


@attrs.frozen
class Values:
    """The parameters and results of a run.

    Attributes:
        experiment: index of its experiment.
        parameters: five of them.
        results: three of them.
    """

    experiment: int
    parameters: dict[str, Any]
    results: dict[str, Any]

    @property
    def matches(self) -> bool:
        """Tell whether the run answers the question."""
        return bool(self.parameters["lr"] < 0.01 and self.results["loss"] == 3)


def values_of(number: int) -> Values:
    """Return the values of a run, which depend only on its number."""
    random = Random(number)
    lr = round(10 ** (-2.2 + 2.2 * random.random()), 8)
    parameters = {
        "lr": lr,
        "batch": 2 ** (3 + int(random.random() * 6)),
        "optimizer": ("adam", "sgd", "lion")[int(random.random() * 3)],
        "momentum": round(random.random(), 4),
        "seed": number,
    }
    results = {
        "loss": int(random.random() * 10),
        "accuracy": round(random.random(), 6),
        "steps": 100 + int(random.random() * 900),
    }
    return Values(number % EXPERIMENTS, parameters, results)


def points_of(number: int) -> Iterator[dict[str, float]]:
    """Yield what a run of the second dataset logs, step by step."""
    random = Random(-1 - number)
    least = random.random()
    for above in (8.5, 0.0, 1.0):
        yield {name: least + above + place for place, name in enumerate(NAMES)}


def all_values(count: int) -> Iterator[Values]:
    """Yield the values of all runs."""
    return map(values_of, range(count))


@attrs.frozen
class Dataset:
    """The paths of a complete dataset.

    Attributes:
        count: number of runs.
        matching: number of runs that answer the question.
        lab: the workspace.
        bare: an SQLite file with an index that serves the question.
        signac: a signac project; None where signac is not installed.
        mlflow: MLflow's SQLite file; None where MLflow is not installed.
        seconds: time to make each part.
    """

    count: int
    matching: int
    lab: Path
    bare: Path
    signac: Path | None
    mlflow: Path | None
    seconds: dict[str, float]


def cache_folder() -> Path:
    """Return where all datasets lie."""
    return Path(os.environ.get("MOLEXP_BENCH_CACHE") or user_cache_dir("molexp-bench", appauthor=False))


def lab_of(count: int) -> Path:
    """Return our workspace of the dataset of `count` runs; make it if missing."""
    lab = cache_folder() / f"{count}-v{VERSION}" / "lab"
    lab.parent.mkdir(parents=True, exist_ok=True)
    make_part(lab, count, lambda folder: _write_lab(folder / "workspace", count))
    return lab / "workspace"


def dataset(count: int) -> Dataset:
    """Return the dataset of `count` runs; make it if missing."""
    base = cache_folder() / f"{count}-v{VERSION}"
    base.mkdir(parents=True, exist_ok=True)
    seconds: dict[str, float] = {}

    def part(name: str, write: Callable[[Path], None]) -> Path:
        seconds[name] = make_part(base / name, count, write)
        return base / name

    lab = part("lab", lambda folder: _write_lab(folder / "workspace", count)) / "workspace"
    bare = part("bare", lambda folder: _fill_bare(folder / "runs.sqlite3", lab)) / "runs.sqlite3"
    signac = mlflow = None
    if peers.installed("signac"):
        signac = part("signac", lambda folder: peers.write_signac(folder, all_values(count)))
    if peers.installed("mlflow"):
        mlflow = part("mlflow", lambda folder: peers.write_mlflow(folder, all_values(count))) / "mlflow.sqlite3"
    matching = sum(values.matches for values in all_values(count))
    return Dataset(count, matching, lab, bare, signac, mlflow, seconds)


def dataset_with_metrics(count: int) -> Dataset:
    """Return the dataset of `count` runs with metrics, which has only bare SQLite beside it; make it if missing."""
    base = cache_folder() / f"{count}-v{VERSION}-metrics"
    base.mkdir(parents=True, exist_ok=True)
    lab, bare = base / "lab" / "workspace", base / "bare" / "runs.sqlite3"
    seconds = {
        "lab": make_part(base / "lab", count, lambda folder: _write_lab(folder / "workspace", count, metrics=True)),
        "bare": make_part(base / "bare", count, lambda folder: _fill_bare_metrics(folder / bare.name, lab)),
    }
    matching = sum(next(islice(points_of(number), 1, 2))["loss"] < 0.009 for number in range(count))
    return Dataset(count, matching, lab, bare, None, None, seconds)


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def make_part(whole: Path, count: int, write: Callable[[Path], None]) -> float:
    """Make a part of a dataset, unless it is there; returns the seconds that making it took."""
    marker = whole / "made.json"
    if not marker.exists():
        for left in whole.parent.glob(f"{whole.name}.partial-*"):
            _say(
                f"{left} is left over, or being made by somebody else; if it is not, delete it when nothing is measured"
            )
        partial = Path(tempfile.mkdtemp(prefix=f"{whole.name}.partial-", dir=whole.parent))
        _say(f"making {whole.name} of {count} runs, once, in {whole}")
        began = time.perf_counter()
        write(partial)
        made = {"count": count, "version": VERSION, "seconds": round(time.perf_counter() - began, 1)}
        (partial / marker.name).write_text(json.dumps(made), encoding="utf-8")
        partial.rename(whole)
        _say(f"made {whole.name} in {made['seconds']} s")
    made = json.loads(marker.read_text(encoding="utf-8"))
    if (made["count"], made["version"]) != (count, VERSION):
        raise SystemExit(f"{marker} is of something else; move {whole} out of the way.")
    return float(made["seconds"])


# ------------------------------------------------------------------------------------------------------ our workspace


def _write_lab(path: Path, count: int, *, metrics: bool = False) -> None:
    """Write the workspace with several processes, as any program would."""
    project = me.Workspace(path).Project(PROJECT)
    for number in range(EXPERIMENTS):
        project.Experiment(f"e{number}", params={})
    spawn = multiprocessing.get_context("spawn")
    writers = [
        spawn.Process(target=_write_runs, args=(path, range(first, count, _WRITERS), metrics))
        for first in range(_WRITERS)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        if writer.exitcode:
            raise SystemExit(f"a writer failed; {path} is not complete.")


def _write_runs(path: Path, numbers: range, metrics: bool) -> None:
    project = me.Workspace(path, storage_options={"durability": "never"}).project(PROJECT)
    experiments = [project.experiment(f"e{number}") for number in range(EXPERIMENTS)]
    for number in numbers:
        values = values_of(number)
        with experiments[values.experiment].Run(values.parameters).start() as ctx:
            for name, value in values.results.items():
                ctx.set_result(name, value)
            ctx.artifact.save("curve.json", {"step": [0, 50, 100], "loss": [9.5, 4.25, values.results["loss"]]})
            ctx.log("train").append(f"{values.results['steps']} steps")
            for point in points_of(number) if metrics else ():
                ctx.metrics.log(point)


def run_folders(workspace: Path) -> Iterator[str]:
    """Yield those of all runs, oldest first within an experiment."""
    for experiment in sorted(os.listdir(workspace / "projects" / PROJECT / "experiments")):
        runs = f"{workspace}/projects/{PROJECT}/experiments/{experiment}/runs"
        yield from (f"{runs}/{name}" for name in sorted(os.listdir(runs)))


# ---------------------------------------------------------------------------------------------------------- bare SQLite


def _fill_bare(path: Path, lab: Path) -> None:
    """Make a table for this question alone."""

    def rows() -> Iterator[tuple[str, float, int, bytes]]:
        for run in run_folders(lab):
            with open(f"{run}/run.json", "rb") as file:
                document = json.loads(file.read())
            text = json.dumps(document, separators=(",", ":"))
            yield document["id"], document["parameters"]["lr"], document["results"]["loss"], text.encode()

    connection = sqlite3.connect(path)
    with connection:
        connection.execute("CREATE TABLE runs (id TEXT PRIMARY KEY, lr REAL, loss INTEGER, document BLOB)")
        connection.executemany("INSERT INTO runs VALUES (?, ?, ?, ?)", rows())
        connection.execute("CREATE INDEX runs_by_loss_and_lr ON runs (loss, lr)")
    connection.close()


def _fill_bare_metrics(path: Path, lab: Path) -> None:
    """Make a table for the question about metrics."""

    def rows() -> Iterator[tuple[str, float, bytes]]:
        for run in run_folders(lab):
            with open(f"{run}/run.json", "rb") as file, open(f"{run}/executions/1.end.json", "rb") as end:
                document = json.loads(file.read())
                (found,) = [one for one in json.loads(end.read())["assets"] if one["kind"] == "metrics"]
            document["metrics"] = found["summary"]["metrics"]
            text = json.dumps(document, separators=(",", ":"))
            yield document["id"], document["metrics"]["loss"]["min"], text.encode()

    connection = sqlite3.connect(path)
    with connection:
        connection.execute("CREATE TABLE runs (id TEXT PRIMARY KEY, least REAL, document BLOB)")
        connection.executemany("INSERT INTO runs VALUES (?, ?, ?)", rows())
        connection.execute("CREATE INDEX runs_by_least ON runs (least)")
    connection.close()
