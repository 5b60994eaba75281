"""The plugin that this distribution registers with MolExp."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from molexp.hookspecs import hookimpl

if TYPE_CHECKING:
    from molexp.contracts import Store


@hookimpl
def molexp_register_storage_backends() -> Iterable[type[Store]]:
    """Register `LocalStore` for ``file`` URLs and plain paths."""
    from molexp_fs._store import LocalStore

    return [LocalStore]
