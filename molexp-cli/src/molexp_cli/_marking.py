"""``molexp archive``, ``unarchive``, ``delete`` and ``restore``: which runs are shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from molexp_cli._options import WorkspaceOption, located
from molexp_cli._output import write

if TYPE_CHECKING:
    import molexp

_Runs: TypeAlias = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN...", show_default=False, help="Their paths, the beginnings of their ids, or @latest; one or more."
    ),
]
_Paths: TypeAlias = Annotated[
    list[str], typer.Argument(metavar="PATH...", show_default=False, help="Their whole paths, as delete printed them.")
]

_EPILOG = """
Examples:

\b
  molexp {0} metals/cu/cu-large
  molexp {0} metals/cu/cu-large metals/cu/cu-small
"""


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("archive", short_help="Leave runs out of lists.", epilog=_EPILOG.format("archive"))(archive)
    app.command("unarchive", short_help="Show archived runs in lists again.", epilog=_EPILOG.format("unarchive"))(
        unarchive
    )
    app.command("delete", short_help="Hide runs, until gc frees them.", epilog=_EPILOG.format("delete"))(delete)
    app.command("restore", short_help="Bring back what delete has hidden.", epilog=_EPILOG.format("restore"))(restore)


def archive(ctx: typer.Context, runs: _Runs, workspace: WorkspaceOption = None) -> None:
    """Archive runs: lists leave them out unless they are asked for archived ones. Everything else finds them as before."""
    _each(ctx, workspace, runs, lambda run: run.archive())


def unarchive(ctx: typer.Context, runs: _Runs, workspace: WorkspaceOption = None) -> None:
    """Show archived runs in lists again."""
    _each(ctx, workspace, runs, lambda run: run.unarchive())


def delete(ctx: typer.Context, runs: _Runs, workspace: WorkspaceOption = None) -> None:
    """Hide runs at once. Their bytes stay until `molexp gc --yes` frees them, and until then `molexp restore` brings them back."""
    _each(ctx, workspace, runs, lambda run: run.delete())


def restore(ctx: typer.Context, runs: _Paths, workspace: WorkspaceOption = None) -> None:
    """Bring back runs that were deleted and not freed yet."""
    opened = located(ctx, workspace)
    for path in runs:
        write(opened.restore(path).path)


def _each(ctx: typer.Context, workspace: str | None, names: list[str], change: Callable[[molexp.Run], object]) -> None:
    """Change each run, all of which must be there before the first is changed, and print its path."""
    opened = located(ctx, workspace)
    for run in [opened.run(name) for name in names]:
        change(run)
        write(run.path)
