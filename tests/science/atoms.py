"""Atoms for tests, and whether two are the same."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms, FixCartesian, Hookean
from ase.spacegroup import crystal


def crowded() -> Atoms:
    """Return atoms with all that there is to keep, in odd types and with odd values."""
    atoms: Atoms = bulk("Cu", cubic=True) * (2, 1, 1)
    atoms.positions += np.linspace(0, 1, 24).reshape(8, 3) / 3
    atoms.set_momenta(np.arange(24.0).reshape(8, 3) / 7)
    atoms.set_tags(range(8))
    atoms.set_masses([63.5 + n / 3 for n in range(8)])
    atoms.set_initial_charges([0.1] * 8)
    atoms.set_initial_magnetic_moments([[0, 0, n / 3] for n in range(8)])
    atoms.new_array("word", np.array([*"abcdefg", "é"]))
    atoms.new_array("text", np.array(["a b", "", "'", *"defg", '"'], "U9"))
    atoms.new_array("single", np.linspace(0, 1, 16, dtype="f4").reshape(8, 2))
    atoms.new_array("matrices", np.arange(32.0).reshape(8, 2, 2) / 3)
    atoms.new_array("is_it", np.array([True, False] * 4))
    atoms.new_array("huge", np.arange(8, dtype="u8") + 2**63)
    atoms.new_array("narrow", np.ones((8, 1), ">i2"))
    atoms.new_array("nothing", np.ones((8, 0)))
    atoms.new_array("wave", np.arange(8) * 1j)
    atoms.new_array("forces", np.zeros((8, 3)))  # not those of a calculator
    atoms.new_array("a b", np.arange(8))
    atoms.new_array("mixed", np.array(["a", 1, None, (1, 2), "b", 0.5, "c", "d"], object))
    atoms.info = {"step": 3, "time": 0.1, "ok": True, "number": "12", "true": "T", "none": None, "": 1, "empty": ""}
    atoms.info |= {"lines": "a\nb\u2028c", "quotes": 'say "x" \\ [é] {=}', "half": "\ud800", "many words": "b c"}
    atoms.info |= {"nan": math.nan, "inf": -math.inf, "zero": -0.0, "large": 10**30, "complex": 1 + 2j}
    atoms.info |= {
        "f4": np.float32(0.1),
        "text": np.str_("hello"),
        "vector": np.array([1, 2]),
        "matrix": np.eye(2),
        "point": np.array(5),
    }
    atoms.info |= {"no_items": np.ones((0, 3)), "virial": np.arange(9.0).reshape(3, 3), "energy": 7.0}
    atoms.info |= {"Lattice": "b", "molexp": [1], "pbc": False, "set": {"$tuple": [1]}}
    atoms.info["nested"] = {"a": np.arange(3), "b": (1, [2.5, None]), 1: {"$tuple": 2}, "c": {}}
    atoms.set_celldisp([0.1, 0.2, 1 / 3])
    atoms.set_constraint([FixAtoms([0, 1]), FixCartesian(2, [True, False, True]), Hookean(0, 1, 5.0, rt=1.0)])
    results = {"energy": np.float64(-1 / 3), "free_energy": -1, "forces": np.full((8, 3), 1 / 7), "dipole": np.ones(3)}
    results |= {"stress": np.arange(6) / 3, "magmoms": np.arange(8) / 9, "of_mine": {"levels": np.array([1.5])}}
    atoms.calc = SinglePointCalculator(atoms)
    atoms.calc.results = results
    atoms.calc.name = "mine"
    return atoms


def various() -> list[Atoms]:
    """Return atoms as different as they come."""
    nan = Atoms("XH", positions=[[math.nan, -0.0, math.inf], [1e-300, 1e300, 1 / 3]])
    strange = Atoms(cell=[-0.0, 0, 0], pbc=[False, True, False])
    strange.new_array("of_none", np.ones((0, 3)))
    return [
        molecule("CH3CH2OH"),
        Atoms(),
        Atoms("H"),
        nan,
        strange,
        fcc111("Al", (2, 1, 2), vacuum=8.0),
        crowded(),
        spaced(),
    ]


def spaced() -> Atoms:
    atoms: Atoms = crystal("Na", [(0, 0, 0)], spacegroup=229, cellpar=[4, 4, 4.5, 90, 91, 92])
    return atoms


def parts(atoms: Atoms) -> Any:
    """Return all that atoms are made of, so that equal parts have equal representations."""
    arrays = {name: exact(one) for name, one in sorted(atoms.arrays.items())}
    calc = atoms.calc
    results = {name: exact(one) for name, one in sorted(calc.results.items())} if calc else {}
    constraints = [(type(one).__name__, exact(one.todict())) for one in atoms.constraints]
    frame = [exact(atoms.cell.array), exact(atoms.pbc), exact(np.asarray(atoms.get_celldisp()))]
    return [type(atoms).__name__, arrays, frame, exact(atoms.info), constraints, results, calc.name if results else ""]


def exact(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        items = [exact(item) for item in value.ravel().tolist()]
        return "array", value.dtype.str, value.shape, items
    if isinstance(value, dict):
        return sorted((repr(key), exact(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return type(value).__name__, [exact(item) for item in value]
    return type(value).__name__, repr(value)


def is_same(one: Atoms, other: Atoms) -> bool:
    return bool(parts(one) == parts(other))


def are_same(some: Sequence[Atoms], others: Sequence[Atoms]) -> bool:
    return [parts(one) for one in some] == [parts(other) for other in others]
