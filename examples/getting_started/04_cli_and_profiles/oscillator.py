"""An experiment for `molexp run`: oscillators of several frequencies, integrated as the profile says.

    molexp run oscillator.py

What is computed, the *parameters*, stands here. How it is computed, the *configuration*, stands in ``molcfg.yaml``.
"""

from __future__ import annotations

import math

import molexp as me
from molexp.workflow import TaskContext, WorkflowBuilder

wf = WorkflowBuilder(name="oscillator")


@wf.task
def trajectory(ctx: TaskContext) -> list[tuple[float, float]]:
    """Position and velocity over ten periods, by velocity Verlet."""
    omega, per_period = ctx.params["omega"], ctx.config["integrator"]["steps_per_period"]
    dt, x, v, points = 2 * math.pi / omega / per_period, 1.0, 0.0, [(1.0, 0.0)]
    for _ in range(10 * per_period):
        v -= dt / 2 * omega**2 * x
        x += dt * v
        v -= dt / 2 * omega**2 * x
        points.append((x, v))
    return points


@wf.task(depends_on=[trajectory])
def drift(ctx: TaskContext) -> float:
    """Return the largest relative error of the energy, which should be constant."""
    omega = ctx.params["omega"]
    energies = [v * v / 2 + omega**2 * x * x / 2 for x, v in ctx.inputs]
    error: float = max(abs(energy / energies[0] - 1) for energy in energies)
    if ctx.config["save_energies"]:
        ctx.artifact.save("energies.json", energies)
    ctx.set_result("energy_error", error)
    return error


ws = me.Workspace("lab")
exp = ws.Project("oscillator").Experiment("verlet", space=me.grid(omega=[1.0, 2.0]))
wf.build().bind_to(exp)
me.entry(ws)  # `molexp run` finds the experiment by this; otherwise it does nothing
