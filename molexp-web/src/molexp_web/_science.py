"""The panels of the kinds of molexp-science: tables as their first rows, structures and trajectories in three dimensions.

They need no scientific library where the file says it all: ASE's are extended XYZ.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from molexp.contracts import Declared
from molexp_web._pages.previews import parquet_rows
from molexp_web.panels import Panel, hookimpl

if TYPE_CHECKING:
    from molexp import Asset

_LARGEST = 4 << 20  # letters of atoms that are sent to the page, if there is more than a frame
_LARGEST_FRAME = 16 << 20
_FRAMES = 500
_LINE = 1 << 20


@hookimpl
def molexp_web_register_panels() -> Iterable[Declared]:
    """Register the panels."""
    places = {"structure": "structure_panel", "trajectory": "trajectory_panel", "table": "table_panel"}
    return [Declared(kind, f"{__name__}:{name}") for kind, name in places.items()]


def structure_panel(asset: Asset) -> Panel | None:
    """Draw a structure: extended XYZ as it is, one of pymatgen as CIF, one of RDKit as SDF."""
    with asset.open() as stream:
        if stream.seek(0, 2) > _LARGEST_FRAME:
            return None
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
        while size < _LARGEST and len(frames) < _FRAMES and (head := stream.readline(100)).strip():
            lines = [head]
            for _ in range(int(head) + 1):
                lines.append(stream.readline(_LINE))
                size += len(lines[-1])
                if size > _LARGEST_FRAME or not lines[-1]:
                    raise ValueError("its first frames have more than 16 MiB, or end before they have their atoms")
            frames.append("".join(lines))
        more = bool(stream.read(1))
    note = f"The first {len(frames)} frames." if more else ""
    return Panel(title="Trajectory", structure="".join(frames), format="xyz", note=note)


def table_panel(asset: Asset) -> Panel:
    """Show the first rows of a table."""
    return parquet_rows(asset)
