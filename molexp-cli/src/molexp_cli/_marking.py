"""``molexp cancel``, ``archive``, ``unarchive``, ``delete`` and ``restore``: change runs by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, TypeAlias, TypeVar

import typer

from molexp_cli._failing import answer
from molexp_cli._options import WorkspaceOption, located
from molexp_cli._output import write

if TYPE_CHECKING:
    import molexp

T = TypeVar("T")

_Runs: TypeAlias = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN...",
        show_default=False,
        help="One or more runs: their paths, the beginnings of their ids, or @latest.",
    ),
]
_Paths: TypeAlias = Annotated[
    list[str],
    typer.Argument(metavar="PATH...", show_default=False, help="Paths of runs, as `molexp delete` printed them."),
]


def cancel(
    ctx: typer.Context,
    runs: _Runs,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", show_default=False, help="Record this reason.")
    ] = "",
    workspace: WorkspaceOption = None,
) -> None:
    """Ask runs to stop. The process that executes a run notices within a minute, and ends it as cancelled.

    A run that was never started is cancelled at once, and so is the copy of a run that continues elsewhere. A run that has
    ended stays as it is.

    Examples:
        molexp cancel metals/cu/cu-large
        molexp cancel metals/cu/cu-large metals/cu/cu-small
    """
    _change(_found(ctx, workspace, runs), lambda run: run.cancel(reason))


def archive(ctx: typer.Context, runs: _Runs, workspace: WorkspaceOption = None) -> None:
    """Hide runs in lists, unless you ask for archived ones. All other commands find them as before.

    Examples:
        molexp archive metals/cu/cu-large
        molexp archive metals/cu/cu-large metals/cu/cu-small
    """
    _change(_found(ctx, workspace, runs), lambda run: run.archive())


def unarchive(ctx: typer.Context, runs: _Runs, workspace: WorkspaceOption = None) -> None:
    """Show archived runs in lists again.

    Examples:
        molexp unarchive metals/cu/cu-large
        molexp unarchive metals/cu/cu-large metals/cu/cu-small
    """
    _change(_found(ctx, workspace, runs), lambda run: run.unarchive())


def delete(ctx: typer.Context, runs: _Runs, workspace: WorkspaceOption = None) -> None:
    """Delete runs. Until `molexp gc --yes` frees their files, `molexp restore` brings them back.

    A run that is still running is not deleted; the others that you name are.

    Examples:
        molexp delete metals/cu/cu-large
        molexp delete metals/cu/cu-large metals/cu/cu-small
    """
    _change(_found(ctx, workspace, runs), lambda run: run.delete())


def restore(ctx: typer.Context, runs: _Paths, workspace: WorkspaceOption = None) -> None:
    """Bring back deleted runs that gc has not freed yet. If one cannot be brought back, the others still are.

    Examples:
        molexp restore metals/cu/cu-large
        molexp restore metals/cu/cu-large metals/cu/cu-small
    """
    _change({path.strip("/").lower(): path for path in runs}, located(ctx, workspace).restore)


def _found(ctx: typer.Context, workspace: str | None, names: list[str]) -> dict[str, molexp.Run]:
    """Return the named runs by path. All must exist before the first is changed."""
    opened = located(ctx, workspace)
    return {run.path: run for run in map(opened.run, names)}


def _change(named: Mapping[str, T], change: Callable[[T], object]) -> None:
    """Change each run and print its path. If one cannot be changed, say so and continue with the others."""
    said: dict[str, int] = {}
    for path, one in named.items():
        try:
            change(one)
        except Exception as error:
            if str(error) not in said:  # an error that all of them have, such as a read-only disk, is printed once
                if (code := answer(error, ())) is None:
                    raise
                said[str(error)] = code
        else:
            write(path)
    if said:
        raise typer.Exit(next(iter(said.values())))
