"""Runs and tasks on the workers of a Dask cluster."""

from molexp_dask._executor import DaskExecutor

__all__ = ["DaskExecutor", "__version__"]

__version__ = "0.1.0"
