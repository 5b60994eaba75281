"""Options and arguments that several commands share, and the search for the workspace."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import molexp
    from molexp.scripts import Script

WorkspaceOption = Annotated[
    str | None,
    typer.Option(
        "--workspace",
        "-w",
        metavar="URL",
        show_default=False,
        help="Use this workspace (path or URL). By default: MOLEXP_WORKSPACE, else the nearest one in this folder or above.",
    ),
]

JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]

LimitOption = Annotated[int | None, typer.Option("--limit", "-n", metavar="N", min=0, help="Show at most N.")]

WhereArgument = Annotated[
    str | None,
    typer.Argument(metavar="[WHERE]", show_default=False, help="Show only what matches this query."),
]

AssetArgument = Annotated[
    str,
    typer.Argument(
        metavar="ASSET",
        show_default=False,
        help="The asset's id, from `molexp assets list`, or RUN:NAME for an asset of a run, such as @latest:volumes.json.",
    ),
]

RunArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        show_default=False,
        help="The run's path, the beginning of its id, or @latest (in one experiment: metals/cu/@latest).",
    ),
]


def parameters_of(ctx: typer.Context, option: str, given: list[str] | None, *, nested: bool = True) -> dict[str, Any]:
    """Return the parameters that an option sets.

    Raises:
        typer.BadParameter: one of them cannot be read; the error names the option.
    """
    if not given:
        return {}  # reading values takes time to import

    import molexp

    try:
        return molexp.parse_parameters(given, nested=nested)
    except ValueError as error:
        raise typer.BadParameter(str(error), ctx=ctx, param_hint=option) from None


def located(ctx: typer.Context, workspace: str | None, *, create: bool = False) -> molexp.Workspace:
    """Return the workspace to use. ``-w`` may stand before the command or after it."""
    import molexp

    return molexp.locate_workspace(given_workspace(ctx, workspace), create=create)


def given_workspace(ctx: typer.Context, workspace: str | None) -> str | None:
    """Return the workspace that ``-w`` names, before the command or after it; None if there is none."""
    found = workspace if workspace is not None else ctx.find_root().params.get("workspace")
    return None if found is None else str(found)


def named_workspace(ctx: typer.Context, workspace: str | None) -> str | None:
    """Return the workspace that ``-w`` or the environment names; None if neither does."""
    return given_workspace(ctx, workspace) or os.environ.get("MOLEXP_WORKSPACE")


def located_with(
    ctx: typer.Context, workspace: str | None, script: Path | None
) -> tuple[molexp.Workspace, Script | None]:
    """Return the workspace to use; with the script, if that is imported first because it alone has the keys of the storage."""
    import molexp

    try:
        return located(ctx, workspace), None
    except molexp.StoreError:
        named = named_workspace(ctx, workspace)
        if script is None or not named:
            raise
        from molexp.scripts import load_script

        loaded = load_script(script, workspace=named, keep_several=True)
        if (own := loaded.workspace(molexp.Workspace(named).url)) is None:
            raise
        return own, loaded


def parts_of_experiment(ctx: typer.Context, path: str, parameter: str = "") -> tuple[str, str]:
    """Return the project and the experiment that PROJECT/EXPERIMENT names.

    Raises:
        typer.BadParameter: it is not of this form; the error names the parameter.
    """
    project, _, name = path.partition("/")
    if not project.strip() or not name.strip() or "/" in name:
        raise typer.BadParameter(
            f"{path!r} is not of the form PROJECT/EXPERIMENT", ctx=ctx, param_hint=parameter or None
        )
    return project, name


def runs_at(paths: Iterable[str]) -> str:
    """Return the query that finds the runs at these paths."""
    import molexp

    return f"path in ({', '.join(map(molexp.to_json, paths))})"


def experiment_named(opened: molexp.Workspace, path: str) -> molexp.Experiment | None:
    """Return the experiment that a path names; None if it names a run."""
    from molexp.errors import NotFoundError

    parts = path.strip("/").split("/")
    if len(parts) != 2 or parts[1] == "@latest":
        return None
    try:
        return opened.project(parts[0]).experiment(parts[1])
    except NotFoundError:
        return None
