"""The plugin that this distribution registers with MolExp."""

from __future__ import annotations

from collections.abc import Iterable

from molexp.contracts import Declared
from molexp.hookspecs import hookimpl

_KINDS = (
    Declared("array", "molexp_science._arrays:ArrayKind", types=("numpy.ndarray",)),
    Declared(
        "table",
        "molexp_science._tables:TableKind",
        types=("pandas.DataFrame", "polars.DataFrame", "polars.LazyFrame", "pyarrow.Table", "pyarrow.RecordBatch"),
    ),
    Declared("tensors", "molexp_science._tensors:TensorsKind", types=("collections.OrderedDict",)),
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
