"""The cost of logging a million metric points, against formatting and writing the same lines."""

from __future__ import annotations

import json
import time
from pathlib import Path

from measure import Contender, Line, folders, take_turns

import molexp as me


def molexp(folder: Path, count: int) -> None:
    """MolExp, through its public names."""
    exp = me.Workspace(folder / "lab", storage_options={"durability": "never"}).Project("metals").Experiment("cu")
    with exp.Run().start() as ctx:
        for step in range(count):
            ctx.metrics.log(step=step, loss=1 / (step + 1))


def plain_lines(*, flush: bool) -> Contender:
    """Write a file of JSON lines. With `flush`, each line survives a kill, as those of MolExp do."""

    def work(folder: Path, count: int) -> None:
        with open(folder / "metrics.jsonl", "w") as file:
            for step in range(count):
                file.write(json.dumps({"step": step, "time": time.time(), "loss": 1 / (step + 1)}) + "\n")
                if flush:
                    file.flush()

    return work


def measure(*, quick: bool) -> list[Line]:
    """Yield the lines of the report."""
    count = 50_000 if quick else 1_000_000
    contenders = {"molexp": molexp, "buffered": plain_lines(flush=False), "flushed": plain_lines(flush=True)}
    found = take_turns(contenders, where=folders()["disk"], count=count, rounds=1 if not quick else 3)
    detail = ", ".join(f"{name} {micros:.2f} us" for name, micros in found.micros.items())
    what = f"{count:.0e} metric points / formatting and writing lines".replace("e+0", "e")
    return [
        Line(what, "disk", found.ratio("molexp", "buffered"), 3.0, detail),
        Line(what + ", flushed", "disk", found.ratio("molexp", "flushed"), 3.0, detail),
    ]
