"""Workspaces to sync, and what must hold of them afterwards, for the tests of `sync_workspace`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import molexp as me
from tests.record.helpers import Place

EXP = "projects/metals/experiments/cu"
RUNS = f"{EXP}/runs"
BIG = bytes(range(256)) * (5 << 10)  # 1.25 MiB: it streams


DIES = """
    import os, signal
    import molexp as me

    run = me.Workspace(os.environ["LAB"]).Project("metals").Experiment("cu").Run(id="dead")
    with run.start() as ctx:
        ctx.set_result("value", 1)
        ctx.artifact.save("a.json", [1])
        os.kill(os.getpid(), signal.SIGKILL)
"""


def fill(place: Place, folder: Path) -> me.Workspace:
    """A workspace with something of everything."""
    ws = place.workspace(name="lab").materialize()
    ws.configure(durability="never")
    exp = ws.Project("metals").Experiment("cu", params={"a": 3.6})
    ws.project("metals").Experiment("cu", params={"a": 3.7}, update=True)
    source = folder / "sources"
    (source / "tree").mkdir(parents=True)
    for name in ("ref.txt", "tree/a", "tree/b"):
        (source / name).write_text(name)
    for number in (1, 2):
        (source / "ref.txt").write_text(f"version {number}")
        exp.data_assets.import_asset("ref", source / "ref.txt")
    ws.data_assets.import_asset("tree", source / "tree")
    exp.Run({"n": 0}, id="pending").annotate(tags=["waits"])
    one = exp.Run({"n": 1}, id="one")
    for attempt in (1, 2):
        track(one, attempt)
    (source / "big.bin").write_bytes(BIG)
    with exp.Run({"n": 2}, id="two").start() as ctx:
        ctx.artifact.save("big.bin", source / "big.bin")
        ctx.metrics.log(step=1, loss=0.5)
    exp.Run(id="deleted").delete()
    return ws


def track(run: me.Run, value: object) -> None:
    """An attempt that says what it is told, in every way."""
    with run.start() as ctx:
        ctx.set_result("value", value)
        ctx.artifact.save("a.json", {"value": value})
        ctx.log("relax").append(f"value {value}")


def clone(source: Place, target: Place) -> Place:
    """A copy of a folder, made without MolExp."""
    shutil.copytree(source.folder, target.folder, symlinks=True)
    return target


def sync(source: Place, destination: Place, **options: Any) -> me.SyncReport:
    """Bring to one place what another has."""
    return me.sync_workspace(source.load(), destination.workspace(), **options)


def record(place: Place) -> dict[str, bytes]:
    """All that is no derived key, with its bytes."""
    return {key: data for key, data in place.everything().items() if not key.startswith(".molexp/")}


def check(place: Place) -> None:
    """The workspace hangs together, and its index knows all of it."""
    ws = place.load()
    assert not ws.fsck().findings, ws.fsck()
    assert not ws.catalog.verify().findings, "the index had not noticed"
    for run in (run for project in ws.projects for exp in project.experiments for run in exp.runs):
        assert all(ws._session.store.exists(asset.key) or asset.kind == "log" for asset in run.assets)
