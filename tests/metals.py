"""A small workspace with runs of all sorts, for tests of what reads it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import molexp as me


def make_lab(path: Path, logged: Callable[[int], str] = "volume {}".format) -> me.Workspace:
    """Make a workspace with two experiments: seven runs, one of which failed, with metrics, logs, files and notes.

    Args:
        path: its folder.
        logged: returns the line in the log of a run, by its number.
    """
    ws = me.Workspace(path)
    exp = ws.Project("metals").Experiment("cu", params={"xc": "PBE"})
    for number in range(5):
        with exp.Run({"a": 3.5 + number / 10}, id=f"cu-{number}").start() as ctx:
            for step in range(100):
                ctx.metrics.log(step=step, loss=(number + 1) / (step + 1))
            ctx.set_result("energy", 0.5 - number)
            ctx.log("relax").append(logged(number))
            ctx.artifact.save("volumes.json", [*range(number)])
    with pytest.raises(ZeroDivisionError), exp.Run({"a": 3.9, "spin": True}, id="cu-bad").start() as ctx:
        ctx.log("relax").append("about to divide")
        1 / 0  # noqa: B018 - it fails
    ws.run("metals/cu/cu-2").annotate(tags=["good"], note="looks converged")
    with ws.Project("salts").Experiment("nacl").Run(id="one").start():
        pass
    return ws
