"""Views that are saved for everybody: small documents among the data of the workspace.

Each is data of the name ``view-NAME``, so that it is created exclusively, has versions, is copied by a sync, checked by
``molexp fsck`` and listed by ``molexp assets list``, as all data is. To change one is to import its next version.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import molexp as me
from molexp_web._table.asking import Asked, view_of

PREFIX = "view-"
TAG = "molexp-view"
_MOST = 100  # views that are listed
_LARGEST = 20_000  # bytes


def saved_views(workspace: me.Workspace, known: dict[Any, Any], version: str) -> Mapping[str, Mapping[str, Any]]:
    """Return the documents of the views, by name; what is none is left out.

    Args:
        workspace: the workspace.
        known: the findings of earlier questions.
        version: the version of the catalog, asked for before this.
    """
    state = ("views", workspace.url)
    seen, found = known.get(state, ("", {}))
    if seen != version:
        found = _views(workspace, known)
        known[state] = version, found
    return found  # type: ignore[no-any-return]  # as it was put there


def _views(workspace: me.Workspace, known: dict[Any, Any]) -> Mapping[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for asset in workspace.catalog.assets(f'"{TAG}" in tags', kind="data", scope="", sort="-created_at", limit=_MOST):
        name = asset.name.removeprefix(PREFIX)
        if name in found or not asset.name.startswith(PREFIX) or (asset.size or 0) > _LARGEST:
            continue
        key = ("view", workspace.url, asset.id, asset.created_at)
        if (document := known.get(key)) is None:  # other requests push out what is remembered
            document = known[key] = _read(asset)
        found[name] = document
    return {name: found[name] for name in sorted(found) if found[name]}


def _read(asset: me.Asset) -> Mapping[str, Any]:
    try:
        document = json.loads(asset.read_bytes())
    except (me.MolexpError, OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def save_view(workspace: me.Workspace, name: str, asked: Asked) -> str:
    """Save a view, and return its name.

    Raises:
        ValueError: there is no name.
        InvalidNameError: the name cannot be used.
        ReadOnlyError: the workspace was opened read-only.
    """
    name = "-".join(name.split())
    if not name:
        raise ValueError("A view needs a name.")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{PREFIX}view.json"
        path.write_text(json.dumps(view_of(asked), indent=1, ensure_ascii=False), encoding="utf-8")
        workspace.data_assets.import_asset(f"{PREFIX}{name}", path, tags=[TAG])
    return name
