"""Core's own plugin: built-in kinds, executors, in-memory store and default run-id scheme, registered like anybody's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from molexp.contracts import AssetKind, Executor, RunIdScheme, Store
from molexp.hookspecs import hookimpl


@hookimpl
def molexp_register_storage_backends() -> Iterable[type[Store]]:
    """The in-memory store."""
    from molexp._storage.memory import MemoryStore

    return [MemoryStore]


@hookimpl
def molexp_register_asset_kinds() -> Iterable[type[AssetKind[Any]]]:
    """The built-in kinds."""
    from molexp._assets.builtin_kinds import BUILTIN

    return BUILTIN


@hookimpl
def molexp_register_run_id_schemes() -> Iterable[type[RunIdScheme]]:
    """The default scheme."""
    from molexp._assets.run_ids import Molexp1

    return [Molexp1]


@hookimpl
def molexp_register_executors() -> Iterable[type[Executor]]:
    """The two that need nothing else: this process, and processes beside it."""
    from molexp._executors import InlineExecutor, ProcessExecutor

    return [InlineExecutor, ProcessExecutor]
