"""Structures and molecules of pymatgen as its JSON.

Properties that JSON does not have, such as arrays, are written as `encode` does. They are read by `decode`, and not by the decoder
of pymatgen, which would import any module that a file names.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from molexp.errors import AssetError
from molexp_science._exact_values import decode, encode, refused, to_text
from molexp_science._libraries import library
from molexp_science._structures import StructureFields, cell_facts, facts_of

_MODULE = "pymatgen.core.structure"
_CLASSES = ("Structure", "IStructure", "Molecule", "IMolecule")


def written(obj: Any) -> tuple[bytes, StructureFields]:
    """Return the bytes and the fields of a structure or a molecule.

    Raises:
        SerializationError: pymatgen's JSON does not make the same one of it.
    """
    kind = type(obj)
    if kind.__module__ != _MODULE or kind.__name__ not in _CLASSES:
        base = "Molecule" if hasattr(obj, "spin_multiplicity") else "Structure"
        raise refused(obj, "the structure", f"it has more than a {base}. Save {base}.from_sites(list(...)) of it")
    text = to_text(_document(obj))
    try:
        comes_back = to_text(_document(_made(json.loads(text)))) == text
    except Exception as error:
        raise refused(obj, "the structure", f"pymatgen does not read its own JSON of it ({error})") from error
    if not comes_back:
        raise refused(obj, "the structure", "pymatgen makes another one of its own JSON")
    return text.encode(), _facts(obj)


def read(data: bytes, name: str) -> Any:
    """Return the structure or the molecule that was written.

    Raises:
        AssetError: there is something else.
        ModuleNotFoundError: pymatgen is not installed.
    """
    library(_MODULE, name, package="pymatgen")
    try:
        return _made(json.loads(data))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise AssetError(f"{name!r} is no structure that molexp-science wrote: {error}.", name=name) from error


def first_atoms(data: bytes, most: int) -> list[list[str]]:
    """Return the labels and the positions of the first atoms of a document."""
    sites = json.loads(data)["sites"][:most]
    return [[site.get("label") or site["species"][0]["element"], *map(str, site["xyz"])] for site in sites]


def _document(obj: Any) -> dict[str, Any]:
    found: dict[str, Any] = obj.as_dict()
    if getattr(obj, "_charge", 0) is None:
        found["charge"] = None  # as_dict writes the one that the oxidation states add up to
    found["properties"] = encode(obj.properties, "properties")
    for number, (site, document) in enumerate(zip(obj, found["sites"], strict=True)):
        document["properties"] = encode(site.properties, f"sites[{number}].properties")
    return found


def _made(document: dict[str, Any]) -> Any:
    from pymatgen.core import structure

    if document["@module"] != _MODULE or document["@class"] not in _CLASSES:
        raise ValueError(f"there is a {document['@module']}.{document['@class']}")
    properties = decode(document.pop("properties"))
    of_sites = [decode(site.pop("properties")) for site in document["sites"]]
    make: Callable[[Any], Any] = getattr(structure, document["@class"]).from_dict
    made = make({**document, "properties": properties})
    for site, found in zip(made, of_sites, strict=True):
        site.properties = found
    return made


def _facts(obj: Any) -> StructureFields:
    counts: Counter[str] = Counter()
    for site in obj:
        for element, amount in site.species.items():
            counts[getattr(element, "symbol", str(element))] += amount
    lattice = getattr(obj, "lattice", None)
    cell = cell_facts(lattice.matrix.tolist(), lattice.pbc) if lattice is not None else {}
    return facts_of(f"pymatgen.{type(obj).__name__}", counts, len(obj), **cell)
