"""Keys of paths, as people and other libraries have them, that lie in a workspace."""

from __future__ import annotations

from typing import Any

from molexp._storage import layout
from molexp._values.paths import is_local, is_remote
from molexp.contracts import Store, check_key


def key_of(store: Store, path: Any) -> str | None:
    """Return the key of a path, or None if it lies outside of the workspace."""
    if not is_local(path) or is_remote(path):
        spelling, root_url = str(path), f"{store.url}/"
        return spelling.removeprefix(root_url) if spelling.startswith(root_url) else None
    if "local_path" not in store.capabilities:
        return None
    from pathlib import Path

    root = Path(store.locate(layout.WORKSPACE)).parent
    try:
        key = check_key(path.resolve().relative_to(root.resolve()).as_posix())
        store.local_path(key)
        return key
    except ValueError:  # outside; or the workspace's own folder, or a name that no key can have
        return None
