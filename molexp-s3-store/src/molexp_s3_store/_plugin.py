"""The plugin that this distribution registers with MolExp."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from molexp.hookspecs import hookimpl

if TYPE_CHECKING:
    from molexp.contracts import Store


@hookimpl
def molexp_register_storage_backends() -> Iterable[type[Store]]:
    """Register `S3Store` for ``s3`` URLs, and `FsspecStore` for those that nobody claims and fsspec knows."""
    from molexp_s3_store._fsspec_store import FsspecStore
    from molexp_s3_store._store import S3Store

    return [S3Store, FsspecStore]
