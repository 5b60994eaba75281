"""Paths as people and other libraries have them: local ones, and objects of universal_pathlib, which stand for a URL."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeGuard

from molexp._values.loaded import loaded_types

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["OWN_FOLDER", "is_local", "is_remote", "path_text", "spelled"]

OWN_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
"""The folder that MolExp's own code lies in."""

_LOCAL = ("", "file", "local")


def is_local(value: Any) -> TypeGuard[Path]:
    """Tell whether it is a `pathlib.Path`."""
    return isinstance(value, loaded_types("pathlib", "Path"))


def is_remote(value: Any) -> bool:
    """Tell whether it is a ``UPath`` to something that is not a local file."""
    return isinstance(value, loaded_types("upath", "UPath")) and value.protocol not in _LOCAL


def spelled(path: Any) -> Any:
    """Return what `os.fspath` does, and of a ``UPath`` the URL.

    Raises:
        TypeError: it is neither a text nor a path.
    """
    if is_remote(path):
        return str(path)
    try:
        return os.fspath(path)
    except TypeError:
        raise TypeError(f"A path is a text or a pathlib.Path, not {path!r:.80}.") from None


def path_text(value: Any) -> Any:
    """Return what a path says; None for anything else."""
    return spelled(value) if isinstance(value, os.PathLike) or is_remote(value) else None
