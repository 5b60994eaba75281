"""The plugin that this distribution registers with MolExp."""

from __future__ import annotations

from collections.abc import Iterable

from molexp.contracts import Declared
from molexp.hookspecs import hookimpl


@hookimpl
def molexp_register_executors() -> Iterable[Declared]:
    """Register `SlurmExecutor`."""
    return [Declared("slurm", "molexp_slurm._executor:SlurmExecutor")]


@hookimpl
def molexp_register_queues() -> Iterable[Declared]:
    """Register `SlurmQueue`."""
    return [Declared("slurm", "molexp_slurm._queue:SlurmQueue")]
