"""A sweep has the same ids and the same record wherever it is executed; `molexp run` says where, by the profile."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import molexp as me
from tests.cli.helpers import Done, program
from tests.dask.clusters import cluster

SCRIPT = """
    import molexp as me
    from molexp.workflow import WorkflowBuilder

    wf = WorkflowBuilder("sweep")


    @wf.task
    def points(ctx):
        ctx.metrics.log(step=0, x=ctx.params["x"])
        return [ctx.params["x"], 2]


    @wf.task(map_over=points, depends_on=[points])
    def square(ctx):
        ctx.artifact.save(f"square-{ctx.index}.json", [ctx.inputs**2])
        return ctx.inputs**2


    @wf.task(depends_on=[square])
    def total(ctx):
        if ctx.params["x"] == 3:
            raise ValueError("three")
        ctx.set_result("total", sum(ctx.inputs))


    ws = me.Workspace(URL)
    wf.build().bind_to(ws.Project("p").Experiment("e", space=me.grid(x=range(NUMBER))))
    me.entry(ws)
"""
PROFILES = """
    profiles:
      inline: {executor: inline}
      process: {executor: process}
      dask: {executor: dask, scheduler: {address: "%s"}}
      demanding: {executor: dask, scheduler: {address: "%s"}, resources: {gpus: 2}}
      own: {executor: dask, scheduler: {cluster: LocalCluster}}
"""
_TIMES = {"at", "time", "started_at", "ended_at", "seconds", "host", "job", "pid", "provenance", "error", "workdir"}


def record(run: me.Run) -> dict[str, Any]:
    def plain(found: Any) -> Any:
        if isinstance(found, dict):
            return {name: plain(value) for name, value in found.items() if name not in _TIMES}
        return [*map(plain, found)] if isinstance(found, list) else found

    attempts = [{**one, "reason": one.get("reason")} for one in run.execution_history]
    return {
        "id": run.id,
        "parameters": dict(run.parameters),
        "results": dict(run.results),
        "status": str(run.status),
        "tasks": plain({name: dict(one) for name, one in run.tasks.items()}),
        "attempts": plain(attempts),
        "assets": sorted((asset.name, asset.kind) for asset in run.assets if asset.kind != "error_trace"),
        "metrics": [plain(dict(point)) for point in run.metrics.to_dicts()],
    }


@pytest.fixture(scope="module")
def two(tmp_path_factory, moto):
    """Two workers that reach the server of buckets."""
    _, environment = moto.fresh().as_environment()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        with cluster(tmp_path_factory.mktemp("dask"), 2) as found:
            yield found


@pytest.fixture
def here(tmp_path, two):
    (tmp_path / "molcfg.yaml").write_text(dedent(PROFILES) % (two.address, two.address))
    return tmp_path


def sweep(folder: Path, number: int, *arguments: str, url: str = "lab", env: Mapping[str, str] | None = None) -> Done:
    text = dedent(SCRIPT).replace("URL", repr(url)).replace("NUMBER", str(number))
    (folder / "sweep.py").write_text(text)
    return program(folder, "run", "sweep.py", "-p", *arguments, env=env)


def place(kind: str, folder: Path, moto: Any) -> tuple[str, dict[str, str]]:
    if kind == "files":
        return str(folder), {}
    url, environment = moto.fresh().as_environment()
    return url, environment


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        ("files", 8),
        ("moto", 4),
        pytest.param("files", 100, marks=pytest.mark.long),
        pytest.param("moto", 100, marks=pytest.mark.long),
    ],
)
def test_a_sweep_has_the_same_record_wherever_it_is_executed(here, moto, kind, number):
    found: dict[str, list[dict[str, Any]]] = {}
    for where in ("inline", "process", "dask"):
        url, environment = place(kind, here / where, moto)
        done = sweep(here, number, where, "-j", "2", url=url, env=environment)
        assert done.code == 1, done.err
        assert done.lines()[0] == f"{number - 1} succeeded, 1 failed", done.out + done.err
        if kind == "moto":  # to read a run asks the server many times
            copied = program(here, "sync", url, where, env=environment)
            assert copied.code == 0, copied.err
        runs = me.Workspace.load(here / where).project("p").experiment("e").runs
        found[where] = sorted((record(run) for run in runs), key=lambda one: one["id"])
    for where in ("process", "dask"):
        for ours, inline in zip(found[where], found["inline"], strict=True):
            for name, value in inline.items():
                assert (name, ours[name]) == (name, value)


def test_progress_says_what_waits_and_where_it_began(here):
    done = sweep(here, 3, "dask", "-j", "2")
    assert done.code == 0, done.err
    said = re.findall(r"^molexp: p/e/\w+ \(x=(\d)\) (queued|started|succeeded)", done.err, re.MULTILINE)
    for one in "012":
        assert [step for x, step in said if x == one] == ["queued", "started", "succeeded"]


def test_resources_that_no_worker_declares_are_refused_before_the_first_run(here):
    done = sweep(here, 3, "demanding")
    assert done.code == 2
    assert "none of 2 Dask workers declares that" in done.err
    assert 'start workers with --resources "gpus=2"' in done.err
    assert not (here / "lab/projects/p/experiments/e/runs").exists()


def test_a_cluster_is_started_and_ended_with_the_sweep(here):
    done = sweep(here, 2, "own", "-j", "2")
    assert (done.code, done.out) == (0, "2 succeeded\n"), done.err
    assert "Traceback" not in done.err


def test_code_that_has_changed_is_executed_as_it_is_now(here):
    sweep(here, 1, "dask")
    script = here / "sweep.py"
    script.write_text(script.read_text().replace("sum(ctx.inputs)", "100 + sum(ctx.inputs)"))
    done = program(here, "run", "sweep.py", "-p", "dask", "--changed")
    assert done.code == 0, done.err
    (run,) = me.Workspace.load(here / "lab").project("p").experiment("e").runs
    assert run.results["total"] == 104
