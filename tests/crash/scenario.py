"""A writer's life, step by step. Each step is acknowledged before the next begins, and what it promised is checked."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import molexp as me
from tests.crash import checks

BIG = bytes(range(256)) * (6 << 10)  # 1.5 MiB: it streams
PATH = "metals/cu/one"

Acknowledge = Callable[..., None]


def play(url: str, sources: Path, acknowledge: Acknowledge) -> None:
    """Live it."""
    ws = me.Workspace(url).materialize()
    acknowledge("workspace")
    project = ws.Project("metals")
    acknowledge("project")
    experiment = project.Experiment("cu", params={"a": 3.6})
    acknowledge("experiment")
    two = experiment.Run({"x": 2}, id="two")
    acknowledge("two")
    run = experiment.Run({"x": 1}, id="one")
    acknowledge("one")
    with run.start() as ctx:
        acknowledge("start", attempt=1)
        ctx.set_result("e", 1.0)
        acknowledge("result", name="e", value=1.0)
        for version in (1, 2, 3):
            ctx.artifact.save("a.json", {"v": "x" * version})
            acknowledge("artifact", value={"v": "x" * version})
        for size in (len(BIG), len(BIG) - 1):
            with ctx.artifact.writing("big.bin") as path:
                path.write_bytes(BIG[:size])
            acknowledge("big", size=size, hash=sha256(BIG[:size]).hexdigest())
        for line in range(3):
            ctx.log("relax").append(f"line {line}")
            acknowledge("log", line=line)
        for step in range(2):
            ctx.metrics.log(step=step, loss=0.5)
            acknowledge("metrics", number=step)
        data = experiment.data_assets
        data.import_asset("ref", sources / "first.txt")
        acknowledge("data", version=1, content="first")
        data.import_asset("ref", sources / "second.txt", action="move")
        acknowledge("data", version=2, content="second")
        data.import_asset("tree", sources / "tree")
        acknowledge("tree")
        run.annotate(tags=["good"], note="look here")
        acknowledge("annotate")
    acknowledge("finish")
    assert len(ws.catalog.runs()) == 2
    acknowledge("asked")
    try:
        with run.start() as ctx:
            acknowledge("start", attempt=2)
            ctx.set_result("e", 2.0)
            acknowledge("result", name="e", value=2.0)
            ctx.checkpoint.save("state", b"0123")
            acknowledge("checkpoint")
            raise ArithmeticError("no convergence")
    except ArithmeticError:
        acknowledge("failure")
    two.delete()
    acknowledge("deleted")
    assert len(ws.catalog.runs()) == 1
    acknowledge("asked again")


def prepare(sources: Path) -> None:
    """Make the files that are imported."""
    (sources / "tree" / "deep").mkdir(parents=True)
    for name in ("first.txt", "second.txt", "tree/a.txt", "tree/deep/b.txt"):
        (sources / name).write_text(Path(name).stem)


ORDER = ("workspace", "project", "experiment", "two", "one")
STATUSES = {  # what the run may be after the last step that was acknowledged; the next one may have happened
    "one": {"pending", "interrupted"},
    "failure": {"failed"},
    "deleted": {"failed"},
    "finish": {"succeeded", "interrupted"},
    "asked": {"succeeded", "interrupted"},
    "asked again": {"failed"},
    "annotate": {"interrupted", "succeeded"},
    "checkpoint": {"interrupted", "failed"},
}


def verify(folder: Path, sources: Path, told: list[dict[str, Any]], *, torn: bool) -> None:
    """Nothing that was acknowledged is lost, and what is there hangs together."""
    steps = [fact["step"] for fact in told]
    if not (folder / "workspace.json").exists():
        assert not told, told
        return
    ws = me.Workspace.load(folder)
    statuses = checks.check_record(ws, folder, late=torn)  # half a line counts as late
    if "project" in steps:
        assert ws.project("metals").name == "metals"
    if "experiment" in steps:
        assert ws.project("metals").experiment("cu").params == {"a": 3.6}
    if "two" in steps and "failure" not in steps:
        assert statuses["metals/cu/two"] == "pending"
    if "deleted" in steps:
        assert "metals/cu/two" not in statuses
    if "one" in steps:
        _verify_run(ws.run(PATH), folder, sources, told)


def _verify_run(run: me.Run, folder: Path, sources: Path, told: list[dict[str, Any]]) -> None:
    steps = [fact["step"] for fact in told]
    assert run.parameters == {"a": 3.6, "x": 1}
    allowed = STATUSES.get(steps[-1], {"interrupted"})
    assert str(run.status) in allowed, (run.status, steps[-1])
    attempts = max((fact["attempt"] for fact in told if fact["step"] == "start"), default=0)
    assert len(run.execution_history) in (attempts, attempts + 1)
    if "finish" in steps:
        assert run.execution_history[0]["status"] == "succeeded"
    for fact in told:
        if fact["step"] == "result":
            assert run.results[fact["name"]] >= fact["value"]
    values = [fact["value"] for fact in told if fact["step"] == "artifact"]
    if values:  # the last one, or the one after it, which was on its way
        assert run.asset("a.json").load() in (values[-1], {"v": values[-1]["v"] + "x"})
    sizes = [fact["size"] for fact in told if fact["step"] == "big"]
    if sizes:
        assert run.asset("big.bin").size in (sizes[-1], len(BIG) - 1)
        assert BIG.startswith(run.asset("big.bin").read_bytes())
    lines = [f"line {fact['line']}" for fact in told if fact["step"] == "log"]
    if lines:
        assert run.logs["relax"].text().splitlines()[: len(lines)] == lines
    points = [fact["number"] for fact in told if fact["step"] == "metrics"]
    if points:
        assert [point["step"] for point in run.asset("metrics").load()][: len(points)] == points
    if "annotate" in steps:
        assert run.tags == {"good"}
        assert [note["text"] for note in run.notes] == ["look here"]
    if "checkpoint" in steps:
        assert run.asset("state").read_bytes() == b"0123"
    if "failure" in steps:
        assert run.execution_history[1]["error"]["type"] == "ArithmeticError"
        assert "no convergence" in run.asset("error-trace").load()
    _verify_data(run, sources, told)


def _verify_data(run: me.Run, sources: Path, told: list[dict[str, Any]]) -> None:
    data = run.experiment.data_assets
    for fact in told:
        if fact["step"] == "data":
            assert data.get("ref", version=fact["version"]).read_bytes().decode() == fact["content"]
        if fact["step"] == "tree":
            assert (data["tree"].path / "deep" / "b.txt").read_text() == "b"
    moved = data.get("ref", version=2)
    assert (sources / "second.txt").exists() or moved is not None, "the source was removed, and nothing has its bytes"


def encode(step: str, **facts: Any) -> bytes:
    """A fact as a line."""
    return json.dumps({"step": step, **facts}).encode() + b"\n"
