"""Paths of other libraries."""

from __future__ import annotations

from typing import Any, Protocol


class RemotePath(Protocol):
    """A ``UPath`` of universal_pathlib, as `Asset.path` is one where assets are not local files.

    Example:
        >>> from molexp.contracts import RemotePath
        >>> def url(path: RemotePath) -> str:
        ...     return f"{path.protocol}: {path}"
    """

    @property
    def protocol(self) -> str:
        """The scheme of its URL."""

    @property
    def storage_options(self) -> Any:
        """The options that fsspec needs to reach it."""
