"""The distributions that are installed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.metadata import Distribution, PackageMetadata


def search(path: Sequence[str] | None, **name: str) -> Iterator[Distribution]:
    """Yield the distributions on `path` (by default ``sys.path``), in its order."""
    from importlib.metadata import distributions

    options: dict[str, Any] = dict(name)
    if path is not None:
        options["path"] = list(path)
    return iter(distributions(**options))


def said(metadata: PackageMetadata, field: str) -> str:
    """Return what metadata says in a field; "" if nothing. An index would then warn or raise, by version and implementation."""
    return next(iter(metadata.get_all(field) or ()), "")


def search_sound(path: Sequence[str] | None, name: str) -> Iterator[Distribution]:
    """Yield the distributions of this name that have metadata, not an empty folder that an interrupted ``pip`` left behind."""
    for distribution in search(path, name=name):
        try:
            text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
        except (OSError, ValueError):  # unreadable, or not UTF-8
            continue
        if "Name:" in text:
            yield distribution
