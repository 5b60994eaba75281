"""Say how a run that did not succeed is started again: for ``molexp show``, and for plugins that show runs."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import molexp

_ENDED = ("failed", "interrupted", "cancelled")


def how_to_restart(run: molexp.Run, found: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return how a run that did not succeed is started again; None if there is nothing to start.

    Args:
        run: the run.
        found: the same, as `molexp.describe_run` describes it.

    Returns:
        ``resume`` and the command, ``repeat`` and the command, or ``python`` and the line.
    """
    from molexp.errors import MolexpError

    history, path = found["execution_history"], str(found["path"])
    if not history or found["status"] not in _ENDED:
        return None
    commands = [one.get("command") for attempt in history for one in attempt.get("commands") or ()]
    if found.get("workflow_graph"):
        try:
            script = run.experiment.workflow_source
        except MolexpError:  # its document cannot be read
            script = None
        return "resume", f"molexp execute {path} --script {shlex.quote(script or 'SCRIPT')} --resume"
    if len(commands) == 1 and isinstance(commands[0], list):
        experiment, _, name = path.rpartition("/")
        return "repeat", f"molexp exec {experiment} --id {name} -- {command_line(commands[0])}"
    return "python", f"ws.run({path!r}).start()"


def command_line(command: Any) -> str:
    """Return a command as it is typed."""
    return shlex.join(map(str, command)) if isinstance(command, list | tuple) else str(command)
