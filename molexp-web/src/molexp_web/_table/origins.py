"""Read the origin of runs, for columns such as ``provenance.git.commit``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import molexp as me

_KEPT = 100  # documents: each may have a long difference


class Origins:
    """Documents of provenance, each read once however many runs name it: its name is the hash of its content.

    Args:
        workspace: the workspace.
        known: the findings of earlier questions.
    """

    def __init__(self, workspace: me.Workspace, known: dict[Any, Any]) -> None:
        self._known: dict[Any, Mapping[str, Any]] = known.setdefault(("origins", workspace.url), {})

    def __call__(self, row: me.RunRow) -> Mapping[str, Any]:
        """Return what is known of the code of a run; nothing where it cannot be read."""
        known, name = self._known, row.provenance
        found = known.get(name)
        if found is None:
            try:
                found = row.origin or {}
            except (me.MolexpError, OSError):
                return {}
            while len(known) >= _KEPT:
                known.pop(next(iter([*known])), None)
            known[name] = found
        return found
