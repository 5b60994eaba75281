"""S22: how well does GFN2-xTB bind two molecules? A workflow of three tasks per dimer, then one that sums them up.

    molexp run examples/s22/s22.py              # -j 2 for two dimers at a time, --dry-run to see what there is to do
    python examples/s22/s22.py                  # show what is on record in ./lab

The S22 set holds 22 dimers, bound by hydrogen bonds, by dispersion, or by both, with CCSD(T) interaction energies at
the basis-set limit. Each dimer of the experiment's space gets a run: its interaction energy is a result, its geometry
a structure, and the SCF iterations a log. The second experiment begins when all of them have succeeded. It finds them
through the catalog, reports the mean absolute error, and draws calculated against reference energies.

What has succeeded is never computed again. Stop it with Ctrl-C and call it again, or call it in several terminals or
jobs at once on one folder: each dimer is computed once, and the summary is made by whoever finds all of them done. With
--resume, not even a task that succeeded is repeated.

Geometries: P. Jurecka et al., Phys. Chem. Chem. Phys. 8, 1985 (2006). References: T. Takatani et al., J. Chem. Phys.
132, 144104 (2010). Both as bundled with ASE. GFN2-xTB: C. Bannwarth et al., J. Chem. Theory Comput. 15, 1652 (2019).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ase import Atoms, units
from ase.data.s22 import create_s22_system, get_interaction_energy_s22, get_number_of_dimer_atoms, s22

import molexp as me
from molexp.workflow import TaskContext, WorkflowBuilder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

METHOD = "GFN2-xTB"
KCAL_MOL_PER_EV = units.mol / units.kcal
KCAL_MOL_PER_HARTREE = units.Hartree * KCAL_MOL_PER_EV

# The set is listed in this order: what binds, how many dimers, and how the plot shows them.
GROUPS = (("hydrogen bonds", 7, "o", "#0072B2"), ("dispersion", 8, "s", "#D55E00"), ("mixed", 7, "^", "#009E73"))

ws = me.Workspace("lab")
project = ws.Project("s22")
dimers = project.Experiment("gfn2-xtb", params={"method": METHOD}, space=[{"dimer": name} for name in s22])
summary = project.Experiment("summary", params={"method": METHOD})

# ---------------------------------------------------------------------------------------------------------- one dimer

interaction = WorkflowBuilder(name="interaction-energy")


@interaction.task
def geometry(ctx: TaskContext) -> Any:
    """Save the dimer."""
    name = ctx.params["dimer"]
    dimer = create_s22_system(name)
    dimer.info = {"name": name, "first_molecule": get_number_of_dimer_atoms(name)[0]}  # so many atoms, the first ones
    return ctx.structure.save("dimer.xyz", dimer)


@interaction.task(depends_on=[geometry])
def energies(ctx: TaskContext) -> dict[str, float]:
    """Total energies in hartree, of the dimer and of each molecule as it is in the dimer; the SCF iterations go to a log."""
    log = ctx.log("scf").append
    dimer = ctx.inputs.load()
    first = dimer.info["first_molecule"]
    parts = {"dimer": dimer, "monomer_a": dimer[:first], "monomer_b": dimer[first:]}
    found = {part: single_point(ctx.params["method"], atoms, log) for part, atoms in parts.items()}
    ctx.set_result("energies_hartree", found)
    return found


@interaction.task(depends_on=[energies])
def analysis(ctx: TaskContext) -> float:
    """Compute E(AB) - E(A) - E(B) in kcal/mol, and compare it with the reference."""
    difference = ctx.inputs["dimer"] - ctx.inputs["monomer_a"] - ctx.inputs["monomer_b"]
    calculated = float(difference * KCAL_MOL_PER_HARTREE)
    ctx.set_result("interaction_energy_kcal_mol", calculated)
    ctx.set_result("reference_kcal_mol", get_interaction_energy_s22(ctx.params["dimer"]) * KCAL_MOL_PER_EV)
    return calculated


def single_point(method: str, atoms: Atoms, log: Callable[[str], None]) -> float:
    """Total energy in hartree."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # molecules this small lose time with more
    from tblite.interface import Calculator  # late, because a call that finds everything on record needs none of it

    log(f"{atoms.get_chemical_formula()}, {len(atoms)} atoms")
    calculator = Calculator(method, atoms.numbers, atoms.positions / units.Bohr, color=False, logger=log)
    return float(calculator.singlepoint().get("energy"))


# ---------------------------------------------------------------------------------------------------------- all of them

overview = WorkflowBuilder(name="summary")


@overview.task
def errors(ctx: TaskContext) -> dict[str, float]:
    """Mean absolute error over the dimers, and each one's."""
    found = {
        row.params["dimer"]: row.results["interaction_energy_kcal_mol"] - row.results["reference_kcal_mol"]
        for row in succeeded()
    }
    mae, worst = sum(map(abs, found.values())) / len(found), max(found, key=lambda name: abs(found[name]))
    ctx.set_result("mae_kcal_mol", mae)
    ctx.set_result("mean_error_kcal_mol", sum(found.values()) / len(found))
    ctx.set_result("largest_error", {"dimer": worst, "error_kcal_mol": found[worst]})
    ctx.artifact.save("errors.json", found)
    print(f"{METHOD} on S22, {len(found)} dimers: mean absolute error {mae:.3f} kcal/mol")
    return found


@overview.task(depends_on=[errors])
def parity_plot(ctx: TaskContext) -> None:
    """Plot the calculated energies against those of the reference."""
    points = [(row.results["reference_kcal_mol"], row.results["interaction_energy_kcal_mol"]) for row in succeeded()]
    mae = sum(map(abs, ctx.inputs.values())) / len(ctx.inputs)
    ctx.figure.save("parity.png", parity(points, f"{METHOD} on S22: mean absolute error {mae:.2f} kcal/mol"))


def succeeded() -> list[me.RunRow]:
    """Return the dimers' runs, in the order of the set."""
    found = {row.params["dimer"]: row for row in ws.catalog.runs(experiment=dimers.path, status="succeeded")}
    return [found[name] for name in s22 if name in found]


def parity(points: list[tuple[float, float]], title: str) -> Figure:
    """Draw calculated against reference energies, in kcal/mol, in the order of the set."""
    from matplotlib.figure import Figure  # not pyplot, which belongs to the main thread

    figure = Figure(figsize=(5.2, 5.2), dpi=150, layout="constrained")
    axes = figure.subplots()
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
    return figure


# ----------------------------------------------------------------------------------------------------------- what to run

interaction.build().bind_to(dimers)
overview.build().bind_to(summary)
me.entry(ws, order=[dimers, summary])  # the summary begins when every dimer's run has succeeded


def main() -> None:
    """Show what is on record."""
    if not succeeded():
        print(f"Nothing is on record in ./lab yet. Compute it: molexp run {__file__}")
        return
    print(f"{'energies in kcal/mol':<38}{METHOD:>11}{'CCSD(T)':>11}")
    for row in succeeded():
        energy, reference = row.results["interaction_energy_kcal_mol"], row.results["reference_kcal_mol"]
        print(f"{row.params['dimer']:<38}{energy:>11.2f}{reference:>11.2f}")
    for row in ws.catalog.runs(experiment=summary.path, status="succeeded"):
        print(f"Mean absolute error: {row.results['mae_kcal_mol']:.3f} kcal/mol")
        print(f"Parity plot: {ws.run(row.path).asset('parity.png').path}")


if __name__ == "__main__":
    main()
