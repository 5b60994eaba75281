"""Atomic structures: of ASE as extended XYZ, of pymatgen as its JSON, of RDKit in RDKit's binary format."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import IO, Any

from msgspec import Struct

from molexp import Asset
from molexp.contracts import AssetKind, Preview, Sink, Source
from molexp.errors import AssetError
from molexp_science._libraries import imported, library

_FORMATS = {
    "ase": ("extended XYZ", (".xyz", ".extxyz")),
    "pymatgen": ("pymatgen's JSON", (".json",)),
    "rdkit": ("RDKit's binary format", (".rdkit",)),
}
_KNOWN = {".cif", ".db", ".gro", ".mol", ".mol2", ".pdb", ".poscar", ".sdf", ".traj", ".vasp"}
_KNOWN |= {suffix for _, suffixes in _FORMATS.values() for suffix in suffixes}
SHOWN = 10  # atoms in a preview
_LINE = 1 << 20  # characters of a line at most


class StructureFields(Struct, frozen=True):
    """The fields of a structure.

    Attributes:
        type: its class: ``ase.Atoms``, ``pymatgen.Structure``, ``pymatgen.Molecule``, ``rdkit.Mol``, ...
        formula: its formula in Hill's order, as in ``C2H6O``; the hydrogen atoms that RDKit implies are in it.
        n_atoms: the number of its atoms; those are counted, too.
        elements: the symbols of its elements, in alphabetical order.
        pbc: true for each direction in which it is periodic.
        cell: the lengths of its cell in angstrom, and its angles in degrees; None if it has no cell.
        volume: of the cell in cubic angstrom; None if the cell does not have three directions.
        energy: in eV, if a calculator of ASE found one for it.
    """

    type: str
    formula: str
    n_atoms: int
    elements: tuple[str, ...]
    pbc: tuple[bool, bool, bool] = (False, False, False)
    cell: tuple[float, float, float, float, float, float] | None = None
    volume: float | None = None
    energy: float | None = None


def hill_formula(counts: Mapping[str, float]) -> str:
    """Return a formula in Hill's order: carbon, hydrogen if there is carbon, then all by the alphabet."""
    first = [symbol for symbol in ("C", "H") if "C" in counts and symbol in counts]
    rest = sorted(symbol for symbol in counts if symbol not in first)
    return "".join(f"{one}{counts[one]:.10g}" if counts[one] != 1 else one for one in [*first, *rest])


def facts_of(kind: str, counts: Mapping[str, float], n_atoms: int, **more: Any) -> StructureFields:
    """Return the fields of a structure of which the number of atoms of each element is known."""
    return StructureFields(kind, hill_formula(counts), n_atoms, tuple(sorted(counts)), **more)


def cell_facts(vectors: Sequence[Sequence[float]], pbc: Sequence[bool]) -> dict[str, Any]:
    """Return the fields of a cell."""
    lengths = [math.sqrt(sum(x * x for x in vector)) for vector in vectors]
    if not any(lengths):
        return {"pbc": tuple(pbc)}
    angles = [_angle(vectors[one], vectors[other]) for one, other in ((1, 2), (0, 2), (0, 1))]
    (a, b, c), (d, e, f), (g, h, i) = vectors
    volume = abs(a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g))
    return {"pbc": tuple(pbc), "cell": (*lengths, *angles), "volume": volume or None}


def _angle(one: Sequence[float], other: Sequence[float]) -> float:
    lengths = math.hypot(*one) * math.hypot(*other)
    if not lengths:
        return 90.0
    cosine = sum(x * y for x, y in zip(one, other, strict=True)) / lengths
    return math.degrees(math.acos(max(-1.0, min(1.0, cosine))))


def atoms_facts(atoms: Any, energy: float | None) -> StructureFields:
    """Return the fields of an `ase.Atoms`."""
    cell = cell_facts(atoms.cell.array.tolist(), atoms.pbc.tolist())
    counts = Counter(atoms.get_chemical_symbols())
    return facts_of("ase.Atoms", counts, len(atoms), energy=energy, **cell)


class StructureKind(AssetKind[Any, StructureFields]):
    """Structures of ASE, pymatgen and RDKit. What is loaded is what was saved, exactly, and of the same class.

    Of a calculator of ASE, its results are kept, if they are of the atoms as they are, and it is asked to calculate nothing.
    What cannot be kept is refused, with its name.
    """

    name = "structure"
    types = ("ase.Atoms", "pymatgen.IStructure", "pymatgen.IMolecule", "rdkit.Mol")

    def accepts(self, obj: object, /) -> bool:
        """Tell whether it is a structure of one of the libraries."""
        return _library_of(obj) != ""

    def save(self, obj: Any, sink: Sink) -> StructureFields:
        """Write the structure in the format of its library."""
        name = _library_of(obj)
        form, suffixes = _FORMATS[name]
        if (suffix := PurePath(sink.name).suffix.lower()) in _KNOWN and suffix not in suffixes:
            right = PurePath(sink.name).with_suffix(suffixes[0])
            raise ValueError(f"{sink.name!r} would be {form}, and is not called so: call it {str(right)!r}.")
        data, fields = _written(name, obj)
        sink.write(data)
        return fields

    def load(self, source: Source[StructureFields]) -> Any:
        """Read the structure. What the bytes are, they say themselves."""
        with source.open() as stream:
            begin = stream.read(4)
            stream.seek(0)
            if begin.startswith(b"{"):
                from molexp_science import _pymatgen

                return _pymatgen.read(stream.read(), source.name)
            if begin == b"\xef\xbe\xad\xde":
                from molexp_science import _rdkit

                return _rdkit.read(stream.read(), source.name, source.fields.type)
            library("ase", source.name)
            from molexp_science._extxyz import read_frame

            if (found := read_frame(stream, source.name)) is None:
                raise AssetError(f"The file of {source.name!r} is empty.", name=source.name)
            return found

    def restores(self, obj: Any, /) -> bool:
        """Tell whether it has no calculator that could calculate more: its results alone are given back."""
        if _library_of(obj) != "ase" or obj.calc is None:
            return True
        from molexp_science._extxyz import results_of

        kinds = imported("ase.calculators.singlepoint", "SinglePointCalculator")
        return type(obj.calc) in kinds and results_of(obj)[1] != {}

    def describe(self, asset: Asset[Any, StructureFields], /) -> str:
        """Return one line: formula, number of atoms, cell, energy."""
        fields = asset.fields
        parts = [fields.formula or "no atoms", f"{fields.n_atoms} atom{'' if fields.n_atoms == 1 else 's'}"]
        parts += [text for text in (cell_text(fields), energy_text(fields.energy)) if text]
        return f"{fields.type} {', '.join(parts)}"

    def preview(self, source: Source[StructureFields], /) -> Preview:
        """Show the cell and the first atoms; of RDKit, the SMILES and a drawing."""
        fields = source.fields
        if fields.type.startswith("rdkit."):
            from molexp_science import _rdkit

            return _rdkit.preview(self.load(source))
        with source.open() as stream:
            if fields.type.startswith("pymatgen."):
                from molexp_science import _pymatgen

                rows = _pymatgen.first_atoms(stream.read(), SHOWN)
            else:
                _, rows = first_rows(stream)
        lines = [f"{fields.formula or 'no atoms'}   ({fields.type}, {fields.n_atoms} atoms)"]
        lines += [text for text in (cell_text(fields), energy_text(fields.energy)) if text]
        return Preview(text="\n".join([*lines, *atom_lines(rows, fields.n_atoms)]))


def cell_text(fields: StructureFields) -> str:
    """Return a cell for people, "" if there is none."""
    if fields.cell is None:
        return ""
    axes = "".join(axis for axis, periodic in zip("xyz", fields.pbc, strict=True) if periodic)
    numbers = " ".join(f"{number:.6g}" for number in fields.cell)
    return f"cell {numbers}, {f'periodic in {axes}' if axes else 'not periodic'}"


def energy_text(energy: float | None) -> str:
    """Return an energy for people, "" if there is none."""
    return "" if energy is None else f"energy {energy:.6f} eV"


def first_rows(stream: IO[bytes]) -> tuple[int, list[list[str]]]:
    """Return the number of atoms of a frame of extended XYZ, and the symbols and positions of the first."""
    size = int(stream.readline(100))
    stream.readline(_LINE)
    return size, [stream.readline(_LINE).decode().split()[:4] for _ in range(min(size, SHOWN))]


def atom_lines(rows: Sequence[Sequence[str]], size: int) -> list[str]:
    """Return lines for people, one for each of the first of so many atoms."""
    lines = [f"{symbol:<4}" + "".join(f"{float(word):14.6f}" for word in place) for symbol, *place in rows]
    return [*lines, *([f"... and {size - len(rows)} more"] if size > len(rows) else [])]


def _library_of(obj: object) -> str:
    if isinstance(obj, imported("ase.atoms", "Atoms")):
        return "ase"
    if isinstance(obj, imported("pymatgen.core.structure", "SiteCollection")):
        return "pymatgen"
    return "rdkit" if isinstance(obj, imported("rdkit.Chem.rdchem", "Mol")) else ""


def _written(name: str, obj: Any) -> tuple[bytes, StructureFields]:
    """Return the bytes and the fields of a structure."""
    if name == "ase":
        from molexp_science._extxyz import write_frame

        data, energy = write_frame(obj)
        return data, atoms_facts(obj, energy)
    if name == "pymatgen":
        from molexp_science import _pymatgen

        return _pymatgen.written(obj)
    from molexp_science import _rdkit

    return _rdkit.written(obj)
