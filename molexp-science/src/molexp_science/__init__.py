"""Asset kinds for the objects of scientific libraries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from molexp_science._arrays import ArrayAsset, ArrayFields, ArrayKind
    from molexp_science._figures import FigureFields, FigureKind, Picture
    from molexp_science._images import ImageFields, ImageKind
    from molexp_science._structures import StructureFields, StructureKind
    from molexp_science._tables import TableAsset, TableFields, TableKind
    from molexp_science._tensors import TensorsFields, TensorsKind
    from molexp_science._trajectories import Frames, TrajectoryFields, TrajectoryKind
    from molexp_science._zarr import ZarrAsset, ZarrFields, ZarrKind

__all__ = [
    "ArrayAsset",
    "ArrayFields",
    "ArrayKind",
    "FigureFields",
    "FigureKind",
    "Frames",
    "ImageFields",
    "ImageKind",
    "Picture",
    "StructureFields",
    "StructureKind",
    "TableAsset",
    "TableFields",
    "TableKind",
    "TensorsFields",
    "TensorsKind",
    "TrajectoryFields",
    "TrajectoryKind",
    "ZarrAsset",
    "ZarrFields",
    "ZarrKind",
    "__version__",
]

__version__ = "0.1.0"

_LATE = {  # names by module: each is imported when it is asked for
    "_arrays": ("ArrayAsset", "ArrayFields", "ArrayKind"),
    "_figures": ("FigureFields", "FigureKind", "Picture"),
    "_images": ("ImageFields", "ImageKind"),
    "_structures": ("StructureFields", "StructureKind"),
    "_tables": ("TableAsset", "TableFields", "TableKind"),
    "_tensors": ("TensorsFields", "TensorsKind"),
    "_trajectories": ("Frames", "TrajectoryFields", "TrajectoryKind"),
    "_zarr": ("ZarrAsset", "ZarrFields", "ZarrKind"),
}
_HOME = {name: module for module, names in _LATE.items() for name in names}


if not TYPE_CHECKING:  # to a type checker it would make every misspelt name one of unknown type

    def __getattr__(name: str) -> Any:
        if name in _HOME:
            from importlib import import_module

            return getattr(import_module(f"molexp_science.{_HOME[name]}"), name)
        raise AttributeError(f"module 'molexp_science' has no attribute {name!r}")
