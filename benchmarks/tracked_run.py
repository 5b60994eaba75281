"""Measure one tracked run: create, start, one result, one JSON artifact, ten log lines, finish.

Against a bare loop that writes ``run.json`` three times and the artifact once, each by a temporary file and
``os.replace``, and ten flushed log lines; against signac doing the same; and with everything synced, against a bare
loop that syncs the same files.
"""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from measure import Contender, Line, folders, take_turns

import molexp as me

LINES = [f"step {number}: loss={1 / (number + 1):.6f}" for number in range(10)]
ARTIFACT = {"volumes": [11.2, 11.8, 12.1], "unit": "angstrom^3"}


def molexp(durability: str, *, own_ids: bool = False) -> Contender:
    """MolExp, through its public names; with ids of the user's, or such as it makes up."""

    def work(folder: Path, count: int) -> None:
        ws = me.Workspace(folder / "lab", storage_options={"durability": durability})
        exp = ws.Project("metals").Experiment("cu", params={"a": 3.6})
        for number in range(count):
            with exp.Run({"scale": number}, id=f"scale-{number}" if own_ids else None).start() as ctx:
                ctx.set_result("energy", -3.72)
                ctx.artifact.save("volumes.json", ARTIFACT)
                log = ctx.log("relax")
                for line in LINES:
                    log.append(line)

    return work


def bare(*, sync: bool) -> Contender:
    """Return what one would write by hand, with the same facts in ``run.json``."""

    def put(path: str, document: Any) -> None:
        with open(path + ".tmp", "w") as file:
            file.write(json.dumps(document, indent=2))
            if sync:
                file.flush()
                os.fsync(file.fileno())
        os.replace(path + ".tmp", path)

    def work(folder: Path, count: int) -> None:
        for number in range(count):
            path = f"{folder}/runs/{number:06d}"
            os.makedirs(f"{path}/artifacts")
            document: dict[str, Any] = {
                "schema": 1,
                "id": f"{number:06d}",
                "project": "metals",
                "experiment": "cu",
                "status": "pending",
                "created_at": datetime.now(UTC).isoformat(),
                "parameters": {"a": 3.6, "scale": number},
                "replica": 0,
                "profile": None,
                "config": {},
                "config_hash": None,
                "workflow": None,
                "provenance": None,
                "results": {},
                "tags": [],
                "execution_history": [],
            }
            put(f"{path}/run.json", document)
            attempt = {
                "attempt": 1,
                "status": "running",
                "started_at": datetime.now(UTC).isoformat(),
                "host": platform.node(),
                "pid": os.getpid(),
            }
            document.update(status="running", execution_history=[attempt])
            put(f"{path}/run.json", document)
            document["results"]["energy"] = -3.72
            put(f"{path}/artifacts/volumes.json", ARTIFACT)
            with open(f"{path}/relax.log", "w") as log:
                for line in LINES:
                    log.write(line + "\n")
                    log.flush()
                if sync:
                    os.fsync(log.fileno())
            attempt.update(status="succeeded", ended_at=datetime.now(UTC).isoformat())
            document["status"] = "succeeded"
            put(f"{path}/run.json", document)
            if sync:
                for synced in (f"{path}/artifacts", path, f"{folder}/runs"):
                    number_of = os.open(synced, os.O_RDONLY)
                    os.fsync(number_of)
                    os.close(number_of)

    return work


def signac_project() -> Contender | None:
    """Signac 2.4, through its public names; None where it is not installed."""
    try:
        import signac
    except ModuleNotFoundError:
        return None

    def work(folder: Path, count: int) -> None:
        project = signac.init_project(str(folder))
        for number in range(count):
            job = project.open_job({"a": 3.6, "scale": number}).init()
            job.doc.update(status="pending", created_at=datetime.now(UTC).isoformat())
            job.doc.update(
                status="running", started_at=datetime.now(UTC).isoformat(), host=platform.node(), pid=os.getpid()
            )
            job.doc.energy = -3.72
            with open(job.fn("volumes.json.tmp"), "w") as file:
                json.dump(ARTIFACT, file)
            os.replace(job.fn("volumes.json.tmp"), job.fn("volumes.json"))
            with open(job.fn("relax.log"), "w") as log:
                for line in LINES:
                    log.write(line + "\n")
                    log.flush()
            job.doc.update(status="succeeded", ended_at=datetime.now(UTC).isoformat())

    return work


def measure(*, quick: bool) -> list[Line]:
    """Yield the lines of the report."""
    count, rounds = (50, 5) if quick else (200, 9)
    lines = []
    for where, folder in folders().items():
        contenders = {
            "molexp": molexp("never"),
            "own ids": molexp("never", own_ids=True),
            "bare": bare(sync=False),
        }
        if (theirs := signac_project()) is not None:
            contenders["signac"] = theirs
        found = take_turns(contenders, where=folder, count=count, rounds=rounds)
        detail = ", ".join(f"{name} {micros:.0f} us" for name, micros in found.micros.items())
        detail += f"; one mkdir {mkdir_micros(folder):.0f} us"
        limit = 0.95 if where == "disk" else 1.2
        lines.append(Line("tracked run, never synced / bare loop", where, found.ratio("molexp", "bare"), limit, detail))
        if "signac" in contenders:
            lines.append(
                Line("tracked run, never synced / signac", where, found.ratio("molexp", "signac"), 0.6, detail)
            )
        lines.append(
            Line("tracked run, id of one's own / made-up id", where, found.ratio("own ids", "molexp"), 1.05, detail)
        )
    synced = {"molexp": molexp("end"), "bare": bare(sync=True)}
    found = take_turns(synced, where=folders()["disk"], count=max(10, count // 10), rounds=rounds)
    detail = ", ".join(f"{name} {micros:.0f} us" for name, micros in found.micros.items())
    lines.append(
        Line("tracked run, synced at its end / bare synced", "disk", found.ratio("molexp", "bare"), 1.2, detail)
    )
    lines.append(_growth(2000))
    return lines


def mkdir_micros(where: Path) -> float:
    """Return what a new inode costs here: a disk that needs over 40 us for one recovers from deletions; measure later.

    A tracked run makes ten inodes and the bare loop seven, so there the ratio says nothing but that.
    """
    import tempfile
    import time

    with tempfile.TemporaryDirectory(dir=where, prefix="molexp-bench-") as base:
        began = time.perf_counter()
        for number in range(100):
            os.mkdir(f"{base}/{number}")
        return (time.perf_counter() - began) / 100 * 1e6


def _growth(runs: int) -> Line:
    """Return whether a run costs more when there are many: the last hundred against the first."""
    import shutil
    import statistics
    import tempfile
    import time

    spent = []
    where = folders().get("tmpfs", folders()["disk"])
    folder = Path(tempfile.mkdtemp(dir=where, prefix="molexp-bench-"))
    try:
        ws = me.Workspace(folder / "lab", storage_options={"durability": "never"})
        exp = ws.Project("metals").Experiment("cu")
        for number in range(runs + 100):
            began = time.perf_counter()
            with exp.Run({"scale": number}).start() as ctx:
                ctx.set_result("energy", -3.72)
            spent.append(time.perf_counter() - began)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    first, last = statistics.median(spent[100:200]) * 1e6, statistics.median(spent[-100:]) * 1e6
    return Line(f"run {runs} / run 1 (medians of 100)", "", last / first, 1.25, f"{last:.0f} us, {first:.0f} us")
