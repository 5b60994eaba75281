"""Workspaces on local and shared file systems (``./lab``, ``file://``), by native calls."""

from molexp_fs._store import LocalStore

__all__ = ["LocalStore", "__version__"]

__version__ = "0.1.0"
