"""Know the workspaces of a server, by the names that assistants use for them."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

import molexp as me
from molexp.errors import NotFoundError


class Workspaces:
    """Workspaces by name: the last part of each one's URL, with a number where two have the same."""

    def __init__(self, workspaces: Iterable[me.Workspace]) -> None:
        self.named: dict[str, me.Workspace] = {}
        for workspace in workspaces:
            name = base = workspace.url.rstrip("/").rpartition("/")[2] or "workspace"
            number = 1
            while name in self.named:
                number += 1
                name = f"{base}-{number}"
            self.named[name] = workspace
        if not self.named:
            raise ValueError("There must be at least one workspace.")

    def get(self, name: str | None) -> me.Workspace:
        """Return a workspace by its name or URL; without one, the only workspace or the first.

        Raises:
            NotFoundError: there is none of this name.
        """
        if not name:
            return next(iter(self.named.values()))
        for known, workspace in self.named.items():
            if name in (known, workspace.url):
                return workspace
        raise NotFoundError("workspace", name, nearest=get_close_matches(name, self.named, 1) or [*self.named])

    def experiment(self, path: str, workspace: str | None) -> me.Experiment:
        """Return an experiment by its path, "project/experiment".

        Raises:
            NotFoundError: it is not there.
        """
        project, _, name = path.partition("/")
        return self.get(workspace).project(project).experiment(name)
