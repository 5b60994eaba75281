"""Tasks that travel to other processes: by their names in this module."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from molexp.workflow import TaskContext, Workflow, WorkflowBuilder


def geometry(ctx: TaskContext) -> list[float]:
    """In the coordinator."""
    ctx.artifact.save("geometry.json", {"by": os.getpid()})
    return [ctx.params["a"], 2.0]


def energy(ctx: TaskContext) -> dict[str, Any]:
    """Uses all there is."""
    assert ctx.run is not None
    ctx.set_result("energy", -1.5)
    ctx.artifact.save("density.json", [1, 2])
    ctx.log("scf").append("converged")
    ctx.logger.info("in the worker")
    ctx.metrics.log(step=1, loss=0.5)
    ctx.shell([sys.executable, "-c", "print('from the shell')"])
    (ctx.workdir / "scratch").write_text("x")
    return {
        "pid": os.getpid(),
        "inputs": ctx.inputs,
        "params": dict(ctx.params),
        "config": dict(ctx.config),
        "task": ctx.task,
        "retry": ctx.retry,
        "run": ctx.run.path,
        "found": ctx.asset("geometry.json").load(),
        "own": ctx.asset("density.json").load(),
        "absent": ctx.find_asset("nowhere"),
        "workdir": ctx.workdir,
    }


async def analysis(ctx: TaskContext) -> Any:
    """Finds what another worker saved; a coroutine function."""
    return ctx.asset("density.json").load(), ctx.inputs["pid"] != 0


def failing(ctx: TaskContext) -> None:
    """Records, and fails."""
    ctx.set_result("before", 1)
    ctx.log("failing").append(f"try {ctx.retry}")
    raise ValueError("not converged")


def stubborn(ctx: TaskContext) -> int:
    """Saves under one name in each of its tries; only the third succeeds."""
    ctx.artifact.save("state.json", {"retry": ctx.retry})
    ctx.artifact.save("large.bin", bytes([ctx.retry]) * (3 << 20))
    ctx.log("state").append(f"try {ctx.retry}")
    ctx.set_result(f"try{ctx.retry}", 1)
    if ctx.retry < ctx.params.get("fails", 2):
        if ctx.params.get("how") == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise ValueError(f"try {ctx.retry}")
    return ctx.retry


def same_name(ctx: TaskContext) -> str:
    """Several tasks do this."""
    ctx.artifact.save("out.json", ctx.task)
    ctx.log("out").append(ctx.task)
    return ctx.task


def find_state(ctx: TaskContext) -> Any:
    """Return what a later task finds of `stubborn`."""
    return ctx.asset("state.json").load(), set(ctx.asset("large.bin").read_bytes())


def dying(ctx: TaskContext) -> None:
    """Records, and is killed."""
    ctx.set_result("last", "words")
    ctx.log("dying").append("last words")
    os.kill(os.getpid(), signal.SIGKILL)


def endless(ctx: TaskContext) -> None:
    """Records, and never returns."""
    import threading

    ctx.set_result("endless", 1)
    ctx.log("endless").append("begun")
    Path(ctx.params["mark"]).write_text(f"{os.getpid()}\n")
    threading.Event().wait()


def square(ctx: TaskContext) -> int:
    """One item."""
    ctx.set_result(f"square{ctx.index}", ctx.inputs**2)
    return int(ctx.inputs**2)


def numbers(ctx: TaskContext) -> list[int]:
    """The items."""
    return [1, 2, 3, 4]


def total(ctx: TaskContext) -> int:
    """Of all."""
    return sum(ctx.inputs)


def finding(ctx: TaskContext) -> Any:
    """Finds what was imported, through its context; twice."""
    return ctx.asset("reference").load() and ctx.asset("reference")


def opening(ctx: TaskContext) -> bytes:
    """Opens what was imported, through another door."""
    assert ctx.run is not None
    return ctx.run.experiment.data_assets["reference"].read_bytes()


async def opening_async(ctx: TaskContext) -> bytes:
    """As `opening`, in a coroutine function."""
    return opening(ctx)


def receiving(ctx: TaskContext) -> bytes:
    """Opens what another task handed it."""
    return bytes(ctx.inputs.read_bytes())


def opening_item(ctx: TaskContext) -> None:
    """Some items open what was imported."""
    if ctx.inputs > 2:
        opening(ctx)


def opening_once(ctx: TaskContext) -> int:
    """Only the first try opens what was imported, and it comes to no good end."""
    if ctx.retry == 0:
        opening(ctx)
        if ctx.params.get("how") == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise ValueError("not converged")
    return ctx.retry


def workflow(*tasks: Any, **options: Any) -> Workflow:
    """A workflow of the given tasks, each a function, or a function and its options."""
    wf = WorkflowBuilder("elsewhere", **options)
    for task in tasks:
        function, given = task if isinstance(task, tuple) else (task, {})
        wf.add(function, **{"executor": "process", **given})
    return wf.build()


def halve(ctx: TaskContext) -> float:
    """Tell the learning rate, and change what the context has for it."""
    rate: float = ctx.params["opt"]["lr"]
    ctx.params["opt"]["lr"] /= 2
    return rate
