"""``molexp plugins install``: install a plugin for the interpreter that runs this program."""

from __future__ import annotations

import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Annotated

import typer

from molexp_cli._failing import FAILED
from molexp_cli._options import JsonOption
from molexp_cli._output import prints_aside, say, write


def install(
    requirement: Annotated[
        str,
        typer.Argument(metavar="NAME", help="A distribution, as for pip: a name, perhaps with a version, or a path."),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the command, and do not run it.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Install a plugin where this program finds it.

    That is pip or uv in an environment, `pipx inject` if pipx installed this program, and `uv tool install --with` if uv did.

    Examples:
        molexp plugins install molexp-s3-store
        molexp plugins install 'molexp-lab>=1.2' --dry-run
        molexp plugins install ./molexp_lab-1.0-py3-none-any.whl
    """
    import molexp
    from molexp.plugins import install_command

    if requirement.startswith("-") or not requirement.strip():
        raise typer.BadParameter(f"{requirement!r} is no name of a distribution.", param_hint="NAME")
    command = install_command(requirement)
    if not dry_run:
        if command[0] != "pipx" and command[:3] != ["uv", "tool", "install"]:
            _refuse_managed(requirement)
        code = _run(command)
    if as_json:
        write(molexp.to_json({"command": command, "exit_code": None if dry_run else code}, pretty=True))
    elif dry_run:
        write(shlex.join(command))
    if not dry_run and code:
        say(f"{shlex.join(command)} ended with exit code {code}.")
        raise typer.Exit(FAILED)
    if not dry_run:
        say("Installed. `molexp plugins check` tries it.")


def _refuse_managed(requirement: str) -> None:
    """Refuse to change a Python that belongs to the operating system, as pip does, with what to do."""
    from molexp.errors import PluginError

    marker = Path(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")
    if sys.prefix == sys.base_prefix and marker.exists():
        raise PluginError(
            f"{sys.prefix} belongs to the operating system, which installs packages there itself. Install MolExp and its plugins "
            f"into an environment of your own: python -m venv ENV, or uv tool install molexp-cli --with {shlex.quote(requirement)}."
        )


def _run(command: list[str]) -> int:
    say(shlex.join(command))
    try:
        with prints_aside(True):
            return subprocess.run(command, check=False).returncode
    except FileNotFoundError:
        say(f"{command[0]} is not installed.")
        return 127
