"""Track runs, look at them and look after them, with a reader in the way: a program for `tests.platforms.disguise`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import molexp as me
from molexp.errors import StorePermissionError
from molexp.workflow import TaskContext, WorkflowBuilder
from molexp_cli._main import program
from molexp_fs import LocalStore

wf = WorkflowBuilder(name="training")
RUNS = Path("lab/projects/qm9/experiments/baseline/runs")


@wf.task
def fetch(ctx: TaskContext) -> list[float]:
    return [1.0, ctx.params["lr"]]


@wf.task(depends_on=[fetch])
def train(ctx: TaskContext) -> None:
    ctx.set_result("final_loss", min(ctx.inputs))
    ctx.artifact.save("metrics.json", {"loss": ctx.inputs})
    ctx.log("train").append("loss=0.05")
    Path("features.bin").write_bytes(b"1\n2\r\n")
    assert ctx.run is not None
    ctx.run.experiment.data_assets.import_asset("feature-cache", "features.bin", action="move")
    read_until_somebody_waits(RUNS / "one" / "run.json")


def read_until_somebody_waits(path: Path) -> None:
    """Open a file; close it when the store, which cannot replace it on Windows, pauses for the first time."""
    held, sleep = path.open(), time.sleep

    def end(seconds: Any) -> None:
        held.close()
        sleep(seconds)

    time.sleep = end


def molexp(*words: str) -> int | None:
    sys.argv = ["molexp", *words]
    try:
        program()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    return None


def versions(folder: Path) -> tuple[Any, Any]:
    """Return what a listing says of the files, and what a look at each of them says."""
    store = LocalStore.open(str(folder), {})
    listed = sorted(store.list(), key=lambda one: one.key)
    return listed, [store.stat(one.key) for one in listed]


def refused(folder: Path) -> str:
    """Return what a store says when it cannot replace a file, because somebody goes on reading it."""
    store = LocalStore.open(str(folder), {})
    store.create("seen", b"1")
    with (folder / "seen").open():
        try:
            store.write("seen", b"2")
        except StorePermissionError as error:
            return str(error)
    return store.read("seen").decode()


def main() -> None:
    ws = me.Workspace("./lab")
    exp = ws.Project("qm9").Experiment("baseline", params={"lr": 1e-3})
    done = wf.build().execute_sync(run=exp.Run(id="one"))
    assert done.status == "succeeded", done.reason
    try:
        with exp.Run(id="two").start(capture=True):
            print("it begins")
            raise RuntimeError("it diverged")
    except RuntimeError:
        pass
    listed, seen = versions(Path("lab"))
    found = {
        "runs": {run.id: run.status for run in ws.catalog.runs()},
        "results": ws.run("one").results,
        "as a file": json.loads((RUNS / "one" / "run.json").read_text())["status"],
        "stdout": (RUNS / "two" / "logs" / "stdout.log").read_text(),
        "data": ws.project("qm9").experiment("baseline").data_assets.get("feature-cache").path.read_bytes().hex(),
        "a listing says the same": listed == seen and len(listed) > 9,
        "replaced while it is read": refused(Path("store")),
        "commands": {
            words[0]: molexp(*(words if words[0] == "sync" else ("-w", "lab", *words)))
            for words in (  # by their first words
                ("runs", "list"),
                ("show", "one"),
                ("logs", "one"),
                ("exec", "p/e", "--", sys.executable, "-c", "raise SystemExit(3)"),
                ("catalog", "compact"),
                ("fsck",),
                ("gc",),
                ("report", "-o", "lab.html"),
                ("sync", "lab", "copy"),
                ("doctor",),
            )
        },
    }
    Path("found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
