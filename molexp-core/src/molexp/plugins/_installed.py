"""The distributions that are installed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.metadata import Distribution


def search(path: Sequence[str] | None, **name: str) -> Iterator[Distribution]:
    """Distributions on `path` (by default ``sys.path``), in its order."""
    from importlib.metadata import distributions

    options: dict[str, Any] = dict(name)
    if path is not None:
        options["path"] = list(path)
    return iter(distributions(**options))
