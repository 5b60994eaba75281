"""Molecules of RDKit in its binary format.

It is the one format of RDKit that keeps all: coordinates as they are, every property with its type, stereochemistry, queries. Mol
blocks and RDKit's JSON round coordinates and leave properties out. Every later version of RDKit reads it.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from molexp.contracts import Preview
from molexp.errors import AssetError
from molexp_science._exact_values import refused
from molexp_science._libraries import library
from molexp_science._structures import StructureFields, facts_of


def written(obj: Any) -> tuple[bytes, StructureFields]:
    """Return the bytes and the fields of a molecule.

    Raises:
        SerializationError: RDKit does not make the same one of its bytes.
    """
    from rdkit import Chem

    if type(obj) not in (Chem.Mol, Chem.RWMol):
        raise refused(obj, "the molecule", "it has more than a Mol. Save rdkit.Chem.Mol(...) of it")
    data = _bytes(obj)
    again = Chem.Mol(data)
    if _bytes(again) != data and _bytes(_counted(again)) != _bytes(_counted(obj)):  # reading a query counts hydrogens
        raise refused(obj, "the molecule", "RDKit makes another one of its own bytes")
    return data, _facts(obj)


def read(data: bytes, name: str, kind: str) -> Any:
    """Return the molecule that was written, as a ``Mol`` or a ``RWMol``.

    Raises:
        AssetError: RDKit does not understand the bytes.
        ModuleNotFoundError: it is not installed.
    """
    chem = library("rdkit.Chem", name, package="rdkit")
    try:
        return chem.RWMol(data) if kind == "rdkit.RWMol" else chem.Mol(data)
    except (RuntimeError, ValueError) as error:
        raise AssetError(f"RDKit does not understand {name!r}: {error}.", name=name) from error


def preview(mol: Any) -> Preview:
    """Return the SMILES of a molecule, and a drawing."""
    from rdkit import Chem
    from rdkit.Chem import rdDepictor
    from rdkit.Chem.Draw import rdMolDraw2D

    flat = Chem.RemoveHs(mol, sanitize=False)
    smiles = Chem.MolToSmiles(flat)
    if not flat.GetNumAtoms():
        return Preview(text="no atoms")
    rdDepictor.Compute2DCoords(flat)
    drawing = rdMolDraw2D.MolDraw2DCairo(400, 300)
    rdMolDraw2D.PrepareAndDrawMolecule(drawing, flat, kekulize=False)
    drawing.FinishDrawing()
    return Preview(text=smiles, png=drawing.GetDrawingText())


def _bytes(mol: Any) -> bytes:
    from rdkit.Chem import PropertyPickleOptions

    options = int(PropertyPickleOptions.AllProps) | int(PropertyPickleOptions.CoordsAsDouble)
    found: bytes = mol.ToBinary(options)
    return found


def _counted(mol: Any) -> Any:
    """Return a copy of a molecule with the hydrogen atoms counted that are implied."""
    from rdkit import Chem

    copy = Chem.Mol(mol)
    copy.UpdatePropertyCache(strict=False)
    return copy


def _facts(mol: Any) -> StructureFields:
    kind = type(mol).__name__
    if mol.NeedsUpdatePropertyCache():
        mol = _counted(mol)
    counts: Counter[str] = Counter()
    for atom in mol.GetAtoms():
        counts[atom.GetSymbol()] += 1
        if hydrogens := atom.GetTotalNumHs():
            counts["H"] += hydrogens
    return facts_of(f"rdkit.{kind}", counts, counts.total())
