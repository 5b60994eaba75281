"""The panels of the kinds of molexp-science: tables as their first rows, structures and trajectories in three dimensions.

They need no scientific library where the file says it all: ASE's are extended XYZ.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING

from molexp.contracts import Declared
from molexp_web._pages.previews import parquet_rows
from molexp_web.panels import Panel, hookimpl

if TYPE_CHECKING:
    from molexp import Asset

_LARGEST = 4 << 20  # letters of atoms that are sent to the page
_FRAMES = 500


@hookimpl
def molexp_web_register_panels() -> Iterable[Declared]:
    """Register the panels."""
    places = {"structure": "structure_panel", "trajectory": "trajectory_panel", "table": "table_panel"}
    return [Declared(kind, f"{__name__}:{name}") for kind, name in places.items()]


def structure_panel(asset: Asset) -> Panel | None:
    """Draw a structure: extended XYZ as it is, one of pymatgen as CIF, one of RDKit as SDF."""
    kind = str(getattr(asset.fields, "type", ""))
    if kind.startswith("ase."):
        return Panel(title="Structure", structure=asset.read_bytes().decode(), format="xyz")
    found = asset.load()
    if kind.startswith("rdkit."):
        from rdkit import Chem

        return Panel(title="Structure", structure=Chem.MolToMolBlock(found), format="sdf")
    form = "cif" if kind.endswith("Structure") else "xyz"
    return Panel(title="Structure", structure=found.to(fmt=form), format=form)


def trajectory_panel(asset: Asset) -> Panel:
    """Draw the first frames of a trajectory."""
    frames: list[str] = []
    size = 0
    with asset.open("r") as stream:
        while size < _LARGEST and len(frames) < _FRAMES and (head := stream.readline()).strip():
            frame = head + "".join(islice(stream, int(head) + 1))
            frames.append(frame)
            size += len(frame)
        more = bool(stream.read(1))
    note = f"The first {len(frames)} frames." if more else ""
    return Panel(title="Trajectory", structure="".join(frames), format="xyz", note=note)


def table_panel(asset: Asset) -> Panel:
    """Show the first rows of a table."""
    return parquet_rows(asset)
