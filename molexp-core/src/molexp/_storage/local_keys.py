"""Keys of paths, as people and other libraries have them, that lie in a workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from molexp._storage import layout
from molexp._values.paths import is_local, is_remote
from molexp.contracts import Store, check_key

if TYPE_CHECKING:
    from pathlib import Path


def key_of(store: Store, path: Any) -> str | None:
    """Return the key of a path, or None if it lies outside of the workspace."""
    if not is_local(path) or is_remote(path):
        spelling, root_url = str(path), f"{store.url}/"
        return spelling.removeprefix(root_url) if spelling.startswith(root_url) else None
    if "local_path" not in store.capabilities:
        return None
    root = _root(store)
    try:
        key = check_key(path.resolve().relative_to(root.resolve()).as_posix())
        store.local_path(key)
        return key
    except ValueError:  # outside; or the workspace's own folder, or a name that no key can have
        return None


def holds_workspace(store: Store, folder: Path) -> bool:
    """Tell whether a local folder is the workspace's own, or one above it."""
    if "local_path" not in store.capabilities or not folder.is_dir():
        return False
    root = _root(store).resolve()
    return any(one.exists() and folder.samefile(one) for one in (root, *root.parents))


def _root(store: Store) -> Path:
    from pathlib import Path

    return Path(store.locate(layout.WORKSPACE)).parent
