"""Structures of ASE are loaded as they were saved, and other programs read the file."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk, molecule
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.calculators.singlepoint import SinglePointCalculator
from ase.cluster import Octahedron
from ase.constraints import FixAtoms
from ase.io import read

import molexp as me
from molexp.errors import AssetError, SerializationError
from molexp.testing import AssetKindTests
from molexp_science import StructureFields, StructureKind
from tests.science import atoms as helpers


@pytest.fixture
def workspace(tmp_path):
    return me.Workspace(tmp_path / "lab")


@pytest.fixture
def run(workspace):
    return workspace.Project("p").Experiment("e").Run(id="r")


def saved(run, obj, name="a"):
    with run.start() as ctx:
        return ctx.save(name, obj)


class TestStructuresOfAse(AssetKindTests):
    def kind(self):
        return StructureKind

    def objects(self):
        return helpers.various()

    def is_same(self, one, other):
        return one == other if isinstance(one, StructureFields) else helpers.is_same(one, other)

    def fields(self, obj):
        cell: Any = pytest.approx(obj.cell.cellpar().tolist())
        volume: Any = pytest.approx(obj.cell.volume)
        return StructureFields(
            type="ase.Atoms",
            formula=obj.get_chemical_formula("hill"),
            n_atoms=len(obj),
            elements=tuple(sorted(set(obj.get_chemical_symbols()))),
            pbc=tuple(obj.pbc.tolist()),
            cell=cell if obj.cell.any() else None,
            volume=volume if obj.cell.rank == 3 else None,
            energy=obj.calc.results["energy"] if obj.calc else None,
        )


@pytest.mark.parametrize("atoms", helpers.various())
def test_others_read_what_is_written(run, atoms):
    if not len(atoms):
        pytest.skip("ASE reads no frame without atoms")
    found: Any = read(saved(run, atoms, "a.xyz").path, format="extxyz")
    assert found.get_chemical_symbols() == atoms.get_chemical_symbols()
    for one, other in (
        (found.positions, atoms.positions),
        (found.cell.array, atoms.cell.array),
        (found.pbc, atoms.pbc),
    ):
        assert np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


def test_others_read_energies_forces_and_notes(run):
    atoms = helpers.crowded()
    found: Any = read(saved(run, atoms, "a.xyz").path)
    assert found.get_potential_energy() == -1 / 3
    assert (found.get_forces(apply_constraint=False) == 1 / 7).all()
    assert (found.get_stress() == atoms.calc.results["stress"]).all()
    assert (found.get_momenta() == atoms.get_momenta()).all()
    assert (found.info["virial"] == atoms.info["virial"]).all()
    assert (found.info["step"], found.info["time"], found.info["ok"]) == (3, 0.1, True)
    assert found.arrays["word"].tolist() == [*"abcdefg", "é"]


def test_ordinary_atoms_need_no_key_of_ours(run):
    atoms = molecule("H2O")
    atoms.info["step"] = 5
    assert saved(run, atoms).read_bytes().decode() == (
        "3\n"
        'Properties=species:S:1:pos:R:3 pbc="F F F" step=5\n'
        "O 0.0 0.0 0.119262\n"
        "H 0.0 0.763239 -0.477047\n"
        "H 0.0 -0.763239 -0.477047\n"
    )


def test_fields_are_queried(workspace, run):
    with run.start() as ctx:
        for name, atoms in (("a", bulk("Cu")), ("b", molecule("H2O")), ("c", helpers.crowded())):
            ctx.structure.save(name, atoms)
    find = workspace.catalog.assets
    assert [asset.name for asset in find("volume > 20 and energy < 0")] == ["c"]
    assert [asset.name for asset in find("formula == 'H2O' and n_atoms == 3", kind="structure")] == ["b"]
    assert run.asset("a").describe() == "ase.Atoms Cu, 1 atom, cell 2.55266 2.55266 2.55266 60 60 60, periodic in xyz"


def test_a_preview_shows_the_first_atoms_and_reads_no_more(run):
    atoms = bulk("Cu", cubic=True) * (8, 8, 8)
    text = saved(run, atoms).preview().text
    first, cell, *rows, last = text.splitlines()
    assert first == "Cu2048   (ase.Atoms, 2048 atoms)"
    assert cell == "cell 28.88 28.88 28.88 90 90 90, periodic in xyz"
    assert rows[1].split() == ["Cu", "0.000000", "1.805000", "1.805000"]
    assert (len(rows), last) == (10, "... and 2038 more")


# -------------------------------------------------------------------------------------------------------- calculators


class Untouched(Calculator):
    implemented_properties = ["energy"]  # noqa: RUF012 - as in ASE

    def calculate(self, *args, **kwargs):
        raise AssertionError("something was calculated")


def test_a_calculator_that_never_ran_is_not_started(run):
    atoms = molecule("H2O")
    atoms.calc = Untouched()
    asset = saved(run, atoms)
    assert asset.fields.energy is None
    assert asset.load().calc is None


def test_results_are_kept_and_the_calculator_is_not(run):
    atoms = bulk("Cu") * (2, 1, 1)
    atoms.rattle(0.1)
    atoms.calc = EMT()
    energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    asset = saved(run, atoms)
    found = asset.load()
    assert asset.fields.energy == found.get_potential_energy() == energy
    assert (found.get_forces() == forces).all()
    assert (type(found.calc).__name__, found.calc.name) == ("SinglePointCalculator", "emt")


def test_results_of_other_positions_are_not_those_of_the_atoms(run):
    atoms = bulk("Ar", "fcc", 5.2)
    atoms.calc = LennardJones()
    atoms.get_potential_energy()
    atoms.positions += 0.5
    atoms.cell *= 1.1
    asset = saved(run, atoms)
    assert asset.fields.energy is None
    assert asset.load().calc is None


def test_a_resume_restores_atoms_unless_they_can_calculate():
    ready, moved, able = molecule("H2O"), molecule("H2O"), bulk("Cu")
    for atoms in (ready, moved):
        atoms.calc = SinglePointCalculator(atoms, energy=-1.0)
    moved.positions += 1
    able.calc = EMT()
    able.get_potential_energy()
    assert [StructureKind().restores(atoms) for atoms in (Atoms("H"), ready, moved, able)] == [True, True, False, False]


# ------------------------------------------------------------------------------------------------- what cannot be kept


def spoiled(change):
    atoms = molecule("H2O")
    change(atoms)
    return atoms


class Odd:
    def todict(self):
        return {"name": "FixAtoms", "kwargs": {"indices": [0]}, "more": 1}

    def get_indices(self):
        return [0]


class Nameless(FixAtoms):
    todict: Any = None  # constraints of others may have none


REFUSED = {
    "atoms.info['a'] (object)": lambda atoms: atoms.info.update(a=object()),
    "atoms.info['a'][1] (set)": lambda atoms: atoms.info.update(a=[1, {2}]),
    "atoms.info['a']['b'] (bytes)": lambda atoms: atoms.info.update(a={"b": b"c"}),
    "a key of atoms.info (int)": lambda atoms: atoms.info.update({1: 2}),
    "atoms.arrays['t'] (numpy.ndarray)": lambda atoms: atoms.new_array("t", np.array(["2026-11-29"] * 3, "M8[D]")),
    "atoms.arrays['l'] (numpy.ndarray)": lambda atoms: atoms.new_array("l", np.ones(3, np.longdouble)),
    "atoms.numbers (int)": lambda atoms: atoms.set_atomic_numbers([1, 2, 300]),
    "atoms.constraints[0] (tests.science.test_structures.Odd)": lambda atoms: atoms.set_constraint(Odd()),
    "atoms.constraints[0] (tests.science.test_structures.Nameless)": lambda atoms: atoms.set_constraint(Nameless([0])),
}


@pytest.mark.parametrize("where", REFUSED)
def test_what_cannot_be_kept_is_named_and_nothing_is_saved(workspace, run, where):
    with run.start() as ctx:
        with pytest.raises(SerializationError) as caught:
            ctx.structure.save("a", spoiled(REFUSED[where]))
        assert str(caught.value).startswith(f"{where} cannot be recorded: ")
        ctx.structure.save("a", molecule("H2O"))  # the name is free
    assert len(run.assets) == 1
    assert workspace.fsck(read_data=True).findings == ()


def test_a_subclass_with_more_than_atoms_is_refused(run):
    cluster = Octahedron("Cu", 3)
    with run.start() as ctx:
        with pytest.raises(SerializationError, match=r"ase\.Atoms have no .*surfaces.* Save ase\.Atoms"):
            ctx.structure.save("a", cluster)
        asset = ctx.save("a", Atoms(cluster))
    assert helpers.is_same(asset.load(), Atoms(cluster))


def test_a_subclass_with_no_more_is_saved_as_atoms(run):
    class Mine(Atoms):
        pass

    assert type(saved(run, Mine("H")).load()) is Atoms


@pytest.mark.parametrize("name", ["a.cif", "a.json", "a.PDB", "a.traj"])
def test_a_file_is_not_called_what_it_is_not(run, name):
    with run.start() as ctx, pytest.raises(ValueError, match=r"would be extended XYZ, .* call it 'a.xyz'"):
        ctx.structure.save(name, molecule("H2O"))


DAMAGED = [
    b"x\n",
    b"",
    b"1\n",
    b"99999999999999999999\n",
    b'2\nProperties=species:S:1:pos:R:3 pbc="F F F"\nH 0 0 0\n',
    b'1\nProperties=species:S:1:pos:R:3 pbc="F F F"\nH 0 0\n',
    b'1\nProperties=species:S:1:pos:R:3 pbc="F F F"\nQq 0 0 0\n',
    b"1\n\nH 0 0 0\n",
    b'1\nProperties=species:S:1:pos:R:3 pbc="F F F" molexp="_JSON {}}"\nH 0 0 0\n',
    b'1\nProperties=species:S:1:pos:R:3 pbc="F F F" molexp="_JSON {\\"info\\":{\\"a\\":{\\"$run\\":1}}}"\nH 0 0 0\n',
    b"\xff\n",
]


@pytest.mark.parametrize("data", DAMAGED)
def test_a_damaged_file_is_an_error_of_the_asset(data):
    class Source:
        name = "a"

        def open(self):
            return io.BytesIO(data)

    source: Any = Source()
    with pytest.raises(AssetError, match="'a'"):
        StructureKind().load(source)


def test_velocities_come_back_in_their_units(run):
    atoms = molecule("H2O")
    atoms.set_velocities(np.full((3, 3), 0.1 * units.Ang / units.fs))
    assert (saved(run, atoms).load().get_velocities() == atoms.get_velocities()).all()
