"""A first workflow: tasks, what they depend on, and a fan-out; all of it in memory, nothing is written.

    python examples/getting_started/02_first_workflow.py

At which distance do two Lennard-Jones particles attract each other most? Scan, evaluate each distance, take the best.
"""

from typing import Any

from molexp.workflow import TaskContext, WorkflowBuilder

wf = WorkflowBuilder(name="lennard-jones")


# A task is a function of one context. It may be async, or plain like these, which are executed in threads.
@wf.task
def distances(ctx: TaskContext) -> list[float]:
    """Return the distances to scan, from 0.9 to 1.7 sigma."""
    n = ctx.params["points"]
    return [ctx.params["sigma"] * (0.9 + 0.8 * i / (n - 1)) for i in range(n)]


# `map_over` executes the task once for each item of a list; its output is the list of what that returned.
@wf.task(map_over=distances)
def point(ctx: TaskContext) -> dict[str, float]:
    """Compute the energy at one distance."""
    attraction = (ctx.params["sigma"] / ctx.inputs) ** 6
    return {"r": ctx.inputs, "energy": 4 * ctx.params["epsilon"] * attraction * (attraction - 1)}


# `ctx.inputs` is the output of the one task that this one depends on; with several, a dict of them by name.
@wf.task(depends_on=[point])
def minimum(ctx: TaskContext) -> dict[str, float]:
    """Return the point of lowest energy."""
    found: dict[str, float] = min(ctx.inputs, key=lambda point: point["energy"])
    return found


@wf.task(depends_on=[point, minimum])
def range_of_attraction(ctx: TaskContext) -> tuple[float, float]:
    """Return the distances at which the energy is below half of the lowest."""
    half = ctx.inputs["minimum"]["energy"] / 2
    inside = [point["r"] for point in ctx.inputs["point"] if point["energy"] < half]
    return inside[0], inside[-1]


def main() -> None:
    """Build the workflow and execute it, well and badly."""
    workflow = wf.build()  # checked: no cycles, no unknown names; immutable from here on
    argon: dict[str, Any] = {"sigma": 3.405, "epsilon": 119.8, "points": 161}

    result = workflow.execute_sync(params=argon)  # `await workflow.execute(...)` in async code
    print(result)
    print("lowest energy: {energy:.1f} K at {r:.2f} angstrom".format(**result.outputs["minimum"]))
    print("below half of that from {:.2f} to {:.2f} angstrom".format(*result.outputs["range_of_attraction"]))

    # A failure is a result, too: it says what failed, and what could not be executed because of it.
    failed = workflow.execute_sync(params={**argon, "epsilon": None})
    print(failed)
    print(failed.reason)
    print("skipped:", ", ".join(failed.by_status("skipped")))


if __name__ == "__main__":
    main()
