"""Processes of their own that work on a workspace on S3: `python -m tests.s3.actors NAME`, told by their environment.

``PLACE`` is the workspace's URL and options as JSON. What an actor has to say it prints, a line of JSON each.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from hashlib import file_digest
from pathlib import Path
from typing import Any

import molexp as me
from molexp.errors import MolexpError
from molexp_s3_store import S3Store

RUNS, SIZE = 25, 2000


def workspace() -> me.Workspace:
    place = json.loads(os.environ["PLACE"])
    return me.Workspace(place["url"], storage_options=place["options"])


def say(**facts: Any) -> None:
    """In one piece: several actors may share a pipe."""
    os.write(1, json.dumps(facts).encode() + b"\n")


def payload(writer: str, number: int) -> bytes:
    return (f"{writer}-{number} " * SIZE)[:SIZE].encode()


def track_one(experiment: me.Experiment, writer: str, number: int) -> str:
    """A run with a result, two artifacts and a log."""
    with experiment.Run({"writer": writer, "number": number}, id=f"w{writer}-{number}").start() as ctx:
        ctx.set_result("number", number)
        ctx.artifact.save("number.json", {"writer": writer, "number": number})
        with ctx.artifact.writing("payload.bin") as path:
            path.write_bytes(payload(writer, number))
        for line in range(10):
            ctx.log("relax").append(f"{writer} {number} line {line}")
    return ctx.run.id


def track(writer: str, count: str) -> None:
    """Track runs; each is acknowledged once its context has ended."""
    experiment = workspace().Project("metals").Experiment("cu")
    for number in range(int(count)):
        say(run=track_one(experiment, writer, number))


def track_for_ever(writer: str) -> None:
    experiment = workspace().Project("metals").Experiment("cu")
    number = 0
    while True:
        run = experiment.Run({"writer": writer, "number": number}, id=f"w{writer}-{number}")
        with run.start() as ctx:
            say(started=run.id)
            ctx.set_result("number", number)
            ctx.artifact.save("number.json", {"writer": writer, "number": number})
            say(saved=run.id, writer=writer, number=number)
            ctx.log("relax").append(f"{writer} {number} line 0")
            ctx.flush()
            say(flushed=run.id, writer=writer, number=number)
        say(finished=run.id, writer=writer, number=number)
        number += 1


def refresh() -> None:
    """Look into the catalog until standard input ends; what was seen as finished has to stay so."""
    ws = workspace()
    finished: set[str] = set()
    rounds = 0
    wrong: list[str] = []
    os.set_blocking(0, False)
    say(ready=True)
    while True:
        try:
            if not os.read(0, 1):
                break
        except BlockingIOError:
            pass
        found = {row.path: row.document["status"] for row in ws.catalog.runs()}
        wrong += [path for path in finished if found.get(path) != "succeeded"]
        finished |= {path for path, status in found.items() if status == "succeeded"}
        rounds += 1
    say(rounds=rounds, wrong=wrong, finished=len(finished))


def race(racer: str, turns: str) -> None:
    """Start the run of each turn when the gate opens, which is the next line of standard input."""
    experiment = workspace().Project("metals").Experiment("cu")
    for turn in range(int(turns)):
        say(ready=turn)
        sys.stdin.readline()
        try:
            with experiment.Run(id=f"turn-{turn}").start(if_succeeded="error") as ctx:
                ctx.set_result("by", racer)
            say(executed=racer)
        except MolexpError as error:
            say(error=type(error).__name__)


def look() -> None:
    """Return what the catalog says."""
    say(runs={row.path: row.document["status"] for row in workspace().catalog.runs()})


def send(source: str) -> None:
    """A large file becomes an artifact and a file again; what memory that took."""
    with workspace().Project("metals").Experiment("cu").Run(id="large").start() as ctx:
        ctx.artifact.save("warm.json", {})
        before = peak()
        ctx.artifact.save("large.bin", Path(source))
    say(sent=peak() - before)
    os.remove(source)
    before = peak()
    asset = workspace().run("metals/cu/large").asset("large.bin")
    with asset.local().open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    say(fetched=peak() - before, recorded=asset.content_hash, found=f"sha256:{digest}", size=asset.size)


def begin_large(exclusive: str) -> None:
    """Write more than a part, and wait to be killed."""
    place = json.loads(os.environ["PLACE"])
    store = S3Store.open(place["url"], place["options"])
    with store.open_write("large.bin", exclusive=bool(exclusive)) as stream:
        stream.write(bytes(17 << 20))
        say(begun=True)
        sys.stdin.readline()


def peak() -> int:
    """The most memory that this process has had, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


if __name__ == "__main__":
    act: Callable[..., None] = globals()[sys.argv[1]]
    act(*sys.argv[2:])
