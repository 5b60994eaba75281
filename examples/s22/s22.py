"""S22: how well does GFN2-xTB bind two molecules? One run per dimer, then one that sums them up.

    python examples/s22/s22.py [FOLDER]

The S22 set holds 22 dimers, bound by hydrogen bonds, by dispersion, or by both, with CCSD(T) interaction energies at
the basis-set limit. Each dimer of the experiment's space gets a run: its interaction energy is a result, its geometry
an artifact, and the SCF iterations its log. The summary finds these runs through the catalog, reports the mean absolute
error, and draws calculated against reference energies.

What has succeeded is never computed again. Kill the script and call it again, or call it in several terminals or jobs
at once on one folder: each dimer is computed once.

Geometries: P. Jurecka et al., Phys. Chem. Chem. Phys. 8, 1985 (2006). References: T. Takatani et al., J. Chem. Phys.
132, 144104 (2010). Both as bundled with ASE. GFN2-xTB: C. Bannwarth et al., J. Chem. Theory Comput. 15, 1652 (2019).
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from ase import Atoms, units
from ase.data.s22 import create_s22_system, get_interaction_energy_s22, get_number_of_dimer_atoms, s22

import molexp as me

KCAL_MOL_PER_EV = units.mol / units.kcal
KCAL_MOL_PER_HARTREE = units.Hartree * KCAL_MOL_PER_EV

# The set is listed in this order: what binds, how many dimers, and how the plot shows them.
GROUPS = (("hydrogen bonds", 7, "o", "#0072B2"), ("dispersion", 8, "s", "#D55E00"), ("mixed", 7, "^", "#009E73"))

Outcome = Literal["computed", "failed", "on record", "busy"]
PROBLEMS: tuple[Outcome, ...] = ("failed", "busy")


# ----------------------------------------------------------------------------------------------------------- chemistry


def single_point(method: str, atoms: Atoms, log: Callable[[str], None]) -> float:
    """Total energy in hartree; the SCF iterations go to `log`."""
    from tblite.interface import Calculator  # late, because a call that finds everything on record needs none of it

    log(f"{atoms.get_chemical_formula()}, {len(atoms)} atoms")
    calculator = Calculator(method, atoms.numbers, atoms.positions / units.Bohr, color=False, logger=log)
    return float(calculator.singlepoint().get("energy"))


def interaction_energy(ctx: me.RunContext) -> None:
    """E(AB) - E(A) - E(B), each monomer as it is in the dimer."""
    name, method = ctx.params["dimer"], ctx.params["method"]
    dimer = create_s22_system(name)
    n_first, _ = get_number_of_dimer_atoms(name)
    with ctx.artifact.writing("dimer.xyz") as path:
        dimer.write(path, format="xyz", comment=f"{name}; the first {n_first} atoms are one molecule; angstrom")

    log = ctx.log("scf").append
    energies = {
        "dimer": single_point(method, dimer, log),
        "monomer_a": single_point(method, dimer[:n_first], log),
        "monomer_b": single_point(method, dimer[n_first:], log),
    }
    difference = energies["dimer"] - energies["monomer_a"] - energies["monomer_b"]
    ctx.set_result("energies_hartree", energies)
    ctx.set_result("interaction_energy_kcal_mol", difference * KCAL_MOL_PER_HARTREE)
    ctx.set_result("reference_kcal_mol", get_interaction_energy_s22(name) * KCAL_MOL_PER_EV)


def summarize(ctx: me.RunContext, rows: list[me.RunRow]) -> None:
    """Mean absolute error over the dimers, and a parity plot."""
    points = [(row.results["reference_kcal_mol"], row.results["interaction_energy_kcal_mol"]) for row in rows]
    errors = [calculated - reference for reference, calculated in points]
    mae = sum(map(abs, errors)) / len(errors)
    ctx.set_result("mae_kcal_mol", mae)
    ctx.set_result("mean_error_kcal_mol", sum(errors) / len(errors))
    worst = max(range(len(rows)), key=lambda i: abs(errors[i]))
    ctx.set_result("largest_error", {"dimer": rows[worst].parameters["dimer"], "error_kcal_mol": errors[worst]})
    ctx.artifact.save("errors.json", {row.parameters["dimer"]: error for row, error in zip(rows, errors, strict=True)})
    with ctx.artifact.writing("parity.png") as path:
        draw_parity(path, points, f"{ctx.params['method']} on S22: mean absolute error {mae:.2f} kcal/mol")


def draw_parity(path: Path, points: list[tuple[float, float]], title: str) -> None:
    """Draw calculated against reference energies, in kcal/mol, in the order of the set."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(5.2, 5.2), layout="constrained")
    low, start = min(min(point) for point in points) - 1.5, 0
    axes.plot([low, 0.5], [low, 0.5], color="0.6", linewidth=1, zorder=0)
    axes.fill_between([low, 0.5], [low - 1, -0.5], [low + 1, 1.5], color="0.92", zorder=-1, label="within 1 kcal/mol")
    for label, number, marker, color in GROUPS:
        x, y = zip(*points[start : start + number], strict=True)
        axes.scatter(x, y, marker=marker, color=color, edgecolor="white", linewidth=0.6, s=48, label=label)
        start += number
    axes.set(xlim=(low, 0.5), ylim=(low, 0.5), aspect="equal", title=title)
    axes.set(xlabel="CCSD(T)/CBS interaction energy (kcal/mol)", ylabel="calculated interaction energy (kcal/mol)")
    axes.legend(frameon=False)
    figure.savefig(path, format="png", dpi=150)
    plt.close(figure)


# ---------------------------------------------------------------------------------------------------------- bookkeeping


def once(run: me.Run, work: Callable[[me.RunContext], None], *, wait: float = 0.0) -> Outcome:
    """Do the work of a run, unless it has succeeded, or somebody else is at it for more than `wait` seconds."""
    try:
        context = run.start(if_succeeded="error", wait=wait)
    except me.RunFinishedError:
        return "on record"
    except me.RunBusyError:
        return "busy"
    try:
        with context as ctx:
            work(ctx)
    except RuntimeError:  # tblite's, such as an SCF that does not converge: on record, and no reason to stop
        return "failed"
    return "computed"


def compute_dimers(runs: list[me.Run]) -> Counter[Outcome]:
    """Bring every dimer's run to an end, and say so; returns how many ended how."""
    counts: Counter[Outcome] = Counter()
    busy = []
    for run in runs:
        started = time.perf_counter()
        outcome = once(run, interaction_energy)
        if outcome == "busy":
            busy.append(run)
            continue
        counts[outcome] += 1
        report(run, f"computed in {time.perf_counter() - started:.2f} s" if outcome == "computed" else outcome)
    for run in busy:  # others are at these; if one of them dies, its run is ours
        outcome = once(run, interaction_energy, wait=600.0)
        counts[outcome] += 1
        report(run, f"{outcome}, after waiting for another process")
    return counts


def report(run: me.Run, what: str) -> None:
    """Print one line on a dimer's run."""
    results = run.results
    values = [results.get(f"{name}_kcal_mol") for name in ("interaction_energy", "reference")]
    columns = "".join(f"{'-' if value is None else format(value, '.2f'):>11}" for value in values)
    print(f"{run.parameters['dimer']:<38}{columns}   {what}", flush=True)


def summary_run(project: Any, method: str, rows: list[me.RunRow]) -> me.Run:
    """Return the run that sums these up. What it is made of is its parameter, so that it is made once for them."""
    experiment = project.Experiment("summary", params={"method": method})
    run: me.Run = experiment.derived_run({"attempts": [f"{row.path}@{len(row.execution_history)}" for row in rows]})
    return run


def main(folder: Path, method: str = "GFN2-xTB") -> int:
    """Compute what is missing and sum it up; returns the process's exit code."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # molecules this small lose time with more
    ws = me.Workspace(folder)
    project = ws.Project("s22")
    space = [{"dimer": name} for name in s22]
    exp = project.Experiment("gfn2-xtb", params={"method": method}, space=space)

    print(f"{'energies in kcal/mol':<38}{'GFN2-xTB':>11}{'CCSD(T)':>11}")
    counts = compute_dimers(list(exp.runs.create_many(space)))
    problems = "".join(f"; {counts[outcome]} {outcome}" for outcome in PROBLEMS if counts[outcome])
    print(f"\n{counts['computed']} of {len(space)} dimers computed; {counts['on record']} were on record{problems}.")

    order = {name: i for i, name in enumerate(s22)}
    found = ws.catalog.runs(experiment=exp.path, status="succeeded")
    rows = sorted(found, key=lambda row: order[row.parameters["dimer"]])
    if len(rows) < len(space):
        print(f"Only {len(rows)} of {len(space)} dimers have succeeded: there is no summary yet. Call again.")
        return 1
    summary = summary_run(project, method, rows)
    outcome = once(summary, lambda ctx: summarize(ctx, rows), wait=600.0)
    if summary.status != "succeeded":
        print(f"The summary {summary.path} is {summary.status} ({outcome}): {summary.execution_history[-1]['reason']}")
        return 1
    print(f"Mean absolute error: {summary.results['mae_kcal_mol']:.3f} kcal/mol ({outcome})")
    print(f"Parity plot: {summary.asset('parity.png').path}")
    if not counts["computed"] and outcome == "on record":
        print("Nothing was computed in this call.")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Interaction energies of the S22 dimers with GFN2-xTB.")
    parser.add_argument("folder", nargs="?", default="lab", type=Path, help="the workspace; default: lab")
    sys.exit(main(parser.parse_args().folder))
