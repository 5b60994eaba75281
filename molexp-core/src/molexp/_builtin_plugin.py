"""Core's own plugin. It registers the built-in kinds, executors, in-memory store and run-id scheme, as any plugin does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from molexp.contracts import Declared
from molexp.hookspecs import hookimpl

if TYPE_CHECKING:  # executors take time to import
    from molexp.contracts import AssetKind, Executor, RunIdScheme, Store


@hookimpl
def molexp_register_storage_backends() -> Iterable[type[Store]]:
    """Register the in-memory store."""
    from molexp._storage.memory import MemoryStore

    return [MemoryStore]


@hookimpl
def molexp_register_asset_kinds() -> Iterable[type[AssetKind[Any, Any]]]:
    """Register the built-in kinds."""
    from molexp._assets.builtin_kinds import BUILTIN

    return BUILTIN


@hookimpl
def molexp_register_run_id_schemes() -> Iterable[type[RunIdScheme]]:
    """Register the default scheme."""
    from molexp._assets.run_ids import Molexp1

    return [Molexp1]


@hookimpl
def molexp_register_executors() -> Iterable[type[Executor]]:
    """Register the two executors that need no other software: this process, and processes beside it."""
    from molexp._executors import InlineExecutor, ProcessExecutor

    return [InlineExecutor, ProcessExecutor]


@hookimpl
def molexp_register_queues() -> Iterable[Declared]:
    """Register the queue of this machine."""
    return [Declared("local", "molexp._queues.local:LocalQueue")]
