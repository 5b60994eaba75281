"""Structures of pymatgen and molecules of RDKit are loaded as they were saved. Neither is in our groups: the tests need them installed."""

from __future__ import annotations

import io
import json
import math
import pickle
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any

import numpy as np
import pytest

import molexp as me
from molexp.errors import AssetError, SerializationError
from molexp.testing import AssetKindTests
from molexp_science import StructureFields, StructureKind

for name in ("pymatgen.core", "rdkit.Chem"):  # here, because they set environment variables
    with suppress(ImportError):
        import_module(name)


@pytest.fixture
def run(tmp_path):
    return me.Workspace(tmp_path / "lab").Project("p").Experiment("e").Run(id="r")


def saved(run, obj, name="a"):
    with run.start() as ctx:
        return ctx.save(name, obj)


def source(data) -> Any:
    class Source:
        name, fields = "a", StructureFields("rdkit.Mol", "", 0, ())

        def open(self):
            return io.BytesIO(data)

    return Source()


# ------------------------------------------------------------------------------------------------------------ pymatgen


@pytest.fixture
def pymatgen():
    return pytest.importorskip("pymatgen.core", reason="pymatgen is not installed")


def caesium_chloride(**more):
    core = pytest.importorskip("pymatgen.core", reason="pymatgen is not installed")
    return core.Structure(core.Lattice.cubic(4.2 / 3), ["Cs+", "Cl-"], [[0, 0, 0], [1 / 3, 0.5, 0.5]], **more)


def alloy():
    core = pytest.importorskip("pymatgen.core", reason="pymatgen is not installed")
    lattice = core.Lattice.from_parameters(3, 4, 5, 80, 90, 100, pbc=(True, True, False))
    sites = {"magmom": [np.float64(1 / 3), 2.0], "forces": [np.ones(3), (1, 2)], "selective": [[True] * 3, None]}
    metals = [{"Cu": 0.25, "Au": 0.75}, {"Fe2+": 0.5}]
    notes = {"energy": -1 / 3, "nan": math.nan, "matrix": np.eye(3, dtype="f4"), "run": {"steps": (1, 2)}}
    return core.Structure(
        lattice, metals, [[0, 0, 0], [0.1, 1.7, -0.3]], site_properties=sites, properties=notes, charge=1
    )


def water():
    core = pytest.importorskip("pymatgen.core", reason="pymatgen is not installed")
    places = [[0, 0, 0.119262], [0, 0.763239, -0.477047], [0, -0.763239, -0.477047]]
    return core.Molecule(["O", "H", "H"], places, charge=1, spin_multiplicity=2, labels=["O1", "H1", "H2"])


class TestStructuresOfPymatgen(AssetKindTests):
    def kind(self):
        return StructureKind

    def objects(self):
        core = pytest.importorskip("pymatgen.core", reason="pymatgen is not installed")
        fixed = core.IStructure.from_sites(caesium_chloride(coords_are_cartesian=True).sites)
        return [caesium_chloride(), alloy(), water(), fixed, core.IMolecule(["H"], [[1e-300, 0, 1 / 3]])]

    def fields(self, obj):
        formula, elements = {
            "Structure": ("ClCs", "Cl Cs"),
            "IStructure": ("ClCs", "Cl Cs"),
            "Molecule": ("H2O", "H O"),
            "IMolecule": ("H", "H"),
        }[type(obj).__name__]
        if obj.properties.get("energy"):
            formula, elements = "Au0.75Cu0.25Fe0.5", "Au Cu Fe"
        found: dict[str, Any] = {}
        if hasattr(obj, "lattice"):
            found["pbc"], found["volume"] = obj.lattice.pbc, pytest.approx(obj.lattice.volume)
            found["cell"] = pytest.approx(obj.lattice.parameters)
        kind = f"pymatgen.{type(obj).__name__}"
        return StructureFields(kind, formula, len(obj), tuple(elements.split()), **found)

    def is_same(self, one, other):
        if isinstance(one, StructureFields):
            return one == other
        return type(one) is type(other) and self._parts(one) == self._parts(other)

    def _parts(self, obj):
        lattice = getattr(obj, "lattice", None)
        sites = [(site.species, site.label, site.coords.tolist(), exact(site.properties)) for site in obj]
        charges = [getattr(obj, name, "") for name in ("_charge", "charge", "spin_multiplicity")]
        return charges, exact(obj.properties), sites, lattice and (lattice.matrix.tolist(), lattice.pbc)


def exact(value):
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.tolist()
    if isinstance(value, dict):
        return {key: exact(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value).__name__, [exact(item) for item in value]
    return type(value).__name__, repr(value)


def test_pymatgen_reads_the_file_itself(run, pymatgen):
    asset = saved(run, caesium_chloride(), "cscl.json")
    assert pymatgen.Structure.from_file(asset.path) == caesium_chloride()
    assert asset.describe().startswith("pymatgen.Structure ClCs, 2 atoms, cell 1.4 1.4 1.4 90 90 90, periodic in xyz")
    assert asset.preview().text.splitlines()[2].split() == ["Cs+", "0.000000", "0.000000", "0.000000"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of spglib
def test_a_slab_is_refused_with_a_remedy(run, pymatgen):
    surface = pytest.importorskip("pymatgen.core.surface", reason="pymatgen is not installed")
    slab = surface.SlabGenerator(caesium_chloride(), (1, 0, 0), 3, 3).get_slab()
    with run.start() as ctx:
        with pytest.raises(SerializationError, match=r"Save Structure.from_sites"):
            ctx.save("a", slab)
        with pytest.raises(SerializationError, match=r"sites\[0\].properties\['a'\] \(object\)"):
            ctx.save("a", caesium_chloride(site_properties={"a": [object(), 1]}))
        assert ctx.save("a", pymatgen.Structure.from_sites(list(slab))).fields.type == "pymatgen.Structure"


def test_a_file_of_a_stranger_calls_nothing(run, pymatgen):
    """Pymatgen's own decoder would import and call what the document names."""
    asset = saved(run, caesium_chloride())
    document = json.loads(asset.read_bytes())
    document["sites"][0]["properties"] = {"a": {"@module": "os", "@class": "getcwd", "@callable": "getcwd"}}

    assert StructureKind().load(source(json.dumps(document).encode()))[0].properties["a"]["@module"] == "os"
    wrong = source(json.dumps({**document, "@module": "os", "@class": "Structure"}).encode())
    with pytest.raises(AssetError, match=r"'a' is no structure that molexp-science wrote: there is a os\.Structure"):
        StructureKind().load(wrong)


def test_whoever_lacks_pymatgen_is_told_how_to_install_it(run, pymatgen, monkeypatch):
    asset = saved(run, caesium_chloride())
    monkeypatch.setitem(sys.modules, "pymatgen.core.structure", None)
    with pytest.raises(
        ModuleNotFoundError, match="'a' needs pymatgen, which is not installed here: pip install pymatgen"
    ):
        asset.load()


# --------------------------------------------------------------------------------------------------------------- rdkit


@pytest.fixture
def chem():
    return pytest.importorskip("rdkit.Chem", reason="RDKit is not installed")


def embedded():
    chem = pytest.importorskip("rdkit.Chem", reason="RDKit is not installed")
    from rdkit.Chem import AllChem

    mol = chem.AddHs(chem.MolFromSmiles("C[C@H](N)C(=O)O/N=C/Cl"))
    AllChem.EmbedMultipleConfs(mol, 2, randomSeed=7)
    mol.SetProp("_Name", "a name")
    mol.SetProp("text", 'é\n"x"')
    mol.SetIntProp("whole", -3)
    mol.SetDoubleProp("third", 1 / 3)
    mol.SetBoolProp("yes", val=True)
    mol.GetAtomWithIdx(1).SetDoubleProp("charge", 1 / 3)
    mol.GetBondWithIdx(0).SetProp("kind", "single")
    return mol


SMILES = {
    "[13CH3][O-].[Na+]": ("CH3NaO", 6, "C H Na O"),
    "[OH2:7]": ("H2O", 3, "H O"),
    "c1ccccc1": ("C6H6", 12, "C H"),
    "C[C@](F)(Cl)Br": ("C2H3BrClF", 8, "Br C Cl F H"),
    "*CC": ("C2H5*", 8, "* C H"),
}


class TestMoleculesOfRdkit(AssetKindTests):
    def kind(self):
        return StructureKind

    def objects(self):
        chem = pytest.importorskip("rdkit.Chem", reason="RDKit is not installed")
        return [chem.Mol(), embedded(), *map(chem.MolFromSmiles, SMILES)]

    def fields(self, obj):
        found = SMILES.get(self._smiles(obj))
        formula, count, elements = found or (("C4H7ClN2O2", 16, "C Cl H N O") if obj.GetNumAtoms() else ("", 0, ""))
        return StructureFields("rdkit.Mol", formula, count, tuple(elements.split()))

    def _smiles(self, obj):
        from rdkit import Chem

        return Chem.MolToSmiles(Chem.Mol(obj))  # it notes something in the molecule

    def is_same(self, one, other):
        if isinstance(one, StructureFields):
            return one == other
        from rdkit.Chem import PropertyPickleOptions

        everything = int(PropertyPickleOptions.AllProps) | int(PropertyPickleOptions.CoordsAsDouble)
        return type(one) is type(other) and one.ToBinary(everything) == other.ToBinary(everything)


def test_conformers_stereochemistry_and_properties_come_back(run, chem):
    mol = embedded()
    found = saved(run, mol).load()
    for one, other in zip(mol.GetConformers(), found.GetConformers(), strict=True):
        assert one.GetPositions().tolist() == other.GetPositions().tolist()
    assert chem.MolToCXSmiles(found) == chem.MolToCXSmiles(mol)
    names = ("_Name", "text", "whole", "third", "yes")
    assert [found.GetPropsAsDict(True)[name] for name in names] == ["a name", 'é\n"x"', -3, 1 / 3, True]
    assert found.GetAtomWithIdx(1).GetDoubleProp("charge") == 1 / 3
    assert found.GetBondWithIdx(0).GetProp("kind") == "single"


def test_groups_of_stereoisomers_and_queries_come_back(run, chem):
    mixture, query = chem.MolFromSmiles("C[C@](F)(Cl)Br |&1:1|"), chem.MolFromSmarts("[#6;R]~[!#1]")
    with run.start() as ctx:
        ctx.save("mixture", mixture)
        asset = ctx.save("query", query)
    assert chem.MolToCXSmiles(run.asset("mixture").load()) == chem.MolToCXSmiles(mixture)
    assert chem.MolToSmarts(asset.load()) == chem.MolToSmarts(query) == "[#6&R]~[!#1]"


def test_a_molecule_that_can_be_edited_stays_one(run, chem):
    assert type(saved(run, chem.RWMol(embedded())).load()) is chem.RWMol


def test_a_molecule_is_drawn(run, chem):
    preview = saved(run, embedded()).preview()
    assert preview.text == "C[C@H](N)C(=O)O/N=C/Cl"
    assert preview.png.startswith(b"\x89PNG")


def test_a_class_with_more_is_refused(run, chem):
    from rdkit.Chem.PropertyMol import PropertyMol

    with run.start() as ctx, pytest.raises(SerializationError, match=r"Save rdkit.Chem.Mol\(...\) of it"):
        ctx.save("a", PropertyMol(embedded()))


def test_bytes_that_rdkit_does_not_understand_are_an_error_of_the_asset(run, chem):
    with pytest.raises(AssetError, match="RDKit does not understand 'a'"):
        StructureKind().load(source(b"\xef\xbe\xad\xde" + pickle.dumps(1)))
