"""Track a run: two argon atoms, their potential, and a property that a second run computes from it.

    python examples/getting_started/03_tracked_run.py [FOLDER]

The first run finds where two argon atoms rest (Lennard-Jones) and tabulates their potential. It leaves results,
metrics, a log and an artifact, and imports the table into the experiment's data. The second run finds the table by its
name and integrates it to the second virial coefficient. Then the script shows what lies in the folder (``lab`` if none
is given) and what ``run.json`` says. Called again it computes nothing: it says what it found.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import molexp as me

# Lennard-Jones parameters of argon: A. Michels, H. Wijker, H. Wijker, Physica 15, 627 (1949).
ARGON = {"epsilon_kelvin": 119.8, "sigma_angstrom": 3.405}
AVOGADRO_PER_ANGSTROM3 = 0.602214076  # cm3/mol in one cubic angstrom per pair


def lennard_jones(r: float, epsilon: float, sigma: float) -> tuple[float, float]:
    """Energy and force between two atoms at distance `r`, in the units of `epsilon` and `sigma`."""
    attraction = (sigma / r) ** 6
    energy = 4 * epsilon * attraction * (attraction - 1)
    force = 24 * epsilon / r * attraction * (2 * attraction - 1)
    return energy, force


def pair_potential(ctx: me.RunContext) -> None:
    """Relax the pair by steepest descent, then tabulate its potential for others to use."""
    epsilon, sigma = ctx.params["epsilon_kelvin"], ctx.params["sigma_angstrom"]
    r, step, log = ctx.params["start_angstrom"], 0, ctx.log("relax")
    energy, force = lennard_jones(r, epsilon, sigma)
    while abs(force) > ctx.params["tolerance_kelvin_per_angstrom"]:
        ctx.metrics.log(step=step, distance_angstrom=r, energy_kelvin=energy)
        log.append(f"step {step}: r = {r:.6f} A, E = {energy:.6f} K, F = {force:+.2e} K/A")
        r, step = r + 1e-3 * force, step + 1
        energy, force = lennard_jones(r, epsilon, sigma)
    log.append(f"converged after {step} steps")
    ctx.set_result("distance_angstrom", r)
    ctx.set_result("well_depth_kelvin", -energy)
    ctx.artifact.save("pair.json", {"symbols": ["Ar", "Ar"], "positions_angstrom": [[0, 0, 0], [0, 0, r]]})

    table = ctx.workdir / "argon.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["r_angstrom", "energy_kelvin"])
        for i in range(1, 4001):
            rows.writerow([i * 0.01, lennard_jones(i * 0.01, epsilon, sigma)[0]])
    # Moved into the experiment's data, so that other runs find it by name. It keeps its versions.
    ctx.run.experiment.data_assets.import_asset("pair-potential", table, action="move")


def second_virial_coefficient(ctx: me.RunContext) -> None:
    """B(T) = -2 pi N int (exp(-u(r)/kT) - 1) r^2 dr, over the table that another run left."""
    table = ctx.asset("pair-potential")
    ctx.logger.info("using %s, version %d", table.name, table.version)
    with table.open("r") as file:
        points = [(float(row["r_angstrom"]), float(row["energy_kelvin"])) for row in csv.DictReader(file)]
    temperature, width = ctx.params["temperature_kelvin"], points[1][0] - points[0][0]
    integral = sum((math.exp(-u / temperature) - 1) * r * r for r, u in points) * width
    ctx.set_result("second_virial_cm3_per_mol", -2 * math.pi * AVOGADRO_PER_ANGSTROM3 * integral)
    ctx.set_result("table", table)  # a result may be an asset: stored as a reference


def once(run: me.Run, work: Callable[[me.RunContext], None]) -> None:
    """Do the work of a run, unless that succeeded before."""
    try:
        with run.start(if_succeeded="error") as ctx:
            work(ctx)
        print(f"{run.id}: computed, {run.status}")
    except me.RunFinishedError:
        ended = run.execution_history[-1]["ended_at"]
        print(f"{run.id}: found, {run.status} at {ended}; nothing was computed")
    for name, value in run.results.items():
        print(f"    {name} = {value.id if isinstance(value, me.Asset) else format(value, '.6g')}")


def tree(folder: Path, project: str, indent: str = "") -> Iterator[str]:
    """What lies in a workspace; of other projects, and of what is derived, only the name."""
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
    """A value as JSON, on one line."""
    text = json.dumps(value)
    return text if len(text) <= 90 else text[:87] + "..."


def main() -> None:
    """Track two runs and show what they left."""
    parser = argparse.ArgumentParser(description="Track two small runs, and show what they left.")
    parser.add_argument("folder", nargs="?", default="lab", help="the workspace; default: lab")
    folder = Path(parser.parse_args().folder)

    ws = me.Workspace(folder)
    exp = ws.Project("argon").Experiment("dimer", params=ARGON)
    relaxed = exp.Run({"start_angstrom": 4.5, "tolerance_kelvin_per_angstrom": 1e-6}, id="pair-potential")
    virial = exp.Run({"temperature_kelvin": 300.0}, id="virial-300k")
    once(relaxed, pair_potential)
    once(virial, second_virial_coefficient)

    print(f"\nWhat lies in {folder}:\n")
    print("\n".join(tree(folder, exp.project.id, "    ")))

    saved = folder / "projects" / exp.project.id / "experiments" / exp.id / "runs" / relaxed.id / "run.json"
    print(f"\nWhat {saved} says:\n")
    for name, value in json.loads(saved.read_text(encoding="utf-8")).items():
        print(f"    {name}: {shortened(value)}")


if __name__ == "__main__":
    main()
