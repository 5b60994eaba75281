"""The plugin that this distribution registers with MolExp."""

from __future__ import annotations

from collections.abc import Iterable

from molexp.contracts import Declared
from molexp.hookspecs import hookimpl

_KINDS = (
    Declared("array", "molexp_science._arrays:ArrayKind", types=("numpy.ndarray",)),
    Declared(
        "figure",
        "molexp_science._figures:FigureKind",
        types=("matplotlib.Figure", "matplotlib.Axes", "plotly.BaseFigure"),
    ),
    Declared("image", "molexp_science._images:ImageKind", types=("PIL.Image",)),
    Declared(
        "structure",
        "molexp_science._structures:StructureKind",
        types=("ase.Atoms", "pymatgen.IStructure", "pymatgen.IMolecule", "rdkit.Mol"),
    ),
    Declared(
        "table",
        "molexp_science._tables:TableKind",
        types=("pandas.DataFrame", "polars.DataFrame", "polars.LazyFrame", "pyarrow.Table", "pyarrow.RecordBatch"),
    ),
    Declared("tensors", "molexp_science._tensors:TensorsKind", types=("collections.OrderedDict",)),
    Declared(
        "trajectory",
        "molexp_science._trajectories:TrajectoryKind",
        types=("ase.TrajectoryReader", "ase.SlicedTrajectory", "molexp_science.Frames"),
    ),
    Declared(
        "zarr",
        "molexp_science._zarr:ZarrKind",
        types=("zarr.Array", "zarr.Group", "xarray.Dataset", "xarray.DataArray"),
    ),
)


@hookimpl
def molexp_register_asset_kinds() -> Iterable[Declared]:
    """Register the kinds, each imported when an object of it is saved or loaded."""
    return _KINDS
