"""One sweep, and what its record says but for attempts and times: the same wherever it is executed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import molexp as me
from tests.cli.helpers import Done, program

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
      slurm: {executor: slurm, resources: {memory: 100MB}, scheduler: {interval: 1}}
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


def write_profiles(folder: Path, address: str) -> None:
    """Write a profile for each place; Dask's is at an address."""
    (folder / "molcfg.yaml").write_text(dedent(PROFILES) % (address, address))


def sweep(folder: Path, number: int, *arguments: str, url: str = "lab", env: Mapping[str, str] | None = None) -> Done:
    text = dedent(SCRIPT).replace("URL", repr(url)).replace("NUMBER", str(number))
    (folder / "sweep.py").write_text(text)
    return program(folder, "run", "sweep.py", "-p", *arguments, env=env, timeout=300 + 10 * number)


def place(kind: str, folder: Path, moto: Any) -> tuple[str, dict[str, str]]:
    if kind == "files":
        return str(folder), {}
    url, environment = moto.fresh().as_environment()
    return url, environment


def compare(folder: Path, moto: Any, kind: str, number: int, places: Iterable[str]) -> None:
    """Execute the sweep inline and at other places, and compare its records: on files, or on S3."""
    found: dict[str, list[dict[str, Any]]] = {}
    for where in ("inline", *places):
        url, environment = place(kind, folder / where, moto)
        done = sweep(folder, number, where, "-j", "2", url=url, env=environment)
        assert done.code == 1, done.err
        assert done.lines()[0] == f"{number - 1} succeeded, 1 failed", done.out + done.err
        if kind == "moto":  # to read a run asks the server many times
            copied = program(folder, "sync", url, where, env=environment, timeout=300 + 10 * number)
            assert copied.code == 0, copied.err
        runs = me.Workspace.load(folder / where).project("p").experiment("e").runs
        found[where] = sorted((record(run) for run in runs), key=lambda one: one["id"])
    for where in places:
        for ours, inline in zip(found[where], found["inline"], strict=True):
            for name, value in inline.items():
                assert (name, ours[name]) == (name, value), where
