"""A choice among the runs of a script: the options for it, and the words for what is not chosen."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from molexp_cli import _words
from molexp_cli._failing import NOT_FOUND
from molexp_cli._options import given_workspace
from molexp_cli._output import say

if TYPE_CHECKING:
    from molexp.scripts import Drive, Script

ScriptArgument = Annotated[Path, typer.Argument(metavar="SCRIPT", show_default=False, help="A Python file.")]
OnlyOption = Annotated[
    str | None,
    typer.Option(
        "--only",
        metavar="QUERY",
        show_default=False,
        help="Choose only planned runs that match this query, as for runs list; a run that does not exist yet is pending.",
    ),
]
FailedOption = Annotated[
    bool, typer.Option("--failed", help="Choose only runs that failed, were cancelled or were interrupted.")
]
MostOption = Annotated[
    int | None,
    typer.Option(
        "--limit", metavar="N", min=0, show_default=False, help="Execute at most N runs, the first of those chosen."
    ),
]
ExperimentsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--experiment",
        "-e",
        metavar="[PROJECT/]ID",
        show_default=False,
        help="Choose only this experiment of the script. Repeatable.",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE,...",
        show_default=False,
        help="Set a parameter of every point; several values make a sweep. +NAME=VALUE adds a parameter. Repeatable.",
    ),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Read profiles from this file. By default: molcfg.yaml, .yml, .toml or .json beside the script.",
    ),
]
ProfileOption = Annotated[str | None, typer.Option("--profile", "-p", metavar="NAME", help="Use this profile.")]
OverrideOption = Annotated[
    list[str] | None,
    typer.Option(
        "--override",
        metavar="NAME=VALUE",
        help="Override a value of the profile; +NAME=VALUE adds one. Repeatable.",
    ),
]


def driven(
    ctx: typer.Context,
    script: Path,
    *,
    only: str | None = None,
    failed: bool = False,
    limit: int | None = None,
    experiments: Iterable[str] | None = None,
    settings: Iterable[str] | None = None,
    override: Iterable[str] | None = None,
    workspace: str | None = None,
    **options: Any,
) -> Drive:
    """Return the drive of a script, for the runs that the options choose; say which workspace it gets.

    Args:
        ctx: the context of the command.
        script: the script.
        only: the query of ``--only``.
        failed: ``--failed`` was given.
        limit: the number of ``--limit``.
        experiments: the experiments of ``-e``.
        settings: the parameters of ``--set``.
        override: the values of ``--override``.
        workspace: the workspace of ``-w`` after the command.
        options: further arguments of `molexp.scripts.Drive`.

    Raises:
        typer.BadParameter: a parameter cannot be read.
    """
    from molexp.scripts import Drive, Selection, parse_override, parse_settings

    try:
        values = parse_settings(settings or ())
    except ValueError as error:
        raise typer.BadParameter(str(error), ctx=ctx, param_hint="--set") from None
    wanted = given_workspace(ctx, workspace)
    if wanted is None and os.environ.get("MOLEXP_WORKSPACE"):
        say("MOLEXP_WORKSPACE does not count here: the script chooses its workspace")
    drive = Drive(
        script,
        overrides=dict(parse_override(text) for text in override or ()),
        selection=Selection(where=only, failed=failed, limit=limit, experiments=tuple(experiments or ())),
        settings=values,
        workspace=wanted,
        **options,
    )
    tell_redirected(drive.script)
    return drive


def tell_redirected(script: Script) -> None:
    """Say that a script got another workspace than its own."""
    if script.replaced not in ("", script.instead):
        say(f"the workspace is {script.instead}, in the place of the script's {script.replaced}")


def tell_left_out(drive: Drive, *, chosen: int) -> int:
    """Say how many runs were left out; if none is chosen, say why and what is near. Return the exit code."""
    left = drive.left_out()
    number = sum(left.statuses.values())
    if not number:
        return 0
    told = ", ".join(f"{count} {status}" for status, count in left.statuses.items())
    if chosen:
        say(f"{_words.counted(number, 'run')} not chosen ({told})")
        return 0
    say(f"No run is chosen of {number} ({told}).")
    for one in left.near_misses:
        if len(left.near_misses) > 1 or one.nearest:
            quoted = repr if '"' in one.condition else str
            near = f"; did you mean {' or '.join(map(quoted, one.nearest))}?" if one.nearest else ""
            say(f"{one.runs or 'None'} {'have' if one.runs > 1 else 'has'} {one.condition}{near}")
    for name, near_names in left.unknown_fields.items():
        hint = f" Did you mean {' or '.join(map(repr, near_names))}?" if near_names else ""
        say(f"No planned run has the parameter {name!r}.{hint}")
    return NOT_FOUND if left.matching == 0 else 0
