"""A tracked run: a workflow executed under a run, and everything that it leaves.

    python examples/getting_started/03_tracked_run.py [FOLDER]

The workflow finds where two argon atoms rest (Lennard-Jones), tabulates their potential, and integrates it to the second
virial coefficient. It leaves results, metrics, logs, an artifact, and the table as data of the experiment, which other
runs find by its name. Then the script shows what lies in the folder (``lab`` if none is given) and what ``run.json``
says. Called again it computes nothing: it says what it found.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import molexp as me
from molexp.workflow import TaskContext, WorkflowBuilder

# Lennard-Jones parameters of argon: A. Michels, H. Wijker, H. Wijker, Physica 15, 627 (1949).
ARGON = {"epsilon_kelvin": 119.8, "sigma_angstrom": 3.405}
AVOGADRO_PER_ANGSTROM3 = 0.602214076  # cm3/mol in one cubic angstrom per pair

wf = WorkflowBuilder(name="argon")


def lennard_jones(r: float, epsilon: float, sigma: float) -> tuple[float, float]:
    """Energy and force between two atoms at distance `r`, in the units of `epsilon` and `sigma`."""
    attraction = (sigma / r) ** 6
    energy = 4 * epsilon * attraction * (attraction - 1)
    force = 24 * epsilon / r * attraction * (2 * attraction - 1)
    return energy, force


@wf.task
def relax(ctx: TaskContext) -> float:
    """Find the distance at rest by steepest descent."""
    epsilon, sigma = ctx.params["epsilon_kelvin"], ctx.params["sigma_angstrom"]
    r, step, log = ctx.params["start_angstrom"], 0, ctx.log("relax")
    energy, force = lennard_jones(r, epsilon, sigma)
    while abs(force) > 1e-6:
        ctx.metrics.log(step=step, distance_angstrom=r, energy_kelvin=energy)
        log.append(f"step {step}: r = {r:.6f} A, E = {energy:.6f} K, F = {force:+.2e} K/A")
        r, step = r + 1e-3 * force, step + 1
        energy, force = lennard_jones(r, epsilon, sigma)
    log.append(f"converged after {step} steps")
    ctx.set_result("distance_angstrom", r)
    ctx.set_result("well_depth_kelvin", -energy)
    ctx.artifact.save("pair.json", {"symbols": ["Ar", "Ar"], "positions_angstrom": [[0, 0, 0], [0, 0, r]]})
    return float(
        r
    )  # the return value is the task's output: it is kept for a resume, and passed to tasks that depend on this one


@wf.task
def tabulate(ctx: TaskContext) -> list[tuple[float, float]]:
    """Tabulate the potential on a grid, in a file that other runs of the experiment can use."""
    epsilon, sigma = ctx.params["epsilon_kelvin"], ctx.params["sigma_angstrom"]
    points = [(r, lennard_jones(r, epsilon, sigma)[0]) for r in (i * 0.01 for i in range(1, 4001))]
    file = ctx.workdir / "argon.csv"  # private scratch; nobody changes the current directory
    with file.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("r_angstrom", "energy_kelvin"), *points])
    if ctx.run is not None:  # promoted to data of the experiment, which keeps its versions
        ctx.run.experiment.data_assets.import_asset("pair-potential", file, action="move")
    return points


@wf.task(depends_on=[relax, tabulate])
def virial(ctx: TaskContext) -> float:
    """Integrate B(T) = -2 pi N int (exp(-u(r)/kT) - 1) r^2 dr, in cm3/mol."""
    table = ctx.find_asset("pair-potential")  # this run's, else the experiment's, the project's, the workspace's
    ctx.logger.info("at rest at %.3f angstrom; table: %s", ctx.inputs["relax"], table and table.id)
    points, temperature = ctx.inputs["tabulate"], ctx.params["temperature_kelvin"]
    integral = sum((math.exp(-u / temperature) - 1) * r * r for r, u in points) * 0.01
    coefficient: float = -2 * math.pi * AVOGADRO_PER_ANGSTROM3 * integral
    ctx.set_result("second_virial_cm3_per_mol", coefficient)
    ctx.set_result("table", table)  # a result may be an asset: stored as a reference
    return coefficient


def tree(folder: Path, project: str, indent: str = "") -> Iterator[str]:
    """List the files of a workspace. Of other projects, and of derived files, list only the name."""
    for path in sorted(folder.iterdir(), key=lambda path: (path.is_dir(), path.name)):
        if not path.is_dir():
            yield f"{indent}{path.name}"
        elif path.name == ".molexp":
            yield f"{indent}{path.name}/  (derived: may be deleted when nothing runs)"
        elif folder.name == "projects" and path.name != project:
            yield f"{indent}{path.name}/  (another project)"
        else:
            yield f"{indent}{path.name}/"
            yield from tree(path, project, indent + "    ")


def shortened(value: Any) -> str:
    """Format a value as JSON on one line."""
    text = json.dumps(value)
    return text if len(text) <= 90 else text[:87] + "..."


def main() -> None:
    """Execute one tracked run and show what it left."""
    parser = argparse.ArgumentParser(description="Execute one tracked run, and show what it left.")
    parser.add_argument("folder", nargs="?", default="lab", help="the workspace; default: lab")
    folder = Path(parser.parse_args().folder)

    ws = me.Workspace(folder)
    exp = ws.Project("argon").Experiment("dimer", params=ARGON, workflow_source=__file__)
    spec = wf.build()
    spec.bind_to(exp)  # so that whoever has the experiment finds its workflow

    # An id of our own: the same run, however often the script is called.
    run = exp.Run({"start_angstrom": 4.5, "temperature_kelvin": 300.0}, id="argon-300k")
    if run.status == "succeeded":
        print(f"{run.id}: found, {run.status} at {run.execution_history[-1]['ended_at']}; nothing was computed")
    else:
        result = spec.execute_sync(run=run, check=True)
        print(f"{run.id}: computed {', '.join(result.executed)}; {run.status}")
    for name, value in run.results.items():
        print(f"    {name} = {value.id if isinstance(value, me.Asset) else format(value, '.6g')}")

    print(f"\nWhat lies in {folder}:\n")
    print("\n".join(tree(folder, exp.project.id, "    ")))

    saved = folder / "projects" / exp.project.id / "experiments" / exp.id / "runs" / run.id / "run.json"
    print(f"\nWhat {saved} says:\n")
    for name, value in json.loads(saved.read_text(encoding="utf-8")).items():
        print(f"    {name}: {shortened(value)}")


if __name__ == "__main__":
    main()
