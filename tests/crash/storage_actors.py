"""Act on storage that refuses: a full disk, a read-only mount, somebody else's folder."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import molexp as me
from molexp.errors import MolexpError
from tests.crash import checks
from tests.crash.talking import tell, wait


def fill(ballast: Path) -> None:
    """Leave no byte free."""
    with ballast.open("ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


def on_full_disk(folder: str, last: str) -> None:
    """Meet a full disk with every kind of change, go on when there is space again, and be killed or leave."""
    ballast, elsewhere = Path(folder, "ballast"), Path(os.environ["TMPDIR"], "source.bin")
    elsewhere.write_bytes(b"y" * 9000)
    ws = me.Workspace(folder)
    experiment = ws.Project("metals").Experiment("cu")
    with experiment.Run({}, id="before").start() as ctx:
        ctx.set_result("energy", 1.0)
        ctx.artifact.save("a.txt", "a" * 9000)
        ctx.log("relax").append("begun")
    run = experiment.Run({}, id="one")
    try:
        with run.start() as ctx:
            changes = {
                "result": lambda n: ctx.set_result(f"r{n}", "x" * 9000),
                "artifact": lambda n: ctx.artifact.save(f"a{n}.txt", "x" * 9000),
                "replaced": lambda n: ctx.artifact.save("same.txt", f"{n}" * 9000),
                "large": lambda n: ctx.artifact.save(f"l{n}.bin", b"x" * (1 << 21)),
                "log": lambda n: ctx.log("relax").append(f"{n} " + "x" * 9000),
                "metrics": lambda n: ctx.metrics.log(step=n, text="x" * 9000),
                "data": lambda n: experiment.data_assets.import_asset(f"d{n}", elsewhere),
                "tag": lambda n: run.annotate(tags=[f"tag{n}"], note="x" * 9000),
                "run": lambda n: experiment.Run({"text": "x" * 9000}, id=f"run-{n}"),
                "new log": lambda n: ctx.log(f"log{n}").append("x" * 9000),
            }
            for name, change in changes.items():
                done, refused = [], ""
                for number in range(3):
                    change(number)
                    done.append(number)
                    if number == 1:
                        fill(ballast)
                        for spare in range(100, 200):
                            try:
                                change(spare)
                                done.append(spare)  # there was room in a page
                            except MolexpError as error:
                                refused = f"{type(error).__name__}: {error}"
                                break
                        ballast.unlink()
                tell(change=name, done=done, refused=refused)
            if last == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if last == "full":
                fill(ballast)
    except MolexpError as error:
        tell(error=type(error).__name__, text=str(error), status=str(run.status))
        ballast.unlink()
        ctx.finish()
    tell(status=str(run.status))


def verify_full_disk(folder: str) -> None:
    """Afterwards, and in another process: all that was done is there, and hangs together."""
    told = json.loads(wait())
    done = {report["change"]: report["done"] for report in told if "change" in report}
    lab = Path(folder)
    ws = me.Workspace.load(folder)
    checks.check_record(ws, lab, fragments=True, late=True)
    before, run = ws.run("metals/cu/before"), ws.run("metals/cu/one")
    assert before.status == "succeeded"
    assert before.results == {"energy": 1.0}
    assert {f"r{n}" for n in done["result"]} <= run.results.keys()
    assert all(run.asset(f"a{n}.txt").load() == "x" * 9000 for n in done["artifact"])
    assert run.asset("same.txt").load() == f"{done['replaced'][-1]}" * 9000
    assert all(run.asset(f"l{n}.bin").size == 1 << 21 for n in done["large"])
    assert set(done["log"]) <= {
        int(line.split()[0]) for line in run.logs["relax"].text().splitlines() if len(line) > 9000
    }
    assert set(done["metrics"]) <= {point["step"] for point in run.asset("metrics").load()}
    assert {f"d{n}" for n in done["data"]} <= set(run.experiment.data_assets)
    assert {f"tag{n}" for n in done["tag"]} <= run.tags
    assert {f"run-{n}" for n in done["run"]} <= {other.id for other in run.experiment.runs}
    assert all(run.logs[f"log{n}"].text() == "x" * 9000 + "\n" for n in done["new log"])
    caches = Path(os.environ["TMPDIR"])
    checks.check_catalog(lab, {"shared": Path(os.environ["MOLEXP_CACHE_DIR"])}, caches / "rebuilt")
    tell(status=str(run.status))


def change_nothing(folder: str) -> None:
    """Read all there is, and fail to change any of it; tell how."""
    ws = me.Workspace.load(folder)
    run = ws.run("metals/cu/one")
    experiment = run.experiment
    told: dict[str, Any] = {
        "status": str(run.status),
        "results": run.results,
        "artifact": run.asset("a.json").load(),
        "rows": {row.path: str(row.status) for row in ws.catalog.runs()},
        "assets": len(ws.catalog.assets()),
        "findings": [finding.what for finding in ws.fsck().findings],
    }
    source = Path(os.environ["TMPDIR"], f"source-{os.getpid()}.txt")
    source.write_text("content")
    changes = {
        "project": lambda: ws.Project("other"),
        "run": lambda: experiment.Run({"x": 1}),
        "start": lambda: ws.run("metals/cu/two").start(),
        "annotate": lambda: run.annotate(tags=["x"]),
        "delete": lambda: ws.run("metals/cu/two").delete(),
        "import": lambda: experiment.data_assets.import_asset("x", source),
        "configure": lambda: ws.configure(durability="never"),
    }
    refused = {}
    for name, change in changes.items():
        try:
            change()
        except MolexpError as error:
            refused[name] = type(error).__name__ if str(error) else "says nothing"
    tell(**told, refused=refused)


def as_nobody(folder: str) -> None:
    """The same, as a user who may read and not write, the interpreter's own files perhaps not even read."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:  # what it takes is found out by a child that may, on a copy
        os.close(1)
        os.open(os.devnull, os.O_WRONLY)
        trial = Path(os.environ["TMPDIR"], "trial")
        os.environ["MOLEXP_CACHE_DIR"] = str(trial / "cache")
        shutil.copytree(folder, trial / "lab")
        change_nothing(str(trial / "lab"))
        os.write(writer, "\n".join(sys.modules).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as names:
        for name in names.read().split("\n"):
            importlib.import_module(name)
    os.waitpid(pid, 0)
    shutil.rmtree(Path(os.environ["TMPDIR"], "trial"))
    os.setgid(65534)
    os.setuid(65534)
    change_nothing(folder)
