"""The plugin that this distribution registers with MolExp."""

from __future__ import annotations

from collections.abc import Iterable

from molexp.contracts import Declared
from molexp.hookspecs import hookimpl


@hookimpl
def molexp_register_executors() -> Iterable[Declared]:
    """Register `DaskExecutor`."""
    return [Declared("dask", "molexp_dask._executor:DaskExecutor")]
