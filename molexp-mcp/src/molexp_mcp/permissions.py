"""State what the person who starts a server allows assistants to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from molexp.errors import MolexpError


class NotAllowedError(MolexpError):
    """The person who started the server does not allow this."""


@dataclass(frozen=True)
class Permissions:
    """Allow changes, and only within named projects and by named scripts.

    Attributes:
        changes: tags and notes may be written, and sweeps started.
        projects: only runs of these projects may be changed.
        scripts: only these Python files may be imported to find the workflow that is bound to an experiment.

    Example:
        >>> Permissions(changes=True, projects=("metals",)).check("metals/cu/cu-small")
    """

    changes: bool = False
    projects: tuple[str, ...] = ()
    scripts: tuple[Path, ...] = ()

    def check(self, path: str) -> None:
        """Return if what lies at this path may be changed.

        Raises:
            NotAllowedError: it may not.
        """
        project = path.partition("/")[0]
        if not self.changes or project not in self.projects:
            allowed = ", ".join(map(repr, self.projects)) if self.changes else ""
            named = f"only projects {allowed}" if allowed else "nothing"
            raise NotAllowedError(
                f"{path!r} may not be changed: this server allows changes of {named}. Whoever starts it can add "
                f"--allow-changes --project {project}."
            )

    def script(self, name: str) -> Path:
        """Return the script of this name that may be imported.

        Raises:
            NotAllowedError: none may.
        """
        for script in self.scripts:
            if Path(name).name == script.name and (len(Path(name).parts) == 1 or Path(name).resolve() == script):
                return script
        raise NotAllowedError(
            f"The script {name!r} may not be imported: this server allows "
            f"{', '.join(script.name for script in self.scripts) or 'none'}. Whoever starts it can add --script {name}."
        )
