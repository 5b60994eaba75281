"""What several commands take, and how they find the workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import molexp

WorkspaceOption = Annotated[
    str | None,
    typer.Option(
        "--workspace",
        "-w",
        metavar="URL",
        show_default=False,
        help="The workspace, by path or URL; else MOLEXP_WORKSPACE names it, else it is the nearest one around here.",
    ),
]

JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]

LimitOption = Annotated[int | None, typer.Option("--limit", "-n", metavar="N", min=0, help="At most so many.")]

WhereArgument = Annotated[
    str | None,
    typer.Argument(metavar="[WHERE]", show_default=False, help="A query that must be true of them."),
]

RunArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        show_default=False,
        help="Its path, the beginning of its id, or @latest (of one experiment: metals/cu/@latest).",
    ),
]


def parameters_of(ctx: typer.Context, option: str, given: list[str] | None, *, nested: bool = True) -> dict[str, Any]:
    """The parameters that an option sets; what is wrong with one is said of the option."""
    import molexp

    try:
        return molexp.parse_parameters(given or (), nested=nested)
    except ValueError as error:
        raise typer.BadParameter(str(error), ctx=ctx, param_hint=option) from None


def located(ctx: typer.Context, workspace: str | None, *, create: bool = False) -> molexp.Workspace:
    """The workspace that is meant; ``-w`` may stand before the command, or after it."""
    import molexp

    given = workspace if workspace is not None else ctx.find_root().params.get("workspace")
    return molexp.locate_workspace(given, create=create)
